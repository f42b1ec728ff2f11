DROP TABLE registration_tokens;
DROP TABLE registrations;
DROP INDEX clients_unused_since;
ALTER TABLE clients DROP COLUMN unused_since;
