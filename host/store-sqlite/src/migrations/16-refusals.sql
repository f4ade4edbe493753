-- Who is not to be written to, whoever has which address by then.

-- Addresses at which somebody has unsubscribed, by what spellings of one have in common.
CREATE TABLE refusal (
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, key)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO refusal (channel, key, at)
    SELECT channel, key, consent.at
    FROM consent JOIN contact_address USING (contact)
    WHERE given = 0
        AND kind = CASE WHEN channel IN ('sms', 'viber') THEN 'phone' ELSE channel END;

-- Addresses that a contact had, and until when: letters that wait, or whose way to unsubscribe is used
-- late, are theirs still.
CREATE TABLE former_address (
    contact INTEGER NOT NULL REFERENCES contact,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (contact, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_address_by_key ON former_address (kind, key, until);
