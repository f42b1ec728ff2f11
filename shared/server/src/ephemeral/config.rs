//! The section of a configuration that says where the ephemeral store is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::config::Secret;

/// The ephemeral store, as a configuration has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralConfig {
    /// `memory`, `redis://…`, `rediss://…`, `redis+cluster://…` or `rediss+cluster://…`; see [`Settings::url`].
    pub url: Secret,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// Entries that the in-process store holds at most.
    pub capacity: usize,
    /// How long one command may take.
    #[serde(with = "crate::config::period")]
    pub timeout: Duration,
}

impl EphemeralConfig {
    /// The defaults, with keys that begin with `prefix`.
    #[must_use]
    pub fn with_prefix(prefix: &str) -> Self {
        Self {
            url: Secret::from("memory".to_owned()),
            prefix: prefix.to_owned(),
            capacity: 1_000_000,
            timeout: Duration::from_millis(500),
        }
    }

    /// The same, as the store takes it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            url: self.url.clone().into_inner(),
            prefix: self.prefix.clone(),
            capacity: self.capacity,
            timeout: self.timeout,
        }
    }
}
