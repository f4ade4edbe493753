-- The tables of a pool, a configuration and a history in one SQLite file.
-- Times are milliseconds since 1970 in UTC. 9223372036854775807 stands for never.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO setting (name, value) VALUES
    ('time-zone', 'UTC'), ('pool-generation', '0'), ('config', '0'), ('next-code', '1');

-- Configuration: versions are only ever added. `config` numbers the states that it went through.

CREATE TABLE message (
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    config INTEGER NOT NULL,
    definition TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE block (
    digest TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE workflow (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    config INTEGER NOT NULL,
    definition TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (id, version)
) STRICT;

CREATE TABLE workflow_state (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('active', 'paused'))
) STRICT, WITHOUT ROWID;

-- The pool. A lane is a type and a discount, and has a small number so that the keys below stay
-- short. `code` holds each code once, by its text. `free` holds what may be claimed in the order
-- in which it is taken: a claim deletes from its head, so two claims of one code cannot both
-- find it, and the pages that claims touch are few, whatever the order of the upload was.

CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    discount INTEGER NOT NULL CHECK (discount BETWEEN 0 AND 99),
    UNIQUE (type, discount)
) STRICT;

CREATE TABLE code (
    code TEXT PRIMARY KEY,
    id INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    retired INTEGER NOT NULL CHECK (retired IN (0, 1)),
    upload INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE free (
    lane INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    id INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (lane, expires, id)
) STRICT, WITHOUT ROWID;

-- The ledger of the pool: only ever appended. `audit` re-derives the promises from it.

CREATE TABLE upload (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT;

CREATE TABLE upload_batch (
    id INTEGER PRIMARY KEY,
    upload INTEGER NOT NULL REFERENCES upload,
    first_code INTEGER NOT NULL,
    inserted INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    rejected INTEGER NOT NULL
) STRICT;

CREATE TABLE retirement (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL,
    retired INTEGER NOT NULL CHECK (retired IN (0, 1)),
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE claim (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    step TEXT NOT NULL,
    visit INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    code_id INTEGER NOT NULL,
    code TEXT NOT NULL,
    contact TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
-- In the order of `free`, so that claims append to it lane by lane.
CREATE INDEX claim_by_code ON claim (lane, expires, code_id);
CREATE UNIQUE INDEX claim_by_step ON claim (run, step, visit, ordinal);

CREATE TABLE release (
    claim INTEGER PRIMARY KEY REFERENCES claim,
    at INTEGER NOT NULL
) STRICT;

-- The code of each lane that a contact keeps, and the runs that a kept code served again.

CREATE TABLE kept (
    contact TEXT NOT NULL,
    lane INTEGER NOT NULL,
    claim INTEGER NOT NULL REFERENCES claim,
    PRIMARY KEY (contact, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_by_claim ON kept (claim);

CREATE TABLE reused (
    run INTEGER NOT NULL,
    claim INTEGER NOT NULL REFERENCES claim,
    PRIMARY KEY (run, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX reused_by_claim ON reused (claim);

-- Events and runs.

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    event_id TEXT,
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    params TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_by_id ON event (event_id) WHERE event_id IS NOT NULL;

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL REFERENCES event,
    workflow INTEGER NOT NULL REFERENCES workflow,
    config INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('running', 'waiting', 'completed', 'failed', 'cancelled')),
    segment INTEGER NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    due INTEGER,
    data TEXT,
    error TEXT,
    started INTEGER NOT NULL,
    finished INTEGER
) STRICT;
CREATE INDEX run_by_event ON run (event);
CREATE INDEX run_due ON run (due) WHERE due IS NOT NULL;

-- The runs of workflows that ask for something of their other runs for the same event key: to
-- start seldom, not beside another, or to end with an event of the type `stop`.
CREATE TABLE start (
    key TEXT NOT NULL,
    workflow TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES run,
    stop TEXT,
    PRIMARY KEY (key, workflow, run)
) STRICT, WITHOUT ROWID;

-- One row a committed segment, with its steps as a JSON list.
CREATE TABLE journal (
    run INTEGER NOT NULL REFERENCES run,
    segment INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('completed', 'failed', 'waiting')),
    steps TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (run, segment)
) STRICT, WITHOUT ROWID;

-- The outbox.

CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run,
    step TEXT NOT NULL,
    visit INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    message TEXT NOT NULL,
    content TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL,
    due INTEGER,
    expires INTEGER NOT NULL,
    error TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX delivery_by_step ON delivery (run, step, visit, ordinal);
CREATE INDEX delivery_due ON delivery (due) WHERE due IS NOT NULL;

CREATE TABLE attempt (
    delivery INTEGER NOT NULL REFERENCES delivery,
    number INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT CHECK (outcome IN ('delivered', 'later', 'refused')),
    error TEXT,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;
