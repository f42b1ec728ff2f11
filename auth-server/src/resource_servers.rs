//! Resource servers: who tokens are for, what may be asked of them, and how their tokens are made (RFC 8707, RFC 9068).

pub mod claims;
mod details_types;
mod token_format;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::Algorithm;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::{ScopeSet, ScopeToken};
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};
use tokio::sync::Mutex;

use self::claims::{ClaimMapping, InvalidMapping};
pub use self::token_format::TokenFormat;
use crate::authorization_details::{DetailsType, InvalidSchema, TypeName};
use crate::authorize::request::OwnScope;
use crate::store::resource_servers::ResourceServerRow;
use crate::store::{authorization_details_types, changes, resource_servers};
use crate::subjects::SubjectType;

/// The kind of a change to a resource server, in the table of changes.
pub const CHANGE: &str = "resource_server";

/// How long an access token lives where nobody said otherwise.
pub const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

/// The longest that an access token may live.
pub const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// A resource server.
#[derive(Clone, Debug, Serialize)]
pub struct ResourceServer {
    /// Its identifier: the `aud` of its tokens.
    pub identifier: ResourceId,
    /// What people call it.
    pub name: String,
    /// The signature algorithm of its access tokens.
    pub alg: Algorithm,
    /// How long its access tokens live.
    #[serde(rename = "lifetime_seconds", serialize_with = "seconds")]
    pub lifetime: Duration,
    /// What people are called to it: the same as to others, or something that it alone knows them by.
    pub subject_type: SubjectType,
    /// How its access tokens are written.
    pub token_format: TokenFormat,
    /// What they say beside the claims that every token has.
    pub claims: Vec<ClaimMapping>,
    /// The client that may introspect its tokens.
    pub introspection_client_id: Option<ClientId>,
    /// Its scopes, each with what people are told about it.
    pub scopes: Vec<(ScopeToken, String)>,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

impl ResourceServer {
    /// A resource server of which nothing else is said.
    #[must_use]
    pub fn new(identifier: ResourceId, name: String, alg: Algorithm) -> Self {
        Self {
            identifier,
            name,
            alg,
            lifetime: DEFAULT_LIFETIME,
            subject_type: SubjectType::Public,
            token_format: TokenFormat::Jwt,
            claims: Vec::new(),
            introspection_client_id: None,
            scopes: Vec::new(),
        }
    }

    /// The server of `issuer` itself, in so far as it is the audience of tokens. Its scopes are
    /// those of [`OwnScope`], which need no description here.
    #[must_use]
    pub fn of_issuer(identifier: ResourceId, alg: Algorithm) -> Self {
        Self::new(identifier, "Authorization server".into(), alg)
    }

