//! Forms that browsers post.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, header};
use shared_protocol::issuer::Issuer;

use super::error::{AuthorizeError, PageCause};
use super::page::PageError;
use super::visit::Dialogue;
use crate::form;
use crate::parameters::Parameters;

/// A form that any site may have posted.
pub struct AnyForm(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for AnyForm {
    type Rejection = AuthorizeError;

    async fn from_request(request: Request, _: &S) -> Result<Self, AuthorizeError> {
        let (_, body) = form::read(request).await.map_err(PageCause::Form)?;
        Ok(Self(body))
    }
}

/// A form of one of our own pages.
pub struct OwnForm(pub Parameters);

impl<S> FromRequest<S> for OwnForm
where
    S: Send + Sync,
    Arc<Dialogue>: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let dialogue = Arc::<Dialogue>::from_ref(state);
        if !is_of_ours(request.headers(), &dialogue.authorize.checks.issuer) {
            return Err(PageError::CrossSite);
        }
        let (_, body) = form::read(request).await?;
        Ok(Self(Parameters::parse(&body)?))
    }
}

/// Whether the browser says that one of our pages posted, as far as it says anything: the second line behind the token in the form.
/// Under `Referrer-Policy: no-referrer` a browser hides where its forms come from even from us (`Origin: null`), and then
/// `Sec-Fetch-Site` tells.
fn is_of_ours(headers: &HeaderMap, issuer: &Issuer) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let own = issuer.url().origin().ascii_serialization();
    headers
        .get(header::ORIGIN)
        .is_none_or(|origin| origin == "null" || *origin == *own)
}
