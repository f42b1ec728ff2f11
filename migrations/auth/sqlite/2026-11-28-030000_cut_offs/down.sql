ALTER TABLE revocations DROP COLUMN cutoff;
