//! The guard for routes that take access tokens, of whoever has them (RFC 6750) or of those alone to whom they are bound (RFC 9449 §7,
//! RFC 8705 §3): tokens are verified offline with the issuer's keys (RFC 9068 §4) or asked for at its introspection endpoint (RFC 7662),
//! and every refusal is a challenge that names its reason.

mod access_token;
mod authentication;
mod error;
mod guard;
mod introspection;
mod issuer_keys;
mod presented;
mod refusal;
mod sender;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

pub use access_token::AccessToken;
pub use authentication::{AuthenticationRequirement, InvalidAcrValue};
pub use error::{BearerError, InvalidToken, IssuerFailure};
pub use guard::{Guard, GuardLayer, GuardService};
pub use presented::{Presented, Scheme, access_token, bearer_token};
pub use refusal::{BearerRefusal, header_parameters};
pub use sender::{Proofs, Sender};

use crate::client_id::ClientId;
use crate::dpop::{self, Dpop, NoncePolicy};
use crate::issuer::Issuer;
use crate::jose::{Algorithm, Signer};
use crate::outbound::{FetchError, Fetcher, FetcherSettings, Origin};
use crate::random::Random;
use crate::resource::ResourceId;
use crate::time::{Clock, SystemClock};

/// An issuer whose tokens are accepted.
pub struct TrustedIssuer {
    /// Its identifier, compared character by character with `iss`.
    pub issuer: Issuer,
    /// How its JWTs are verified.
    pub policy: Policy,
    /// What this resource server introspects with; [`Policy::Introspect`] and [`Guard::introspecting`] need it.
    pub introspection: Option<IntrospectionCredentials>,
}

impl TrustedIssuer {
    /// One that is believed by its keys, and never asked.
    #[must_use]
    pub fn by_keys(issuer: Issuer) -> Self {
        Self {
            issuer,
            policy: Policy::Jwks,
            introspection: None,
        }
    }

    /// The same, asked by this client where it is to be asked.
    #[must_use]
    pub fn asked_by(self, us: IntrospectionCredentials) -> Self {
        let introspection = Some(us);
        Self {
            introspection,
            ..self
        }
    }
}

/// How the JWTs of an issuer are verified. A token that is no JWT is introspected at the issuers of [`Policy::Introspect`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    /// Offline, with the issuer's published keys: a revocation shows when the token expires, or on routes that ask
    /// ([`Guard::introspecting`]).
    Jwks,
    /// By asking the issuer (RFC 7662): a revocation shows within [`GuardSettings::introspection_cache`].
    Introspect,
}

/// The client that this resource server is at the issuer, and how it proves that (RFC 7662 §2.1).
pub enum IntrospectionCredentials {
    /// By a secret, sent as HTTP Basic (RFC 6749 §2.3.1).
    ClientSecretBasic {
        /// Its `client_id`.
        client_id: ClientId,
        /// Its secret.
        client_secret: SecretString,
    },
    /// By an assertion for each question (RFC 7523 §2.2), the one way besides certificates at a server that demands FAPI 2.0.
    PrivateKeyJwt {
        /// Its `client_id`.
        client_id: ClientId,
        /// Signs, with the key whose public half the issuer knows.
        key: Arc<dyn Signer>,
        /// Makes `jti`.
        random: Arc<dyn Random>,
    },
}

/// What a [`Guard`] is made of.
pub struct GuardSettings {
    /// Who we are: what `aud` must name. An http or https URL, because the metadata of RFC 9728 is found by it.
    pub resource: ResourceId,
    /// Whose tokens are accepted, each issuer once.
    pub issuers: Vec<TrustedIssuer>,
    /// What reaches the issuers.
    pub fetcher: Fetcher,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// How many verified tokens, and how many introspected ones for each issuer, are remembered; 10 000 is plenty.
    pub remembered: u64,
    /// How long an introspection answer is believed; at most 5 s. [`Guard::introspecting`] believes none but its own.
    pub introspection_cache: Duration,
    /// What tokens that are verified by keys, and proofs, may be signed with; FAPI 2.0 Security Profile §5.4.1 has all but RS256.
    pub algorithms: Vec<Algorithm>,
    /// The DPoP proofs that are taken (RFC 9449 §7). Without them, no token that is bound to a key is.
    pub proofs: Option<Proofs>,
    /// Whose word is taken for the certificate of whoever sent a request (RFC 8705 §3).
    pub certificates: Certificates,
    /// Whether every route takes only tokens that are bound to a key or a certificate; [`GuardLayer::sender_constrained`] says it of one.
    pub sender_constrained: bool,
}

