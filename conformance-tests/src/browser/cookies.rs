//! A small cookie jar (RFC 6265), one shelf for each origin.

use url::{Origin, Url};

use crate::metadata::{is_loopback, is_protected};

#[derive(Clone, Debug, Default)]
pub(super) struct Jar(Vec<Cookie>);

#[derive(Clone)]
struct Cookie {
    origin: Origin,
    name: String,
    value: String,
    path: String,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.name, self.path)
    }
}

impl Jar {
    /// Keeps what one `Set-Cookie` of an answer from `url` says. A cookie that a browser would refuse is dropped.
    pub(super) fn set(&mut self, url: &Url, field: &str) {
        let mut parts = field.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        let (mut path, mut secure, mut domain, mut over) = (None, false, false, false);
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match attribute.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => path = Some(value.to_owned()),
                "secure" => secure = true,
                "domain" => domain = !value.is_empty(),
                "max-age" => over |= value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                // No calendar is needed to see the way in which servers delete.
                "expires" => over |= value.contains("1970"),
                _ => {}
            }
        }
        let prefixed = |prefix: &str| {
            name.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let bound = secure && (url.scheme() == "https" || is_loopback(url));
        // RFC 6265bis §4.1.3: what the prefixes promise.
        let host_only = bound && !domain && path.as_deref() == Some("/");
        let refused = name.is_empty()
            || (secure && !is_protected(url))
            || (prefixed("__secure-") && !bound)
            || (prefixed("__host-") && !host_only);
        if refused {
            return;
        }
        let path = path.unwrap_or_else(|| default_path(url));
        let origin = url.origin();
        self.0
            .retain(|kept| !(kept.origin == origin && kept.name == name && kept.path == path));
        if !over {
            self.0.push(Cookie {
                origin,
                name: name.to_owned(),
                value: value.to_owned(),
                path,
            });
        }
    }

    /// The `Cookie` field of a request to `url`, longer paths first (RFC 6265 §5.4).
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let mut fitting: Vec<_> = self
            .0
            .iter()
            .filter(|cookie| cookie.origin == url.origin() && covers(&cookie.path, url.path()))
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = fitting
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The values kept, to be taken out of evidence.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|cookie| cookie.value.as_str())
    }
}

/// RFC 6265 §5.1.4: the directory of the request's path.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory.to_owned(),
        _ => "/".to_owned(),
    }
}

/// RFC 6265 §5.1.4: the same path, or a directory above it.
fn covers(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(set: &[(&str, &str)], to: &str) -> String {
        let mut jar = Jar::default();
        for (from, field) in set {
            jar.set(&from.parse().unwrap(), field);
        }
        jar.header(&to.parse().unwrap()).unwrap_or_default()
    }

    #[test]
    fn cookies_go_back_where_they_came_from() {
        let (http, https) = (
            "http://localhost:1/oauth/login",
            "https://as.example/oauth/login",
        );
        for (from, field, to, expected) in [
            (http, "a=1; HttpOnly; SameSite=Lax; Path=/", http, "a=1"),
            (http, "a=1; Path=/", "http://localhost:2/", ""),
            (http, "a=1", "http://localhost:1/oauth/x", "a=1"),
            (http, "a=1", "http://localhost:1/oauthx", ""),
            (http, "a=1; Secure; Path=/", http, "a=1"),
            (
                "http://as.example/",
                "a=1; Secure",
                "http://as.example/",
                "",
            ),
            (https, "__Host-a=1; Secure; Path=/", https, "__Host-a=1"),
            (https, "__Host-a=1; Secure; Path=/oauth", https, ""),
            (https, "__Host-a=1; Path=/", https, ""),
            (
                https,
                "__Host-a=1; Secure; Path=/; Domain=as.example",
                https,
                "",
            ),
            (https, "a=1=2; Path=/", https, "a=1=2"),
            (https, "nothing", https, ""),
        ] {
            assert_eq!(sent(&[(from, field)], to), expected, "{field} to {to}");
        }
    }

    #[test]
    fn cookies_are_replaced_and_deleted() {
        let url = "http://localhost:1/";
        assert_eq!(
            sent(&[(url, "a=1; Path=/"), (url, "a=2; Path=/")], url),
            "a=2"
        );
        for gone in [
            "a=; Max-Age=0; Path=/",
            "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
        ] {
            assert_eq!(sent(&[(url, "a=1; Path=/"), (url, gone)], url), "");
        }
        let deep = "http://localhost:1/a/b";
        assert_eq!(
            sent(&[(deep, "x=1; Path=/"), (deep, "y=2; Path=/a")], deep),
            "y=2; x=1"
        );
    }

    #[test]
    fn values_stay_out_of_debug_output() {
        let mut jar = Jar::default();
        jar.set(&"http://localhost/".parse().unwrap(), "a=hush");
        assert!(!format!("{jar:?}").contains("hush"));
    }
}
