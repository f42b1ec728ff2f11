//! The evidence of a failure: a request and its response, with everything secret taken out before it is kept.

use std::sync::Mutex;

use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";

/// As much of a body as evidence shows, in characters.
const SHOWN: usize = 4096;

/// Parameters and members whose values are credentials, wherever they stand.
const SECRET_NAMES: &[&str] = &[
    "access_token",
    "actor_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "id_token",
    "password",
    "refresh_token",
    "registration_access_token",
    "subject_token",
    "token",
];

/// Members of a JWK that are private or shared (RFC 7518 §6).
const KEY_MEMBERS: &[&str] = &["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];

/// A request and its response, as text, without secrets, tokens and assertions.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Exchange {
    /// Method and URL, header fields, an empty line, the body.
    pub request: String,
    /// Status, header fields, an empty line, the body; or why there was none.
    pub response: String,
}

/// Takes secrets out of text: by the name of the parameter, by the form of a JWT, and by value.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    known: Mutex<Vec<String>>,
}

impl Redactor {
    /// Remembers `secret`, so that it is taken out wherever it shows up, percent-encoded too.
    pub(crate) fn learn(&self, secret: &str) {
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let mut known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for form in [secret.to_owned(), encoded] {
            if form.len() >= 6 && !known.contains(&form) {
                known.push(form);
            }
        }
    }

    /// `text` without known secrets and without anything that looks like a JWT.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        for piece in text.split_inclusive(|c| !is_token(c)) {
            let (word, end) = match piece.char_indices().next_back() {
                Some((at, last)) if !is_token(last) => piece.split_at(at),
                _ => (piece, ""),
            };
            let looks_like_jwt = word.starts_with("eyJ") && word.contains('.');
            clean.push_str(if looks_like_jwt { REDACTED } else { word });
            clean.push_str(end);
        }
        let known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for secret in known.iter() {
            clean = clean.replace(secret.as_str(), REDACTED);
        }
        clean
    }

    /// A header field's value.
    pub(crate) fn header(&self, name: &str, value: &str) -> String {
        match name {
            // The scheme helps to understand a failure; what follows is the credential.
            "authorization" => match value.split_once(' ') {
                Some((scheme, _)) => format!("{scheme} {REDACTED}"),
                None => REDACTED.to_owned(),
            },
            "cookie" | "set-cookie" => REDACTED.to_owned(),
            "location" => self.url(value),
            _ => self.text(value),
        }
    }

    /// A form-urlencoded body, or the query of a URL.
    pub(crate) fn form(&self, form: &str) -> String {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && SECRET_NAMES.contains(&name) => {
                format!("{name}={REDACTED}")
            }
            _ => self.text(pair),
        };
        form.split('&').map(pair).collect::<Vec<_>>().join("&")
    }

    /// A URL, its query and its fragment.
    pub(crate) fn url(&self, url: &str) -> String {
        let (url, fragment) = match url.split_once('#') {
            Some((url, fragment)) => (url, format!("#{}", self.form(fragment))),
            None => (url, String::new()),
        };
        match url.split_once('?') {
            Some((path, query)) => format!("{}?{}{fragment}", self.text(path), self.form(query)),
            None => self.text(url) + &fragment,
        }
    }

    /// A body of unknown kind, cut to what evidence shows.
    pub(crate) fn body(&self, body: &[u8]) -> String {
        let clean = match serde_json::from_slice::<Value>(body) {
            Ok(mut json) => {
                blank(&mut json);
                self.text(&json.to_string())
            }
            Err(_) => self.text(&String::from_utf8_lossy(body)),
        };
        match clean.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", clean.split_at(end).0),
            None => clean,
        }
    }
}

/// Blanks secret members at any depth. Strings only, so that a `null` or a `false` stays readable, but whatever a private
/// member of a key holds: a server that publishes one by mistake is not helped by a second publication.
fn blank(json: &mut Value) {
    if let Some(members) = json.as_object_mut() {
        let is_key = members.contains_key("kty") || members.contains_key("d");
        for (name, value) in members {
            let of_key = is_key && KEY_MEMBERS.contains(&name.as_str());
            if of_key || (value.is_string() && SECRET_NAMES.contains(&name.as_str())) {
                *value = REDACTED.into();
            } else {
                blank(value);
            }
        }
    } else if let Some(elements) = json.as_array_mut() {
        elements.iter_mut().for_each(blank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "Zx81+secret/value";
    const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";

    #[test]
    fn secrets_leave_every_place_they_can_stand_in() {
        let redactor = Redactor::default();
        redactor.learn(SECRET);
        for (what, clean) in [
            (
                "basic header",
                redactor.header("authorization", "Basic WnhEMQ=="),
            ),
            (
                "bearer header",
                redactor.header("authorization", &format!("Bearer {JWT}")),
            ),
            ("bare header", redactor.header("authorization", SECRET)),
            ("cookie", redactor.header("set-cookie", "sid=Zx81")),
            (
                "challenge",
                redactor.header(
                    "www-authenticate",
                    &format!("Bearer error_description=\"{JWT}\""),
                ),
            ),
            ("form by name", redactor.form("a=b&client_secret=anything")),
            (
                "form by value",
                redactor.form("scope=Zx81%2Bsecret%2Fvalue"),
            ),
            ("form assertion", redactor.form(&format!("other={JWT}"))),
            (
                "url",
                redactor.url("http://host/path?access_token=anything&a=b"),
            ),
            (
                "location",
                redactor.header("location", "http://host/cb?state=s&code=anything"),
            ),
            (
                "fragment",
                redactor.url("http://host/cb?state=s#code=anything"),
            ),
            (
                "json by name",
                redactor.body(br#"{"list":[{"access_token":"anything"}]}"#),
            ),
            (
                "json by value",
                redactor.body(format!(r#"{{"error_description":"not {SECRET}"}}"#).as_bytes()),
            ),
            (
                "private key",
                redactor.body(br#"{"keys":[{"kty":"EC","d":"anything","oth":["anything"]}]}"#),
            ),
            ("html", redactor.body(format!("<p>{JWT}</p>").as_bytes())),
        ] {
            assert!(clean.contains(REDACTED), "{what}: {clean}");
            for leak in [SECRET, "Zx81", "anything", "eyJ", "WnhEMQ"] {
                assert!(!clean.contains(leak), "{what}: {clean}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays_readable() {
        let redactor = Redactor::default();
        redactor.learn("");
        assert_eq!(
            redactor.form("grant_type=client_credentials&token="),
            "grant_type=client_credentials&token="
        );
        assert_eq!(
            redactor.body(br#"{"active":false,"token":null}"#),
            r#"{"active":false,"token":null}"#
        );
        assert_eq!(
            redactor.header("authorization", "Basic x"),
            "Basic [redacted]"
        );
        assert_eq!(
            redactor.url("http://localhost:8000/a.b/c"),
            "http://localhost:8000/a.b/c"
        );
    }

    #[test]
    fn long_bodies_are_cut() {
        let shown = Redactor::default().body("é".repeat(10_000).as_bytes());
        assert_eq!(shown.chars().count(), SHOWN + 1);
    }
}
