//! What tokens would say: made by the functions that issue them, up to the signature, and written nowhere. Not what they are bound to
//! (`cnf`), for that is what the request that brings them proves.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use shared_protocol::jose::{JwtKind, Signer, header_of};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::access_token::{AccessTokens, Order};
use super::audience::Audience;
use super::chain::Chain;
use super::error::TokenError;
use super::{GrantName, Target, client_credentials, password, person};
use crate::accounts::{Account, AccountId};
use crate::authorize::acr::{Levels, Proof, RequestedAcr};
use crate::authorize::error::RedirectCause;
use crate::authorize::request::OwnScope;
use crate::authorize::targets::Targets;
use crate::claims::{ClaimSet, GrantedClaims, Told};
use crate::clients::{Client, ClientMetadata, GrantType};
use crate::grants::{GrantId, Terms};
use crate::id_token::IdTokenOrder;
use crate::parameters::Parameters;
use crate::resource_servers::TokenFormat;
use crate::sessions::{Amr, SessionId};
use crate::store::accounts::PersonRow;
use crate::subjects::SubjectType;

/// What would be asked for.
pub struct Question {
    /// By whom.
    pub client: Arc<Client>,
    /// For whom, where it does not act for itself.
    pub person: Option<Account>,
    /// By which grant.
    pub grant: GrantName,
    /// `scope` and `resource`, as at the authorization endpoint and the token endpoint.
    pub asked: Parameters,
}

/// Why there would be no token.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The authorization endpoint would say so.
    #[error("{}: {_0}", _0.code().as_str())]
    Authorize(#[from] RedirectCause),
    /// The token endpoint would.
    #[error("{}: {_0}", _0.wire().1.as_str())]
    Token(#[from] TokenError),
    /// The grant is of a person, and none was named.
    #[error("{} is a grant of people: name one", .0.as_str())]
    NoPerson(GrantName),
    /// A person was named where a client acts for itself.
    #[error("by client_credentials a client acts for itself: name no person, or another grant")]
    APerson,
    /// What comes of it is for the token to say that is shown.
    #[error("what comes of {} depends on the token that is shown: preview the grant that brought that one", .0.as_str())]
    OfAToken(GrantName),
    /// The person may not sign in.
    #[error("access_denied: the account is disabled")]
    Disabled,
}

/// One token, unsigned.
#[derive(Serialize)]
pub struct Unsigned {
    /// How it is written.
    pub format: TokenFormat,
    /// Its header, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Value>,
    /// What it says; of an opaque one, what its resource server is told by introspection.
    pub claims: Map<String, Value>,
    /// Where each of these claims comes from.
    pub sources: Map<String, Value>,
}

/// What would be issued.
#[derive(Serialize)]
pub struct Preview {
    /// The access token.
    pub access_token: Unsigned,
    /// What the token response would say that it allows, here and at its audience.
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
    /// How long it would live.
    pub expires_in: u64,
    /// The ID token, for OpenID Connect. That it names this access token (`at_hash`) cannot be said before there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<Unsigned>,
    /// What userinfo would tell by this access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo: Option<Map<String, Value>>,
}

/// Shows what is issued.
pub struct Previewer<'a> {
    /// Makes the claims.
    pub tokens: &'a AccessTokens,
    /// How sure a sign-in makes the client.
    pub levels: &'a Levels,
    /// Whether clients may be told passwords.
    pub password_grant: bool,
}

