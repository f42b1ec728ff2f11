ALTER TABLE consents DROP COLUMN client_digest;