/// Whose word is taken for the certificate of whoever sent a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Certificates {
    /// Nobody's: no token that is bound to one is taken. `Client-Cert` and `Client-Cert-Chain` are answered with 400, so that a mistake
    /// in the set-up of proxies shows.
    #[default]
    Unseen,
    /// That of whatever ended TLS in this process, and put the [`CertificateThumbprint`](crate::confirmation::CertificateThumbprint) into
    /// the request's extensions. Headers are not looked at.
    InExtensions,
    /// That of a proxy, in `Client-Cert` (RFC 9440). Only for an API that nothing else reaches, and behind a proxy that drops what its
    /// clients wrote there and writes its own: what stands there is believed.
    OfProxy,
}

impl GuardSettings {
    /// For tokens of this issuer that are bound to nobody, by the system's clock: 10 000 of them are remembered, and answers about them
    /// believed for 2 s. The issuer was named by whoever calls this, so it may be on a private network, and on this machine speak http.
    ///
    /// # Errors
    /// [`FetchError`] for an issuer that cannot be reached by https, nor by http on this machine.
    pub fn new(resource: ResourceId, issuer: TrustedIssuer) -> Result<Self, FetchError> {
        let fetcher = FetcherSettings {
            allowed: vec![Origin::try_from(issuer.issuer.url())?],
            ..FetcherSettings::default()
        };
        Ok(Self {
            resource,
            issuers: vec![issuer],
            fetcher: Fetcher::new(fetcher)?,
            clock: Arc::new(SystemClock),
            remembered: 10_000,
            introspection_cache: Duration::from_secs(2),
            algorithms: dpop::ALGORITHMS.to_vec(),
            proofs: None,
            certificates: Certificates::Unseen,
            sender_constrained: false,
        })
    }

    /// The same for an API of one process that takes tokens which are bound to keys too, as [`Dpop::in_one_process`]; a proof has to hold
    /// a nonce only where its date proves nothing.
    #[must_use]
    pub fn with_proofs_in_one_process(self, random: &dyn Random) -> Self {
        let origin = self.resource.url().clone();
        let proofs = Proofs {
            dpop: Dpop::in_one_process(origin, random, self.clock.now()),
            nonces: NoncePolicy::Offered,
        };
        Self {
            proofs: Some(proofs),
            ..self
        }
    }
}

/// Why no guard can be made of the settings.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidGuard {
    /// The resource identifier is no http or https URL.
    #[error("the resource identifier must be an http or https URL")]
    Resource,
    /// Nobody is trusted.
    #[error("at least one issuer must be trusted")]
    NoIssuer,
    /// No signature would be good.
    #[error("at least one signature algorithm must be accepted")]
    NoAlgorithm,
    /// An issuer stands twice in the list.
    #[error("the issuer {0} is listed twice")]
    IssuerTwice(Issuer),
    /// An issuer is to be asked, but we have nothing to ask with.
    #[error("the issuer {0} has the policy `introspect` but no credentials for it")]
    NoCredentials(Issuer),
    /// The answers would be believed for too long.
    #[error("introspection answers may be cached for at most 5 seconds")]
    IntrospectionCache,
    /// No token could be accepted.
    #[error(
        "only sender-constrained tokens are accepted, but neither DPoP proofs nor certificates are"
    )]
    NoConstraint,
}

#[cfg(test)]
mod tests;
