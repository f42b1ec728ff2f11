//! The answer to a grant that a person made: an access token that names the grant, an ID token where OpenID Connect was asked for, and
//! a refresh token.

use serde_json::{Map, Value};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::access_token::token_type;
use super::audience::Audience;
use super::chain::Chain;
use super::error::TokenError;
use super::{GrantName, Grantor, TokenResponse};
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::claims::ClaimSet;
use crate::clients::ClientMetadata;
use crate::clients::authenticate::AuthenticatedClient;
use crate::grants::{GrantId, Terms};
use crate::id_token::IdTokenOrder;
use crate::resource_servers::TokenFormat;
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
    /// What was had before anything was spent.
    pub prepared: Prepared,
    /// The refresh token, if there is a new one.
    pub refresh_token: Option<String>,
}

/// What the tokens of a grant take, had before anything is spent for them.
pub struct Prepared {
    /// Whom the access token is for.
    pub audience: Audience,
    /// What the grant was exchanged for, if it was.
    chain: Chain,
    mapped: Map<String, Value>,
    /// What is known of the person, if their ID token tells any of it.
    person: Option<PersonRow>,
    /// The access token, where it is opaque. Its row is there already: should nothing come of the grant, nobody gets it.
    token: Option<String>,
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

    /// Has what the tokens of this grant take: what is known of the person, where it is told, and the row of an opaque access token.
    /// Called when nothing speaks against the grant any more and nothing is spent yet.
    ///
    /// # Errors
    /// [`TokenError::PersonGone`], [`TokenError::ClaimsTooLong`], [`TokenError::Store`].
    pub async fn prepare(
        &self,
        client: &AuthenticatedClient,
        (id, terms): (&GrantId, &Terms),
        allowed: &Agreement,
        (audience, exchanged): (Audience, Option<Chain>),
        now: Instant,
    ) -> Result<Prepared, TokenError> {
        let metadata = &client.client().metadata;
        let chain = exchanged.unwrap_or_else(|| Chain::of_client(metadata));
        let tokens = &self.tokens;
        let account_id = &terms.account_id;
        let (mapped, read) = tokens.mapped(&audience, metadata, Some(account_id)).await?;
        let person = match read {
            _ if !tells_of_person(client, terms, allowed) => None,
            Some(read) => Some(read.person),
            None => Some(tokens.person(account_id).await?),
        };
        let (token, mapped) = match audience.format {
            TokenFormat::Jwt => (None, mapped),
            TokenFormat::Opaque => {
                let audience = (audience.clone(), mapped);
                let rests = (chain.clone(), client.confirmation().cloned());
                let order = tokens.order(client.client(), (id, terms), audience, rests);
                (Some(tokens.issue(order, now).await?), Map::new())
            }
        };
        Ok(Prepared {
            audience,
            chain,
            mapped,
            person,
            token,
        })
    }

    /// What tokens may be made for now, of what a person agreed to: a scope, or a type of authorization details, that was taken from the
    /// client since is not its any more.
    ///
    /// # Errors
    /// [`TokenError::NoScope`] if nothing is left.
    pub fn allowed(client: &AuthenticatedClient, terms: &Terms) -> Result<Agreement, TokenError> {
        allowed_to(&client.client().metadata, &terms.agreed)
    }

    /// Makes the tokens.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn issue(
        &self,
        client: &AuthenticatedClient,
        granted: Granted<'_>,
        now: Instant,
    ) -> Result<TokenResponse, TokenError> {
        let (id, terms) = (granted.id, granted.terms);
        let prepared = granted.prepared;
        // RFC 6749 §5.1: what this token is good for, at its audience and, by the grant that it names, here at userinfo.
        let own = &granted.allowed.own;
        let audience = &prepared.audience;
        let scope: ScopeSet = own.iter().chain(audience.scope.iter()).cloned().collect();
        let authorization_details = audience.details.clone();
        // What was exchanged ends with the token that was shown, the ID token too.
        let shown_until = prepared.chain.ends_at;
        let ends_at = prepared.chain.end(now + audience.server.lifetime);
        let expires_in = ends_at.since(now).as_secs();
        let access_token = if let Some(token) = prepared.token {
            token
        } else {
            let audience = (prepared.audience, prepared.mapped);
            let rests = (prepared.chain, client.confirmation().cloned());
            let order = self
                .tokens
                .order(client.client(), (id, terms), audience, rests);
            self.tokens.issue(order, now).await?
        };
        let id_token = if OwnScope::OpenId.is_in(own) && granted.name.may_bring_id_tokens() {
            let order = IdTokenOrder {
                client: client.client(),
                terms,
                grant_id: Some(id),
                ends_at: shown_until,
                nonce: granted.nonce,
                access_token: Some(&access_token),
                code: None,
                person: prepared.person,
            };
            Some(self.tokens.issue_id_token(&order, now).await?)
        } else {
            None
        };
        self.tokens.metrics.token_issued(granted.name);
        Ok(TokenResponse {
            access_token,
            issued_token_type: None,
            token_type: token_type(client.confirmation()),
            expires_in,
            scope,
            authorization_details,
            refresh_token: granted.refresh_token,
            id_token,
        })
    }
}

/// What of an agreement is a client's to have, as it is registered now.
///
/// # Errors
/// [`TokenError::NoScope`] if nothing is left.
pub fn allowed_to(metadata: &ClientMetadata, agreed: &Agreement) -> Result<Agreement, TokenError> {
    let allowed = agreed.of_client(metadata);
    if allowed.is_empty() {
        Err(TokenError::NoScope)
    } else {
        Ok(allowed)
    }
}

/// Whether the ID token tells anything of the person.
fn tells_of_person(client: &AuthenticatedClient, terms: &Terms, allowed: &Agreement) -> bool {
    let bounds = ClaimSet::of_scope(&client.client().metadata.scope);
    let told = terms.claims.id_token.intersection(bounds);
    !told.is_empty() && OwnScope::OpenId.is_in(&allowed.own)
}
