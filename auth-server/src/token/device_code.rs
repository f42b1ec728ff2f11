//! The device authorization grant (RFC 8628 §3.4, §3.5).

use shared_protocol::time::Instant;

use super::error::TokenError;
use super::person::Granted;
use super::spent::{Brought, Spent};
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::clients::GrantType;
use crate::clients::authenticate::AuthenticatedClient;
use crate::codes::Kept;
use crate::device::{DeviceId, DeviceRequest, Polled};
use crate::grants::Terms;
use crate::refusals::Detail;

/// A request of this grant.
pub struct DeviceCodeRequest {
    /// The device code.
    pub device_code: String,
    /// What of the grant the access token is for.
    pub target: Target,
}

/// Gives tokens to a device that a person let in. Nothing is spent for another client: a device code is asked about again and again, so
/// that whose it is can be judged before the one step that takes an approval, and nobody ends a person's sign-in by presenting it.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    request: &DeviceCodeRequest,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let metadata = &client.client().metadata;
    if !metadata.grant_types.contains(&GrantType::DeviceCode) {
        return Err(TokenError::UnauthorizedClient(GrantType::DeviceCode));
    }
    grantor.check_id_token_keys(client, now).await?;
    let id = DeviceId::of(&request.device_code);
    let Some(asked) = grantor.devices.find(id, now).await? else {
        // The ephemeral store forgets; the grants do not.
        let was_used = grantor.revoke_brought_by(&id.digest(), now).await?;
        return Err(over(was_used, TokenError::CodeUnknown));
    };
    if asked.client_id != *client.id() {
        let why = format!("to {}", asked.client_id);
        return Err(TokenError::CodeOfAnother(Detail::new(why)));
    }
    if now >= asked.expires_at {
        let was_used = grantor.revoke_brought_by(&id.digest(), now).await?;
        return Err(over(was_used, TokenError::DeviceExpired));
    }
    let kept = take(client, request, (id, &asked), grantor, now).await?;
    let brought = match bring(client, request, (id, &kept), grantor, now).await {
        Ok(brought) => brought,
        Err(refusal) => {
            let at = (id.decision(), id.digest());
            return Err(grantor.brought_nothing(refusal, at, kept, now).await);
        }
    };
    let (id, salt) = (&kept.grant_id, brought.family_salt);
    let granted = Granted {
        name: GrantName::DeviceCode,
        id,
        terms: &kept.authorization,
        allowed: &brought.allowed,
        nonce: None,
        prepared: brought.prepared,
        refresh_token: salt.map(|salt| grantor.refresh_tokens.derive(id, &salt, 0)),
    };
    grantor.issue(client, granted, now).await
}

/// A device code is good once, as an authorization code is, and a second use takes down what the first brought.
fn over(was_used: bool, otherwise: TokenError) -> TokenError {
    if was_used {
        TokenError::CodeReplayed
    } else {
        otherwise
    }
}

/// The one atomic step. What this request cannot have of what the device asked for is refused before it, while nothing is spent.
async fn take(
    client: &AuthenticatedClient,
    request: &DeviceCodeRequest,
    (id, asked): (DeviceId, &DeviceRequest),
    grantor: &Grantor,
    now: Instant,
) -> Result<Box<Kept<Terms>>, TokenError> {
    grantor.allowed_at(client, &asked.asked, &request.target, now)?;
    match grantor.devices.poll(id, now).await? {
        Polled::Approved(kept) => Ok(kept),
        Polled::Pending => Err(TokenError::DevicePending),
        Polled::TooSoon => Err(TokenError::DeviceTooSoon),
        Polled::Denied => Err(TokenError::DeviceDenied),
        Polled::Before(grant_id) => {
            grantor.grants.revoke(&grant_id, now).await?;
            Err(TokenError::CodeReplayed)
        }
    }
}

async fn bring(
    client: &AuthenticatedClient,
    request: &DeviceCodeRequest,
    (id, kept): (DeviceId, &Kept<Terms>),
    grantor: &Grantor,
    now: Instant,
) -> Result<Brought, TokenError> {
    let spent = Spent {
        kept,
        terms: &kept.authorization,
        digest: id.digest(),
    };
    grantor.bring(client, &spent, &request.target, now).await
}
