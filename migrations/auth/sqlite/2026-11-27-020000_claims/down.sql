ALTER TABLE resource_servers DROP COLUMN subject_type;
ALTER TABLE consents DROP COLUMN claims;
ALTER TABLE grants DROP COLUMN requested_claims;
ALTER TABLE accounts DROP COLUMN profile;
