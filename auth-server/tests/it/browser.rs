//! A small browser: keeps cookies, goes on within the issuer, and fills in forms.

use std::collections::BTreeMap;
use std::sync::Mutex;

use auth_server::accounts::{AccountId, NewAccount};
use auth_server::clients::{ApplicationType, AuthMethod, ClientMetadata};
use conformance_tests::browser::{Form, link};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use url::Url;

use crate::person::{CHALLENGE, REDIRECT, app};
use crate::server::{TestClient, TestServer};

pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "a bicycle for the mind 1842";

impl TestServer {
    /// A person who signs in with [`PASSWORD`].
    pub(crate) async fn person(&self, email: &str) -> AccountId {
        let new = NewAccount {
            email: email.parse().unwrap(),
            name: Some("Ada Lovelace".into()),
            email_verified: true,
            password: Some(PASSWORD.to_owned().into()),
        };
        let now = self.clock.now();
        let accounts = &self.records.accounts;
        accounts.create(new, now, &SystemRandom).await.unwrap()
    }

    /// An application on a person's device (RFC 8252).
    pub(crate) fn native_metadata(redirect_uri: &str) -> ClientMetadata {
        let mut metadata = app(AuthMethod::None);
        metadata.application_type = ApplicationType::Native;
        metadata.redirect_uris = vec![redirect_uri.parse().unwrap()];
        metadata
    }

    pub(crate) async fn app(&self) -> TestClient {
        self.register(app(AuthMethod::ClientSecretBasic)).await
    }

    /// The parameters of a good request, with some of them changed: an empty value leaves one out, a name that is not there adds
    /// it, and `resource` adds one more.
    pub(crate) fn asking(client: &TestClient, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let good = [
            ("client_id", client.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", "openid read"),
            ("state", "af0ifjsldkj"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let is_changed = |name: &str| changes.iter().any(|(known, _)| *known == name);
        let kept = good.iter().filter(|(name, _)| !is_changed(name));
        let added = changes.iter().filter(|(_, value)| !value.is_empty());
        kept.chain(added)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    pub(crate) fn authorize_url(&self, client: &TestClient, changes: &[(&str, &str)]) -> String {
        let mut url = Url::parse(&format!("{}/oauth/authorize", self.issuer)).unwrap();
        url.query_pairs_mut()
            .extend_pairs(Self::asking(client, changes));
        url.into()
    }
}

/// One page, or a redirect.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Where a redirect leads.
    pub(crate) fn location(&self) -> Url {
        assert_eq!(
            self.status,
            StatusCode::SEE_OTHER,
            "{}: {}",
            self.url,
            self.body
        );
        self.url.join(self.header("location")).unwrap()
    }

    fn forms(&self) -> Vec<Form> {
        Form::all(&self.url, &self.body)
    }

    /// The value of the input of this name.
    pub(crate) fn input(&self, name: &str) -> String {
        let forms = self.forms();
        let found = forms.iter().find_map(|form| form.input(name));
        let found = found.unwrap_or_else(|| panic!("no input {name} on {self:?}"));
        found.value.clone()
    }

    /// Where the link of this id leads.
    pub(crate) fn link(&self, id: &str) -> Url {
        let found = link(&self.url, &self.body, id);
        found.unwrap_or_else(|| panic!("no link {id} on {self:?}"))
    }

    /// Whether the page holds an element of this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.body.contains(&format!("id=\"{id}\""))
    }

    /// What the form of this id would send.
    pub(crate) fn inputs(&self, form: &str) -> Vec<(String, String)> {
        let found = self.forms().into_iter().find(|known| known.id == form);
        let inputs = found.into_iter().flat_map(|form| form.inputs);
        inputs.map(|input| (input.name, input.value)).collect()
    }

    /// The target of the form of this id.
    pub(crate) fn action(&self, form: &str) -> Url {
        let found = self.forms().into_iter().find(|known| known.id == form);
        found
            .unwrap_or_else(|| panic!("no form {form} on {self:?}"))
            .action
    }
}

/// A browser of one person.
pub(crate) struct Browser<'a> {
    server: &'a TestServer,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(server: &'a TestServer) -> Self {
        Self {
            server,
            cookies: Mutex::default(),
        }
    }

