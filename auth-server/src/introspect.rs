//! Token introspection (RFC 7662), answered in JSON or by a JWT (RFC 9701).

mod accept;
mod signed;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use serde_json::Map;
use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::client_id::ClientId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use self::accept::Form;
use crate::clients::Client;
use crate::clients::authenticate::{AuthenticatedClient, AuthenticatedForm};
use crate::clients::directory::Clients;
use crate::grants::GrantId;
use crate::refresh_tokens::PresentedToken;
use crate::token::access_token::{AccessTokenClaims, AccessTokens, UnreadToken};
use crate::token::error::TokenError;
use crate::token::{Grantor, TokenParameter, opaque};

/// What introspection takes.
pub struct Introspection {
    /// Reads tokens.
    pub tokens: Arc<AccessTokens>,
    /// Reads refresh tokens.
    pub grantor: Arc<Grantor>,
    /// Knows which clients still exist.
    pub clients: Clients,
}

/// RFC 7662 §2.2. An inactive token is told apart by nothing but that (RFC 7662 §2.2, §4).
pub enum IntrospectionResponse {
    /// An access token that is good, and meant for the one who asks.
    Active(Arc<AccessTokenClaims>),
    /// A refresh token that is good, and the client's own.
    Refresh(Box<RefreshTokenClaims>),
    /// Anything else.
    Inactive,
}

/// What a client learns of its own refresh token (RFC 7662 §2.2). `token_type` is left out: it is presented to nobody but this
/// server.
#[derive(Serialize)]
pub struct RefreshTokenClaims {
    active: bool,
    iss: String,
    sub: String,
    client_id: ClientId,
    scope: ScopeSet,
    #[serde(skip_serializing_if = "AuthorizationDetails::is_empty")]
    authorization_details: AuthorizationDetails,
    exp: i64,
    grant_id: GrantId,
}

#[derive(Serialize)]
struct ActiveToken<'a> {
    active: bool,
    token_type: &'static str,
    #[serde(flatten)]
    claims: &'a AccessTokenClaims,
}

#[derive(Serialize)]
struct InactiveToken {
    active: bool,
}

impl Serialize for IntrospectionResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Active(claims) => ActiveToken {
                active: true,
                token_type: claims.token_type(),
                claims,
            }
            .serialize(serializer),
            Self::Refresh(claims) => claims.serialize(serializer),
            Self::Inactive => InactiveToken { active: false }.serialize(serializer),
        }
    }
}

impl IntoResponse for IntrospectionResponse {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        // Strings, numbers and JSON always have a JSON form.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (headers, body).into_response()
    }
}

/// POST `/oauth/introspect`.
///
/// # Errors
/// [`TokenError`].
pub async fn endpoint(
    State(introspection): State<Arc<Introspection>>,
    form: Form,
    AuthenticatedForm {
        client,
        form: TokenParameter(token),
        now,
    }: AuthenticatedForm<TokenParameter>,
) -> Result<Response, TokenError> {
    let told = introspection.introspect(&client, &token, now).await?;
    let by_default = client.client().demands().signed_introspection();
    match form {
        Form::Json => Ok(told.into_response()),
        Form::Any if !by_default => Ok(told.into_response()),
        Form::Any | Form::Jwt => introspection.signed(&told, client.client(), now).await,
    }
}

impl Introspection {
    async fn introspect(
        &self,
        client: &AuthenticatedClient,
        token: &str,
        now: Instant,
    ) -> Result<IntrospectionResponse, TokenError> {
        // RFC 7662 §2.1: the endpoint must not be open to whoever knows a client_id.
        if !client.is_confidential() {
            return Err(TokenError::ConfidentialOnly);
        }
        if let Some(presented) = PresentedToken::parse(token) {
            return self.introspect_refresh_token(client, &presented, now).await;
        }
        let claims = match self.tokens.read(token, now).await {
            Ok(claims) => claims,
            Err(UnreadToken::Store(error)) => return Err(error.into()),
            Err(UnreadToken::Jwt(_) | UnreadToken::Unknown | UnreadToken::Damaged) => {
                return Ok(IntrospectionResponse::Inactive);
            }
        };
        // A session that runs out revokes nothing, for a JWT is judged here as at every resource server, without a query: its tokens
        // go on for the rest of their lifetime. Where a session is ended, its grants are revoked, and that is seen.
        let may_have = |holder: Arc<Client>| holder.may_have(claims.cnf.as_ref());
        if !self.concerns(client, &claims)
            || !self
                .clients
                .find(&claims.client_id)
                .await?
                .is_some_and(may_have)
            || !self.clients.has_all(&claims.subject_tokens).await?
            || self.tokens.is_revoked(&claims, now).await?
        {
            return Ok(IntrospectionResponse::Inactive);
        }
        Ok(IntrospectionResponse::Active(
            self.shown(client, token, claims),
        ))
    }

