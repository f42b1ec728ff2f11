//! The resource API through its real listener, on SQLite and on PostgreSQL.

// So that Clippy knows that all of it is a test.
#[cfg(test)]
mod alg_confusion;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod profile_fields;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod sender;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod users;
