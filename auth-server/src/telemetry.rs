//! What the authorization server counts, beside what every server counts.

use prometheus::{IntCounterVec, Opts, Registry};

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
