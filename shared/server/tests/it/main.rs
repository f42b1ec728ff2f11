//! Behaviour of the parts that both servers stand on, with real stores.

// So that Clippy knows that all of it is a test.
#[cfg(test)]
mod db;
#[cfg(test)]
mod ephemeral;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod rate_limits;
