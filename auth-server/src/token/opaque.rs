//! Opaque access tokens (RFC 6749 §1.4): names of rows, from which whoever holds one learns nothing. Only the digest is kept, so that
//! a copy of the database holds no token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared_protocol::lookups::Lookups;
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use super::access_token::{AccessTokenClaims, UnreadToken};
use crate::store::access_tokens::{self, AccessTokenRow};

/// What every one of them begins with; no JWT does.
const PREFIX: &str = "oat_";
/// Bytes behind that, before they are letters.
const BYTES: usize = 32;
/// Tokens that are remembered, and for how long: most live no longer.
const REMEMBERED: u64 = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_mins(10);

/// Whether a token means to be opaque.
#[must_use]
pub fn is_opaque(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Makes opaque tokens and finds them again.
pub struct OpaqueTokens {
    store: Store,
    // What a token says never changes; whether it was revoked or has expired is judged each time.
    read: Cache<[u8; 32], Arc<AccessTokenClaims>>,
    lookups: Arc<Lookups>,
}

impl OpaqueTokens {
    /// Those that are kept there.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let read = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(REMEMBERED_FOR)
            .build();
        Self {
            store,
            read,
            lookups: Arc::default(),
        }
    }

    /// How often a token was remembered.
    #[must_use]
    pub fn lookups(&self) -> Arc<Lookups> {
        Arc::clone(&self.lookups)
    }

    /// A token that says this, once it is kept.
    ///
    /// # Errors
    /// [`DbError`]: there is none.
    pub async fn keep(
        &self,
        claims: &AccessTokenClaims,
        random: &dyn Random,
    ) -> Result<String, DbError> {
        let mut token = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(random::bytes::<BYTES>(random), &mut token);
        let row = AccessTokenRow {
            digest: digest(&token).to_vec(),
            claims: json!(claims),
            client_id: claims.client_id.to_string(),
            account_id: claims.account_id.as_ref().map(ToString::to_string),
            grant_id: claims.grant_id.as_ref().map(ToString::to_string),
            expires_at: Instant::from_secs(claims.exp),
        };
        access_tokens::insert(&mut self.store.write().await?, &row).await?;
        Ok(token)
    }

    /// What a token says, however old it is.
    ///
    /// # Errors
    /// [`UnreadToken::Unknown`], [`UnreadToken::Damaged`], [`UnreadToken::Store`].
    pub async fn read(&self, token: &str) -> Result<Arc<AccessTokenClaims>, UnreadToken> {
        // Nothing else was ever kept: no row is looked for.
        let letters = token.strip_prefix(PREFIX).unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD.decode(letters).unwrap_or_default();
        if bytes.len() != BYTES {
            return Err(UnreadToken::Unknown);
        }
        let digest = digest(token);
        let remembered = self.read.get(&digest);
        self.lookups.count(remembered.is_some());
        if let Some(claims) = remembered {
            return Ok(claims);
        }
        let found = access_tokens::find(&mut self.store.read().await?, &digest).await?;
        let (claims, account_id) = found.ok_or(UnreadToken::Unknown)?;
        let Value::Object(members) = claims else {
            return Err(UnreadToken::Damaged);
        };
        let mut claims = AccessTokenClaims::of(members).ok_or(UnreadToken::Damaged)?;
        let account_id = account_id.map(|id| id.parse()).transpose();
        claims.account_id = account_id.map_err(|_| UnreadToken::Damaged)?;
        let claims = Arc::new(claims);
        self.read.insert(digest, Arc::clone(&claims));
        Ok(claims)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
