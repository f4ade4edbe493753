-- Whether the other side may have taken the letter of an attempt: so it is from the start, until the end
-- tells otherwise.
ALTER TABLE attempt ADD COLUMN unclear INTEGER NOT NULL DEFAULT 1;
UPDATE attempt SET unclear = 0 WHERE outcome IN ('delivered', 'refused');
