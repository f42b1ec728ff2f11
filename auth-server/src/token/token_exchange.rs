//! Token exchange (RFC 8693): a service trades a token that it was shown, or has, for one by which it calls the next service.
//!
//! Who may, and for what, an operator says ([`ExchangePolicy`]). The new token is never more than the old one: it is for one audience of
//! the policy, of the scopes that `Subject::rights_at` leaves, ends no later, and dies with the grant, with the token and with each
//! client that it came by.

pub mod error;
mod identity_assertion;
mod request;
mod subject;
mod target;

use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::random;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use self::error::{BadToken, ExchangeError};
pub use self::request::ExchangeRequest;
use self::subject::{Principal, Subject};
use super::access_token::{OnBehalf, Order, token_type};
use super::audience::Audience;
use super::chain::{Actor, Chain};
use super::error::TokenError;
use super::token_type::TokenType;
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::claims::GrantedClaims;
use crate::clients::authenticate::AuthenticatedClient;
use crate::clients::exchange_policy::ExchangePolicy;
use crate::clients::{ClientMetadata, GrantType};
use crate::grants::{Descent, Grant, GrantId, Terms};
use crate::id_token::IdTokenOrder;
use crate::resource_servers::{ResourceServer, TokenFormat};
use crate::subjects::SubjectType;

/// How a token that is no access token is presented (RFC 8693 §2.2.1).
const NOT_APPLICABLE: &str = "N_A";

/// Exchanges a token. Nothing is spent by it.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    request: &ExchangeRequest,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let metadata = &client.client().metadata;
    if !client.is_confidential() {
        return Err(TokenError::ConfidentialOnly);
    }
    let registered = metadata.grant_types.contains(&GrantType::TokenExchange);
    let policy = metadata.token_exchange.as_ref().filter(|_| registered);
    let policy = policy.ok_or(TokenError::UnauthorizedClient(GrantType::TokenExchange))?;
    if !policy.requested_token_types.contains(&request.requested) {
        return Err(ExchangeError::RequestedType.into());
    }
    let exchange = Exchange {
        client,
        metadata,
        policy,
        grantor,
        now,
    };
    let subject = exchange.subject(request).await?;
    if let Principal::Person(grant) = &subject.principal {
        let person = grant.terms.account_id.as_str().as_bytes();
        let standing = grantor.accounts.admit(person, now).await?;
        client.standings().note(standing);
    }
    let response = match request.requested {
        TokenType::AccessToken | TokenType::Jwt => exchange.access_token(request, subject).await,
        TokenType::RefreshToken => exchange.refresh_token(request, subject).await,
        TokenType::IdToken => exchange.id_token(request, subject).await,
        TokenType::IdentityAssertion => exchange.identity_assertion(request, subject).await,
    }?;
    grantor
        .tokens
        .metrics
        .token_issued(GrantName::TokenExchange);
    Ok(response)
}

/// From now until then, as the claims of the token have both.
fn seconds(until: Instant, now: Instant) -> u64 {
    u64::try_from(until.as_secs() - now.as_secs()).unwrap_or_default()
}

/// One exchange by a client that may make some.
struct Exchange<'a> {
    client: &'a AuthenticatedClient,
    metadata: &'a ClientMetadata,
    policy: &'a ExchangePolicy,
    grantor: &'a Grantor,
    now: Instant,
}

/// What comes of a subject and an actor at an audience.
struct Exchanged {
    /// What may be done there.
    allowed: Agreement,
    audience: Audience,
    chain: Chain,
}

