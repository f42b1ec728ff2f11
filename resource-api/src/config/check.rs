//! Settings that are right by themselves and wrong together.

use std::time::Duration;

use shared_server::config::{Mistake, Origin};

use super::{Config, Mode, Policy};

/// The least that the listener takes; see [`Limits::header_bytes`](shared_server::web::Limits::header_bytes).
const LEAST_HEADER_BYTES: usize = 8 * 1024;

/// RFC 7662 §4: a cache trades freshness for speed; longer than this a revocation would not be "at once".
const LONGEST_CACHE: Duration = Duration::from_secs(5);

impl Config {
    /// Everything that keeps a server from starting with this configuration. Looks at nothing but the configuration.
    #[must_use]
    pub fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut say = |key: String, reason: &str| {
            mistakes.push(Mistake {
                key,
                origin: Origin::Together,
                reason: reason.to_owned(),
            });
        };
        if self.server.listen.is_empty() {
            say(
                "server.listen".into(),
                "nobody could reach the API; name an address such as \"127.0.0.1:8080\"",
            );
        }
        let scheme = self.resource.identifier.url().scheme();
        if !matches!(scheme, "https" | "http") {
            say(
                "resource.identifier".into(),
                "clients find the API's metadata by it (RFC 9728 §3); use an https URL",
            );
        }
        if self.server.mode == Mode::Production && scheme == "http" {
            say(
                "resource.identifier".into(),
                "production refuses plain http; use an https URL, or set server.mode to \"development\"",
            );
        }
        self.check_issuers(&mut say);
        if self.tokens.introspection_cache.duration() > LONGEST_CACHE {
            say(
                "tokens.introspection_cache".into(),
                "a revoked token would be accepted for too long; use at most \"5s\"",
            );
        }
        self.check_bounds(&mut say);
        mistakes
    }

    /// Bounds that would refuse every request.
    fn check_bounds(&self, say: &mut impl FnMut(String, &str)) {
        let (database, limits) = (&self.database, &self.limits);
        for (key, least) in [
            ("database.pool_size", database.pool_size),
            ("limits.connections", limits.connections),
        ] {
            if least == 0 {
                say(key.into(), "there must be at least 1 connection");
            }
        }
        for (key, period) in [
            ("database.wait_timeout", database.wait_timeout.duration()),
            (
                "database.statement_timeout",
                database.statement_timeout.duration(),
            ),
            ("limits.request", limits.request),
            ("limits.header_read", limits.header_read),
        ] {
            if period.is_zero() {
                say(key.into(), "nothing is done in no time; use some seconds");
            }
        }
        if limits.header_bytes < LEAST_HEADER_BYTES {
            say(
                "limits.header_bytes".into(),
                "tokens may not fit; use at least 8192",
            );
        }
    }

    fn check_issuers(&self, say: &mut impl FnMut(String, &str)) {
        if self.issuers.is_empty() {
            say(
                "issuers".into(),
                "no token could be accepted; name at least one issuer",
            );
        }
        for (index, trusted) in self.issuers.iter().enumerate() {
            let key = |field: &str| format!("issuers.{index}.{field}");
            let earlier = self.issuers.iter().take(index);
            if earlier
                .into_iter()
                .any(|other| other.issuer == trusted.issuer)
            {
                say(key("issuer"), "this issuer is listed twice; take one out");
            }
            if self.server.mode == Mode::Production && trusted.issuer.is_plain_http() {
                say(
                    key("issuer"),
                    "production refuses plain http; use an https issuer, or set server.mode to \"development\"",
                );
            }
            if trusted.policy == Policy::Introspect && trusted.introspection.is_none() {
                say(
                    key("introspection"),
                    "the policy \"introspect\" needs client_id and client_secret",
                );
            }
        }
    }
}
