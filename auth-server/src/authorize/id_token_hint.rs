//! Whom the client expects to be signed in, as one of its own ID tokens says (OpenID Connect Core §3.1.2.1, `id_token_hint`).

use serde::Deserialize;
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{Audience, JwkSet, JwtKind, UnverifiedJwt};

use super::error::RedirectCause;

/// The longest that is looked at; ours are shorter by half, also those that tell all there is of most people.
const LONGEST: usize = 6 * 1024;

/// What a hint is checked against. Not the time: it is good long after it expired.
pub(super) struct Checks<'a> {
    /// Who must have made it.
    pub(super) issuer: &'a Issuer,
    /// For whom.
    pub(super) client_id: &'a ClientId,
    /// Signed with what.
    pub(super) keys: &'a JwkSet,
}

#[derive(Deserialize)]
struct Hint {
    iss: String,
    aud: Audience,
    sub: String,
    /// Which all ID tokens have, and nothing else that these keys sign and that is typed as little.
    #[serde(rename = "exp")]
    _exp: i64,
}

impl Checks<'_> {
    /// Whom the hint names, by what the client calls them.
    ///
    /// # Errors
    /// [`RedirectCause::IdTokenHint`].
    pub(super) fn subject(&self, token: &str) -> Result<String, RedirectCause> {
        if token.len() > LONGEST {
            return Err(RedirectCause::IdTokenHint);
        }
        let hint: Hint = UnverifiedJwt::parse(token, JwtKind::IdToken)
            .and_then(|token| token.verify(self.keys))
            .and_then(|(claims, _)| claims.parse())
            .map_err(|_| RedirectCause::IdTokenHint)?;
        let is_for = |client| client == self.client_id.as_str();
        if hint.iss == self.issuer.as_str() && hint.aud.iter().any(is_for) {
            Ok(hint.sub)
        } else {
            Err(RedirectCause::IdTokenHint)
        }
    }
}
