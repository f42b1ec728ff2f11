//! What the authorization endpoint may be asked to answer with (RFC 6749 §3.1.1, OAuth 2.0 Multiple Response Type Encoding
//! Practices). Each type is a set of words, whose order means nothing.

use std::fmt;
use std::str::FromStr;

use super::error::RedirectCause;
use super::request::ResponseMode;
use crate::clients::Client;
use crate::parameters::Parameters;
use crate::refusals::Detail;

/// A response type.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ResponseType {
    /// RFC 6749 §4.1.1.
    Code,
    /// OpenID Connect Core §3.3.
    CodeIdToken,
    /// OpenID Connect Core §3.3.
    CodeToken,
    /// OpenID Connect Core §3.3.
    CodeIdTokenToken,
    /// OpenID Connect Core §3.2.
    IdToken,
    /// OpenID Connect Core §3.2.
    IdTokenToken,
    /// RFC 6749 §4.2.1.
    Token,
    /// Multiple Response Types §4: the person agreed, and nothing comes of it but that.
    None,
}

/// Not a response type that this server knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no such response type: it is `none`, or made of `code`, `id_token` and `token`")]
pub struct UnknownResponseType;

impl ResponseType {
    /// Every type, in the order in which the metadata lists them.
    pub const ALL: [Self; 8] = [
        Self::Code,
        Self::CodeIdToken,
        Self::CodeToken,
        Self::CodeIdTokenToken,
        Self::IdToken,
        Self::IdTokenToken,
        Self::Token,
        Self::None,
    ];

    /// As it is registered with IANA.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::CodeIdToken => "code id_token",
            Self::CodeToken => "code token",
            Self::CodeIdTokenToken => "code id_token token",
            Self::IdToken => "id_token",
            Self::IdTokenToken => "id_token token",
            Self::Token => "token",
            Self::None => "none",
        }
    }

    /// Whether a code is asked for.
    #[must_use]
    pub const fn has_code(self) -> bool {
        match self {
            Self::Code | Self::CodeIdToken | Self::CodeToken | Self::CodeIdTokenToken => true,
            Self::IdToken | Self::IdTokenToken | Self::Token | Self::None => false,
        }
    }

    /// Whether an ID token is to come with the answer itself.
    #[must_use]
    pub const fn has_id_token(self) -> bool {
        match self {
            Self::CodeIdToken | Self::CodeIdTokenToken | Self::IdToken | Self::IdTokenToken => true,
            Self::Code | Self::CodeToken | Self::Token | Self::None => false,
        }
    }

    /// Whether an access token is to come with the answer itself.
    #[must_use]
    pub const fn has_token(self) -> bool {
        match self {
            Self::CodeToken | Self::CodeIdTokenToken | Self::IdTokenToken | Self::Token => true,
            Self::Code | Self::CodeIdToken | Self::IdToken | Self::None => false,
        }
    }

    /// Whether the answer carries a token, which no server on the way may see and no log may keep: never in a query (Multiple Response
    /// Types §3, §5).
    #[must_use]
    pub const fn is_in_front(self) -> bool {
        self.has_id_token() || self.has_token()
    }

    /// How the answer travels where the request does not say (Multiple Response Types §2.1, §5).
    #[must_use]
    pub const fn default_mode(self) -> ResponseMode {
        if self.is_in_front() {
            ResponseMode::Fragment
        } else {
            ResponseMode::Query
        }
    }
}

impl fmt::Display for ResponseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 6749 §3.1.1: words parted by a space, in any order.
impl FromStr for ResponseType {
    type Err = UnknownResponseType;

    fn from_str(raw: &str) -> Result<Self, UnknownResponseType> {
        let mut words: Vec<&str> = raw.splitn(4, ' ').collect();
        words.sort_unstable();
        // Sorted, as each of them is written.
        let mut all = Self::ALL.into_iter();
        all.find(|known| known.as_str().split(' ').eq(words.iter().copied()))
            .ok_or(UnknownResponseType)
    }
}

shared_protocol::serde_as_text!(ResponseType, UnknownResponseType);

/// The type of a request, if this server serves it, and the client registered it. `known` is what stands there, if it is a type at all.
pub(super) fn check(
    known: Option<ResponseType>,
    client: &Client,
    (served, parameters): (&[ResponseType], &Parameters),
) -> Result<ResponseType, RedirectCause> {
    parameters.required("response_type")?;
    let known = known.filter(|known| served.contains(known));
    let known = known.ok_or_else(|| {
        let sent = parameters.optional("response_type").unwrap_or_default();
        let served = Detail::list(served);
        RedirectCause::UnsupportedResponseType(Detail::new(format!(
            "{sent:?} was sent, and this server serves: {served}"
        )))
    })?;
    let registered = client.metadata.effective_response_types();
    if registered.contains(&known) {
        Ok(known)
    } else {
        let registered = Detail::list(registered);
        let why = format!("{known} was sent, and registered: {registered}");
        Err(RedirectCause::UnauthorizedClient(Detail::new(why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_3_1_1_the_order_of_words_means_nothing() {
        for known in ResponseType::ALL {
            let mut words: Vec<_> = known.as_str().split(' ').collect();
            words.reverse();
            for raw in [known.as_str(), &words.join(" ")] {
                assert_eq!(raw.parse(), Ok(known), "{raw}");
            }
        }
        for raw in [
            "",
            " ",
            "code ",
            " code",
            "code  token",
            "code code",
            "code none",
            "none token",
            "Code",
            "code,token",
            "code id_token token x",
            "code id_token token ",
            "saml",
        ] {
            assert_eq!(
                raw.parse::<ResponseType>(),
                Err(UnknownResponseType),
                "{raw}"
            );
        }
    }

    #[test]
    fn what_carries_a_token_travels_in_a_fragment() {
        for known in ResponseType::ALL {
            let words: Vec<_> = known.as_str().split(' ').collect();
            assert_eq!(known.has_code(), words.contains(&"code"), "{known}");
            assert_eq!(known.has_id_token(), words.contains(&"id_token"), "{known}");
            assert_eq!(known.has_token(), words.contains(&"token"), "{known}");
            let fragment = known.default_mode() == ResponseMode::Fragment;
            assert_eq!(fragment, known.as_str().contains("token"), "{known}");
        }
    }
}
