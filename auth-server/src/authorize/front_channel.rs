//! What comes with the answer of the authorization endpoint itself: an access token (RFC 6749 §4.2.2), an ID token (OpenID Connect Core
//! §3.2.2.5, §3.3.2.5). Each belongs to a grant of its own, which ends with the session, so that it dies with it and whoever signs the
//! person out knows whom to tell.

use std::sync::Arc;
use std::time::Duration;

use shared_protocol::random::Random;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::error::RedirectCause;
use super::request::AuthorizationRequest;
use super::response::{FrontToken, Granted};
use crate::grants::{GrantId, Grants, Redeemed, Terms};
use crate::id_token::IdTokenOrder;
use crate::refusals::Detail;
use crate::token::Target;
use crate::token::access_token::AccessTokens;
use crate::token::audience::Audience;
use crate::token::chain::Chain;
use crate::token::error::TokenError;

/// Makes tokens without a code.
pub struct FrontChannel {
    /// Makes them.
    pub tokens: Arc<AccessTokens>,
    /// Keeps what they rest on.
    pub grants: Grants,
    /// How long a session lives at most, and with it these grants.
    pub session_lifetime: Duration,
}

impl FrontChannel {
    /// Adds the tokens that `request` asks for to an answer that may hold a code.
    ///
    /// # Errors
    /// [`RedirectCause::LoginRequired`] if the session ended, [`RedirectCause::UnauthorizedClient`] if the client is gone,
    /// [`RedirectCause::Tokens`], [`RedirectCause::Store`].
    pub async fn issue(
        &self,
        request: &AuthorizationRequest,
        (terms, code): (&Terms, Option<String>),
        now: Instant,
        random: &dyn Random,
    ) -> Result<Granted, RedirectCause> {
        // Nothing else revokes it: it has no refresh token that could go on without the session.
        let terms = &Terms {
            offline: false,
            ..terms.clone()
        };
        let metadata = &request.client.metadata;
        let audience = if request.response_type.has_token() {
            let audience =
                self.tokens
                    .audience_of_grant(&terms.agreed, &Target::default(), metadata);
            Some(audience.map_err(Box::new)?)
        } else {
            None
        };
        let id = GrantId::generate(random);
        let lives = audience.as_ref().map(|audience| audience.server.lifetime);
        let ends_at = terms.auth_time.unwrap_or(now) + self.session_lifetime;
        // Before the grant, of which nothing is to be left where there is no token for it.
        let token = match audience {
            Some(audience) => {
                let token = self.token(request, (&id, terms), audience, now).await;
                Some(token.map_err(Box::new)?)
            }
            None => None,
        };
        let begun = self.grants.begin(&id, terms, (lives, ends_at), now).await?;
        match begun {
            Redeemed::Granted | Redeemed::Before => {}
            Redeemed::SessionOver | Redeemed::PersonGone | Redeemed::CutOff => {
                let why = Detail::new(
                    "the session ended in this very moment, or the person was shut out",
                );
                return Err(RedirectCause::LoginRequired(why));
            }
            Redeemed::ClientGone => {
                let why = Detail::new("the client was deleted in this very moment");
                return Err(RedirectCause::UnauthorizedClient(why));
            }
        }
        if token.is_some() {
            self.tokens.metrics.token_issued_in_front();
        }
        let id_token = if request.response_type.has_id_token() {
            let order = IdTokenOrder {
                client: &request.client,
                terms,
                grant_id: Some(&id),
                ends_at: None,
                nonce: request.nonce.as_deref(),
                access_token: token.as_ref().map(|token| token.access_token.as_str()),
                code: code.as_deref(),
                person: None,
            };
            let id_token = self.tokens.issue_id_token(&order, now).await;
            Some(id_token.map_err(Box::new)?)
        } else {
            None
        };
        Ok(Granted {
            code,
            token,
            id_token,
        })
    }

    async fn token(
        &self,
        request: &AuthorizationRequest,
        (grant_id, terms): (&GrantId, &Terms),
        audience: Audience,
        now: Instant,
    ) -> Result<FrontToken, TokenError> {
        let own = terms.agreed.own.iter();
        let scope: ScopeSet = own.chain(audience.scope.iter()).cloned().collect();
        let expires_in = audience.server.lifetime.as_secs();
        let authorization_details = audience.details.clone();
        let metadata = &request.client.metadata;
        let mapped = self
            .tokens
            .mapped(&audience, metadata, Some(&terms.account_id));
        let (mapped, _) = mapped.await?;
        let granted = (grant_id, terms);
        let order = self.tokens.order(
            &request.client,
            granted,
            (audience, mapped),
            (Chain::of_client(&request.client.metadata), None),
        );
        let access_token = self.tokens.issue(order, now).await?;
        Ok(FrontToken {
            access_token,
            expires_in,
            scope,
            authorization_details,
        })
    }
}
