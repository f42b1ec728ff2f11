//! A browser on its way through an interaction.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use shared_protocol::time::Instant;
use shared_server::web::{ClientAddress, Now, Problem};

use super::decision::{self, Circumstances};
use super::display::Display;
use super::error::{AuthorizeError, RedirectCause};
use super::page::PageError;
use super::request::{AuthorizationRequest, Prompt};
use super::response::see_other;
use super::{Authorize, Next, RESUME, sign_in};
use crate::accounts::Proven;
use crate::accounts::sign_in::SignIn;
use crate::browser::{BrowserId, Cookies, FormTokens};
use crate::clients::Client;
use crate::device::Devices;
use crate::interactions::{Interaction, InteractionId, Purpose};
use crate::locales::Locales;
use crate::pages::About;
use crate::parameters::Parameters;
use crate::sessions::{Amr, BeginError, Beginning, Person, SessionToken};

/// What the steps of an interaction are made of.
pub struct Dialogue {
    /// Judges requests.
    pub authorize: Authorize,
    /// What browsers are given and bring back.
    pub cookies: Cookies,
    /// What shows that a form is ours.
    pub forms: FormTokens,
    /// Signs people in.
    pub sign_in: Arc<SignIn>,
    /// Whether people may make an account for themselves.
    pub may_sign_up: bool,
    /// The devices that wait for somebody to let them in.
    pub devices: Devices,
}

/// A `Set-Cookie`, where there is one to set.
pub type SetCookie = Option<(HeaderName, HeaderValue)>;

impl Dialogue {
    /// The browser of a request, and what it is to keep if it is a new one.
    #[must_use]
    pub fn browser(&self, headers: &HeaderMap) -> (BrowserId, SetCookie) {
        if let Some(known) = self.cookies.browser(headers) {
            return (known, None);
        }
        let new = BrowserId::generate(&*self.authorize.random);
        let cookie = self.cookies.set_browser(&new);
        (new, Some((header::SET_COOKIE, cookie)))
    }

    /// The path of a step of an interaction, without a host: that is the browser's to know (threat 21).
    #[must_use]
    pub fn link(&self, path: &str, id: &InteractionId) -> String {
        format!("{}?interaction={id}", self.path(path))
    }

