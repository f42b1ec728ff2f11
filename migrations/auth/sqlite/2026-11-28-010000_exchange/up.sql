-- A grant that was made of another one by token exchange (RFC 8693) ends with that: `parent_id`. `chain` is who acts by it, and the
-- tokens that it was exchanged for.
ALTER TABLE grants ADD COLUMN parent_id TEXT;
ALTER TABLE grants ADD COLUMN chain TEXT;
CREATE INDEX grants_parent_id ON grants (parent_id) WHERE parent_id IS NOT NULL;
