//! Answers of the authorization endpoint to the client, written in this one place: by redirect or by a form that the browser
//! posts, always with `state` and with `iss` (RFC 6749 §4.1.2, RFC 9207 §2, Form Post Response Mode §2), and as a JWT where the client
//! wants one (JARM: JWT Secured Authorization Response Mode).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{JwtKind, sign_jwt};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;
use shared_server::web::{Cause, Now, Refused};
use url::form_urlencoded::Serializer;

use super::error::RedirectCause;
use super::page::PageError;
use super::request::ResponseMode;
use crate::clients::Client;
use crate::clients::redirect_uri::VerifiedRedirectUri;
use crate::keys::Keys;
use crate::pages::FormPostPage;
use crate::token::access_token::AccessTokens;
use crate::token::error::TokenError;

/// Where an answer goes, and how.
#[derive(Clone, Debug)]
pub struct ReturnPath {
    /// Who answers.
    pub issuer: Arc<Issuer>,
    /// Whom.
    pub client: Arc<Client>,
    /// Where to.
    pub redirect_uri: VerifiedRedirectUri,
    /// By what means.
    pub mode: ResponseMode,
    /// What the client wants back, unchanged.
    pub state: Option<String>,
}

/// What a client is told.
pub enum Outcome {
    /// The person agreed.
    Granted(Granted),
    /// Why there is none.
    Error(RedirectCause),
}

/// What comes of an agreement at once, as the response type has it.
#[derive(Default)]
pub struct Granted {
    /// A code.
    pub code: Option<String>,
    /// An access token.
    pub token: Option<FrontToken>,
    /// An ID token.
    pub id_token: Option<String>,
}

/// An access token that comes without a code (RFC 6749 §4.2.2).
pub struct FrontToken {
    /// The token.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// What it allows.
    pub scope: ScopeSet,
    /// What it allows beside (RFC 9396 §7).
    pub authorization_details: AuthorizationDetails,
}

/// Names and values.
type Pairs = Vec<(String, String)>;

impl Granted {
    fn pairs(&self) -> Pairs {
        let mut pairs = Vec::new();
        let mut add = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
        if let Some(code) = &self.code {
            add("code", code);
        }
        if let Some(token) = &self.token {
            add("access_token", &token.access_token);
            add("token_type", "Bearer");
            add("expires_in", &token.expires_in.to_string());
            add("scope", &token.scope.to_string());
            if !token.authorization_details.is_empty() {
                let details = token.authorization_details.to_string();
                add("authorization_details", &details);
            }
        }
        if let Some(id_token) = &self.id_token {
            add("id_token", id_token);
        }
        pairs
    }
}

/// An answer to a client.
pub struct AuthorizationResponse {
    /// Where it goes.
    pub back: ReturnPath,
    /// What it says.
    pub outcome: Outcome,
}

/// An answer on its way to the layer that signs it.
#[derive(Clone)]
struct ToSign(Arc<(ReturnPath, Pairs)>);

/// How long an answer as a JWT is good: a client looks at it once, when it gets it (JARM §2.1).
const LIFETIME: Duration = Duration::from_mins(5);

impl AuthorizationResponse {
    fn pairs(&self) -> Pairs {
        let mut pairs = match &self.outcome {
            Outcome::Granted(granted) => granted.pairs(),
            Outcome::Error(cause) => vec![
                ("error".to_owned(), cause.code().as_str().to_owned()),
                ("error_description".to_owned(), cause.description()),
            ],
        };
        if let Some(state) = &self.back.state {
            pairs.push(("state".to_owned(), state.clone()));
        }
        pairs.push(("iss".to_owned(), self.back.issuer.to_string()));
        pairs
    }
}

impl ReturnPath {
    /// The target of a redirect. A query that the redirect URI has is kept (RFC 6749 §4.1.2); it has no fragment.
    fn location(&self, separator: char, pairs: &Pairs) -> String {
        let uri = self.redirect_uri.as_str();
        let mut encoded = Serializer::new(String::new());
        encoded.extend_pairs(pairs);
        format!("{uri}{separator}{}", encoded.finish())
    }

    fn send(&self, pairs: &Pairs) -> Response {
        let uri = self.redirect_uri.as_str();
        match self.mode {
            ResponseMode::Query | ResponseMode::QueryJwt | ResponseMode::Jwt => {
                let separator = if uri.contains('?') { '&' } else { '?' };
                see_other(&self.location(separator, pairs))
            }
            ResponseMode::Fragment | ResponseMode::FragmentJwt => {
                see_other(&self.location('#', pairs))
            }
            ResponseMode::FormPost | ResponseMode::FormPostJwt => FormPostPage {
                action: uri.to_owned(),
                parameters: pairs.clone(),
            }
            .into_response(),
        }
    }

    /// An answer as a JWT (JARM §2.1): what it would say, for this client, for a while.
    async fn sign(&self, pairs: &Pairs, keys: &Keys, now: Instant) -> Result<String, TokenError> {
        let alg = self.client.metadata.authorization_response_algorithm();
        let signer = keys.ring().signer(alg, now);
        let signer = signer.ok_or(TokenError::NoSigningKey)?;
        let mut claims: Map<String, Value> = pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        claims.insert("aud".to_owned(), self.client.id.as_str().into());
        claims.insert("exp".to_owned(), (now + LIFETIME).as_secs().into());
        Ok(sign_jwt(JwtKind::AuthorizationResponse, &claims, &*signer).await?)
    }
}

impl IntoResponse for AuthorizationResponse {
    fn into_response(self) -> Response {
        let pairs = self.pairs();
        let mut response = if self.back.mode.is_signed() {
            // For the layer that signs; without it, nothing is told.
            let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
            let to_sign = ToSign(Arc::new((self.back, pairs)));
            response.extensions_mut().insert(to_sign);
            response
        } else {
            self.back.send(&pairs)
        };
        if let Outcome::Error(cause) = self.outcome {
            let extensions = response.extensions_mut();
            extensions.insert(Refused(cause.code().as_str()));
            extensions.insert(Cause(Arc::new(cause)));
        }
        response
    }
}

/// Signs the answers that clients want as JWTs: the one step of an answer that may have to wait.
pub async fn signed(
    State(tokens): State<Arc<AccessTokens>>,
    Now(now): Now,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let Some(ToSign(answer)) = response.extensions_mut().remove() else {
        return response;
    };
    let (back, pairs) = &*answer;
    let mut signed = match back.sign(pairs, &tokens.keys, now).await {
        Ok(jwt) => back.send(&vec![("response".to_owned(), jwt)]),
        Err(error) => return PageError::from(Box::new(error)).into_response(),
    };
    // Cookies, and what is logged.
    let (parts, _) = response.into_parts();
    signed.headers_mut().extend(parts.headers);
    signed.extensions_mut().extend(parts.extensions);
    signed
}

/// 303, so that a browser that posted goes on with GET and takes nothing that was posted along (RFC 9700 §4.12).
#[must_use]
pub fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        // A verified redirect URI and what is form-urlencoded are printable ASCII.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
