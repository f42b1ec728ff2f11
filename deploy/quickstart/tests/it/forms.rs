//! A browser without scripts and pictures: it keeps cookies, follows redirects and fills in plain forms, as outside test suites do.

use std::collections::BTreeMap;

use conformance_tests::browser::Form;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::process::{Place, send};

/// The most redirects in a row.
const MOST_HOPS: usize = 10;

/// A page, or the redirect that leads away from the servers.
#[derive(Debug)]
pub(crate) struct Visited {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) html: String,
}

impl Visited {
    /// A parameter of the address.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Whether the page has an element of this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.html.contains(&format!("id=\"{id}\""))
    }

    /// The form of this id.
    pub(crate) fn form(&self, id: &str) -> Form {
        let mut forms = Form::all(&self.url, &self.html).into_iter();
        let found = forms.find(|form| form.id == id);
        found.unwrap_or_else(|| panic!("no #{id}: {self:?}"))
    }
}

/// Somebody with a browser.
pub(crate) struct Person {
    http: reqwest::Client,
    /// All of one host: the ports of `localhost` share their cookies.
    pub(crate) cookies: BTreeMap<String, String>,
    /// Every value that was ever in a cookie.
    pub(crate) cookies_seen: Vec<String>,
    /// Every value that a page gave to a form.
    pub(crate) fields_seen: Vec<String>,
    /// Where redirects end: an address that is not loaded any more.
    pub(crate) until: String,
}

impl Person {
    /// Somebody who goes wherever they are sent until that is below `until`.
    pub(crate) fn until(until: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            // A server that is started again does not know the connections of the one before.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            http,
            cookies: BTreeMap::new(),
            cookies_seen: Vec::new(),
            fields_seen: Vec::new(),
            until: until.into(),
        }
    }

    pub(crate) async fn visit(&mut self, url: &str) -> Visited {
        self.load(Method::GET, url.parse().unwrap(), None).await
    }

    /// Posts the form of this id, its fields as they stand but for `fill`, and the button that was pressed.
    pub(crate) async fn submit(
        &mut self,
        page: &Visited,
        id: &str,
        fill: &[(&str, &str)],
    ) -> Visited {
        let form = page.form(id);
        let given = form.inputs.iter().map(|input| &input.value);
        self.fields_seen
            .extend(given.filter(|value| !value.is_empty()).cloned());
        let fields = form.fields(fill);
        self.load(Method::POST, form.action, Some(fields)).await
    }

    /// Signs in and agrees, if asked, until the redirect to the client.
    pub(crate) async fn sign_in(&mut self, place: &Place, url: &str) -> Visited {
        let page = self.sign_in_and_agree(place, url).await;
        assert!(page.url.as_str().starts_with(&self.until), "{page:?}");
        page
    }

    /// Signs in at the demo app, to its page that shows what it got.
    pub(crate) async fn sign_in_at_the_app(&mut self, place: &Place) -> Visited {
        self.sign_in_and_agree(place, &place.app("/start")).await
    }

    /// Signs in and agrees, if asked, wherever that leads.
    pub(crate) async fn sign_in_and_agree(&mut self, place: &Place, url: &str) -> Visited {
        let demo = place.demo();
        let text = |name: &str| demo["person"][name].as_str().unwrap().to_owned();
        let mut page = self.visit(url).await;
        if page.has("sign-in") {
            let fill = [("email", text("email")), ("password", text("password"))];
            let fill = fill.each_ref().map(|(name, value)| (*name, value.as_str()));
            page = self.submit(&page, "sign-in", &fill).await;
        }
        if page.has("consent") {
            page = self
                .submit(&page, "consent", &[("decision", "approve")])
                .await;
        }
        page
    }

    async fn load(
        &mut self,
        mut method: Method,
        mut url: Url,
        mut form: Option<Vec<(String, String)>>,
    ) -> Visited {
        for _ in 0..MOST_HOPS {
            let cookies: Vec<_> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let mut request = self
                .http
                .request(method, url.clone())
                .header(COOKIE, cookies.join("; "));
            if let Some(form) = form.take() {
                request = request.form(&form);
            }
            let response = send(request).await;
            for field in response.headers().get_all(SET_COOKIE) {
                self.keep(field.to_str().unwrap());
            }
            let status = response.status();
            let Some(location) = response.headers().get(LOCATION) else {
                let html = response.text().await.unwrap();
                return Visited { url, status, html };
            };
            url = url.join(location.to_str().unwrap()).unwrap();
            if url.as_str().starts_with(&self.until) {
                let html = String::new();
                return Visited { url, status, html };
            }
            method = Method::GET;
        }
        panic!("redirected in circles, last to {}", url.path());
    }

    fn keep(&mut self, field: &str) {
        let mut parts = field.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        if value.is_empty() || parts.any(|part| part.eq_ignore_ascii_case("Max-Age=0")) {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.into(), value.into());
            self.cookies_seen.push(value.into());
        }
    }
}