impl Exchange<'_> {
    async fn access_token(
        &self,
        request: &ExchangeRequest,
        subject: Subject,
    ) -> Result<TokenResponse, TokenError> {
        let Exchanged {
            audience, chain, ..
        } = self.exchange(request, &subject).await?;
        if request.requested == TokenType::Jwt && audience.format == TokenFormat::Opaque {
            return Err(ExchangeError::OpaqueTarget.into());
        }
        let tokens = &self.grantor.tokens;
        let ends_at = chain.end(self.now + audience.server.lifetime);
        let on_behalf = match &subject.principal {
            Principal::Person(grant) => {
                // What ends the grant must be told for as long as this lives; nothing is written where it outlives nothing.
                let grants = &self.grantor.grants;
                if !grants.cover(grant, ends_at).await? {
                    return Err(ExchangeError::Subject(BadToken::GrantOver).into());
                }
                Some(OnBehalf {
                    account_id: &grant.terms.account_id,
                    grant_id: &grant.id,
                    auth_time: grant.terms.auth_time,
                    amr: &grant.terms.amr,
                    acr: grant.terms.acr.as_deref(),
                })
            }
            Principal::Client(_) => None,
        };
        let account_id = on_behalf.map(|person| person.account_id);
        let (mapped, _) = tokens.mapped(&audience, self.metadata, account_id).await?;
        let (scope, authorization_details) = (audience.scope.clone(), audience.details.clone());
        let order = Order {
            client_id: self.client.id(),
            subject: self.name(&subject.principal, &audience.server),
            audience,
            on_behalf,
            chain,
            // Whoever asked for it is who presents it, whatever the token was bound to that it is exchanged for.
            confirmation: self.client.confirmation().cloned(),
            mapped,
        };
        Ok(TokenResponse {
            access_token: tokens.issue(order, self.now).await?,
            issued_token_type: Some(request.requested),
            token_type: token_type(self.client.confirmation()),
            expires_in: seconds(ends_at, self.now),
            scope,
            authorization_details,
            refresh_token: None,
            id_token: None,
        })
    }

    /// A grant of the client's own, which ends with the one that it is made of.
    async fn refresh_token(
        &self,
        request: &ExchangeRequest,
        subject: Subject,
    ) -> Result<TokenResponse, TokenError> {
        let Exchanged {
            allowed,
            audience,
            chain,
        } = self.exchange(request, &subject).await?;
        let Principal::Person(parent) = &subject.principal else {
            return Err(ExchangeError::NoPerson.into());
        };
        check_signed_in(parent)?;
        // One is made of what a person granted, and not of one that was made so: there is no end to that.
        if subject.audience.is_none() && parent.chain.is_some() {
            return Err(ExchangeError::TooLong.into());
        }
        let (grants, now) = (&self.grantor.grants, self.now);
        let random = &*self.grantor.tokens.random;
        let id = GrantId::generate(random);
        let salt: [u8; 16] = random::bytes(random);
        let mut terms = self.terms(parent, allowed);
        // What outlives its session does so whether or not that is over by now.
        terms.session_id.take_if(|_| terms.offline);
        // As everything that is brought by an exchange, it does not outlive the token that was shown: for so long it is known what became
        // of that, and of whoever acted by it.
        let expires_at = chain.end(parent.expires_at.min(now + grants.lifetimes.absolute));
        let descent = Descent {
            id: &id,
            terms: &terms,
            parent,
            chain: &chain,
            salt,
            expires_at,
        };
        let made = grants.descend(&descent, now).await?;
        made.ok_or(ExchangeError::Subject(BadToken::GrantOver))?;
        let idle_at = now + grants.lifetimes.idle;
        Ok(TokenResponse {
            access_token: self.grantor.refresh_tokens.derive(&id, &salt, 0),
            issued_token_type: Some(request.requested),
            token_type: NOT_APPLICABLE,
            expires_in: seconds(idle_at.min(expires_at), now),
            scope: audience.scope,
            authorization_details: audience.details,
            refresh_token: None,
            id_token: None,
        })
    }

    /// Who the person is, for the client alone, where they granted somebody to know that: no more than by what name it knows them.
    async fn id_token(
        &self,
        request: &ExchangeRequest,
        subject: Subject,
    ) -> Result<TokenResponse, TokenError> {
        self.check_own_target(request)?;
        // Whoever may not act for the person does not learn of them by acting either.
        let chain = self.chain(request, &subject, None).await?;
        let Principal::Person(grant) = &subject.principal else {
            return Err(ExchangeError::NoPerson.into());
        };
        check_signed_in(grant)?;
        let open_id: ScopeSet = OwnScope::OpenId.as_str().parse().unwrap_or_default();
        let is_asked = request.scope.as_ref().is_none_or(|scope| *scope == open_id);
        if !OwnScope::OpenId.is_in(&self.metadata.scope) || !is_asked {
            return Err(TokenError::InvalidScope);
        }
        if !OwnScope::OpenId.is_in(&grant.terms.agreed.own) {
            return Err(ExchangeError::NoPerson.into());
        }
        let own = Agreement {
            own: open_id,
            ..Agreement::default()
        };
        let terms = self.terms(grant, own);
        let order = IdTokenOrder {
            client: self.client.client(),
            terms: &terms,
            grant_id: None,
            ends_at: chain.ends_at,
            nonce: None,
            access_token: None,
            code: None,
            person: None,
        };
        Ok(TokenResponse {
            access_token: self.grantor.tokens.issue_id_token(&order, self.now).await?,
            issued_token_type: Some(request.requested),
            token_type: NOT_APPLICABLE,
            expires_in: seconds(order.expires_at(self.now), self.now),
            scope: terms.agreed.own.clone(),
            authorization_details: AuthorizationDetails::default(),
            refresh_token: None,
            id_token: None,
        })
    }

    /// What the client may do at the target, and in whose name.
    async fn exchange(
        &self,
        request: &ExchangeRequest,
        subject: &Subject,
    ) -> Result<Exchanged, TokenError> {
        let tokens = &self.grantor.tokens;
        let server = self.target(request, subject)?;
        let chain = self.chain(request, subject, Some(&server)).await?;
        let rights = subject.rights_at(
            &server,
            self.policy,
            tokens.own.identifier == server.identifier,
        );
        let rights = rights.narrowed(&self.metadata.scope);
        let rights = rights.of_types(&self.metadata.authorization_details_types);
        if rights.is_empty() {
            return Err(TokenError::NoScope);
        }
        let target = Target {
            scope: request.scope.clone(),
            resource: Some(server.identifier.clone()),
            details: request.details.clone(),
        };
        let allowed = target.of(rights, &tokens.resource_servers)?;
        if allowed.is_empty() {
            return Err(TokenError::NoScope);
        }
        let audience = tokens.audience_of_grant(&allowed, &target, self.metadata)?;
        tokens.check_signer(&audience, self.now)?;
        Ok(Exchanged {
            allowed,
            audience,
            chain,
        })
    }

    /// Who acts from now on, for whom nobody but them may, and until when.
    async fn chain(
        &self,
        request: &ExchangeRequest,
        subject: &Subject,
        server: Option<&ResourceServer>,
    ) -> Result<Chain, TokenError> {
        let mut chain = subject.chain.clone();
        let acts = match &request.actor {
            Some((token, token_type)) if self.policy.delegation => {
                let actor = self.actor(token, *token_type).await?;
                chain.subject_tokens.extend(actor.link);
                chain.ends_at = chain.ends_at.into_iter().chain([actor.ends_at]).min();
                let sub = match (&actor.principal, server) {
                    (Principal::Client(id), _) => Some(id.to_string()),
                    (person, Some(server)) => Some(self.name(person, server)),
                    (_, None) => None,
                };
                Some(Actor {
                    sub,
                    ..Actor::client(self.client.id())
                })
            }
            Some(_) => return Err(ExchangeError::NoDelegation.into()),
            None if self.policy.impersonation => None,
            None => Some(Actor::client(self.client.id())),
        };
        // RFC 8693 §4.4. Who is the subject without being seen to act for them must be no less trusted.
        if let Some(may_act) = &chain.may_act {
            let is_client = may_act.client_id == *self.client.id();
            let is_itself = acts
                .as_ref()
                .is_none_or(|acts| acts.sub.as_deref() == Some(&*may_act.sub));
            if !is_client || !is_itself {
                return Err(ExchangeError::MayAct.into());
            }
        }
        // What one audience alone calls people is nothing that another may know.
        let before = chain.act.take().map(|before| {
            if server.is_some_and(|server| self.is_called_alike(subject, server)) {
                before
            } else {
                Box::new(before.without_names())
            }
        });
        chain.act = match acts {
            Some(acts) => Some(Box::new(Actor {
                act: before,
                ..acts
            })),
            None => before,
        };
        if chain.is_too_long() {
            return Err(ExchangeError::TooLong.into());
        }
        Ok(chain)
    }

    /// Whether people are called the same at the audience of the subject token and at this one.
    fn is_called_alike(&self, subject: &Subject, server: &ResourceServer) -> bool {
        // This server calls people as each client does.
        if server.identifier == self.grantor.tokens.own.identifier {
            return false;
        }
        let Some(from) = &subject.audience else {
            return false;
        };
        let known = self.grantor.tokens.resource_servers.find(from);
        *from == server.identifier
            || known.is_some_and(|known| {
                [known.subject_type, server.subject_type] == [SubjectType::Public; 2]
            })
    }

    /// What somebody is called at a resource server: of a person, found out anew, and never what another calls them.
    fn name(&self, principal: &Principal, server: &ResourceServer) -> String {
        match principal {
            Principal::Person(grant) => {
                let account_id = &grant.terms.account_id;
                let tokens = &self.grantor.tokens;
                tokens.subject(server, self.metadata, account_id)
            }
            Principal::Client(id) => id.to_string(),
        }
    }

    /// What of a grant the client has a part in.
    fn terms(&self, grant: &Grant, agreed: Agreement) -> Terms {
        Terms {
            client_id: self.client.id().clone(),
            agreed,
            claims: GrantedClaims::default(),
            ..grant.terms.clone()
        }
    }
}

