-- Whether a client is told that somebody signed out (OpenID Connect Back-Channel Logout 1.0), and whether of one session at a time. It
-- stands in its metadata too, where a statement that ends sessions does not look.
ALTER TABLE clients ADD COLUMN hears_logout BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN hears_by_session BOOLEAN NOT NULL DEFAULT FALSE;

-- Clients that are to hear that somebody signed out, written by whatever ends the session. `ended` is the session, or the account where
-- all of its sessions ended. Gone when the client has heard it, refused to, or could not be reached for too long. No row refers to the
-- client's, which may go at any time.
CREATE TABLE logout_notices (
    ended TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    PRIMARY KEY (ended, client_id)
);
CREATE INDEX logout_notices_due_at ON logout_notices (due_at, client_id);
CREATE INDEX logout_notices_client_id ON logout_notices (client_id, due_at);
CREATE INDEX logout_notices_created_at ON logout_notices (created_at);
