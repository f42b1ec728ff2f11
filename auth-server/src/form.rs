//! The bodies of forms.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::{HeaderMap, StatusCode, header};
use tokio::time::timeout;

/// How long the 64 KiB of a body may take: a route that writes is not cut off by the time limit of requests.
const TO_READ: Duration = Duration::from_secs(10);

/// Why a form could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FormError {
    /// Not `application/x-www-form-urlencoded`, or no content type, or two.
    #[error("the content type is not application/x-www-form-urlencoded")]
    ContentType,
    /// Too large, too slow, or broken off.
    #[error("the body could not be read")]
    Body(StatusCode),
}

impl FormError {
    /// Its status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(status) => status,
        }
    }
}

/// The body of a form, and the headers that came with it.
///
/// # Errors
/// [`FormError`].
pub(crate) async fn read(request: Request) -> Result<(HeaderMap, Bytes), FormError> {
    if !is_form(request.headers()) {
        return Err(FormError::ContentType);
    }
    body(request).await.map_err(FormError::Body)
}

/// A body in time and within its bounds, and the headers that came with it.
///
/// # Errors
/// The status to refuse with.
pub(crate) async fn body(mut request: Request) -> Result<(HeaderMap, Bytes), StatusCode> {
    // Taken, not cloned: what reads the body needs none of them.
    let headers = std::mem::take(request.headers_mut());
    let body = in_time(request).await?;
    Ok((headers, body))
}

/// The body of a form, of a request that was taken apart.
///
/// # Errors
/// [`FormError`].
pub(crate) async fn of(body: Body) -> Result<Bytes, FormError> {
    let mut request = Request::new(body);
    // The body has bounds of its own.
    DefaultBodyLimit::disable().apply(&mut request);
    in_time(request).await.map_err(FormError::Body)
}

async fn in_time(request: Request) -> Result<Bytes, StatusCode> {
    timeout(TO_READ, Bytes::from_request(request, &()))
        .await
        .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        .map_err(|rejection| rejection.status())
}

/// Whether a request says that its body is a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    is_of_type(headers, "application/x-www-form-urlencoded")
}

/// Whether a request says, once, that its body is of this type, whatever the parameters (RFC 9110 §8.3.1).
pub(crate) fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = media_type
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}