impl Previewer<'_> {
    /// What would be issued at `now` to this client, if the person signed in by a password and agreed to all that is asked for.
    ///
    /// # Errors
    /// [`Refusal`], as precisely as the log would have it.
    pub async fn preview(&self, question: &Question, now: Instant) -> Result<Preview, Refusal> {
        match (question.grant, &question.person) {
            (grant @ (GrantName::TokenExchange | GrantName::JwtBearer), _) => {
                Err(Refusal::OfAToken(grant))
            }
            (GrantName::ClientCredentials, None) => self.of_client(question, now).await,
            (GrantName::ClientCredentials, Some(_)) => Err(Refusal::APerson),
            (grant, None) => Err(Refusal::NoPerson(grant)),
            (_, Some(account)) if account.disabled => Err(Refusal::Disabled),
            (_, Some(account)) => self.of_person(question, account, now).await,
        }
    }

    async fn of_client(&self, question: &Question, now: Instant) -> Result<Preview, Refusal> {
        let (client, tokens) = (&*question.client, self.tokens);
        let target = target(&question.asked, true)?;
        let audience = client_credentials::audience(client, &target, tokens)?;
        tokens.check_signer(&audience, now)?;
        let (mapped, _) = tokens.mapped(&audience, &client.metadata, None).await?;
        let (scope, about) = (audience.scope.clone(), audience.clone());
        let order = Order {
            client_id: &client.id,
            subject: client.id.to_string(),
            audience,
            on_behalf: None,
            chain: Chain::default(),
            confirmation: None,
            mapped,
        };
        Ok(Preview {
            access_token: self.access_token(order, (&about, &client.metadata), now)?,
            scope,
            expires_in: about.server.lifetime.as_secs(),
            id_token: None,
            userinfo: None,
        })
    }

    async fn of_person(
        &self,
        question: &Question,
        account: &Account,
        now: Instant,
    ) -> Result<Preview, Refusal> {
        let (client, tokens) = (&*question.client, self.tokens);
        let metadata = &client.metadata;
        let terms = self.terms(question, account.id.clone(), now)?;
        let target = target(&question.asked, false)?;
        let allowed = person::allowed_to(metadata, &terms.agreed)?;
        let allowed = target.of(allowed, &tokens.resource_servers)?;
        let audience = tokens.audience_of_grant(&allowed, &target, metadata)?;
        tokens.check_signer(&audience, now)?;
        let mapped = tokens.mapped(&audience, metadata, Some(&account.id));
        let (mapped, _) = mapped.await?;
        let id = GrantId::generate(&*tokens.random);
        let about = audience.clone();
        let rests = (Chain::of_client(metadata), None);
        let order = tokens.order(client, (&id, &terms), (audience, mapped), rests);
        let own = &allowed.own;
        let (mut id_token, mut userinfo) = (None, None);
        if OwnScope::OpenId.is_in(own) {
            let person = tokens.person(&account.id).await?;
            id_token = Some(self.id_token(client, (&id, &terms), &person, now)?);
            let told = Told {
                person: &person,
                claims: ClaimSet::of_scope(own),
            };
            let mut known = members(&told);
            let subject = tokens.subjects.of(metadata, &account.id);
            known.insert("sub".to_owned(), subject.into());
            userinfo = Some(known);
        }
        Ok(Preview {
            access_token: self.access_token(order, (&about, metadata), now)?,
            scope: own.iter().chain(about.scope.iter()).cloned().collect(),
            expires_in: about.server.lifetime.as_secs(),
            id_token,
            userinfo,
        })
    }

    /// What the person would have allowed.
    fn terms(
        &self,
        question: &Question,
        account_id: AccountId,
        now: Instant,
    ) -> Result<Terms, Refusal> {
        let client = &*question.client;
        let metadata = &client.metadata;
        let (servers, issuer) = (&self.tokens.resource_servers, &*self.tokens.issuer);
        let registered = |grant: GrantType| {
            if metadata.grant_types.contains(&grant) {
                Ok(())
            } else {
                Err(TokenError::UnauthorizedClient(grant))
            }
        };
        let agreed = if question.grant == GrantName::Password {
            if !self.password_grant {
                return Err(TokenError::UnsupportedGrantType.into());
            }
            password::check_client(metadata)?;
            password::agreed(client, &question.asked, servers, issuer)?
        } else {
            registered(if question.grant == GrantName::DeviceCode {
                GrantType::DeviceCode
            } else {
                GrantType::AuthorizationCode
            })?;
            if question.grant == GrantName::RefreshToken {
                registered(GrantType::RefreshToken)?;
            }
            Targets::choose(client, &question.asked, servers, issuer)?.asked
        };
        let amr = vec![Amr::Pwd];
        let is_openid = OwnScope::OpenId.is_in(&agreed.own);
        let wanted = RequestedAcr::parse(client, &question.asked, is_openid, self.levels)?;
        let proof = Proof {
            amr: &amr,
            age: Duration::ZERO,
        };
        let acr = wanted.reached(proof).map(str::to_owned);
        Ok(Terms {
            client_id: client.id.clone(),
            account_id,
            session_id: Some(SessionId::generate(&*self.tokens.random)),
            offline: OwnScope::OfflineAccess.is_in(&agreed.own),
            claims: GrantedClaims::default(),
            agreed,
            auth_time: Some(now),
            amr,
            acr,
        })
    }

    fn access_token(
        &self,
        order: Order<'_>,
        (audience, metadata): (&Audience, &ClientMetadata),
        now: Instant,
    ) -> Result<Unsigned, TokenError> {
        let has_person = order.on_behalf.is_some();
        let claims = members(&self.tokens.claims(order, now));
        let header = match audience.format {
            TokenFormat::Jwt => {
                let signer = self.tokens.signer(&audience.server, now)?;
                Some(header(JwtKind::AccessToken, &*signer))
            }
            TokenFormat::Opaque => None,
        };
        let source = |claim: &str| match claim {
            "sub" if !has_person => "the client, which acts for itself".into(),
            "sub" if self.tokens.own.identifier == audience.server.identifier => {
                named(metadata.subject_type(), "the client")
            }
            "sub" => named(audience.server.subject_type, "the resource server"),
            "aud" => format!("resource server {}", audience.server.name),
            "exp" => format!(
                "lifetime of the resource server: {} s",
                audience.server.lifetime.as_secs()
            ),
            "scope" => "scopes of the resource server, of those asked for and allowed".into(),
            _ => {
                let mapped = audience.server.source_of(claim);
                mapped.unwrap_or_else(|| standard(claim).into())
            }
        };
        Ok(Unsigned {
            format: audience.format,
            sources: sources(&claims, source),
            header,
            claims,
        })
    }

    fn id_token(
        &self,
        client: &Client,
        (id, terms): (&GrantId, &Terms),
        person: &PersonRow,
        now: Instant,
    ) -> Result<Unsigned, TokenError> {
        let metadata = &client.metadata;
        let signer = self.tokens.id_token_signer(metadata, now)?;
        let order = IdTokenOrder {
            client,
            terms,
            grant_id: Some(id),
            ends_at: None,
            nonce: None,
            // It comes with one, and so tells nothing that could be had by that.
            access_token: Some(""),
            code: None,
            person: None,
        };
        let claims = self
            .tokens
            .id_token_claims(&order, Some(person), signer.algorithm(), now);
        let mut claims = members(&claims);
        claims.remove("at_hash");
        let source = |claim: &str| match claim {
            "sub" => named(metadata.subject_type(), "the client"),
            "aud" | "azp" => "the client".into(),
            "exp" => "five minutes from now".into(),
            "sid" => "the session, as the client calls it".into(),
            _ => standard(claim).into(),
        };
        Ok(Unsigned {
            format: TokenFormat::Jwt,
            sources: sources(&claims, source),
            header: Some(header(JwtKind::IdToken, &*signer)),
            claims,
        })
    }
}

