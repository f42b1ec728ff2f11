//! The certificate whose key a client proved to hold: by the handshake of its connection, or by word of a proxy that ended TLS before us
//! (RFC 9440). Nothing else about it has been judged.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::http::{Extensions, HeaderMap, StatusCode};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use shared_protocol::client_cert::{self, InvalidClientCert, LARGEST, MOST_BETWEEN};
use shared_protocol::confirmation::CertificateThumbprint;

use super::{Problem, Proxies};

/// What a client presented, its own certificate first: an extension of its requests. Clones share it.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Presented>);

struct Presented {
    leaf: CertificateDer<'static>,
    between: Vec<CertificateDer<'static>>,
    digest: [u8; 32],
    thumbprint: CertificateThumbprint,
}

impl ClientCertificate {
    /// What a client presented, if that is within bounds: its own certificate, then those between it and a root.
    #[must_use]
    pub fn new(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (leaf, between) = chain.split_first()?;
        if between.len() > MOST_BETWEEN || chain.iter().any(|one| one.len() > LARGEST) {
            return None;
        }
        let mut digest = Sha256::new();
        for certificate in chain {
            digest.update((certificate.len() as u64).to_be_bytes());
            digest.update(certificate);
        }
        Some(Self(Arc::new(Presented {
            leaf: leaf.clone().into_owned(),
            between: between.iter().map(|one| one.clone().into_owned()).collect(),
            digest: digest.finalize().into(),
            thumbprint: CertificateThumbprint::of(leaf),
        })))
    }

    /// The client's own.
    #[must_use]
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.0.leaf
    }

    /// Those between it and a root, in no order that could be relied on.
    #[must_use]
    pub fn between(&self) -> &[CertificateDer<'static>] {
        &self.0.between
    }

    /// What a token is bound to by the client's own (RFC 8705 §3).
    #[must_use]
    pub fn thumbprint(&self) -> CertificateThumbprint {
        self.0.thumbprint
    }

    /// Tells handlers of it, and of its thumbprint alone those that know nothing of certificates.
    pub(super) fn insert_into(self, extensions: &mut Extensions) {
        extensions.insert(self.0.thumbprint);
        extensions.insert(self);
    }

    /// SHA-256 of all of them: what a judgement of them may be remembered by.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// What a proxy says (RFC 9440 §2.2, §2.3). Whether it is to be believed is not looked at.
    ///
    /// # Errors
    /// [`InvalidClientCert`].
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, InvalidClientCert> {
        let chain = client_cert::chain(headers)?;
        if chain.is_empty() {
            return Ok(None);
        }
        let presented = Self::new(&chain).ok_or(InvalidClientCert::TooMuch)?;
        Ok(Some(presented))
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

/// Takes the certificate from where it is to be believed. A proxy that tells of its clients' certificates may have one of its own, which is
/// none of theirs.
///
/// # Errors
/// 400 to whoever writes a proxy's headers and is none, so that a mistake in the set-up of proxies shows and is not taken for a client
/// without a certificate; and to a proxy that writes them wrongly.
pub(super) fn certify(request: &mut Request, proxies: &Proxies) -> Result<(), Problem> {
    let headers = request.headers();
    let told = client_cert::is_told(headers);
    if !told && !proxies.client_certificates {
        return Ok(());
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if !(proxies.client_certificates && peer.is_some_and(|peer| proxies.trust(peer.0.ip()))) {
        return if told {
            Err(refused(
                "Client-Cert and Client-Cert-Chain are taken of trusted proxies alone",
            ))
        } else {
            Ok(())
        };
    }
    let presented = ClientCertificate::from_headers(headers).map_err(|error| {
        tracing::warn!(%error, "a trusted proxy tells of no certificate");
        refused("Client-Cert or Client-Cert-Chain is malformed")
    })?;
    let extensions = request.extensions_mut();
    if let Some(presented) = presented {
        presented.insert_into(extensions);
    } else {
        extensions.remove::<ClientCertificate>();
        extensions.remove::<CertificateThumbprint>();
    }
    Ok(())
}

fn refused(why: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "client-certificate", why)
}

#[cfg(test)]
mod tests;
