//! The tokens that an exchange rests on, judged: whose they are, whether they still are good, and whether the client may use them.

use std::sync::Arc;

use shared_protocol::client_id::ClientId;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::error::{BadToken, ExchangeError};
use super::{Exchange, ExchangeRequest};
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::claims::ClaimSet;
use crate::clients::exchange_policy::ExchangePolicy;
use crate::grants::{Grant, GrantId};
use crate::id_token_hint::Checks;
use crate::refresh_tokens::PresentedToken;
use crate::resource_servers::ResourceServer;
use crate::token::Grantor;
use crate::token::access_token::{AccessTokenClaims, UnreadToken};
use crate::token::chain::{Chain, SubjectToken};
use crate::token::error::TokenError;
use crate::token::token_type::TokenType;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// Who a token is about.
pub(super) enum Principal {
    /// A person, by what they granted.
    Person(Box<Grant>),
    /// A client that acts for itself.
    Client(ClientId),
}

/// A subject, and what is theirs to give.
pub(super) struct Subject {
    /// Who.
    pub(super) principal: Principal,
    /// What its token is for; a token that is the client's own names none.
    pub(super) audience: Option<ResourceId>,
    /// What may be done with its token.
    rights: Agreement,
    /// What its token came from, with itself.
    pub(super) chain: Chain,
}

/// Who acts.
pub(super) struct ActorToken {
    pub(super) principal: Principal,
    /// What the new token dies with, of an actor who is a person or whose token can be taken back.
    pub(super) link: Option<SubjectToken>,
    pub(super) ends_at: Instant,
}

impl Subject {
    /// What the subject token may become at a resource server, before what the client itself may ask for: at its own audience no more than
    /// it is, at another what the policy says that its scopes become there. A token that is the client's own stands for its grant.
    pub(super) fn rights_at(
        &self,
        server: &ResourceServer,
        policy: &ExchangePolicy,
        is_own: bool,
    ) -> Agreement {
        let normal = server.identifier.normal();
        let from = match &self.audience {
            Some(from) if *from != server.identifier => from,
            Some(_) | None if is_own => {
                // What outlives a session is nothing to pass on.
                let own = self.rights.own.iter();
                let own = own.filter(|scope| OwnScope::of(scope) != Some(OwnScope::OfflineAccess));
                return Agreement {
                    own: own.cloned().collect(),
                    ..Agreement::default()
                };
            }
            Some(_) | None => {
                let mut rights = self.rights.clone();
                rights.own = ScopeSet::default();
                rights.claims = ClaimSet::default();
                rights.resources.retain(|resource, _| resource == normal);
                rights.details.retain(|resource, _| resource == normal);
                return rights;
            }
        };
        let scope = self.rights.resources.get(from.normal());
        let becomes = scope.map(|scope| policy.becomes(scope, from, &server.identifier));
        let becomes = becomes.filter(|becomes| !becomes.is_empty() && !is_own);
        Agreement {
            resources: becomes
                .into_iter()
                .map(|scope| (normal.to_owned(), scope))
                .collect(),
            ..Agreement::default()
        }
    }
}

