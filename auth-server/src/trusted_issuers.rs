//! Issuers that may speak for people or clients here (RFC 7521 §4.1, RFC 7523 §2.1): an operator registers each with what is believed
//! of it, and every node holds them in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::{ScopeSet, ScopeToken};
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};
use tokio::sync::Mutex;

use crate::accounts::email::EmailAddress;
use crate::assertions::MAX_LIFETIME;
use crate::clients::jwks_uri::KeyPlace;
use crate::clients::url::ClientUrl;
use crate::grants::{GrantsOf, revoke_of};
use crate::revocations::Revocations;
use crate::store::trusted_issuers::TrustedIssuerRow;
use crate::store::{changes, trusted_issuers};

/// The kind of a change to a trusted issuer, in the table of changes.
pub const CHANGE: &str = "trusted_issuer";

/// The most clients, resources or domains of one issuer.
const MOST: usize = 1000;

/// What an issuer's assertions are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionKind {
    /// Plain ones (RFC 7523 §2.1).
    Jwt,
    /// Grants for one client, of a person who signed in at the issuer (draft-ietf-oauth-identity-assertion-authz-grant-03).
    IdJag,
}

impl AssertionKind {
    /// The kind of JWT that they are.
    #[must_use]
    pub const fn jwt(self) -> JwtKind {
        match self {
            Self::Jwt => JwtKind::BearerAssertion,
            Self::IdJag => JwtKind::IdentityAssertion,
        }
    }
}

/// Whom the `sub` of an issuer's assertions names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectRule {
    /// The account of this id.
    AccountId,
    /// The account that the operator linked to it.
    Linked,
    /// The account of the address that the issuer verified.
    VerifiedEmail,
    /// The client that shows it: the token is the client's own.
    Client,
}

/// An issuer, and what is believed of it.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// The `iss` of its assertions.
    pub issuer: Issuer,
    /// What is believed of it.
    pub policy: Policy,
    keys: Arc<JwkSet>,
}

/// What is believed of an issuer, as it is kept and shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What its assertions are.
    pub kind: AssertionKind,
    /// Its public keys, by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where it publishes them; never beside `jwks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<ClientUrl>,
    /// What it may sign with.
    pub algorithms: Vec<Algorithm>,
    /// Whom `sub` names.
    pub subject: SubjectRule,
    /// Where addresses may be that it verifies, in lower case.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub email_domains: BTreeSet<String>,
    /// The clients that may show its assertions; any that is registered for the grant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<BTreeSet<ClientId>>,
    /// Whether a client may be among them that cannot prove who it is.
    #[serde(default)]
    pub public_clients: bool,
    /// The scopes that it may bring.
    pub scope: ScopeSet,
    /// The resources that it may bring them for; wherever the scopes belong when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceId>,
    /// How far ahead the `exp` of its assertions may lie, in seconds.
    pub max_lifetime_seconds: u64,
}

/// What makes no sense of an issuer.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPolicy {
    /// RFC 7521 §4.1 is for issuers beside this one, and an ID-JAG of our own must not come back (draft, "Cross-Domain Use").
    #[error("this server is no issuer beside itself")]
    Itself,
    /// No keys, or two places of them.
    #[error("the keys of an issuer are in one place: --jwks or --jwks-uri")]
    Places,
    /// What is never sent names nothing that could be fetched.
    #[error("jwks_uri: a URL that is fetched has no fragment; leave out # and what follows")]
    Fragment,
    /// Not a set of public keys.
    #[error("jwks: {0}")]
    Keys(String),
    /// No key could verify anything.
    #[error("jwks holds no public key of these algorithms: {0:?}")]
    NoKey(Vec<Algorithm>),
    /// Nothing that it could sign with.
    #[error("an issuer signs with one algorithm at least: --alg")]
    NoAlgorithm,
    /// Nothing that it could bring.
    #[error("an issuer brings one scope at least: --scope")]
    NoScope,
    /// OpenID Connect Core §11: it asks the person, whom nobody asks here.
    #[error(
        "offline_access cannot be brought: there is no refresh token by an assertion (RFC 7521 section 4.1)"
    )]
    Offline,
    /// Addresses anywhere, or domains for nothing.
    #[error("--email-domain goes with --subject verified_email, which needs one at least")]
    Domains,
    /// Not the part of an address behind its `@`.
    #[error("{0} is not the domain of a mail address, in lower case")]
    Domain(String),
    /// An ID-JAG is of a person.
    #[error("an ID-JAG is of a person; --subject client is for plain assertions")]
    ClientGrant,
    /// Whoever shows it would be whom it names.
    #[error("--subject client is for confidential clients; leave out --public-clients")]
    PublicClient,
    /// Too long, or never.
    #[error("--max-lifetime is 1s to 1h")]
    Lifetime,
    /// Too many of something.
    #[error("there are too many {0}")]
    TooMany(&'static str),
}

