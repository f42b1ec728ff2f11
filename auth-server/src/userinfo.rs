//! Userinfo (OpenID Connect Core §5.3): what a person allowed a client to know of them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared_protocol::bearer::{
    BearerError, BearerRefusal, InvalidToken, Presented, Proofs, Scheme, Sender, access_token,
};
use shared_protocol::client_id::ClientId;
use shared_protocol::dpop;
use shared_protocol::jose::{Algorithm, Content, JwtKind, sign_jwt};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;
use shared_server::db::DbError;
use shared_server::rate_limits::{RateLimiter, Standings};
use shared_server::web::{Cause, Now, Refused};

use crate::authorize::request::OwnScope;
use crate::claims::{ClaimSet, GrantedClaims, Told};
use crate::clients::Client;
use crate::clients::directory::Clients;
use crate::form::{self, is_form};
use crate::grants::Grants;
use crate::parameters::Parameters;
use crate::token::access_token::{AccessTokenClaims, AccessTokens, UnreadToken};
use crate::token::error::TokenError;

/// What userinfo takes.
pub struct Userinfo {
    /// Reads tokens.
    pub tokens: Arc<AccessTokens>,
    /// Knows what was granted, and by whom.
    pub grants: Grants,
    /// Knows what clients may still ask for.
    pub clients: Clients,
    /// Counts what is asked on behalf of people.
    pub accounts: RateLimiter,
    /// The proofs of those whose tokens are bound to a key.
    pub proofs: Proofs,
}

/// Why nothing was told.
#[derive(Debug)]
pub enum UserinfoError {
    /// As everywhere that takes access tokens (RFC 6750 §3, RFC 9449 §7).
    Bearer(BearerError),
    /// What is not about the token: the body could not be read, or a store did not answer.
    Other(TokenError),
}

impl From<UnreadToken> for UserinfoError {
    fn from(error: UnreadToken) -> Self {
        match error {
            UnreadToken::Jwt(error) => InvalidToken::Jwt(error).into(),
            UnreadToken::Unknown => InvalidToken::Inactive.into(),
            UnreadToken::Damaged => InvalidToken::Claims.into(),
            UnreadToken::Store(error) => Self::Other(error.into()),
        }
    }
}

impl<E: Into<BearerError>> From<E> for UserinfoError {
    fn from(error: E) -> Self {
        Self::Bearer(error.into())
    }
}

/// A refusal, and how its request presented a token.
pub struct UserinfoRefusal {
    error: UserinfoError,
    /// What a proof may be signed with.
    algorithms: &'static [Algorithm],
    used: Option<Scheme>,
    nonce: Option<HeaderValue>,
}

impl IntoResponse for UserinfoRefusal {
    fn into_response(self) -> Response {
        match self.error {
            UserinfoError::Bearer(error) => {
                let refusal = BearerRefusal::without_metadata(error, OwnScope::OpenId.token());
                let refusal = refusal.by(self.algorithms);
                let refusal = refusal.to(self.used, || self.nonce);
                let cause = refusal.cause();
                let code = cause.wire().1;
                let mut response = refusal.into_response();
                let extensions = response.extensions_mut();
                extensions.insert(Cause(cause));
                if let Some(code) = code {
                    extensions.insert(Refused(code));
                }
                response
            }
            UserinfoError::Other(error) => {
                let mut response = error.into_response();
                if let Some(nonce) = self.nonce {
                    dpop::tell_nonce(response.headers_mut(), || nonce);
                }
                response
            }
        }
    }
}

/// A token that is ours, as it was presented, and the client that it was issued to.
struct Shown<'a> {
    presented: Presented<'a>,
    claims: Arc<AccessTokenClaims>,
    client: Arc<Client>,
}

/// What is told: the claims (OpenID Connect Core §5.3.2), with who tells whom where they are signed.
#[derive(Serialize)]
struct UserinfoClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a ClientId>,
    sub: &'a str,
    #[serde(flatten)]
    told: Told<'a>,
}

/// The same, as it is sent.
pub enum UserinfoBody {
    /// Open.
    Json(Vec<u8>),
    /// Signed, encrypted, or both: a compact JWS or JWE.
    Jwt(Vec<u8>),
}

/// The answer.
pub struct UserinfoResponse {
    body: UserinfoBody,
    nonce: Option<HeaderValue>,
}

