-- What the refresh tokens of a public client are bound to (RFC 9449 §5, RFC 8705 §4), as the claim `cnf` has it; those of others are
-- bound to what the client authenticates by.
ALTER TABLE grants ADD COLUMN confirmation TEXT;
