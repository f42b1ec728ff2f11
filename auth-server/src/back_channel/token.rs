//! Logout tokens (OpenID Connect Back-Channel Logout §2.4).

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{JwtKind, sign_jwt};
use shared_protocol::random;
use shared_protocol::time::Instant;

use super::{BackChannel, Failure};
use crate::accounts::AccountId;
use crate::clients::Client;
use crate::sessions::SessionId;
use crate::store::logout_notices::NoticeRow;

/// §4: two minutes, for each is made when it is sent.
const LIFETIME: Duration = Duration::from_mins(2);
/// 22 letters and digits hold 131 bits.
const JTI_LENGTH: usize = 22;

/// Without `nonce`, so that it passes for no ID token.
#[derive(Serialize)]
struct LogoutClaims<'a> {
    iss: &'a str,
    sub: Option<String>,
    aud: &'a ClientId,
    iat: i64,
    exp: i64,
    jti: String,
    events: Events,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Cow<'a, str>>,
}

/// What happened, by its only name.
#[derive(Serialize)]
struct Events {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    logout: Nothing,
}

/// `{}`: there is nothing more to say of it.
#[derive(Serialize)]
struct Nothing {}

impl BackChannel {
    /// What a client is told, made anew for each try, and signed as its ID tokens are.
    pub(super) async fn logout_token(
        &self,
        client: &Client,
        notice: &NoticeRow,
        now: Instant,
    ) -> Result<String, Failure> {
        let alg = client.metadata.id_token_algorithm();
        let signer = self.keys.ring().signer(alg, now);
        let signer = signer.ok_or(Failure::NoSigningKey)?;
        let account: Option<AccountId> = notice.account_id.parse().ok();
        // Of who signed out everywhere, the account stands there.
        let session: Option<SessionId> = notice.ended.parse().ok();
        let claims = LogoutClaims {
            iss: self.issuer.as_str(),
            sub: account.map(|id| self.subjects.of(&client.metadata, &id)),
            aud: &client.id,
            iat: now.as_secs(),
            exp: (now + LIFETIME).as_secs(),
            jti: random::alphanumeric(JTI_LENGTH, &*self.random),
            events: Events { logout: Nothing {} },
            sid: session
                .as_ref()
                .map(|id| self.subjects.session(&client.metadata, id)),
        };
        Ok(sign_jwt(JwtKind::LogoutToken, &claims, &*signer).await?)
    }
}
