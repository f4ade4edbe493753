-- Alerts that were raised once, by what they watch. `crossing` is how often, and `params` what the
-- event of the last crossing says; `told` is 0 until that event is stored.
CREATE TABLE alert (
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    discount INTEGER NOT NULL,
    level TEXT NOT NULL,
    raised INTEGER NOT NULL CHECK (raised IN (0, 1)),
    crossing INTEGER NOT NULL,
    told INTEGER NOT NULL CHECK (told IN (0, 1)),
    params TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (type, discount, kind, level)
) STRICT, WITHOUT ROWID;
