-- The secret itself, encrypted, of a client that makes MACs with it (RFC 7523, client_secret_jwt), and the key that it is encrypted under.
ALTER TABLE client_secrets ADD COLUMN sealed BLOB;
ALTER TABLE client_secrets ADD COLUMN kek_id TEXT;
CREATE INDEX client_secrets_kek_id ON client_secrets (kek_id) WHERE kek_id IS NOT NULL;
