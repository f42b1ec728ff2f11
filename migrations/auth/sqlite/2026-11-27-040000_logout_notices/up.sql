-- Whether a client is told that somebody signed out (OpenID Connect Back-Channel Logout 1.0), and whether of one session at a time. It
-- stands in its metadata too, where a statement that ends sessions does not look.
ALTER TABLE clients ADD COLUMN hears_logout INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN hears_by_session INTEGER NOT NULL DEFAULT 0;

-- Clients that are to hear that somebody signed out, written by whatever ends the session. `ended` is the session, or the account where
-- all of its sessions ended. Gone when the client has heard it, refused to, or could not be reached for too long. No row refers to the
-- client's, which may go at any time.
CREATE TABLE logout_notices (
    ended TEXT NOT NULL,
    client_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (ended, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX logout_notices_due_at ON logout_notices (due_at, client_id);
CREATE INDEX logout_notices_client_id ON logout_notices (client_id, due_at);
CREATE INDEX logout_notices_created_at ON logout_notices (created_at);
