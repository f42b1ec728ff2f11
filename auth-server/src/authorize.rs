//! The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2): checks a request, finds out who is there and what they
//! agreed to, and answers with a code, or sends the person to sign in or to decide first.

pub mod agreement;
mod authorization_details;
pub mod checks;
pub mod consent;
pub mod decision;
pub mod error;
pub mod form;
mod id_token_hint;
pub mod page;
pub mod request;
pub mod response;
pub mod sign_in;
mod targets;
pub mod visit;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use shared_protocol::random::Random;
use shared_protocol::time::Instant;

use self::checks::Checks;
use self::decision::{Circumstances, Consented, Step};
use self::error::{AuthorizeError, PageCause, RedirectCause};
use self::form::AnyForm;
use self::page::PageError;
use self::request::{AuthorizationRequest, OwnScope};
use self::response::{AuthorizationResponse, Outcome, see_other};
use self::visit::{Dialogue, InteractionQuery, Visit};
use crate::browser::BrowserId;
use crate::codes::{Authorization, Codes};
use crate::consents::Consents;
use crate::grants::Terms;
use crate::interactions::{BeginError, InteractionId, Interactions};
use crate::parameters::Parameters;
use crate::sessions::{Person, SessionToken, Sessions};

/// What is kept of a request while a person is busy with it: every parameter that any check looks at.
const PARAMETERS: [&str; 15] = [
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
    "login_hint",
    "id_token_hint",
    "code_challenge",
    "code_challenge_method",
];
/// The most that is kept of one request.
const MAX_KEPT: usize = 8 * 1024;

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
    /// Makes codes and identifiers.
    pub random: Arc<dyn Random>,
}

/// What has to happen next, and who is there.
pub enum Next {
    /// Somebody signs in.
    SignIn,
    /// The person is asked.
    Consent(Box<Person>),
    /// The client gets its code.
    Issue(Box<Person>, Consented),
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

    /// What has to happen before `request` can be answered. `began_at` is when the interaction began, if there is one.
    ///
    /// # Errors
    /// [`RedirectCause::LoginRequired`] and [`RedirectCause::ConsentRequired`] for `prompt=none`, [`RedirectCause::Store`].
    pub async fn next(
        &self,
        request: &AuthorizationRequest,
        token: Option<&SessionToken>,
        began_at: Option<Instant>,
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
            began_at,
            now,
        };
        Ok(match (decision::decide(request, &circumstances)?, person) {
            (Step::Consent, Some(person)) => Next::Consent(Box::new(person)),
            (Step::Issue(consented), Some(person)) => Next::Issue(Box::new(person), consented),
            (Step::SignIn, _) | (Step::Consent | Step::Issue(_), None) => Next::SignIn,
        })
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
        let begun = self
            .interactions
            .begin(kept, browser, address, now, &*self.random);
        begun.await.map_err(|error| match error {
            // OpenID Connect Core §3.1.2.6: nobody looks at a page, and the client waits.
            BeginError::TooMany { .. } if request.is_silent() => told(RedirectCause::Busy),
            // Who does this is no app that could do better when told, but perhaps a person behind a busy address.
            BeginError::TooMany { wait } => PageCause::TooMany { wait }.into(),
            BeginError::Ephemeral(error) => told(error.into()),
        })
    }

    /// Answers with a code (RFC 6749 §4.1.2).
    ///
    /// # Errors
    /// [`RedirectCause::Ephemeral`].
    pub async fn issue(
        &self,
        request: &AuthorizationRequest,
        person: &Person,
        consented: Consented,
        now: Instant,
    ) -> Result<AuthorizationResponse, RedirectCause> {
        let offline = decision::is_offline(request, consented);
        let mut agreed = request.asked.clone();
        if !offline {
            agreed.own = OwnScope::OfflineAccess.left_out_of(&agreed.own);
        }
        let authorization = Authorization {
            terms: Terms {
                client_id: request.client.id.clone(),
                account_id: person.account.id.clone(),
                session_id: person.session.id.clone(),
                offline,
                agreed,
                auth_time: person.session.auth_time,
                amr: person.session.amr.clone(),
            },
            redirect_uri: request.back.redirect_uri.as_str().to_owned(),
            redirect_uri_named: request.back.redirect_uri.was_named(),
            code_challenge: request.code_challenge.clone(),
            nonce: request.nonce.clone(),
        };
        let code = self.codes.issue(authorization, now, &*self.random).await?;
        Ok(AuthorizationResponse {
            back: request.back.clone(),
            outcome: Outcome::Code(code),
        })
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
    let (authorize, now) = (&dialogue.authorize, visit.now);
    let query = query.unwrap_or_default();
    let parameters = Parameters::parse_with_repeated(query.as_bytes()).map_err(PageCause::from)?;
    let checked = authorize.checks.check(&parameters, visit.address, now);
    let request = checked.await?;
    let kept = kept(&parameters, &request)?;
    let told = |cause| AuthorizeError::Redirect(Box::new(request.back.clone()), cause);
    let token = visit.session.as_ref();
    let next = authorize.next(&request, token, None, now).await;
    let path = match next.map_err(told)? {
        Next::Issue(person, consented) => {
            let issued = authorize.issue(&request, &person, consented, now).await;
            return Ok(issued.map_err(told)?.into_response());
        }
        Next::SignIn => sign_in::PATH,
        Next::Consent(_) => consent::PATH,
    };
    let (browser, cookie) = dialogue.browser(&visit.headers);
    let begun = authorize.begin(kept, &request, Some(&browser), visit.address, now);
    let id = begun.await?;
    let mut response = see_other(&dialogue.link(path, &id));
    response.headers_mut().extend(cookie);
    Ok(response)
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
    let parameters = Parameters::parse_with_repeated(&body).map_err(PageCause::from)?;
    let checked = authorize
        .checks
        .check(&parameters, visit.address, visit.now);
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
    let authorize = &dialogue.authorize;
    let (interaction, request) = dialogue.reopen(id, visit).await?;
    let (token, now) = (visit.session.as_ref(), visit.now);
    let next = authorize
        .next(&request, token, Some(interaction.began_at), now)
        .await;
    let answer = match next {
        Ok(Next::SignIn) => return Ok(see_other(&dialogue.link(sign_in::PATH, id))),
        Ok(Next::Consent(_)) => return Ok(see_other(&dialogue.link(consent::PATH, id))),
        Ok(Next::Issue(person, consented)) => Ok((person, consented)),
        Err(cause) => Err(cause),
    };
    // From here on the client is answered, once.
    dialogue.spend(id, &request, now).await?;
    let answered = match answer {
        Ok((person, consented)) => authorize.issue(&request, &person, consented, now).await,
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
