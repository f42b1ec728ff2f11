-- What a client or an account got until this instant is revoked: null where one token or one grant is.
ALTER TABLE revocations ADD COLUMN cutoff INTEGER;
