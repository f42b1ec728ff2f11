//! The resource API: a backend that trusts only access tokens, apart from whoever issues them.
//!
//! [`Server::build`] makes a server of a [`Config`]; several may live in one process.

mod answer;
mod body;
mod caller;
pub mod config;
mod docs;
mod problem;
mod profile_fields;
mod rate_limits;
mod routes;
mod server;
mod store;
mod users;

pub use config::Config;
pub use docs::openapi;
pub use server::{Bound, Server, StartError};
pub use store::MIGRATIONS;
