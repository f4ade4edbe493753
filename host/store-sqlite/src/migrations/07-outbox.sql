-- One from many, allowed hours, and a way to what is due for each channel.

-- `alternative`: the number of the one that the delivery has come to; its channel, address, message
-- and content are those of that one. `attempts_before`: attempts that do not count for when the next
-- is made, because they were by another alternative or before the delivery was revived.
-- `hours`: when it may begin, with the time zone.
ALTER TABLE delivery ADD COLUMN alternative INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN hours TEXT;
ALTER TABLE attempt ADD COLUMN alternative INTEGER NOT NULL DEFAULT 0;

-- All alternatives of the deliveries that have more than one.
CREATE TABLE alternative (
    delivery INTEGER NOT NULL REFERENCES delivery,
    number INTEGER NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    message TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- What is due on one channel is found without passing what waits for another.
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (channel, due) WHERE due IS NOT NULL;
