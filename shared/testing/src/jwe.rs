//! The other end of what is encrypted: private keys of clients, and the compact JWE that they open (RFC 7516 §5.2). Written apart from what
//! encrypts, so that a mistake is not made twice; strict, so that a test sees what it should.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsBigEndian as _, EcPublicKeyUncompressedBin};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Longer than anything that a test has encrypted.
const LONGEST: usize = 64 * 1024;

/// A private key that decrypts.
pub enum DecryptionKey {
    /// By ECDH-ES on P-256.
    Ec(PrivateKey),
    /// By RSA-OAEP-256.
    Rsa(PrivateDecryptingKey),
}

/// Why a JWE was not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// Not five base64url parts with a JSON header, or too long.
    Malformed,
    /// Another `alg` or `enc`, or one that is not this key's.
    Algorithm,
    /// `zip` or `crit`.
    Extension,
    /// An ephemeral key that is none.
    EphemeralKey,
    /// Not encrypted to this key, or changed since.
    Decryption,
}

impl DecryptionKey {
    /// A new key on P-256.
    ///
    /// # Panics
    /// If the crypto provider fails.
    #[must_use]
    pub fn ec() -> Self {
        Self::Ec(PrivateKey::generate(&ECDH_P256).unwrap())
    }

    /// A new RSA key of 2048 bits.
    ///
    /// # Panics
    /// If the crypto provider fails.
    #[must_use]
    pub fn rsa() -> Self {
        Self::Rsa(PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap())
    }

    /// The algorithm that it decrypts by.
    #[must_use]
    pub fn alg(&self) -> &'static str {
        match self {
            Self::Ec(_) => "ECDH-ES",
            Self::Rsa(_) => "RSA-OAEP-256",
        }
    }

    /// Its public half, with nothing said of its use.
    ///
    /// # Panics
    /// If the crypto provider fails.
    #[must_use]
    pub fn public(&self, kid: &str) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec(key) => {
                let point: EcPublicKeyUncompressedBin<'_> =
                    key.compute_public_key().unwrap().as_be_bytes().unwrap();
                let (x, y) = point.as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "kid": kid})
            }
            Self::Rsa(key) => {
                use aws_lc_rs::encoding::AsDer as _;
                let der = key.public_key().as_der().unwrap();
                // Of 2048 bits with the exponent 65537: where the two numbers stand is known.
                let der = der.as_ref();
                let (n, e) = (&der[der.len() - 261..der.len() - 5], &der[der.len() - 3..]);
                json!({"kty": "RSA", "n": encode(n), "e": encode(e), "kid": kid})
            }
        }
    }

    /// The header and the content of a compact JWE.
    ///
    /// # Errors
    /// [`Refused`].
    ///
    /// # Panics
    /// If the crypto provider fails.
    pub fn open(&self, token: &str) -> Result<(Value, Vec<u8>), Refused> {
        let parts: Vec<_> = token.split('.').collect();
        let [protected, encrypted_key, nonce, ciphertext, tag] = parts.as_slice() else {
            return Err(Refused::Malformed);
        };
        if token.len() > LONGEST {
            return Err(Refused::Malformed);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed);
        let header: Value =
            serde_json::from_slice(&decode(protected)?).map_err(|_| Refused::Malformed)?;
        if ["zip", "crit"]
            .iter()
            .any(|name| header.get(name).is_some())
        {
            return Err(Refused::Extension);
        }
        if header["alg"] != self.alg() || header["enc"] != "A256GCM" {
            return Err(Refused::Algorithm);
        }
        let encrypted_key = decode(encrypted_key)?;
        let content_key = match self {
            Self::Ec(_) if !encrypted_key.is_empty() => return Err(Refused::Malformed),
            Self::Ec(key) => agreed(key, &header)?,
            Self::Rsa(key) => {
                let oaep = OaepPrivateDecryptingKey::new(key.clone()).unwrap();
                let mut out = vec![0; oaep.min_output_size()];
                oaep.decrypt(&OAEP_SHA256_MGF1SHA256, &encrypted_key, &mut out, None)
                    .map_err(|_| Refused::Decryption)?
                    .to_vec()
            }
        };
        let nonce = decode(nonce)?
            .try_into()
            .map_err(|_| Refused::Malformed)
            .map(Nonce::assume_unique_for_key)?;
        let key = UnboundKey::new(&AES_256_GCM, &content_key).map_err(|_| Refused::Decryption)?;
        let mut content = decode(ciphertext)?;
        content.extend(decode(tag)?);
        let opened = LessSafeKey::new(key)
            .open_in_place(nonce, Aad::from(protected.as_bytes()), &mut content)
            .map_err(|_| Refused::Decryption)?;
        Ok((header, opened.to_vec()))
    }
}

fn agreed(key: &PrivateKey, header: &Value) -> Result<Vec<u8>, Refused> {
    let epk = &header["epk"];
    if epk["kty"] != "EC" || epk["crv"] != "P-256" || epk.get("d").is_some() {
        return Err(Refused::EphemeralKey);
    }
    let mut point = vec![4];
    for name in ["x", "y"] {
        let text = epk[name].as_str().unwrap_or_default();
        let number = URL_SAFE_NO_PAD.decode(text);
        point.extend(number.map_err(|_| Refused::EphemeralKey)?);
    }
    let peer = UnparsedPublicKey::new(&ECDH_P256, point);
    agree(key, peer, Refused::EphemeralKey, |secret| {
        let mut input = vec![0, 0, 0, 1];
        input.extend_from_slice(secret);
        input.extend_from_slice(&[0, 0, 0, 7]);
        input.extend_from_slice(b"A256GCM");
        // No parties, and 256 bits.
        input.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        Ok(digest(&SHA256, &input).as_ref().to_vec())
    })
}
