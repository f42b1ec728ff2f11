-- Where the pages of clients come from, by the redirect URIs that they registered: whose answers a browser may show them.
CREATE TABLE client_origins (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    origin TEXT NOT NULL,
    PRIMARY KEY (client_id, origin)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_origins_origin ON client_origins (origin);
