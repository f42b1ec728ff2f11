-- Work that one node at a time does every so often. `version` moves on with each change, so that of several nodes that saw the same
-- row one claims it, and so that the others see whether the one in `leased_by` is alive.
CREATE TABLE schedules (
    name TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    leased_by TEXT,
    started_at INTEGER,
    finished_at INTEGER,
    failed_at INTEGER,
    failures INTEGER NOT NULL,
    failure TEXT
) STRICT, WITHOUT ROWID;
