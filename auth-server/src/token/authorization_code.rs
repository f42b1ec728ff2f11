//! The authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.5).

use shared_protocol::time::Instant;
use shared_server::db::DbError;

use super::audience::Audience;
use super::error::TokenError;
use super::person::Granted;
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::authorize::agreement::Agreement;
use crate::clients::GrantType;
use crate::clients::authenticate::{AuthenticatedClient, ClientAuthError};
use crate::codes::{self, Authorization, Kept, Taken};
use crate::grants::{Redeemed, Redemption};
use crate::refusals::Detail;
use crate::store::accounts::PersonRow;

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
        Err(refusal) => return Err(refused(refusal, request, kept, grantor, now).await),
    };
    let (id, authorization) = (&kept.grant_id, &kept.authorization);
    let salt = redeemed.family_salt;
    let granted = Granted {
        name: GrantName::AuthorizationCode,
        id,
        terms: &authorization.terms,
        allowed: &redeemed.allowed,
        nonce: authorization.nonce.as_deref(),
        person: redeemed.person,
        refresh_token: salt.map(|salt| grantor.refresh_tokens.derive(id, &salt, 0)),
    };
    grantor.issue(client, granted, redeemed.audience, now).await
}

/// What came of a code, before there are tokens.
struct RedeemedCode {
    allowed: Agreement,
    audience: Audience,
    person: Option<PersonRow>,
    family_salt: Option<[u8; 16]>,
}

async fn redeem(
    client: &AuthenticatedClient,
    request: &CodeRequest,
    kept: &Kept,
    grantor: &Grantor,
    now: Instant,
) -> Result<RedeemedCode, TokenError> {
    check(client, request, &kept.authorization)?;
    let metadata = &client.client().metadata;
    let terms = &kept.authorization.terms;
    let target = &request.target;
    let allowed = Grantor::allowed(client, terms)?;
    let allowed = target.of(allowed, &grantor.tokens.resource_servers)?;
    let audience = grantor
        .tokens
        .audience_of_grant(&allowed, target, metadata)?;
    grantor.tokens.signer(&audience.server, now)?;
    let refreshes = metadata.grant_types.contains(&GrantType::RefreshToken);
    let family_salt = refreshes.then_some(kept.family_salt);
    let redemption = Redemption {
        id: &kept.grant_id,
        code_digest: Some(codes::digest(&request.code)),
        terms,
        family_salt,
        unanswered: &kept.unanswered,
        access_lifetime: audience.server.lifetime,
    };
    let standing = grantor
        .accounts
        .admit(terms.account_id.as_str().as_bytes(), now)
        .await?;
    client.standings().note(standing);
    let person = grantor.person(client, terms, &allowed).await?;
    match grantor.grants.redeem(&redemption, now).await? {
        Redeemed::Granted => Ok(RedeemedCode {
            allowed,
            audience,
            person,
            family_salt,
        }),
        Redeemed::Before => Err(TokenError::CodeReplayed),
        Redeemed::SessionOver => Err(TokenError::SessionOver),
        Redeemed::PersonGone => Err(TokenError::PersonGone),
        // What it would have been told a moment later, for it no longer is who it was.
        Redeemed::ClientGone => Err(ClientAuthError::Refused.into()),
    }
}

/// What has to happen when nothing came of a code that was taken.
async fn refused(
    refusal: TokenError,
    request: &CodeRequest,
    kept: Box<Kept>,
    grantor: &Grantor,
    now: Instant,
) -> TokenError {
    if !matches!(
        refusal,
        TokenError::Store(_) | TokenError::NoSigningKey | TokenError::RateLimited(_)
    ) {
        // RFC 6749 §4.1.2: to the store of codes this was the first use, and it may have forgotten another.
        return match grantor.revoke_brought_by(&request.code, now).await {
            Ok(_) => refusal,
            Err(error) => error.into(),
        };
    }
    // Nothing is left half done: the client tries again. Should the transaction have been committed although nobody could say so, then
    // its grant is there, and the next use, which is the first to be answered, gets it. If the code cannot be kept either, it is spent.
    let codes = &grantor.codes;
    let back = if matches!(refusal, TokenError::Store(_)) {
        codes.keep_unanswered(&request.code, kept, now).await
    } else {
        codes.keep(&request.code, &kept, now).await
    };
    if let Err(error) = back {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a code was spent, and brought nothing"
        );
    }
    refusal
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
        Taken::Unknown => grantor.revoke_brought_by(&request.code, now).await?,
    };
    Err(if was_used {
        TokenError::CodeReplayed
    } else {
        TokenError::CodeUnknown
    })
}

impl Grantor {
    /// Revokes the grant that this code brought, however long ago; whether there was one.
    async fn revoke_brought_by(&self, code: &str, now: Instant) -> Result<bool, DbError> {
        let Some(id) = self.grants.find_by_code(&codes::digest(code)).await? else {
            return Ok(false);
        };
        self.grants.revoke(&id, now).await?;
        Ok(true)
    }
}

/// RFC 6749 §4.1.3: the client, the redirect URI, the proof of possession, in this order.
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
        (None, None) => Ok(()),
        (Some(challenge), Some(verifier)) if challenge.is_met_by(verifier) => Ok(()),
        (Some(_), Some(_)) => Err(TokenError::Verifier),
        (Some(_), None) => Err(TokenError::NoVerifier),
        (None, Some(_)) => Err(TokenError::NoChallenge),
    }
}
