//! Why introspection called a token inactive: a refusal in all but name.

use shared_protocol::jose::JwtError;

/// Why a token is inactive to the client that asks (RFC 7662 §2.2), which is told nothing but that.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum Inactive {
    /// It is no access token of this server that is good now.
    #[error("the token cannot be read, or has expired")]
    Unread(#[source] JwtError),
    /// It is for another audience than the client introspects for, and was issued to another client.
    #[error("the token is for another audience, and was issued to another client")]
    OfOthers,
    /// The client that it was issued to is gone.
    #[error("the client of the token is gone")]
    ClientGone,
    /// It, or what it came of, was revoked.
    #[error("the token was revoked, or its grant, session, client or account")]
    Revoked,
    /// No refresh token of this server.
    #[error("the refresh token is unknown")]
    RefreshUnknown,
    /// It was issued to another client.
    #[error("the refresh token was issued to another client")]
    RefreshOfAnother,
    /// Another took its place.
    #[error("the refresh token was replaced")]
    RefreshReplaced,
    /// Its grant, its session or its person is gone.
    #[error("the grant of the refresh token is over")]
    GrantOver,
    /// It was not used for too long, or is too old.
    #[error("the refresh token has expired")]
    RefreshExpired,
    /// What it allowed was taken from the client since.
    #[error("nothing is left of what the refresh token allowed")]
    NothingLeft,
}
