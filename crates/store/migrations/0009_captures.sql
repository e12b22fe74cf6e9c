-- Which requests were captured: a row for each file under captures/, whose name and day follow from the ticket.
CREATE TABLE captures (
    ticket         BLOB PRIMARY KEY,
    request_id     TEXT NOT NULL,
    at             INTEGER NOT NULL,
    key            TEXT,
    model          TEXT,
    backend        TEXT,
    status         INTEGER NOT NULL,
    ended          TEXT NOT NULL,
    request_bytes  INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    request_cut    INTEGER NOT NULL,
    response_cut   INTEGER NOT NULL,
    file_bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX captures_by_request ON captures (request_id);

-- What all files take, so that retention need not add them up.
CREATE TABLE capture_sums (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    captures   INTEGER NOT NULL,
    file_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO capture_sums (id, captures, file_bytes) VALUES (1, 0, 0);
CREATE TRIGGER capture_added AFTER INSERT ON captures BEGIN
    UPDATE capture_sums SET captures = captures + 1, file_bytes = file_bytes + new.file_bytes WHERE id = 1;
END;
CREATE TRIGGER capture_removed AFTER DELETE ON captures BEGIN
    UPDATE capture_sums SET captures = captures - 1, file_bytes = file_bytes - old.file_bytes WHERE id = 1;
END;