impl IntoResponse for UserinfoResponse {
    fn into_response(self) -> Response {
        let (media_type, body) = match self.body {
            UserinfoBody::Json(body) => ("application/json", body),
            UserinfoBody::Jwt(token) => ("application/jwt", token),
        };
        let headers = [
            (header::CONTENT_TYPE, media_type),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let mut response = (headers, body).into_response();
        let nonce = self.nonce.map(|nonce| (dpop::NONCE, nonce));
        response.headers_mut().extend(nonce);
        response
    }
}

/// GET and POST `/oauth/userinfo`.
///
/// # Errors
/// [`UserinfoRefusal`].
pub async fn endpoint(
    State(userinfo): State<Arc<Userinfo>>,
    Now(now): Now,
    standings: Standings,
    request: Request,
) -> Result<UserinfoResponse, UserinfoRefusal> {
    let (parts, body) = request.into_parts();
    let form = token_of_form(&parts, body).await;
    let used = match (&form, Scheme::of(&parts.headers)) {
        // RFC 6750 §2.2: what a form carries has no proof.
        (Ok(Some(_)), None) => Some(Scheme::Bearer),
        (Ok(Some(_)), Some(_)) => None,
        (Ok(None) | Err(_), in_header) => in_header,
    };
    let mut demands = userinfo.tokens.profiles.server();
    let telling = async {
        let form = form?;
        let shown = userinfo.shown(&parts.headers, form.as_deref(), now).await?;
        demands = shown.client.demands();
        userinfo.tell(&parts, shown, &standings, now).await
    };
    let told = telling.await;
    // RFC 9449 §9.
    let is_dpop = used == Some(Scheme::Dpop);
    let nonce = is_dpop.then(|| userinfo.proofs.nonce(now));
    match told {
        Ok(body) => Ok(UserinfoResponse { body, nonce }),
        Err(error) => Err(UserinfoRefusal {
            error,
            algorithms: demands.algorithms(),
            used,
            nonce,
        }),
    }
}

/// RFC 6750 §2.2. What stands in a query is not looked at (RFC 9700 §4.3.2).
async fn token_of_form(parts: &Parts, body: Body) -> Result<Option<String>, UserinfoError> {
    if parts.method != Method::POST || !is_form(&parts.headers) {
        return Ok(None);
    }
    let body = form::of(body).await;
    let body = body.map_err(|error| UserinfoError::Other(error.into()))?;
    let parameters = Parameters::parse(&body).map_err(|_| BearerError::Form)?;
    Ok(parameters.optional("access_token").map(str::to_owned))
}

/// RFC 6750 §2: by one method, and no more.
fn presented<'a>(
    headers: &'a HeaderMap,
    form: Option<&'a str>,
) -> Result<Presented<'a>, BearerError> {
    match (access_token(headers), form) {
        (Err(BearerError::NoToken), Some(token)) => Ok(Presented {
            scheme: Scheme::Bearer,
            token,
        }),
        (Ok(_), Some(_)) => Err(BearerError::TwoPlaces),
        (header, _) => header,
    }
}

