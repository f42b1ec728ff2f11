//! Client authentication as an extractor that finishes the job: there is no way to hold an [`AuthenticatedClient`] whose proof
//! went unchecked (RFC 6749 §2.3, RFC 7521 §4.2).

pub mod binding;
pub mod in_header;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared_protocol::client_id::ClientId;
use shared_protocol::confirmation::{CertificateThumbprint, Confirmation};
use shared_protocol::dpop::PROOF;
use shared_protocol::jose::JwtError;
use shared_protocol::time::{Clock, Instant};
use shared_server::ephemeral::Ephemeral;
use shared_server::rate_limits::{RateLimiter, Standings};
use shared_server::web::{ClientAddress, ClientCertificate, note_claim, note_client};
use subtle::Choice;

use self::binding::{Bindings, Brings, Shown};
use super::assertion::{AssertionError, ClientAssertion, JWT_BEARER};
use super::callers::Callers;
use super::certificate::{CertificateError, Certificates};
use super::directory::DirectoryError;
use super::jwks_uri::ClientKeys;
use super::secret::{ClientSecret, SecretDigest};
use super::{AuthMethod, Client};
use crate::assertions::Unusable;
use crate::documents::DocumentError;
use crate::form;
use crate::parameters::{InvalidParameters, Parameters, decode};
use crate::rate_limits::Failures;
use crate::telemetry::Metrics;
use crate::token::error::TokenError;

/// Why a client was not authenticated. On the wire they are all `invalid_client`, so that nobody learns which part was wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// Neither a `client_id` nor anything that names a client.
    #[error("no client authentication")]
    Missing,
    /// The `Authorization` header is not well-formed Basic.
    #[error("the Authorization header is not Basic with form-urlencoded credentials")]
    MalformedBasic,
    /// The identifier is not one.
    #[error("the client_id is malformed")]
    MalformedClientId,
    /// The client was deleted while it was answered.
    #[error("the client is gone")]
    Refused,
    /// There is no such client.
    #[error("unknown client")]
    Unknown,
    /// The client proves who it is in another way.
    #[error("the client authenticates by {registered}, and came by {used}")]
    OtherMethod {
        /// What the request brought.
        used: &'static str,
        /// What the client registered.
        registered: &'static str,
    },
    /// None of the client's secrets that are good now.
    #[error("wrong secret, or one that was replaced")]
    Secret,
    /// `client_id` names another client than the proof.
    #[error("client_id is not the client of the secret or assertion")]
    OtherClientId,
    /// `client_assertion_type` is not the one for JWTs.
    #[error("the client_assertion_type is not supported")]
    AssertionType,
    /// What the client says of itself could not be had.
    #[error("the client's description of itself: {0}")]
    Document(DocumentError),
    /// The assertion proves nothing.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// The certificate proves nothing, or there is none.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl ClientAuthError {
    /// What a developer is told.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Missing => "client authentication is required".into(),
            // Whether the client exists, and what it registered, shows only to the holder of its key.
            Self::Assertion(
                AssertionError::Algorithm(_)
                | AssertionError::Keys(_)
                | AssertionError::Jwt(JwtError::UnknownKey | JwtError::Signature),
            )
            | Self::MalformedBasic
            | Self::MalformedClientId
            | Self::Refused
            | Self::Unknown
            | Self::OtherMethod { .. }
            | Self::Secret
            | Self::OtherClientId
            | Self::AssertionType
            | Self::Certificate(_)
            | Self::Document(_) => "client authentication failed".into(),
            Self::Assertion(error) => error.to_string(),
        }
    }
}

/// What authenticating takes.
pub struct Authenticator {
    /// Where clients are looked up.
    pub clients: Callers,
    /// What their assertions are verified with.
    pub keys: ClientKeys,
    /// The memory of used assertions.
    pub ephemeral: Ephemeral,
    /// Whom assertions must be for, each alone: first the issuer, then the token endpoint, and its mTLS alias if there is one.
    pub audiences: Vec<String>,
    /// Judges certificates.
    pub certificates: Certificates,
    /// Judges what tokens are bound to.
    pub bindings: Bindings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counts by method.
    pub metrics: Arc<Metrics>,
    /// Counts the requests of each client.
    pub requests: RateLimiter,
    /// Counts what fails.
    pub failures: Failures,
}

/// A client that proved who it is, or a public one that named itself.
#[derive(Clone)]
pub struct AuthenticatedClient {
    client: Arc<Client>,
    standings: Standings,
    confirmation: Option<Confirmation>,
}

