//! Cookies (RFC 6265), their names and attributes.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use shared_protocol::issuer::Issuer;

use super::BrowserId;
use crate::sessions::SessionToken;

/// The longest value that is looked at; ours are shorter by half.
const LONGEST: usize = 256;

/// The cookies of one issuer.
///
/// An https issuer's have the prefix `__Host-`: a browser takes them from no other host, no subdomain and no plain connection. Browsers
/// share cookies between the ports and paths of a host (RFC 6265 §8.5, §8.6), so that the name holds a digest of an issuer that need
/// not be alone there. Over http to this machine it holds the port instead.
pub struct Cookies {
    session: String,
    browser: String,
    device: String,
    attributes: &'static str,
}

impl Cookies {
    /// The cookies of `issuer`.
    #[must_use]
    pub fn new(issuer: &Issuer) -> Self {
        let name = |noun: &str| {
            if issuer.is_plain_http() {
                let port = issuer.url().port_or_known_default().unwrap_or_default();
                format!("{noun}-{port}")
            } else if issuer.path().is_empty() && issuer.url().port().is_none() {
                format!("__Host-{noun}")
            } else {
                let digest: [u8; 32] = Sha256::digest(issuer.as_str()).into();
                let [a, b, c, d, ..] = digest;
                let start = u32::from_be_bytes([a, b, c, d]);
                format!("__Host-{noun}-{start:08x}")
            }
        };
        Self {
            session: name("session"),
            browser: name("browser"),
            device: name("device"),
            // `__Host-` asks for this path, whatever the issuer's.
            attributes: if issuer.is_plain_http() {
                "; Path=/; HttpOnly; SameSite=Lax"
            } else {
                "; Path=/; Secure; HttpOnly; SameSite=Lax"
            },
        }
    }

    /// The session that a request presents.
    #[must_use]
    pub fn session(&self, headers: &HeaderMap) -> Option<SessionToken> {
        find(headers, &self.session).map(SessionToken::presented)
    }

    /// The browser that a request comes from, if it was here before.
    #[must_use]
    pub fn browser(&self, headers: &HeaderMap) -> Option<BrowserId> {
        BrowserId::presented(find(headers, &self.browser)?)
    }

    /// What the request says to show that somebody signed in on this device before.
    #[must_use]
    pub fn device<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        find(headers, &self.device)
    }

    /// `Set-Cookie` for a session; gone when the browser closes, and no later than the session.
    #[must_use]
    pub fn set_session(&self, token: &SessionToken) -> HeaderValue {
        self.set(&self.session, token.expose(), "")
    }

    /// `Set-Cookie` for a new browser; gone when it closes.
    #[must_use]
    pub fn set_browser(&self, id: &BrowserId) -> HeaderValue {
        self.set(&self.browser, id.expose(), "")
    }

    /// `Set-Cookie` for a device on which somebody signed in, for as long as the value is good.
    #[must_use]
    pub fn set_device(&self, value: &str, lifetime: Duration) -> HeaderValue {
        let age = format!("; Max-Age={}", lifetime.as_secs());
        self.set(&self.device, value, &age)
    }

    /// `Set-Cookie` that takes the session away.
    #[must_use]
    pub fn clear_session(&self) -> HeaderValue {
        self.set(&self.session, "", "; Max-Age=0")
    }

    fn set(&self, name: &str, value: &str, age: &str) -> HeaderValue {
        // Nothing that could end the value can get in, whoever made it.
        let value: String = value.chars().filter(|c| is_ours(*c)).collect();
        let attributes = self.attributes;
        HeaderValue::try_from(format!("{name}={value}{attributes}{age}"))
            .expect("letters, digits and the punctuation above make a header value")
    }
}

/// All that the values of our cookies are made of.
fn is_ours(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// The value of the cookie of this name, if the request has exactly one and it is made as ours are. Of two one was planted by another
/// page of this host, and nothing tells which (RFC 6265 §8.6): neither is taken.
fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // HTTP/2 may cut the field into several (RFC 9113 §8.2.3).
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let pair = pair.trim_ascii_start();
            pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
        });
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let value = std::str::from_utf8(value).ok()?;
    let ours = !value.is_empty() && value.len() <= LONGEST && value.chars().all(is_ours);
    ours.then_some(value)
}