/// Of whom another issuer spoke, nobody signed in here: what is brought by that word ends soon, and this server does not say it again as
/// its own.
fn check_signed_in(grant: &Grant) -> Result<(), ExchangeError> {
    if grant.is_of_another_issuer {
        Err(ExchangeError::NoPerson)
    } else {
        Ok(())
    }
}

impl Grantor {
    /// Whether a grant that was exchanged for another may still bring tokens: the operator may have changed their mind, and each client
    /// that it came by must be there. What it was exchanged for and was revoked takes it along, for good.
    pub(crate) async fn check_descent(
        &self,
        client: &AuthenticatedClient,
        grant: &Grant,
        chain: &Chain,
        now: Instant,
    ) -> Result<(), TokenError> {
        let policy = client.client().metadata.token_exchange.as_ref();
        let agreed = &grant.terms.agreed;
        let is_allowed = policy.is_some_and(|policy| {
            let may_have = |normal: &str| policy.audiences.iter().any(|id| id.normal() == normal);
            let mut resources = agreed.resources.keys().chain(agreed.details.keys());
            policy
                .requested_token_types
                .contains(&TokenType::RefreshToken)
                && (chain.act.is_some() || policy.impersonation)
                && resources.all(|normal| may_have(normal))
                && (agreed.own.is_empty() || may_have(self.tokens.own.identifier.normal()))
        });
        if !is_allowed {
            return Err(TokenError::GrantOver);
        }
        if self
            .tokens
            .is_any_revoked(&chain.subject_tokens, now)
            .await?
            || !self.clients.has_all(&chain.subject_tokens).await?
        {
            self.grants.revoke(&grant.id, now).await?;
            return Err(TokenError::GrantOver);
        }
        Ok(())
    }
}
