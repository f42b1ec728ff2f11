-- Until when access tokens of the grant may live: for so long, its revocation matters. What is there already gets the most.
ALTER TABLE grants ADD COLUMN access_until INTEGER NOT NULL DEFAULT 0;
UPDATE grants SET access_until = used_at + 2 * 86400000;
