//! Every refusal of the guard, and its wire form (RFC 6750 §3, RFC 9449 §7).

use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use url::Url;

use super::{AuthenticationRequirement, Scheme};
use crate::authorization_details::AuthorizationDetails;
use crate::client_cert::InvalidClientCert;
use crate::dpop::{self, DpopError};
use crate::jose::{Algorithm, InvalidJwk, JwtError, SignError};
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

/// A refusal with all that its challenges need. As a response: status, `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1),
/// `Cache-Control: no-store` and no body; the [`BearerError`] is in the response's extensions as an `Arc`, for whoever logs it or
/// renders a body.
#[derive(Clone, Debug)]
pub struct BearerRefusal {
    error: Arc<BearerError>,
    scope: Option<Arc<ScopeSet>>,
    resource_metadata: Option<Url>,
    taken: Taken,
    algorithms: &'static [Algorithm],
    used: Option<Scheme>,
    nonce: Option<HeaderValue>,
}

/// The schemes that a resource server takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    Bearer,
    Dpop,
    Both,
}

impl Taken {
    fn has(self, scheme: Scheme) -> bool {
        match self {
            Self::Both => true,
            Self::Bearer => scheme == Scheme::Bearer,
            Self::Dpop => scheme == Scheme::Dpop,
        }
    }
}

impl BearerRefusal {
    pub(super) fn new(error: BearerError, resource_metadata: Url, taken: Taken) -> Self {
        Self {
            error: Arc::new(error),
            scope: None,
            resource_metadata: Some(resource_metadata),
            taken,
            algorithms: &dpop::ALGORITHMS,
            used: None,
            nonce: None,
        }
    }

    /// A refusal of an endpoint that is described by its authorization server's own metadata, such as userinfo, and needs no other
    /// (RFC 9728 §5.1). It takes tokens under either scheme.
    #[must_use]
    pub fn without_metadata(error: BearerError) -> Self {
        Self {
            error: Arc::new(error),
            scope: None,
            resource_metadata: None,
            taken: Taken::Both,
            algorithms: &dpop::ALGORITHMS,
            used: None,
            nonce: None,
        }
    }

    /// The same where proofs are signed with one of `algorithms` (RFC 9449 §7.1).
    #[must_use]
    pub fn by(self, algorithms: &'static [Algorithm]) -> Self {
        Self { algorithms, ..self }
    }

    /// To a request under this scheme, if it is known; under [`Scheme::Dpop`], with the nonce for the next one.
    #[must_use]
    pub fn to(self, used: Option<Scheme>, nonce: impl FnOnce() -> Option<HeaderValue>) -> Self {
        let is_dpop = used == Some(Scheme::Dpop);
        Self {
            used,
            nonce: is_dpop.then(nonce).flatten(),
            ..self
        }
    }

    /// The same where the route needs `scope`, if it needs any: who has no token that is good here reads in the challenge what to ask for
    /// (RFC 6750 §3).
    #[must_use]
    pub fn on_route_of(self, scope: &Arc<ScopeSet>) -> Self {
        let scope = (!scope.is_empty()).then(|| Arc::clone(scope));
        Self { scope, ..self }
    }

    /// The cause, to be kept.
    #[must_use]
    pub fn cause(&self) -> Arc<BearerError> {
        Arc::clone(&self.error)
    }

    /// The cause.
    #[must_use]
    pub fn error(&self) -> &BearerError {
        &self.error
    }

    /// The challenges, each for a line of its own; none where the fault is not the request's.
    pub fn challenges(&self) -> impl Iterator<Item = String> {
        let (status, _) = self.error.wire();
        let used = self.used.filter(|scheme| self.taken.has(*scheme));
        // RFC 9449 §7.2: what went wrong is told under the scheme that was used, if that is clear. Then the other is told of only where it
        // would have done.
        let both = used.is_none() || self.asks_for_dpop();
        let first = used.unwrap_or(Scheme::Bearer);
        let second = match first {
            Scheme::Bearer => Scheme::Dpop,
            Scheme::Dpop => Scheme::Bearer,
        };
        let second = Some(second).filter(|_| both);
        [Some(first), second]
            .into_iter()
            .flatten()
            .filter(move |scheme| !status.is_server_error() && self.taken.has(*scheme))
            .map(move |scheme| self.challenge(scheme, used.is_none_or(|used| used == scheme)))
    }

    /// Whether the token would have been taken with a proof, or one that is bound would be.
    fn asks_for_dpop(&self) -> bool {
        matches!(
            *self.error,
            BearerError::InvalidToken(
                InvalidToken::SenderConstrained | InvalidToken::Unconstrained
            )
        )
    }

    fn challenge(&self, scheme: Scheme, with_error: bool) -> String {
        let mut parameters = Vec::with_capacity(6);
        if let (true, (_, Some(code))) = (with_error, self.error.wire()) {
            parameters.push(("error", code.to_owned()));
            parameters.push(("error_description", self.error.description()));
        }
        match &*self.error {
            BearerError::InsufficientScope { needed } => {
                parameters.push(("scope", needed.to_string()));
            }
            BearerError::InsufficientDetails { needed } => {
                parameters.push(("authorization_details", needed.to_string()));
            }
            BearerError::NoToken | BearerError::InvalidToken(_) => {
                let scope = self.scope.as_ref();
                parameters.extend(scope.map(|needed| ("scope", needed.to_string())));
            }
            BearerError::Repeated
            | BearerError::Malformed
            | BearerError::TwoPlaces
            | BearerError::Form
            | BearerError::ClientCert(_)
            | BearerError::NoProof
            | BearerError::Proof(_)
            | BearerError::Unavailable(_) => {}
            BearerError::InsufficientAuthentication { needed } => {
                parameters.extend(needed.parameters());
            }
        }
        if scheme == Scheme::Dpop {
            let names = self.algorithms.iter().copied().map(Algorithm::name);
            parameters.push(("algs", names.collect::<Vec<_>>().join(" ")));
        }
        if let Some(url) = &self.resource_metadata {
            parameters.push(("resource_metadata", url.to_string()));
        }
        header_parameters(scheme.name(), &parameters)
    }
}

impl IntoResponse for BearerRefusal {
    fn into_response(self) -> Response {
        let (status, _) = self.error.wire();
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status.is_server_error() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        for challenge in self.challenges() {
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                headers.append(WWW_AUTHENTICATE, challenge);
            }
        }
        headers.extend(self.nonce.map(|nonce| (dpop::NONCE, nonce)));
        response.extensions_mut().insert(self.error);
        response
    }
}

/// Joins `name="value"` parameters after a scheme (RFC 9110 §11.2): values are quoted and escaped, and what may not stand in a
/// quoted string (§5.6.4) becomes `?`.
#[must_use]
pub fn header_parameters(scheme: &str, parameters: &[(&str, String)]) -> String {
    let mut header = scheme.to_owned();
    for (index, (name, value)) in parameters.iter().enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(header, "{separator}{name}=\"");
        for c in value.chars() {
            match c {
                '"' | '\\' => header.extend(['\\', c]),
                ' '..='~' => header.push(c),
                _ => header.push('?'),
            }
        }
        header.push('"');
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_5_6_4_values_cannot_leave_their_quotes() {
        assert_eq!(
            header_parameters(
                "Bearer",
                &[
                    ("a", "x\", error=\"y".into()),
                    ("b", "\\\r\nSet-Cookie: \u{e9}".into())
                ]
            ),
            r#"Bearer a="x\", error=\"y", b="\\??Set-Cookie: ?""#
        );
        assert_eq!(header_parameters("Bearer", &[]), "Bearer");
    }
}
