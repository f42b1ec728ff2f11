//! The authorization code flow: a request, and the way of the person who answers it.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tokio::sync::MutexGuard;
use url::Url;

use super::arrival::{Arrival, Code, Ending};
use super::{Registered, Subject};
use crate::answer::Answer;
use crate::browser::{Browser, BrowserError, Carrier, Form, Page, Redirected};
use crate::check::{Stop, Verdict};
use crate::exchange::Exchange;

/// An authorization request of the app (RFC 6749 §4.1.1), complete until something is taken out of it.
#[derive(Clone)]
pub(crate) struct Authorization<'s> {
    subject: &'s Subject,
    parameters: Vec<(String, String)>,
    /// What travels through the browser in their place, when they travel otherwise.
    front: Vec<(String, String)>,
    verifier: String,
    refusing: bool,
}

/// RFC 7636 §4.2: `BASE64URL(SHA256(verifier))`.
pub(crate) fn s256(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

impl Subject {
    /// An authorization request of the app with PKCE, and with `openid` where the server knows it.
    pub(crate) fn authorization(&self) -> Result<Authorization<'_>, Stop> {
        self.endpoint("authorization_endpoint")?;
        self.person()?;
        let app = self.app()?;
        self.flow(&app.client_id, &app.redirect_uri)
    }

    /// An authorization request of any client that may answer there.
    pub(crate) fn flow(
        &self,
        client_id: &str,
        redirect_uri: &str,
    ) -> Result<Authorization<'_>, Stop> {
        self.endpoint("authorization_endpoint")?;
        self.person()?;
        // Unpredictable enough here: nobody attacks the requests of a test.
        let verifier = s256(&self.unique());
        self.redactor.learn(&verifier);
        let request = Authorization {
            subject: self,
            parameters: Vec::new(),
            front: Vec::new(),
            refusing: false,
            verifier: verifier.clone(),
        };
        let request = request
            .with("response_type", "code")
            .with("client_id", client_id)
            .with("redirect_uri", redirect_uri)
            .with("state", &self.unique())
            .with("code_challenge", &s256(&verifier))
            .with("code_challenge_method", "S256");
        let request = match self.named_resource() {
            Some(resource) => request.with("resource", resource),
            None => request,
        };
        let request = match self.mode {
            Some(mode) => request.with("response_mode", mode),
            None => request,
        };
        Ok(if self.knows_scope("openid") {
            request
                .with("scope", "openid")
                .with("nonce", &self.unique())
        } else {
            request
        })
    }

    /// An authorization request of a registered client.
    pub(crate) fn authorization_of(&self, client: &Registered) -> Result<Authorization<'_>, Stop> {
        self.flow(&client.client_id, &client.redirect_uri)
    }

    /// The same for a grant that outlives the session (OpenID Connect Core §11).
    pub(crate) fn offline_authorization(&self) -> Result<Authorization<'_>, Stop> {
        let request = self.authorization()?;
        Ok(if self.knows_scope("offline_access") {
            request
                .with("scope", "openid offline_access")
                .with("prompt", "consent")
        } else {
            request
        })
    }

    pub(crate) fn knows_scope(&self, scope: &str) -> bool {
        self.metadata.list("scopes_supported").contains(&scope)
    }

    /// The browser in which the person is signed in, or signs in on the first way.
    pub(super) async fn signed_in_browser(&self) -> Result<MutexGuard<'_, Browser>, Stop> {
        let browser = self.browser.lock().await;
        if self.turned_away.load(Ordering::Relaxed) {
            return Err(self.turned_away());
        }
        Ok(browser)
    }

    /// A browser in which nobody has signed in.
    pub(crate) fn new_browser(&self) -> Browser {
        Browser::over(self.http.clone())
    }

    /// The sign-in form that a new browser is led to, and the page it stands on.
    pub(crate) async fn sign_in_form(&self, browser: &Browser) -> Result<(Form, Answer), Stop> {
        let url = self.authorization()?.url()?;
        self.sign_in_form_at(browser, &url).await
    }

    /// The same of another request.
    pub(crate) async fn sign_in_form_at(
        &self,
        browser: &Browser,
        url: &Url,
    ) -> Result<(Form, Answer), Stop> {
        let page = browser.open(url).await.map_err(|cause| self.lost(&cause))?;
        let answer = self.seen(&page);
        let mut forms = page.forms().into_iter();
        let form = forms.find(|form| form.sign_in().is_some());
        let form = form.ok_or_else(|| answer.fail("there is no sign-in form"))?;
        Ok((form, answer))
    }

    /// A page as evidence.
    pub(crate) fn seen(&self, page: &Page) -> Answer {
        let redactor = &self.redactor;
        let mut response = page.status.to_string();
        for (name, value) in &page.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let _ = write!(
                response,
                "\n{name}: {}",
                redactor.header(name.as_str(), &value)
            );
        }
        let _ = write!(response, "\n\n{}", redactor.body(page.body.as_bytes()));
        Answer {
            status: page.status,
            headers: page.headers.clone(),
            body: page.body.clone().into_bytes(),
            exchange: Exchange {
                request: format!("{} {}", page.method, redactor.url(page.url.as_str())),
                response,
            },
        }
    }

    /// How a check ends when the person cannot sign in, this one and every other.
    pub(crate) fn turned_away(&self) -> Stop {
        self.turned_away.store(true, Ordering::Relaxed);
        Stop::unchecked("the given person could not sign in: the form came back")
    }

    /// How a check ends when the browser got nowhere.
    pub(crate) fn lost(&self, cause: &BrowserError) -> Stop {
        let exchange = cause.page().map(|page| self.seen(page).exchange);
        match cause {
            // A server that is busy says nothing about the person.
            BrowserError::SignInRefused(page) if matches!(page.status, 429 | 503) => {
                let status = page.status;
                Stop::unchecked(format!("nobody could sign in for now: {status}"))
            }
            BrowserError::SignInRefused(_) => self.turned_away(),
            BrowserError::NoAnswer(_)
            | BrowserError::DeadEnd(_)
            | BrowserError::FormHandedOn(_)
            | BrowserError::TooManySteps(_) => {
                Stop::failed(self.redactor.text(&cause.to_string()), exchange)
            }
        }
    }
}

