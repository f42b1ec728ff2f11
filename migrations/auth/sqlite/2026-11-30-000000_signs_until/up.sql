-- Until when a node that signs with a key said last that it will; the key is published for as long as what it signed by then lives.
ALTER TABLE signing_keys ADD COLUMN signs_until INTEGER;
