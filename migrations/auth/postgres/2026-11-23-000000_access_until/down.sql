ALTER TABLE grants DROP COLUMN access_until;
