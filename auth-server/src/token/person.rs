//! The answer to a grant that a person made: an access token that names the grant, an ID token where OpenID Connect was asked for, and
//! a refresh token.

use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::access_token::{OnBehalf, Order};
use super::audience::Audience;
use super::error::TokenError;
use super::{GrantName, Grantor, TokenResponse};
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::claims::ClaimSet;
use crate::clients::authenticate::AuthenticatedClient;
use crate::grants::{GrantId, Terms};
use crate::id_token::IdTokenOrder;
use crate::store::accounts::PersonRow;

/// What a person granted, and how the client came by it now.
pub struct Granted<'a> {
    /// By which grant of the token endpoint.
    pub name: GrantName,
    /// Its name.
    pub id: &'a GrantId,
    /// What was allowed.
    pub terms: &'a Terms,
    /// What of it these tokens are for.
    pub allowed: &'a Agreement,
    /// The `nonce` of the authorization request.
    pub nonce: Option<&'a str>,
    /// What is known of the person, if their ID token tells any of it.
    pub person: Option<PersonRow>,
    /// The refresh token, if there is a new one.
    pub refresh_token: Option<String>,
}

impl Grantor {
    /// Refuses early, while nothing is spent yet, where this server cannot sign an ID token for the client, or encrypt it.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`], [`TokenError::Encryption`].
    pub async fn check_id_token_keys(
        &self,
        client: &AuthenticatedClient,
        now: Instant,
    ) -> Result<(), TokenError> {
        let metadata = &client.client().metadata;
        if OwnScope::OpenId.is_in(&metadata.scope) {
            self.tokens.id_token_signer(metadata, now)?;
            let encryption = metadata.id_token_encryption();
            let client = client.client();
            self.tokens.check_encryption(client, encryption, now).await
        } else {
            Ok(())
        }
    }

    /// What is known of a person whose ID token tells any of it. Read before anything is spent.
    ///
    /// # Errors
    /// [`TokenError::PersonGone`], [`TokenError::Store`].
    pub async fn person(
        &self,
        client: &AuthenticatedClient,
        terms: &Terms,
        allowed: &Agreement,
    ) -> Result<Option<PersonRow>, TokenError> {
        let bounds = ClaimSet::of_scope(&client.client().metadata.scope);
        let told = terms.claims.id_token.intersection(bounds);
        if told.is_empty() || !OwnScope::OpenId.is_in(&allowed.own) {
            return Ok(None);
        }
        self.tokens.person(&terms.account_id).await.map(Some)
    }

    /// What tokens may be made for now, of what a person agreed to: a scope, or a type of authorization details, that was taken from the
    /// client since is not its any more.
    ///
    /// # Errors
    /// [`TokenError::NoScope`] if nothing is left.
    pub fn allowed(client: &AuthenticatedClient, terms: &Terms) -> Result<Agreement, TokenError> {
        Self::allowed_of(client, &terms.agreed)
    }

    /// The same of what nobody agreed to yet.
    ///
    /// # Errors
    /// [`TokenError::NoScope`] if nothing is left.
    pub fn allowed_of(
        client: &AuthenticatedClient,
        asked: &Agreement,
    ) -> Result<Agreement, TokenError> {
        let allowed = asked.of_client(&client.client().metadata);
        if allowed.is_empty() {
            Err(TokenError::NoScope)
        } else {
            Ok(allowed)
        }
    }

    /// Makes the tokens.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn issue(
        &self,
        client: &AuthenticatedClient,
        granted: Granted<'_>,
        audience: Audience,
        now: Instant,
    ) -> Result<TokenResponse, TokenError> {
        let (id, terms) = (granted.id, granted.terms);
        let metadata = &client.client().metadata;
        // RFC 6749 §5.1: what this token is good for, at its audience and, by the grant that it names, here at userinfo.
        let own = &granted.allowed.own;
        let scope: ScopeSet = own.iter().chain(audience.scope.iter()).cloned().collect();
        let authorization_details = audience.details.clone();
        let expires_in = audience.server.lifetime.as_secs();
        let order = Order {
            client_id: client.id(),
            subject: self
                .tokens
                .subject(&audience.server, metadata, &terms.account_id),
            audience,
            on_behalf: Some(OnBehalf {
                grant_id: id,
                auth_time: terms.auth_time,
                amr: &terms.amr,
                acr: terms.acr.as_deref(),
            }),
        };
        let access_token = self.tokens.issue(order, now).await?;
        let id_token = if OwnScope::OpenId.is_in(own) {
            let order = IdTokenOrder {
                client: client.client(),
                terms,
                nonce: granted.nonce,
                access_token: Some(&access_token),
                code: None,
                person: granted.person,
            };
            Some(self.tokens.issue_id_token(&order, now).await?)
        } else {
            None
        };
        self.tokens.metrics.token_issued(granted.name);
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in,
            scope,
            authorization_details,
            refresh_token: granted.refresh_token,
            id_token,
        })
    }
}
