//! What comes of telling a client.

use shared_protocol::jose::SignError;
use shared_protocol::outbound::FetchError;

use crate::clients::directory::DirectoryError;

/// What became of a notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// The client has heard it.
    Delivered,
    /// It answered such that it will not hear it at another time either.
    Refused,
    /// It could not be told, and is told later.
    Failed,
    /// It could not be told for too long.
    GivenUp,
    /// There is nobody to tell any more.
    Gone,
}

impl Told {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Refused,
        Self::Failed,
        Self::GivenUp,
        Self::Gone,
    ];

    /// As metrics call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Gone => "gone",
        }
    }
}

/// Why a client was not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It answered with another status than 2xx.
    #[error("it answered {0}")]
    Status(u16),
    /// It did not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There is no key for it.
    #[error("no key can sign what it would accept")]
    NoSigningKey,
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What the client registered cannot be read.
    #[error(transparent)]
    Client(DirectoryError),
}

impl Failure {
    /// Whether the same would come of it at any other time (§2.8, threat 38).
    pub(super) fn is_final(&self) -> bool {
        match self {
            // 408, 425 and 429 ask for another try (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4).
            Self::Status(status) => *status < 500 && !matches!(status, 408 | 425 | 429),
            Self::NoSigningKey | Self::Sign(_) | Self::Client(_) => false,
            Self::Fetch(error) => match error {
                FetchError::NotHttps
                | FetchError::ForbiddenAddress(_)
                | FetchError::UserInfo
                | FetchError::Fragment
                | FetchError::PortZero
                | FetchError::UrlTooLong
                | FetchError::InvalidUrl
                | FetchError::Redirect
                | FetchError::TooLarge => true,
                FetchError::Dns
                | FetchError::Connect(_)
                | FetchError::Tls(_)
                | FetchError::Timeout
                | FetchError::Protocol(_)
                | FetchError::Settings(_) => false,
            },
        }
    }
}
