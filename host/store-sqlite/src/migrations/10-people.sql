-- Contacts and what runs do with them.

-- `contacts`: 1 once somebody has asked for contacts; until then the directory sleeps, and events
-- cost nothing for it. `contacts-seen`: the last event that contacts were filled from.
INSERT INTO setting (name, value)
    SELECT 'contacts', CAST(EXISTS (SELECT 1 FROM contact) AS TEXT)
    UNION ALL SELECT 'contacts-seen', '0';

-- Names other than its event's key by which a run's contact got or keeps codes.
CREATE TABLE known_as (
    run INTEGER NOT NULL REFERENCES run,
    name TEXT NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
