-- Work that one node at a time does every so often. `version` moves on with each change, so that of several nodes that saw the same
-- row one claims it, and so that the others see whether the one in `leased_by` is alive.
CREATE TABLE schedules (
    name TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    version BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    leased_by TEXT,
    started_at BIGINT,
    finished_at BIGINT,
    failed_at BIGINT,
    failures BIGINT NOT NULL,
    failure TEXT
);
