//! Client authentication where the body is no form: all of it stands in the `Authorization` header.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use shared_protocol::time::Instant;

use super::{
    AuthenticatedClient, Authenticator, Caller, ClientAuthError, Presented, basic_credentials,
};
use crate::clients::AuthMethod;
use crate::clients::assertion::ClientAssertion;
use crate::form::{self, FormError};
use crate::token::error::TokenError;

/// How a client may authenticate so: by its secret, or by an assertion that stands where a bearer token would.
pub const METHODS: [AuthMethod; 2] = [AuthMethod::ClientSecretBasic, AuthMethod::PrivateKeyJwt];

impl Authenticator {
    /// The client that sent a JSON body, the body, and when it came. An assertion must be for one of `audiences`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn authenticate_json(
        &self,
        request: Request,
        audiences: &[String],
    ) -> Result<(AuthenticatedClient, Bytes, Instant), TokenError> {
        if !form::is_of_type(request.headers(), "application/json") {
            return Err(TokenError::NotJson);
        }
        let caller = Caller::of(&request);
        let (headers, body) = form::body(request).await.map_err(FormError::Body)?;
        let now = self.clock.now();
        let client = self
            .admitted(presented(&headers), caller, Some(audiences), now)
            .await?;
        Ok((client, body, now))
    }
}

fn presented(headers: &HeaderMap) -> Result<Presented<'_>, TokenError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (first, None) = (values.next(), values.next()) else {
        return Err(TokenError::SeveralMethods);
    };
    let value = first.ok_or(ClientAuthError::Missing)?.to_str();
    let value = value.map_err(|_| ClientAuthError::MalformedBasic)?;
    let Some((_, token)) = value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
    else {
        let (id, secret) = basic_credentials(headers).ok_or(ClientAuthError::MalformedBasic)?;
        return Ok(Presented::Secret(AuthMethod::ClientSecretBasic, id, secret));
    };
    let assertion = ClientAssertion::parse(token.trim_start_matches(' '));
    let assertion = assertion.map_err(ClientAuthError::Assertion)?;
    // Asymmetric, so that whoever verifies one could not have made it.
    if METHODS.contains(&assertion.method()) {
        Ok(Presented::Assertion(assertion))
    } else {
        Err(ClientAuthError::Refused.into())
    }
}
