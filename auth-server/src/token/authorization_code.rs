//! The authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.5).

use shared_protocol::time::Instant;

use super::error::TokenError;
use super::person::Granted;
use super::spent::{Brought, Spent};
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::clients::GrantType;
use crate::clients::authenticate::AuthenticatedClient;
use crate::codes::{self, Authorization, Kept, Taken};
use crate::refusals::Detail;

/// A request of this grant.
pub struct CodeRequest {
    /// The code.
    pub code: String,
    /// Where it was sent to.
    pub redirect_uri: Option<String>,
    /// What the challenge was made of (RFC 7636 §4.5).
    pub code_verifier: Option<String>,
    /// What of the grant the access token is for (RFC 8707 §2.2, RFC 9396 §6).
    pub target: Target,
}

/// Gives tokens for a code. What cannot depend on the code is judged before the one step that takes it; from there on every refusal
/// leaves it dead.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    request: &CodeRequest,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let metadata = &client.client().metadata;
    if !metadata.grant_types.contains(&GrantType::AuthorizationCode) {
        return Err(TokenError::UnauthorizedClient(GrantType::AuthorizationCode));
    }
    grantor.check_id_token_keys(client, now).await?;
    let kept = take(request, grantor, now).await?;
    let redeemed = match redeem(client, request, &kept, grantor, now).await {
        Ok(redeemed) => redeemed,
        Err(refusal) => {
            let at = (codes::key(&request.code), codes::digest(&request.code));
            return Err(grantor.brought_nothing(refusal, at, kept, now).await);
        }
    };
    let (id, authorization) = (&kept.grant_id, &kept.authorization);
    let salt = redeemed.family_salt;
    let granted = Granted {
        name: GrantName::AuthorizationCode,
        id,
        terms: &authorization.terms,
        allowed: &redeemed.allowed,
        nonce: authorization.nonce.as_deref(),
        prepared: redeemed.prepared,
        refresh_token: salt.map(|salt| grantor.refresh_tokens.derive(id, &salt, 0)),
    };
    grantor.issue(client, granted, now).await
}

/// What came of a code, before there are tokens.
async fn redeem(
    client: &AuthenticatedClient,
    request: &CodeRequest,
    kept: &Kept,
    grantor: &Grantor,
    now: Instant,
) -> Result<Brought, TokenError> {
    check(client, request, &kept.authorization)?;
    let spent = Spent {
        kept,
        terms: &kept.authorization.terms,
        digest: codes::digest(&request.code),
    };
    grantor.bring(client, &spent, &request.target, now).await
}

/// The one atomic step. A code that was used before takes down all that its first use brought (RFC 6749 §4.1.2), whoever presents it
/// and however late.
async fn take(
    request: &CodeRequest,
    grantor: &Grantor,
    now: Instant,
) -> Result<Box<Kept>, TokenError> {
    let was_used = match grantor.codes.take(&request.code, now).await? {
        Taken::First(kept) => return Ok(kept),
        Taken::Before(id) => {
            grantor.grants.revoke(&id, now).await?;
            true
        }
        // The store of codes forgets; the grants do not.
        Taken::Unknown => {
            let digest = codes::digest(&request.code);
            grantor.revoke_brought_by(&digest, now).await?
        }
    };
    Err(if was_used {
        TokenError::CodeReplayed
    } else {
        TokenError::CodeUnknown
    })
}

/// RFC 6749 §4.1.3: the client, the redirect URI, the proof of possession, the key that the code is bound to, in this order.
fn check(
    client: &AuthenticatedClient,
    request: &CodeRequest,
    authorization: &Authorization,
) -> Result<(), TokenError> {
    if authorization.terms.client_id != *client.id() {
        let why = format!("to {}", authorization.terms.client_id);
        return Err(TokenError::CodeOfAnother(Detail::new(why)));
    }
    match &request.redirect_uri {
        // Compared as text (RFC 6749 §3.1.2.3); one that was left out of the request is the registered one.
        Some(uri) if *uri != authorization.redirect_uri => {
            let (sent, asked) = (Detail::uri(uri), Detail::uri(&authorization.redirect_uri));
            let why = format!("{sent} was sent, and the authorization request had {asked}");
            return Err(TokenError::RedirectUri(Detail::new(why)));
        }
        None if authorization.redirect_uri_named => {
            let asked = Detail::uri(&authorization.redirect_uri);
            let why = format!("it is missing, and the authorization request had {asked}");
            return Err(TokenError::RedirectUri(Detail::new(why)));
        }
        Some(_) | None => {}
    }
    // A client that has moved elsewhere since, perhaps under another's name, gets nothing for what was allowed to it there.
    let registered = client.client();
    if registered
        .matching(&authorization.redirect_uri, true)
        .is_none()
    {
        let why = "it is the same, but the client has registered others since";
        return Err(TokenError::RedirectUri(Detail::new(why)));
    }
    // RFC 9700 §2.1.1: a verifier without a challenge is an attack too.
    match (&authorization.code_challenge, &request.code_verifier) {
        (None, None) => {}
        (Some(challenge), Some(verifier)) if challenge.is_met_by(verifier) => {}
        (Some(_), Some(_)) => return Err(TokenError::Verifier),
        (Some(_), None) => return Err(TokenError::NoVerifier),
        (None, Some(_)) => return Err(TokenError::NoChallenge),
    }
    // RFC 9449 §10. One that was bound to nothing is bound by who redeems it.
    match &authorization.confirmation {
        Some(bound) if client.confirmation() != Some(bound) => Err(TokenError::CodeOfAnotherKey),
        Some(_) | None => Ok(()),
    }
}
