-- What the service keeps: API keys, the history of uploads, and answers to ask for again.

INSERT INTO setting (name, value) VALUES ('key-generation', '0');

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

-- The id of the API key that uploaded; NULL: the command line, or a program that embeds.
ALTER TABLE upload ADD COLUMN key TEXT;
CREATE INDEX upload_batch_by_upload ON upload_batch (upload);

-- How an upload ended. One without a row is on its way, or its process has died.
CREATE TABLE upload_end (
    upload INTEGER PRIMARY KEY REFERENCES upload,
    state TEXT NOT NULL CHECK (state IN ('completed', 'interrupted')),
    at INTEGER NOT NULL
) STRICT;
INSERT INTO upload_end (upload, state, at) SELECT id, 'completed', at FROM upload;

-- The first rows of an upload that were refused.
CREATE TABLE upload_rejection (
    upload INTEGER NOT NULL REFERENCES upload,
    number INTEGER NOT NULL,
    line INTEGER NOT NULL,
    field TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- What was answered under an Idempotency-Key.
CREATE TABLE answer (
    key TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    content_type TEXT,
    location TEXT,
    body BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (key, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_by_age ON answer (at);
