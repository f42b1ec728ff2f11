//! The answer to a request that is refused, with its challenges (RFC 6750 §3, RFC 9449 §7).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use url::Url;

use super::{BearerError, InvalidToken, Scheme};
use crate::dpop;
use crate::jose::Algorithm;
use crate::scope::{ScopeSet, ScopeToken};

/// A refusal with all that its challenges need. As a response: status, `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1),
/// `Cache-Control: no-store` and no body; the [`BearerError`] is in the response's extensions as an `Arc`, for whoever logs it or
/// renders a body.
#[derive(Clone, Debug)]
pub struct BearerRefusal {
    error: Arc<BearerError>,
    scope: Option<Arc<ScopeSet>>,
    resource_metadata: Option<Url>,
    taken: Taken,
    algorithms: Cow<'static, [Algorithm]>,
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
            algorithms: Cow::Borrowed(&dpop::ALGORITHMS),
            used: None,
            nonce: None,
        }
    }

    /// A refusal of an endpoint that is described by its authorization server's own metadata, such as userinfo, and needs no other
    /// (RFC 9728 §5.1). It takes tokens under either scheme, with the scope that it `needs`: so that no challenge is without a parameter
    /// (RFC 6750 §3).
    #[must_use]
    pub fn without_metadata(error: BearerError, needs: ScopeToken) -> Self {
        Self {
            error: Arc::new(error),
            scope: Some(Arc::new(ScopeSet::from_iter([needs]))),
            resource_metadata: None,
            taken: Taken::Both,
            algorithms: Cow::Borrowed(&dpop::ALGORITHMS),
            used: None,
            nonce: None,
        }
    }

    /// The same where proofs are signed with one of `algorithms` (RFC 9449 §7.1).
    #[must_use]
    pub fn by(self, algorithms: impl Into<Cow<'static, [Algorithm]>>) -> Self {
        Self {
            algorithms: algorithms.into(),
            ..self
        }
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
    pub(super) fn on_route_of(self, scope: &Arc<ScopeSet>) -> Self {
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
            let names = self.algorithms.iter().copied().flat_map(Algorithm::names);
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
