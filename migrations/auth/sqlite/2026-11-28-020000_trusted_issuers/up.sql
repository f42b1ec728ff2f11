-- Who may speak for people or clients here (RFC 7523 section 2.1): `policy` is the validated document of what is believed of each.
CREATE TABLE trusted_issuers (
    issuer TEXT PRIMARY KEY NOT NULL,
    policy TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What other issuers call people.
CREATE TABLE identity_links (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_links_account_id ON identity_links (account_id);

-- A grant of a person for whom an issuer speaks names that issuer. There is no session here, and the issuer need not say when they
-- signed in.
ALTER TABLE grants ADD COLUMN issuer TEXT;
CREATE INDEX grants_issuer ON grants (issuer) WHERE issuer IS NOT NULL;

DROP INDEX grants_session_id;
ALTER TABLE grants ADD COLUMN session TEXT;
ALTER TABLE grants ADD COLUMN signed_in_at INTEGER;
UPDATE grants SET session = session_id, signed_in_at = auth_time;
ALTER TABLE grants DROP COLUMN session_id;
ALTER TABLE grants DROP COLUMN auth_time;
ALTER TABLE grants RENAME COLUMN session TO session_id;
ALTER TABLE grants RENAME COLUMN signed_in_at TO auth_time;
CREATE INDEX grants_session_id ON grants (session_id);
