-- What the attempts of a run's present segment met, by step.
CREATE TABLE trouble (
    run INTEGER NOT NULL REFERENCES run,
    step TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('unavailable', 'trapped')),
    attempts INTEGER NOT NULL,
    PRIMARY KEY (run, step, kind)
) STRICT, WITHOUT ROWID;

-- The last claim when the run began to wait: what its contact keeps of a later one came meanwhile.
ALTER TABLE waiter ADD COLUMN since INTEGER;
