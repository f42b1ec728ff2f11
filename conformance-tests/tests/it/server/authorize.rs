//! The authorization endpoint and its pages, with faults. A request travels on in the pages' hidden fields.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use url::{Url, form_urlencoded};

use super::clients::now;
use super::grants::Issued;
use super::{Asked, Rule, Server, Wire};

pub(crate) const LOGIN: &str = "person@as.example";
pub(crate) const PASSWORD: &str = "pa55word of <the> person";
pub(crate) const CALLBACK: &str = "http://127.0.0.1/callback";

const KNOWN: [&str; 15] = [
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

fn page(status: u16, body: &str) -> Wire {
    let mut wire = Wire::new(status)
        .with("content-type", "text/html")
        .with("content-security-policy", "frame-ancestors 'none'")
        .with("cache-control", "no-store");
    wire.body = format!("<!doctype html><title>Page</title>{body}");
    wire
}

fn escape(text: &str) -> String {
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
        let parameters = Parameters(pairs.clone());
        if parameters.get("client_id") != Some("app") {
            return page(400, "unknown client");
        }
        let lax = self.breaks(Rule::LastDuplicateWins);
        if parameters.repeats(|name| name == "redirect_uri") && !lax {
            return page(400, "redirect_uri stands twice");
        }
        let redirect = parameters.get("redirect_uri").unwrap_or_default();
        if !self.is_registered(redirect) {
            return page(400, "unknown redirect_uri");
        }
        if let Err(code) = self.accept(&parameters) {
            return self.respond(&parameters, ("error", code));
        }
        let signed_in = self.session(asked);
        let prompts = !self.breaks(Rule::PromptIsIgnored);
        if parameters.has("prompt", "none") && prompts {
            let code = match signed_in {
                None => "login_required",
                Some(_) => "consent_required",
            };
            return self.respond(&parameters, ("error", code));
        }
        let stale = parameters.get("max_age") == Some("0") && !self.breaks(Rule::MaxAgeIsIgnored);
        let again = (parameters.has("prompt", "login") && prompts) || stale;
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
    fn is_registered(&self, redirect: &str) -> bool {
        if self.breaks(Rule::AnyRedirect) {
            return Url::parse(redirect).is_ok();
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

    fn accept(&self, parameters: &Parameters) -> Result<(), &'static str> {
        let is = |rule| self.breaks(rule);
        let unknown = |name: &str| !KNOWN.contains(&name) && name != "claims_locales";
        let bad = (parameters.repeats(|_| true) && !is(Rule::LastDuplicateWins))
            || (is(Rule::RefuseUnknownParameters)
                && parameters.0.iter().any(|(name, _)| unknown(name)))
            || (is(Rule::EmptyIsPresent) && parameters.0.iter().any(|(_, value)| value.is_empty()))
            || (is(Rule::PreferencesAreErrors) && parameters.get("acr_values").is_some());
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
        if !scopes
            .clone()
            .all(|scope| ["openid", "offline_access", "read"].contains(&scope))
        {
            return Err("invalid_scope");
        }
        let resource = parameters.get("resource");
        if resource.is_some_and(|asked| !self.resources().iter().any(|known| known == asked))
            && !is(Rule::AnyResource)
        {
            return Err("invalid_target");
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
    fn session(&self, asked: &Asked) -> Option<u64> {
        let mut pairs = asked
            .cookie
            .split("; ")
            .filter_map(|pair| pair.split_once('='));
        let (_, session) = pairs.find(|(name, _)| *name == "session")?;
        self.people.lock().unwrap().sessions.get(session).copied()
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
        let request: String = form_urlencoded::byte_serialize(request.as_bytes()).collect();
        to(&format!("{}/resume?request={request}", self.issuer))
            .with("set-cookie", format!("session={session}; Path=/; HttpOnly"))
    }

    /// Asks for consent, every time: anybody could be the app.
    pub(crate) fn resume(&self, asked: &Asked) -> Wire {
        let request = asked.query.first().map_or("", |(_, value)| value.as_str());
        if self.breaks(Rule::ConsentIsRemembered) {
            return self.approve(asked, request);
        }
        page(
            200,
            &format!(
                r#"<form id="consent" method="post" action="/consent"><input type="hidden" name="request" value="{}">
                <button id="deny" name="decision" value="deny">No</button>
                <button id="approve" name="decision" value="approve">Yes</button></form>"#,
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
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let code = format!("c0de-{number}");
        let issued = Issued::new(&parameters, auth_time, number);
        self.people
            .lock()
            .unwrap()
            .codes
            .insert(code.clone(), issued);
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
        if parameters.get("response_mode") == Some("form_post") && !self.breaks(Rule::NoFormPost) {
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
}