impl AuthenticatedClient {
    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How it stands with the limits that count this request.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// What the tokens are bound to that it gets now, if they are to be: it has proven to have that.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.confirmation.as_ref()
    }

    /// The same for its refresh tokens: those of a client that proves who it is are bound by that (RFC 9449 §5, RFC 8705 §7.1), and so it
    /// may change its key.
    #[must_use]
    pub fn to_bind_refresh_tokens(&self) -> Option<&Confirmation> {
        self.confirmation().filter(|_| !self.is_confidential())
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &ClientId {
        &self.client.id
    }

    /// Whether it proved who it is (RFC 6749 §2.1).
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.client.metadata.token_endpoint_auth_method != AuthMethod::None
    }
}

/// A request as one of the endpoints for clients takes it.
pub trait FromParameters: Sized {
    /// What comes of it.
    const BRINGS: Brings = Brings::Nothing;

    /// Refuses what is repeated and may not be.
    ///
    /// # Errors
    /// [`InvalidParameters::Repeated`].
    fn check_repeated(parameters: &Parameters) -> Result<(), InvalidParameters> {
        parameters.all_once()
    }

    /// Reads the request from its parameters.
    ///
    /// # Errors
    /// [`TokenError`].
    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError>;
}

/// The form of a request together with the client that authenticated in it.
pub struct AuthenticatedForm<T> {
    /// Who asks.
    pub client: AuthenticatedClient,
    /// What is asked.
    pub form: T,
    /// When it was asked: the one reading of the clock.
    pub now: Instant,
}

impl<S, T> FromRequest<S> for AuthenticatedForm<T>
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
    T: FromParameters + Send,
{
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let authenticator = Arc::<Authenticator>::from_ref(state);
        let in_header = request.headers().contains_key(header::AUTHORIZATION);
        let authenticated = Self::of(request, &authenticator).await;
        authenticated.map_err(|error| Refused { error, in_header })
    }
}

impl<T: FromParameters> AuthenticatedForm<T> {
    async fn of(request: Request, authenticator: &Authenticator) -> Result<Self, TokenError> {
        let caller = Caller::of(&request);
        let is_proven = T::BRINGS != Brings::Nothing && request.headers().contains_key(PROOF);
        let path = is_proven.then(|| request.uri().path().to_owned());
        let certificate = request.extensions().get::<CertificateThumbprint>().copied();
        let (headers, body) = form::read(request).await?;
        let parameters = Parameters::parse_with_repeated(&body)?;
        T::check_repeated(&parameters)?;
        let now = authenticator.clock.now();
        let presented = presented(&headers, &parameters);
        let mut client = authenticator.admitted(presented, caller, None, now).await?;
        let shown = Shown {
            headers: &headers,
            path: path.as_deref(),
            certificate: certificate.as_ref(),
        };
        let bindings = &authenticator.bindings;
        // Before the parameters: whoever is told a nonce tries again, and nothing was spent.
        let judged = bindings.judge(&client.client, &shown, T::BRINGS, now);
        client.confirmation = judged.await?;
        Ok(Self {
            form: T::from_parameters(&parameters)?,
            client,
            now,
        })
    }
}

/// Why a request went no further, and whether it tried the `Authorization` header: only then it is told of Basic (RFC 6749 §5.2). Others would
/// be told of a method that they did not use, and libraries that find a challenge look no further for the error.
pub struct Refused {
    /// Why.
    pub error: TokenError,
    /// Whether it tried that header.
    pub in_header: bool,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        if !self.in_header {
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
        }
        response
    }
}

/// Where a request came from.
struct Caller {
    address: IpAddr,
    certificate: Option<ClientCertificate>,
    standings: Standings,
}

impl Caller {
    fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        Self {
            // Only a router without its layers lacks it.
            address: extensions
                .get()
                .map_or(Ipv4Addr::UNSPECIFIED.into(), |ClientAddress(address)| {
                    *address
                }),
            certificate: extensions.get().cloned(),
            standings: extensions.get().cloned().unwrap_or_default(),
        }
    }
}

/// Somebody who wants to be a client.
struct Attempt<'a> {
    certificate: Option<&'a ClientCertificate>,
    address: IpAddr,
    /// Whom an assertion must be for.
    audiences: &'a [String],
    now: Instant,
}

/// What a request brings to prove who sent it, beside the certificate of its connection.
enum Presented<'a> {
    Nothing(ClientId),
    Secret(AuthMethod, ClientId, ClientSecret),
    Assertion(ClientAssertion<'a>),
}

impl Presented<'_> {
    /// The method that this is of. Of a request that brings nothing else, a certificate is the proof if `client` registered for one
    /// (RFC 8705 §2): it may be there for other reasons.
    fn method(&self, client: Option<&Client>) -> AuthMethod {
        match self {
            Self::Nothing(_) => client
                .map(|client| client.metadata.token_endpoint_auth_method)
                .filter(|method| method.uses_certificate())
                .unwrap_or(AuthMethod::None),
            Self::Secret(method, ..) => *method,
            Self::Assertion(assertion) => assertion.method(),
        }
    }

    fn client_id(&self) -> &ClientId {
        match self {
            Self::Nothing(id) | Self::Secret(_, id, _) => id,
            Self::Assertion(assertion) => assertion.client_id(),
        }
    }
}

