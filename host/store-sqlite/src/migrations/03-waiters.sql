-- Runs that wait for a code or for a reply, in the order in which codes are given to them. A row
-- stays until its run has gone on. `ordinal` is that of the claim which a code is given by.
CREATE TABLE waiter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL UNIQUE REFERENCES run,
    step TEXT NOT NULL,
    visit INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    lane INTEGER REFERENCES lane,
    days INTEGER,
    contact TEXT,
    keeps INTEGER CHECK (keeps IN (0, 1)),
    request TEXT,
    at INTEGER NOT NULL,
    served INTEGER NOT NULL CHECK (served IN (0, 1)),
    claim INTEGER REFERENCES claim,
    reply TEXT,
    CHECK ((lane IS NULL) <> (request IS NULL))
) STRICT;
-- Codes that were given to a run that waited, and expired before its step took them.
CREATE TABLE lapsed (
    claim INTEGER PRIMARY KEY REFERENCES claim,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX waiter_by_lane ON waiter (lane, id) WHERE served = 0 AND lane IS NOT NULL;
