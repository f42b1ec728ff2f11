//! Certificates by which servers and a client know one another, and where servers ask for the client's (RFC 8705).

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::{Setting, free_port};
use crate::client::Destination;

/// Who the client is, as RFC 4514 writes the subject of its certificate.
pub(super) const SUBJECT: &str = "CN=client";

/// The files: the authority, and what all servers have.
const AUTHORITY: &str = "authority.crt";
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

/// An authority, what it issued to all servers and to a client, and where that client is asked for it.
pub(crate) struct Certificates {
    /// By the authorization server.
    pub(crate) issuer: Destination,
    /// By the resource API.
    pub(crate) api: Destination,
    /// By the floor.
    pub(crate) floor: Destination,
    folder: TempDir,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    /// If the folder cannot be made or written to, or no port is free.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut params = named("authority", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let root = params.self_signed(&key)?;
        let authority = Issuer::new(params, key);

        let key = KeyPair::generate()?;
        let server = named("server", &["127.0.0.1"])?.signed_by(&key, &authority)?;
        for (name, pem) in [
            (AUTHORITY, root.pem()),
            (CERTIFICATE, server.pem()),
            (KEY, key.serialize_pem()),
        ] {
            std::fs::write(folder.path().join(name), pem)?;
        }

        let key = KeyPair::generate()?;
        let client = named("client", &[])?.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![client.der().clone()], key)?;
        let connector = TlsConnector::from(Arc::new(config));
        let somewhere = || {
            let connector = connector.clone();
            anyhow::Ok(Destination::tls(free_port()?, connector))
        };
        Ok(Self {
            issuer: somewhere()?,
            api: somewhere()?,
            floor: somewhere()?,
            folder,
        })
    }

    /// Settings of the authorization server.
    pub(crate) fn of_issuer(&self) -> Vec<Setting> {
        let mut settings = self.listener(&self.issuer);
        settings.push(("mtls.client_ca", self.file(AUTHORITY)));
        settings
    }

    /// Settings of the resource API.
    pub(crate) fn of_api(&self) -> Vec<Setting> {
        self.listener(&self.api)
    }

    /// The command line of the floor.
    pub(super) fn of_floor(&self) -> [String; 6] {
        let port = self.floor.port.to_string();
        let (certificate, key) = (self.file(CERTIFICATE), self.file(KEY));
        let [a, b, c] = ["--mtls-port", "--certificate", "--key"].map(str::to_owned);
        [a, port, b, certificate, c, key]
    }

    fn listener(&self, at: &Destination) -> Vec<Setting> {
        vec![
            ("mtls.listen", format!("127.0.0.1:{}", at.port)),
            ("mtls.url", format!("https://127.0.0.1:{}", at.port)),
            ("mtls.certificate", self.file(CERTIFICATE)),
            ("mtls.key", self.file(KEY)),
        ]
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// What to certify of whoever is known by this name, and reached under these.
fn named(name: &str, reached: &[&str]) -> anyhow::Result<CertificateParams> {
    let reached: Vec<_> = reached.iter().copied().map(str::to_owned).collect();
    let mut params = CertificateParams::new(reached).context("a certificate")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
