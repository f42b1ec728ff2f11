//! The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2): checks a request, finds out who is there and what they
//! agreed to, and answers with what it asks for, or sends the person to sign in or to decide first.

pub mod acr;
pub mod agreement;
mod authorization_details;
pub mod checks;
pub mod claims;
pub mod consent;
pub mod decision;
pub mod display;
pub mod error;
pub mod form;
pub mod front_channel;
pub mod page;
pub mod push;
pub mod pushed;
pub mod request;
pub mod request_object;
pub mod response;
pub mod response_type;
pub mod select_account;
pub mod sign_in;
pub mod sign_up;
mod start_again;
pub(crate) mod targets;
pub mod visit;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use shared_protocol::client_id::ClientId;
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::ephemeral::EphemeralError;

use self::checks::Checks;
use self::decision::{Circumstances, Consented, Step};
use self::error::{AuthorizeError, PageCause, RedirectCause};
use self::form::AnyForm;
use self::front_channel::FrontChannel;
use self::page::PageError;
use self::pushed::{PushedRequests, PushedUri};
use self::request::{AuthorizationRequest, Origin, OwnScope};
use self::request_object::RequestUriError;
use self::response::{AuthorizationResponse, Granted, Outcome, see_other};
use self::visit::{Dialogue, Errand, InteractionQuery, Visit};
use crate::browser::BrowserId;
use crate::codes::{Authorization, Codes};
use crate::consents::Consents;
use crate::grants::Terms;
use crate::interactions::{BeginError, Interaction, InteractionId, Interactions, Purpose};
use crate::parameters::Parameters;
use crate::routes::AUTHORIZE;
use crate::sessions::{Person, SessionToken, Sessions};

/// What is kept of a request while a person is busy with it: every parameter that any check looks at.
const PARAMETERS: [&str; 20] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "resource",
    "authorization_details",
    "state",
    "nonce",
    "prompt",
    "max_age",
    "acr_values",
    "claims",
    "display",
    "ui_locales",
    "login_hint",
    "id_token_hint",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
];
/// The most that is kept of one request.
const MAX_KEPT: usize = 16 * 1024;

/// Judges requests, and answers them.
pub struct Authorize {
    /// The checks of a request.
    pub checks: Checks,
    /// Requests that people are busy with.
    pub interactions: Interactions,
    /// Who is signed in.
    pub sessions: Sessions,
    /// What they agreed to.
    pub consents: Consents,
    /// What clients are answered with.
    pub codes: Codes,
    /// And without a code.
    pub front_channel: FrontChannel,
    /// Requests that clients pushed ahead.
    pub pushed: PushedRequests,
    /// Makes codes and identifiers.
    pub random: Arc<dyn Random>,
}

/// What has to happen next, and who is there.
pub enum Next {
    /// Somebody signs in.
    SignIn,
    /// Somebody makes an account.
    SignUp,
    /// The person says whether it is this account that they mean.
    SelectAccount(Box<Person>),
    /// The person is asked.
    Consent(Box<Person>),
    /// The client gets what it asked for.
    Issue(Box<Person>, Consented),
}

impl Next {
    /// Below the issuer's path, where it happens. The client is answered where interactions go on.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        match self {
            Self::SignIn => sign_in::PATH,
            Self::SignUp => sign_up::PATH,
            Self::SelectAccount(_) => select_account::PATH,
            Self::Consent(_) => consent::PATH,
            Self::Issue(..) => RESUME,
        }
    }
}

impl Authorize {
    /// Who is signed in at this browser.
    ///
    /// # Errors
    /// [`RedirectCause::Account`].
    pub async fn person(
        &self,
        token: Option<&SessionToken>,
        now: Instant,
    ) -> Result<Option<Person>, RedirectCause> {
        match token {
            Some(token) => Ok(self.sessions.find(token, now).await?),
            None => Ok(None),
        }
    }

