-- When a client registered itself that was never given a token. Of others, and once it was given one, there is no such instant.
ALTER TABLE clients ADD COLUMN unused_since BIGINT;
CREATE INDEX clients_unused_since ON clients (unused_since) WHERE unused_since IS NOT NULL;

-- Clients that registered themselves, with the digest of the token by which each manages itself (RFC 7592). `next_digest` is of the
-- one that takes its place as soon as it is used. `permitted_by` says what let the client in.
CREATE TABLE registrations (
    client_id TEXT COLLATE "C" PRIMARY KEY NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    token_digest BYTEA NOT NULL,
    next_digest BYTEA,
    permitted_by TEXT COLLATE "C" NOT NULL
);

-- Initial access tokens (RFC 7591 section 3) by their digest. What is used up is kept until it expires, to be looked at.
CREATE TABLE registration_tokens (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    name TEXT COLLATE "C",
    uses_left BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX registration_tokens_expires_at ON registration_tokens (expires_at);
