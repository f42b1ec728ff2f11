//! Initial access tokens (RFC 7591 §3): an operator hands them to those who may register clients.

use std::time::Duration;

use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use super::token::{RegistrationToken, TokenKind};
use crate::identifiers::identifier;
use crate::store::registration_tokens::{self, RegistrationTokenRow};

identifier!(
    /// Names an initial access token to operators; it opens nothing.
    RegistrationTokenId, "irt_"
);

/// What a token is made of.
pub struct NewInitialToken {
    /// What it is for.
    pub name: Option<String>,
    /// How many clients it registers.
    pub uses: u32,
    /// How long it lives.
    pub lifetime: Duration,
}

/// The initial access tokens of this server.
#[derive(Clone)]
pub struct InitialTokens {
    /// Where they are kept.
    pub store: Store,
}

impl InitialTokens {
    /// Makes one, to be shown this once.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn create(
        &self,
        new: NewInitialToken,
        now: Instant,
        random: &dyn Random,
    ) -> Result<(RegistrationTokenId, RegistrationToken), DbError> {
        let id = RegistrationTokenId::generate(random);
        let token = RegistrationToken::generate(TokenKind::Initial, random);
        let row = RegistrationTokenRow {
            id: id.to_string(),
            digest: token.digest().as_bytes().to_vec(),
            name: new.name,
            uses_left: new.uses.into(),
            created_at: now,
            expires_at: now + new.lifetime,
        };
        registration_tokens::insert(&mut self.store.write().await?, &row).await?;
        Ok((id, token))
    }

    /// One page of them in the order of their ids, after `after`.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn list(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<RegistrationTokenRow>, DbError> {
        registration_tokens::list(&mut self.store.read().await?, after, limit).await
    }

    /// Revokes one; whether it was there. The clients that it registered stay.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn revoke(&self, id: &RegistrationTokenId) -> Result<bool, DbError> {
        registration_tokens::delete(&mut self.store.write().await?, id.as_str()).await
    }
}