    /// A path below the issuer's.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.authorize.checks.issuer.path())
    }

    /// An interaction of this browser, and what it is for, a request checked anew.
    ///
    /// # Errors
    /// [`PageError::NoCookie`] if the browser does not say which one it is, [`PageError::Stale`] if the interaction is over, unknown,
    /// or another browser's; [`PageError::Authorize`].
    pub async fn reopen(
        &self,
        id: &InteractionId,
        visit: &Visit,
    ) -> Result<(Interaction, Errand), PageError> {
        let browser = visit.browser.as_ref().ok_or(PageError::NoCookie)?;
        let interactions = &self.authorize.interactions;
        let found = interactions.find(id, browser, visit.now).await?;
        let Some(mut interaction) = found else {
            return Err(self.over(id, visit.now).await);
        };
        let (parameters, origin) = match &interaction.purpose {
            Purpose::Request { parameters, origin } => (parameters, origin),
            Purpose::Device { user_code } => {
                let user_code = user_code.clone();
                return Ok((interaction, Errand::Device { user_code }));
            }
        };
        let parameters = Parameters::parse(parameters.as_bytes())?;
        let checks = &self.authorize.checks;
        let kept = (&parameters, origin);
        let request = checks.check(kept, visit.address, visit.now).await?;
        if request.prompt.contains(&Prompt::SelectAccount) {
            interaction.chosen = interactions.chosen(id, visit.now).await?;
        }
        Ok((interaction, Errand::Request(Box::new(request))))
    }

    /// The same where only a request makes sense.
    ///
    /// # Errors
    /// As [`Dialogue::reopen`].
    pub async fn reopen_request(
        &self,
        id: &InteractionId,
        visit: &Visit,
    ) -> Result<(Interaction, AuthorizationRequest), PageError> {
        match self.reopen(id, visit).await? {
            (interaction, Errand::Request(request)) => Ok((interaction, *request)),
            (_, Errand::Device { .. }) => Err(PageError::Stale),
        }
    }

    /// What has to happen next in an interaction.
    ///
    /// # Errors
    /// As [`Authorize::next`].
    pub async fn next(
        &self,
        interaction: &Interaction,
        request: &AuthorizationRequest,
        visit: &Visit,
    ) -> Result<Next, RedirectCause> {
        let (authorize, token) = (&self.authorize, visit.session.as_ref());
        let next = authorize.next(request, token, Some(interaction), visit.now);
        next.await
    }

    /// Who is signed in at this browser, if that will do for what they came for.
    ///
    /// # Errors
    /// As [`Authorize::person`].
    pub async fn signed_in(
        &self,
        interaction: &Interaction,
        errand: &Errand,
        visit: &Visit,
    ) -> Result<Option<Person>, PageError> {
        match errand {
            Errand::Request(request) => Ok(self.signed_in_for(interaction, request, visit).await?),
            Errand::Device { .. } => self.person(visit).await,
        }
    }

    /// Who is signed in at this browser.
    ///
    /// # Errors
    /// [`PageError::Account`].
    pub async fn person(&self, visit: &Visit) -> Result<Option<Person>, PageError> {
        match &visit.session {
            Some(token) => Ok(self.authorize.sessions.find(token, visit.now).await?),
            None => Ok(None),
        }
    }

    /// Who is signed in at this browser, if that will do for the request.
    ///
    /// # Errors
    /// As [`Authorize::person`].
    pub async fn signed_in_for(
        &self,
        interaction: &Interaction,
        request: &AuthorizationRequest,
        visit: &Visit,
    ) -> Result<Option<Person>, AuthorizeError> {
        let person = self
            .authorize
            .person(visit.session.as_ref(), visit.now)
            .await
            .map_err(|cause| AuthorizeError::Redirect(Box::new(request.back.clone()), cause))?;
        Ok(person.filter(|person| {
            let circumstances = Circumstances {
                session: Some(&person.session),
                remembered: None,
                began_at: Some(interaction.began_at),
                chosen: None,
                now: visit.now,
            };
            decision::is_signed_in(request, &circumstances)
        }))
    }

    /// Spends an interaction that is about to be answered, and with it the pushed request that it came of, which others may have come of
    /// too.
    ///
    /// # Errors
    /// [`PageError::Stale`] to all callers but one.
    pub async fn spend(
        &self,
        id: &InteractionId,
        request: &AuthorizationRequest,
        now: Instant,
    ) -> Result<(), PageError> {
        let authorize = &self.authorize;
        let taken = match authorize.interactions.take(id, now).await {
            Ok(true) => authorize.spend_pushed(request, now).await,
            other => other,
        };
        match taken {
            Ok(true) => Ok(()),
            Ok(false) => Err(PageError::Stale),
            Err(error) => {
                let back = Box::new(request.back.clone());
                Err(AuthorizeError::Redirect(back, error.into()).into())
            }
        }
    }
}

/// What a person came for, as it stands now.
pub enum Errand {
    /// The answer to this request.
    Request(Box<AuthorizationRequest>),
    /// To let a device in (RFC 8628).
    Device {
        /// The code that they came with, as it was typed.
        user_code: Option<String>,
    },
}

impl Errand {
    /// Whether nothing may be shown to anybody.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.request().is_some_and(AuthorizationRequest::is_silent)
    }

    /// Who is expected, to be shown in the form.
    #[must_use]
    pub fn login_hint(&self) -> String {
        let hint = self
            .request()
            .and_then(|request| request.login_hint.clone());
        hint.unwrap_or_default()
    }

    /// How pages are to be shown.
    #[must_use]
    pub fn display(&self) -> Display {
        self.request()
            .map(|request| request.display)
            .unwrap_or_default()
    }

    fn request(&self) -> Option<&AuthorizationRequest> {
        match self {
            Self::Request(request) => Some(request),
            Self::Device { .. } => None,
        }
    }
}

