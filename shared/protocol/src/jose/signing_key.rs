//! Private keys that sign.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use futures_util::future::BoxFuture;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::pkcs8::EncodePrivateKey as _;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::{Algorithm, PublicJwk};
use crate::random::{self, Random};

/// A private key in PKCS#8 DER (RFC 5208), wiped when dropped.
pub struct Pkcs8(Zeroizing<Vec<u8>>);

impl Pkcs8 {
    /// Takes over the DER bytes.
    #[must_use]
    pub fn from_der(der: Vec<u8>) -> Self {
        Self(Zeroizing::new(der))
    }

    /// The DER bytes, to be encrypted and kept.
    #[must_use]
    pub fn expose_der(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes are not a private key for that algorithm.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a private key for this algorithm")]
pub struct InvalidSigningKey;

/// The signer could not sign; a remote one may be out of reach.
#[derive(Clone, Debug, thiserror::Error)]
#[error("signing failed: {0}")]
pub struct SignError(pub String);

/// Something that holds a private key and signs with it: a key in this process, or one in a service that never lets it go.
pub trait Signer: Send + Sync + 'static {
    /// The public half, with its `kid` and `alg`.
    fn public(&self) -> &PublicJwk;
    /// The one algorithm it signs with.
    fn algorithm(&self) -> Algorithm;
    /// The JWS signature over `message` (RFC 7518 §3).
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>>;
}

enum KeyPair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A private key in this process, parsed once: parsing costs as much as half of an ES256 signature and more than one and a
/// half RSA signatures.
pub struct SigningKey {
    public: PublicJwk,
    algorithm: Algorithm,
    pair: KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a new key: P-256, Ed25519, or RSA with 2048 bits. RSA takes some 100 ms of CPU and draws from the crypto
    /// provider's own generator.
    ///
    /// # Errors
    /// [`InvalidSigningKey`] if the crypto provider fails.
    pub fn generate(algorithm: Algorithm, random: &dyn Random) -> Result<Pkcs8, InvalidSigningKey> {
        let der = match algorithm {
            Algorithm::Es256 => {
                // A scalar of zero or past the order of the group is drawn again; it never happens.
                let secret = loop {
                    let scalar = Zeroizing::new(random::bytes::<32>(random));
                    if let Ok(secret) = p256::SecretKey::from_slice(&*scalar) {
                        break secret;
                    }
                };
                secret
                    .to_pkcs8_der()
                    .map_err(|_| InvalidSigningKey)?
                    .as_bytes()
                    .to_vec()
            }
            Algorithm::EdDsa => {
                let seed = Zeroizing::new(random::bytes::<32>(random));
                let pair =
                    Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| InvalidSigningKey)?;
                pair.to_pkcs8()
                    .map_err(|_| InvalidSigningKey)?
                    .as_ref()
                    .to_vec()
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048)
                    .map_err(|_| InvalidSigningKey)?;
                pair.as_der()
                    .map_err(|_| InvalidSigningKey)?
                    .as_ref()
                    .to_vec()
            }
        };
        Ok(Pkcs8::from_der(der))
    }

    /// Parses a private key in PEM (PKCS#8, RFC 7468 §10) for the algorithm that it is of: ES256, `EdDSA`, or PS256 for RSA.
    ///
    /// # Errors
    /// [`InvalidSigningKey`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidSigningKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| InvalidSigningKey)?;
        let pkcs8 = Pkcs8::from_der(der.secret_pkcs8_der().to_vec());
        [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256]
            .into_iter()
            .find_map(|algorithm| Self::from_pkcs8(algorithm, &pkcs8).ok())
            .ok_or(InvalidSigningKey)
    }

    /// Parses a private key for one algorithm. Its `kid` is its thumbprint (RFC 7638).
    ///
    /// # Errors
    /// [`InvalidSigningKey`].
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &Pkcs8) -> Result<Self, InvalidSigningKey> {
        let der = pkcs8.expose_der();
        let (pair, public) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                let pair = pair.map_err(|_| InvalidSigningKey)?;
                let point = p256::PublicKey::from_sec1_bytes(pair.public_key().as_ref());
                let point = point.map_err(|_| InvalidSigningKey)?.to_sec1_point(false);
                let (Some(x), Some(y)) = (point.x(), point.y()) else {
                    return Err(InvalidSigningKey);
                };
                let public = PublicJwk::p256(x, y);
                (KeyPair::Ec(pair), public)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| InvalidSigningKey)?;
                let public = PublicJwk::ed25519(pair.public_key().as_ref());
                (KeyPair::Ed(pair), public)
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| InvalidSigningKey)?;
                let encoding: &'static dyn RsaEncoding = if algorithm == Algorithm::Ps256 {
                    &RSA_PSS_SHA256
                } else {
                    &RSA_PKCS1_SHA256
                };
                let key = pair.public_key();
                let public = PublicJwk::rsa(
                    key.modulus().big_endian_without_leading_zero(),
                    key.exponent().big_endian_without_leading_zero(),
                    algorithm,
                );
                (KeyPair::Rsa(pair, encoding), public)
            }
        };
        let public = public.map_err(|_| InvalidSigningKey)?.named_by_thumbprint();
        Ok(Self {
            public,
            algorithm,
            pair,
        })
    }

    fn sign_now(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            KeyPair::Ec(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            KeyPair::Ed(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            KeyPair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

impl Signer for SigningKey {
    fn public(&self) -> &PublicJwk {
        &self.public
    }

    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    // Inline on the calling task: 17 µs for ES256 cost less than a hop to another thread.
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        let signed = self
            .sign_now(message)
            .map_err(|_| SignError("the crypto provider refused".into()));
        Box::pin(std::future::ready(signed))
    }
}
