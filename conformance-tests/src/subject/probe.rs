//! Asking the server: for tokens, for its keys, and about tokens.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::{Subject, Token};
use crate::answer::Answer;
use crate::check::Stop;
use crate::request::Request;

impl Subject {
    pub(crate) fn request(&self, method: Method, url: Url) -> Request<'_> {
        Request::new(self, method, url)
    }

    pub(crate) fn get(&self, url: &Url) -> Request<'_> {
        self.request(Method::GET, url.clone())
    }

    /// A POST to the endpoint that the metadata member names.
    pub(crate) fn post(&self, member: &str) -> Result<Request<'_>, Stop> {
        Ok(self.request(Method::POST, self.endpoint(member)?))
    }

    /// The URL that a metadata member names.
    pub(crate) fn endpoint(&self, member: &str) -> Result<Url, Stop> {
        let announced = self.metadata.text(member);
        let announced =
            announced.ok_or_else(|| Stop::not_applicable(format!("metadata has no {member}")))?;
        Url::parse(announced)
            .map_err(|_| Stop::failed(format!("{member} is not a URL: {announced}"), None))
    }

    /// A token request of the `client_credentials` grant, complete but for authentication.
    pub(crate) fn grant(&self) -> Result<Request<'_>, Stop> {
        let request = self
            .post("token_endpoint")?
            .form(&[("grant_type", "client_credentials")]);
        Ok(match self.api_resource() {
            Some(resource) => request.form(&[("resource", resource)]),
            None => request,
        })
    }

    /// A valid token request of the given client.
    pub(crate) fn token_request(&self) -> Result<Request<'_>, Stop> {
        self.grant()?.authenticated()
    }

    /// The resource that a default token is for: the one that covers the protected resource, else the first.
    pub(crate) fn api_resource(&self) -> Option<&str> {
        let api = self.target.api.as_ref();
        let covers = |resource: &&String| {
            Url::parse(resource).is_ok_and(|resource| {
                let prefix = resource.path().trim_end_matches('/');
                api.is_some_and(|api| {
                    api.origin() == resource.origin() && api.path().starts_with(prefix)
                })
            })
        };
        let covering = self
            .target
            .resources
            .iter()
            .filter(covers)
            .max_by_key(|resource| resource.len());
        covering
            .or(self.target.resources.first())
            .map(String::as_str)
    }

    /// A new access token.
    pub(crate) async fn fresh_token(&self) -> Result<Token, Stop> {
        self.issue(self.token_request()?).await
    }

    /// Sends a token request that must succeed.
    pub(crate) async fn issue(&self, request: Request<'_>) -> Result<Token, Stop> {
        let answer = request.send().await?;
        answer.status(&[200])?;
        let value = answer.text("access_token")?;
        self.redactor.learn(&value);
        Ok(Token { value, answer })
    }

    /// An access token that all checks share: for looking at and using, not for revoking.
    pub(crate) async fn token(&self) -> Result<&Token, Stop> {
        self.token
            .get_or_init(|| self.fresh_token())
            .await
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The protected resource asked with `token`.
    pub(crate) async fn call_api(&self, token: &str) -> Result<Answer, Stop> {
        self.get(self.api()?).bearer(token).send().await
    }

    /// What introspection says about `token` (RFC 7662 §2).
    pub(crate) async fn introspect(&self, token: &str) -> Result<Answer, Stop> {
        let request = self
            .post("introspection_endpoint")?
            .form(&[("token", token)]);
        request.authenticated()?.send().await
    }

    /// The answer of `jwks_uri`, asked once.
    pub(crate) async fn jwks(&self) -> Result<&Answer, Stop> {
        let fetch = async || self.get(&self.endpoint("jwks_uri")?).send().await;
        self.jwks
            .get_or_init(fetch)
            .await
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The published keys.
    pub(crate) async fn keys(&self) -> Result<(Vec<Value>, &Answer), Stop> {
        let answer = self.jwks().await?;
        answer.status(&[200])?;
        let keys = answer
            .json()?
            .get("keys")
            .and_then(Value::as_array)
            .cloned();
        Ok((
            keys.ok_or_else(|| answer.fail("keys is missing or not an array"))?,
            answer,
        ))
    }

    /// A `jti` that no other assertion of this run or of another one has.
    pub(crate) fn unique(&self) -> String {
        format!(
            "{}-{}",
            self.clock.now().as_nanos(),
            self.assertions.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// The claims of a valid client assertion (RFC 7523 §3).
    pub(crate) fn assertion_claims(&self, client_id: &str) -> Map<String, Value> {
        let now = self.now();
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": self.issuer(),
            "iat": now,
            "exp": now.saturating_add(60),
            "jti": self.unique(),
        });
        claims.as_object().cloned().unwrap_or_default()
    }
}
