//! Userinfo (OpenID Connect Core §5.3): what a person allowed a client to know of them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared_protocol::bearer::{BearerError, BearerRefusal, InvalidToken, bearer_token};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;
use shared_server::db::DbError;
use shared_server::rate_limits::{RateLimiter, Standings};
use shared_server::web::{Cause, Now, Refused};

use crate::accounts::AccountId;
use crate::authorize::request::OwnScope;
use crate::clients::directory::Clients;
use crate::form::{self, is_form};
use crate::grants::Grants;
use crate::parameters::Parameters;
use crate::store::grants::GrantedPerson;
use crate::token::access_token::AccessTokens;
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
}

/// Why nothing was told.
#[derive(Debug)]
pub enum UserinfoError {
    /// As everywhere that takes bearer tokens (RFC 6750 §3).
    Bearer(BearerError),
    /// What is not about the token: the body could not be read, or a store did not answer.
    Other(TokenError),
}

impl<E: Into<BearerError>> From<E> for UserinfoError {
    fn from(error: E) -> Self {
        Self::Bearer(error.into())
    }
}

impl IntoResponse for UserinfoError {
    fn into_response(self) -> Response {
        match self {
            Self::Bearer(error) => {
                let refusal = BearerRefusal::without_metadata(error);
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
            Self::Other(error) => error.into_response(),
        }
    }
}

/// OpenID Connect Core §5.1, as far as it is known of a person.
#[derive(Serialize)]
pub struct UserinfoResponse {
    sub: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
}

impl IntoResponse for UserinfoResponse {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        // Strings and numbers always have a JSON form.
        (headers, serde_json::to_vec(&self).unwrap_or_default()).into_response()
    }
}

/// GET and POST `/oauth/userinfo`.
///
/// # Errors
/// [`UserinfoError`].
pub async fn endpoint(
    State(userinfo): State<Arc<Userinfo>>,
    Now(now): Now,
    standings: Standings,
    mut request: Request,
) -> Result<UserinfoResponse, UserinfoError> {
    // RFC 6750 §2.2. What stands in a query is not looked at (RFC 9700 §4.3.2).
    let (headers, in_form) = if request.method() == Method::POST && is_form(request.headers()) {
        let read = form::read(request).await;
        let (headers, body) = read.map_err(|error| UserinfoError::Other(error.into()))?;
        let parameters = Parameters::parse(&body).map_err(|_| BearerError::Form)?;
        let token = parameters.optional("access_token");
        (headers, token.map(str::to_owned))
    } else {
        (std::mem::take(request.headers_mut()), None)
    };
    let token = token(&headers, in_form.as_deref())?;
    userinfo.tell(token, &standings, now).await
}

/// RFC 6750 §2: by one method, and no more.
fn token<'a>(headers: &'a HeaderMap, form: Option<&'a str>) -> Result<&'a str, BearerError> {
    match (bearer_token(headers), form) {
        (Err(BearerError::NoToken), Some(token)) => Ok(token),
        (Ok(_), Some(_)) => Err(BearerError::TwoPlaces),
        (header, _) => header,
    }
}

impl Userinfo {
    async fn tell(
        &self,
        token: &str,
        standings: &Standings,
        now: Instant,
    ) -> Result<UserinfoResponse, UserinfoError> {
        let claims = self
            .tokens
            .read(token, now)
            .map_err(|error| BearerError::from(InvalidToken::Jwt(error)))?;
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
        let standing = self.accounts.admit(claims.sub.as_bytes(), now).await;
        standings.note(standing.map_err(|limited| UserinfoError::Other(limited.into()))?);
        let client = self.clients.find(&claims.client_id).await;
        let client = client
            .map_err(|error| UserinfoError::Other(error.into()))?
            .ok_or(InvalidToken::Inactive)?;
        let found = self.grants.find_person(grant_id, now).await;
        let person = found.map_err(unknown)?.ok_or(InvalidToken::Inactive)?;
        let granted: ScopeSet = person.scope.parse().map_err(|_| InvalidToken::Claims)?;
        let mut scope = granted.intersection(&client.metadata.scope);
        // A token for this server says what it is for, which a refresh may have narrowed (RFC 6749 §6). One for an API can name only
        // the API's scopes: any of our tokens whose grant holds `openid` is taken, for all that is this server's in that grant.
        if claims.aud == self.tokens.own.identifier {
            scope = scope.intersection(&claims.scope);
        }
        if !OwnScope::OpenId.is_in(&scope) {
            return Err(insufficient().into());
        }
        let sub = claims.sub.parse().map_err(|_| InvalidToken::Claims)?;
        Ok(claims_of(sub, &person, &scope))
    }
}

/// OpenID Connect Core §5.4.
fn claims_of(sub: AccountId, person: &GrantedPerson, scope: &ScopeSet) -> UserinfoResponse {
    let profile = OwnScope::Profile.is_in(scope);
    let email = OwnScope::Email.is_in(scope);
    UserinfoResponse {
        sub,
        name: person.name.clone().filter(|_| profile),
        updated_at: profile.then(|| person.updated_at.as_secs()),
        email: email.then(|| person.email.clone()),
        email_verified: email.then_some(person.email_verified),
    }
}
