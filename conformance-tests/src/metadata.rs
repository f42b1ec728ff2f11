//! What the server says about itself (RFC 8414 §2), read leniently: judging it is the work of checks.

use serde_json::{Map, Value};
use url::Url;

/// The members of the metadata document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata(pub(crate) Map<String, Value>);

impl Metadata {
    pub(crate) fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member)?.as_str()
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.0.get(member).is_some_and(|value| !value.is_null())
    }

    /// The strings of a list; empty when it is absent.
    pub(crate) fn list(&self, member: &str) -> Vec<&str> {
        let values = self.0.get(member).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// RFC 8414 §2: an absent `grant_types_supported` means `authorization_code` and `implicit`.
    pub(crate) fn grants(&self) -> Vec<&str> {
        if self.has("grant_types_supported") {
            self.list("grant_types_supported")
        } else {
            vec!["authorization_code", "implicit"]
        }
    }

    /// RFC 8414 §2: an absent list at the token endpoint means `client_secret_basic`.
    pub(crate) fn client_authentication(&self) -> Vec<&str> {
        if self.has("token_endpoint_auth_methods_supported") {
            self.list("token_endpoint_auth_methods_supported")
        } else {
            vec!["client_secret_basic"]
        }
    }

    /// Every member that holds the URL of an endpoint or of the keys.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&str, &Value)> {
        let members = self.0.iter().map(|(name, value)| (name.as_str(), value));
        members.filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri")
    }
}

/// Whether what travels to `url` is protected: TLS, or a host that never leaves the machine.
pub(crate) fn is_protected(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Whether the host of `url` is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `identifier` with `/.well-known/{name}` between its host and its path (RFC 8414 §3, RFC 9728 §3.1). The slash that
/// ends an identifier is dropped first.
pub(crate) fn well_known(identifier: &str, name: &str) -> Option<Url> {
    let mut url = Url::parse(identifier).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/{name}{path}"));
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8414_3_the_well_known_path_goes_between_host_and_path() {
        for (identifier, url) in [
            ("https://as.example", "https://as.example/.well-known/x"),
            ("https://as.example/", "https://as.example/.well-known/x"),
            (
                "https://as.example/a/b/",
                "https://as.example/.well-known/x/a/b",
            ),
            (
                "https://as.example/a?k=v",
                "https://as.example/.well-known/x/a?k=v",
            ),
        ] {
            assert_eq!(
                well_known(identifier, "x").unwrap().as_str(),
                url,
                "{identifier}"
            );
        }
    }

    #[test]
    fn only_tls_and_this_machine_are_protected() {
        for (url, protected) in [
            ("https://as.example", true),
            ("http://localhost:1", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:80", true),
            ("http://as.example", false),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_protected(&Url::parse(url).unwrap()), protected, "{url}");
        }
    }

    #[test]
    fn rfc8414_2_absent_lists_have_defaults() {
        let metadata = Metadata::default();
        assert_eq!(metadata.grants(), ["authorization_code", "implicit"]);
        assert_eq!(metadata.client_authentication(), ["client_secret_basic"]);
    }
}
