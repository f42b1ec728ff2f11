-- Clients (RFC 7591 §2) as the validated document that their columns are looked up by.
CREATE TABLE clients (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    metadata JSON NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Digests only; two may live while one replaces the other.
CREATE TABLE client_secrets (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    digest BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (client_id, digest)
);

-- `normal` is the identifier with `/` for an empty path: two that differ in that are one.
CREATE TABLE resource_servers (
    normal TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    identifier TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    alg TEXT COLLATE "C" NOT NULL,
    lifetime BIGINT NOT NULL,
    introspection_client_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE scopes (
    resource TEXT COLLATE "C" NOT NULL REFERENCES resource_servers (normal) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (resource, name)
);

-- The state of a key follows from its instants and the time now; nothing has to move it along.
CREATE TABLE signing_keys (
    kid TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    alg TEXT COLLATE "C" NOT NULL,
    jwk JSON NOT NULL,
    sealed BYTEA NOT NULL,
    kek_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL,
    revoked_at BIGINT
);

-- What was revoked, by kind (`jti`), until when it matters, and when it was written.
CREATE TABLE revocations (
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    recorded_at BIGINT NOT NULL,
    matters_until BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX revocations_recorded_at ON revocations (recorded_at);
CREATE INDEX revocations_matters_until ON revocations (matters_until);

-- A row for each thing that nodes cache, moved on by whoever changes it.
CREATE TABLE changes (
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX changes_changed_at ON changes (changed_at);