/// What a person is shown of the client that asks.
#[derive(Default)]
pub struct Shown {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The rest.
    pub about: About,
}

impl Dialogue {
    /// What is shown of whoever sent the person. Which client a device has shows once its code is typed.
    #[must_use]
    pub fn shown_of(&self, errand: &Errand, visit: &Visit) -> Shown {
        errand.request().map_or_else(Shown::default, |request| {
            self.shown(&request.client, &request.locales, visit)
        })
    }

    /// What is shown of a client, in the language that the person reads best as far as client and browser know.
    #[must_use]
    pub fn shown(&self, client: &Client, locales: &Locales, visit: &Visit) -> Shown {
        let locales = locales.then(Locales::accepted(&visit.headers));
        let path = self.path("");
        Shown {
            name: client.own_name(&locales).map(str::to_owned),
            about: client.about(&path, &locales),
        }
    }

    /// The path of the form in which somebody else signs in than who is.
    #[must_use]
    pub fn another_account(&self, id: &InteractionId) -> String {
        format!("{}&{}=1", self.link(sign_in::PATH, id), sign_in::ANOTHER)
    }

    /// Begins the session of somebody who has just proven who they are, with a cookie that nobody has seen before (threat 22), and
    /// goes on with the interaction.
    ///
    /// # Errors
    /// [`BeginError`].
    pub async fn welcome(
        &self,
        proven: &Proven,
        id: &InteractionId,
        visit: &Visit,
    ) -> Result<Response, BeginError> {
        let user_agent = visit.headers.get(header::USER_AGENT);
        let beginning = Beginning {
            proven,
            amr: &[Amr::Pwd],
            user_agent: user_agent.and_then(|agent| agent.to_str().ok()),
            before: visit.session.as_ref(),
        };
        let (sessions, random) = (&self.authorize.sessions, &*self.authorize.random);
        let (_, token) = sessions.begin(&beginning, visit.now, random).await?;
        let devices = &self.sign_in.devices;
        let presented = self.cookies.device(&visit.headers);
        let device = devices.issue(proven, presented, visit.now, random);
        let mut response = see_other(&self.link(RESUME, id));
        for cookie in [
            self.cookies.set_session(&token),
            self.cookies.set_device(&device, devices.lifetime()),
        ] {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

/// One request of a browser.
pub struct Visit {
    /// The browser, if it was here before.
    pub browser: Option<BrowserId>,
    /// The session that it presents.
    pub session: Option<SessionToken>,
    /// Where it connects from.
    pub address: IpAddr,
    /// When.
    pub now: Instant,
    /// What else it says.
    pub headers: HeaderMap,
}

impl Visit {
    /// The same from a browser that was just named.
    #[must_use]
    pub fn on(self, browser: BrowserId) -> Self {
        Self {
            browser: Some(browser),
            ..self
        }
    }
}

impl FromRequestParts<crate::routes::AppState> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &crate::routes::AppState,
    ) -> Result<Self, Problem> {
        let Now(now) = Now::from_request_parts(parts, state).await?;
        let cookies = &state.0.dialogue.cookies;
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
        Ok(Self {
            browser: cookies.browser(&parts.headers),
            session: cookies.session(&parts.headers),
            address,
            now,
            headers: parts.headers.clone(),
        })
    }
}

/// `?interaction=…`
pub struct InteractionQuery(pub InteractionId);

impl<S: Sync> FromRequestParts<S> for InteractionQuery {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let query = parts.uri.query().unwrap_or_default();
        let parameters = Parameters::parse(query.as_bytes())?;
        interaction(&parameters).map(Self)
    }
}

/// The interaction that a link or a form names.
///
/// # Errors
/// [`PageError::Stale`].
pub fn interaction(parameters: &Parameters) -> Result<InteractionId, PageError> {
    let named = parameters.optional("interaction");
    named.and_then(|id| id.parse().ok()).ok_or(PageError::Stale)
}
