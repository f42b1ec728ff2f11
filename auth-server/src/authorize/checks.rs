//! The checks of an authorization request, in the order that is the security property: client, redirect URI, response mode, and
//! only then the rest. What fails before the first two is told to the person alone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::time::Instant;

use super::error::{AuthorizeError, PageCause, RedirectCause};
use super::id_token_hint;
use super::request::{AuthorizationRequest, OwnScope, Prompt, RESPONSE_TYPE, ResponseMode};
use super::response::ReturnPath;
use super::targets::Targets;
use crate::accounts::AccountId;
use crate::clients::callers::Callers;
use crate::clients::redirect_uri::VerifiedRedirectUri;
use crate::clients::{Client, GrantType};
use crate::config::PkcePolicy;
use crate::keys::Keys;
use crate::parameters::{InvalidParameters, Parameters};
use crate::pkce::{self, CodeChallenge};
use crate::resource_servers::ResourceServers;

/// The longest `state` that is echoed.
const MAX_STATE: usize = 4096;
/// The longest `nonce` that goes into an ID token.
const MAX_NONCE: usize = 1024;
/// The longest `login_hint` that goes into a form.
const MAX_LOGIN_HINT: usize = 320;

/// What requests are checked against.
#[derive(Clone)]
pub struct Checks {
    /// Who answers.
    pub issuer: Arc<Issuer>,
    /// Who may ask.
    pub clients: Callers,
    /// What may be asked for.
    pub resource_servers: ResourceServers,
    /// What ID tokens of this server were signed with.
    pub keys: Keys,
    /// Whose requests must carry a challenge.
    pub pkce: PkcePolicy,
    /// Whether a native client's redirect to `localhost` may name any port.
    pub localhost_port_varies: bool,
}

impl Checks {
    /// Every check, in order, for a browser at this address.
    ///
    /// # Errors
    /// [`AuthorizeError`].
    pub async fn check(
        &self,
        parameters: &Parameters,
        address: IpAddr,
        now: Instant,
    ) -> Result<AuthorizationRequest, AuthorizeError> {
        let client = self.client(parameters, address, now).await?;
        tracing::Span::current().record("client_id", client.id.as_str());
        let redirect_uri = self.redirect_uri(&client, parameters)?;
        // From here on the client is told, by the means it asked for if that is one (RFC 9207 §2: with our name).
        let mut back = ReturnPath {
            issuer: Arc::clone(&self.issuer),
            redirect_uri,
            mode: ResponseMode::default(),
            state: None,
        };
        match self.rest(&client, &mut back, parameters) {
            Ok(request) => Ok(request),
            Err(cause) => Err(AuthorizeError::Redirect(Box::new(back), cause)),
        }
    }

    async fn client(
        &self,
        parameters: &Parameters,
        address: IpAddr,
        now: Instant,
    ) -> Result<Arc<Client>, PageCause> {
        parameters.once("client_id")?;
        let id: ClientId = parameters
            .required("client_id")?
            .parse()
            .map_err(|_| PageCause::UnknownClient)?;
        let client = self.clients.find(&id, address, now).await?;
        client.ok_or(PageCause::UnknownClient)
    }

