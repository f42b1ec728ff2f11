ALTER TABLE consents DROP COLUMN authorization_details;
ALTER TABLE grants DROP COLUMN authorization_details;
DROP TABLE authorization_details_types;
