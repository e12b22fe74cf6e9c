-- Ways to requests that are not by time alone. A ticket is the last column of each, as it is the table's key, so each way
-- is in the order of time. Troubles and tags are few, and their indexes hold what a search asks of them.
CREATE INDEX receipts_by_key ON receipts (key) WHERE key IS NOT NULL;
CREATE INDEX receipts_by_team ON receipts (team) WHERE team IS NOT NULL;
CREATE INDEX receipts_by_backend ON receipts (backend) WHERE backend IS NOT NULL;
CREATE INDEX receipts_by_model ON receipts (coalesce(model_served, model_asked));
CREATE INDEX receipts_in_trouble ON receipts (ticket, status, outcome) WHERE outcome <> 'completed' OR status >= 400;
CREATE INDEX receipts_with_tags ON receipts (ticket, tags) WHERE tags IS NOT NULL;

-- What retention has removed: how many receipts, and up to which time. The roll-ups keep their sums.
CREATE TABLE retention (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    removed INTEGER NOT NULL,
    up_to   INTEGER NOT NULL
) STRICT;
INSERT INTO retention (id, removed, up_to) VALUES (1, 0, -1);
