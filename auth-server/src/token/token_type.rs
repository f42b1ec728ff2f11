//! Token types (RFC 8693 §3): what a token that is exchanged is, and what is wanted for it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A type of token. In what an operator writes, and on the wire, by its URN.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum TokenType {
    /// An access token of this server, in whatever form it has.
    #[serde(rename = "urn:ietf:params:oauth:token-type:access_token")]
    AccessToken,
    /// A refresh token of this server.
    #[serde(rename = "urn:ietf:params:oauth:token-type:refresh_token")]
    RefreshToken,
    /// An ID token of this server.
    #[serde(rename = "urn:ietf:params:oauth:token-type:id_token")]
    IdToken,
    /// A JWT: of those, this server takes and gives access tokens.
    #[serde(rename = "urn:ietf:params:oauth:token-type:jwt")]
    Jwt,
    /// An identity assertion for the authorization server of somebody else's resource
    /// (draft-ietf-oauth-identity-assertion-authz-grant-03).
    #[serde(rename = "urn:ietf:params:oauth:token-type:id-jag")]
    IdentityAssertion,
}

/// Not a type that this server knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a token type that this server knows")]
pub struct UnknownTokenType;

impl TokenType {
    /// Every type.
    pub const ALL: [Self; 5] = [
        Self::AccessToken,
        Self::RefreshToken,
        Self::IdToken,
        Self::Jwt,
        Self::IdentityAssertion,
    ];

    /// Its URN.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::RefreshToken => "urn:ietf:params:oauth:token-type:refresh_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::IdentityAssertion => "urn:ietf:params:oauth:token-type:id-jag",
        }
    }
}

impl FromStr for TokenType {
    type Err = UnknownTokenType;

    fn from_str(name: &str) -> Result<Self, UnknownTokenType> {
        let mut all = Self::ALL.into_iter();
        all.find(|known| known.as_str() == name)
            .ok_or(UnknownTokenType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8693_3_each_type_is_written_as_its_urn() {
        for known in TokenType::ALL {
            assert_eq!(known.as_str().parse(), Ok(known));
            let written = serde_json::to_value(known).unwrap();
            assert_eq!(written, known.as_str());
        }
        for other in ["", "access_token", "urn:ietf:params:oauth:token-type:saml2"] {
            assert_eq!(other.parse::<TokenType>(), Err(UnknownTokenType), "{other}");
        }
    }
}