    /// The names of its scopes.
    #[must_use]
    pub fn scope(&self) -> ScopeSet {
        self.scopes.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// A row that our own checks would not have let in.
#[derive(Debug, thiserror::Error)]
#[error("the row of resource server {0} is damaged")]
pub struct DamagedRow(String);

/// A row of a type of authorization details that our own checks would not have let in.
#[derive(Debug, thiserror::Error)]
#[error("the row of the authorization details type {name} is damaged")]
pub struct DamagedType {
    name: String,
    #[source]
    schema: Option<InvalidSchema>,
}

/// Why the resource servers could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ResourceServersError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A row makes no sense.
    #[error(transparent)]
    Damaged(#[from] DamagedRow),
    /// The row of a type of authorization details makes no sense.
    #[error(transparent)]
    DamagedType(#[from] DamagedType),
    /// What people allow this server must not become a right at another.
    #[error(
        "the scope {0} is this server's own (OpenID Connect Core section 5.4); give the resource's scope another name"
    )]
    OwnScope(ScopeToken),
    /// What its tokens say makes no sense.
    #[error(transparent)]
    Claims(#[from] InvalidMapping),
    /// A type belongs to a resource server.
    #[error("there is no resource server {0}: `auth-server resource create --help`")]
    NoResourceServer(ResourceId),
}

/// The resource servers of one moment, and what they understand.
#[derive(Default)]
pub struct Snapshot {
    servers: HashMap<ResourceId, Arc<ResourceServer>>,
    details_types: HashMap<TypeName, Arc<DetailsType>>,
}

impl Snapshot {
    /// The scopes of all of them.
    pub fn scopes(&self) -> impl Iterator<Item = &ScopeToken> {
        let scopes = self.servers.values().flat_map(|server| &server.scopes);
        scopes.map(|(name, _)| name)
    }

    /// The types of authorization details of all of them, in the order of their names.
    #[must_use]
    pub fn details_types(&self) -> Vec<&Arc<DetailsType>> {
        let mut all: Vec<_> = self.details_types.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// All resource servers, held in memory.
#[derive(Clone)]
pub struct ResourceServers {
    store: Store,
    loaded: Arc<ArcSwap<Snapshot>>,
    /// So that what was read before a change never takes the place of what was read after it.
    reading: Arc<Mutex<()>>,
}

impl ResourceServers {
    /// Loads them.
    ///
    /// # Errors
    /// [`ResourceServersError`].
    pub async fn load(store: Store) -> Result<Self, ResourceServersError> {
        let servers = Self {
            store,
            loaded: Arc::default(),
            reading: Arc::default(),
        };
        servers.reload().await?;
        Ok(servers)
    }

    /// Loads them again, after a change.
    ///
    /// # Errors
    /// [`ResourceServersError`].
    pub async fn reload(&self) -> Result<(), ResourceServersError> {
        let _reading = self.reading.lock().await;
        let mut conn = self.store.read().await?;
        let rows = resource_servers::all(&mut conn).await?;
        let mut scopes: HashMap<String, Vec<(ScopeToken, String)>> = HashMap::new();
        for (resource, name, description) in resource_servers::all_scopes(&mut conn).await? {
            let name = name.parse().map_err(|_| DamagedRow(resource.clone()))?;
            scopes
                .entry(resource)
                .or_default()
                .push((name, description));
        }
        let mut servers = HashMap::new();
        for row in rows {
            let scopes = scopes.remove(&row.normal).unwrap_or_default();
            let server = from_row(&row, scopes).ok_or(DamagedRow(row.normal))?;
            servers.insert(server.identifier.clone(), Arc::new(server));
        }
        let types = authorization_details_types::all(&mut conn).await?;
        let details_types = details_types::read(types, &self.loaded.load())?;
        self.loaded.store(Arc::new(Snapshot {
            servers,
            details_types,
        }));
        Ok(())
    }

    /// The resource server of this identifier.
    #[must_use]
    pub fn find(&self, identifier: &ResourceId) -> Option<Arc<ResourceServer>> {
        self.loaded.load().servers.get(identifier).cloned()
    }

    /// What is held now; the same one until something changes.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.loaded.load_full()
    }

    /// All of them, in the order of their identifiers.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ResourceServer>> {
        let mut all: Vec<_> = self.loaded.load().servers.values().cloned().collect();
        all.sort_by(|a, b| a.identifier.as_str().cmp(b.identifier.as_str()));
        all
    }

    /// Registers a resource server, or replaces what was registered.
    ///
    /// # Errors
    /// [`ResourceServersError`].
    pub async fn put(
        &self,
        server: &ResourceServer,
        now: Instant,
    ) -> Result<(), ResourceServersError> {
        let mut names = server.scopes.iter().map(|(name, _)| name);
        if let Some(own) = names.find(|name| OwnScope::of(name).is_some()) {
            return Err(ResourceServersError::OwnScope(own.clone()));
        }
        server.check_claims()?;
        let row = ResourceServerRow {
            normal: server.identifier.normal().to_owned(),
            identifier: server.identifier.to_string(),
            name: server.name.clone(),
            alg: server.alg.to_string(),
            lifetime: i64::try_from(server.lifetime.as_millis()).unwrap_or(i64::MAX),
            introspection_client_id: server
                .introspection_client_id
                .as_ref()
                .map(ToString::to_string),
            created_at: now,
            updated_at: now,
            subject_type: server.subject_type.as_str().to_owned(),
            token_format: server.token_format.as_str().to_owned(),
            claims: (!server.claims.is_empty()).then(|| serde_json::json!(server.claims)),
        };
        let scopes: Vec<_> = server
            .scopes
            .iter()
            .map(|(name, description)| (name.to_string(), description.clone()))
            .collect();
        self.store
            .transaction(async |conn| {
                resource_servers::put(conn, &row, &scopes).await?;
                changes::record(conn, CHANGE, &row.normal, now).await
            })
            .await?;
        self.reload().await
    }

    /// Forgets a resource server; whether it was there.
    ///
    /// # Errors
    /// [`ResourceServersError`].
    pub async fn delete(
        &self,
        identifier: &ResourceId,
        now: Instant,
    ) -> Result<bool, ResourceServersError> {
        let deleted = self
            .store
            .transaction(async |conn| {
                let deleted = resource_servers::delete(conn, identifier).await?;
                changes::record(conn, CHANGE, identifier.normal(), now).await?;
                Ok::<_, DbError>(deleted)
            })
            .await?;
        self.reload().await?;
        Ok(deleted)
    }
}

fn from_row(row: &ResourceServerRow, scopes: Vec<(ScopeToken, String)>) -> Option<ResourceServer> {
    let introspection_client_id = row
        .introspection_client_id
        .as_ref()
        .map(|id| id.parse())
        .transpose()
        .ok()?;
    let claims = row.claims.clone().map(serde_json::from_value);
    Some(ResourceServer {
        identifier: row.identifier.parse().ok()?,
        name: row.name.clone(),
        alg: row.alg.parse().ok()?,
        lifetime: Duration::from_millis(u64::try_from(row.lifetime).ok()?),
        subject_type: row.subject_type.parse().ok()?,
        token_format: row.token_format.parse().ok()?,
        claims: claims.transpose().ok()?.unwrap_or_default(),
        introspection_client_id,
        scopes,
    })
}
