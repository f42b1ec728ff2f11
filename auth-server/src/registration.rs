//! Clients that register themselves (RFC 7591, OpenID Connect Registration 1.0) and manage themselves afterwards (RFC 7592).

mod body;
pub mod error;
pub mod initial;
mod manage;
pub mod statement;
pub mod token;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use shared_protocol::bearer::{BearerError, bearer_token};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::random::{self, Random};
use shared_protocol::scope::{ScopeSet, ScopeToken};
use shared_protocol::time::Instant;
use shared_server::rate_limits::{Network, RateLimiter, Standings};
use shared_server::web::{ClientAddress, Now};

use self::error::RegistrationError;
use self::statement::{Statement, StatementIssuers};
use self::token::{RegistrationToken, TokenKind};
use crate::authorize::request::OwnScope;
use crate::clients::directory::Clients;
use crate::clients::secret::ClientSecret;
use crate::clients::sector::Sectors;
use crate::clients::{AuthMethod, Client, ClientMetadata, submitted};
use crate::config::{Config, RegistrationMode};
use crate::keys::Keys;
use crate::rate_limits::RateLimits;
use crate::records::Records;
use crate::routes;
use crate::server::World;
use crate::store::registrations::{self, RegistrationRow};
use crate::store::{clients, registration_tokens};

/// Who may register, and for what.
pub struct Policy {
    /// Who.
    pub mode: RegistrationMode,
    /// Scopes of resource servers that they may get, beside those of this server.
    pub scopes: ScopeSet,
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
    /// How clients may authenticate.
    pub methods: Vec<AuthMethod>,
    /// Knows of which sectors clients are.
    pub sectors: Sectors,
    /// Who may register, and for what.
    pub policy: Policy,
    /// Counts what is written, by address.
    pub requests: RateLimiter,
    /// Makes ids, secrets and tokens.
    pub random: Arc<dyn Random>,
}

/// What lets a client in.
enum Permission {
    /// Registration is open.
    Anyone,
    /// An initial access token, by its name.
    Token(String),
    /// The software statement that is in the request.
    Statement,
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
            methods: records.offered.methods.clone(),
            sectors: records.sites.sectors.clone(),
            policy: Policy {
                mode: config.registration_mode(),
                scopes: registration.scopes.iter().cloned().collect(),
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

    /// The initial access token of a request by its name, if it carries one: one that is no good is refused wherever none is needed.
    async fn shown(
        &self,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Option<String>, RegistrationError> {
        let token = match bearer_token(headers) {
            Err(BearerError::NoToken) => return Ok(None),
            Err(error) => return Err(RegistrationError::Header(error)),
            Ok(token) => RegistrationToken::presented(token),
        };
        let mut conn = self.clients.store().read().await?;
        let digest = token.digest();
        let found = registration_tokens::find_good(&mut conn, digest.as_bytes(), now).await?;
        found.map(Some).ok_or(RegistrationError::TokenRefused)
    }

    async fn register(
        &self,
        shown: Option<String>,
        members: Map<String, Value>,
        now: Instant,
    ) -> Result<Information, RegistrationError> {
        let statement = self.statement(&members, now)?;
        let permission = match (shown, self.policy.mode) {
            (Some(token), _) => Permission::Token(token),
            (None, RegistrationMode::Open) => Permission::Anyone,
            (None, RegistrationMode::Token) if statement.is_some() => Permission::Statement,
            (None, RegistrationMode::Token | RegistrationMode::Closed) => {
                return Err(RegistrationError::NoToken);
            }
        };
        let permitted_by = permission.record(statement.as_ref());
        let metadata = self.resulting(members, statement, now)?;
        self.sectors.check(&metadata, now).await?;
        let id = random::alphanumeric(22, &*self.random);
        let id: ClientId = id
            .parse()
            .expect("letters and digits make an identifier of a client");
        let secret = metadata.token_endpoint_auth_method.uses_secret();
        let secret = secret.then(|| ClientSecret::generate(&*self.random));
        let client = Client::new(id, metadata, Vec::new())?;
        let token = RegistrationToken::generate(TokenKind::Management, &*self.random);
        let row = RegistrationRow {
            client_id: client.id.to_string(),
            token_digest: token.digest().as_bytes().to_vec(),
            next_digest: None,
            permitted_by,
        };
        self.add(&client, secret.as_ref(), (&permission, &row), now)
            .await?;
        Ok(Information {
            status: StatusCode::CREATED,
            document: self.document(&client, now, secret.as_ref(), &token),
        })
    }

    /// One transaction, so that nothing is spent for a client that is not there.
    async fn add(
        &self,
        client: &Client,
        secret: Option<&ClientSecret>,
        (permission, row): (&Permission, &RegistrationRow),
        now: Instant,
    ) -> Result<(), RegistrationError> {
        let max_unused = i64::from(self.policy.max_unused);
        self.clients
            .store()
            .transaction(async |conn| {
                if max_unused > 0 {
                    registrations::lock_all(conn).await?;
                    if clients::count_unused(conn).await? >= max_unused {
                        return Err(RegistrationError::Full);
                    }
                }
                if let Permission::Token(id) = permission
                    && !registration_tokens::spend(conn, id, now).await?
                {
                    return Err(RegistrationError::TokenRefused);
                }
                self.clients.put_in(conn, client, secret, now).await?;
                clients::set_unused(conn, &client.id, now).await?;
                Ok(registrations::insert(conn, row).await?)
            })
            .await?;
        self.clients.forget(&client.id);
        Ok(())
    }

    /// The software statement of a request. One of somebody who is not trusted is refused, for the client counts on what it says.
    fn statement(
        &self,
        members: &Map<String, Value>,
        now: Instant,
    ) -> Result<Option<Statement>, RegistrationError> {
        let sent = members.get(statement::MEMBER);
        let issuers = &self.policy.statement_issuers;
        sent.filter(|sent| !sent.is_null())
            .map(|sent| Ok(issuers.verify(sent, &self.issuer, now)?))
            .transpose()
    }

    /// The metadata that a client comes to have, whether it registers or changes (threat 14); [`Client::new`] says the last word.
    fn resulting(
        &self,
        mut members: Map<String, Value>,
        statement: Option<Statement>,
        now: Instant,
    ) -> Result<ClientMetadata, RegistrationError> {
        if let Some(statement) = &statement {
            statement.overrule(&mut members);
        }
        let mut metadata = submitted::metadata(&members)?;
        let is_scope_sent = members.get("scope").is_some_and(|sent| !sent.is_null());
        if is_scope_sent {
            let beyond = |token: &&ScopeToken| {
                OwnScope::of(token).is_none() && !self.policy.scopes.contains(token)
            };
            if let Some(token) = metadata.scope.iter().find(beyond) {
                return Err(RegistrationError::Scope(token.clone()));
            }
        } else {
            let own = OwnScope::ALL.into_iter().filter(|scope| scope.is_served());
            let own = own.filter_map(|scope| scope.as_str().parse().ok());
            metadata.scope = own.chain(self.policy.scopes.iter().cloned()).collect();
        }
        metadata.software_statement = statement.map(Statement::into_raw);
        metadata.check_served((&self.methods, &self.keys.ring()), now)?;
        Ok(metadata)
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

impl Permission {
    /// As it is kept, for operators.
    fn record(&self, statement: Option<&Statement>) -> String {
        match (self, statement) {
            (Self::Token(id), _) => format!("token {id}"),
            (Self::Anyone | Self::Statement, Some(statement)) => {
                format!("statement of {}", statement.issuer())
            }
            (Self::Anyone | Self::Statement, None) => "anyone".to_owned(),
        }
    }
}
