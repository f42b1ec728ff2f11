//! The authorization endpoint and its pages, with faults. A request travels on in the pages' hidden fields.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::clients::now;
use super::grants::Issued;
use super::requests::{ORIGIN, Unresolved};
use super::{Asked, Rule, Server, Wire, jwt, members};

pub(crate) const LOGIN: &str = "person@as.example";
pub(crate) const PASSWORD: &str = "pa55word of <the> person";
pub(crate) const CALLBACK: &str = "http://127.0.0.1/callback";

const SCOPES: [&str; 7] = [
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
    "read",
];

const KNOWN: [&str; 24] = [
    "dpop_jkt",
    "request",
    "request_uri",
    "login_hint",
    "id_token_hint",
    "claims",
    "authorization_details",
    ORIGIN,
    "claims_locales",
    "resource",
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "response_mode",
    "prompt",
    "max_age",
    "display",
    "ui_locales",
    "acr_values",
];

/// The parameters of an authorization request; empty ones are absent.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// With what stands outside in the place of what they say.
    pub(crate) fn overridden_by(mut self, outside: &Self) -> Self {
        self.0.retain(|(name, _)| outside.get(name).is_none());
        self.0.extend(outside.0.iter().cloned());
        self.0
            .retain(|(name, _)| !["request", "request_uri"].contains(&name.as_str()));
        self
    }

    fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn encoded(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self
            .0
            .iter()
            .filter(|(given, value)| given == name && !value.is_empty());
        named.next_back().map(|(_, value)| value.as_str())
    }

    fn repeats(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let mut seen = HashSet::new();
        self.0
            .iter()
            .any(|(name, _)| wanted(name) && !seen.insert(name))
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_some_and(|list| list.split(' ').any(|given| given == value))
    }
}

