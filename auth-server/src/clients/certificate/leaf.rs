//! What the certificate of a client says.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use shared_protocol::jose::PublicJwk;
use shared_protocol::time::Instant;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{self, Decode as _, DecodeValue, Header, Reader, Sequence};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::distinguished_name::DistinguishedName;
use super::name::{AlternativeName, CertificateName};

/// RFC 5480 §2.1.1, RFC 8017 appendix A.1, RFC 8410 §3.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Names that one certificate may have.
const MOST_NAMES: usize = 1000;

/// When a certificate is valid, both ends included (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    from: i64,
    to: i64,
}

impl Validity {
    /// That of one certificate.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        Self::read(&Certificate::from_der(der).ok()?)
    }

    fn read(certificate: &Certificate) -> Option<Self> {
        let validity = certificate.tbs_certificate.validity;
        let seconds =
            |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
        Some(Self {
            from: seconds(validity.not_before)?,
            to: seconds(validity.not_after)?,
        })
    }

    /// When both are.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        }
    }

    pub(super) fn holds(self, now: Instant) -> bool {
        (self.from..=self.to).contains(&now.as_secs())
    }
}

/// The parts of a certificate that tell whose it is.
#[derive(Debug)]
pub struct Leaf {
    pub(super) validity: Validity,
    subject: Option<DistinguishedName>,
    alternatives: Vec<AlternativeName>,
    key: Option<PublicJwk>,
}

impl Leaf {
    /// Reads one; `None` of what is no certificate in DER, or has more names than anybody needs.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let validity = Validity::read(&certificate)?;
        let tbs = &certificate.tbs_certificate;
        // Twice in one certificate is an error too (RFC 5280 §4.2).
        let alternatives = tbs.get::<SubjectAltName>().ok()?;
        let alternatives = alternatives.map_or_else(Vec::new, |(_, names)| names.0);
        if alternatives.len() > MOST_NAMES {
            return None;
        }
        Some(Self {
            validity,
            subject: DistinguishedName::of(&tbs.subject),
            alternatives: alternatives.iter().filter_map(alternative).collect(),
            key: key(&tbs.subject_public_key_info),
        })
    }

    /// Whether it is known by this name.
    #[must_use]
    pub fn is(&self, name: &CertificateName) -> bool {
        match name {
            CertificateName::Subject(subject) => self.subject.as_ref() == Some(subject),
            CertificateName::Alternative(name) => self.alternatives.contains(name),
        }
    }

    /// Whether it is for this key.
    #[must_use]
    pub fn has_key(&self, key: &PublicJwk) -> bool {
        self.key.as_ref().is_some_and(|own| own.is_same_key(key))
    }
}

fn alternative(name: &GeneralName) -> Option<AlternativeName> {
    match name {
        GeneralName::DnsName(name) => {
            Some(AlternativeName::Dns(name.as_str().to_ascii_lowercase()))
        }
        GeneralName::UniformResourceIdentifier(uri) => {
            Some(AlternativeName::Uri(uri.as_str().to_owned()))
        }
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let address = <[u8; 4]>::try_from(octets)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
            address.ok().map(AlternativeName::Ip)
        }
        GeneralName::Rfc822Name(address) => {
            let (local, host) = address.as_str().rsplit_once('@')?;
            Some(AlternativeName::email(local, host))
        }
        GeneralName::OtherName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

/// The key, if it is of a kind that clients register.
fn key(info: &SubjectPublicKeyInfoOwned) -> Option<PublicJwk> {
    let encoded = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    let bits = info.subject_public_key.as_bytes()?;
    let parameters = info.algorithm.parameters.as_ref();
    let jwk = match info.algorithm.oid {
        EC if parameters?.decode_as::<ObjectIdentifier>().ok()? == P256 => {
            // Uncompressed (RFC 5480 §2.2).
            let (x, y) = bits.strip_prefix(&[0x04])?.split_at_checked(32)?;
            json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)})
        }
        ED25519 => json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(bits)}),
        RSA => {
            let RsaPublicKey { n, e } = RsaPublicKey::from_der(bits).ok()?;
            json!({"kty": "RSA", "n": encoded(n.as_bytes()), "e": encoded(e.as_bytes())})
        }
        _ => return None,
    };
    let jwk: &Map<String, Value> = jwk.as_object()?;
    PublicJwk::from_object(jwk).ok()
}

/// RFC 8017 appendix A.1.1.
struct RsaPublicKey<'a> {
    n: UintRef<'a>,
    e: UintRef<'a>,
}

impl<'a> DecodeValue<'a> for RsaPublicKey<'a> {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        reader.read_nested(header.length, |reader| {
            Ok(Self {
                n: reader.decode()?,
                e: reader.decode()?,
            })
        })
    }
}

impl der::EncodeValue for RsaPublicKey<'_> {
    fn value_len(&self) -> der::Result<der::Length> {
        use der::Encode as _;
        self.n.encoded_len()? + self.e.encoded_len()?
    }

    fn encode_value(&self, writer: &mut impl der::Writer) -> der::Result<()> {
        use der::Encode as _;
        self.n.encode(writer)?;
        self.e.encode(writer)
    }
}

impl<'a> Sequence<'a> for RsaPublicKey<'a> {}
