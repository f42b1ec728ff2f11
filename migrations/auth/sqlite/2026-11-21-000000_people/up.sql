-- People. `email_normal` is what they are looked up by: the address after NFKC and case folding. `epoch` moves on whenever all of
-- their sessions end, so that none begins with what was proven before.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY NOT NULL,
    email TEXT NOT NULL,
    email_normal TEXT NOT NULL UNIQUE,
    email_verified INTEGER NOT NULL,
    name TEXT,
    password_hash TEXT,
    password_changed_at INTEGER,
    epoch INTEGER NOT NULL,
    signed_in_at INTEGER,
    disabled_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who may not sign in for a while, by the digest of what was typed: known and unknown people alike.
CREATE TABLE sign_in_locks (
    identifier_digest BLOB PRIMARY KEY NOT NULL,
    locked_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_locks_locked_until ON sign_in_locks (locked_until);

-- A person at a browser. The cookie is kept as a digest; `id` is what ID tokens call `sid`.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    cookie_digest BLOB NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL,
    user_agent TEXT,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- What a person agreed to, remembered for the next time: `scope` is of this server, `resources` an object of scopes by resource.
CREATE TABLE consents (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    resources TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_client_id ON consents (client_id);

-- What a person allowed a client, made when the code is redeemed. The row outlives its last token, so that a second use of
-- the code is known at any later time. A grant has at most one family of refresh tokens: `family_salt`, `generation`, the
-- instant and the request of the last rotation. `scope` and `resources` are what the person saw, as in `consents`.
CREATE TABLE grants (
    id TEXT PRIMARY KEY NOT NULL,
    code_digest BLOB UNIQUE,
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    offline INTEGER NOT NULL,
    scope TEXT NOT NULL,
    resources TEXT NOT NULL,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL,
    family_salt BLOB,
    generation INTEGER NOT NULL,
    rotated_at INTEGER,
    rotation_digest BLOB,
    used_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_client_id ON grants (client_id);
CREATE INDEX grants_account_id ON grants (account_id);
CREATE INDEX grants_session_id ON grants (session_id);
CREATE INDEX grants_expires_at ON grants (expires_at);

-- Secrets that every node needs and that only this server knows, sealed under a key-encryption key.
CREATE TABLE server_secrets (
    name TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL,
    kek_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
