-- Whether the access tokens of a resource server are JWTs ("jwt") or names of rows ("opaque"), and which claims they carry beside the
-- standard ones: a list of mappings.
ALTER TABLE resource_servers ADD COLUMN token_format TEXT NOT NULL DEFAULT 'jwt';
ALTER TABLE resource_servers ADD COLUMN claims JSON;
-- What operators say of a person, for the claims of resource servers: an object.
ALTER TABLE accounts ADD COLUMN attributes JSON;

-- Opaque access tokens by the SHA-256 of each. A row may be there for a token that nobody got, because its grant was refused a moment
-- later; so no row refers to that of a grant or a client. Gone once it has expired.
CREATE TABLE access_tokens (
    digest BYTEA NOT NULL PRIMARY KEY,
    claims JSON NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C",
    grant_id TEXT COLLATE "C",
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);