impl Exchange<'_> {
    /// The subject of a request.
    pub(super) async fn subject(&self, request: &ExchangeRequest) -> Result<Subject, TokenError> {
        let token = request.subject_token.as_str();
        let bad = |cause: BadToken| TokenError::Exchange(ExchangeError::Subject(cause));
        if token.len() > LONGEST {
            return Err(bad(BadToken::Length));
        }
        let judged = match request.subject_token_type {
            TokenType::AccessToken | TokenType::Jwt => {
                self.of_access_token(token, request.subject_token_type)
                    .await
            }
            TokenType::RefreshToken => self.of_refresh_token(token).await,
            TokenType::IdToken => self.of_id_token(token).await,
            TokenType::IdentityAssertion => {
                return Err(ExchangeError::TokenType("subject_token_type").into());
            }
        };
        judged.map_err(|refusal| refusal.of(bad))
    }

    /// The actor of a request: a person, or the client itself, by an access token that was issued to the client.
    pub(super) async fn actor(
        &self,
        token: &str,
        token_type: TokenType,
    ) -> Result<ActorToken, TokenError> {
        let bad = |cause: BadToken| TokenError::Exchange(ExchangeError::Actor(cause));
        match token_type {
            TokenType::AccessToken | TokenType::Jwt => {}
            TokenType::RefreshToken | TokenType::IdToken | TokenType::IdentityAssertion => {
                return Err(ExchangeError::TokenType("actor_token_type").into());
            }
        }
        if token.len() > LONGEST {
            return Err(bad(BadToken::Length));
        }
        let judged = self.good_access_token(token, token_type).await;
        let (claims, principal) = judged.map_err(|refusal| refusal.of(bad))?;
        if claims.client_id != *self.client.id() {
            return Err(bad(BadToken::OfAnother));
        }
        if claims.act.is_some() || !claims.subject_tokens.is_empty() {
            return Err(bad(BadToken::HasActor));
        }
        let ends_at = Instant::from_secs(claims.exp);
        let link = SubjectToken {
            jti: claims.jti.clone(),
            client_id: claims.client_id.clone(),
            iat: claims.iat,
            grant_id: claims.grant_id.clone(),
        };
        Ok(ActorToken {
            principal,
            link: Some(link),
            ends_at,
        })
    }

    async fn of_access_token(
        &self,
        token: &str,
        token_type: TokenType,
    ) -> Result<Subject, Refusal> {
        let (claims, principal) = self.good_access_token(token, token_type).await?;
        if !self.may_take(&claims) {
            return Err(BadToken::OfAnother.into());
        }
        let tokens = &self.grantor.tokens;
        // What was taken from its client since is not in its token any more.
        let issued_to = self.grantor.clients.find(&claims.client_id).await;
        let issued_to = issued_to.map_err(TokenError::from)?;
        let issued_to = &issued_to.ok_or(BadToken::ClientGone)?.metadata;
        let normal = claims.aud.normal().to_owned();
        let mut rights = Agreement::default();
        if claims.aud == tokens.own.identifier {
            rights.own = claims.scope.clone();
        } else if !claims.scope.is_empty() {
            rights
                .resources
                .insert(normal.clone(), claims.scope.clone());
        }
        if !claims.authorization_details.is_empty() {
            rights
                .details
                .insert(normal, claims.authorization_details.clone());
        }
        let rights = rights.narrowed(&issued_to.scope);
        let rights = rights.of_types(&issued_to.authorization_details_types);
        let mut subject_tokens = claims.subject_tokens.clone();
        subject_tokens.push(SubjectToken {
            jti: claims.jti.clone(),
            client_id: claims.client_id.clone(),
            iat: claims.iat,
            grant_id: None,
        });
        Ok(Subject {
            principal,
            audience: Some(claims.aud.clone()),
            rights,
            chain: Chain {
                act: claims.act.clone(),
                may_act: claims.may_act.clone(),
                subject_tokens,
                ends_at: Some(Instant::from_secs(claims.exp)),
            },
        })
    }

    /// An access token of this server that is good at this moment, with whom it is about.
    async fn good_access_token(
        &self,
        token: &str,
        token_type: TokenType,
    ) -> Result<(Arc<AccessTokenClaims>, Principal), Refusal> {
        let (tokens, now) = (&self.grantor.tokens, self.now);
        // RFC 8693 §3: of what says that it is a JWT, the form is one.
        if token_type == TokenType::Jwt && token.split('.').count() != 3 {
            return Err(BadToken::Type.into());
        }
        let claims = match tokens.read(token, now).await {
            Ok(claims) => claims,
            Err(UnreadToken::Jwt(error)) => return Err(BadToken::Jwt(error).into()),
            Err(UnreadToken::Unknown | UnreadToken::Damaged) => {
                return Err(BadToken::Opaque.into());
            }
            Err(UnreadToken::Store(error)) => return Err(TokenError::from(error).into()),
        };
        let revoked = tokens.is_revoked(&claims, now).await;
        if revoked.map_err(TokenError::from)? {
            return Err(BadToken::Revoked.into());
        }
        let clients = &self.grantor.clients;
        let issued_to = clients.find(&claims.client_id).await;
        if issued_to.map_err(TokenError::from)?.is_none()
            || !clients
                .has_all(&claims.subject_tokens)
                .await
                .map_err(TokenError::from)?
        {
            return Err(BadToken::ClientGone.into());
        }
        let principal = match &claims.grant_id {
            Some(id) => Principal::Person(self.good_grant(id).await?),
            None => Principal::Client(claims.sub.parse().map_err(|_| BadToken::GrantOver)?),
        };
        Ok((claims, principal))
    }

    /// It was issued to the client, or is for a resource server that the client is, or the operator says that the client may have it.
    fn may_take(&self, claims: &AccessTokenClaims) -> bool {
        let id = self.client.id();
        let server = self.grantor.tokens.resource_servers.find(&claims.aud);
        claims.client_id == *id
            || self.policy.subject_clients.contains(&claims.client_id)
            || server.is_some_and(|server| server.introspection_client_id.as_ref() == Some(id))
    }

    async fn good_grant(&self, id: &GrantId) -> Result<Box<Grant>, Refusal> {
        let found = self.grantor.grants.find(id, self.now).await;
        let found = found.map_err(TokenError::from)?;
        let grant = found.filter(|grant| !grant.is_over);
        Ok(Box::new(grant.ok_or(BadToken::GrantOver)?))
    }

    /// A refresh token of the client's own, the good one of its family. To exchange it is no use of it.
    async fn of_refresh_token(&self, token: &str) -> Result<Subject, Refusal> {
        let presented = PresentedToken::parse(token).ok_or(BadToken::Refresh)?;
        let found = self.grantor.read(&presented, self.now).await;
        let found = found.map_err(TokenError::from)?;
        let (grant, family) = found.ok_or(BadToken::Refresh)?;
        if grant.terms.client_id != *self.client.id() {
            return Err(BadToken::OfAnother.into());
        }
        // From when the client was public.
        if !family.is_bound_to(self.client.confirmation()) {
            return Err(BadToken::OtherKey.into());
        }
        if grant.is_over {
            return Err(BadToken::GrantOver.into());
        }
        let idle_at = family.used_at + self.grantor.grants.lifetimes.idle;
        let expires_at = idle_at.min(family.expires_at);
        if presented.generation != family.generation || expires_at <= self.now {
            return Err(BadToken::Refresh.into());
        }
        if let Some(chain) = &grant.chain {
            let checked = self
                .grantor
                .check_descent(self.client, &grant, chain, self.now);
            match checked.await {
                Ok(()) => {}
                Err(TokenError::GrantOver) => return Err(BadToken::GrantOver.into()),
                Err(error) => return Err(error.into()),
            }
        }
        self.of_own_grant(grant, expires_at)
    }

    /// An ID token of the client's own, within its time, of a grant that goes on.
    async fn of_id_token(&self, token: &str) -> Result<Subject, Refusal> {
        let ring = self.grantor.tokens.keys.ring();
        let checks = Checks {
            issuer: &self.grantor.tokens.issuer,
            client_id: Some(self.client.id()),
            keys: ring.verifying(),
        };
        let hint = checks.verify(token).map_err(BadToken::IdToken)?;
        let (id, expires_at) = hint.granted().ok_or(BadToken::IdTokenOver)?;
        if expires_at <= self.now {
            return Err(BadToken::IdTokenOver.into());
        }
        let grant = self.good_grant(id).await?;
        if grant.terms.client_id != *self.client.id() {
            return Err(BadToken::OfAnother.into());
        }
        self.of_own_grant(*grant, expires_at)
    }

    fn of_own_grant(&self, grant: Grant, ends_at: Instant) -> Result<Subject, Refusal> {
        let rights = Grantor::allowed(self.client, &grant.terms)?;
        let chain = match &grant.chain {
            Some(chain) => chain.clone(),
            None => Chain::of_client(self.metadata),
        };
        Ok(Subject {
            principal: Principal::Person(Box::new(grant)),
            audience: None,
            rights,
            chain: Chain {
                ends_at: Some(ends_at),
                ..chain
            },
        })
    }
}

/// Why a token is not taken, or was not looked at.
enum Refusal {
    Token(BadToken),
    Other(TokenError),
}

impl Refusal {
    fn of(self, bad: impl Fn(BadToken) -> TokenError) -> TokenError {
        match self {
            Self::Token(cause) => bad(cause),
            Self::Other(error) => error,
        }
    }
}

impl From<BadToken> for Refusal {
    fn from(cause: BadToken) -> Self {
        Self::Token(cause)
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Other(error)
    }
}
