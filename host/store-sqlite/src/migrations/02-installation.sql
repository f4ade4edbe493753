-- What tells this installation's letters from those of another one at the same provider.
INSERT INTO setting (name, value) VALUES ('installation', lower(hex(randomblob(8))));