impl Authenticator {
    /// The client that a request presented, and one more request of it. Its assertion is for one of `audiences`, or of those of every
    /// endpoint.
    async fn admitted(
        &self,
        presented: Result<Presented<'_>, TokenError>,
        caller: Caller,
        audiences: Option<&[String]>,
        now: Instant,
    ) -> Result<AuthenticatedClient, TokenError> {
        let attempt = Attempt {
            certificate: caller.certificate.as_ref(),
            address: caller.address,
            audiences: audiences.unwrap_or(&self.audiences),
            now,
        };
        let client = AuthenticatedClient {
            client: self.authenticate(presented, &attempt).await?,
            standings: caller.standings,
            confirmation: None,
        };
        note_client(&client.client);
        if let Some(unmet) = client.client.unmet() {
            return Err(TokenError::Profile(unmet.clone()));
        }
        self.admit(&client, now).await?;
        Ok(client)
    }

    /// Who failed too often is refused before the proof is looked at.
    async fn authenticate(
        &self,
        presented: Result<Presented<'_>, TokenError>,
        attempt: &Attempt<'_>,
    ) -> Result<Arc<Client>, TokenError> {
        let (address, now) = (attempt.address, attempt.now);
        let presented = match presented {
            Ok(presented) => presented,
            Err(error) => {
                self.failures.check(address, None, now)?;
                self.count_failure(&error, None, attempt).await;
                return Err(error);
            }
        };
        let id = presented.client_id().clone();
        self.failures.check(address, Some(&id), now)?;
        let outcome = self.judge(presented, attempt).await;
        if let Err(error) = &outcome {
            note_claim(&Arc::new(id.clone()));
            self.count_failure(error, Some(&id), attempt).await;
        }
        outcome
    }

    async fn count_failure(
        &self,
        error: &TokenError,
        client: Option<&ClientId>,
        attempt: &Attempt<'_>,
    ) {
        if matches!(error, TokenError::ClientAuth(_)) {
            self.failures
                .count(attempt.address, client, attempt.now)
                .await;
        }
    }

    /// Counts a request of a client that proved who it is. Anybody may name a public one, and would use up what is its.
    async fn admit(&self, client: &AuthenticatedClient, now: Instant) -> Result<(), TokenError> {
        if client.is_confidential() {
            let id = client.id().as_str().as_bytes();
            client.standings.note(self.requests.admit(id, now).await?);
        }
        Ok(())
    }

    async fn judge(
        &self,
        presented: Presented<'_>,
        attempt: &Attempt<'_>,
    ) -> Result<Arc<Client>, TokenError> {
        let id = presented.client_id();
        let found = self
            .clients
            .find_approved(id, attempt.address, attempt.now)
            .await;
        let client = match found {
            Ok(client) => client,
            Err(DirectoryError::Store(error)) => return Err(TokenError::Store(error)),
            Err(DirectoryError::Limited(limited)) => return Err(limited.into()),
            Err(DirectoryError::Document(error)) if error.is_ours() => {
                return Err(TokenError::Document(error));
            }
            Err(DirectoryError::Document(error)) => {
                let method = presented.method(None);
                self.metrics.client_authentication(method, false);
                return Err(ClientAuthError::Document(error).into());
            }
            Err(error) => return Err(TokenError::Directory(error)),
        };
        let method = presented.method(client.as_deref());
        let outcome = self.prove(presented, client, attempt).await;
        self.metrics.client_authentication(method, outcome.is_ok());
        outcome
    }

    async fn prove_by_certificate(
        &self,
        client: &Client,
        attempt: &Attempt<'_>,
    ) -> Result<(), TokenError> {
        let proven = self
            .certificates
            .prove(client, &self.keys, attempt.certificate, attempt.now);
        match proven.await {
            Ok(()) => Ok(()),
            Err(CertificateError::Keys(error)) if error.is_ours() => {
                Err(TokenError::Document(error))
            }
            Err(error) => Err(ClientAuthError::Certificate(error).into()),
        }
    }

