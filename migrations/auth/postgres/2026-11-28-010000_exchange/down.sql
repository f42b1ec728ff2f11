DROP INDEX grants_parent_id;
ALTER TABLE grants DROP COLUMN chain;
ALTER TABLE grants DROP COLUMN parent_id;