#[cfg(test)]
mod tests {
    use shared_protocol::random::SystemRandom;

    use super::*;

    fn cookies(issuer: &str) -> Cookies {
        Cookies::new(&issuer.parse().unwrap())
    }

    fn headers(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            let value = HeaderValue::from_bytes(field.as_bytes()).unwrap();
            headers.append(header::COOKIE, value);
        }
        headers
    }

    #[test]
    fn names_and_attributes_follow_the_issuer() {
        let token = SessionToken::presented("abc");
        for (issuer, expected) in [
            (
                "https://as.example",
                "__Host-session=abc; Path=/; Secure; HttpOnly; SameSite=Lax",
            ),
            (
                "https://as.example/tenant",
                "__Host-session-93446f4c=abc; Path=/; Secure; HttpOnly; SameSite=Lax",
            ),
            (
                "https://as.example:8443",
                "__Host-session-ac92a794=abc; Path=/; Secure; HttpOnly; SameSite=Lax",
            ),
            (
                "http://localhost:8000",
                "session-8000=abc; Path=/; HttpOnly; SameSite=Lax",
            ),
            (
                "http://127.0.0.1",
                "session-80=abc; Path=/; HttpOnly; SameSite=Lax",
            ),
        ] {
            assert_eq!(cookies(issuer).set_session(&token), expected, "{issuer}");
        }
        let cookies = cookies("https://as.example");
        assert_eq!(
            cookies.clear_session(),
            "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
        );
        assert_eq!(
            cookies.set_device("a.1.b", Duration::from_hours(1)),
            "__Host-device=a.1.b; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600"
        );
    }

    #[test]
    fn a_value_cannot_add_attributes_or_lines() {
        let token = SessionToken::presented("a; Domain=evil.example\r\nSet-Cookie: b=c\u{e4}");
        assert_eq!(
            cookies("http://localhost:1").set_session(&token),
            "session-1=aDomainevil.exampleSet-Cookiebc; Path=/; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn rfc6265_5_4_exactly_one_well_formed_cookie_is_taken() {
        let long = format!("session-1={}", "x".repeat(LONGEST + 1));
        for (what, fields, expected) in [
            ("alone", &["session-1=abc"][..], Some("abc")),
            ("among others", &["a=b; session-1=abc; c"], Some("abc")),
            ("without the space", &["a=b;session-1=abc;c=d"], Some("abc")),
            (
                "in the second field",
                &["a=b", "session-1=abc"],
                Some("abc"),
            ),
            ("none", &[], None),
            ("another port's", &["session-12=abc"], None),
            ("another case", &["Session-1=abc"], None),
            ("in a value", &["a=session-1=abc"], None),
            ("no value", &["session-1"], None),
            ("an empty value", &["session-1="], None),
            ("quoted", &["session-1=\"abc\""], None),
            ("a space within", &["session-1=a bc"], None),
            ("no ASCII", &["session-1=\u{e4}"], None),
            ("too long", &[&long], None),
            ("twice", &["session-1=abc; session-1=abc"], None),
            (
                "twice, in two fields",
                &["session-1=abc", "session-1=x"],
                None,
            ),
            (
                "twice, one malformed",
                &["session-1=abc; session-1=\""],
                None,
            ),
        ] {
            let headers = headers(fields);
            let found = cookies("http://localhost:1").session(&headers);
            let found = found.as_ref().map(SessionToken::expose);
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn a_browser_is_known_by_an_id_that_we_could_have_made() {
        let cookies = cookies("https://as.example");
        let id = BrowserId::generate(&SystemRandom);
        let found = |value: &str| {
            cookies
                .browser(&headers(&[&format!("__Host-browser={value}")]))
                .map(|found| found.digest())
        };
        assert_eq!(found(id.expose()), Some(id.digest()));
        for strange in ["abc", &format!("{}x", id.expose()), &".".repeat(43)] {
            assert_eq!(found(strange), None, "{strange}");
        }
    }
}