/// What the token endpoint is asked for. What a person allowed is asked for at the authorization endpoint.
fn target(asked: &Parameters, with_scope: bool) -> Result<Target, TokenError> {
    let scope = asked.optional("scope").filter(|_| with_scope);
    let resource = asked.optional("resource").map(str::parse).transpose();
    Ok(Target {
        scope: scope
            .map(str::parse)
            .transpose()
            .map_err(|_| TokenError::InvalidScope)?,
        resource: resource.map_err(|_| TokenError::UnknownResource)?,
        details: None,
    })
}

/// An object as its members.
fn members(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        // Nothing else is shown.
        Ok(_) | Err(_) => Map::new(),
    }
}

fn header(kind: JwtKind, signer: &dyn Signer) -> Value {
    json!(header_of(kind, signer))
}

fn sources(claims: &Map<String, Value>, of: impl Fn(&str) -> String) -> Map<String, Value> {
    let sources = claims.keys().map(|name| (name.clone(), of(name).into()));
    sources.collect()
}

fn named(kind: SubjectType, by: &str) -> String {
    match kind {
        SubjectType::Public => {
            format!("the person, as {by} calls them: the id of their account (public)")
        }
        SubjectType::Pairwise => {
            format!("the person, as {by} calls them: a name that its sector alone knows (pairwise)")
        }
    }
}

fn standard(claim: &str) -> &'static str {
    match claim {
        "iss" => "this server",
        "client_id" => "the client",
        "iat" => "now",
        "jti" => "drawn anew for each token",
        "auth_time" => "when the person signed in",
        "amr" => "how the person signed in: here, by a password",
        "acr" => "authorization.acr: the level that this sign-in reaches",
        "grant_id" => "what the person allowed: drawn anew",
        _ => "what is known of the person",
    }
}
