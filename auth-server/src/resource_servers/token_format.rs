//! How the access tokens of a resource server are written.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a client gets for an access token.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFormat {
    /// A JWT (RFC 9068), which the resource server reads by itself, and so does the client.
    #[default]
    Jwt,
    /// A name that tells nothing: the resource server introspects it (RFC 7662).
    Opaque,
}

impl TokenFormat {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Opaque => "opaque",
        }
    }
}

/// Not a format of tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of jwt, opaque")]
pub struct UnknownTokenFormat;

impl FromStr for TokenFormat {
    type Err = UnknownTokenFormat;

    fn from_str(name: &str) -> Result<Self, UnknownTokenFormat> {
        match name {
            "jwt" => Ok(Self::Jwt),
            "opaque" => Ok(Self::Opaque),
            _ => Err(UnknownTokenFormat),
        }
    }
}
