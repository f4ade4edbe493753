-- What the attempts of a run's present segment met, by step.
CREATE TABLE trouble (
    run INTEGER NOT NULL REFERENCES run,
    step TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('unavailable', 'trapped')),
    attempts INTEGER NOT NULL,
    PRIMARY KEY (run, step, kind)
) STRICT, WITHOUT ROWID;

-- The claim that the contact kept when its run asked for a code, 0 where there was none: what it keeps
-- of a later one came meanwhile.
ALTER TABLE waiter ADD COLUMN since INTEGER;
