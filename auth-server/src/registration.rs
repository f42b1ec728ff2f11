//! Clients that register themselves (RFC 7591, OpenID Connect Registration 1.0) and manage themselves afterwards (RFC 7592).

mod body;
pub mod error;
pub mod initial;
mod manage;
mod register;
pub mod statement;
pub mod token;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use shared_protocol::issuer::Issuer;
use shared_protocol::random::Random;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;
use shared_server::rate_limits::{Network, RateLimiter, Standings};
use shared_server::web::{ClientAddress, Now};

use self::error::RegistrationError;
use self::statement::StatementIssuers;
use self::token::RegistrationToken;
use crate::authorization_details::TypeName;
use crate::clients::directory::Clients;
use crate::clients::secret::ClientSecret;
use crate::clients::sector::Sectors;
use crate::clients::{Client, submitted};
use crate::config::{Config, RegistrationMode};
use crate::keys::Keys;
use crate::metadata::Offered;
use crate::rate_limits::RateLimits;
use crate::records::Records;
use crate::resource_servers::ResourceServers;
use crate::routes;
use crate::server::World;

/// Who may register, and for what.
pub struct Policy {
    /// Who.
    pub mode: RegistrationMode,
    /// Scopes of resource servers that they may get, beside those of this server.
    pub scopes: ScopeSet,
    /// Whether they get all of those where they name less.
    pub widen_scope: bool,
    /// Types of authorization details that they may ask for.
    pub details_types: Vec<TypeName>,
    /// How many may be there that never got a token; zero for any number.
    pub max_unused: u32,
    /// Whose word lets clients in.
    pub statement_issuers: StatementIssuers,
}

/// What registering and managing clients takes.
pub struct Registration {
    /// Whose clients they are.
    pub issuer: Arc<Issuer>,
    /// The clients.
    pub clients: Clients,
    /// What ID tokens can be signed with.
    pub keys: Keys,
    /// What is taken of clients.
    pub offered: Offered,
    /// Which types of authorization details there are.
    pub resource_servers: ResourceServers,
    /// Knows of which sectors clients are.
    pub sectors: Sectors,
    /// Who may register, and for what.
    pub policy: Policy,
    /// Counts what is written, by address.
    pub requests: RateLimiter,
    /// Makes ids, secrets and tokens.
    pub random: Arc<dyn Random>,
}

/// What a client is told of itself (RFC 7591 §3.2.1, RFC 7592 §3).
pub struct Information {
    status: StatusCode,
    document: Map<String, Value>,
}

impl IntoResponse for Information {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ];
        let body = Value::Object(self.document).to_string();
        (self.status, headers, body).into_response()
    }
}

/// POST `/oauth/register`.
///
/// # Errors
/// [`RegistrationError`].
pub async fn register(
    State(registration): State<Arc<Registration>>,
    Now(now): Now,
    ClientAddress(address): ClientAddress,
    standings: Standings,
    request: Request,
) -> Result<Information, RegistrationError> {
    registration.count(address, &standings, now).await?;
    let shown = registration.shown(request.headers(), now).await?;
    let members = body::read(request).await?;
    registration.register(shown, members, now).await
}

/// GET `/oauth/register/{client_id}`.
///
/// # Errors
/// [`RegistrationError`].
pub async fn tell(
    State(registration): State<Arc<Registration>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Information, RegistrationError> {
    let (id, token) = manage::presented(id, &headers)?;
    registration.tell(&id, &token).await
}

/// PUT `/oauth/register/{client_id}`.
///
/// # Errors
/// [`RegistrationError`].
pub async fn replace(
    State(registration): State<Arc<Registration>>,
    Now(now): Now,
    ClientAddress(address): ClientAddress,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Information, RegistrationError> {
    registration
        .count(address, &Standings::default(), now)
        .await?;
    let (id, token) = manage::presented(id, request.headers())?;
    let members = body::read(request).await?;
    registration.replace(&id, &token, members, now).await
}

/// DELETE `/oauth/register/{client_id}`.
///
/// # Errors
/// [`RegistrationError`].
pub async fn delete(
    State(registration): State<Arc<Registration>>,
    Now(now): Now,
    ClientAddress(address): ClientAddress,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, RegistrationError> {
    registration
        .count(address, &Standings::default(), now)
        .await?;
    let (id, token) = manage::presented(id, &headers)?;
    registration.delete(&id, &token, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Registration {
    /// As `config` has it.
    ///
    /// # Errors
    /// An issuer of software statements that cannot be used.
    pub fn open(
        config: &Config,
        records: &Records,
        world: &World,
        limits: &RateLimits,
    ) -> anyhow::Result<Self> {
        let registration = &config.registration;
        let issuers = StatementIssuers::new(&registration.software_statement_issuers);
        let issuers = issuers.map_err(|(index, reason)| {
            anyhow::anyhow!("registration.software_statement_issuers[{index}]: {reason}")
        })?;
        Ok(Self {
            issuer: Arc::new(config.issuer.clone()),
            clients: records.clients.clone(),
            keys: records.keys.clone(),
            offered: records.offered.clone(),
            resource_servers: records.resource_servers.clone(),
            sectors: records.sites.sectors.clone(),
            policy: Policy {
                mode: config.registration_mode(),
                scopes: registration.scopes.iter().cloned().collect(),
                widen_scope: registration.widen_scope,
                details_types: registration.authorization_details_types.clone(),
                max_unused: registration.max_unused,
                statement_issuers: issuers,
            },
            requests: limits.registration.clone(),
            random: Arc::clone(&world.random),
        })
    }

    async fn count(
        &self,
        address: IpAddr,
        standings: &Standings,
        now: Instant,
    ) -> Result<(), RegistrationError> {
        let network = Network::from(address);
        standings.note(self.requests.admit(network.as_ref(), now).await?);
        Ok(())
    }

    fn document(
        &self,
        client: &Client,
        created_at: Instant,
        secret: Option<&ClientSecret>,
        token: &RegistrationToken,
    ) -> Map<String, Value> {
        let mut document = submitted::members(&client.metadata);
        let url = self.issuer.endpoint(routes::REGISTER);
        let mut say = |name: &str, value: Value| document.insert(name.to_owned(), value);
        say("client_id", json!(client.id));
        say("client_id_issued_at", json!(created_at.as_secs()));
        if client.metadata.token_endpoint_auth_method.uses_secret() {
            // RFC 7591 §3.2.1: zero, for never.
            say("client_secret_expires_at", json!(0));
        }
        if let Some(secret) = secret {
            say("client_secret", json!(secret.expose()));
        }
        say("registration_access_token", json!(token.expose()));
        say(
            "registration_client_uri",
            json!(format!("{url}/{}", client.id)),
        );
        document
    }
}
