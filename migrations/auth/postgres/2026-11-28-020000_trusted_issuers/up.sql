-- Who may speak for people or clients here (RFC 7523 section 2.1): `policy` is the validated document of what is believed of each.
CREATE TABLE trusted_issuers (
    issuer TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    policy JSON NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- What other issuers call people.
CREATE TABLE identity_links (
    issuer TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identity_links_account_id ON identity_links (account_id);

-- A grant of a person for whom an issuer speaks names that issuer. There is no session here, and the issuer need not say when they
-- signed in.
ALTER TABLE grants ADD COLUMN issuer TEXT COLLATE "C";
CREATE INDEX grants_issuer ON grants (issuer) WHERE issuer IS NOT NULL;

ALTER TABLE grants ALTER COLUMN session_id DROP NOT NULL;
ALTER TABLE grants ALTER COLUMN auth_time DROP NOT NULL;
