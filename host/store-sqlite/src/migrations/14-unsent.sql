-- Runs that go on although a message of theirs was not sent, because its contact cannot or must not be
-- written to. When one completes, the codes that none of its messages may carry go back.
CREATE TABLE unsent (
    run INTEGER PRIMARY KEY REFERENCES run
) STRICT;
