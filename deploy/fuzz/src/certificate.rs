//! Certificates of clients and the names that they are known by (RFC 8705 §2.1.2). The first line is what was registered, as a form of
//! `tls_client_auth_*`; DER follows.

use auth_server::clients::certificate::{CertificateName, DistinguishedName, Leaf};
use auth_server::clients::{AuthMethod, ClientMetadata};
use rustls::pki_types::{CertificateDer, ServerName};
use url::form_urlencoded;
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

pub(crate) fn check(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let (line, der) = bytes.split_at(end);
    let der = der.get(1..).unwrap_or_default();
    let mut metadata = ClientMetadata {
        token_endpoint_auth_method: AuthMethod::TlsClientAuth,
        ..ClientMetadata::default()
    };
    for (name, value) in form_urlencoded::parse(line) {
        let field = match &*name {
            "dn" => &mut metadata.tls_client_auth_subject_dn,
            "dns" => &mut metadata.tls_client_auth_san_dns,
            "uri" => &mut metadata.tls_client_auth_san_uri,
            "ip" => &mut metadata.tls_client_auth_san_ip,
            "email" => &mut metadata.tls_client_auth_san_email,
            _ => continue,
        };
        *field = Some(value.into_owned());
    }
    let registered = CertificateName::registered(&metadata).ok().flatten();
    let Some(leaf) = Leaf::read(der) else { return };
    let certificate = Certificate::from_der(der).unwrap_or_else(|error| unreachable!("{error}"));
    let subject = &certificate.tbs_certificate.subject;
    match DistinguishedName::of(subject) {
        Some(subject) => assert!(leaf.is(&CertificateName::Subject(subject))),
        None => assert!(subject.0.is_empty()),
    }
    let Some(registered) = registered.filter(|name| leaf.is(name)) else {
        return;
    };
    let holds = |text: &str| {
        let needle = text.to_ascii_lowercase();
        let der = der.to_ascii_lowercase();
        der.windows(needle.len())
            .any(|window| window == needle.as_bytes())
    };
    if let Some(dns) = &metadata.tls_client_auth_san_dns {
        assert!(holds(dns) && !dns.contains('*'), "{registered:?}");
        let der = CertificateDer::from(der);
        let name = ServerName::try_from(dns.as_str());
        if let (Ok(other), Ok(name)) = (EndEntityCert::try_from(&der), name) {
            assert!(
                other.verify_is_valid_for_subject_name(&name).is_ok(),
                "{dns}"
            );
        }
    }
    for text in [
        &metadata.tls_client_auth_san_uri,
        &metadata.tls_client_auth_san_email,
    ] {
        assert!(text.as_deref().is_none_or(holds), "{registered:?}");
    }
    if let Some(dn) = &metadata.tls_client_auth_subject_dn {
        assert_eq!(dn.parse().ok(), DistinguishedName::of(subject));
    }
}