    /// RFC 6749 §3.1.2.3, §3.1.2.4; OpenID Connect Core §3.1.2.1 requires the parameter.
    fn redirect_uri(
        &self,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<VerifiedRedirectUri, PageCause> {
        parameters.once("redirect_uri")?;
        if let Some(requested) = parameters.optional("redirect_uri") {
            return client
                .matching(requested, self.localhost_port_varies)
                .ok_or(PageCause::UnregisteredRedirectUri);
        }
        let mut scope = parameters.optional("scope").unwrap_or_default().split(' ');
        if scope.any(|token| token == OwnScope::OpenId.as_str()) {
            return Err(PageCause::NoRedirectUri);
        }
        client.only_redirect_uri().ok_or(PageCause::NoRedirectUri)
    }

    fn rest(
        &self,
        client: &Arc<Client>,
        back: &mut ReturnPath,
        parameters: &Parameters,
    ) -> Result<AuthorizationRequest, RedirectCause> {
        // Both before anything fails, so that even what is wrong with one of them is told with the other.
        let mode = response_mode(parameters);
        back.mode = *mode.as_ref().unwrap_or(&ResponseMode::default());
        back.state = bounded(parameters, "state", MAX_STATE)?;
        mode?;
        parameters.all_once()?;
        not_served(parameters)?;
        response_type(parameters)?;
        grant_type(client)?;
        let code_challenge = self.code_challenge(client, parameters)?;
        let prompt = prompt(parameters)?;
        let max_age = max_age(client, parameters)?;
        let targets = Targets::choose(client, parameters, &self.resource_servers, &self.issuer)?;
        Ok(AuthorizationRequest {
            client: Arc::clone(client),
            back: back.clone(),
            scope: targets.scope,
            asked: targets.asked,
            code_challenge,
            nonce: bounded(parameters, "nonce", MAX_NONCE)?,
            prompt,
            max_age,
            expected: self.expected(client, parameters)?,
            // A hint that could be no address is none.
            login_hint: bounded(parameters, "login_hint", MAX_LOGIN_HINT).unwrap_or_default(),
        })
    }

    /// Whom an `id_token_hint` names.
    fn expected(
        &self,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<Option<AccountId>, RedirectCause> {
        let Some(token) = parameters.optional("id_token_hint") else {
            return Ok(None);
        };
        let ring = self.keys.ring();
        let checks = id_token_hint::Checks {
            issuer: &self.issuer,
            client_id: &client.id,
            keys: ring.verifying(),
        };
        checks.account(token).map(Some)
    }

    /// RFC 7636 §4.3, §4.4.1; RFC 9700 §2.1.1. A method that is left out means `plain`.
    fn code_challenge(
        &self,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<Option<CodeChallenge>, RedirectCause> {
        let method = parameters.optional("code_challenge_method");
        let Some(challenge) = parameters.optional("code_challenge") else {
            let required = match self.pkce {
                PkcePolicy::Required => true,
                PkcePolicy::PublicOnly => {
                    client.metadata.is_public() || client.metadata.require_pkce
                }
            };
            return match method {
                Some(_) => Err(RedirectCause::MethodWithoutChallenge),
                None if required => Err(RedirectCause::NoCodeChallenge),
                None => Ok(None),
            };
        };
        if method != Some(pkce::METHOD) {
            return Err(RedirectCause::CodeChallengeMethod);
        }
        let challenge = challenge.parse();
        challenge
            .map(Some)
            .map_err(|_| InvalidParameters::Malformed("code_challenge").into())
    }
}

fn response_mode(parameters: &Parameters) -> Result<ResponseMode, RedirectCause> {
    let Some(name) = parameters.optional("response_mode") else {
        return Ok(ResponseMode::default());
    };
    ResponseMode::ALL
        .into_iter()
        .find(|mode| mode.as_str() == name)
        .ok_or(RedirectCause::UnsupportedResponseMode)
}

fn bounded(
    parameters: &Parameters,
    name: &'static str,
    bytes: usize,
) -> Result<Option<String>, InvalidParameters> {
    match parameters.optional(name) {
        Some(value) if value.len() > bytes => Err(InvalidParameters::Malformed(name)),
        value => Ok(value.map(str::to_owned)),
    }
}

/// OpenID Connect Core §3.1.2.6: what would change the meaning of the request must not be ignored.
fn not_served(parameters: &Parameters) -> Result<(), RedirectCause> {
    let present = |name| parameters.optional(name).is_some();
    if present("request") {
        Err(RedirectCause::RequestObject)
    } else if present("request_uri") {
        Err(RedirectCause::RequestUri)
    } else if present("registration") {
        Err(RedirectCause::Registration)
    } else {
        Ok(())
    }
}

fn response_type(parameters: &Parameters) -> Result<(), RedirectCause> {
    if parameters.required("response_type")? == RESPONSE_TYPE {
        Ok(())
    } else {
        Err(RedirectCause::UnsupportedResponseType)
    }
}

fn grant_type(client: &Client) -> Result<(), RedirectCause> {
    let grants = &client.metadata.grant_types;
    if grants.contains(&GrantType::AuthorizationCode) {
        Ok(())
    } else {
        Err(RedirectCause::UnauthorizedClient)
    }
}

/// OpenID Connect Core §3.1.2.1: a list; `none` stands alone.
fn prompt(parameters: &Parameters) -> Result<BTreeSet<Prompt>, RedirectCause> {
    let values = parameters.optional("prompt").unwrap_or_default();
    let prompt: BTreeSet<_> = values
        .split(' ')
        .filter(|value| !value.is_empty())
        .map(|value| {
            let mut known = Prompt::ALL.into_iter();
            known
                .find(|prompt| prompt.as_str() == value)
                .ok_or(RedirectCause::Prompt)
        })
        .collect::<Result<_, _>>()?;
    if prompt.contains(&Prompt::None) && prompt.len() > 1 {
        return Err(RedirectCause::Prompt);
    }
    Ok(prompt)
}

/// Seconds, without sign (OpenID Connect Core §3.1.2.1), or else what the client registered (OpenID Connect Registration §2).
fn max_age(client: &Client, parameters: &Parameters) -> Result<Option<Duration>, RedirectCause> {
    let Some(seconds) = parameters.optional("max_age") else {
        let default = client.metadata.default_max_age;
        return Ok(default.map(|seconds| Duration::from_secs(seconds.into())));
    };
    if !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidParameters::Malformed("max_age").into());
    }
    // More than we can count is longer than anything lasts.
    let seconds = seconds.parse().unwrap_or(u64::from(u32::MAX));
    Ok(Some(Duration::from_secs(seconds)))
}
