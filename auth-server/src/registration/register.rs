//! A client comes to be: who lets it in, what it then has, and the one transaction that makes it.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use shared_protocol::bearer::{BearerError, bearer_token};
use shared_protocol::client_id::ClientId;
use shared_protocol::random;
use shared_protocol::scope::ScopeToken;
use shared_protocol::time::Instant;

use super::error::RegistrationError;
use super::statement::{self, Statement};
use super::token::{RegistrationToken, TokenKind};
use super::{Information, Registration};
use crate::authorization_details::TypeName;
use crate::authorize::request::OwnScope;
use crate::clients::secret::ClientSecret;
use crate::clients::{Client, ClientMetadata, submitted};
use crate::config::RegistrationMode;
use crate::profiles::Profile;
use crate::store::registrations::{self, RegistrationRow};
use crate::store::{clients, registration_tokens};

/// What lets a client in.
enum Permission {
    /// Registration is open.
    Anyone,
    /// An initial access token, by its name.
    Token(String),
    /// The software statement that is in the request.
    Statement,
}

impl Registration {
    /// The initial access token of a request by its name, if it carries one: one that is no good is refused wherever none is needed.
    pub(super) async fn shown(
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

    pub(super) async fn register(
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
        let metadata = self.resulting(members, (statement, None), now)?;
        self.sectors.check(&metadata, now).await?;
        let id = random::alphanumeric(22, &*self.random);
        let id: ClientId = id
            .parse()
            .expect("letters and digits make an identifier of a client");
        let secret = metadata.token_endpoint_auth_method.uses_secret();
        let secret = secret.then(|| ClientSecret::generate(&*self.random));
        let client = Client::new(id, metadata, Vec::new())?;
        let client = client.meeting(self.offered.profiles)?;
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
                // Nobody allowed it anything yet.
                self.clients.put_in(conn, client, secret, now).await?;
                clients::set_unused(conn, &client.id, now).await?;
                Ok(registrations::insert(conn, row).await?)
            })
            .await?;
        self.clients.forget(&client.id);
        Ok(())
    }

    /// The software statement of a request. One of somebody who is not trusted is refused, for the client counts on what it says.
    pub(super) fn statement(
        &self,
        members: &Map<String, Value>,
        now: Instant,
    ) -> Result<Option<Statement>, RegistrationError> {
        let sent = members.get(statement::MEMBER);
        let issuers = &self.policy.statement_issuers;
        let permitted = self.offered.profiles.server().algorithms();
        sent.filter(|sent| !sent.is_null())
            .map(|sent| Ok(issuers.verify(sent, permitted, &self.issuer, now)?))
            .transpose()
    }

    /// The metadata that a client of this profile comes to have, whether it registers or changes (threat 14); [`Client::new`] and
    /// [`Client::meeting`] say the last word.
    pub(super) fn resulting(
        &self,
        mut members: Map<String, Value>,
        (statement, profile): (Option<Statement>, Option<Profile>),
        now: Instant,
    ) -> Result<ClientMetadata, RegistrationError> {
        if let Some(statement) = &statement {
            statement.overrule(&mut members);
        }
        let mut metadata = submitted::metadata(&members)?;
        let beyond = |token: &&ScopeToken| {
            OwnScope::of(token).is_none() && !self.policy.scopes.contains(token)
        };
        if let Some(token) = metadata.scope.iter().find(beyond) {
            return Err(RegistrationError::Scope(token.clone()));
        }
        let is_scope_sent = members.get("scope").is_some_and(|sent| !sent.is_null());
        // RFC 7591 §3.2.1: a server may register more suitable values than it was sent. Not than a statement vouches for.
        let is_widened = self.policy.widen_scope && statement.is_none();
        if !is_scope_sent || is_widened {
            let own = OwnScope::ALL.into_iter();
            let own = own.filter_map(|scope| scope.as_str().parse().ok());
            metadata.scope = own.chain(self.policy.scopes.iter().cloned()).collect();
        }
        let may_ask = |name: &&TypeName| {
            let exists = self.resource_servers.details_type(name.as_str()).is_some();
            exists && self.policy.details_types.contains(name)
        };
        let mut types = metadata.authorization_details_types.iter();
        if let Some(name) = types.find(|name| !may_ask(name)) {
            return Err(RegistrationError::DetailsType(name.clone()));
        }
        metadata.software_statement = statement.map(Statement::into_raw);
        metadata.profile = profile;
        self.offered.profiles.complete(&mut metadata);
        metadata.check_served((&self.offered, &self.keys.ring()), now)?;
        Ok(metadata)
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
