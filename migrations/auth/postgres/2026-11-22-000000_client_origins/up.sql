-- Where the pages of clients come from, by the redirect URIs that they registered: whose answers a browser may show them.
CREATE TABLE client_origins (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    origin TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (client_id, origin)
);
CREATE INDEX client_origins_origin ON client_origins (origin);
