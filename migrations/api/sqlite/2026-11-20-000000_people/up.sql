-- A person is known by issuer and subject together; `id` is what the rest of the API calls them.
CREATE TABLE people (
    id TEXT PRIMARY KEY NOT NULL,
    iss TEXT NOT NULL,
    sub TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (iss, sub)
) STRICT, WITHOUT ROWID;
