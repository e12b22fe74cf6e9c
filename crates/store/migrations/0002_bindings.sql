-- Ids that a backend minted and it alone understands (stored responses, files, batches), each with that backend's
-- name and when it was last seen.
CREATE TABLE bindings (
    id      TEXT PRIMARY KEY,
    backend TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bindings_by_time ON bindings (at);
