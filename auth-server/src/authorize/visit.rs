//! A browser on its way through an interaction.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use shared_protocol::time::Instant;
use shared_server::web::{ClientAddress, Now, Problem};

use super::Authorize;
use super::decision::{self, Circumstances};
use super::error::AuthorizeError;
use super::page::PageError;
use super::request::AuthorizationRequest;
use crate::accounts::sign_in::SignIn;
use crate::browser::{BrowserId, Cookies, FormTokens};
use crate::interactions::{Interaction, InteractionId};
use crate::parameters::Parameters;
use crate::sessions::{Person, SessionToken};

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

    /// An interaction of this browser, and its request, checked anew.
    ///
    /// # Errors
    /// [`PageError::NoCookie`] if the browser does not say which one it is, [`PageError::Stale`] if the interaction is over, unknown,
    /// or another browser's; [`PageError::Authorize`].
    pub async fn reopen(
        &self,
        id: &InteractionId,
        visit: &Visit,
    ) -> Result<(Interaction, AuthorizationRequest), PageError> {
        let browser = visit.browser.as_ref().ok_or(PageError::NoCookie)?;
        let interactions = &self.authorize.interactions;
        let found = interactions.find(id, browser, visit.now).await?;
        let interaction = found.ok_or(PageError::Stale)?;
        let parameters = Parameters::parse(interaction.parameters.as_bytes())?;
        let checks = &self.authorize.checks;
        let kept = (&parameters, &interaction.origin);
        let request = checks.check(kept, visit.address, visit.now).await?;
        Ok((interaction, request))
    }

    /// Who is signed in at this browser, if that will do for the request.
    ///
    /// # Errors
    /// As [`Authorize::person`].
    pub async fn signed_in(
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
