DROP INDEX client_secrets_kek_id;
ALTER TABLE client_secrets DROP COLUMN kek_id;
ALTER TABLE client_secrets DROP COLUMN sealed;
