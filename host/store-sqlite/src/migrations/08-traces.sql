-- The traces that events came with, while traces are exported; see docs/operation.md.
CREATE TABLE event_trace (
    event INTEGER PRIMARY KEY REFERENCES event,
    trace BLOB NOT NULL,
    span BLOB NOT NULL,
    sampled INTEGER NOT NULL CHECK (sampled IN (0, 1))
) STRICT;
