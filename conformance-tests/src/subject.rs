//! The server under test: its metadata, its keys, and the ways to ask it for tokens.

mod arrival;
pub(crate) mod assertion;
pub(crate) mod device;
pub(crate) mod exchange;
mod flow;
mod given;
mod grant;
mod probe;
mod registration;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use reqwest::Method;
use secrecy::ExposeSecret as _;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::answer::Answer;
use crate::browser::Browser;
use crate::check::{Outcome, Stop};
use crate::clock::Clock;
use crate::dpop::{Nonces, Prover};
use crate::exchange::Redactor;
use crate::jws::Jws;
use crate::listener::Listener;
use crate::metadata::{Metadata, is_loopback, well_known};
use crate::profile::Profile;
use crate::target::{Authentication, Credentials, Target};
pub(crate) use arrival::{Arrival, Code, Ending};
pub(crate) use device::Pairing;
use exchange::Exchanged;
pub(crate) use exchange::TokenType;
pub(crate) use flow::{Authorization, s256};
pub(crate) use grant::Grant;
use registration::Clients;
pub(crate) use registration::{Registered, merged};

/// Bounds of a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time for one request and its answer.
    pub request: Duration,
    /// The time for one check.
    pub check: Duration,
    /// How much of an answer is read, in bytes.
    pub body: usize,
    /// How many requirements are checked at once.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            check: Duration::from_mins(1),
            body: 1 << 20,
            concurrency: 4,
        }
    }
}

/// A server under test whose metadata has been read.
pub struct Subject {
    target: Arc<Target>,
    clock: Clock,
    limits: Limits,
    http: reqwest::Client,
    authorities: Vec<reqwest::Certificate>,
    /// How authorization requests that do not say so themselves are to be answered.
    mode: Option<&'static str>,
    /// Whether clients of a profile sign their requests.
    signs: bool,
    /// Whether they name the resource in every one.
    names_resources: bool,
    redactor: Arc<Redactor>,
    metadata: Metadata,
    oauth: Option<Answer>,
    openid: Option<Answer>,
    jwks: OnceCell<Result<Answer, Stop>>,
    token: OnceCell<Result<Token, Stop>>,
    /// Where the person is signed in. One way at a time, so that the first one signs in for all.
    browser: Mutex<Browser>,
    /// The person could not sign in. Nobody tries again: it would only get them locked out.
    turned_away: Arc<AtomicBool>,
    grant: OnceCell<Result<Grant, Stop>>,
    exchanged: OnceCell<Result<Exchanged, Stop>>,
    assertions: Arc<AtomicU64>,
    nonces: Arc<Nonces>,
    clients: Arc<Clients>,
    listener: Option<Arc<Listener>>,
}

/// A server that cannot be tested, because no metadata came from it.
#[derive(Debug)]
pub struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// An access token and the answer that brought it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) value: String,
    pub(crate) answer: Answer,
}

impl Token {
    /// The token read as a JWT; a token of another form is no concern of the rules about JWTs.
    pub(crate) fn jwt(&self) -> Result<Jws, Stop> {
        Jws::parse(&self.value).ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))
    }
}

impl Subject {
    /// Reads the metadata of the target, from RFC 8414's place or OpenID Connect Discovery's.
    ///
    /// # Errors
    /// When neither place holds a JSON object.
    pub async fn connect(
        target: Target,
        clock: Clock,
        limits: Limits,
    ) -> Result<Self, Unreachable> {
        let unreachable = |what: &str| Unreachable(format!("{}: {what}", target.issuer));
        let Ok(issuer) = Url::parse(&target.issuer) else {
            return Err(unreachable("not a URL"));
        };
        let authorities = match &target.authorities {
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|cause| unreachable(&cause.to_string()))?,
            None => Vec::new(),
        };
        let http = client_builder(is_loopback(&issuer), &authorities, limits.request)
            .build()
            .map_err(|cause| unreachable(&cause.to_string()))?;
        let (Some(oauth_url), Ok(openid_url)) = (
            well_known(&target.issuer, "oauth-authorization-server"),
            Url::parse(&format!(
                "{}/.well-known/openid-configuration",
                target.issuer.trim_end_matches('/')
            )),
        ) else {
            return Err(unreachable("not an issuer identifier"));
        };

        let listener = match &target.listen {
            Some(listen) => {
                let open = Listener::open(listen).await;
                let cause =
                    |cause| unreachable(&format!("cannot listen at {}: {cause}", listen.address));
                Some(Arc::new(open.map_err(cause)?))
            }
            None => None,
        };

