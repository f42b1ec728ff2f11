//! Signing out. A client that proves by an ID token of ours whom it means signs that person out; for anybody else they are asked first,
//! since a link or a form on another site must not do it for them (OpenID Connect RP-Initiated Logout §2, §6).

mod error;
pub mod kept;
mod request;

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use shared_protocol::issuer::Issuer;
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::web::{ClientAddress, Now};

use self::kept::KeptId;
use self::request::{LogoutRequest, PARAMETERS};
use crate::accounts::AccountError;
use crate::authorize::response::see_other;
use crate::back_channel::BackChannel;
use crate::browser::{Binding, Cookies, Form, FormTokens};
use crate::clients::directory::Clients;
use crate::form;
use crate::interactions::Interactions;
use crate::keys::Keys;
use crate::pages::{SignOutPage, SignedOutPage};
use crate::parameters::Parameters;
use crate::routes::{LOGGED_OUT, LOGOUT};
use crate::sessions::{Person, SessionId, SessionToken, Sessions};
use crate::subjects::Subjects;
pub use error::SignOutError;

/// Below the issuer's path: where what another site posted goes on.
pub const RESUME: &str = "/oauth/logout/resume";

/// What signing out takes.
pub struct SignOut {
    /// Whose paths and cookies, and who made ID tokens.
    pub issuer: Arc<Issuer>,
    /// What ends.
    pub sessions: Sessions,
    /// Where browsers keep it.
    pub cookies: Cookies,
    /// What shows that the form is ours.
    pub forms: FormTokens,
    /// Who may send people here, and where they go then.
    pub clients: Clients,
    /// What ID tokens of this server were signed with.
    pub keys: Keys,
    /// What people are called.
    pub subjects: Subjects,
    /// Tells clients.
    pub back_channel: BackChannel,
    /// Counts, and keeps, what other sites post.
    pub interactions: Interactions,
    /// Whether a native client's redirect to `localhost` may name any port.
    pub localhost_port_varies: bool,
    /// Makes names.
    pub random: Arc<dyn Random>,
}

impl SignOut {
    fn path(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.issuer.path())
    }

    /// Who is signed in at the browser of a request.
    async fn person(
        &self,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Option<(SessionToken, Person)>, AccountError> {
        let Some(token) = self.cookies.session(headers) else {
            return Ok(None);
        };
        let person = self.sessions.find(&token, now).await?;
        Ok(person.map(|person| (token, person)))
    }

    /// What a request comes to: the question, or the end.
    async fn answer(
        &self,
        request: &LogoutRequest,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Response, SignOutError> {
        let Some((token, person)) = self.person(headers, now).await? else {
            // A session that idled is over for us; its clients hear of it now that its person asks. Nothing else changes here, not even a
            // cookie: a link on any site leads to this.
            if let Some(token) = self.cookies.session(headers)
                && let Some(id) = self.sessions.find_over(&token).await?
            {
                self.end(&id, now).await?;
            }
            return Ok(self.go_on(request));
        };
        if request.is_about(&person, &self.subjects) {
            self.end(&person.session.id, now).await?;
            return Ok(self.signed_out(request, headers));
        }
        let page = SignOutPage {
            action: self.path(LOGOUT),
            csrf: self.forms.token(&binding(&token)),
            email: person.account.email.to_string(),
            client_name: request.client().map(|client| client.name().to_owned()),
            leads_on: request.location().is_some(),
            parameters: request.parameters.clone(),
        };
        Ok(page.into_response())
    }

    /// Ends a session, and tells its clients before anybody goes on.
    async fn end(&self, id: &SessionId, now: Instant) -> Result<(), SignOutError> {
        let lead = self.back_channel.lead(now);
        let notices = self.sessions.end_and_tell(id, lead, now).await?;
        self.back_channel.tell_at_once(notices, now).await;
        Ok(())
    }

    /// Where somebody goes who is not signed in.
    fn go_on(&self, request: &LogoutRequest) -> Response {
        match request.location() {
            Some(location) => see_other(&location),
            None => see_other(&self.path(LOGGED_OUT)),
        }
    }

    /// The answer to all who were signed out, or asked to be and were before: the cookie goes, also one that was good for nothing.
    fn signed_out(&self, request: &LogoutRequest, headers: &HeaderMap) -> Response {
        let mut response = self.go_on(request);
        if self.cookies.session(headers).is_some() {
            let clear = self.cookies.clear_session();
            response.headers_mut().insert(header::SET_COOKIE, clear);
        }
        response
    }
}

/// Bound to the session: a form of one person signs out no other who came after them.
fn binding(token: &SessionToken) -> Binding<'_> {
    Binding {
        session: Some(token),
        ..Binding::to(Form::SignOut)
    }
}

