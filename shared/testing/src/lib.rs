//! Stores, clock, randomness, log capture and fixed keys for tests.

pub mod clock;
pub mod databases;
#[expect(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a table for tests, whose parts are of known length"
)]
pub mod forgeries;
pub mod jwe;
pub mod line;
#[expect(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a table for tests, whose parts are of known length"
)]
pub mod proofs;
pub mod prover;
pub mod random;
pub mod redis;
pub mod ssrf;
pub mod stores;
pub mod wire;
