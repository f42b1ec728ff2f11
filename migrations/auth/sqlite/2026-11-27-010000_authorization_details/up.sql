-- What objects of RFC 9396 there may be: each type belongs to a resource server, and ends with it.
CREATE TABLE authorization_details_types (
    name TEXT PRIMARY KEY NOT NULL,
    resource TEXT NOT NULL REFERENCES resource_servers (normal) ON DELETE CASCADE,
    description TEXT NOT NULL,
    schema TEXT NOT NULL,
    additive TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX authorization_details_types_resource ON authorization_details_types (resource);

-- The objects that a person allowed, by resource; nothing where there are none.
ALTER TABLE grants ADD COLUMN authorization_details TEXT;
ALTER TABLE consents ADD COLUMN authorization_details TEXT;
