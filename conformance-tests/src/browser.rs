//! A person at a browser without scripts: plain forms, redirects, cookies.
//!
//! It drives any server whose pages work without JavaScript, our own and others', and sees each page as it was sent.

mod cookies;
mod device;
mod form;
mod html;
mod journey;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use url::{Url, form_urlencoded};

use cookies::Jar;
pub use device::{Decision, Paired};
pub use form::{Button, Form, Input};
pub use html::link;
pub use journey::{Carrier, Redirected, SignedOut};

/// As much of a page as is read, in bytes.
const PAGE: usize = 1 << 20;

/// Somebody with an account at the server.
pub struct Person {
    /// What the sign-in form asks for besides the password, mostly an email address.
    pub login: String,
    /// The password.
    pub password: SecretString,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({})", self.login)
    }
}

/// A browser: it keeps cookies, and follows a redirect only when it is told to.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    jar: Mutex<Jar>,
}

/// What came back from one request.
#[derive(Clone, Debug)]
pub struct Page {
    /// The method of the request.
    pub method: Method,
    /// The URL of the request.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

/// Why a browser did not get where it was sent.
#[derive(Clone, Debug)]
pub enum BrowserError {
    /// There was no answer; the text says why.
    NoAnswer(String),
    /// The sign-in form came back after it was filled in.
    SignInRefused(Box<Page>),
    /// A page that leads nowhere: an error page, or a form that is not understood.
    DeadEnd(Box<Page>),
    /// A redirect that sends the same form again (307, 308) to somebody else (RFC 9700 §4.12).
    FormHandedOn(Box<Page>),
    /// The redirects do not end.
    TooManySteps(Url),
}

impl BrowserError {
    /// The page where it ended.
    #[must_use]
    pub fn page(&self) -> Option<&Page> {
        match self {
            Self::SignInRefused(page) | Self::DeadEnd(page) | Self::FormHandedOn(page) => {
                Some(page)
            }
            Self::NoAnswer(_) | Self::TooManySteps(_) => None,
        }
    }
}

impl fmt::Display for BrowserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(cause) => write!(f, "there was no answer: {cause}"),
            Self::SignInRefused(_) => f.write_str("the sign-in form came back"),
            Self::DeadEnd(page) => {
                let title = page.title().unwrap_or_default();
                write!(
                    f,
                    "{} led no further: {} {title}",
                    page.url.path(),
                    page.status
                )
            }
            Self::FormHandedOn(page) => write!(
                f,
                "{} was answered {}, which sends the form to somebody else",
                page.url.path(),
                page.status
            ),
            Self::TooManySteps(url) => write!(f, "the redirects do not end: {}", url.path()),
        }
    }
}

impl std::error::Error for BrowserError {}

impl Page {
    /// Every form of the page.
    #[must_use]
    pub fn forms(&self) -> Vec<Form> {
        Form::all(&self.url, &self.body)
    }

    /// The form with that `id`.
    #[must_use]
    pub fn form(&self, id: &str) -> Option<Form> {
        self.forms().into_iter().find(|form| form.id == id)
    }

    /// The text of `<title>`.
    #[must_use]
    pub fn title(&self) -> Option<String> {
        html::text_of(&self.body, "title")
    }

    /// Where a redirect leads.
    #[must_use]
    pub fn location(&self) -> Option<Url> {
        if !(300..400).contains(&self.status) {
            return None;
        }
        let location = self.headers.get("location")?.to_str().ok()?;
        self.url.join(location).ok()
    }
}

impl Browser {
    /// A browser without cookies that speaks to servers directly, never through a proxy.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, BrowserError> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .map_err(|cause| BrowserError::NoAnswer(cause.to_string()))?;
        Ok(Self::over(http))
    }

    /// A browser without cookies over `http`, which must not follow redirects nor keep cookies.
    #[must_use]
    pub fn over(http: reqwest::Client) -> Self {
        Self {
            http,
            jar: Mutex::default(),
        }
    }

    /// Another browser with the same cookies.
    #[must_use]
    pub fn copy(&self) -> Self {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            http: self.http.clone(),
            jar: Mutex::new(jar.clone()),
        }
    }

    /// The values of all cookies, so that evidence can be kept free of them.
    #[must_use]
    pub fn cookie_values(&self) -> Vec<String> {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        jar.values().map(str::to_owned).collect()
    }

    /// The `Cookie` header of a request to `url`, for another client that goes on as this browser; empty without cookies.
    #[must_use]
    pub fn cookies(&self, url: &Url) -> String {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        jar.header(url).unwrap_or_default()
    }

    /// Opens `url`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, url: &Url) -> Result<Page, BrowserError> {
        self.send(self.http.get(url.clone()), Method::GET, url)
            .await
    }

    /// Sends `form` as it stands but for `changed`: what is typed in, and the button that is pressed.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn submit(
        &self,
        form: &Form,
        changed: &[(&str, &str)],
    ) -> Result<Page, BrowserError> {
        let fields = form.fields(changed);
        let encoded = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&fields)
            .finish();
        if !form.post {
            let mut url = form.action.clone();
            url.set_query(Some(&encoded));
            return self.get(&url).await;
        }
        let own = form.action.origin() == form.page.origin();
        let request = self
            .http
            .post(form.action.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", form.page.origin().ascii_serialization())
            .header(
                "sec-fetch-site",
                if own { "same-origin" } else { "cross-site" },
            )
            .body(encoded);
        self.send(request, Method::POST, &form.action).await
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        method: Method,
        url: &Url,
    ) -> Result<Page, BrowserError> {
        let no_answer = |cause: reqwest::Error| BrowserError::NoAnswer(cause.to_string());
        let cookies = {
            let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
            jar.header(url)
        };
        let request = request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let request = match cookies {
            Some(cookies) => request.header("cookie", cookies),
            None => request,
        };
        let mut response = request.send().await.map_err(no_answer)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            body.extend_from_slice(&chunk);
            if body.len() > PAGE {
                body.truncate(PAGE);
                break;
            }
        }
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        for field in headers.get_all("set-cookie") {
            if let Ok(field) = field.to_str() {
                jar.set(url, field);
            }
        }
        Ok(Page {
            method,
            url: url.clone(),
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_stays_out_of_debug_output() {
        let person = Person {
            login: "a@b.example".into(),
            password: "hush".into(),
        };
        assert_eq!(format!("{person:?}"), "Person(a@b.example)");
    }

    #[test]
    fn a_redirect_is_resolved_against_its_page() {
        let mut page = Page {
            method: Method::GET,
            url: "http://as.example/a/b".parse().unwrap(),
            status: 303,
            headers: HeaderMap::new(),
            body: String::new(),
        };
        for (location, expected) in [
            ("/login", "http://as.example/login"),
            ("c?d", "http://as.example/a/c?d"),
            ("com.example.app:/x", "com.example.app:/x"),
        ] {
            page.headers.insert("location", location.parse().unwrap());
            assert_eq!(page.location().unwrap().as_str(), expected);
        }
        page.status = 200;
        assert!(page.location().is_none());
    }
}