pub(crate) fn page(status: u16, body: &str) -> Wire {
    let mut wire = Wire::new(status)
        .with("content-type", "text/html")
        .with("content-security-policy", "frame-ancestors 'none'")
        .with("cache-control", "no-store");
    wire.body = format!("<!doctype html><title>Page</title>{body}");
    wire
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn to(url: &str) -> Wire {
    Wire::new(303).with("location", url)
}

impl Server {
    pub(crate) fn authorize(&self, asked: &Asked) -> Wire {
        let pairs = if asked.method == "POST" {
            &asked.form
        } else {
            &asked.query
        };
        let outside = Parameters(pairs.clone());
        let client = outside.get("client_id").unwrap_or_default().to_owned();
        if client != "app" && self.registered(&client).is_none() {
            return page(400, "unknown client");
        }
        let mut parameters = match self.resolved(&client, outside) {
            Ok(parameters) => parameters,
            Err(Unresolved::Refused(outside, code)) => {
                let redirect = outside.get("redirect_uri").unwrap_or_default();
                if self.is_registered(&client, redirect) {
                    return self.respond(&outside, ("error", code));
                }
                return page(400, code);
            }
            Err(Unresolved::Page) => return page(400, "this request cannot be read"),
        };
        let client = parameters.get("client_id").unwrap_or_default().to_owned();
        let lax = self.breaks(Rule::LastDuplicateWins);
        if parameters.repeats(|name| name == "redirect_uri") && !lax {
            return page(400, "redirect_uri stands twice");
        }
        if parameters.get("redirect_uri").is_none() && self.breaks(Rule::RedirectIsOptional) {
            parameters.0.push(("redirect_uri".into(), CALLBACK.into()));
        }
        let redirect = parameters.get("redirect_uri").unwrap_or_default();
        if !self.is_registered(&client, redirect) {
            return page(400, "unknown redirect_uri");
        }
        if let Err(code) = self.accept(&parameters) {
            return self.respond(&parameters, ("error", code));
        }
        let signed_in = self.session(asked);
        let prompts = !self.breaks(Rule::PromptIsIgnored);
        if parameters.has("prompt", "none") && prompts {
            let hinted = parameters.get("id_token_hint").is_some();
            let refuses =
                self.breaks(Rule::NoneIsRefused) || (hinted && self.breaks(Rule::HintIsRefused));
            let consented = self.people.lock().unwrap().consents.contains(&client);
            let code = match signed_in {
                None => "login_required",
                Some(_) if consented && !refuses => {
                    return self.approve(asked, &parameters.encoded());
                }
                Some(_) => "consent_required",
            };
            return self.respond(&parameters, ("error", code));
        }
        let default = self.registered(&client).unwrap_or_default();
        let default = default.get("default_max_age") == Some(&json!(0))
            && !self.breaks(Rule::DefaultMaxAgeIsIgnored);
        let stale = (parameters.get("max_age") == Some("0") && !self.breaks(Rule::MaxAgeIsIgnored))
            || (default && parameters.get("max_age").is_none());
        let again = (parameters.has("prompt", "login") && prompts)
            || stale
            || self.breaks(Rule::AlwaysSignsIn);
        let next = if signed_in.is_none() || again {
            "login"
        } else {
            "resume"
        };
        let request: String =
            form_urlencoded::byte_serialize(parameters.encoded().as_bytes()).collect();
        to(&format!("{}/{next}?request={request}", self.issuer))
    }

    /// RFC 8252 §7.3: the port may vary.
    pub(crate) fn is_registered(&self, client: &str, redirect: &str) -> bool {
        if self.breaks(Rule::AnyRedirect) {
            return Url::parse(redirect).is_ok();
        }
        if let Some(known) = self.has_redirect(client, redirect) {
            let loopback = self.has_redirect(client, CALLBACK) == Some(true);
            if known || !loopback {
                return known;
            }
        }
        let port = |rest: &str| {
            let number = rest
                .strip_prefix(':')
                .and_then(|rest| rest.strip_suffix("/callback"));
            number.is_some_and(|number| number.parse::<u16>().is_ok())
        };
        redirect == CALLBACK
            || (redirect.strip_prefix("http://127.0.0.1").is_some_and(port)
                && !self.breaks(Rule::FixedPort))
    }

    pub(crate) fn accept(&self, parameters: &Parameters) -> Result<(), &'static str> {
        let is = |rule| self.breaks(rule);
        let unknown = |name: &str| !KNOWN.contains(&name);
        let preferences = ["acr_values", "display", "login_hint"];
        let bad = (parameters.repeats(|name| name != "resource") && !is(Rule::LastDuplicateWins))
            || (is(Rule::RefuseUnknownParameters)
                && parameters.0.iter().any(|(name, _)| unknown(name)))
            || (is(Rule::EmptyIsPresent) && parameters.0.iter().any(|(_, value)| value.is_empty()))
            || (is(Rule::PreferencesAreErrors)
                && preferences
                    .iter()
                    .any(|name| parameters.get(name).is_some()));
        if bad {
            return Err("invalid_request");
        }
        match parameters.get("response_type") {
            Some("code") => {}
            Some(_) | None if is(Rule::AnyResponseType) => {}
            Some(_) => return Err("unsupported_response_type"),
            None => return Err("invalid_request"),
        }
        let scopes = parameters
            .get("scope")
            .unwrap_or_default()
            .split_whitespace();
        if !scopes.clone().all(|scope| SCOPES.contains(&scope)) {
            return Err("invalid_scope");
        }
        let known = self.resources();
        let normal = |asked: &str| match Url::parse(asked) {
            Ok(url) if !is(Rule::ResourcesAreExact) => url.into(),
            Ok(_) | Err(_) => asked.to_owned(),
        };
        let mut asked = parameters.0.iter().filter(|(name, _)| name == "resource");
        if !asked.all(|(_, asked)| known.contains(&normal(asked))) && !is(Rule::AnyResource) {
            return Err("invalid_target");
        }
        let details = parameters.get("authorization_details");
        if details.is_some_and(|details| !are_payments(details)) && !is(Rule::AnyDetails) {
            return Err("invalid_authorization_details");
        }
        if let Some(claims) = parameters.get("claims")
            && !is(Rule::ClaimsAreIgnored)
        {
            let claims: Value = serde_json::from_str(claims).map_err(|_| "invalid_request")?;
            let objects = |value: &Value| {
                value
                    .as_object()
                    .is_some_and(|m| m.values().all(Value::is_object))
            };
            if !objects(&claims) {
                return Err("invalid_request");
            }
            if claims["id_token"]["sub"].get("value").is_some() {
                return Err("login_required");
            }
        }
        let method = parameters.get("code_challenge_method");
        match (parameters.get("code_challenge"), method) {
            (Some(_), Some("S256")) => {}
            (Some(_), None) if is(Rule::AbsentMethodIsS256) => {}
            (Some(_), Some(_)) if is(Rule::AnyMethod) => {}
            (None, None) if is(Rule::PkceIsOptional) => {}
            _ => return Err("invalid_request"),
        }
        let none = parameters.has("prompt", "none") && parameters.get("prompt") != Some("none");
        if none && !is(Rule::PromptIsIgnored) {
            return Err("invalid_request");
        }
        Ok(())
    }

    /// When the person of this browser signed in.
    pub(crate) fn session(&self, asked: &Asked) -> Option<u64> {
        let session = session_of(asked)?;
        self.people.lock().unwrap().sessions.get(&session).copied()
    }

    /// Nobody is signed in here any more, and what was given without `offline_access` is over.
    pub(crate) fn end_session(&self, asked: &Asked) {
        let Some(session) = session_of(asked) else {
            return;
        };
        let spares = self.breaks(Rule::RefreshOutlivesSession);
        self.people.lock().unwrap().end(&session, spares);
    }

    pub(crate) fn login_page(&self, asked: &Asked) -> Wire {
        let request = asked.query.first().map_or("", |(_, value)| value.as_str());
        page(
            200,
            &format!(
                r#"<form id="sign-in" method="post" action="{}/login"><input type="hidden" name="request" value="{}">
                <input type="email" name="email"><input type="password" name="password"><button>Sign in</button></form>"#,
                self.issuer,
                escape(request)
            ),
        )
    }

    pub(crate) fn sign_in(&self, asked: &Asked) -> Wire {
        let request = asked.field("request").unwrap_or_default();
        if asked.field("email") != Some(LOGIN) || asked.field("password") != Some(PASSWORD) {
            return page(
                400,
                r#"<form method="post"><input type="password" name="p"><input name="l"></form>"#,
            );
        }
        let session = format!("s{}", self.counter.fetch_add(1, Ordering::Relaxed));
        self.people
            .lock()
            .unwrap()
            .sessions
            .insert(session.clone(), now());
        let next = if request.starts_with("device") {
            request.to_owned()
        } else {
            let request: String = form_urlencoded::byte_serialize(request.as_bytes()).collect();
            format!("resume?request={request}")
        };
        to(&format!("{}/{next}", self.issuer))
            .with("set-cookie", format!("session={session}; Path=/; HttpOnly"))
    }

    /// Asks for consent, every time: anybody could be the app.
    pub(crate) fn resume(&self, asked: &Asked) -> Wire {
        let request = asked.query.first().map_or("", |(_, value)| value.as_str());
        if self.breaks(Rule::ConsentIsRemembered) {
            return self.approve(asked, request);
        }
        let parameters = Parameters::parse(request);
        let client = parameters.get("client_id");
        let client = client.and_then(|id| self.registered(id));
        let client = client.unwrap_or_default();
        let redirect = parameters.get("redirect_uri").unwrap_or_default();
        let links = ["policy_uri", "tos_uri"].map(|name| {
            let link = client.get(name).and_then(Value::as_str).unwrap_or_default();
            format!(r#"<a href="{link}">{name}</a>"#)
        });
        let links = links.concat();
        page(
            200,
            &format!(
                r#"{links}<p>{}</p><form id="consent" method="post" action="/consent"><input type="hidden" name="request" value="{}">
                <button id="deny" name="decision" value="deny">No</button>
                <button id="approve" name="decision" value="approve">Yes</button></form>"#,
                escape(redirect),
                escape(request)
            ),
        )
    }

    pub(crate) fn consent(&self, asked: &Asked) -> Wire {
        let request = asked.field("request").unwrap_or_default();
        if asked.field("decision") == Some("approve") {
            return self.approve(asked, request);
        }
        self.respond(&Parameters::parse(request), ("error", "access_denied"))
    }

    fn approve(&self, asked: &Asked, request: &str) -> Wire {
        let parameters = Parameters::parse(request);
        let Some(auth_time) = self.session(asked) else {
            return page(400, "nobody has signed in");
        };
        if !self.spends(&parameters) {
            return page(400, "this request was answered before");
        }
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let code = format!("c0de-{number}");
        let issued = Issued::new(&parameters, auth_time, number, session_of(asked));
        let mut people = self.people.lock().unwrap();
        people.codes.insert(code.clone(), issued);
        let client = parameters.get("client_id").unwrap_or_default();
        if client != "app" {
            people.consents.insert(client.to_owned());
        }
        drop(people);
        self.respond(&parameters, ("code", &code))
    }

    /// The authorization response (RFC 6749 §4.1.2, RFC 9207 §2).
    fn respond(&self, parameters: &Parameters, result: (&str, &str)) -> Wire {
        let mut pairs = vec![result];
        if let Some(state) = parameters
            .get("state")
            .filter(|_| !self.breaks(Rule::StateIsLost))
        {
            pairs.push(("state", state));
        }
        if !self.breaks(Rule::NoIss) {
            pairs.push(("iss", &self.issuer));
        }
        let redirect = parameters.get("redirect_uri").unwrap_or_default();
        let mut mode = parameters.get("response_mode").unwrap_or_default();
        let token;
        let plain = result.0 == "error" && self.breaks(Rule::JarmErrorsArePlain);
        if mode.ends_with("jwt") && !plain {
            token = self.response_token(parameters, &pairs);
            pairs = vec![("response", &token)];
            mode = match mode {
                _ if self.breaks(Rule::JarmInFragment) => "fragment",
                _ if self.breaks(Rule::JarmInQuery) => "query",
                "fragment.jwt" => "fragment",
                "form_post.jwt" => "form_post",
                _ => "query",
            };
        }
        if mode == "fragment" {
            let mut url = Url::parse(redirect).unwrap();
            let fragment = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish();
            url.set_fragment(Some(&fragment));
            return to(url.as_str());
        }
        if mode == "form_post" && !self.breaks(Rule::NoFormPost) {
            let input = |(name, value): &(&str, &str)| {
                format!(
                    r#"<input type="hidden" name="{name}" value="{}">"#,
                    escape(value)
                )
            };
            let inputs: String = pairs.iter().map(input).collect();
            return page(
                200,
                &format!(
                    r#"<form id="form-post" method="post" action="{redirect}">{inputs}<button>Go on</button></form>"#
                ),
            );
        }
        let mut url = Url::parse(redirect).unwrap();
        url.query_pairs_mut().extend_pairs(pairs);
        to(url.as_str())
    }

    /// The response as a JWT (JARM §2.1).
    fn response_token(&self, parameters: &Parameters, pairs: &[(&str, &str)]) -> String {
        let client = parameters.get("client_id").unwrap_or_default();
        let mut claims = members(json!({"aud": client, "exp": now() + 600}));
        for (name, value) in pairs {
            claims.insert((*name).into(), (*value).into());
        }
        claims.insert("iss".into(), self.issuer.as_str().into());
        if self.breaks(Rule::JarmIsForNobody) {
            claims.remove("aud");
        }
        let mut header = members(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}));
        if self.breaks(Rule::JarmIsUnsigned) {
            header.insert("alg".into(), "none".into());
        }
        jwt::sign(&header, &Value::Object(claims).to_string())
    }
}

fn session_of(asked: &Asked) -> Option<String> {
    let mut pairs = asked
        .cookie
        .split("; ")
        .filter_map(|pair| pair.split_once('='));
    let (_, session) = pairs.find(|(name, _)| *name == "session")?;
    Some(session.to_owned())
}

/// Whether that is a list of payments (RFC 9396 §2).
pub(crate) fn are_payments(details: &str) -> bool {
    let details = serde_json::from_str::<Vec<Value>>(details).unwrap_or_default();
    let mut each = details.iter();
    !details.is_empty() && each.all(|object| object.get("type") == Some(&json!("payment")))
}
