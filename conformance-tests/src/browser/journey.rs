//! The way of an authorization request: sign-in, consent, and back to the app (RFC 6749 §4.1).

use reqwest::Method;
use secrecy::ExposeSecret as _;
use url::Url;

use super::{Browser, BrowserError, Form, Page, Person};

/// How many redirects and forms a way may have.
pub(super) const STEPS: usize = 20;

pub(super) const APPROVE: &[&str] = &["approve", "allow", "accept", "authorize", "grant", "yes"];
const LEAVE: &[&str] = &[
    "out", "logout", "signout", "confirm", "yes", "continue", "end",
];
pub(super) const DENY: &[&str] = &["deny", "cancel", "refuse", "decline", "reject", "no"];

/// Where the server sent the browser in the end, with what it has to say to the app.
#[derive(Clone, Debug)]
pub struct Redirected {
    /// The app's redirection URI, parameters in query and fragment included.
    pub url: Url,
    /// What carries the parameters.
    pub carrier: Carrier,
    /// The parameters of the response.
    pub parameters: Vec<(String, String)>,
    /// The page that sent the browser away.
    pub page: Page,
    /// How many times the sign-in form was filled in on the way.
    pub sign_ins: usize,
    /// How many times consent was asked for on the way.
    pub consents: usize,
}

impl Redirected {
    /// The first parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(given, _)| given == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// Where a sign-out ended (OpenID Connect RP-Initiated Logout §2).
#[derive(Clone, Debug)]
pub struct SignedOut {
    /// Where the server sent the browser; absent when it ended at a page of the server.
    pub sent_to: Option<Url>,
    /// The last page of the server.
    pub page: Page,
}

/// How an authorization response travels (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode §2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// In the query of the redirection URI.
    Query,
    /// In its fragment.
    Fragment,
    /// In a form that the page posts there.
    FormPost,
}

impl Browser {
    /// Opens the authorization request `url` and goes on as `person`, who approves of everything, until the browser is
    /// sent to the app.
    ///
    /// # Errors
    /// When the way ends elsewhere.
    pub async fn authorize(&self, url: &Url, person: &Person) -> Result<Redirected, BrowserError> {
        let first = self.get(url).await?;
        self.travel(first, url, person, APPROVE).await
    }

    /// Like [`Browser::authorize`], with the parameters of `request` in the body of a POST to `endpoint`, sent by a page
    /// of the app.
    ///
    /// # Errors
    /// When the way ends elsewhere.
    pub(crate) async fn authorize_by_post(
        &self,
        endpoint: &Url,
        request: &Url,
        parameters: &[(String, String)],
        person: &Person,
    ) -> Result<Redirected, BrowserError> {
        let form = Form {
            id: String::new(),
            action: endpoint.clone(),
            post: true,
            inputs: Vec::new(),
            buttons: Vec::new(),
            page: Way::new(request).app.unwrap_or_else(|| endpoint.clone()),
        };
        let pairs: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let first = self.submit(&form, &pairs).await?;
        self.travel(first, request, person, APPROVE).await
    }

    /// The same of a person who refuses when asked for consent.
    ///
    /// # Errors
    /// When the way ends elsewhere.
    pub async fn deny(&self, url: &Url, person: &Person) -> Result<Redirected, BrowserError> {
        let first = self.get(url).await?;
        self.travel(first, url, person, DENY).await
    }

    /// The same of a person who presses nothing when asked for consent: that page is where it ends.
    pub(crate) async fn until_consent(
        &self,
        url: &Url,
        person: &Person,
    ) -> Result<Redirected, BrowserError> {
        let first = self.get(url).await?;
        self.travel(first, url, person, &[]).await
    }

