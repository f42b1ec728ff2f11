//! Certificates that the tests make for themselves: self-signed ones, which is all that binding a token needs (RFC 8705 §4).

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::check::Stop;
use crate::subject::Subject;

/// A certificate, and connections on which it is shown.
pub(crate) struct Certificate {
    pub(crate) http: reqwest::Client,
    der: Vec<u8>,
    point: Vec<u8>,
}

impl Certificate {
    /// The `cnf` of what is bound to it (§3.1).
    pub(crate) fn confirmation(&self) -> Value {
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.der));
        json!({ "x5t#S256": thumbprint })
    }

    /// Its key, with itself, as a client registers it (§2.2.2).
    pub(crate) fn keys(&self) -> Value {
        // An uncompressed point on P-256.
        let part = |from, to| {
            let bytes = self.point.get(from..to).unwrap_or_default();
            BASE64_URL_SAFE_NO_PAD.encode(bytes)
        };
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig",
            "x": part(1, 33), "y": part(33, 65),
            "x5c": [BASE64_STANDARD.encode(&self.der)],
        }]})
    }

    /// The header field with which a proxy tells of it (RFC 9440 §2.2).
    pub(crate) fn header(&self) -> String {
        format!(":{}:", BASE64_STANDARD.encode(&self.der))
    }
}

impl Subject {
    /// A new certificate that nobody vouches for.
    pub(crate) fn certificate(&self) -> Result<Certificate, Stop> {
        let failed = |_| Stop::unchecked("no certificate could be made");
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        let name = DnType::CommonName;
        params.distinguished_name.push(name, "Conformance tests");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&key).map_err(failed)?;
        let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
        let identity = reqwest::Identity::from_pem(pem.as_bytes());
        let identity = identity.map_err(|_| Stop::unchecked("no certificate could be shown"))?;
        let http = self.client_builder().identity(identity).build();
        Ok(Certificate {
            http: http.map_err(|_| Stop::unchecked("no certificate could be shown"))?,
            der: certificate.der().to_vec(),
            point: key.public_key_raw().to_vec(),
        })
    }
}
