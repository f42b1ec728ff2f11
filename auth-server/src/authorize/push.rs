//! POST `/oauth/par`: a client pushes an authorization request ahead (RFC 9126). It is checked as it would be at the authorization
//! endpoint, while only the client is about.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared_server::web::ClientAddress;

use super::pushed::{PushedRequest, PushedUri};
use super::request::Origin;
use super::visit::Dialogue;
use super::{Authorize, kept};
use crate::clients::authenticate::binding::Brings;
use crate::clients::authenticate::{AuthenticatedForm, FromParameters};
use crate::parameters::Parameters;
use crate::token::error::TokenError;

/// What is pushed.
pub struct Pushed(Parameters);

impl FromParameters for Pushed {
    const BRINGS: Brings = Brings::Code;

    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError> {
        // RFC 9126 §2.1: what is pushed refers to nothing else.
        if parameters.optional("request_uri").is_some() {
            return Err(TokenError::PushedRequestUri);
        }
        Ok(Self(parameters.clone()))
    }
}

/// RFC 9126 §2.2.
pub struct PushedResponse {
    request_uri: PushedUri,
    expires_in: u64,
}

impl IntoResponse for PushedResponse {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ];
        let body = json!({"request_uri": self.request_uri, "expires_in": self.expires_in});
        (StatusCode::CREATED, headers, body.to_string()).into_response()
    }
}

/// POST `/oauth/par`.
///
/// # Errors
/// [`TokenError`].
pub async fn endpoint(
    State(dialogue): State<Arc<Dialogue>>,
    ClientAddress(address): ClientAddress,
    AuthenticatedForm { client, form, now }: AuthenticatedForm<Pushed>,
) -> Result<PushedResponse, TokenError> {
    let Authorize {
        checks,
        pushed,
        random,
        ..
    } = &dialogue.authorize;
    let request_uri = PushedUri::generate(&**random);
    // Who authenticated in a header need not say again who it is.
    let said = form.0.or_with("client_id", client.id().as_str());
    let (parameters, origin) = checks.read(said, address, now).await?;
    let origin = Origin {
        pushed: Some(request_uri.clone()),
        confirmation: client.confirmation().cloned(),
        ..origin
    };
    let checked = checks.check((&parameters, &origin), address, now).await?;
    let request = PushedRequest {
        client_id: client.id().clone(),
        parameters: kept(&parameters, &checked)?,
        is_signed: origin.is_signed,
        confirmation: origin.confirmation,
        pushed_at: now,
    };
    pushed.keep(&request_uri, &request, now).await?;
    Ok(PushedResponse {
        request_uri,
        expires_in: pushed.lifetime.as_secs(),
    })
}
