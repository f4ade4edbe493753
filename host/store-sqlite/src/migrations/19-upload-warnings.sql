-- What the author of an upload should know of it, though it stops no row.
CREATE TABLE upload_warning (
    upload INTEGER NOT NULL REFERENCES upload,
    number INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
