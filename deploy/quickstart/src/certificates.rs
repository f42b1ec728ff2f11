//! A throw-away authority, and what it issues: the certificate of the listener that asks clients for theirs, and the one of a demo client.
//! They are made anew with each start, and the authority's key is never written.

use std::time::Duration;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use shared_protocol::time::Instant;

use crate::folder::Folder;

/// The authority's certificate: what `curl --cacert` and `mtls.client_ca` name.
pub(crate) const AUTHORITY: &str = "mtls-ca.crt";
/// The listener's certificate and key.
pub(crate) const SERVER: [&str; 2] = ["mtls-server.crt", "mtls-server.key"];
/// The demo client's certificate and key.
pub(crate) const CLIENT: [&str; 2] = ["mtls-client.crt", "mtls-client.key"];
/// The name in the demo client's certificate.
pub(crate) const CLIENT_NAME: &str = "Demo worker";

/// Longer than anybody leaves a first look running.
const LIFETIME: Duration = Duration::from_hours(24 * 365);
/// For clocks that are behind.
const BEFORE: Duration = Duration::from_hours(1);

/// Writes all of them, for their owner alone.
///
/// # Errors
/// Files that cannot be written.
pub(crate) fn write(folder: &Folder, now: Instant) -> anyhow::Result<()> {
    let mut authority = params("Quickstart authority", now);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let certificate = authority.self_signed(&key)?;
    let issuer = Issuer::new(authority, key);

    let mut server = params("localhost", now);
    server.subject_alt_names = CertificateParams::new(vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ])?
    .subject_alt_names;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut client = params(CLIENT_NAME, now);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];

    let put = |name: &str, pem: String| {
        folder
            .write(name, pem.as_bytes())
            .with_context(|| folder.file(name).display().to_string())
    };
    put(AUTHORITY, certificate.pem())?;
    for ([crt, key], params) in [(SERVER, server), (CLIENT, client)] {
        let pair = KeyPair::generate()?;
        put(crt, params.signed_by(&pair, &issuer)?.pem())?;
        put(key, pair.serialize_pem())?;
    }
    Ok(())
}

fn params(name: &str, now: Instant) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let seconds = u64::try_from(now.as_secs()).unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = now - BEFORE;
    params.not_after = now + LIFETIME;
    params
}