impl Authorization<'_> {
    /// With that parameter, in the place of another of the name.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).also(name, value)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(given, _)| given != name);
        self
    }

    /// With that parameter, even if it stands there already.
    pub(crate) fn also(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without PKCE.
    pub(crate) fn without_challenge(self) -> Self {
        self.without("code_challenge")
            .without("code_challenge_method")
    }

    /// Of a person who says no.
    pub(crate) fn refusing(self) -> Self {
        Self {
            refusing: true,
            ..self
        }
    }

    fn asked(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(given, _)| given == name);
        named.next_back().map(|(_, value)| value.as_str())
    }

    pub(crate) fn url(&self) -> Result<Url, Stop> {
        let mut url = self.subject.endpoint("authorization_endpoint")?;
        let sent = if self.front.is_empty() {
            &self.parameters
        } else {
            &self.front
        };
        url.query_pairs_mut().extend_pairs(sent);
        Ok(url)
    }

    /// The parameters, in order.
    pub(crate) fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// The same request, of which only these parameters travel through the browser.
    pub(crate) fn travelling_as(self, front: &[(&str, &str)]) -> Self {
        let owned = front.iter();
        let front = owned.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            front: front.collect(),
            ..self
        }
    }

    pub(crate) fn redirect_uri(&self) -> String {
        self.asked("redirect_uri").unwrap_or_default().to_owned()
    }

    /// Goes all the way in the browser where the person is signed in.
    pub(crate) async fn end(self) -> Result<Ending, Stop> {
        let browser = self.subject.signed_in_browser().await?;
        self.end_in(&browser).await
    }

    /// The page on which the person is asked for consent.
    pub(crate) async fn consent_page(self) -> Result<Answer, Stop> {
        let (url, person) = (self.url()?, self.subject.person()?);
        let browser = self.subject.signed_in_browser().await?;
        match browser.until_consent(&url, person).await {
            Err(BrowserError::DeadEnd(page)) if page.status < 400 => Ok(self.subject.seen(&page)),
            Err(cause) => Err(self.subject.lost(&cause)),
            Ok(_) => Err(Stop::unchecked("the person was not asked for consent")),
        }
    }

    /// The same in that browser.
    pub(crate) async fn end_in(self, browser: &Browser) -> Result<Ending, Stop> {
        let (url, person) = (self.url()?, self.subject.person()?);
        let ended = if self.refusing {
            browser.deny(&url, person).await
        } else {
            browser.authorize(&url, person).await
        };
        self.ending(ended)
    }

    /// The same with the request in the body of a POST (RFC 6749 §3.1), as a page of the app would send it.
    pub(crate) async fn end_by_post(self) -> Result<Ending, Stop> {
        let endpoint = self.subject.endpoint("authorization_endpoint")?;
        let (url, person) = (self.url()?, self.subject.person()?);
        let browser = self.subject.signed_in_browser().await?;
        let ended = browser
            .authorize_by_post(&endpoint, &url, &self.parameters, person)
            .await;
        self.ending(ended)
    }

    fn ending(self, ended: Result<Redirected, BrowserError>) -> Result<Ending, Stop> {
        let subject = self.subject;
        match ended {
            Ok(redirected) => {
                for name in ["code", "access_token", "id_token"] {
                    if let Some(secret) = redirected.parameter(name) {
                        subject.redactor.learn(secret);
                    }
                }
                let answer = subject.seen(&redirected.page);
                let mode = self.asked("response_mode");
                answer.require(
                    mode.is_none()
                        || mode != subject.mode
                        || mode != Some("form_post")
                        || redirected.carrier == Carrier::FormPost,
                    "the response did not come as a form",
                )?;
                Ok(Ending::App(Box::new(Arrival {
                    redirected,
                    answer,
                    asked: self.parameters,
                    verifier: self.verifier,
                })))
            }
            Err(BrowserError::DeadEnd(page)) => Ok(Ending::Page(subject.seen(&page))),
            Err(cause) => Err(subject.lost(&cause)),
        }
    }

    /// The arrival at the app, with a code or an error.
    pub(crate) async fn arrive(self) -> Result<Arrival, Stop> {
        self.end().await?.arrival()
    }

    /// A code. A server that gives none cannot be looked at any further.
    pub(crate) async fn code(self) -> Result<Code, Stop> {
        self.arrive().await?.code()
    }

    /// The request must be refused at the app, with one of these codes.
    pub(crate) async fn refused(self, codes: &[&str]) -> Result<Arrival, Stop> {
        let arrival = self.arrive().await?;
        arrival.refused(codes)?;
        Ok(arrival)
    }

    /// The request must be refused, with one of these codes at the app or at a page of the server.
    pub(crate) async fn refused_anywhere(self, codes: &[&str]) -> Verdict {
        match self.end().await? {
            Ending::App(arrival) => arrival.refused(codes),
            Ending::Page(answer) => refusing_page(&answer),
        }
    }

    /// The request must not yield a code: it ends at an error page, or with an error at the app.
    pub(crate) async fn yields_no_code(self) -> Verdict {
        match self.end().await? {
            Ending::App(arrival) => arrival.answer.require(
                arrival.redirected.parameter("code").is_none(),
                "a code was issued",
            ),
            Ending::Page(answer) => refusing_page(&answer),
        }
    }

    /// The challenge of `verifier` instead of the drawn one.
    pub(crate) fn with_verifier(self, verifier: &str) -> Self {
        let request = self.with("code_challenge", &s256(verifier));
        Self {
            verifier: verifier.to_owned(),
            ..request
        }
    }
}

fn refusing_page(answer: &Answer) -> Verdict {
    answer.require(
        (400..500).contains(&answer.status),
        format!(
            "expected a refusal, got a page with status {}",
            answer.status
        ),
    )
}