    /// What has to happen before `request` can be answered, in the interaction if there is one.
    ///
    /// # Errors
    /// As [`decision::decide`]; [`RedirectCause::Account`].
    pub async fn next(
        &self,
        request: &AuthorizationRequest,
        token: Option<&SessionToken>,
        interaction: Option<&Interaction>,
        now: Instant,
    ) -> Result<Next, RedirectCause> {
        let found = match token {
            Some(token) => {
                let sessions = &self.sessions;
                sessions
                    .find_with_agreement(token, &request.client, now)
                    .await?
            }
            None => None,
        };
        let (person, remembered) =
            found.map_or((None, None), |(person, agreed)| (Some(person), agreed));
        let circumstances = Circumstances {
            session: person.as_ref().map(|person| &person.session),
            remembered: remembered.as_ref(),
            began_at: interaction.map(|interaction| interaction.began_at),
            chosen: interaction.and_then(|interaction| interaction.chosen.as_ref()),
            now,
        };
        Ok(match (decision::decide(request, &circumstances)?, person) {
            (Step::Consent, Some(person)) => Next::Consent(Box::new(person)),
            (Step::Issue(consented), Some(person)) => Next::Issue(Box::new(person), consented),
            (Step::SelectAccount, Some(person)) => Next::SelectAccount(Box::new(person)),
            (Step::SignUp, _) => Next::SignUp,
            (Step::SignIn, _) | (Step::SelectAccount | Step::Consent | Step::Issue(_), None) => {
                Next::SignIn
            }
        })
    }

    /// What a browser brings, wherever that stands: here, in an object, or with us since it was pushed. Whatever stands beside the name
    /// of a pushed request is not looked at (RFC 9126 §4), but for the client.
    ///
    /// # Errors
    /// [`AuthorizeError`], told where [`Checks::unread`] says.
    async fn read(
        &self,
        asked: Parameters,
        browser: &BrowserId,
        visit: &Visit,
    ) -> Result<(Parameters, Origin), AuthorizeError> {
        let (checks, now) = (&self.checks, visit.now);
        if pushed::named(&asked).is_none() {
            return checks.read(asked, visit.address, now).await;
        }
        let client = checks.client(&asked, visit.address, now).await?;
        match self.load(&asked, &client.id, browser, now).await {
            Ok(loaded) => Ok(loaded),
            Err(error) => Err(checks.unread(&client, &asked, error.into(), now)),
        }
    }

    async fn load(
        &self,
        asked: &Parameters,
        client_id: &ClientId,
        browser: &BrowserId,
        now: Instant,
    ) -> Result<(Parameters, Origin), RequestUriError> {
        let uri = pushed::named(asked).and_then(|raw| raw.parse::<PushedUri>().ok());
        let uri = uri.ok_or(RequestUriError::Unknown)?;
        let request = self.pushed.load(&uri, client_id, browser, now).await?;
        let parameters = Parameters::parse(request.parameters.as_bytes());
        let origin = Origin {
            pushed: Some(uri),
            is_signed: request.is_signed,
            confirmation: request.confirmation,
        };
        // As this server wrote them.
        let parameters = parameters.map_err(|_| RequestUriError::Unknown)?;
        Ok((parameters, origin))
    }

    /// Keeps a request while a person is busy with it.
    ///
    /// # Errors
    /// [`PageCause::TooMany`], [`RedirectCause::Busy`] and [`RedirectCause::Ephemeral`].
    async fn begin(
        &self,
        kept: String,
        request: &AuthorizationRequest,
        browser: Option<&BrowserId>,
        address: IpAddr,
        now: Instant,
    ) -> Result<InteractionId, AuthorizeError> {
        let told = |cause| AuthorizeError::Redirect(Box::new(request.back.clone()), cause);
        let begun = self.interactions.begin(
            Purpose::Request {
                parameters: kept,
                origin: request.origin.clone(),
            },
            browser,
            address,
            now,
            &*self.random,
        );
        let id = begun.await.map_err(|error| match error {
            // OpenID Connect Core §3.1.2.6: nobody looks at a page, and the client waits.
            BeginError::TooMany { .. } if request.is_silent() => told(RedirectCause::Busy),
            // Who does this is no app that could do better when told, but perhaps a person behind a busy address.
            BeginError::TooMany { wait } => PageCause::TooMany { wait }.into(),
            BeginError::Ephemeral(error) => told(error.into()),
        })?;
        if request.client.metadata.initiate_login_uri.is_some() {
            let client_id = &request.client.id;
            let noted = self.interactions.note_client(&id, client_id, now).await;
            noted.map_err(|error| told(error.into()))?;
        }
        Ok(id)
    }

