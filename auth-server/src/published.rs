//! Public documents (metadata, JWKS) as stored bytes with an entity tag, made anew only when what they say changes.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// How long anyone may keep a public document: five minutes.
pub const MAX_AGE: &str = "public, max-age=300";

/// A JSON document, ready to be sent.
#[derive(Clone, Debug)]
pub struct Document {
    bytes: Bytes,
    etag: HeaderValue,
    media_type: &'static str,
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
            (header::CACHE_CONTROL, HeaderValue::from_static(MAX_AGE)),
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

/// A document and what it was made of, by identity.
pub struct Published<T> {
    current: ArcSwapOption<(T, Document)>,
}

impl<T> Default for Published<T> {
    fn default() -> Self {
        Self {
            current: ArcSwapOption::empty(),
        }
    }
}

impl<T: Send + Sync + 'static> Published<T> {
    /// The document, made anew unless what it was made of `is_same`.
    pub fn get(
        &self,
        is_same: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> (T, Document),
    ) -> Document {
        if let Some(current) = self
            .current
            .load()
            .as_ref()
            .filter(|current| is_same(&current.0))
        {
            return current.1.clone();
        }
        let published = Arc::new(make());
        self.current.store(Some(Arc::clone(&published)));
        published.1.clone()
    }
}
