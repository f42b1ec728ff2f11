DELETE FROM grants WHERE session_id IS NULL;
UPDATE grants SET auth_time = created_at WHERE auth_time IS NULL;
ALTER TABLE grants ALTER COLUMN auth_time SET NOT NULL;
ALTER TABLE grants ALTER COLUMN session_id SET NOT NULL;
DROP INDEX grants_issuer;
ALTER TABLE grants DROP COLUMN issuer;
DROP TABLE identity_links;
DROP TABLE trusted_issuers;
