-- Until when the other side asked to be left alone, the last time that it did: that of a channel, by the
-- kind of its letters, or a webhook, by its name.
CREATE TABLE pause (
    side TEXT NOT NULL CHECK (side IN ('channel', 'webhook')),
    name TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (side, name)
) STRICT, WITHOUT ROWID;
