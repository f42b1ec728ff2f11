//! What both servers stand on: databases, the ephemeral store, the HTTP listener, configuration and telemetry.

pub mod config;
pub mod db;
pub mod ephemeral;
pub mod telemetry;
pub mod web;
