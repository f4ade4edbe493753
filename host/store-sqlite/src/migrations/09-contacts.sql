-- The directory of contacts.

CREATE TABLE contact (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    external_id TEXT,
    fields TEXT NOT NULL,
    languages TEXT NOT NULL,
    time_zone TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX contact_by_external_id ON contact (external_id)
    WHERE external_id IS NOT NULL;

-- `key` is what spellings of one address have in common.
CREATE TABLE contact_address (
    contact INTEGER NOT NULL REFERENCES contact,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (contact, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_by_address ON contact_address (kind, key, contact);

-- What a contact said of being written to. A channel without a row: nothing.
CREATE TABLE consent (
    contact INTEGER NOT NULL REFERENCES contact,
    channel TEXT NOT NULL,
    given INTEGER NOT NULL CHECK (given IN (0, 1)),
    at INTEGER NOT NULL,
    PRIMARY KEY (contact, channel)
) STRICT, WITHOUT ROWID;
-- Small, however large the directory is: whether anybody refuses anything costs one look.
CREATE INDEX consent_refused ON consent (contact, channel) WHERE given = 0;
