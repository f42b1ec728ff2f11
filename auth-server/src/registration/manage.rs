//! A client manages itself by its registration access token (RFC 7592). A PUT brings the token that is to take the old one's place: the
//! old one works until the new one is first used, so that a lost answer shuts nobody out.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use shared_protocol::bearer::{BearerError, bearer_token};
use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::Conn;
use shared_server::web::note_client;

use super::error::RegistrationError;
use super::statement::Statement;
use super::token::{RegistrationToken, TokenKind};
use super::{Information, Registration};
use crate::clients::directory::{self, Clients};
use crate::clients::secret::{ClientSecret, SecretDigest};
use crate::clients::{AuthMethod, Client, ClientMetadata};
use crate::store::{clients, registrations};

/// RFC 7592 §2.2: what a client must not send.
const SERVER_OWNED: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// Which of the two tokens of a client was shown.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Shown {
    Current,
    Next,
}

/// A client as it stands, seen by who may see it.
struct Managed {
    client: Client,
    created_at: Instant,
    shown: Shown,
}

impl Registration {
    /// RFC 7592 §2.1.
    pub(super) async fn tell(
        &self,
        id: &ClientId,
        token: &RegistrationToken,
    ) -> Result<Information, RegistrationError> {
        let store = self.clients.store();
        let found = {
            let mut conn = store.read().await?;
            managed(&self.clients, &mut conn, id, token).await?
        };
        if found.shown == Shown::Next {
            let mut conn = store.write().await?;
            let digest = token.digest();
            // Another PUT may have come in between, whose token is waited for now.
            if !registrations::promote(&mut conn, id, digest.as_bytes()).await? {
                managed(&self.clients, &mut conn, id, token).await?;
            }
        }
        Ok(Information {
            status: StatusCode::OK,
            document: self.document(&found.client, found.created_at, None, token),
        })
    }

    /// RFC 7592 §2.2: what is sent takes the place of all that was there.
    pub(super) async fn replace(
        &self,
        id: &ClientId,
        token: &RegistrationToken,
        members: Map<String, Value>,
        now: Instant,
    ) -> Result<Information, RegistrationError> {
        self.check_sector(id, token, &members, now).await?;
        let next = RegistrationToken::generate(TokenKind::Management, &*self.random);
        let new_secret = ClientSecret::generate(&*self.random);
        let (client, created_at, has_new_secret, revoked) = self
            .clients
            .store()
            .transaction(async |conn| {
                let found = managed_alone(&self.clients, conn, id, token).await?;
                if found.shown == Shown::Next {
                    registrations::promote(conn, id, token.digest().as_bytes()).await?;
                }
                check_identity(&found.client, &members, now)?;
                let before = &found.client.metadata;
                let metadata = self.changed(before, members, now)?;
                let (was, is) = (
                    before.token_endpoint_auth_method,
                    metadata.token_endpoint_auth_method,
                );
                // What is kept of another method's secret makes no MACs.
                let fits = was.uses_secret() && (was == is || is != AuthMethod::ClientSecretJwt);
                let has_new_secret = is.uses_secret() && !fits;
                let client = Client::new(id.clone(), metadata, Vec::new())?;
                let client = client.meeting(self.offered.profiles)?;
                let secret = has_new_secret.then_some(&new_secret);
                let revoked = self.clients.put_in(conn, &client, secret, now).await?;
                registrations::offer(conn, id, next.digest().as_bytes()).await?;
                Ok::<_, RegistrationError>((client, found.created_at, has_new_secret, revoked))
            })
            .await?;
        self.clients.forget_with(id, revoked);
        let secret = has_new_secret.then_some(&new_secret);
        Ok(Information {
            status: StatusCode::OK,
            document: self.document(&client, created_at, secret, &next),
        })
    }

    /// Before the transaction, which must not wait for anybody's web server.
    async fn check_sector(
        &self,
        id: &ClientId,
        token: &RegistrationToken,
        members: &Map<String, Value>,
        now: Instant,
    ) -> Result<(), RegistrationError> {
        let managed = {
            let mut conn = self.clients.store().read().await?;
            managed(&self.clients, &mut conn, id, token).await?
        };
        check_identity(&managed.client, members, now)?;
        // A sector may come by a software statement too.
        let metadata = self.changed(&managed.client.metadata, members.clone(), now)?;
        Ok(self.sectors.check(&metadata, now).await?)
    }

