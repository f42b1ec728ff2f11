-- Clients (RFC 7591 §2) as the validated document that their columns are looked up by.
CREATE TABLE clients (
    id TEXT PRIMARY KEY NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Digests only; two may live while one replaces the other.
CREATE TABLE client_secrets (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (client_id, digest)
) STRICT, WITHOUT ROWID;

-- `normal` is the identifier with `/` for an empty path: two that differ in that are one.
CREATE TABLE resource_servers (
    normal TEXT PRIMARY KEY NOT NULL,
    identifier TEXT NOT NULL,
    name TEXT NOT NULL,
    alg TEXT NOT NULL,
    lifetime INTEGER NOT NULL,
    introspection_client_id TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scopes (
    resource TEXT NOT NULL REFERENCES resource_servers (normal) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (resource, name)
) STRICT, WITHOUT ROWID;

-- The state of a key follows from its instants and the time now; nothing has to move it along.
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY NOT NULL,
    alg TEXT NOT NULL,
    jwk TEXT NOT NULL,
    sealed BLOB NOT NULL,
    kek_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- What was revoked, by kind (`jti`), until when it matters, and when it was written.
CREATE TABLE revocations (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    matters_until INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_recorded_at ON revocations (recorded_at);
CREATE INDEX revocations_matters_until ON revocations (matters_until);

-- A row for each thing that nodes cache, moved on by whoever changes it.
CREATE TABLE changes (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX changes_changed_at ON changes (changed_at);
