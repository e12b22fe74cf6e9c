-- Every price that was ever in force, as receipts name it, so that a cost can be told how it came about after the price has
-- changed. Most versions say the whole price, and their name is ''; of a table of prices the name says which one.
CREATE TABLE charged_prices (
    version TEXT NOT NULL,
    name    TEXT NOT NULL,
    since   INTEGER NOT NULL,
    price   TEXT NOT NULL,
    PRIMARY KEY (version, name, since)
) STRICT, WITHOUT ROWID;
