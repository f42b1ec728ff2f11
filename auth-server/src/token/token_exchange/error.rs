//! Why tokens are not exchanged (RFC 8693 §2.2.2).

use shared_protocol::jose::JwtError;

use crate::id_token_hint::InvalidHint;
use crate::token::error::ErrorCode;

/// Why an exchange is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExchangeError {
    /// The subject token proves nothing.
    #[error("the subject token: {0}")]
    Subject(BadToken),
    /// The actor token proves nothing.
    #[error("the actor token: {0}")]
    Actor(BadToken),
    /// A type that is unknown, or not taken here.
    #[error("{0} is not one of the token types that are taken there")]
    TokenType(&'static str),
    /// RFC 8693 §2.1: the two come together.
    #[error("actor_token and actor_token_type come together or not at all")]
    ActorTokenType,
    /// The operator did not say that it may.
    #[error("the client may not have tokens of the requested_token_type")]
    RequestedType,
    /// RFC 8693 §4.4.
    #[error("the subject token says that somebody else may act")]
    MayAct,
    /// The operator did not say that it may.
    #[error("the client may not act for others")]
    NoDelegation,
    /// The operator did not say that it may.
    #[error("the client may not have tokens for the target")]
    Target,
    /// Its tokens are not for the client to read.
    #[error("tokens for the target are opaque to the client; ask for an access_token")]
    OpaqueTarget,
    /// A token has one audience.
    #[error("name one target; a token is for one audience")]
    SeveralTargets,
    /// What names no person cannot become what is of one.
    #[error("the subject token is of no person, or of none who granted that")]
    NoPerson,
    /// Too many actors, or exchanges.
    #[error("the token was exchanged too often")]
    TooLong,
}

/// What is wrong with a token. The client learns none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadToken {
    /// Longer than any of ours.
    #[error("it is too long")]
    Length,
    /// Made up, of another kind, or expired.
    #[error(transparent)]
    Jwt(JwtError),
    /// The same of an opaque one.
    #[error("the opaque access token is unknown or has expired")]
    Opaque,
    /// Not an ID token that was made for the client.
    #[error(transparent)]
    IdToken(InvalidHint),
    /// Not of the type that the request says.
    #[error("it is not of its type")]
    Type,
    /// An ID token that was not made by a grant of the client, or after its time.
    #[error("it names no grant, or it has expired")]
    IdTokenOver,
    /// A refresh token that was never there, or is no longer.
    #[error("the refresh token is unknown, replaced, or expired")]
    Refresh,
    /// A refresh token that is bound to what the client did not prove to have.
    #[error("the refresh token is bound to another key or certificate")]
    OtherKey,
    /// It was taken back, or one that it was exchanged for.
    #[error("it was revoked")]
    Revoked,
    /// Whom it was issued to, or one that it was exchanged for.
    #[error("a client of it is gone")]
    ClientGone,
    /// Its session or its person is gone.
    #[error("its grant is over")]
    GrantOver,
    /// It was issued to another client, for somebody else, and no policy says that this one may take it.
    #[error("it was issued to another client and is not for this one")]
    OfAnother,
    /// An actor acts by itself.
    #[error("it is itself the token of somebody for whom another acts")]
    HasActor,
}

impl ExchangeError {
    /// RFC 8693 §2.2.2.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Target | Self::OpaqueTarget | Self::SeveralTargets => ErrorCode::InvalidTarget,
            Self::RequestedType | Self::NoDelegation => ErrorCode::UnauthorizedClient,
            Self::Subject(_)
            | Self::Actor(_)
            | Self::TokenType(_)
            | Self::ActorTokenType
            | Self::MayAct
            | Self::NoPerson
            | Self::TooLong => ErrorCode::InvalidRequest,
        }
    }

    /// What a developer is told: whose a token is, and what became of it, shows to nobody who merely found it.
    #[must_use]
    pub fn description(&self) -> String {
        let which = match self {
            Self::Subject(_) => "subject_token",
            Self::Actor(_) => "actor_token",
            Self::TokenType(_)
            | Self::ActorTokenType
            | Self::RequestedType
            | Self::MayAct
            | Self::NoDelegation
            | Self::Target
            | Self::OpaqueTarget
            | Self::SeveralTargets
            | Self::NoPerson
            | Self::TooLong => return self.to_string(),
        };
        format!(
            "the {which} is unknown, expired, revoked, not of its type, or not one that this client may exchange"
        )
    }
}
