DROP TABLE changes;
DROP TABLE revocations;
DROP TABLE signing_keys;
DROP TABLE scopes;
DROP TABLE resource_servers;
DROP TABLE client_secrets;
DROP TABLE clients;
