-- Responses kept for backends that keep none: whose, until when, and what was said, sealed under a key of the vault.
CREATE TABLE kept_responses (
    id     TEXT PRIMARY KEY,
    owner  TEXT NOT NULL,
    until  INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
