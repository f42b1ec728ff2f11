ALTER TABLE grants DROP COLUMN confirmation;
