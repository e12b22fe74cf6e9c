-- Who may operate the gateway besides the first token: tokens with a role, and sessions of people who showed one.
-- Of both only keyed digests are kept.
CREATE TABLE admin_tokens (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    role      TEXT NOT NULL,
    digest    BLOB NOT NULL UNIQUE,
    masked    TEXT NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER,
    last_used INTEGER
) STRICT, WITHOUT ROWID;

-- A session counts for as long as the token does that it began with.
CREATE TABLE admin_sessions (
    digest  BLOB PRIMARY KEY,
    token   BLOB NOT NULL,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX admin_sessions_by_token ON admin_sessions (token);