    /// The cookies by name.
    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().unwrap().clone()
    }

    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.lock().unwrap();
        cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The cookie whose name begins so.
    pub(crate) fn cookie(&self, prefix: &str) -> Option<String> {
        let cookies = self.cookies();
        let mut found = cookies.iter().filter(|(name, _)| {
            let name = name.strip_prefix("__Host-").unwrap_or(name);
            name.starts_with(prefix)
        });
        found.next().map(|(_, value)| value.clone())
    }

    /// Sends a request with the cookies of this browser, and keeps what comes back.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<_> = self
            .cookies()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = if cookies.is_empty() {
            request
        } else {
            request.header("cookie", cookies.join("; "))
        };
        let response = request.send().await.unwrap();
        let page = Page {
            url: response.url().clone(),
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        };
        for cookie in page.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if attributes.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }

    pub(crate) async fn get(&self, url: impl AsRef<str>) -> Page {
        self.send(self.server.http.get(url.as_ref())).await
    }

    pub(crate) async fn post(&self, url: impl AsRef<str>, form: &[(String, String)]) -> Page {
        self.send(self.server.http.post(url.as_ref()).form(form))
            .await
    }

    /// Goes on until there is a page, or a redirect away from the server.
    pub(crate) async fn follow(&self, mut page: Page) -> Page {
        for _ in 0..10 {
            if page.status != StatusCode::SEE_OTHER {
                return page;
            }
            let next = page.location();
            if !next.as_str().starts_with(&self.server.issuer) {
                return page;
            }
            page = self.get(next).await;
        }
        panic!("redirects go on for ever, at last to {}", page.url);
    }

    pub(crate) async fn open(&self, url: impl AsRef<str>) -> Page {
        let page = self.get(url).await;
        self.follow(page).await
    }

    /// What the person would post from the sign-in page.
    pub(crate) fn filled_in(page: &Page, email: &str, password: &str) -> Vec<(String, String)> {
        [
            ("interaction", page.input("interaction")),
            ("csrf", page.input("csrf")),
            ("email", email.to_owned()),
            ("password", password.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    pub(crate) async fn sign_in_as(&self, page: &Page, email: &str, password: &str) -> Page {
        let form = Self::filled_in(page, email, password);
        let answer = self.post(page.action("sign-in"), &form).await;
        self.follow(answer).await
    }

    /// Makes an account at the page that is open.
    pub(crate) async fn sign_up_as(&self, page: &Page, email: &str, password: &str) -> Page {
        let mut form = Self::filled_in(page, email, password);
        form.push(("name".into(), "Grace Hopper".into()));
        let answer = self.post(page.action("sign-up"), &form).await;
        self.follow(answer).await
    }

    /// Says that it is the account that the page shows.
    pub(crate) async fn go_on_as_shown(&self, page: &Page) -> Page {
        let form = ["interaction", "csrf"].map(|name| (name.to_owned(), page.input(name)));
        let answer = self.post(page.action("select-account"), &form).await;
        self.follow(answer).await
    }

    /// What the person would post from the consent page.
    pub(crate) fn decided(page: &Page, decision: &str) -> Vec<(String, String)> {
        [
            ("interaction", page.input("interaction")),
            ("csrf", page.input("csrf")),
            ("decision", decision.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    pub(crate) async fn decide(&self, page: &Page, decision: &str) -> Page {
        let form = Self::decided(page, decision);
        let answer = self.post(page.action("consent"), &form).await;
        self.follow(answer).await
    }

    /// Does whatever is asked on the way from an authorization request to its answer, as [`EMAIL`].
    pub(crate) async fn arrive(&self, url: impl AsRef<str>) -> Page {
        let mut page = self.open(url).await;
        if page.has("sign-in") {
            page = self.sign_in_as(&page, EMAIL, PASSWORD).await;
        }
        if page.has("consent") {
            page = self.decide(&page, "approve").await;
        }
        page
    }

    /// As [`Browser::arrive`], for an answer by redirect.
    pub(crate) async fn sign_in_and_consent(&self, url: impl AsRef<str>) -> Url {
        self.arrive(url).await.location()
    }
}

/// A parameter of the query of a redirect.
pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut found = url.query_pairs().filter(|(known, _)| known == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    assert!(found.next().is_none(), "{name} twice in {url}");
    value
}

/// The code of an answer.
pub(crate) fn code(url: &Url) -> String {
    parameter(url, "code").unwrap_or_else(|| panic!("no code in {url}"))
}
