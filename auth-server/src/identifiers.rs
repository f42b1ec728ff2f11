//! Identifiers that this server makes: a prefix that tells one kind from another, then 22 letters and digits (131 bits).

/// Not an identifier of its kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an identifier of this kind")]
pub struct InvalidIdentifier;

/// Letters and digits after the prefix.
pub(crate) const LENGTH: usize = 22;

/// Whether `raw` is `prefix` and then 22 letters and digits.
pub(crate) fn is_of_kind(prefix: &str, raw: &str) -> bool {
    raw.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == LENGTH && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Makes a type of identifiers with this prefix.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Box<str>);

        impl $name {
            /// A new one.
            #[must_use]
            pub fn generate(random: &dyn shared_protocol::random::Random) -> Self {
                let letters =
                    shared_protocol::random::alphanumeric($crate::identifiers::LENGTH, random);
                Self(format!(concat!($prefix, "{}"), letters).into())
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::identifiers::InvalidIdentifier;

            fn from_str(raw: &str) -> Result<Self, Self::Err> {
                if $crate::identifiers::is_of_kind($prefix, raw) {
                    Ok(Self(raw.into()))
                } else {
                    Err($crate::identifiers::InvalidIdentifier)
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        shared_protocol::serde_as_text!($name, $crate::identifiers::InvalidIdentifier);
    };
}

pub(crate) use identifier;
