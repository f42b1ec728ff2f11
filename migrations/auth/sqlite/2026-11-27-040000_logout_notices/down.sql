DROP TABLE logout_notices;
ALTER TABLE clients DROP COLUMN hears_by_session;
ALTER TABLE clients DROP COLUMN hears_logout;