    /// Answers with what the request asks for (RFC 6749 §4.1.2), in the interaction if there is one.
    ///
    /// # Errors
    /// [`RedirectCause::Ephemeral`], and as [`FrontChannel::issue`].
    pub async fn issue(
        &self,
        request: &AuthorizationRequest,
        person: &Person,
        consented: Consented,
        interaction: Option<&Interaction>,
        now: Instant,
    ) -> Result<AuthorizationResponse, RedirectCause> {
        let circumstances = Circumstances {
            session: Some(&person.session),
            remembered: None,
            began_at: interaction.map(|interaction| interaction.began_at),
            chosen: None,
            now,
        };
        let acr = request.acr.reached(circumstances.proof(&person.session));
        let offline = decision::is_offline(request, consented);
        let mut agreed = request.asked.clone();
        if !offline {
            agreed.own = OwnScope::OfflineAccess.left_out_of(&agreed.own);
        }
        let authorization = Authorization {
            terms: Terms {
                client_id: request.client.id.clone(),
                account_id: person.account.id.clone(),
                session_id: Some(person.session.id.clone()),
                offline,
                agreed,
                claims: request
                    .claims
                    .granted(&request.client.metadata.scope, &request.asked.own),
                auth_time: Some(person.session.auth_time),
                amr: person.session.amr.clone(),
                acr: acr.map(str::to_owned),
            },
            redirect_uri: request.back.redirect_uri.as_str().to_owned(),
            redirect_uri_named: request.back.redirect_uri.was_named(),
            code_challenge: request.code_challenge.clone(),
            confirmation: request.confirmation.clone(),
            nonce: request.nonce.clone(),
        };
        let response_type = request.response_type;
        let in_front = response_type.is_in_front();
        let terms = in_front.then(|| authorization.terms.clone());
        let code = if response_type.has_code() {
            let issued = self.codes.issue(authorization, now, &*self.random);
            Some(issued.await?)
        } else {
            None
        };
        let granted = match &terms {
            Some(terms) => {
                let (front, random) = (&self.front_channel, &*self.random);
                front.issue(request, (terms, code), now, random).await?
            }
            None => Granted {
                code,
                ..Granted::default()
            },
        };
        if in_front {
            self.checks.clients.registered.note_use(&request.client);
        }
        Ok(AuthorizationResponse {
            back: request.back.clone(),
            outcome: Outcome::Granted(granted),
        })
    }

    /// Spends the pushed request that a request came of, if it did: whether it may be answered.
    ///
    /// # Errors
    /// [`EphemeralError`].
    async fn spend_pushed(
        &self,
        request: &AuthorizationRequest,
        now: Instant,
    ) -> Result<bool, EphemeralError> {
        match &request.origin.pushed {
            Some(uri) => self.pushed.take(uri, now).await,
            None => Ok(true),
        }
    }
}

