-- What happened to backends, queues and budgets, as operators were told: an event that repeated itself is one row, known by
-- the number it had at first, and told under its newest. A bounded number of the newest stay.
CREATE TABLE events (
    first   INTEGER PRIMARY KEY,
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    backend TEXT,
    text    TEXT NOT NULL,
    times   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_number ON events (number);
