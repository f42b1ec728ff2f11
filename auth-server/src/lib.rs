//! OAuth 2 and OpenID Connect authorization server.

pub mod cli;
pub mod clients;
pub mod config;
pub mod feed;
pub mod introspect;
pub mod keys;
pub mod metadata;
pub mod openapi;
pub mod parameters;
pub mod published;
pub mod resource_servers;
pub mod revocations;
pub mod revoke;
pub mod routes;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod token;
