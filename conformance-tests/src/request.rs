//! A request to the server under test, bounded in time and size, and recorded without its secrets.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use url::{Url, form_urlencoded};

use crate::answer::Answer;
use crate::check::Stop;
use crate::exchange::Exchange;
use crate::subject::Subject;
use crate::target::Authentication;

const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) struct Request<'s> {
    subject: &'s Subject,
    method: Method,
    url: Url,
    headers: Vec<(&'static str, String)>,
    form: Vec<(String, String)>,
    raw: Option<(&'static str, String)>,
    http: Option<reqwest::Client>,
}

impl<'s> Request<'s> {
    pub(crate) fn new(subject: &'s Subject, method: Method, url: Url) -> Self {
        Self {
            subject,
            method,
            url,
            headers: Vec::new(),
            form: Vec::new(),
            raw: None,
            http: None,
        }
    }

    pub(crate) const fn subject(&self) -> &'s Subject {
        self.subject
    }

    pub(crate) const fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// To another URL.
    pub(crate) fn at(self, url: Url) -> Self {
        Self { url, ..self }
    }

    /// Sent by `http` in the place of the client that all share.
    pub(crate) fn by(self, http: reqwest::Client) -> Self {
        Self {
            http: Some(http),
            ..self
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Adds parameters to the form; one that stands there already is repeated.
    pub(crate) fn form<N: AsRef<str>, V: AsRef<str>>(mut self, pairs: &[(N, V)]) -> Self {
        let owned = pairs
            .iter()
            .map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned()));
        self.form.extend(owned);
        self
    }

    /// For the resource that every request names, where clients do that.
    pub(crate) fn for_named_resource(self) -> Self {
        match self.subject.named_resource() {
            Some(resource) => self.form(&[("resource", resource)]),
            None => self,
        }
    }

    /// Takes a parameter out of the form.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.form.retain(|(given, _)| given != name);
        self
    }

    /// Sends `body` instead of the form.
    pub(crate) fn raw(mut self, media_type: &'static str, body: String) -> Self {
        self.raw = Some((media_type, body));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// RFC 6749 §2.3.1: both parts form-urlencoded, joined by a colon, in base64.
    pub(crate) fn basic(self, client_id: &str, secret: &str) -> Self {
        let encode =
            |part: &str| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
        self.basic_raw(&encode(client_id), &encode(secret))
    }

    /// Basic with both parts as they are.
    pub(crate) fn basic_raw(self, client_id: &str, secret: &str) -> Self {
        let pair = BASE64_STANDARD.encode(format!("{client_id}:{secret}"));
        self.subject.redactor().learn(&pair);
        self.header("authorization", format!("Basic {pair}"))
    }

    /// With a DPoP-bound token (RFC 9449 §7.1).
    pub(crate) fn bound(self, token: &str) -> Self {
        self.header("authorization", format!("DPoP {token}"))
    }

    /// With a client assertion (RFC 7523 §2.2).
    pub(crate) fn assertion(self, assertion: &str) -> Self {
        self.form(&[
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ])
    }

    /// As the confidential client of the target, by its own method.
    pub(crate) fn authenticated(self) -> Result<Self, Stop> {
        let credentials = self.subject.credentials()?;
        let client_id = credentials.client_id.as_str();
        Ok(match &credentials.authentication {
            Authentication::ClientSecretBasic(secret) => {
                self.basic(client_id, secret.expose_secret())
            }
            Authentication::ClientSecretPost(secret) => self.form(&[
                ("client_id", client_id),
                ("client_secret", secret.expose_secret()),
            ]),
            Authentication::PrivateKeyJwt(key) => {
                let claims = self.subject.assertion_claims(client_id);
                let assertion = crate::jws::sign(key, &claims)
                    .ok_or_else(|| Stop::unchecked("the client's key cannot sign an assertion"))?;
                self.assertion(&assertion)
            }
        })
    }

    pub(crate) async fn send(self) -> Result<Answer, Stop> {
        let redactor = self.subject.redactor();
        let body = match (self.raw, self.form.as_slice()) {
            (Some(raw), _) => Some(raw),
            (None, []) => None,
            (None, pairs) => Some((
                FORM,
                form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish(),
            )),
        };

        let mut recorded = format!("{} {}", self.method, redactor.url(self.url.as_str()));
        let http = self.http.as_ref().unwrap_or(self.subject.http());
        let mut request = http.request(self.method, self.url);
        for (name, value) in &self.headers {
            let _ = write!(recorded, "\n{name}: {}", redactor.header(name, value));
            request = request.header(*name, value);
        }
        if let Some((media_type, body)) = body {
            let shown = if media_type == FORM {
                redactor.form(&body)
            } else {
                redactor.body(body.as_bytes())
            };
            let _ = write!(recorded, "\ncontent-type: {media_type}\n\n{shown}");
            request = request.header("content-type", media_type).body(body);
        }

        let own = self.http.is_some();
        let no_answer = |cause: reqwest::Error| {
            let response = redactor.text(&describe(&cause));
            if own && cause.is_connect() {
                return Stop::unchecked(format!(
                    "there is no way to where certificates are asked for: {response}"
                ));
            }
            let exchange = Exchange {
                request: recorded.clone(),
                response,
            };
            Stop::failed("there was no answer", Some(exchange))
        };
        let mut response = request.send().await.map_err(no_answer)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            body.extend_from_slice(&chunk);
            if body.len() > self.subject.limits().body {
                body.truncate(self.subject.limits().body);
                break;
            }
        }

        let mut answered = status.to_string();
        for (name, value) in &headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let _ = write!(
                answered,
                "\n{name}: {}",
                redactor.header(name.as_str(), &value)
            );
        }
        let _ = write!(answered, "\n\n{}", redactor.body(&body));
        let exchange = Exchange {
            request: recorded,
            response: answered,
        };
        Ok(Answer {
            status,
            headers,
            body,
            exchange,
        })
    }
}

/// The whole chain of causes: the first alone says only that sending failed.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let _ = write!(text, ": {deeper}");
        cause = deeper.source();
    }
    text
}
