ALTER TABLE signing_keys DROP COLUMN wiped_at;
DROP INDEX grants_revoked_at;
DROP INDEX sessions_ended_at;
DROP INDEX client_secrets_expires_at;