    /// Opens `url` and follows redirects within its origin, to a page or to a redirect that leads away.
    ///
    /// # Errors
    /// When there is no answer, or no end.
    pub async fn open(&self, url: &Url) -> Result<Page, BrowserError> {
        let way = Way::new(url);
        let mut page = self.get(url).await?;
        for _ in 0..STEPS {
            match page.location().filter(|next| !way.leaves(next)) {
                Some(next) => page = self.get(&next).await?,
                None => return Ok(page),
            }
        }
        Err(BrowserError::TooManySteps(page.url))
    }

    /// Opens the sign-out request `url` and confirms it where that is asked for, until the browser is sent away from the server or
    /// nothing is asked any more.
    ///
    /// # Errors
    /// When there is no answer, or no end.
    pub async fn sign_out(&self, url: &Url) -> Result<SignedOut, BrowserError> {
        let first = self.get(url).await?;
        self.leave(first, url).await
    }

    /// The same with these parameters in the body of a POST to `endpoint`, sent by a page of the server's own origin.
    ///
    /// # Errors
    /// When there is no answer, or no end.
    pub async fn sign_out_by_post(
        &self,
        endpoint: &Url,
        parameters: &[(&str, &str)],
    ) -> Result<SignedOut, BrowserError> {
        let form = Form {
            id: String::new(),
            action: endpoint.clone(),
            post: true,
            inputs: Vec::new(),
            buttons: Vec::new(),
            page: endpoint.clone(),
        };
        let first = self.submit(&form, parameters).await?;
        self.leave(first, endpoint).await
    }

    async fn leave(&self, mut page: Page, request: &Url) -> Result<SignedOut, BrowserError> {
        let way = Way::new(request);
        for _ in 0..STEPS {
            if let Some(next) = page.location() {
                if way.leaves(&next) {
                    return Ok(SignedOut {
                        sent_to: Some(next),
                        page,
                    });
                }
                page = self.get(&next).await?;
                continue;
            }
            let forms = page.forms();
            let asked = forms.iter().find_map(|form| {
                let own = form.post && !way.leaves(&form.action) && form.sign_in().is_none();
                Some((form, form.button(LEAVE)?)).filter(|_| own)
            });
            let Some((form, button)) = asked.filter(|_| page.status < 400) else {
                return Ok(SignedOut {
                    sent_to: None,
                    page,
                });
            };
            page = self.submit(form, &[(&button.name, &button.value)]).await?;
        }
        Err(BrowserError::TooManySteps(page.url))
    }

    async fn travel(
        &self,
        mut page: Page,
        request: &Url,
        person: &Person,
        decision: &[&str],
    ) -> Result<Redirected, BrowserError> {
        let way = Way::new(request);
        let (mut sign_ins, mut consents) = (0, 0);
        for _ in 0..STEPS {
            if let Some(next) = page.location() {
                let (carrier, parameters) = parameters(&next);
                if way.leaves(&next) {
                    return Ok(Redirected {
                        url: next,
                        carrier,
                        parameters,
                        page,
                        sign_ins,
                        consents,
                    });
                }
                if page.method == Method::POST && matches!(page.status, 307 | 308) {
                    return Err(BrowserError::FormHandedOn(Box::new(page)));
                }
                page = self.get(&next).await?;
                continue;
            }
            let forms = page.forms();
            if let Some(form) = forms
                .iter()
                .find(|form| form.post && way.leaves(&form.action))
            {
                return Ok(Redirected {
                    url: form.action.clone(),
                    carrier: Carrier::FormPost,
                    parameters: form.fields(&[]),
                    page,
                    sign_ins,
                    consents,
                });
            }
            page = if let Some(form) = forms.iter().find(|form| form.sign_in().is_some()) {
                if sign_ins > 0 && page.status >= 400 || sign_ins > 2 {
                    return Err(BrowserError::SignInRefused(Box::new(page)));
                }
                sign_ins += 1;
                self.sign_in(form, person).await?
            } else if let Some((form, button)) = forms
                .iter()
                .find_map(|form| Some((form, form.button(decision)?)))
                .filter(|_| page.status < 400)
            {
                consents += 1;
                self.submit(form, &[(&button.name, &button.value)]).await?
            } else {
                return Err(BrowserError::DeadEnd(Box::new(page)));
            };
        }
        Err(BrowserError::TooManySteps(page.url))
    }

