//! Behaviour of the authorization server, with real stores.

// So that Clippy knows that all of it is a test.
#[cfg(test)]
mod client_authentication;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod example_config;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod server;
#[cfg(test)]
mod token;