/// What our own form holds, and no client's: theirs have tokens of their own, under names that everybody uses.
const OWN_FORM: &str = "sign_out_form";

/// GET `/oauth/logout`: signs out whom a client means, or asks.
///
/// # Errors
/// [`SignOutError`].
pub async fn ask(
    State(sign_out): State<Arc<SignOut>>,
    Now(now): Now,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, SignOutError> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes())?;
    let request = sign_out.request(&parameters).await?;
    sign_out.answer(&request, &headers, now).await
}

/// POST `/oauth/logout`: signs out, if our own form asks for it. A client's form, which another site posts and which comes without
/// our cookie, is kept, and answered with a GET, where the cookie can be read (OpenID Connect RP-Initiated Logout §2).
///
/// # Errors
/// [`SignOutError`].
pub async fn post(
    State(sign_out): State<Arc<SignOut>>,
    Now(now): Now,
    ClientAddress(address): ClientAddress,
    request: Request,
) -> Result<Response, SignOutError> {
    let (headers, body) = form::read(request).await?;
    let form = Parameters::parse(&body)?;
    let request = sign_out.request(&form).await?;
    let again = sign_out.path(LOGOUT);
    let Some(csrf) = form.optional(OWN_FORM) else {
        if request.parameters.is_empty() {
            return Ok(see_other(&again));
        }
        let kept = form.encode(&PARAMETERS.map(|(name, _)| name));
        let (interactions, random) = (&sign_out.interactions, &*sign_out.random);
        let id = kept::keep(&kept, interactions, address, now, random).await?;
        return Ok(see_other(&format!(
            "{}?request={id}",
            sign_out.path(RESUME)
        )));
    };
    let Some((token, person)) = sign_out.person(&headers, now).await? else {
        return Ok(sign_out.signed_out(&request, &headers));
    };
    if !sign_out.forms.verify(&binding(&token), csrf) {
        return Err(SignOutError::Stale { again });
    }
    sign_out.end(&person.session.id, now).await?;
    Ok(sign_out.signed_out(&request, &headers))
}

/// GET `/oauth/logout/resume`: goes on with what another site posted, once.
///
/// # Errors
/// [`SignOutError`].
pub async fn resume(
    State(sign_out): State<Arc<SignOut>>,
    Now(now): Now,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, SignOutError> {
    let query = Parameters::parse(query.unwrap_or_default().as_bytes())?;
    let over = || SignOutError::Over {
        again: sign_out.path(LOGOUT),
    };
    let id: Option<KeptId> = query.optional("request").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(over)?;
    let kept = kept::take(&id, &sign_out.interactions, now).await?;
    let parameters = Parameters::parse(&kept.ok_or_else(over)?)?;
    let request = sign_out.request(&parameters).await?;
    sign_out.answer(&request, &headers, now).await
}

/// GET `/logged-out`: says so, where it is so.
///
/// # Errors
/// [`SignOutError`].
pub async fn done(
    State(sign_out): State<Arc<SignOut>>,
    Now(now): Now,
    headers: HeaderMap,
) -> Result<Response, SignOutError> {
    // Perhaps signed in again since, and come back by the history of the browser.
    if sign_out.person(&headers, now).await?.is_some() {
        return Ok(see_other(&sign_out.path(LOGOUT)));
    }
    Ok(SignedOutPage.into_response())
}