    /// What the one who asks is shown of a token. The client that it was issued to reads there what it calls the person: an opaque one
    /// is not to tell it what the resource server calls them or those who act for them, nor what that alone asked for (OpenID Connect Core §8). To whom is both,
    /// it is as any other token of that resource server.
    fn shown(
        &self,
        client: &AuthenticatedClient,
        token: &str,
        claims: Arc<AccessTokenClaims>,
    ) -> Arc<AccessTokenClaims> {
        if !opaque::is_opaque(token) || self.is_audience(client, &claims) {
            return claims;
        }
        let metadata = &client.client().metadata;
        let subjects = &self.tokens.subjects;
        let name = claims
            .account_id
            .as_ref()
            .map(|id| subjects.of(metadata, id));
        let act = claims.act.clone();
        Arc::new(AccessTokenClaims {
            sub: name.unwrap_or_else(|| claims.sub.clone()),
            act: act.map(|actor| Box::new(actor.without_names())),
            mapped: Map::new(),
            ..(*claims).clone()
        })
    }

    async fn introspect_refresh_token(
        &self,
        client: &AuthenticatedClient,
        presented: &PresentedToken,
        now: Instant,
    ) -> Result<IntrospectionResponse, TokenError> {
        let Some((grant, family)) = self.grantor.read(presented, now).await? else {
            return Ok(IntrospectionResponse::Inactive);
        };
        let idle_at = family.used_at + self.grantor.grants.lifetimes.idle;
        let expires_at = idle_at.min(family.expires_at);
        // To ask about a token that was replaced is no use of it: the family lives on.
        let active = grant.terms.client_id == *client.id()
            && presented.generation == family.generation
            && !grant.is_over
            && now < expires_at;
        if !active {
            return Ok(IntrospectionResponse::Inactive);
        }
        if let Some(chain) = &grant.chain {
            match self.grantor.check_descent(client, &grant, chain, now).await {
                Ok(()) => {}
                Err(TokenError::GrantOver) => return Ok(IntrospectionResponse::Inactive),
                Err(error) => return Err(error),
            }
        }
        let metadata = &client.client().metadata;
        // What a refresh would bring: nothing, where all of it was taken from the client since.
        let Ok(agreed) = Grantor::allowed(client, &grant.terms) else {
            return Ok(IntrospectionResponse::Inactive);
        };
        let details = agreed.details.values().flat_map(AuthorizationDetails::iter);
        Ok(IntrospectionResponse::Refresh(Box::new(
            RefreshTokenClaims {
                active: true,
                iss: self.tokens.issuer.to_string(),
                sub: self.tokens.subjects.of(metadata, &grant.terms.account_id),
                client_id: grant.terms.client_id,
                authorization_details: details.cloned().collect(),
                scope: agreed.scope(),
                exp: expires_at.as_secs(),
                grant_id: grant.id,
            },
        )))
    }

    /// A token is shown to the client it was issued to, and to the one that introspects for its audience (threat 25).
    fn concerns(&self, client: &AuthenticatedClient, claims: &AccessTokenClaims) -> bool {
        claims.client_id == *client.id() || self.is_audience(client, claims)
    }

    fn is_audience(&self, client: &AuthenticatedClient, claims: &AccessTokenClaims) -> bool {
        let server = self.tokens.resource_servers.find(&claims.aud);
        server.is_some_and(|server| server.introspection_client_id.as_ref() == Some(client.id()))
    }
}
