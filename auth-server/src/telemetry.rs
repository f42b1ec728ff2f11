//! What the authorization server counts, beside what every server counts.

use prometheus::{
    Histogram, HistogramOpts, HistogramTimer, IntCounter, IntCounterVec, Opts, Registry,
};

use crate::clients::AuthMethod;
use crate::token::GrantName;
use crate::token::error::ErrorCode;

/// Counters of this server, labelled by closed sets alone.
pub struct Metrics {
    tokens_issued: IntCounterVec,
    client_authentications: IntCounterVec,
    refusals: IntCounterVec,
}

impl Metrics {
    /// Makes the counters known to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            tokens_issued: counter(
                "oauth_tokens_issued_total",
                "Access tokens issued, by grant.",
                &["grant_type"],
            )?,
            client_authentications: counter(
                "oauth_client_authentications_total",
                "Client authentications, by method and outcome.",
                &["method", "outcome"],
            )?,
            refusals: counter(
                "oauth_refusals_total",
                "Refused requests, by error code.",
                &["error"],
            )?,
        })
    }

    /// An access token was issued.
    pub fn token_issued(&self, grant: GrantName) {
        self.tokens_issued
            .with_label_values(&[grant.as_str()])
            .inc();
    }

    /// An access token was issued without a code (RFC 6749 §4.2).
    pub fn token_issued_in_front(&self) {
        self.tokens_issued.with_label_values(&["implicit"]).inc();
    }

    /// A client tried to authenticate.
    pub fn client_authentication(&self, method: AuthMethod, succeeded: bool) {
        let outcome = if succeeded { "accepted" } else { "refused" };
        self.client_authentications
            .with_label_values(&[method.as_str(), outcome])
            .inc();
    }

    /// A request was refused.
    pub fn refused(&self, code: ErrorCode) {
        self.refusals.with_label_values(&[code.as_str()]).inc();
    }
}

/// How long people wait until their password is hashed, and how often that is done. Made before the registry is, because the command
/// line hashes without one.
pub struct PasswordMetrics {
    wait: Histogram,
    hashes: IntCounter,
}

impl Default for PasswordMetrics {
    fn default() -> Self {
        let wait = HistogramOpts::new(
            "password_hash_wait_seconds",
            "Time from having a place in the queue to having a core to hash a password.",
        )
        .buckets(vec![
            0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ]);
        Self {
            wait: Histogram::with_opts(wait).expect("a valid name and rising buckets"),
            hashes: IntCounter::new("password_hashes_total", "Passwords hashed.")
                .expect("a valid name"),
        }
    }
}

impl PasswordMetrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.wait.clone()))?;
        registry.register(Box::new(self.hashes.clone()))
    }

    /// Somebody begins to wait.
    pub(crate) fn wait(&self) -> HistogramTimer {
        self.wait.start_timer()
    }

    /// A password is hashed.
    pub(crate) fn hashed(&self) {
        self.hashes.inc();
    }

    /// How many were hashed.
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.hashes.get()
    }
}