/// GET `/oauth/authorize`.
///
/// # Errors
/// [`AuthorizeError`].
pub async fn get(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, AuthorizeError> {
    let query = query.unwrap_or_default();
    let asked = Parameters::parse_with_repeated(query.as_bytes()).map_err(PageCause::from)?;
    let (browser, cookie) = dialogue.browser(&visit.headers);
    let is_pushed = pushed::named(&asked).is_some();
    let opened = open(&dialogue, asked, (&visit, &browser)).await;
    // Who is answered at once has nothing to come back to, but for the pushed request that is this browser's from now on.
    let is_remembered = is_pushed || matches!(opened, Ok(Opened::Interaction(_)));
    let mut response = match opened {
        Ok(Opened::Interaction(link)) => see_other(&link),
        Ok(Opened::Answer(answer)) => answer.into_response(),
        Err(error) => error.into_response(),
    };
    if is_remembered {
        response.headers_mut().extend(cookie);
    }
    Ok(response)
}

/// What a request leads to.
enum Opened {
    /// A person goes on here.
    Interaction(String),
    /// The client is answered.
    Answer(Box<AuthorizationResponse>),
}

async fn open(
    dialogue: &Dialogue,
    asked: Parameters,
    (visit, browser): (&Visit, &BrowserId),
) -> Result<Opened, AuthorizeError> {
    let (authorize, now) = (&dialogue.authorize, visit.now);
    let (parameters, origin) = authorize.read(asked, browser, visit).await?;
    let checked = authorize
        .checks
        .check((&parameters, &origin), visit.address, now);
    let request = checked.await?;
    let kept = kept(&parameters, &request)?;
    let told = |cause| AuthorizeError::Redirect(Box::new(request.back.clone()), cause);
    let token = visit.session.as_ref();
    let answer = match authorize.next(&request, token, None, now).await {
        Ok(Next::Issue(person, consented)) => Ok((person, consented)),
        Ok(next) => {
            let begun = authorize.begin(kept, &request, Some(browser), visit.address, now);
            let link = dialogue.link(next.path(), &begun.await?);
            return Ok(Opened::Interaction(link));
        }
        Err(cause) => Err(cause),
    };
    // From here on the client is answered, once.
    let is_first = authorize.spend_pushed(&request, now).await;
    if !is_first.map_err(|error| told(error.into()))? {
        let spent = RequestUriError::Unknown.into();
        return Err(PageCause::Unread(Box::new(spent)).into());
    }
    let issued = match answer {
        Ok((person, consented)) => {
            authorize
                .issue(&request, &person, consented, None, now)
                .await
        }
        Err(cause) => Err(cause),
    };
    issued
        .map(|answer| Opened::Answer(Box::new(answer)))
        .map_err(told)
}

/// What is kept of a request, if a person has to be asked. Judged for every request, so that none is good or bad by who is there.
fn kept(parameters: &Parameters, request: &AuthorizationRequest) -> Result<String, AuthorizeError> {
    let kept = parameters.encode(&PARAMETERS);
    if kept.len() > MAX_KEPT {
        let back = Box::new(request.back.clone());
        return Err(AuthorizeError::Redirect(back, RedirectCause::TooLong));
    }
    Ok(kept)
}

/// POST `/oauth/authorize`. Another site may have posted, and then no cookie came along: the request is kept, and judged at a GET.
///
/// # Errors
/// [`AuthorizeError`].
pub async fn post(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    AnyForm(body): AnyForm,
) -> Result<Response, AuthorizeError> {
    let authorize = &dialogue.authorize;
    let asked = Parameters::parse_with_repeated(&body).map_err(PageCause::from)?;
    if pushed::named(&asked).is_some() {
        // It belongs to the first browser that brings its name, and who that is shows at the GET.
        let query = asked.encode(&[
            "client_id",
            "request_uri",
            "redirect_uri",
            // In which a refusal is told.
            "state",
            "response_type",
            "response_mode",
        ]);
        return Ok(see_other(&format!("{}?{query}", dialogue.path(AUTHORIZE))));
    }
    let (checks, now) = (&authorize.checks, visit.now);
    let (parameters, origin) = checks.read(asked, visit.address, now).await?;
    let checked = checks.check((&parameters, &origin), visit.address, now);
    let request = checked.await?;
    let kept = kept(&parameters, &request)?;
    let begun = authorize.begin(kept, &request, None, visit.address, visit.now);
    let id = begun.await?;
    Ok(see_other(&dialogue.link(RESUME, &id)))
}

/// Below the issuer's path: where an interaction goes on.
pub const RESUME: &str = "/oauth/authorize/resume";

/// GET `/oauth/authorize/resume`: the next step of an interaction.
///
/// # Errors
/// [`PageError`].
pub async fn resume(
    State(dialogue): State<Arc<Dialogue>>,
    InteractionQuery(id): InteractionQuery,
    visit: Visit,
) -> Result<Response, PageError> {
    let (browser, cookie) = dialogue.browser(&visit.headers);
    let mut response = go_on(&dialogue, &id, &visit.on(browser)).await?;
    response.headers_mut().extend(cookie);
    Ok(response)
}

async fn go_on(
    dialogue: &Dialogue,
    id: &InteractionId,
    visit: &Visit,
) -> Result<Response, PageError> {
    let (authorize, now) = (&dialogue.authorize, visit.now);
    let (interaction, errand) = dialogue.reopen(id, visit).await?;
    let request = match errand {
        Errand::Request(request) => *request,
        Errand::Device { user_code } => {
            return Ok(see_other(&dialogue.device_path(user_code.as_deref())));
        }
    };
    let answer = match dialogue.next(&interaction, &request, visit).await {
        Ok(Next::Issue(person, consented)) => Ok((person, consented)),
        Ok(next) => return Ok(see_other(&dialogue.link(next.path(), id))),
        Err(cause) => Err(cause),
    };
    // From here on the client is answered, once.
    dialogue.spend(id, &request, now).await?;
    let answered = match answer {
        Ok((person, consented)) => {
            authorize
                .issue(&request, &person, consented, Some(&interaction), now)
                .await
        }
        Err(cause) => Err(cause),
    };
    let told = |cause| AuthorizeError::Redirect(Box::new(request.back.clone()), cause);
    Ok(answered.map_err(told)?.into_response())
}

impl IntoResponse for AuthorizeError {
    fn into_response(self) -> Response {
        match self {
            Self::Page(cause) => page::refusal(cause),
            Self::Redirect(back, cause) => AuthorizationResponse {
                back: *back,
                outcome: Outcome::Error(cause),
            }
            .into_response(),
        }
    }
}
