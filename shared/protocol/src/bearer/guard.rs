//! The tower layer that lets only good tokens through.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tower::{Layer, Service};
use url::Url;

use super::presented::{access_token, bearer_token};
use super::refusal::Taken;
use super::verifier::{Always, Verifier};
use super::{
    AccessToken, AuthenticationRequirement, BearerError, BearerRefusal, Certificates,
    GuardSettings, InvalidGuard, InvalidToken, Presented, Proofs, Scheme, Sender,
};
use crate::authorization_details::AuthorizationDetail;
use crate::client_cert::{self, CLIENT_CERT, InvalidClientCert};
use crate::confirmation::{CertificateThumbprint, Confirmation};
use crate::dpop;
use crate::issuer::Issuer;
use crate::jose::Algorithm;
use crate::lookups::Lookups;
use crate::resource::ResourceId;
use crate::scope::ScopeSet;
use crate::time::Instant;

/// What accepts tokens for one resource server. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    verifier: Verifier,
    resource: ResourceId,
    resource_metadata_url: Url,
    proofs: Option<Proofs>,
    certificates: Certificates,
    sender_constrained: bool,
    algorithms: Vec<Algorithm>,
}

impl Inner {
    fn sees_certificates(&self) -> bool {
        self.certificates != Certificates::Unseen
    }

    /// Whether a token may come that is bound.
    fn can_constrain(&self) -> bool {
        self.proofs.is_some() || self.sees_certificates()
    }

    /// The schemes of tokens, where all of them must be bound or not. One that is bound to a certificate is sent as any other
    /// (RFC 8705 §3).
    fn taken(&self, sender_constrained: bool) -> Taken {
        match (
            &self.proofs,
            sender_constrained && !self.sees_certificates(),
        ) {
            (None, _) => Taken::Bearer,
            (Some(_), false) => Taken::Both,
            (Some(_), true) => Taken::Dpop,
        }
    }
}

impl Guard {
    /// A guard with these settings. Fetches nothing yet.
    ///
    /// # Errors
    /// [`InvalidGuard`] says which setting makes no sense.
    pub fn new(settings: GuardSettings) -> Result<Self, InvalidGuard> {
        let mut resource_metadata_url = settings.resource.url().clone();
        if !matches!(resource_metadata_url.scheme(), "https" | "http") {
            return Err(InvalidGuard::Resource);
        }
        // RFC 9728 §3.1: the well-known path stands between host and path.
        let path = match resource_metadata_url.path() {
            "/" => String::new(),
            path => path.to_owned(),
        };
        resource_metadata_url.set_path(&format!("/.well-known/oauth-protected-resource{path}"));
        let inner = Inner {
            resource: settings.resource.clone(),
            proofs: settings.proofs.clone(),
            certificates: settings.certificates,
            sender_constrained: settings.sender_constrained,
            algorithms: settings.algorithms.clone(),
            verifier: Verifier::new(settings)?,
            resource_metadata_url,
        };
        if inner.sender_constrained && !inner.can_constrain() {
            return Err(InvalidGuard::NoConstraint);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// A layer for routes that need a token with all of `scope`. The handler finds an `Arc<AccessToken>` in the extensions.
    #[must_use]
    pub fn requiring(&self, scope: ScopeSet) -> GuardLayer {
        self.layer(scope, Always::AsThePolicySays)
    }

    /// As [`Guard::requiring`], for routes where a revocation must show at once: the issuer is asked for each request, even about a JWT
    /// that verifies, and what it said before is not taken for an answer. Issuers without credentials cannot be asked, and their tokens
    /// answer 503 here.
    #[must_use]
    pub fn introspecting(&self, scope: ScopeSet) -> GuardLayer {
        self.layer(scope, Always::Introspect)
    }

    fn layer(&self, scope: ScopeSet, always: Always) -> GuardLayer {
        GuardLayer {
            guard: self.clone(),
            scope: Arc::new(scope),
            always,
            sender_constrained: self.0.sender_constrained,
            authentication: Arc::default(),
        }
    }

    /// Whether the keys of every issuer of [`Policy::Jwks`](super::Policy::Jwks) are there; fetches them if they are not.
    ///
    /// # Errors
    /// Which issuer's keys could not be had, and why.
    pub async fn ready(&self) -> Result<(), String> {
        let ready = self.0.verifier.ready().await;
        ready.map_err(|(issuer, failure)| format!("{issuer}: {failure}"))
    }

    /// What is remembered of tokens, by name, and how often it was asked for.
    #[must_use]
    pub fn lookups(&self) -> [(&'static str, Arc<Lookups>); 2] {
        self.0.verifier.lookups()
    }

    /// Where the document of [`Guard::resource_metadata`] is to be served (RFC 9728 §3.1).
    #[must_use]
    pub fn resource_metadata_url(&self) -> Url {
        self.0.resource_metadata_url.clone()
    }

    /// The protected resource metadata (RFC 9728 §2), with the scopes and the types of authorization details that the resource server
    /// knows.
    #[must_use]
    pub fn resource_metadata(&self, scopes: &ScopeSet, details_types: &[&str]) -> Value {
        let mut metadata = json!({
            "resource": self.0.resource.as_str(),
            "authorization_servers": self.0.verifier.issuers().map(Issuer::as_str).collect::<Vec<_>>(),
            "bearer_methods_supported": ["header"],
        });
        // RFC 9728 §3.2: no empty arrays. And what is not there is not so.
        let known = self.0.algorithms.iter().copied();
        let algorithms = || known.flat_map(Algorithm::names).collect();
        let taken = self.0.taken(self.0.sender_constrained);
        let further = [
            (
                "scopes_supported",
                (!scopes.is_empty()).then(|| json!(scopes.iter().collect::<Vec<_>>())),
            ),
            (
                "authorization_details_types_supported",
                (!details_types.is_empty()).then(|| details_types.into()),
            ),
            (
                "dpop_signing_alg_values_supported",
                (taken != Taken::Bearer).then(algorithms),
            ),
            (
                "dpop_bound_access_tokens_required",
                (taken == Taken::Dpop).then_some(Value::Bool(true)),
            ),
            (
                "tls_client_certificate_bound_access_tokens",
                self.0.sees_certificates().then_some(Value::Bool(true)),
            ),
        ];
        for (name, value) in further {
            if let (Some(value), Some(members)) = (value, metadata.as_object_mut()) {
                members.insert(name.into(), value);
            }
        }
        metadata
    }

    /// A route that serves that document where clients look for it (RFC 9728 §3.1).
    pub fn resource_metadata_route<S: Clone + Send + Sync + 'static>(
        &self,
        scopes: &ScopeSet,
        details_types: &[&str],
    ) -> Router<S> {
        let document = self.resource_metadata(scopes, details_types).to_string();
        let told = async move || ([(CONTENT_TYPE, "application/json")], document);
        // What a path may hold is not what a pattern means by it.
        Router::new()
            .without_v07_checks()
            .route(self.0.resource_metadata_url.path(), get(told))
    }

    /// Of what a token allows in more words than a scope has, the objects of one type that are for this resource server: those that
    /// name no location, or its own (RFC 9396 §2.2). What else they say is for the route to judge.
    pub fn details<'a>(
        &self,
        token: &'a AccessToken,
        type_name: &str,
    ) -> impl Iterator<Item = &'a AuthorizationDetail> {
        let details = token.authorization_details().of_type(type_name);
        details.filter(|detail| {
            let is_here = |location: &str| {
                location
                    .parse()
                    .is_ok_and(|location: ResourceId| location == self.0.resource)
            };
            detail.locations().next().is_none() || detail.locations().any(is_here)
        })
    }