    /// Fills in the sign-in form.
    ///
    /// # Errors
    /// When `form` is none, or there is no answer.
    pub async fn sign_in(&self, form: &Form, person: &Person) -> Result<Page, BrowserError> {
        let Some((login, password)) = form.sign_in() else {
            let cause = "the form asks for no password".to_owned();
            return Err(BrowserError::NoAnswer(cause));
        };
        let mut typed = vec![
            (login.name.as_str(), person.login.as_str()),
            (password.name.as_str(), person.password.expose_secret()),
        ];
        if let Some(button) = form.buttons.first() {
            typed.push((&button.name, &button.value));
        }
        self.submit(form, &typed).await
    }
}

/// What belongs to the server, and what to the app.
pub(super) struct Way {
    server: Url,
    app: Option<Url>,
}

impl Way {
    pub(super) fn new(request: &Url) -> Self {
        let mut named = request
            .query_pairs()
            .filter(|(name, _)| name == "redirect_uri");
        let app = named.next().and_then(|(_, value)| Url::parse(&value).ok());
        Self {
            server: request.clone(),
            app,
        }
    }

    /// Whether `url` is the app's: another origin than the server's, or the redirection URI that was asked for.
    pub(super) fn leaves(&self, url: &Url) -> bool {
        let place = |url: &Url| {
            let host = (url.scheme().to_owned(), url.host_str().map(str::to_owned));
            (host, url.port_or_known_default(), url.path().to_owned())
        };
        url.scheme() != self.server.scheme()
            || url.origin() != self.server.origin()
            || self
                .app
                .as_ref()
                .is_some_and(|app| place(app) == place(url))
    }
}

/// The parameters of a response: in the fragment when there is one, else in the query.
fn parameters(url: &Url) -> (Carrier, Vec<(String, String)>) {
    let (carrier, text) = match url.fragment().filter(|fragment| fragment.contains('=')) {
        Some(fragment) => (Carrier::Fragment, fragment),
        None => (Carrier::Query, url.query().unwrap_or_default()),
    };
    let pairs = url::form_urlencoded::parse(text.as_bytes()).into_owned();
    (carrier, pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_told_from_the_server() {
        let request = "http://localhost:1/authorize?redirect_uri=http%3A%2F%2Flocalhost%3A1%2Fcb";
        let way = Way::new(&request.parse().unwrap());
        for (url, leaves) in [
            ("http://localhost:1/login?x=1", false),
            ("http://localhost:1/cb?code=1", true),
            ("http://localhost:1/cb/2", false),
            ("http://127.0.0.1:1/login", true),
            ("https://localhost:1/login", true),
            ("com.example.app:/cb?code=1", true),
        ] {
            assert_eq!(way.leaves(&url.parse().unwrap()), leaves, "{url}");
        }
    }

    #[test]
    fn a_response_is_read_from_query_or_fragment() {
        for (url, carrier, expected) in [
            (
                "http://a.example/cb?code=a%2Bb&state=s",
                Carrier::Query,
                Some("a+b"),
            ),
            (
                "http://a.example/cb?x=1#code=c",
                Carrier::Fragment,
                Some("c"),
            ),
            ("http://a.example/cb?code=c#_", Carrier::Query, Some("c")),
            ("http://a.example/cb", Carrier::Query, None),
        ] {
            let (found, parameters) = parameters(&url.parse().unwrap());
            let code = parameters
                .iter()
                .find(|(name, _)| name == "code")
                .map(|(_, value)| value.as_str());
            assert_eq!((found, code), (carrier, expected), "{url}");
        }
    }
}
