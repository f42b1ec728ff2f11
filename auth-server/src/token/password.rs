//! The password grant (RFC 6749 §4.3), which RFC 9700 §2.4 forbids: for clients of the operator that cannot do without yet, where
//! the configuration says so. What a person types there is judged as what they type on our own page (threat 13).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use shared_protocol::issuer::Issuer;
use shared_protocol::random;
use shared_protocol::time::Instant;

use super::error::{TokenError, of_targets};
use super::person::Granted;
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::accounts::Proven;
use crate::accounts::sign_in::{Attempt, SignIn, SignInRefusal, Unproven};
use crate::authorize::acr::{Levels, Proof};
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::authorize::targets::Targets;
use crate::claims::GrantedClaims;
use crate::clients::authenticate::{AuthenticatedClient, ClientAuthError};
use crate::clients::{Client, ClientMetadata, GrantType};
use crate::grants::{GrantId, Redeemed, Redemption, Terms};
use crate::parameters::{InvalidParameters, Parameters};
use crate::resource_servers::ResourceServers;
use crate::sessions::{Amr, Beginning, Sessions};

/// A request of this grant.
pub struct PasswordRequest {
    /// Whose password it is.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// `scope` and `resource`, as they came.
    pub asked: Parameters,
    /// What of it the token is for.
    pub target: Target,
}

/// What the grant takes, where it is served.
pub struct PasswordGrant {
    /// Judges passwords, and counts failures together with those of our page.
    pub sign_in: Arc<SignIn>,
    /// Where a grant has its session.
    pub sessions: Sessions,
    /// What may be asked for.
    pub resource_servers: ResourceServers,
    /// How sure a password makes anyone.
    pub levels: Levels,
}

/// Gives tokens for a person's password. The grant has a session of its own, of which no browser knows: it ends when that idles or is
/// ended, and never outlives it, for nobody was shown what would.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    request: PasswordRequest,
    address: IpAddr,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let served = grantor.password.as_ref();
    let served = served.ok_or(TokenError::UnsupportedGrantType)?;
    let metadata = &client.client().metadata;
    check_client(metadata)?;
    let missing = |name| TokenError::from(InvalidParameters::Missing(name));
    let username = request.username.ok_or_else(|| missing("username"))?;
    let password = request.password.ok_or_else(|| missing("password"))?;
    grantor.check_id_token_keys(client, now).await?;
    let issuer = &grantor.tokens.issuer;
    let servers = &served.resource_servers;
    let agreed = agreed(client.client(), &request.asked, servers, issuer)?;
    let tokens = &grantor.tokens;
    let audience = tokens.audience_of_grant(&agreed, &request.target, metadata)?;
    tokens.check_signer(&audience, now)?;
    let attempt = Attempt {
        email: &username,
        password: &password,
        address,
        device: None,
    };
    let proven = served.sign_in.attempt(&attempt, now).await?;
    let person = proven.account_id.as_str().as_bytes();
    let standing = grantor.accounts.admit(person, now).await?;
    client.standings().note(standing);
    let terms = served.begin(client, &proven, agreed, now).await?;
    let id = GrantId::generate(&*grantor.tokens.random);
    let lifetime = audience.server.lifetime;
    let prepared = grantor.prepare(client, (&id, &terms), &terms.agreed, (audience, None), now);
    let prepared = prepared.await?;
    let family_salt = redeem(client, (&id, &terms), lifetime, grantor, now).await?;
    let granted = Granted {
        name: GrantName::Password,
        id: &id,
        terms: &terms,
        allowed: &terms.agreed,
        nonce: None,
        prepared,
        refresh_token: family_salt.map(|salt| grantor.refresh_tokens.derive(&id, &salt, 0)),
    };
    grantor.issue(client, granted, now).await
}

/// Whether the client may use the grant at all.
///
/// # Errors
/// [`TokenError::ConfidentialOnly`], [`TokenError::UnauthorizedClient`].
pub fn check_client(metadata: &ClientMetadata) -> Result<(), TokenError> {
    if metadata.is_public() {
        return Err(TokenError::ConfidentialOnly);
    }
    // The operator may have taken it from the client since it was registered.
    if !metadata.grant_types.contains(&GrantType::Password) || !metadata.skip_consent {
        return Err(TokenError::UnauthorizedClient(GrantType::Password));
    }
    Ok(())
}

/// What the client asks for, and may have.
///
/// # Errors
/// [`TokenError`].
pub fn agreed(
    client: &Client,
    asked: &Parameters,
    servers: &ResourceServers,
    issuer: &Issuer,
) -> Result<Agreement, TokenError> {
    let targets = Targets::choose(client, asked, servers, issuer);
    let mut agreed = targets.map_err(of_targets)?.asked;
    agreed.own = OwnScope::OfflineAccess.left_out_of(&agreed.own);
    if agreed.scope().is_empty() {
        return Err(TokenError::NoScope);
    }
    Ok(agreed)
}

impl PasswordGrant {
    /// Begins the session of the grant.
    async fn begin(
        &self,
        client: &AuthenticatedClient,
        proven: &Proven,
        agreed: Agreement,
        now: Instant,
    ) -> Result<Terms, TokenError> {
        let beginning = Beginning {
            proven,
            amr: &[Amr::Pwd],
            user_agent: client.client().metadata.client_name.as_deref(),
            before: None,
        };
        let random = &*self.sign_in.random;
        // Nobody gets its cookie.
        let begun = self.sessions.begin(&beginning, now, random).await;
        let (session, _) = begun.map_err(SignInRefusal::from)?;
        let proof = Proof {
            amr: &session.amr,
            age: Duration::ZERO,
        };
        let acr = self.levels.highest(proof).map(str::to_owned);
        Ok(Terms {
            client_id: client.id().clone(),
            account_id: session.account_id,
            session_id: Some(session.id),
            offline: false,
            claims: GrantedClaims::default(),
            agreed,
            auth_time: Some(session.auth_time),
            acr,
            amr: session.amr,
        })
    }
}

/// Makes the grant; the salt of its refresh tokens, if it is to have any.
async fn redeem(
    client: &AuthenticatedClient,
    (id, terms): (&GrantId, &Terms),
    access_lifetime: Duration,
    grantor: &Grantor,
    now: Instant,
) -> Result<Option<[u8; 16]>, TokenError> {
    let grant_types = &client.client().metadata.grant_types;
    let family_salt = grant_types
        .contains(&GrantType::RefreshToken)
        .then(|| random::bytes(&*grantor.tokens.random));
    let redemption = Redemption {
        id,
        code_digest: None,
        terms,
        allowed_at: now,
        family_salt,
        confirmation: client.to_bind_refresh_tokens(),
        unanswered: &[],
        access_lifetime,
    };
    match grantor.grants.redeem(&redemption, now).await? {
        Redeemed::Granted => Ok(family_salt),
        // Signed out everywhere, or shut out, in this very moment.
        Redeemed::Before | Redeemed::SessionOver | Redeemed::PersonGone | Redeemed::CutOff => {
            Err(SignInRefusal::Credentials(Unproven::Changed).into())
        }
        Redeemed::ClientGone => Err(ClientAuthError::Refused.into()),
    }
}
