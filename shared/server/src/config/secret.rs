//! A secret that configuration brought: shown as `[redacted]`, wherever it is shown.

use std::cell::Cell;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands for a secret in everything that is printed.
pub const REDACTED: &str = "[redacted]";

thread_local! {
    /// Whether the loader is writing out the defaults, whose secrets it must not lose.
    static REVEALED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with secrets serialized as they are.
pub(super) fn revealed<R>(work: impl FnOnce() -> R) -> R {
    struct Hide;

    impl Drop for Hide {
        fn drop(&mut self) {
            REVEALED.set(false);
        }
    }

    let _hide = Hide;
    REVEALED.set(true);
    work()
}

/// A non-empty secret. `Debug` and `Serialize` write [`REDACTED`]; only `expose_secret` (of [`ExposeSecret`]) gives it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The same, for what takes a `SecretString`.
    #[must_use]
    pub fn into_inner(self) -> SecretString {
        self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret.into())
    }
}

impl ExposeSecret<str> for Secret {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if REVEALED.get() {
            self.expose_secret()
        } else {
            REDACTED
        })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl serde::de::Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret, as text")
            }

            fn visit_str<E: serde::de::Error>(self, raw: &str) -> Result<Secret, E> {
                match raw {
                    "" => Err(E::custom("a secret must not be empty")),
                    // The output of `config show`, taken for a configuration.
                    REDACTED => Err(E::custom(
                        "this only stands for a secret; give the secret itself",
                    )),
                    raw => Ok(Secret(raw.into())),
                }
            }
        }

        deserializer.deserialize_str(Text)
    }
}
