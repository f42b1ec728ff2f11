//! The tower layer that lets only good tokens through.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde_json::{Value, json};
use tower::{Layer, Service};
use url::Url;

use super::presented::bearer_token;
use super::verifier::{Always, Verifier};
use super::{
    AccessToken, AuthenticationRequirement, BearerError, BearerRefusal, GuardSettings, InvalidGuard,
};
use crate::authorization_details::AuthorizationDetail;
use crate::issuer::Issuer;
use crate::lookups::Lookups;
use crate::resource::ResourceId;
use crate::scope::ScopeSet;

/// What accepts tokens for one resource server. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    verifier: Verifier,
    resource: ResourceId,
    resource_metadata_url: Url,
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
        Ok(Self(Arc::new(Inner {
            resource: settings.resource.clone(),
            verifier: Verifier::new(settings)?,
            resource_metadata_url,
        })))
    }

    /// A layer for routes that need a token with all of `scope`. The handler finds an `Arc<AccessToken>` in the extensions.
    #[must_use]
    pub fn requiring(&self, scope: ScopeSet) -> GuardLayer {
        self.layer(scope, Always::AsThePolicySays)
    }

    /// As [`Guard::requiring`], for routes where a revocation must show at once: the issuer is asked even about a JWT that
    /// verifies. Issuers without credentials cannot be asked, and their tokens answer 503 here.
    #[must_use]
    pub fn introspecting(&self, scope: ScopeSet) -> GuardLayer {
        self.layer(scope, Always::Introspect)
    }

    fn layer(&self, scope: ScopeSet, always: Always) -> GuardLayer {
        GuardLayer {
            guard: self.clone(),
            scope: Arc::new(scope),
            always,
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
            "scopes_supported": scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "bearer_methods_supported": ["header"],
        });
        if let (false, Some(members)) = (details_types.is_empty(), metadata.as_object_mut()) {
            let name = "authorization_details_types_supported";
            members.insert(name.into(), details_types.into());
        }
        metadata
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

    /// The response to a request that is refused for `error`: for handlers that find out later than the layer.
    #[must_use]
    pub fn refusal(&self, error: BearerError) -> BearerRefusal {
        BearerRefusal::new(error, self.resource_metadata_url())
    }

    async fn admit(
        &self,
        headers: &HeaderMap,
        layer: &GuardLayer,
    ) -> Result<Arc<AccessToken>, BearerError> {
        let token = bearer_token(headers)?;
        let verifier = &self.0.verifier;
        let (token, now) = verifier.accept(token, &layer.scope, layer.always).await?;
        if layer.authentication.is_met(&token, now) {
            Ok(token)
        } else {
            let needed = (*layer.authentication).clone();
            Err(BearerError::InsufficientAuthentication { needed })
        }
    }
}

/// Puts a [`Guard`] before routes; made by [`Guard::requiring`] and [`Guard::introspecting`].
#[derive(Clone)]
pub struct GuardLayer {
    guard: Guard,
    scope: Arc<ScopeSet>,
    always: Always,
    authentication: Arc<AuthenticationRequirement>,
}

impl GuardLayer {
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        // The one that was polled ready is the one to call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let layer = self.layer.clone();
        Box::pin(async move {
            let guard = &layer.guard;
            match guard.admit(request.headers(), &layer).await {
                Ok(token) => {
                    request.extensions_mut().insert(token);
                    inner.call(request).await
                }
                Err(error) => {
                    let refusal = guard.refusal(error).on_route_of(&layer.scope);
                    Ok(refusal.into_response())
                }
            }
        })
    }
}
