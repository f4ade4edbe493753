-- Whether any code has a letter that may be written in another case than the capitals of ASCII: where
-- none has, no two codes differ in case only, and an upload of such codes looks for none.
INSERT INTO setting (name, value)
    SELECT 'small-letters', CAST(EXISTS (SELECT 1 FROM code WHERE code GLOB '*[^ -`{-~]*') AS TEXT);
