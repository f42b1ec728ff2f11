DROP TABLE access_tokens;
ALTER TABLE accounts DROP COLUMN attributes;
ALTER TABLE resource_servers DROP COLUMN claims;
ALTER TABLE resource_servers DROP COLUMN token_format;
