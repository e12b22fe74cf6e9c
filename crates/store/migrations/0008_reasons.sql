-- Why requests went where they went, of those that waited, were refused or went on after a failure: JSON, as it was known
-- then. It goes with its receipt.
CREATE TABLE reasons (
    ticket BLOB PRIMARY KEY,
    told   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
