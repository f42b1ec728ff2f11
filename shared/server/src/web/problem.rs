//! Problem details (RFC 9457).

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::{Cause, Refused, RequestId};

/// The media type of problem details in JSON (RFC 9457 §6.1).
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What went wrong with a request, for its client: `status`, `type`, `title`, `detail`, `request_id` and members of its own.
///
/// A response cannot know the id of its request, so it carries the problem along and the layers write the body anew, with
/// `request_id`. Without them it is the same body without that member.
#[derive(Clone, Debug)]
pub struct Problem(Box<Content>);

#[derive(Clone, Debug)]
struct Content {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
    members: Vec<(&'static str, Value)>,
    headers: HeaderMap,
    cause: Option<Cause>,
}

impl Problem {
    /// A problem of the type `urn:problem-type:{type_slug}`, which a client may rely on, and its title, which is the same
    /// whenever the type is (RFC 9457 §3.1.4).
    #[must_use]
    pub fn new(status: StatusCode, type_slug: &'static str, title: &'static str) -> Self {
        Self(Box::new(Content {
            status,
            slug: type_slug,
            title,
            detail: None,
            members: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// A problem that will soon be over: 503, to be tried again in a second (RFC 9110 §10.2.3).
    #[must_use]
    pub fn unavailable(type_slug: &'static str, title: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, type_slug, title)
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Says what is special about this occurrence, to help the client mend it (RFC 9457 §3.1.4).
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds an extension member (RFC 9457 §3.2).
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.push((key, value.into()));
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Adds what caused it, for the log alone.
    #[must_use]
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Cause(Arc::new(cause)));
        self
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    fn body(&self, request_id: Option<&RequestId>) -> Body {
        let rendered = Rendered {
            content: &self.0,
            request_id,
        };
        serde_json::to_vec(&rendered).map_or_else(|_| Body::empty(), Body::from)
    }

    /// Writes the body of a response that is a problem anew, with the id of its request.
    pub(super) fn render(response: &mut Response, request_id: &RequestId) {
        if let Some(problem) = response.extensions_mut().remove::<Self>() {
            // A layer in between may have counted the body without the id.
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = problem.body(Some(request_id));
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = Response::new(self.body(None));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = std::mem::take(&mut self.0.headers);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some(cause) = self.0.cause.take() {
            response.extensions_mut().insert(cause);
        }
        response.extensions_mut().insert(Refused(self.0.slug));
        response.extensions_mut().insert(self);
        response
    }
}

struct Rendered<'a> {
    content: &'a Content,
    request_id: Option<&'a RequestId>,
}

impl Serialize for Rendered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let content = self.content;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", &content.status.as_u16())?;
        map.serialize_entry("type", &format_args!("urn:problem-type:{}", content.slug))?;
        map.serialize_entry("title", content.title)?;
        if let Some(detail) = &content.detail {
            map.serialize_entry("detail", detail)?;
        }
        if let Some(id) = self.request_id {
            map.serialize_entry("request_id", id.as_str())?;
        }
        for (key, value) in &content.members {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn a_problem_renders_without_the_layers_too() {
        let response = Problem::new(StatusCode::CONFLICT, "name-taken", "The name is taken")
            .detail("another project is called \"x\"")
            .with("name", "x")
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            .into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(
            body,
            r#"{"status":409,"type":"urn:problem-type:name-taken","title":"The name is taken","detail":"another project is called \"x\"","name":"x"}"#
        );
    }
}
