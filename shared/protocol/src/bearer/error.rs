//! Why the guard refuses, and the codes of that (RFC 6750 §3.1, RFC 9449 §7.1).

use http::StatusCode;

use super::AuthenticationRequirement;
use crate::authorization_details::AuthorizationDetails;
use crate::client_cert::InvalidClientCert;
use crate::dpop::DpopError;
use crate::jose::{InvalidJwk, JwtError, SignError};
use crate::outbound::FetchError;
use crate::scope::ScopeSet;

/// Why a request was not let through.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BearerError {
    /// No `Authorization` header, or one of another scheme.
    #[error("the request carries no access token")]
    NoToken,
    /// More than one `Authorization` header.
    #[error("the request carries more than one Authorization header")]
    Repeated,
    /// A header of one of our schemes that is not of the form of RFC 6750 §2.1 and RFC 9449 §7.1, or is too long.
    #[error("the Authorization header is malformed")]
    Malformed,
    /// RFC 6750 §2: a token in the header and one in the form.
    #[error("the request carries an access token in more than one place")]
    TwoPlaces,
    /// A form that cannot be read, where a form may carry the token (RFC 6750 §2.2).
    #[error("the form cannot be read")]
    Form,
    /// What a proxy says of the certificate cannot be read, or is not taken of anybody here.
    #[error(transparent)]
    ClientCert(#[from] InvalidClientCert),
    /// The token is not good here or now.
    #[error("the access token is not accepted")]
    InvalidToken(#[from] InvalidToken),
    /// RFC 9449 §7.1: a token that is bound to a key comes with a proof of it.
    #[error("the request carries no DPoP proof")]
    NoProof,
    /// The proof is none, or has to be made anew.
    #[error(transparent)]
    Proof(#[from] DpopError),
    /// The token is good, but not for this.
    #[error("the access token lacks scope")]
    InsufficientScope {
        /// What the route needs.
        needed: ScopeSet,
    },
    /// The token is good, but the person behind it has to prove anew, or better, who they are (RFC 9470 §3).
    #[error("the person has to sign in again for this, in the way that it needs")]
    InsufficientAuthentication {
        /// What the route needs.
        needed: AuthenticationRequirement,
    },
    /// The same where a scope says too little: none of its authorization details allows this.
    #[error("the access token lacks authorization details")]
    InsufficientDetails {
        /// Some that would do, for a client to ask for.
        needed: AuthorizationDetails,
    },
    /// The issuer could not be asked.
    #[error("the issuer cannot be reached")]
    Unavailable(#[from] IssuerFailure),
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidToken {
    /// It is not a JWT access token that one of the issuer's keys signed.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// A claim is absent or of the wrong type, in the token or in the issuer's answer about it.
    #[error("a claim is absent or of the wrong type")]
    Claims,
    /// `iss` is nobody we trust, or not the issuer that was asked.
    #[error("the issuer is not trusted")]
    Issuer,
    /// `aud` does not name this resource server.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` has come.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is bound to something that we do not understand (`cnf`), or called so and is not.
    #[error("the token is bound in a way that is not understood")]
    Confirmation,
    /// The issuer says that it is not used as access tokens are.
    #[error("the token is of a type that is not accepted")]
    TokenType,
    /// It is bound to a key, and was presented as if it were not (RFC 9449 §7.2).
    #[error("the token is sender-constrained, and not accepted as a plain bearer token")]
    SenderConstrained,
    /// The proof is by another key than the one that it is bound to (RFC 9449 §7.1).
    #[error("the DPoP proof is not by the key that the token is bound to")]
    OtherKey,
    /// It was presented as bound to a key, and is not (RFC 9449 §7.1).
    #[error("the token is bound to no key, and not accepted as DPoP")]
    NotBound,
    /// It is bound to a certificate, and the request came with none, or another (RFC 8705 §3).
    #[error("the token is bound to a certificate, and the request did not come with it")]
    Certificate,
    /// It is bound to nothing, and such are not taken here.
    #[error("the token is not sender-constrained, and no other is accepted here")]
    Unconstrained,
    /// The issuer says that it is not active: unknown, expired or revoked.
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// It is no JWT, and there is no issuer to ask about it.
    #[error("the token is not a JWT")]
    Opaque,
}

/// Why an issuer's keys, or its answer, could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IssuerFailure {
    /// The request failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It answered with another status than 200.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// The metadata is not an object of RFC 8414.
    #[error("the issuer's metadata cannot be read")]
    Metadata,
    /// The metadata is another issuer's (RFC 8414 §3.3).
    #[error("the metadata names another issuer")]
    OtherIssuer,
    /// The metadata lacks `jwks_uri`.
    #[error("the issuer's metadata names no jwks_uri")]
    NoJwksUri,
    /// The key set cannot be read.
    #[error("the issuer's key set cannot be read: {0}")]
    Keys(InvalidJwk),
    /// The issuer has no introspection endpoint, or we have no credentials for it.
    #[error("the issuer cannot be asked for introspection")]
    NoIntrospection,
    /// We cannot prove to the issuer who asks.
    #[error("the client assertion for the issuer: {0}")]
    Assertion(#[from] SignError),
    /// The introspection answer is not one of RFC 7662 §2.2.
    #[error("the introspection answer cannot be read")]
    Answer,
}

impl BearerError {
    /// Status and error code of RFC 6750 §3.1, RFC 9449 §7.1 and RFC 9470 §3. Who sent no token learns no code (RFC 6750 §3.1).
    #[must_use]
    pub fn wire(&self) -> (StatusCode, Option<&'static str>) {
        match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, None),
            Self::Repeated
            | Self::Malformed
            | Self::TwoPlaces
            | Self::Form
            | Self::ClientCert(_) => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Self::InvalidToken(_) => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            Self::NoProof | Self::Proof(DpopError::Invalid(_)) => {
                (StatusCode::UNAUTHORIZED, Some("invalid_dpop_proof"))
            }
            Self::Proof(DpopError::UseNonce(_)) => {
                (StatusCode::UNAUTHORIZED, Some("use_dpop_nonce"))
            }
            // RFC 9396 has no code of its own: the request needs more than the token brings (RFC 6750 §3.1).
            Self::InsufficientScope { .. } | Self::InsufficientDetails { .. } => {
                (StatusCode::FORBIDDEN, Some("insufficient_scope"))
            }
            Self::InsufficientAuthentication { .. } => (
                StatusCode::UNAUTHORIZED,
                Some("insufficient_user_authentication"),
            ),
            Self::Unavailable(_) | Self::Proof(DpopError::Memory(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, None)
            }
        }
    }

    /// What a client's developer reads. The precise cause stays inside, except for what the token's holder can see anyway.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::InvalidToken(cause) => cause.to_string(),
            Self::NoToken
            | Self::Repeated
            | Self::Malformed
            | Self::TwoPlaces
            | Self::Form
            | Self::ClientCert(_)
            | Self::NoProof
            | Self::Proof(_)
            | Self::InsufficientScope { .. }
            | Self::InsufficientAuthentication { .. }
            | Self::InsufficientDetails { .. }
            | Self::Unavailable(_) => self.to_string(),
        }
    }
}
