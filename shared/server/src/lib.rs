//! What both servers stand on: databases, the ephemeral store, jobs, the HTTP listener, configuration and telemetry.

pub mod config;
pub mod db;
pub mod ephemeral;
pub mod jobs;
pub mod outbound;
pub mod rate_limits;
mod recent;
pub mod telemetry;
pub mod web;