impl TrustedIssuer {
    /// The one validation of an issuer.
    ///
    /// # Errors
    /// [`InvalidPolicy`].
    pub fn new(issuer: Issuer, policy: Policy) -> Result<Self, InvalidPolicy> {
        policy.check()?;
        let keys = policy.keys()?;
        Ok(Self {
            issuer,
            policy,
            keys: Arc::new(keys),
        })
    }

    /// Where its keys are.
    #[must_use]
    pub fn keys(&self) -> KeyPlace<'_> {
        KeyPlace {
            published: self.policy.jwks_uri.as_ref(),
            registered: &self.keys,
        }
    }

    /// Whether a client may show its assertions.
    #[must_use]
    pub fn admits(&self, client: &ClientId, is_confidential: bool) -> bool {
        let clients = self.policy.clients.as_ref();
        clients.is_none_or(|clients| clients.contains(client))
            && (is_confidential || self.policy.public_clients)
    }
}

impl Policy {
    fn check(&self) -> Result<(), InvalidPolicy> {
        let counts = [
            ("clients", self.clients.as_ref().map_or(0, BTreeSet::len)),
            ("resources", self.resources.len()),
            ("domains", self.email_domains.len()),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count > MOST) {
            return Err(InvalidPolicy::TooMany(what));
        }
        // What is written down must be readable again.
        if self.scope.to_string().parse::<ScopeSet>().is_err() {
            return Err(InvalidPolicy::TooMany("scopes"));
        }
        let is_offline = |scope: &ScopeToken| scope.as_str() == "offline_access";
        if self.scope.is_empty() {
            return Err(InvalidPolicy::NoScope);
        }
        if self.scope.iter().any(is_offline) {
            return Err(InvalidPolicy::Offline);
        }
        let by_address = self.subject == SubjectRule::VerifiedEmail;
        if by_address == self.email_domains.is_empty() {
            return Err(InvalidPolicy::Domains);
        }
        if let Some(other) = self.email_domains.iter().find(|domain| !is_domain(domain)) {
            return Err(InvalidPolicy::Domain(other.clone()));
        }
        if self.subject == SubjectRule::Client && self.kind == AssertionKind::IdJag {
            return Err(InvalidPolicy::ClientGrant);
        }
        if self.subject == SubjectRule::Client && self.public_clients {
            return Err(InvalidPolicy::PublicClient);
        }
        if !(1..=MAX_LIFETIME.as_secs()).contains(&self.max_lifetime_seconds) {
            return Err(InvalidPolicy::Lifetime);
        }
        Ok(())
    }

    fn keys(&self) -> Result<JwkSet, InvalidPolicy> {
        if self.algorithms.is_empty() {
            return Err(InvalidPolicy::NoAlgorithm);
        }
        match (&self.jwks, &self.jwks_uri) {
            (None, Some(url)) if url.has_fragment() => Err(InvalidPolicy::Fragment),
            (None, Some(_)) => Ok(JwkSet::default()),
            (Some(Value::Object(set)), None) => {
                let keys = JwkSet::from_object(set);
                let keys = keys.map_err(|error| InvalidPolicy::Keys(error.to_string()))?;
                let fits = |alg: &Algorithm| keys.candidates(None, *alg).next().is_some();
                if self.algorithms.iter().any(fits) {
                    Ok(keys)
                } else {
                    Err(InvalidPolicy::NoKey(self.algorithms.clone()))
                }
            }
            (Some(_), None) => Err(InvalidPolicy::Keys("not an object".into())),
            (None, None) | (Some(_), Some(_)) => Err(InvalidPolicy::Places),
        }
    }

    /// How far ahead the `exp` of its assertions may lie.
    #[must_use]
    pub fn max_lifetime(&self) -> Duration {
        Duration::from_secs(self.max_lifetime_seconds)
    }
}

/// Whether an address may end so, in its normal form.
fn is_domain(domain: &str) -> bool {
    let address = format!("jo@{domain}").parse::<EmailAddress>();
    address.is_ok_and(|address| address.domain() == domain)
}

/// Why the trusted issuers could not be had, or changed.
#[derive(Debug, thiserror::Error)]
pub enum TrustedIssuersError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A row that our own checks would not have let in.
    #[error("the row of trusted issuer {0} is damaged")]
    Damaged(String),
    /// It makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidPolicy),
}