impl Userinfo {
    /// What a request presents, before its sender is looked at: what they have to prove, and how, is for the client's profile to say.
    async fn shown<'a>(
        &self,
        headers: &'a HeaderMap,
        form: Option<&'a str>,
        now: Instant,
    ) -> Result<Shown<'a>, UserinfoError> {
        let presented = presented(headers, form)?;
        let claims = self.tokens.read(presented.token, now).await?;
        let client = self.clients.find(&claims.client_id).await;
        let client = client.map_err(|error| UserinfoError::Other(error.into()))?;
        // One that is not what its profile demands may do nothing here.
        let client = client.filter(|client| client.unmet().is_none());
        Ok(Shown {
            presented,
            claims,
            client: client.ok_or(InvalidToken::Inactive)?,
        })
    }

    /// Whether the token comes from whom it is bound to, in the way that the client's profile has it.
    async fn confirm(
        &self,
        request: &Parts,
        shown: &Shown<'_>,
        now: Instant,
    ) -> Result<(), BearerError> {
        let (bound, demands) = (shown.claims.cnf.as_ref(), shown.client.demands());
        let proofs = Proofs {
            nonces: demands.nonce_policy(self.proofs.nonces),
            dpop: self.proofs.dpop.clone(),
        };
        let (algorithms, presented) = (demands.algorithms(), shown.presented);
        let sender = Sender::of(request);
        let confirmed = sender.confirm(algorithms, presented, bound, Some(&proofs), now);
        confirmed.await?;
        // One of before the profile.
        if demands.sender_constraint() && bound.is_none() {
            return Err(InvalidToken::Unconstrained.into());
        }
        Ok(())
    }

    async fn tell(
        &self,
        request: &Parts,
        shown: Shown<'_>,
        standings: &Standings,
        now: Instant,
    ) -> Result<UserinfoBody, UserinfoError> {
        self.confirm(request, &shown, now).await?;
        let Shown { claims, client, .. } = shown;
        let insufficient = || BearerError::InsufficientScope {
            needed: OwnScope::OpenId.as_str().parse().unwrap_or_default(),
        };
        // A service's own token: no person granted anything.
        let grant_id = claims.grant_id.as_ref().ok_or_else(insufficient)?;
        let unknown = |error: DbError| UserinfoError::Other(error.into());
        let revoked = self.tokens.is_revoked(&claims, now).await;
        if revoked.map_err(unknown)? {
            return Err(InvalidToken::Inactive.into());
        }
        // What was exchanged for the token of another client names that client's grant, of which this one has only what it says.
        let is_exchanged = !claims.subject_tokens.is_empty();
        if is_exchanged {
            let all = self.clients.has_all(&claims.subject_tokens).await;
            if !all.map_err(|error| UserinfoError::Other(error.into()))? {
                return Err(InvalidToken::Inactive.into());
            }
        }
        let found = self.grants.find_person(grant_id, now).await;
        let granted = found.map_err(unknown)?.ok_or(InvalidToken::Inactive)?;
        // By the account, whatever a client or a resource server calls the person.
        let account = granted.account_id.as_bytes();
        let standing = self.accounts.admit(account, now).await;
        standings.note(standing.map_err(|limited| UserinfoError::Other(limited.into()))?);
        let allowed: ScopeSet = granted.scope.parse().map_err(|_| InvalidToken::Claims)?;
        let registered = &client.metadata.scope;
        let mut scope = allowed.intersection(registered);
        // A token for this server says what it is for, which a refresh may have narrowed (RFC 6749 §6). One for an API can name only
        // the API's scopes: any of our tokens whose grant holds `openid` is taken, for all that is this server's in that grant.
        if claims.aud == self.tokens.own.identifier {
            scope = scope.intersection(&claims.scope);
        } else if is_exchanged {
            return Err(insufficient().into());
        }
        if !OwnScope::OpenId.is_in(&scope) {
            return Err(insufficient().into());
        }
        let singly = GrantedClaims::from_row(granted.requested_claims.as_ref());
        let singly = singly.ok_or(InvalidToken::Claims)?.userinfo;
        let singly = if is_exchanged {
            ClaimSet::default()
        } else {
            singly.intersection(ClaimSet::of_scope(registered))
        };
        let told = Told {
            person: &granted.person,
            claims: ClaimSet::of_scope(&scope).union(singly),
        };
        let account_id = granted.account_id.parse();
        let account_id = account_id.map_err(|_| InvalidToken::Claims)?;
        let subject = self.tokens.subjects.of(&client.metadata, &account_id);
        let response = self.respond(&subject, told, &client, now).await;
        response.map_err(UserinfoError::Other)
    }

    /// As the client registered to be told (OpenID Connect Core §5.3.2).
    async fn respond(
        &self,
        sub: &str,
        told: Told<'_>,
        client: &Client,
        now: Instant,
    ) -> Result<UserinfoBody, TokenError> {
        let metadata = &client.metadata;
        let alg = metadata.userinfo_signed_response_alg;
        let claims = UserinfoClaims {
            iss: alg.map(|_| self.tokens.issuer.as_str()),
            aud: alg.map(|_| &client.id),
            sub,
            told,
        };
        let (body, content) = match alg {
            Some(alg) => {
                let signer = self.tokens.keys.ring().signer(alg, now);
                let signer = signer.ok_or(TokenError::NoSigningKey)?;
                let token = sign_jwt(JwtKind::Userinfo, &claims, &*signer).await?;
                (token.into_bytes(), Content::Jwt)
            }
            // Strings, numbers and JSON always have a JSON form.
            None => (
                serde_json::to_vec(&claims).unwrap_or_default(),
                Content::Claims,
            ),
        };
        let Some(encryption) = metadata.userinfo_encryption() else {
            return Ok(match content {
                Content::Jwt => UserinfoBody::Jwt(body),
                Content::Claims => UserinfoBody::Json(body),
            });
        };
        let encrypted = self
            .tokens
            .encrypt((&body, content), client, encryption, now);
        Ok(UserinfoBody::Jwt(encrypted.await?.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9449_8_2_whoever_sent_a_proof_is_told_a_nonce_when_the_server_is_at_fault_too() {
        for (nonce, expected) in [(Some("n"), Some("n")), (None, None)] {
            let refusal = UserinfoRefusal {
                error: UserinfoError::Other(TokenError::NoSigningKey),
                algorithms: &dpop::ALGORITHMS,
                used: nonce.map(|_| Scheme::Dpop),
                nonce: nonce.map(HeaderValue::from_static),
            };
            let response = refusal.into_response();
            assert_eq!(response.status(), 503);
            let told = response.headers().get(dpop::NONCE);
            assert_eq!(told.map(HeaderValue::as_bytes), expected.map(str::as_bytes));
        }
    }
}
