//! POST `/oauth/device_authorization`: a device asks to be let in (RFC 8628 §3.1, §3.2).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared_protocol::issuer::Issuer;
use shared_server::web::ClientAddress;

use super::{Begun, DeviceRequest, qr};
use crate::authorize::agreement::Agreement;
use crate::authorize::targets::Targets;
use crate::clients::GrantType;
use crate::clients::authenticate::{AuthenticatedClient, AuthenticatedForm, FromParameters};
use crate::parameters::{InvalidParameters, Parameters};
use crate::routes;
use crate::token::Grantor;
use crate::token::error::{TokenError, of_targets};

/// The most that is kept of one request.
const MAX_KEPT: usize = 16 * 1024;
/// As much as people are shown of what a device says it is.
const LONGEST_USER_AGENT: usize = 200;

/// What a device asks for: `scope`, `resource` (RFC 8707 §2) and `authorization_details` (RFC 9396 §2), as they came.
pub struct DeviceForm(Parameters);

impl FromParameters for DeviceForm {
    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError> {
        let asked = parameters.only(&["scope", "resource", "authorization_details"]);
        Ok(Self(asked))
    }
}

/// RFC 8628 §3.2.
pub struct DeviceResponse {
    begun: Begun,
    issuer: Arc<Issuer>,
    lifetime: Duration,
    interval: Duration,
}

impl IntoResponse for DeviceResponse {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ];
        let user_code = self.begun.user_code.to_string();
        let body = json!({
            "device_code": self.begun.device_code,
            "user_code": user_code,
            "verification_uri": self.issuer.endpoint(routes::DEVICE),
            "verification_uri_complete": super::verification_uri(&self.issuer, &self.begun.user_code),
            // Ours: where a device that draws none itself finds the latter as a picture (§3.3.1).
            "verification_uri_qr": self.issuer.endpoint(&format!("{}/{user_code}", qr::PATH)),
            "expires_in": self.lifetime.as_secs(),
            "interval": self.interval.as_secs(),
        });
        (headers, body.to_string()).into_response()
    }
}

/// POST `/oauth/device_authorization`.
///
/// # Errors
/// [`TokenError`].
pub async fn endpoint(
    State(grantor): State<Arc<Grantor>>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    AuthenticatedForm { client, form, now }: AuthenticatedForm<DeviceForm>,
) -> Result<DeviceResponse, TokenError> {
    let grant_types = &client.client().metadata.grant_types;
    if !grant_types.contains(&GrantType::DeviceCode) {
        return Err(TokenError::UnauthorizedClient(GrantType::DeviceCode));
    }
    let asked = asked(&client, &form, &grantor)?;
    // What could not be given later is refused before anybody is bothered.
    grantor.check_id_token_keys(&client, now).await?;
    let devices = &grantor.devices;
    let user_agent = headers.get(header::USER_AGENT);
    let make = |user_code| DeviceRequest {
        client_id: client.id().clone(),
        asked,
        user_code,
        address,
        user_agent: user_agent.and_then(|agent| Some(shown(agent.to_str().ok()?))),
        began_at: now,
        expires_at: now + devices.lifetime,
    };
    let random = &*grantor.tokens.random;
    let begun = devices.begin(make, (client.id(), address), now, random);
    Ok(DeviceResponse {
        begun: begun.await?,
        issuer: Arc::clone(&grantor.tokens.issuer),
        lifetime: devices.lifetime,
        interval: devices.interval,
    })
}

/// What the device asks for, and its client may have (threat 9): judged as at the authorization endpoint.
fn asked(
    client: &AuthenticatedClient,
    form: &DeviceForm,
    grantor: &Grantor,
) -> Result<Agreement, TokenError> {
    if client.client().demands().named_resources() && form.0.all("resource").next().is_none() {
        return Err(TokenError::NoResource);
    }
    let tokens = &grantor.tokens;
    let servers = &tokens.resource_servers;
    let targets = Targets::choose(client.client(), &form.0, servers, &tokens.issuer);
    let asked = targets.map_err(of_targets)?.asked;
    // Text and lists of it always have a JSON form.
    let kept = serde_json::to_vec(&asked).unwrap_or_default();
    if kept.len() > MAX_KEPT {
        return Err(InvalidParameters::Malformed("authorization_details or resource").into());
    }
    Ok(asked)
}

fn shown(user_agent: &str) -> String {
    user_agent.chars().take(LONGEST_USER_AGENT).collect()
}
