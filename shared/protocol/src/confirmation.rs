//! Who alone may use a token (RFC 7800): the `cnf` claim, by which a token is bound to the key of a DPoP proof (RFC 9449 §6) or to the
//! certificate of a connection (RFC 8705 §3.1).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use crate::jose::Thumbprint;
use crate::text::serde_as_text;

/// Not 32 bytes in base64url without padding.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a thumbprint is 32 bytes in base64url without padding")]
pub struct InvalidThumbprint;

/// Reads the SHA-256 of something.
pub(crate) fn digest_of_text(raw: &str) -> Result<[u8; 32], InvalidThumbprint> {
    let mut digest = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(raw, &mut digest) {
        Ok(32) => Ok(digest),
        Ok(_) | Err(_) => Err(InvalidThumbprint),
    }
}

/// SHA-256 of a certificate in DER (RFC 8705 §3.1, `x5t#S256`).
///
/// As an extension of a request: the certificate whose key the client proved to hold, by the handshake of its connection or by word of a
/// proxy that is trusted. Whoever ends TLS puts it there.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CertificateThumbprint([u8; 32]);

impl CertificateThumbprint {
    /// That of a certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

/// Base64url without padding.
impl fmt::Display for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for CertificateThumbprint {
    type Err = InvalidThumbprint;

    fn from_str(raw: &str) -> Result<Self, InvalidThumbprint> {
        digest_of_text(raw).map(Self)
    }
}

serde_as_text!(CertificateThumbprint, InvalidThumbprint);

/// What somebody has to prove who presents a token: one thing, or two. One that names nothing, or something that is not understood, is not
/// read: who ignores it would take the token from anybody (RFC 7800 §3.1).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Confirmation {
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<Thumbprint>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateThumbprint>,
}

impl Confirmation {
    /// Bound to the key of DPoP proofs.
    #[must_use]
    pub const fn of_key(jkt: Thumbprint) -> Self {
        Self {
            jkt: Some(jkt),
            certificate: None,
        }
    }

    /// Bound to a certificate.
    #[must_use]
    pub const fn of_certificate(certificate: CertificateThumbprint) -> Self {
        Self {
            jkt: None,
            certificate: Some(certificate),
        }
    }

    /// The key that has to make a DPoP proof.
    #[must_use]
    pub const fn jkt(&self) -> Option<&Thumbprint> {
        self.jkt.as_ref()
    }

    /// The certificate that has to be the connection's.
    #[must_use]
    pub const fn certificate(&self) -> Option<&CertificateThumbprint> {
        self.certificate.as_ref()
    }
}

impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Members {
            jkt: Option<Thumbprint>,
            #[serde(rename = "x5t#S256")]
            certificate: Option<CertificateThumbprint>,
        }
        let Members { jkt, certificate } = Members::deserialize(deserializer)?;
        if jkt.is_none() && certificate.is_none() {
            return Err(serde::de::Error::custom(
                "a confirmation that names nothing",
            ));
        }
        Ok(Self { jkt, certificate })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    #[test]
    fn rfc7800_3_1_what_is_not_understood_is_not_read() {
        for good in [
            json!({"jkt": DIGEST}),
            json!({"x5t#S256": DIGEST}),
            json!({"jkt": DIGEST, "x5t#S256": DIGEST}),
        ] {
            let read: Confirmation = serde_json::from_value(good.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), good);
        }
        for bad in [
            json!({}),
            json!(null),
            json!("x"),
            json!({"jkt": null}),
            json!({"jkt": 1}),
            json!({"jkt": ""}),
            json!({"jkt": &DIGEST[1..]}),
            json!({"jkt": format!("{DIGEST}A")}),
            json!({"jkt": format!("{DIGEST}=")}),
            json!({"jwk": {}}),
            json!({"jkt": DIGEST, "kid": "x"}),
        ] {
            let read = serde_json::from_value::<Confirmation>(bad.clone());
            assert!(read.is_err(), "{bad}");
        }
    }
}
