//! The checks of an authorization request, in the order that is the security property: client, redirect URI, response mode, and
//! only then the rest. What fails before the first two is told to the person alone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use shared_protocol::client_id::{ClientId, InvalidClientId};
use shared_protocol::confirmation::Confirmation;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::Thumbprint;
use shared_protocol::time::Instant;
use shared_server::web::note_client;

use super::acr::{Levels, RequestedAcr};
use super::claims::RequestedClaims;
use super::display::Display;
use super::error::{AuthorizeError, PageCause, RedirectCause};
use super::request::{
    AuthorizationRequest, Origin, OwnScope, Prompt, RequestPolicy, ResponseMode, ResponseType,
};
use super::request_object::RequestObjects;
use super::response::ReturnPath;
use super::response_type;
use super::targets::Targets;
use crate::clients::Client;
use crate::clients::callers::Callers;
use crate::clients::redirect_uri::VerifiedRedirectUri;
use crate::config::PkcePolicy;
use crate::id_token_hint;
use crate::keys::Keys;
use crate::locales::Locales;
use crate::parameters::{InvalidParameters, Parameters};
use crate::pkce::{self, CodeChallenge};
use crate::refusals::Detail;
use crate::resource_servers::ResourceServers;
use crate::subjects::{Expected, Subjects};

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
    /// Reads what clients signed.
    pub objects: RequestObjects,
    /// What else is asked of requests.
    pub policy: RequestPolicy,
    /// What people are called.
    pub subjects: Subjects,
    /// How sure this server may be of people.
    pub levels: Levels,
    /// Whether people may make an account for themselves.
    pub sign_up: bool,
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
        (parameters, origin): (&Parameters, &Origin),
        address: IpAddr,
        now: Instant,
    ) -> Result<AuthorizationRequest, AuthorizeError> {
        let client = self.client(parameters, address, now).await?;
        let redirect_uri = self.redirect_uri(&client, parameters)?;
        // From here on the client is told, by the means it asked for if that is one (RFC 9207 §2: with our name).
        let mut back = self.way_back(&client, redirect_uri);
        match self.rest(&mut back, (parameters, origin), now) {
            Ok(request) => Ok(request),
            Err(cause) => Err(AuthorizeError::Redirect(Box::new(back), cause)),
        }
    }

    /// The answer where what a request brings or names cannot be read. Nothing that stands in it is believed, and yet RFC 9101 §7 has the
    /// client told: at the redirect URI that stands beside it, if there is one and it is registered, which proves it as ever. Else the
    /// person alone is told.
    pub(super) fn unread(
        &self,
        client: &Arc<Client>,
        beside: &Parameters,
        cause: RedirectCause,
        now: Instant,
    ) -> AuthorizeError {
        let named = beside.optional("redirect_uri");
        let proven = named.and_then(|uri| client.matching(uri, self.localhost_port_varies));
        let Some(redirect_uri) = proven else {
            return PageCause::Unread(Box::new(cause)).into();
        };
        let mut back = self.way_back(client, redirect_uri);
        // What is wrong with them is not what is told.
        let _ = self.means(&mut back, beside, now);
        AuthorizeError::Redirect(Box::new(back), cause)
    }

    fn way_back(&self, client: &Arc<Client>, redirect_uri: VerifiedRedirectUri) -> ReturnPath {
        ReturnPath {
            issuer: Arc::clone(&self.issuer),
            client: Arc::clone(client),
            redirect_uri,
            mode: ResponseMode::default(),
            state: None,
        }
    }

    /// The client that a request names.
    ///
    /// # Errors
    /// [`PageCause`].
    pub(super) async fn client(
        &self,
        parameters: &Parameters,
        address: IpAddr,
        now: Instant,
    ) -> Result<Arc<Client>, PageCause> {
        parameters.once("client_id")?;
        let id: ClientId =
            parameters
                .required("client_id")?
                .parse()
                .map_err(|error: InvalidClientId| {
                    PageCause::UnknownClient(Detail::new(error.to_string()))
                })?;
        let client = self.clients.find(&id, address, now).await?;
        let unknown =
            || PageCause::UnknownClient(Detail::new(format!("there is no {:?}", id.as_str())));
        let client = client.ok_or_else(unknown)?;
        note_client(&client);
        Ok(client)
    }

    /// RFC 6749 §3.1.2.3, §3.1.2.4; OpenID Connect Core §3.1.2.1 requires the parameter, and a profile may.
    fn redirect_uri(
        &self,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<VerifiedRedirectUri, PageCause> {
        parameters.once("redirect_uri")?;
        if let Some(requested) = parameters.optional("redirect_uri") {
            return client
                .matching(requested, self.localhost_port_varies)
                .ok_or_else(|| {
                    let sent = Detail::uri(requested);
                    let registered = client.metadata.redirect_uris.iter();
                    let registered =
                        Detail::list(registered.map(|uri| Detail::uri(&uri.to_string())));
                    PageCause::UnregisteredRedirectUri(Detail::new(format!(
                        "{sent} was sent, and registered: {registered}"
                    )))
                });
        }
        let mut scope = parameters.optional("scope").unwrap_or_default().split(' ');
        let is_named = client.demands().named_redirects();
        if is_named || scope.any(|token| token == OwnScope::OpenId.as_str()) {
            return Err(PageCause::NoRedirectUri);
        }
        client.only_redirect_uri().ok_or(PageCause::NoRedirectUri)
    }

    /// By what means the client is answered, and the response type that it names if that is one. Whatever is wrong with one of them is
    /// told with the other.
    fn means(
        &self,
        back: &mut ReturnPath,
        parameters: &Parameters,
        now: Instant,
    ) -> Result<Option<ResponseType>, RedirectCause> {
        let named = parameters.optional("response_type");
        let response_type = named.and_then(|raw| raw.parse::<ResponseType>().ok());
        let mode = self.response_mode(&back.client, (parameters, response_type), now);
        let default = response_type.map_or(ResponseMode::default(), ResponseType::default_mode);
        let client = &back.client;
        // Whoever may do nothing here may have no key that an answer could be signed with.
        let default = if client.demands().signed_responses() && client.unmet().is_none() {
            ResponseMode::Jwt.of(response_type)
        } else {
            default
        };
        back.mode = mode.as_ref().map_or(None, |mode| *mode).unwrap_or(default);
        back.state = bounded(parameters, "state", MAX_STATE)?;
        mode?;
        Ok(response_type)
    }

    /// The `response_mode`, if there is one.
    fn response_mode(
        &self,
        client: &Client,
        (parameters, response_type): (&Parameters, Option<ResponseType>),
        now: Instant,
    ) -> Result<Option<ResponseMode>, RedirectCause> {
        let Some(name) = parameters.optional("response_mode") else {
            // FAPI 2.0 Message Signing §5.4.2 (1): it is for the client to say.
            return if client.demands().signed_responses() {
                Err(RedirectCause::UnsignedAnswer)
            } else {
                Ok(None)
            };
        };
        let mut all = ResponseMode::ALL.into_iter();
        let mode = all.find(|mode| mode.as_str() == name);
        let unknown = || RedirectCause::UnsupportedResponseMode(Detail::new(format!("{name:?}")));
        let mode = mode.ok_or_else(unknown)?;
        let mode = mode.of(response_type);
        if !client.demands().permits_response_mode(mode) {
            return Err(RedirectCause::UnsignedAnswer);
        }
        // JARM §2.3.1 has the same of `query.jwt` as Multiple Response Types §5 of `query`.
        if mode.is_in_query() && response_type.is_some_and(ResponseType::is_in_front) {
            return Err(RedirectCause::TokensInQuery);
        }
        let alg = client.metadata.authorization_response_algorithm();
        if mode.is_signed() && self.keys.ring().signer(alg, now).is_none() {
            return Err(RedirectCause::UnsignedResponseMode(alg));
        }
        Ok(Some(mode))
    }

    fn rest(
        &self,
        back: &mut ReturnPath,
        (parameters, origin): (&Parameters, &Origin),
        now: Instant,
    ) -> Result<AuthorizationRequest, RedirectCause> {
        if let Some(unmet) = back.client.unmet().cloned() {
            // What is wrong with the means is not what is told.
            let _ = self.means(back, parameters, now);
            return Err(RedirectCause::Profile(unmet));
        }
        let response_type = self.means(back, parameters, now)?;
        parameters.all_once()?;
        let client = &back.client;
        self.came_as_it_must(client, origin)?;
        if parameters.optional("registration").is_some() {
            return Err(RedirectCause::Registration);
        }
        let served = (self.policy.response_types.as_slice(), parameters);
        let response_type = response_type::check(response_type, client, served)?;
        let code_challenge = if response_type.has_code() {
            self.code_challenge(client, parameters)?
        } else {
            None
        };
        if client.demands().named_resources() && parameters.all("resource").next().is_none() {
            return Err(RedirectCause::NoResource);
        }
        let confirmation = bound_to(client, parameters, origin)?;
        if confirmation.is_some() && response_type.has_token() {
            return Err(RedirectCause::UnboundInFront);
        }
        let prompt = self.prompt(parameters)?;
        let max_age = max_age(client, parameters)?;
        let claims = RequestedClaims::of(parameters)?;
        let expected = self.expected(client, parameters, &claims)?;
        let servers = &self.resource_servers;
        let mut targets = Targets::choose(client, parameters, servers, &self.issuer)?;
        if !response_type.has_code() {
            targets = targets.without(OwnScope::OfflineAccess)?;
        }
        targets.ask(&claims, client);
        let is_openid = OwnScope::OpenId.is_in(&targets.scope);
        let acr = RequestedAcr::parse(client, parameters, is_openid, &self.levels)?;
        let nonce = bounded(parameters, "nonce", MAX_NONCE)?;
        if response_type.has_id_token() {
            // OpenID Connect Core §3.1.2.1, §3.2.2.1.
            if !is_openid {
                let why = Detail::new(
                    "the response_type brings an ID token, and openid is not among the scopes",
                );
                return Err(RedirectCause::InvalidScope(why));
            }
            nonce.as_ref().ok_or(InvalidParameters::Missing("nonce"))?;
        }
        Ok(AuthorizationRequest {
            client: Arc::clone(client),
            back: back.clone(),
            origin: origin.clone(),
            response_type,
            scope: targets.scope,
            asked: targets.asked,
            code_challenge,
            confirmation: confirmation.filter(|_| response_type.has_code()),
            nonce,
            prompt,
            max_age,
            claims,
            acr,
            locales: Locales::listed(parameters.optional("ui_locales").unwrap_or_default()),
            display: Display::asked(parameters),
            expected,
            // A hint that could be no address is none.
            login_hint: bounded(parameters, "login_hint", MAX_LOGIN_HINT).unwrap_or_default(),
        })
    }

    /// RFC 9126 §5, RFC 9101 §10.5: whether the request came by the means that the server, or its client, wants of all.
    fn came_as_it_must(&self, client: &Client, origin: &Origin) -> Result<(), RedirectCause> {
        let (metadata, demands) = (&client.metadata, client.demands());
        let pushed = self.policy.require_pushed || metadata.require_pushed_authorization_requests;
        if (pushed || demands.pushed_requests()) && origin.pushed.is_none() {
            return Err(RedirectCause::NotPushed);
        }
        let signed = self.policy.require_signed || metadata.require_signed_request_object;
        if (signed || demands.signed_requests()) && !origin.is_signed {
            return Err(RedirectCause::NotSigned);
        }
        Ok(())
    }

    /// Whom an `id_token_hint` names, and a value that is asked for as `sub` (OpenID Connect Core §3.1.2.2, §5.5.1).
    fn expected(
        &self,
        client: &Arc<Client>,
        parameters: &Parameters,
        claims: &RequestedClaims,
    ) -> Result<Option<Expected>, RedirectCause> {
        let text = |name: &serde_json::Value| name.as_str().map(str::to_owned);
        let by_value = claims.subjects();
        let mut among: Vec<Vec<String>> = by_value
            .map(|names| names.iter().filter_map(text).collect())
            .collect();
        if let Some(token) = parameters.optional("id_token_hint") {
            let ring = self.keys.ring();
            let checks = id_token_hint::Checks {
                issuer: &self.issuer,
                client_id: Some(&client.id),
                keys: ring.verifying(),
            };
            among.push(vec![checks.verify(token)?.into_subject()]);
        }
        Ok((!among.is_empty()).then(|| Expected {
            subjects: self.subjects.clone(),
            client: Arc::clone(client),
            among,
        }))
    }

    /// OpenID Connect Core §3.1.2.1: a list; `none` stands alone.
    fn prompt(&self, parameters: &Parameters) -> Result<BTreeSet<Prompt>, RedirectCause> {
        let values = parameters.optional("prompt").unwrap_or_default();
        let prompt: BTreeSet<_> = values
            .split(' ')
            .filter(|value| !value.is_empty())
            .map(|value| {
                let mut known = Prompt::ALL.into_iter();
                known
                    .find(|prompt| prompt.as_str() == value)
                    .filter(|prompt| self.sign_up || *prompt != Prompt::Create)
                    .ok_or_else(|| RedirectCause::Prompt(Detail::new(format!("{value:?}"))))
            })
            .collect::<Result<_, _>>()?;
        if prompt.contains(&Prompt::None) && prompt.len() > 1 {
            return Err(RedirectCause::Prompt(Detail::new("none is beside others")));
        }
        Ok(prompt)
    }

    /// RFC 7636 §4.3, §4.4.1; RFC 9700 §2.1.1. A method that is left out means `plain`.
    fn code_challenge(
        &self,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<Option<CodeChallenge>, RedirectCause> {
        let method = parameters.optional("code_challenge_method");
        let Some(challenge) = parameters.optional("code_challenge") else {
            let required = client.demands().challenges()
                || match self.pkce {
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
            let sent = method.map_or("it is missing, which means plain".to_owned(), |sent| {
                format!("{sent:?}")
            });
            return Err(RedirectCause::CodeChallengeMethod(Detail::new(sent)));
        }
        let challenge = challenge.parse();
        challenge
            .map(Some)
            .map_err(|_| InvalidParameters::Malformed("code_challenge").into())
    }
}

/// What the code is to be bound to: the key that `dpop_jkt` names (RFC 9449 §10), which must be the one whose proof came when the request
/// was pushed, if any did (RFC 9449 §10.1); or the certificate by which it was, of a client whose tokens are bound to that.
fn bound_to(
    client: &Client,
    parameters: &Parameters,
    origin: &Origin,
) -> Result<Option<Confirmation>, RedirectCause> {
    let Some(named) = parameters.optional("dpop_jkt") else {
        return Ok(origin.confirmation.clone());
    };
    let named = named.parse::<Thumbprint>();
    let named = named.map_err(|_| InvalidParameters::Malformed("dpop_jkt"))?;
    let named = Confirmation::of_key(named);
    let is_other = |proven: &Confirmation| *proven != named;
    // It could redeem no such code.
    let is_certified = client.metadata.tls_client_certificate_bound_access_tokens;
    if is_certified || origin.confirmation.as_ref().is_some_and(is_other) {
        return Err(RedirectCause::OtherKey);
    }
    Ok(Some(named))
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
