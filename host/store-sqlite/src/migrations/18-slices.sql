-- Uploads that are all or nothing, on their way into the pool.

-- Rows in the order of their codes. They count once their stage belongs to an upload.
CREATE TABLE upload_slice (
    stage TEXT NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    rows BLOB NOT NULL,
    PRIMARY KEY (stage, number)
) STRICT;

-- Uploads that were decided on, while some of their slices are not in.
CREATE TABLE upload_stage (
    upload INTEGER PRIMARY KEY REFERENCES upload,
    stage TEXT NOT NULL,
    first_code INTEGER NOT NULL
) STRICT;
