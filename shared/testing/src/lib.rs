//! Stores, clock, randomness, log capture and fixed keys for tests.

pub mod clock;
pub mod databases;
pub mod forgeries;
pub mod jwe;
pub mod line;
pub mod random;
pub mod redis;
pub mod ssrf;
pub mod stores;
pub mod wire;
