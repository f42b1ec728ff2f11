-- When a client registered itself that was never given a token. Of others, and once it was given one, there is no such instant.
ALTER TABLE clients ADD COLUMN unused_since INTEGER;
CREATE INDEX clients_unused_since ON clients (unused_since) WHERE unused_since IS NOT NULL;

-- Clients that registered themselves, with the digest of the token by which each manages itself (RFC 7592). `next_digest` is of the
-- one that takes its place as soon as it is used. `permitted_by` says what let the client in.
CREATE TABLE registrations (
    client_id TEXT PRIMARY KEY NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    token_digest BLOB NOT NULL,
    next_digest BLOB,
    permitted_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Initial access tokens (RFC 7591 section 3) by their digest. What is used up is kept until it expires, to be looked at.
CREATE TABLE registration_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    name TEXT,
    uses_left INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX registration_tokens_expires_at ON registration_tokens (expires_at);
