//! Asking the issuer about a token (RFC 7662).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use moka::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::access_token::{TokenClaims, Vouched};
use super::{IntrospectionCredentials, InvalidToken, IssuerFailure};
use crate::client_id::ClientId;
use crate::issuer::Issuer;
use crate::jose::{JwtKind, Signer, object, sign_jwt};
use crate::lookups::Lookups;
use crate::outbound::Fetcher;
use crate::random::{Random, alphanumeric};
use crate::time::Instant;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ASSERTION_LIFETIME: Duration = Duration::from_mins(1);

/// What an issuer said about a token.
pub(super) type Answer = Result<Arc<Vouched>, InvalidToken>;

/// What proves who asks.
enum Credentials {
    Basic(HeaderValue),
    Assertions {
        client_id: ClientId,
        key: Arc<dyn Signer>,
        random: Arc<dyn Random>,
    },
}

/// RFC 7523 §3.
#[derive(Serialize)]
struct AssertionClaims<'a> {
    iss: &'a ClientId,
    sub: &'a ClientId,
    aud: &'a Issuer,
    jti: String,
    iat: i64,
    exp: i64,
}

/// One issuer's answers, believed for a moment.
pub(super) struct Introspection {
    issuer: Issuer,
    credentials: Credentials,
    fetcher: Fetcher,
    believed_for: Duration,
    // By the token's digest, with the moment from which it is asked for again.
    answers: Cache<[u8; 32], (Instant, Answer)>,
    lookups: Arc<Lookups>,
}

impl Introspection {
    pub(super) fn new(
        issuer: Issuer,
        credentials: IntrospectionCredentials,
        fetcher: Fetcher,
        believed_for: Duration,
        remembered: u64,
    ) -> Self {
        Self {
            issuer,
            credentials: credentials.into(),
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

    /// What the issuer says about this token, or said a moment ago. An answer holds for the cache's time, counted from when it was asked
    /// for.
    ///
    /// # Errors
    /// [`IssuerFailure`] when there is no answer.
    pub(super) async fn recall_or_ask(
        &self,
        token: &str,
        endpoint: &Url,
        now: Instant,
    ) -> Result<Answer, IssuerFailure> {
        let believed = self.answers.get(&digest(token));
        let believed = believed.filter(|(until, _)| now < *until);
        self.lookups.count(believed.is_some());
        match believed {
            Some((_, answer)) => Ok(answer),
            None => self.ask(token, endpoint, now).await,
        }
    }

    /// What the issuer says about this token now.
    ///
    /// # Errors
    /// [`IssuerFailure`] when there is no answer.
    pub(super) async fn ask(
        &self,
        token: &str,
        endpoint: &Url,
        now: Instant,
    ) -> Result<Answer, IssuerFailure> {
        let answer = self.fetch(token, endpoint, now).await?;
        let until = now + self.believed_for;
        self.answers.insert(digest(token), (until, answer.clone()));
        Ok(answer)
    }

    async fn fetch(
        &self,
        token: &str,
        endpoint: &Url,
        now: Instant,
    ) -> Result<Answer, IssuerFailure> {
        let assertion = self.assertion(now).await?;
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(endpoint.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Credentials::Basic(authorization) = &self.credentials {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Bytes::from(question(token, assertion.as_deref())))
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

    /// Who we are, if that is what we prove by assertions: for this issuer alone, once, and for a minute.
    async fn assertion(&self, now: Instant) -> Result<Option<String>, IssuerFailure> {
        let Credentials::Assertions {
            client_id,
            key,
            random,
        } = &self.credentials
        else {
            return Ok(None);
        };
        let claims = AssertionClaims {
            iss: client_id,
            sub: client_id,
            aud: &self.issuer,
            jti: alphanumeric(22, &**random),
            iat: now.as_secs(),
            exp: (now + ASSERTION_LIFETIME).as_secs(),
        };
        let assertion = sign_jwt(JwtKind::ClientAssertion, &claims, &**key).await?;
        Ok(Some(assertion))
    }
}

impl From<IntrospectionCredentials> for Credentials {
    fn from(credentials: IntrospectionCredentials) -> Self {
        match credentials {
            IntrospectionCredentials::ClientSecretBasic {
                client_id,
                client_secret,
            } => Self::Basic(basic(&client_id, &client_secret)),
            IntrospectionCredentials::PrivateKeyJwt {
                client_id,
                key,
                random,
            } => Self::Assertions {
                client_id,
                key,
                random,
            },
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// RFC 7662 §2.1, with RFC 7523 §2.2 where there is an assertion.
fn question(token: &str, assertion: Option<&str>) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("token", token)
        .append_pair("token_type_hint", "access_token");
    if let Some(assertion) = assertion {
        form.append_pair("client_assertion_type", ASSERTION_TYPE)
            .append_pair("client_assertion", assertion);
    }
    form.finish()
}

/// RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
fn basic(client_id: &ClientId, client_secret: &SecretString) -> HeaderValue {
    let encode = |raw: &str| byte_serialize(raw.as_bytes()).collect::<String>();
    let pair = format!(
        "{}:{}",
        encode(client_id.as_str()),
        encode(client_secret.expose_secret())
    );
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .expect("base64 is printable ASCII");
    value.set_sensitive(true);
    value
}