    /// The response to a request with this token that is refused for `error`: for handlers that find out later than the layer.
    #[must_use]
    pub fn refusal(&self, token: &AccessToken, error: BearerError) -> BearerRefusal {
        let jkt = token.confirmation().and_then(Confirmation::jkt);
        let used = jkt.map_or(Scheme::Bearer, |_| Scheme::Dpop);
        // The nonce comes with the answer, whatever it is.
        let challenge = self.challenge(error, self.0.sender_constrained);
        challenge.to(Some(used), || None)
    }

    fn challenge(&self, error: BearerError, sender_constrained: bool) -> BearerRefusal {
        let taken = self.0.taken(sender_constrained);
        let refusal = BearerRefusal::new(error, self.resource_metadata_url(), taken);
        refusal.by(self.0.algorithms.clone())
    }

    /// A token under a scheme that is known here.
    fn presented<'a>(&self, headers: &'a HeaderMap) -> Result<Presented<'a>, BearerError> {
        match self.0.proofs {
            Some(_) => access_token(headers),
            None => bearer_token(headers).map(|token| Presented {
                scheme: Scheme::Bearer,
                token,
            }),
        }
    }

    /// Who sent a request, with the certificate by the word of whom we believe.
    fn sender<'a>(&self, request: &'a Parts) -> Result<Sender<'a>, InvalidClientCert> {
        let sender = Sender::of(request);
        match self.0.certificates {
            Certificates::InExtensions => Ok(sender),
            Certificates::OfProxy => {
                let chain = client_cert::chain(&request.headers)?;
                let leaf = chain.first().map(|leaf| CertificateThumbprint::of(leaf));
                Ok(sender.with_certificate(leaf))
            }
            Certificates::Unseen if client_cert::is_told(&request.headers) => {
                Err(InvalidClientCert::NotBelieved)
            }
            Certificates::Unseen => Ok(sender.with_certificate(None)),
        }
    }

    async fn admit(
        &self,
        request: &Parts,
        layer: &GuardLayer,
        now: Instant,
    ) -> Result<Arc<AccessToken>, BearerError> {
        let sender = self.sender(request)?;
        let presented = self.presented(&request.headers)?;
        let verifier = &self.0.verifier;
        let token = verifier.accept(presented.token, layer.always, now).await?;
        let confirmation = token.confirmation();
        let known = request.extensions.get::<Confirmed>();
        if !known.is_some_and(|known| known.is_of(self, request, confirmation)) {
            let (algorithms, proofs) = (&self.0.algorithms, self.0.proofs.as_ref());
            let confirmed = sender.confirm(algorithms, presented, confirmation, proofs, now);
            confirmed.await?;
        }
        if layer.sender_constrained && confirmation.is_none() {
            return Err(InvalidToken::Unconstrained.into());
        }
        if !layer.scope.is_subset(token.scope()) {
            let needed = (*layer.scope).clone();
            return Err(BearerError::InsufficientScope { needed });
        }
        if layer.authentication.is_met(&token, now) {
            Ok(token)
        } else {
            let needed = (*layer.authentication).clone();
            Err(BearerError::InsufficientAuthentication { needed })
        }
    }

    /// The nonce for the next request of whoever sent this one (RFC 9449 §9).
    fn next_nonce(&self, used: Option<Scheme>, now: Instant) -> Option<HeaderValue> {
        let proofs = self.0.proofs.as_ref();
        let proofs = proofs.filter(|_| used == Some(Scheme::Dpop))?;
        Some(proofs.nonce(now))
    }
}

