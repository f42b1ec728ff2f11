//! Certificates of clients (RFC 8705 §2): whether one proves who a client is. That the client holds its key has been proven by whoever ended
//! TLS; everything else is judged here, whoever that was.

mod authorities;
mod distinguished_name;
mod leaf;
mod name;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use shared_protocol::jose::JwkSet;
use shared_protocol::time::Instant;
use shared_server::web::ClientCertificate;

pub use self::authorities::{Authorities, AuthoritiesError};
pub use self::distinguished_name::{DistinguishedName, InvalidDistinguishedName};
pub use self::leaf::Leaf;
use self::leaf::Validity;
pub use self::name::{AlternativeName, CertificateName, InvalidCertificateName};
use super::jwks_uri::ClientKeys;
use super::{AuthMethod, Client};
use crate::documents::DocumentError;

/// Why a certificate proves nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CertificateError {
    /// None was presented where a client's would be seen.
    #[error("no client certificate")]
    Missing,
    /// Not in DER, or beyond measure.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// Its time has not come, or is over.
    #[error("the client certificate is not valid at this time")]
    Time,
    /// No authority of ours vouches for it, or not for this use.
    #[error("no trusted authority vouches for the client certificate: {0}")]
    Untrusted(#[source] Arc<rustls::Error>),
    /// Nobody is trusted to vouch for any.
    #[error("there are no authorities to vouch for client certificates")]
    NoAuthorities,
    /// Another name than the registered one.
    #[error("the client certificate is of another name")]
    OtherName,
    /// Another key than the registered ones.
    #[error("the client certificate is for another key")]
    OtherKey,
    /// The registered ones are published, and could not be had.
    #[error("the keys at the client's jwks_uri: {0}")]
    Keys(#[from] DocumentError),
}

/// Judges certificates.
pub struct Certificates {
    authorities: Option<Arc<Authorities>>,
    judged: Cache<Question, Arc<Judged>>,
}

/// What was presented, and who was trusted then, each by digest.
type Question = ([u8; 32], Option<[u8; 32]>);

/// What is remembered of a certificate: reading it and verifying a chain of signatures takes longer than all else that a request does.
struct Judged {
    leaf: Leaf,
    vouched: Result<(), CertificateError>,
    /// While none of the certificates begins or ceases to be valid.
    holds: Option<Validity>,
}

impl Certificates {
    /// Judges by the authorities of a PEM file; without one, nobody vouches for anybody. Blocks on the disk.
    ///
    /// # Errors
    /// [`AuthoritiesError`].
    pub fn open(authorities: Option<&Path>) -> Result<Self, AuthoritiesError> {
        let authorities = authorities.map(Authorities::open).transpose()?;
        let judged = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(Duration::from_mins(10))
            .build();
        Ok(Self {
            authorities: authorities.map(Arc::new),
            judged,
        })
    }

    /// The authorities, if there are any.
    #[must_use]
    pub fn authorities(&self) -> Option<&Arc<Authorities>> {
        self.authorities.as_ref()
    }

    /// Whether what was presented proves that it was this client.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn prove(
        &self,
        client: &Client,
        keys: &ClientKeys,
        presented: Option<&ClientCertificate>,
        now: Instant,
    ) -> Result<(), CertificateError> {
        let presented = presented.ok_or(CertificateError::Missing)?;
        let judged = self.judge(presented, now)?;
        // RFC 8705 §2.2 asks no chain of a self-signed certificate, and says nothing of its dates. Whoever made it said how long it is good
        // for, and to believe it longer would help nobody but a thief.
        if !judged.leaf.validity.holds(now) {
            return Err(CertificateError::Time);
        }
        if client.metadata.token_endpoint_auth_method == AuthMethod::SelfSignedTlsClientAuth {
            let is_in = |keys: &JwkSet| keys.keys().iter().any(|key| judged.leaf.has_key(key));
            let seen = keys.of(client, now).await?;
            // A key that came just now may be published already.
            return if is_in(&seen) || is_in(&*keys.after(client, seen, now).await) {
                Ok(())
            } else {
                Err(CertificateError::OtherKey)
            };
        }
        judged.vouched.clone()?;
        match client.certificate_name() {
            Some(name) if judged.leaf.is(name) => Ok(()),
            Some(_) | None => Err(CertificateError::OtherName),
        }
    }

    fn judge(
        &self,
        presented: &ClientCertificate,
        now: Instant,
    ) -> Result<Arc<Judged>, CertificateError> {
        let trusted = self.authorities.as_ref().map(|known| known.trusted());
        let who = trusted.as_ref().map(|trusted| *trusted.digest());
        let question = (*presented.digest(), who);
        let known = self.judged.get(&question);
        if let Some(known) = known.filter(|known| known.holds.is_some_and(|it| it.holds(now))) {
            return Ok(known);
        }
        let vouched = match trusted {
            None => Err(CertificateError::NoAuthorities),
            Some(trusted) => trusted
                .vouch(presented, now)
                .map_err(|why| CertificateError::Untrusted(Arc::new(why))),
        };
        let leaf = Leaf::read(presented.leaf()).ok_or(CertificateError::Unreadable)?;
        let mut others = presented.between().iter().map(|other| Validity::of(other));
        let holds = others.try_fold(leaf.validity, |all, other| Some(all.and(other?)));
        let judged = Arc::new(Judged {
            leaf,
            vouched,
            holds,
        });
        self.judged.insert(question, Arc::clone(&judged));
        Ok(judged)
    }
}
