DROP TABLE client_origins;
