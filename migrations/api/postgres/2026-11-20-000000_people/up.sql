-- A person is known by issuer and subject together; `id` is what the rest of the API calls them.
CREATE TABLE people (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    iss TEXT COLLATE "C" NOT NULL,
    sub TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (iss, sub)
);
