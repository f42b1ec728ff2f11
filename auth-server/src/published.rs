//! Public documents (metadata, JWKS) as stored bytes with an entity tag, made anew only when what they say changes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use shared_protocol::lookups::Lookups;

/// How long anyone may keep a public document, where nothing else is said.
const MAX_AGE: Duration = Duration::from_mins(5);

/// A JSON document, ready to be sent.
#[derive(Clone, Debug)]
pub struct Document {
    bytes: Bytes,
    etag: HeaderValue,
    media_type: &'static str,
    cache_control: HeaderValue,
}

impl Document {
    /// The document of this value.
    #[must_use]
    pub fn new(value: &serde_json::Value, media_type: &'static str) -> Self {
        let bytes = Bytes::from(value.to_string());
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes));
        // Quotes around base64url are always a header value.
        let etag = HeaderValue::try_from(format!("\"{digest}\""))
            .unwrap_or(HeaderValue::from_static("\"\""));
        Self {
            bytes,
            etag,
            media_type,
            cache_control: cache_control(MAX_AGE),
        }
    }

    /// The same, to be kept for so long by anyone.
    #[must_use]
    pub fn kept_for(self, max_age: Duration) -> Self {
        Self {
            cache_control: cache_control(max_age),
            ..self
        }
    }

    /// The answer to a GET with these headers: 304 where the client has it (RFC 9110 §13.1.2).
    #[must_use]
    pub fn respond(&self, request: &HeaderMap) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH).iter().any(|value| {
            let tags = value.to_str().unwrap_or_default();
            let own = self.etag.to_str().unwrap_or_default();
            tags.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.trim_start_matches("W/") == own)
        });
        let headers = [
            (header::CACHE_CONTROL, self.cache_control.clone()),
            (header::ETAG, self.etag.clone()),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static(self.media_type),
            ),
        ];
        if known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.bytes.clone()).into_response()
    }
}

fn cache_control(max_age: Duration) -> HeaderValue {
    // Digits are always a header value.
    HeaderValue::try_from(format!("public, max-age={}", max_age.as_secs()))
        .unwrap_or(HeaderValue::from_static("no-cache"))
}

/// A document and what it was made of, by identity.
pub struct Published<T> {
    current: ArcSwapOption<(T, Document)>,
    lookups: Arc<Lookups>,
}

impl<T> Default for Published<T> {
    fn default() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            lookups: Arc::default(),
        }
    }
}

impl<T: Send + Sync + 'static> Published<T> {
    /// How often it needed not to be made.
    #[must_use]
    pub fn lookups(&self) -> Arc<Lookups> {
        Arc::clone(&self.lookups)
    }

    /// The document, made anew unless what it was made of `is_same`.
    pub fn get(
        &self,
        is_same: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> (T, Document),
    ) -> Document {
        self.find(is_same).unwrap_or_else(|| self.put(make()))
    }

    /// The document, if what it was made of `is_same`.
    pub fn find(&self, is_same: impl FnOnce(&T) -> bool) -> Option<Document> {
        let current = self.current.load();
        let current = current.as_ref().filter(|current| is_same(&current.0));
        self.lookups.count(current.is_some());
        current.map(|current| current.1.clone())
    }

    /// Takes this document for the one that was there, and gives it back.
    pub fn put(&self, made: (T, Document)) -> Document {
        let document = made.1.clone();
        self.current.store(Some(Arc::new(made)));
        document
    }
}
