//! The certificate of a client by word of a proxy that ended TLS: `Client-Cert` and `Client-Cert-Chain` (RFC 9440). Whoever reaches an API
//! past the proxy, or through one that lets these headers by, could write anybody's there, for a certificate is no secret: they are to be
//! believed only behind a proxy that drops what clients wrote and writes its own, and refused everywhere else (RFC 9440 §4).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;

/// RFC 9440 §2.2.
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// RFC 9440 §2.3.
pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Certificates between a client's and a root. A chain is three or four long; each costs a signature to verify.
pub const MOST_BETWEEN: usize = 8;
/// Bytes of one certificate.
pub const LARGEST: usize = 16 * 1024;

/// Why headers tell of no certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidClientCert {
    /// A chain of nothing.
    #[error("Client-Cert-Chain without Client-Cert")]
    NoLeaf,
    /// `Client-Cert` more than once.
    #[error("Client-Cert more than once")]
    Twice,
    /// Not what RFC 8941 §3.3.5 writes.
    #[error("not a byte sequence as RFC 8941 writes it")]
    ByteSequence,
    /// More or larger ones than anybody needs.
    #[error("too many certificates, or too large ones")]
    TooMuch,
    /// Whoever wrote them is not believed (RFC 9440 §4).
    #[error("Client-Cert and Client-Cert-Chain are taken of trusted proxies alone")]
    NotBelieved,
}

/// Whether the headers tell of a certificate, well or badly.
#[must_use]
pub fn is_told(headers: &HeaderMap) -> bool {
    headers.contains_key(CLIENT_CERT) || headers.contains_key(CLIENT_CERT_CHAIN)
}

/// What a proxy says (RFC 9440 §2.2, §2.3): the client's own certificate, then those between it and a root; nothing if it says nothing.
/// Whether it is to be believed is not looked at.
///
/// # Errors
/// [`InvalidClientCert`].
pub fn chain(headers: &HeaderMap) -> Result<Vec<CertificateDer<'static>>, InvalidClientCert> {
    let mut leaves = headers.get_all(CLIENT_CERT).iter();
    let Some(leaf) = leaves.next() else {
        return if headers.contains_key(CLIENT_CERT_CHAIN) {
            Err(InvalidClientCert::NoLeaf)
        } else {
            Ok(Vec::new())
        };
    };
    if leaves.next().is_some() {
        return Err(InvalidClientCert::Twice);
    }
    let mut chain = vec![byte_sequence(leaf.as_bytes())?];
    for line in headers.get_all(CLIENT_CERT_CHAIN) {
        for member in line.as_bytes().split(|&byte| byte == b',') {
            if chain.len() > MOST_BETWEEN {
                return Err(InvalidClientCert::TooMuch);
            }
            chain.push(byte_sequence(member)?);
        }
    }
    Ok(chain)
}

/// RFC 8941 §4.2.7: neither padding that is not there nor bits behind the last byte are faults. What counts are the bytes that come of it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A byte sequence without parameters (RFC 8941 §3.3.5).
fn byte_sequence(raw: &[u8]) -> Result<CertificateDer<'static>, InvalidClientCert> {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = raw.iter().position(|byte| !space(byte)).unwrap_or_default();
    let end = raw
        .iter()
        .rposition(|byte| !space(byte))
        .map_or(begin, |last| last + 1);
    let der = raw
        .get(begin..end)
        .and_then(|raw| raw.strip_prefix(b":")?.strip_suffix(b":"))
        .and_then(|inside| BASE64.decode(inside).ok())
        .filter(|der| !der.is_empty())
        .ok_or(InvalidClientCert::ByteSequence)?;
    if der.len() > LARGEST {
        return Err(InvalidClientCert::TooMuch);
    }
    Ok(der.into())
}

#[cfg(test)]
mod tests;
