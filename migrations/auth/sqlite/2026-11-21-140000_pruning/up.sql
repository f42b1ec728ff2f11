-- What pruning looks for. Most rows have no such instant, and are not in these indexes.
CREATE INDEX client_secrets_expires_at ON client_secrets (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX grants_revoked_at ON grants (revoked_at) WHERE revoked_at IS NOT NULL;

-- When the private half went. `sealed` then holds nothing but the proof that this server had the key.
ALTER TABLE signing_keys ADD COLUMN wiped_at INTEGER;