    /// An unknown client and a wrong secret take the same path.
    async fn prove(
        &self,
        presented: Presented<'_>,
        client: Option<Arc<Client>>,
        attempt: &Attempt<'_>,
    ) -> Result<Arc<Client>, TokenError> {
        let now = attempt.now;
        let method = presented.method(client.as_deref());
        let certified = client.as_ref().filter(|client| {
            let registered = client.metadata.token_endpoint_auth_method;
            registered.uses_certificate() && !method.uses_certificate()
        });
        if let (Some(client), Some(_)) = (certified, attempt.certificate) {
            // RFC 6749 §2.3: what the client registered for, and another method beside it. Whose certificate it is not learns nothing.
            self.prove_by_certificate(client, attempt).await?;
            return Err(TokenError::SeveralMethods);
        }
        let refused = match &client {
            None => ClientAuthError::Unknown,
            Some(client) => ClientAuthError::OtherMethod {
                used: method.as_str(),
                registered: client.metadata.token_endpoint_auth_method.as_str(),
            },
        };
        let registered =
            client.filter(|client| client.metadata.token_endpoint_auth_method == method);
        match presented {
            Presented::Nothing(_) => {
                if let Some(client) = registered.as_ref().filter(|_| method.uses_certificate()) {
                    self.prove_by_certificate(client, attempt).await?;
                }
            }
            Presented::Secret(_, _, secret) => {
                let digest = secret.digest();
                let mut matched = digest.matches(&SecretDigest::UNMATCHED) & Choice::from(0);
                for live in registered
                    .iter()
                    .flat_map(|client| client.live_secrets(now))
                {
                    matched |= digest.matches(live);
                }
                if !bool::from(matched) {
                    let is_wrong = registered.is_some();
                    return Err(if is_wrong {
                        ClientAuthError::Secret
                    } else {
                        refused
                    }
                    .into());
                }
            }
            Presented::Assertion(assertion) => {
                let Some(client) = &registered else {
                    return Err(refused.into());
                };
                let audiences = if client.demands().issuer_as_audience() {
                    self.audiences.get(..1).unwrap_or_default()
                } else {
                    attempt.audiences
                };
                let verified =
                    assertion.verify(client, (audiences, &self.keys), &self.ephemeral, now);
                match verified.await {
                    Ok(()) => {}
                    Err(AssertionError::Keys(error)) if error.is_ours() => {
                        return Err(TokenError::Document(error));
                    }
                    Err(AssertionError::Unusable(Unusable::Ephemeral(error))) => {
                        return Err(TokenError::Ephemeral(error));
                    }
                    Err(AssertionError::Unusable(error @ Unusable::MemoryBegins { .. })) => {
                        return Err(TokenError::Assertion(error.into()));
                    }
                    Err(error) => return Err(ClientAuthError::Assertion(error).into()),
                }
            }
        }
        Ok(registered.ok_or(refused)?)
    }
}

/// RFC 6749 §2.3: one method in one request. A `client_id` beside it is none, but must be the same.
fn presented<'a>(
    headers: &HeaderMap,
    parameters: &'a Parameters,
) -> Result<Presented<'a>, TokenError> {
    let client_id = parameters
        .optional("client_id")
        .map(|id| {
            id.parse::<ClientId>()
                .map_err(|_| ClientAuthError::MalformedClientId)
        })
        .transpose()?;
    let secret = parameters.optional("client_secret");
    let assertion = parameters.optional("client_assertion");
    let assertion_type = parameters.optional("client_assertion_type");
    let basic = headers.contains_key(header::AUTHORIZATION);
    let is_assertion = assertion.is_some() || assertion_type.is_some();
    if [basic, secret.is_some(), is_assertion]
        .into_iter()
        .filter(|present| *present)
        .count()
        > 1
    {
        return Err(TokenError::SeveralMethods);
    }
    let presented = if basic {
        let (id, secret) = basic_credentials(headers).ok_or(ClientAuthError::MalformedBasic)?;
        Presented::Secret(AuthMethod::ClientSecretBasic, id, secret)
    } else if is_assertion {
        if assertion_type.ok_or(InvalidParameters::Missing("client_assertion_type"))? != JWT_BEARER
        {
            return Err(ClientAuthError::AssertionType.into());
        }
        let assertion = assertion.ok_or(InvalidParameters::Missing("client_assertion"))?;
        Presented::Assertion(ClientAssertion::parse(assertion).map_err(ClientAuthError::Assertion)?)
    } else {
        let id = client_id.clone().ok_or(ClientAuthError::Missing)?;
        match secret {
            Some(secret) => Presented::Secret(
                AuthMethod::ClientSecretPost,
                id,
                ClientSecret::presented(secret.to_owned()),
            ),
            None => Presented::Nothing(id),
        }
    };
    match client_id {
        Some(id) if id != *presented.client_id() => Err(ClientAuthError::OtherClientId.into()),
        Some(_) | None => Ok(presented),
    }
}

/// The one pair of RFC 7617 §2, both halves form-urlencoded (RFC 6749 §2.3.1).
#[must_use]
pub fn basic_credentials(headers: &HeaderMap) -> Option<(ClientId, ClientSecret)> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = STANDARD.decode(credentials.trim_start_matches(' ')).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let (id, secret) = decoded.split_at_checked(colon)?;
    let secret = decode(secret.get(1..)?)?;
    Some((decode(id)?.parse().ok()?, ClientSecret::presented(secret)))
}
