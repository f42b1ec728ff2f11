//! Refresh tokens: derived, not stored.
//!
//! `id ∥ generation ∥ MAC(key, id ∥ family salt ∥ generation)`. The key is this server's, the salt stands in the grant's row: who has
//! the database alone, or the key alone, forges nothing. The successor of a token can be derived again, so that the grace window
//! brings the very same one without keeping it, and any generation that ever was can be told from noise.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::grants::GrantId;
use crate::identifiers;
use crate::keys::root_secret::MacKey;

/// What the prefix of a grant's name is; it goes without saying in a token.
const PREFIX: &str = "grt_";
const GENERATION: usize = 4;
const TAG: usize = 32;
/// In base64, 36 bytes fill 48 characters to the last bit.
const LENGTH: usize = identifiers::LENGTH + (GENERATION + TAG) / 3 * 4;

/// Makes refresh tokens and knows its own.
pub struct RefreshTokens(MacKey);

/// What has the form of a refresh token. Whether it is one, only the salt of its family can tell.
pub struct PresentedToken {
    /// The grant that it says it is of.
    pub grant_id: GrantId,
    /// Which one in the family it says it is.
    pub generation: u32,
    tag: [u8; TAG],
}

impl PresentedToken {
    /// Reads a token; `None` for anything that is none of ours.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        if raw.len() != LENGTH {
            return None;
        }
        let (id, rest) = raw.split_at_checked(identifiers::LENGTH)?;
        // Refuses bits that stand for nothing, so that one token has one form (threat 26).
        let bytes = URL_SAFE_NO_PAD.decode(rest).ok()?;
        let (generation, tag) = bytes.split_first_chunk::<GENERATION>()?;
        Some(Self {
            grant_id: format!("{PREFIX}{id}").parse().ok()?,
            generation: u32::from_be_bytes(*generation),
            tag: tag.try_into().ok()?,
        })
    }
}

impl RefreshTokens {
    /// Refresh tokens under this key.
    #[must_use]
    pub fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// The token of this generation.
    #[must_use]
    pub fn derive(&self, grant_id: &GrantId, salt: &[u8], generation: u32) -> String {
        let generation = generation.to_be_bytes();
        let tag = self
            .0
            .tag(&[grant_id.as_str().as_bytes(), salt, &generation]);
        let id = grant_id.as_str();
        let id = id.strip_prefix(PREFIX).unwrap_or(id);
        let mut token = String::with_capacity(LENGTH);
        token.push_str(id);
        URL_SAFE_NO_PAD.encode_string([generation.as_slice(), &tag].concat(), &mut token);
        token
    }

    /// Whether this server made the token, for a family of this salt; in constant time.
    #[must_use]
    pub fn is_authentic(&self, token: &PresentedToken, salt: &[u8]) -> bool {
        let id = token.grant_id.as_str().as_bytes();
        self.0
            .verify(&[id, salt, &token.generation.to_be_bytes()], &token.tag)
    }
}
