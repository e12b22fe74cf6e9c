-- Money is kept in two whole numbers, as SQL cannot add 128 bits: cost_micros (1e-6 USD) and cost_picos
-- (the rest, 1e-12 USD, below one million in a single line). Both add up exactly: sum(micros) * 1e6 + sum(picos).
-- Times are Unix milliseconds, UTC. Where a text is part of a key, '' stands for "none".

CREATE TABLE migrations (
    version  INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL
) STRICT;

-- What people edit ------------------------------------------------------------------------------------------

CREATE TABLE backends (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    spec     TEXT NOT NULL,
    masked   TEXT,
    enabled  INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    digest    BLOB NOT NULL UNIQUE,
    masked    TEXT NOT NULL,
    team      TEXT,
    limits    TEXT NOT NULL,
    enabled   INTEGER NOT NULL,
    expires   INTEGER,
    created   INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    last_used INTEGER,
    revision  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: how often the directory was changed, and the digest of the admin token.
CREATE TABLE directory (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    changes            INTEGER NOT NULL,
    admin_token_digest BLOB
) STRICT;
INSERT INTO directory (id, changes) VALUES (1, 0);

-- Secrets, each under its own data key, each data key under the master key ------------------------------------

CREATE TABLE vault (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    key_id BLOB NOT NULL,
    proof  BLOB NOT NULL
) STRICT;

CREATE TABLE secrets (
    id      TEXT PRIMARY KEY,
    key_id  BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    sealed  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The ledger ------------------------------------------------------------------------------------------------

-- A ticket is a ULID: its order is the order of arrival, so the table's own order also finds by time.
-- Most request ids are made from the ticket, so only those that the client gave need an index.
CREATE TABLE receipts (
    ticket              BLOB PRIMARY KEY,
    request_id          TEXT NOT NULL,
    request_id_given    INTEGER NOT NULL,
    at                  INTEGER NOT NULL,
    key                 TEXT,
    team                TEXT,
    tags                TEXT,
    client_addr         TEXT,
    model_asked         TEXT NOT NULL,
    model_served        TEXT,
    backend             TEXT,
    pool                TEXT,
    dialect_in          TEXT NOT NULL,
    dialect_out         TEXT,
    stream              INTEGER NOT NULL,
    status              INTEGER NOT NULL,
    outcome             TEXT NOT NULL,
    error_code          TEXT,
    attempts            INTEGER NOT NULL,
    queue_ms            INTEGER NOT NULL,
    first_event_ms      INTEGER,
    total_ms            INTEGER NOT NULL,
    bytes_in            INTEGER NOT NULL,
    bytes_out           INTEGER NOT NULL,
    input               INTEGER NOT NULL,
    cached_input        INTEGER NOT NULL,
    cache_write         INTEGER NOT NULL,
    cache_write_1h      INTEGER NOT NULL,
    output              INTEGER NOT NULL,
    reasoning           INTEGER NOT NULL,
    audio_input         INTEGER NOT NULL,
    audio_output        INTEGER NOT NULL,
    usage_source        TEXT NOT NULL,
    cost_micros         INTEGER NOT NULL,
    cost_picos          INTEGER NOT NULL,
    unpriced            INTEGER NOT NULL,
    price_version       TEXT,
    keepalive_committed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_by_given_id ON receipts (request_id) WHERE request_id_given;

CREATE TABLE attempts (
    ticket         BLOB NOT NULL,
    number         INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    key            TEXT NOT NULL,
    team           TEXT NOT NULL,
    tags           TEXT,
    backend        TEXT NOT NULL,
    pool           TEXT NOT NULL,
    label          TEXT NOT NULL,
    model          TEXT NOT NULL,
    native         TEXT NOT NULL,
    outcome        TEXT NOT NULL,
    status         INTEGER,
    error_code     TEXT,
    first_event_ms INTEGER,
    total_ms       INTEGER NOT NULL,
    input          INTEGER NOT NULL,
    cached_input   INTEGER NOT NULL,
    cache_write    INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    reasoning      INTEGER NOT NULL,
    audio_input    INTEGER NOT NULL,
    audio_output   INTEGER NOT NULL,
    usage_source   TEXT NOT NULL,
    cost_micros    INTEGER NOT NULL,
    cost_picos     INTEGER NOT NULL,
    unpriced       INTEGER NOT NULL,
    price_version  TEXT,
    PRIMARY KEY (ticket, number)
) STRICT, WITHOUT ROWID;

-- Roll-ups. Requests are counted from receipts; attempts, tokens and money from attempts. The same transaction
-- that inserts a line adds it here.
CREATE TABLE usage_hourly (
    bucket INTEGER NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL, team TEXT NOT NULL,
    requests INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    interrupted INTEGER NOT NULL, queue_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL, first_events INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_failed INTEGER NOT NULL,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
    cost_picos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (bucket, backend, model, key, team)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_daily (
    bucket INTEGER NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL, team TEXT NOT NULL,
    requests INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    interrupted INTEGER NOT NULL, queue_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL, first_events INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_failed INTEGER NOT NULL,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
    cost_picos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (bucket, backend, model, key, team)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags_hourly (
    bucket INTEGER NOT NULL, tag TEXT NOT NULL, value TEXT NOT NULL,
    requests INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    interrupted INTEGER NOT NULL, queue_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL, first_events INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_failed INTEGER NOT NULL,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
    cost_picos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (bucket, tag, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags_daily (
    bucket INTEGER NOT NULL, tag TEXT NOT NULL, value TEXT NOT NULL,
    requests INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    interrupted INTEGER NOT NULL, queue_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL, first_events INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_failed INTEGER NOT NULL,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
    cost_picos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (bucket, tag, value)
) STRICT, WITHOUT ROWID;

-- Where the journal's lines are taken over up to, and tickets whose open line's segment is gone before they
-- were settled.
CREATE TABLE journal (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    segment  INTEGER NOT NULL,
    "offset" INTEGER NOT NULL
) STRICT;
INSERT INTO journal (id, segment, "offset") VALUES (1, 0, 0);

CREATE TABLE pending_tickets (
    ticket BLOB PRIMARY KEY,
    state  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
