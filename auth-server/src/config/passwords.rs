//! How passwords are hashed.

use serde::{Deserialize, Serialize};

use super::Mode;

/// KiB below which no number of passes makes up for it (OWASP Password Storage).
const MIN_PASSWORD_MEMORY: u32 = 7168;

/// How passwords are hashed: Argon2id (RFC 9106).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordsConfig {
    /// KiB that one hash takes.
    pub memory: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes of it.
    pub parallelism: u32,
    /// People who may wait for a core.
    pub queue: usize,
}

impl PasswordsConfig {
    /// The parameters of Argon2id.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn params(&self) -> Result<argon2::Params, argon2::Error> {
        argon2::Params::new(self.memory, self.iterations, self.parallelism, None)
    }

    pub(super) fn problems(&self, mode: Mode) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.params() {
            problems.push(format!(
                "passwords: Argon2id does not take these parameters ({error}); leave them out for the defaults"
            ));
        }
        if mode == Mode::Production && self.memory < MIN_PASSWORD_MEMORY {
            problems.push("passwords.memory is below 7168 KiB: whoever gets hold of hashes could guess too fast".into());
        }
        problems
    }
}

impl Default for PasswordsConfig {
    fn default() -> Self {
        // OWASP's choice for Argon2id.
        Self {
            memory: 19_456,
            iterations: 2,
            parallelism: 1,
            queue: 100,
        }
    }
}
