//! Stores, clock, randomness, log capture and fixed keys for tests.
