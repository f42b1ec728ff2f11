DROP TABLE server_secrets;
DROP TABLE grants;
DROP TABLE consents;
DROP TABLE sessions;
DROP TABLE sign_in_locks;
DROP TABLE accounts;
