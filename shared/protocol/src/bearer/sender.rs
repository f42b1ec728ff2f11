//! Whether a token comes from whom it is bound to (RFC 7800 §3): whoever makes the DPoP proof (RFC 9449 §7), whose connection has the
//! certificate (RFC 8705 §3), or both.

use axum::extract::OriginalUri;
use http::request::Parts;
use http::{HeaderValue, Uri};

use super::{BearerError, InvalidToken, Presented, Scheme};
use crate::confirmation::{CertificateThumbprint, Confirmation};
use crate::dpop::{Dpop, NoncePolicy, ProofRequest};
use crate::jose::Algorithm;
use crate::time::Instant;

/// The DPoP proofs that a resource server takes.
#[derive(Clone)]
pub struct Proofs {
    /// Judges them.
    pub dpop: Dpop,
    /// Whether each has to hold a nonce.
    pub nonces: NoncePolicy,
}

impl Proofs {
    /// What answers to requests under [`Scheme::Dpop`] carry (RFC 9449 §9).
    #[must_use]
    pub fn nonce(&self, now: Instant) -> HeaderValue {
        self.dpop.nonce(now)
    }
}

/// Whoever sent a request, as far as it shows. Whatever ended TLS has put the [`CertificateThumbprint`] into its extensions.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    request: ProofRequest<'a>,
    certificate: Option<CertificateThumbprint>,
}

impl<'a> Sender<'a> {
    /// The sender of this request.
    #[must_use]
    pub fn of(request: &'a Parts) -> Self {
        let Parts {
            method,
            headers,
            uri,
            extensions,
            ..
        } = request;
        // A nested router takes off what leads to it.
        let original = extensions.get::<OriginalUri>();
        let path = original.map_or(uri, |OriginalUri(uri)| uri);
        Self {
            request: ProofRequest {
                headers,
                method,
                path: Uri::path(path),
            },
            certificate: extensions.get().copied(),
        }
    }

    /// The same with this certificate, or with none.
    pub(super) fn with_certificate(self, certificate: Option<CertificateThumbprint>) -> Self {
        Self {
            certificate,
            ..self
        }
    }

    /// Lets the token through if it is bound to nobody, or to this sender. Without `proofs`, which are signed with one of `algorithms`,
    /// nobody can prove a key.
    ///
    /// # Errors
    /// Which proof is missing, or what is wrong with it.
    pub async fn confirm(
        self,
        algorithms: &[Algorithm],
        presented: Presented<'_>,
        confirmation: Option<&Confirmation>,
        proofs: Option<&Proofs>,
        now: Instant,
    ) -> Result<(), BearerError> {
        let certificate = confirmation.and_then(Confirmation::certificate);
        // RFC 8705 §3. Thumbprints are no secrets, so the comparison may take what time it likes.
        if certificate.is_some_and(|bound| self.certificate != Some(*bound)) {
            return Err(InvalidToken::Certificate.into());
        }
        let jkt = confirmation.and_then(Confirmation::jkt);
        match (jkt, presented.scheme, proofs) {
            // A proof beside it was not asked for, and is not looked at.
            (None, Scheme::Bearer, _) => Ok(()),
            // RFC 9449 §7.1: the scheme is for tokens that are bound to a key.
            (None, Scheme::Dpop, _) => Err(InvalidToken::NotBound.into()),
            // RFC 9449 §7.2.
            (Some(_), Scheme::Bearer, _) | (Some(_), Scheme::Dpop, None) => {
                Err(InvalidToken::SenderConstrained.into())
            }
            (Some(jkt), Scheme::Dpop, Some(Proofs { dpop, nonces })) => {
                let bound = Some((presented.token, jkt));
                let proven = dpop.prove_by(algorithms, self.request, bound, *nonces, now);
                if proven.await?.ok_or(BearerError::NoProof)? == *jkt {
                    Ok(())
                } else {
                    Err(InvalidToken::OtherKey.into())
                }
            }
        }
    }
}