/// The trusted issuers of one moment.
#[derive(Default)]
pub struct Snapshot(HashMap<Box<str>, Arc<TrustedIssuer>>);

impl Snapshot {
    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any brings assertions of this kind.
    #[must_use]
    pub fn has(&self, kind: AssertionKind) -> bool {
        self.0.values().any(|issuer| issuer.policy.kind == kind)
    }
}

/// All trusted issuers, held in memory.
#[derive(Clone)]
pub struct TrustedIssuers {
    own: Arc<Issuer>,
    store: Store,
    revocations: Revocations,
    loaded: Arc<ArcSwap<Snapshot>>,
    /// So that what was read before a change never takes the place of what was read after it.
    reading: Arc<Mutex<()>>,
}

impl TrustedIssuers {
    /// Loads them, for the server of `own`.
    ///
    /// # Errors
    /// [`TrustedIssuersError`].
    pub async fn load(
        own: &Issuer,
        store: Store,
        revocations: Revocations,
    ) -> Result<Self, TrustedIssuersError> {
        let issuers = Self {
            own: Arc::new(own.clone()),
            store,
            revocations,
            loaded: Arc::default(),
            reading: Arc::default(),
        };
        issuers.reload().await?;
        Ok(issuers)
    }

    /// Loads them again, after a change.
    ///
    /// # Errors
    /// [`TrustedIssuersError`].
    pub async fn reload(&self) -> Result<(), TrustedIssuersError> {
        let _reading = self.reading.lock().await;
        let rows = trusted_issuers::all(&mut self.store.read().await?).await?;
        let mut issuers = HashMap::with_capacity(rows.len());
        for row in rows {
            let name = row.issuer.clone();
            let issuer = from_row(row).ok_or(TrustedIssuersError::Damaged(name))?;
            issuers.insert(issuer.issuer.as_str().into(), Arc::new(issuer));
        }
        self.loaded.store(Arc::new(Snapshot(issuers)));
        Ok(())
    }

    /// What is held now; the same one until something changes.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.loaded.load_full()
    }

    /// The issuer of this name, compared character by character.
    #[must_use]
    pub fn find(&self, iss: &str) -> Option<Arc<TrustedIssuer>> {
        self.loaded.load().0.get(iss).cloned()
    }

    /// All of them, in the order of their names.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<TrustedIssuer>> {
        let mut all: Vec<_> = self.loaded.load().0.values().cloned().collect();
        all.sort_by(|a, b| a.issuer.as_str().cmp(b.issuer.as_str()));
        all
    }

    /// Registers an issuer, or replaces what was registered.
    ///
    /// # Errors
    /// [`TrustedIssuersError`].
    pub async fn put(
        &self,
        issuer: &TrustedIssuer,
        now: Instant,
    ) -> Result<(), TrustedIssuersError> {
        if issuer.issuer == *self.own {
            return Err(InvalidPolicy::Itself.into());
        }
        let row = TrustedIssuerRow {
            issuer: issuer.issuer.to_string(),
            policy: serde_json::json!(issuer.policy),
            created_at: now,
            updated_at: now,
        };
        self.store
            .transaction(async |conn| {
                trusted_issuers::put(conn, &row).await?;
                changes::record(conn, CHANGE, &row.issuer, now).await
            })
            .await?;
        self.reload().await
    }

    /// Removes an issuer, and ends whatever it brought for people; whether it was there.
    ///
    /// # Errors
    /// [`TrustedIssuersError`].
    pub async fn remove(&self, issuer: &Issuer, now: Instant) -> Result<bool, TrustedIssuersError> {
        let name = issuer.as_str();
        let (removed, revoked) = self
            .store
            .transaction(async |conn| {
                // First the issuer, whose row then is locked, so that no grant begins between the two.
                let removed = trusted_issuers::delete(conn, name).await?;
                let revoked = revoke_of(conn, &GrantsOf::Issuer(name), now).await?;
                changes::record(conn, CHANGE, name, now).await?;
                Ok::<_, DbError>((removed, revoked))
            })
            .await?;
        self.revocations.learn(revoked);
        self.reload().await?;
        Ok(removed)
    }
}

fn from_row(row: TrustedIssuerRow) -> Option<TrustedIssuer> {
    let issuer = row.issuer.parse().ok()?;
    let policy = serde_json::from_value(row.policy).ok()?;
    TrustedIssuer::new(issuer, policy).ok()
}
