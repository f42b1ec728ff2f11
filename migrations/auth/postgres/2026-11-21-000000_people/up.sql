-- People. `email_normal` is what they are looked up by: the address after NFKC and case folding. `epoch` moves on whenever all of
-- their sessions end, so that none begins with what was proven before.
CREATE TABLE accounts (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    email TEXT NOT NULL,
    email_normal TEXT COLLATE "C" NOT NULL UNIQUE,
    email_verified BOOLEAN NOT NULL,
    name TEXT,
    password_hash TEXT,
    password_changed_at BIGINT,
    epoch BIGINT NOT NULL,
    signed_in_at BIGINT,
    disabled_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Who may not sign in for a while, by the digest of what was typed: known and unknown people alike.
CREATE TABLE sign_in_locks (
    identifier_digest BYTEA PRIMARY KEY NOT NULL,
    locked_until BIGINT NOT NULL
);
CREATE INDEX sign_in_locks_locked_until ON sign_in_locks (locked_until);

-- A person at a browser. The cookie is kept as a digest; `id` is what ID tokens call `sid`.
CREATE TABLE sessions (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    cookie_digest BYTEA NOT NULL UNIQUE,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    auth_time BIGINT NOT NULL,
    amr JSON NOT NULL,
    user_agent TEXT,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- What a person agreed to, remembered for the next time: `scope` is of this server, `resources` an object of scopes by resource.
CREATE TABLE consents (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    resources JSON NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, client_id)
);
CREATE INDEX consents_client_id ON consents (client_id);

-- What a person allowed a client, made when the code is redeemed. The row outlives its last token, so that a second use of
-- the code is known at any later time. A grant has at most one family of refresh tokens: `family_salt`, `generation`, the
-- instant and the request of the last rotation. `scope` and `resources` are what the person saw, as in `consents`.
CREATE TABLE grants (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    code_digest BYTEA UNIQUE,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    session_id TEXT COLLATE "C" NOT NULL,
    offline BOOLEAN NOT NULL,
    scope TEXT NOT NULL,
    resources JSON NOT NULL,
    auth_time BIGINT NOT NULL,
    amr JSON NOT NULL,
    family_salt BYTEA,
    generation BIGINT NOT NULL,
    rotated_at BIGINT,
    rotation_digest BYTEA,
    used_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX grants_client_id ON grants (client_id);
CREATE INDEX grants_account_id ON grants (account_id);
CREATE INDEX grants_session_id ON grants (session_id);
CREATE INDEX grants_expires_at ON grants (expires_at);

-- Secrets that every node needs and that only this server knows, sealed under a key-encryption key.
CREATE TABLE server_secrets (
    name TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    sealed BYTEA NOT NULL,
    kek_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
