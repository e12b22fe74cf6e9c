-- What an event tells beside its kind, exact and in no language, as JSON.
ALTER TABLE events ADD COLUMN fields TEXT NOT NULL DEFAULT '{}';
