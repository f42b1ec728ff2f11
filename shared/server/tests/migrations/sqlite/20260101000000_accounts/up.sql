CREATE TABLE accounts (
    id TEXT PRIMARY KEY NOT NULL,
    balance BIGINT NOT NULL CHECK (balance >= 0)
);
