-- What people edit that has a name and a spec and nothing else: teams, budgets, prices.
CREATE TABLE specs (
    id       TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    name     TEXT NOT NULL,
    spec     TEXT NOT NULL,
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (kind, name)
) STRICT, WITHOUT ROWID;

-- Teams existed by being named by a key.
INSERT INTO specs (id, kind, name, spec, created, updated, revision)
SELECT 'team_' || lower(hex(randomblob(8))), 'team', team, '{}', min(created), min(created), 1
FROM keys WHERE team IS NOT NULL GROUP BY team;
