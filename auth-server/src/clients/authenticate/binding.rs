//! What the tokens of a request are bound to, so that nobody else can use them: the key of a proof that came with it (RFC 9449 §5), or
//! the certificate of its connection (RFC 8705 §3).
//!
//! In one way, and never in both. Any client may show a proof, which binds its tokens to that key (RFC 9449 §5); a certificate binds the
//! tokens of clients that registered for it (RFC 8705 §3.4), for it may be there to authenticate alone. A proof of one of those is refused,
//! and neither believed in the place of the certificate nor overlooked: one RFC says that the token is bound to the key, the other that it
//! is bound to the certificate, and whichever was dropped, a resource server may count on it.

use axum::http::{HeaderMap, Method};
use shared_protocol::confirmation::{CertificateThumbprint, Confirmation};
use shared_protocol::dpop::{Dpop, NoncePolicy, ProofRequest};
use shared_protocol::time::Instant;

use crate::clients::Client;
use crate::token::error::TokenError;

/// Why the tokens of a request could not be bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BindingError {
    /// RFC 9449 §5.2.
    #[error("a DPoP proof is required: the client registered dpop_bound_access_tokens")]
    NoProof,
    /// RFC 8705 §3.4 leaves it to the server.
    #[error(
        "a client certificate is required: the client registered tls_client_certificate_bound_access_tokens"
    )]
    NoCertificate,
    /// FAPI 2.0 Security Profile §5.3.2.1 (4), (5).
    #[error(
        "the profile has tokens be bound (FAPI 2.0 Security Profile section 5.3.2.1): send a DPoP proof, or register tls_client_certificate_bound_access_tokens"
    )]
    Unbound,
    /// Two ways at once.
    #[error(
        "a DPoP proof would bind to a key what the client registered to be bound to its certificate; send none"
    )]
    TwoWays,
}

/// What comes of a request, and so what it must or may show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Brings {
    /// No token: no proof is looked at.
    Nothing,
    /// A code, later, that may be bound already (RFC 9449 §10.1).
    Code,
    /// Tokens.
    Tokens,
}

/// What a request shows.
pub(super) struct Shown<'a> {
    pub(super) headers: &'a HeaderMap,
    /// Where it was sent, of one that has a proof.
    pub(super) path: Option<&'a str>,
    pub(super) certificate: Option<&'a CertificateThumbprint>,
}

/// Judges what requests show.
pub struct Bindings {
    /// Judges proofs.
    pub dpop: Dpop,
    /// Whether those must carry a nonce.
    pub nonce: NoncePolicy,
}

impl Bindings {
    /// What the tokens are bound to that a request of this client brings.
    pub(super) async fn judge(
        &self,
        client: &Client,
        shown: &Shown<'_>,
        brings: Brings,
        now: Instant,
    ) -> Result<Option<Confirmation>, TokenError> {
        let metadata = &client.metadata;
        if brings == Brings::Nothing {
            return Ok(None);
        }
        let required = brings == Brings::Tokens;
        if metadata.tls_client_certificate_bound_access_tokens {
            if shown.path.is_some() {
                return Err(BindingError::TwoWays.into());
            }
            return match shown.certificate {
                None if required => Err(BindingError::NoCertificate.into()),
                certificate => Ok(certificate.copied().map(Confirmation::of_certificate)),
            };
        }
        let demands = client.demands();
        let Some(path) = shown.path else {
            return if required && metadata.dpop_bound_access_tokens {
                Err(BindingError::NoProof.into())
            } else if required && demands.sender_constraint() {
                Err(BindingError::Unbound.into())
            } else {
                Ok(None)
            };
        };
        let request = ProofRequest {
            headers: shown.headers,
            method: &Method::POST,
            path,
        };
        let nonce = demands.nonce_policy(self.nonce);
        let algorithms = demands.algorithms();
        let key = self.dpop.prove_by(algorithms, request, None, nonce, now);
        let key = key.await?;
        Ok(key.map(Confirmation::of_key))
    }
}
