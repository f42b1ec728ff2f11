-- Of a client that describes itself, a digest of the redirects and keys that it had when the person agreed.
ALTER TABLE consents ADD COLUMN client_digest BLOB;
