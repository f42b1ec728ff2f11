//! Asking the issuer about a token (RFC 7662).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use moka::sync::Cache;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::access_token::{TokenClaims, Vouched};
use super::{IntrospectionCredentials, InvalidToken, IssuerFailure};
use crate::issuer::Issuer;
use crate::jose::object;
use crate::lookups::Lookups;
use crate::outbound::Fetcher;
use crate::time::Instant;

/// What an issuer said about a token.
pub(super) type Answer = Result<Arc<Vouched>, InvalidToken>;

/// One issuer's answers, believed for a moment.
pub(super) struct Introspection {
    issuer: Issuer,
    authorization: HeaderValue,
    fetcher: Fetcher,
    believed_for: Duration,
    // By the token's digest, with the moment from which it is asked for again.
    answers: Cache<[u8; 32], (Instant, Answer)>,
    lookups: Arc<Lookups>,
}

impl Introspection {
    pub(super) fn new(
        issuer: Issuer,
        credentials: &IntrospectionCredentials,
        fetcher: Fetcher,
        believed_for: Duration,
        remembered: u64,
    ) -> Self {
        Self {
            issuer,
            authorization: basic(credentials),
            fetcher,
            believed_for,
            answers: Cache::new(remembered),
            lookups: Arc::default(),
        }
    }

    /// The same, its look-ups counted where others are too.
    pub(super) fn counting(self, lookups: Arc<Lookups>) -> Self {
        Self { lookups, ..self }
    }

    /// What the issuer says about this token. An answer holds for the cache's time, counted from when it was asked for.
    ///
    /// # Errors
    /// [`IssuerFailure`] when there is no answer.
    pub(super) async fn ask(
        &self,
        token: &str,
        endpoint: &Url,
        now: Instant,
    ) -> Result<Answer, IssuerFailure> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let believed = self.answers.get(&digest).filter(|(until, _)| now < *until);
        self.lookups.count(believed.is_some());
        if let Some((_, answer)) = believed {
            return Ok(answer);
        }
        let answer = self.fetch(token, endpoint).await?;
        self.answers
            .insert(digest, (now + self.believed_for, answer.clone()));
        Ok(answer)
    }

    async fn fetch(&self, token: &str, endpoint: &Url) -> Result<Answer, IssuerFailure> {
        let form = Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(endpoint.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(AUTHORIZATION, &self.authorization)
            .body(Bytes::from(form))
            .map_err(|_| IssuerFailure::Metadata)?;
        let fetched = self.fetcher.send(request).await?;
        if fetched.status != StatusCode::OK {
            return Err(IssuerFailure::Status(fetched.status));
        }
        let answer = object(&fetched.body).map_err(|_| IssuerFailure::Answer)?;
        match answer.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(Err(InvalidToken::Inactive)),
            _ => return Err(IssuerFailure::Answer),
        }
        let claims = match TokenClaims::of(answer) {
            Ok(claims) => claims,
            Err(cause) => return Ok(Err(cause)),
        };
        if claims
            .iss
            .as_deref()
            .is_some_and(|iss| iss != self.issuer.as_str())
        {
            return Ok(Err(InvalidToken::Issuer));
        }
        Ok(Vouched::new(&self.issuer, claims).map(Arc::new))
    }
}

/// RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
fn basic(credentials: &IntrospectionCredentials) -> HeaderValue {
    let encode = |raw: &str| byte_serialize(raw.as_bytes()).collect::<String>();
    let pair = format!(
        "{}:{}",
        encode(credentials.client_id.as_str()),
        encode(credentials.client_secret.expose_secret())
    );
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .expect("base64 is printable ASCII");
    value.set_sensitive(true);
    value
}
