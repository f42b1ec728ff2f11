//! Settings that are right by themselves and wrong together.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use shared_server::config::{Mistake, Period};

use super::{Config, Introspection, Mode, Policy};

/// RFC 7662 §4: a cache trades freshness for speed; longer than this a revocation would not be "at once".
const LONGEST_CACHE: Duration = Duration::from_secs(5);

impl Config {
    /// Everything that keeps a server from starting with this configuration. Looks at nothing but the configuration.
    #[must_use]
    pub fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut say = |key: String, reason: &str| {
            mistakes.push(Mistake::together(key, reason));
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
        if self.tokens.algorithms.is_empty() {
            say(
                "tokens.algorithms".into(),
                "no token could be verified; name at least one, such as \"ES256\"",
            );
        }
        self.check_step_up(&mut say);
        if self.cors.names_any() && self.cors.origins.len() > 1 {
            say(
                "cors.origins".into(),
                "\"*\" already names every origin; take the others out, or \"*\"",
            );
        }
        self.check_bounds(&mut say);
        self.check_nodes(&mut say);
        for (key, mend) in self.traces.problems() {
            say(format!("traces.{key}"), mend);
        }
        for (key, reason) in self.rate_limits.problems() {
            say(key, reason);
        }
        mistakes.extend(self.limits.mistakes());
        let production = self.server.mode == Mode::Production;
        mistakes.extend(self.edge().mistakes(production));
        mistakes.extend(self.outbound.mistakes(production));
        let is_shared = self.server.nodes > 1 || !self.is_in_memory();
        mistakes.extend(self.dpop.mistakes(is_shared));
        let public = ("resource.identifier", self.resource.identifier.url());
        let mtls = self.mtls.section();
        mistakes.extend(mtls.mistakes(public, &self.tls, &self.proxies));
        mistakes
    }

    fn is_in_memory(&self) -> bool {
        self.ephemeral.url.expose_secret() == "memory"
    }

    /// What several nodes must share.
    fn check_nodes(&self, say: &mut impl FnMut(String, &str)) {
        if self.server.nodes == 0 {
            say("server.nodes".into(), "nobody serves; it is 1 or more");
        }
        if self.server.nodes <= 1 {
            return;
        }
        if self.is_in_memory() {
            say(
                "ephemeral.url".into(),
                "it is \"memory\" but server.nodes is more than 1: a proof used at one node would be taken at another; name a Redis",
            );
        }
        if self.database.url.expose_secret().starts_with("sqlite:") {
            say(
                "database.url".into(),
                "it is SQLite but server.nodes is more than 1: nodes share PostgreSQL",
            );
        }
    }

    fn check_step_up(&self, say: &mut impl FnMut(String, &str)) {
        if self.step_up.requirement().is_err() {
            say(
                "step_up.acr_values".into(),
                "an acr value is printable ASCII without spaces, quotes and backslashes (RFC 9470 §3); write each as a text of its own",
            );
        }
        let max_age = self.step_up.max_age.map(Period::duration);
        if max_age.is_some_and(|max_age| max_age < Duration::from_secs(1)) {
            say(
                "step_up.max_age".into(),
                "nobody signs in as recently; use some minutes",
            );
        }
    }

    /// Bounds that would refuse every request.
    fn check_bounds(&self, say: &mut impl FnMut(String, &str)) {
        let database = &self.database;
        if database.pool_size == 0 {
            say(
                "database.pool_size".into(),
                "there must be at least 1 connection",
            );
        }
        for (key, period) in [
            ("database.wait_timeout", database.wait_timeout.duration()),
            (
                "database.statement_timeout",
                database.statement_timeout.duration(),
            ),
            ("ephemeral.timeout", self.ephemeral.timeout),
        ] {
            if period.is_zero() {
                say(key.into(), "nothing is done in no time; use some seconds");
            }
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
                    "the policy \"introspect\" needs client_id and client_secret or client_key",
                );
            }
            let us = trusted.introspection.as_ref();
            if let Some((field, reason)) = us.and_then(Introspection::mistake) {
                say(key(&format!("introspection.{field}")), reason);
            }
        }
    }
}
