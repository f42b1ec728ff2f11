-- What objects of RFC 9396 there may be: each type belongs to a resource server, and ends with it.
CREATE TABLE authorization_details_types (
    name TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    resource TEXT COLLATE "C" NOT NULL REFERENCES resource_servers (normal) ON DELETE CASCADE,
    description TEXT COLLATE "C" NOT NULL,
    schema JSON NOT NULL,
    additive JSON NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX authorization_details_types_resource ON authorization_details_types (resource);

-- The objects that a person allowed, by resource; nothing where there are none.
ALTER TABLE grants ADD COLUMN authorization_details JSON;
ALTER TABLE consents ADD COLUMN authorization_details JSON;
