//! Redirect URIs: what may be registered (RFC 8252 §7), and what a request may then name (RFC 9700 §2.1). The first line is registered, the
//! second asked for.

use auth_server::clients::redirect_uri::RedirectUri;
use url::Url;

pub(crate) fn check(bytes: &[u8]) {
    let Some(text) = crate::text(bytes) else {
        return;
    };
    let (registered, requested) = text.split_once('\n').unwrap_or((text, text));
    let Some(uri) = registrable(registered) else {
        return;
    };
    registrable(requested);
    let exact = uri.exactly(requested);
    assert_eq!(exact.is_some(), registered == requested);
    for localhost in [true, false] {
        let varied = uri.on_any_port(requested, localhost);
        for proof in exact.iter().chain(&varied) {
            assert_eq!(proof.as_str(), requested);
            assert!(proof.was_named());
        }
        let Some(proof) = varied else { continue };
        assert!(proof.is_on_device() && uri.is_loopback());
        let [before, after] = [registered, requested].map(without_port);
        assert_eq!(before, after, "more than the port varies");
        let (Ok(before), Ok(after)) = (Url::parse(registered), Url::parse(requested)) else {
            unreachable!("accepted, and no URL")
        };
        assert_eq!(before.host_str(), after.host_str());
        let host = after.host_str().unwrap_or_default();
        assert!(
            matches!(host, "127.0.0.1" | "[::1]" | "localhost"),
            "{host}"
        );
        assert!(
            host != "localhost" || localhost,
            "a port of localhost varies where none may"
        );
        assert_eq!(
            (after.scheme(), before.path(), before.query()),
            ("http", after.path(), after.query())
        );
    }
}

/// What may be registered is of the grammar, and of one reading.
fn registrable(raw: &str) -> Option<RedirectUri> {
    let uri: RedirectUri = raw.parse().ok()?;
    assert_eq!(uri.to_string(), raw, "kept as written");
    assert!(
        raw.len() <= 2048
            && raw
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#')
    );
    let (scheme, rest) = raw
        .split_once(':')
        .unwrap_or_else(|| unreachable!("no scheme in {raw}"));
    let scheme = scheme.to_ascii_lowercase();
    assert!(
        scheme == "https" || scheme == "http" || scheme.contains('.'),
        "{scheme}"
    );
    assert_eq!(uri.is_plain_http(), scheme == "http");
    // RFC 3986 §3.2: the authority ends at the first of these.
    let authority = rest
        .strip_prefix("//")
        .map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    assert!(
        !authority.unwrap_or_default().contains('@'),
        "a user in {raw}"
    );
    if matches!(scheme.as_str(), "https" | "http") {
        assert!(
            authority.is_some_and(|authority| !authority.is_empty()),
            "no authority in {raw}"
        );
        assert_eq!(uri.own_host().is_none(), uri.is_loopback());
    } else {
        assert!(uri.is_on_device() && uri.origin().is_none());
    }
    Some(uri)
}

/// The URI without the digits between the last colon of its authority and its end.
fn without_port(raw: &str) -> String {
    let after_scheme = raw.find("//").map_or(0, |at| at + 2);
    let (scheme, rest) = raw.split_at(after_scheme);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.trim_end_matches(|c: char| c.is_ascii_digit());
    let host = host
        .strip_suffix(':')
        .filter(|host| host.len() < authority.len());
    format!("{scheme}{}{path}", host.unwrap_or(authority))
}