        let mut subject = Self {
            browser: Mutex::new(Browser::over(http.clone())),
            turned_away: Arc::default(),
            grant: OnceCell::new(),
            exchanged: OnceCell::new(),
            clients: Arc::new(Clients::new(&clock)),
            listener,
            target: Arc::new(target),
            clock,
            limits,
            http,
            authorities,
            mode: None,
            signs: false,
            names_resources: false,
            redactor: Arc::default(),
            metadata: Metadata::default(),
            oauth: None,
            openid: None,
            jwks: OnceCell::new(),
            token: OnceCell::new(),
            assertions: Arc::default(),
            nonces: Arc::default(),
        };
        if let Some(Credentials {
            authentication:
                Authentication::ClientSecretBasic(secret) | Authentication::ClientSecretPost(secret),
            ..
        }) = &subject.target.credentials
        {
            subject.redactor.learn(secret.expose_secret());
        }
        if let Some(person) = &subject.target.person {
            subject.redactor.learn(person.password.expose_secret());
        }
        if let Some(token) = &subject.target.registration_token {
            subject.redactor.learn(token.expose_secret());
        }
        let oauth = subject.request(Method::GET, oauth_url).send().await;
        let openid = subject.request(Method::GET, openid_url).send().await;
        let document = |answer: &Result<Answer, Stop>| {
            answer
                .as_ref()
                .ok()
                .filter(|answer| answer.status == 200)
                .and_then(|answer| answer.json().ok())
        };
        let Some(members) = document(&oauth).or_else(|| document(&openid)) else {
            let cause = match oauth.map_err(|stop| Outcome::from(Err(stop))) {
                Ok(answer) => format!("no metadata: {}", first_line(&answer.exchange.response)),
                Err(Outcome::Failed {
                    exchange: Some(exchange),
                    ..
                }) => first_line(&exchange.response).to_owned(),
                Err(_) => "no answer".to_owned(),
            };
            return Err(Unreachable(format!("{}: {cause}", subject.target.issuer)));
        };
        subject.metadata = Metadata(members);
        subject.oauth = oauth.ok();
        subject.openid = openid.ok();
        let registered = subject.register_missing().await;
        if let Some(target) = Arc::get_mut(&mut subject.target) {
            registered.complete(target);
        }
        Ok(subject)
    }

    /// The same server, to be asked for authorization responses in that mode where a check does not ask for another. Nobody is
    /// signed in.
    pub(crate) fn in_mode(&self, mode: Option<&'static str>) -> Self {
        Self {
            target: self.target.clone(),
            clock: self.clock.clone(),
            limits: self.limits,
            http: self.http.clone(),
            authorities: self.authorities.clone(),
            mode,
            signs: self.signs,
            names_resources: self.names_resources,
            redactor: self.redactor.clone(),
            metadata: self.metadata.clone(),
            oauth: self.oauth.clone(),
            openid: self.openid.clone(),
            jwks: OnceCell::new(),
            token: OnceCell::new(),
            browser: Mutex::new(self.new_browser()),
            turned_away: self.turned_away.clone(),
            grant: OnceCell::new(),
            exchanged: OnceCell::new(),
            assertions: self.assertions.clone(),
            nonces: self.nonces.clone(),
            clients: self.clients.clone(),
            listener: self.listener.clone(),
        }
    }

    /// The same server, whose clients do as the profile has them. Nobody is signed in.
    pub(crate) fn under(&self, profile: &Profile) -> Self {
        Self {
            signs: profile.signs,
            names_resources: profile.names_resources,
            ..self.in_mode(None)
        }
    }

    pub(crate) const fn signs(&self) -> bool {
        self.signs
    }

    /// The resource that every request of the app names, where clients do that.
    pub(crate) fn named_resource(&self) -> Option<&str> {
        self.api_resource().filter(|_| self.names_resources)
    }

    /// The issuer under test, as the target names it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.target.issuer
    }

    /// The bounds of the run.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(crate) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// Somebody with a key of that name, whom nobody else of this run is.
    pub(crate) fn prover(&self, name: &str) -> Result<Prover, Stop> {
        let seed = format!("conformance-tests {name} {}", self.clock.now().as_nanos());
        Prover::of(&seed).ok_or_else(|| Stop::unchecked("no key could be made"))
    }

    /// What all clients of this run have in common.
    pub(crate) fn client_builder(&self) -> reqwest::ClientBuilder {
        let local = Url::parse(self.issuer()).is_ok_and(|issuer| is_loopback(&issuer));
        client_builder(local, &self.authorities, self.limits.request)
    }

    /// Seconds since the epoch, as a `NumericDate` (RFC 7519 §2).
    pub(crate) fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// The answer of RFC 8414's place.
    pub(crate) fn oauth_document(&self) -> Result<&Answer, Stop> {
        self.oauth
            .as_ref()
            .ok_or_else(|| Stop::failed("there was no answer", None))
    }

    /// The answer of OpenID Connect Discovery's place.
    pub(crate) fn openid_document(&self) -> Result<&Answer, Stop> {
        let served = self.openid.as_ref().filter(|answer| answer.status != 404);
        served.ok_or_else(|| Stop::not_applicable("no openid-configuration is served"))
    }

    /// The document that the metadata was taken from.
    pub(crate) fn document(&self) -> Result<&Answer, Stop> {
        match self
            .oauth
            .as_ref()
            .filter(|answer| answer.status == 200 && answer.json().is_ok())
        {
            Some(answer) => Ok(answer),
            None => self.openid_document(),
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

fn client_builder(
    local: bool,
    authorities: &[reqwest::Certificate],
    timeout: Duration,
) -> reqwest::ClientBuilder {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .tls_certs_merge(authorities.iter().cloned())
        .user_agent(concat!("conformance-tests/", env!("CARGO_PKG_VERSION")));
    if local { http.no_proxy() } else { http }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