    /// The metadata of a client after it changed itself. What the operator decided of it stays, and so does what its software statement
    /// says of it, unless it brings another.
    fn changed(
        &self,
        before: &ClientMetadata,
        members: Map<String, Value>,
        now: Instant,
    ) -> Result<ClientMetadata, RegistrationError> {
        let statement = match self.statement(&members, now)? {
            Some(statement) => Some(statement),
            None => self.kept_statement(before)?,
        };
        Ok(ClientMetadata {
            default_resource: before.default_resource.clone(),
            require_pkce: before.require_pkce,
            skip_consent: before.skip_consent,
            token_exchange: before.token_exchange.clone(),
            may_act: before.may_act.clone(),
            global_token_revocation: before.global_token_revocation,
            ..self.resulting(members, (statement, before.profile), now)?
        })
    }

    fn kept_statement(
        &self,
        before: &ClientMetadata,
    ) -> Result<Option<Statement>, RegistrationError> {
        let kept = before.software_statement.as_deref();
        let issuers = &self.policy.statement_issuers;
        let permitted = self.offered.profiles.server().algorithms();
        kept.map(|kept| Ok(issuers.verify_kept(kept, permitted)?))
            .transpose()
    }

    /// RFC 7592 §2.3: the client is gone at once, with its tokens.
    pub(super) async fn delete(
        &self,
        id: &ClientId,
        token: &RegistrationToken,
        now: Instant,
    ) -> Result<(), RegistrationError> {
        let revoked = self
            .clients
            .store()
            .transaction(async |conn| {
                managed_alone(&self.clients, conn, id, token).await?;
                let ids = [id.as_str().to_owned()];
                Ok::<_, RegistrationError>(directory::delete_locked(conn, &ids, now).await?)
            })
            .await?;
        self.clients.forget_with(id, revoked);
        Ok(())
    }
}

/// Whom a request is about, and its token. An identifier that is none is as unknown as any.
pub(super) fn presented(
    id: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
) -> Result<(ClientId, RegistrationToken), RegistrationError> {
    let token = match bearer_token(headers) {
        Err(BearerError::NoToken) => return Err(RegistrationError::NoToken),
        Err(error) => return Err(RegistrationError::Header(error)),
        Ok(token) => RegistrationToken::presented(token),
    };
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    let id: ClientId = id.ok_or(RegistrationError::TokenRefused)?;
    note_client(&Arc::new(id.clone()));
    Ok((id, token))
}

/// The client, if the token is its own. A wrong token and an unknown client take the same path, and are refused alike (RFC 7592 §2.1).
async fn managed(
    registered: &Clients,
    conn: &mut Conn,
    id: &ClientId,
    token: &RegistrationToken,
) -> Result<Managed, RegistrationError> {
    let row = registrations::find(conn, id).await?;
    let kept = |digest: Option<&Vec<u8>>| {
        let digest = digest.and_then(|digest| SecretDigest::from_stored(digest));
        digest.unwrap_or(SecretDigest::UNMATCHED)
    };
    let current = kept(row.as_ref().map(|row| &row.token_digest));
    let next = kept(row.as_ref().and_then(|row| row.next_digest.as_ref()));
    let digest = token.digest();
    let is_current = bool::from(digest.matches(&current));
    let is_next = bool::from(digest.matches(&next));
    let shown = match (is_current, is_next) {
        (true, _) => Shown::Current,
        (false, true) => Shown::Next,
        (false, false) => return Err(RegistrationError::TokenRefused),
    };
    let (client, created_at) = registered
        .load(conn, id)
        .await?
        .ok_or(RegistrationError::TokenRefused)?;
    Ok(Managed {
        client,
        created_at,
        shown,
    })
}

/// The same, with the client locked: nobody else changes or deletes it until the transaction ends. Locked in this order everywhere,
/// the client before what is its.
async fn managed_alone(
    registered: &Clients,
    conn: &mut Conn,
    id: &ClientId,
    token: &RegistrationToken,
) -> Result<Managed, RegistrationError> {
    clients::lock(conn, &[id.as_str().to_owned()]).await?;
    managed(registered, conn, id, token).await
}

/// RFC 7592 §2.2: the request names this client, has its secret right if it has one, and nothing of what the server decides.
fn check_identity(
    client: &Client,
    members: &Map<String, Value>,
    now: Instant,
) -> Result<(), RegistrationError> {
    let present = |name: &str| members.get(name).filter(|value| !value.is_null());
    if let Some(name) = SERVER_OWNED
        .into_iter()
        .find(|name| present(name).is_some())
    {
        return Err(RegistrationError::ServerOwned(name));
    }
    if present("client_id").and_then(Value::as_str) != Some(client.id.as_str()) {
        return Err(RegistrationError::OtherClientId);
    }
    if let Some(secret) = present("client_secret") {
        let digest = secret.as_str().map(SecretDigest::of);
        let digest = digest.unwrap_or(SecretDigest::UNMATCHED);
        let mut live = client.live_secrets(now);
        if !live.any(|live| bool::from(digest.matches(live))) {
            return Err(RegistrationError::OtherClientSecret);
        }
    }
    Ok(())
}