/// Left in a request by a layer for the layers inside it: a proof is good once (RFC 9449 §11.1), and has been looked at.
#[derive(Clone)]
struct Confirmed {
    by: Guard,
    authorization: Option<HeaderValue>,
    confirmation: Confirmation,
}

impl Confirmed {
    /// By this guard, of this token, which is bound to a key.
    fn of(guard: &Guard, request: &Parts, token: &AccessToken) -> Option<Self> {
        let confirmation = token.confirmation()?;
        confirmation.jkt()?;
        Some(Self {
            by: guard.clone(),
            authorization: request.headers.get(AUTHORIZATION).cloned(),
            confirmation: confirmation.clone(),
        })
    }

    fn is_of(&self, guard: &Guard, request: &Parts, bound: Option<&Confirmation>) -> bool {
        Arc::ptr_eq(&self.by.0, &guard.0)
            && self.authorization.as_ref() == request.headers.get(AUTHORIZATION)
            && bound == Some(&self.confirmation)
    }
}

/// The answer to a token that is bound is nobody else's. Where a handler lets caches keep it, only for who shows the same certificate
/// (RFC 9440 §2.4).
fn keep_apart(headers: &mut HeaderMap, confirmation: &Confirmation) {
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let is_told = headers
        .get_all(VARY)
        .iter()
        .any(|by| *by == CLIENT_CERT.as_str());
    if confirmation.certificate().is_some() && dpop::may_be_kept(headers) && !is_told {
        headers.append(VARY, CLIENT_CERT.into());
    }
}

/// Puts a [`Guard`] before routes; made by [`Guard::requiring`] and [`Guard::introspecting`]. Where one is around another of the same
/// guard, a request has to satisfy both, with one proof.
#[derive(Clone)]
pub struct GuardLayer {
    guard: Guard,
    scope: Arc<ScopeSet>,
    always: Always,
    sender_constrained: bool,
    authentication: Arc<AuthenticationRequirement>,
}

impl GuardLayer {
    /// The same for routes that take only tokens that are bound to a key or a certificate.
    ///
    /// # Errors
    /// [`InvalidGuard::NoConstraint`] where the guard takes neither, so that nobody could come in.
    pub fn sender_constrained(self) -> Result<Self, InvalidGuard> {
        if !self.guard.0.can_constrain() {
            return Err(InvalidGuard::NoConstraint);
        }
        Ok(Self {
            sender_constrained: true,
            ..self
        })
    }

    /// The same for routes that need a person who is proven so (RFC 9470): of a token that has all else.
    #[must_use]
    pub fn authenticated(self, needed: AuthenticationRequirement) -> Self {
        Self {
            authentication: Arc::new(needed),
            ..self
        }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService {
            layer: self.clone(),
            inner,
        }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone)]
pub struct GuardService<S> {
    layer: GuardLayer,
    inner: S,
}

impl<S> Service<Request> for GuardService<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that was polled ready is the one to call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let layer = self.layer.clone();
        Box::pin(async move {
            let guard = &layer.guard;
            let now = guard.0.verifier.now();
            let (mut parts, body) = request.into_parts();
            let token = match guard.admit(&parts, &layer, now).await {
                Ok(token) => token,
                Err(error) => {
                    let used = Scheme::of(&parts.headers);
                    let refusal = guard.challenge(error, layer.sender_constrained);
                    let refusal = refusal.to(used, || guard.next_nonce(used, now));
                    let refusal = refusal.on_route_of(&layer.scope);
                    return Ok(refusal.into_response());
                }
            };
            if let Some(confirmed) = Confirmed::of(guard, &parts, &token) {
                parts.extensions.insert(confirmed);
            }
            parts.extensions.insert(Arc::clone(&token));
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            if let Some(confirmation) = token.confirmation() {
                let headers = response.headers_mut();
                keep_apart(headers, confirmation);
                let used = confirmation.jkt().map(|_| Scheme::Dpop);
                if let Some(nonce) = guard.next_nonce(used, now) {
                    dpop::tell_nonce(headers, || nonce);
                }
            }
            Ok(response)
        })
    }
}
