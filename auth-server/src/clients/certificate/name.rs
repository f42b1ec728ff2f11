//! What the certificate of a client of `tls_client_auth` is known by (RFC 8705 §2.1.2).

use std::net::IpAddr;

use url::Url;

use super::distinguished_name::{DistinguishedName, InvalidDistinguishedName};
use crate::clients::{AuthMethod, ClientMetadata};

/// Bytes of a URI.
const LONGEST_URI: usize = 1024;
/// Characters of a DNS name (RFC 1035 §3.1).
const LONGEST_NAME: usize = 253;

/// The one name by which a client's certificate is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateName {
    /// Its subject.
    Subject(DistinguishedName),
    /// One of its `subjectAltName`.
    Alternative(AlternativeName),
}

/// One name of a `subjectAltName` (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AlternativeName {
    /// In lower case.
    Dns(String),
    /// As it is written.
    Uri(String),
    /// An address, IPv4 or IPv6.
    Ip(IpAddr),
    /// The host in lower case (RFC 5280 §7.5).
    Email(String),
}

/// Why a client's certificate cannot be known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidCertificateName {
    /// None, or several.
    #[error(
        "tls_client_auth takes exactly one of tls_client_auth_subject_dn, tls_client_auth_san_dns, tls_client_auth_san_uri, tls_client_auth_san_ip and tls_client_auth_san_email (RFC 8705 section 2.1.2)"
    )]
    NotOne,
    /// Another method would not look at it.
    #[error("{0} is for tls_client_auth")]
    Unused(&'static str),
    /// No distinguished name.
    #[error("tls_client_auth_subject_dn: {0}")]
    Subject(#[from] InvalidDistinguishedName),
    /// No DNS name.
    #[error("tls_client_auth_san_dns is no host name without wildcards, such as worker.example")]
    Dns,
    /// No URI.
    #[error("tls_client_auth_san_uri is no absolute URI of at most 1024 ASCII characters")]
    Uri,
    /// No address.
    #[error("tls_client_auth_san_ip is no IPv4 or IPv6 address")]
    Ip,
    /// No email address.
    #[error("tls_client_auth_san_email is no email address in ASCII")]
    Email,
}

impl CertificateName {
    /// What a client registered; `None` of a client of another method.
    ///
    /// # Errors
    /// [`InvalidCertificateName`].
    pub fn registered(metadata: &ClientMetadata) -> Result<Option<Self>, InvalidCertificateName> {
        let fields = [
            (
                "tls_client_auth_subject_dn",
                &metadata.tls_client_auth_subject_dn,
            ),
            ("tls_client_auth_san_dns", &metadata.tls_client_auth_san_dns),
            ("tls_client_auth_san_uri", &metadata.tls_client_auth_san_uri),
            ("tls_client_auth_san_ip", &metadata.tls_client_auth_san_ip),
            (
                "tls_client_auth_san_email",
                &metadata.tls_client_auth_san_email,
            ),
        ];
        let mut given = fields
            .into_iter()
            .filter_map(|(field, value)| Some((field, value.as_deref()?)));
        let first = given.next();
        if metadata.token_endpoint_auth_method != AuthMethod::TlsClientAuth {
            return match first {
                Some((field, _)) => Err(InvalidCertificateName::Unused(field)),
                None => Ok(None),
            };
        }
        let (Some((field, value)), None) = (first, given.next()) else {
            return Err(InvalidCertificateName::NotOne);
        };
        let name = match field {
            "tls_client_auth_san_dns" => dns(value).ok_or(InvalidCertificateName::Dns)?,
            "tls_client_auth_san_uri" => uri(value).ok_or(InvalidCertificateName::Uri)?,
            "tls_client_auth_san_ip" => {
                let address = value.parse().map_err(|_| InvalidCertificateName::Ip)?;
                AlternativeName::Ip(address)
            }
            "tls_client_auth_san_email" => email(value).ok_or(InvalidCertificateName::Email)?,
            _ => return Ok(Some(Self::Subject(value.parse()?))),
        };
        Ok(Some(Self::Alternative(name)))
    }
}

/// A host name of letters, digits, hyphens and, as machines have them, underscores. A wildcard would be the name of many.
fn dns(raw: &str) -> Option<AlternativeName> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (raw.len() <= LONGEST_NAME && raw.split('.').all(label))
        .then(|| AlternativeName::Dns(raw.to_ascii_lowercase()))
}

fn uri(raw: &str) -> Option<AlternativeName> {
    let visible = raw.bytes().all(|byte| byte.is_ascii_graphic());
    (raw.len() <= LONGEST_URI && visible && Url::parse(raw).is_ok())
        .then(|| AlternativeName::Uri(raw.to_owned()))
}

fn email(raw: &str) -> Option<AlternativeName> {
    let (local, host) = raw.rsplit_once('@')?;
    let good = (1..=64).contains(&local.len())
        && local
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'@')
        && dns(host).is_some();
    good.then(|| AlternativeName::email(local, host))
}

impl AlternativeName {
    /// An address, its host compared without regard to case.
    pub(super) fn email(local: &str, host: &str) -> Self {
        Self::Email(format!("{local}@{}", host.to_ascii_lowercase()))
    }
}
