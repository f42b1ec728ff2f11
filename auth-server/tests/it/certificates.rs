//! Certificates for tests: authorities, what they issue, and what people make themselves.

use std::path::Path;

use auth_server::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use shared_testing::stores::Stores;
use tempfile::TempDir;

use crate::server::config;

/// An authority with its key.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, and those between it and a root.
pub(crate) struct Pair {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
    pub(crate) between: Vec<Certificate>,
}

pub(crate) fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// As [`params`], good from the beginning of one year to that of another.
pub(crate) fn years(name: &str, from: i32, to: i32) -> CertificateParams {
    let mut params = params(name);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    params
}

/// As [`params`], good for these uses.
pub(crate) fn used(name: &str, uses: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    let mut params = params(name);
    params.extended_key_usages = uses.to_vec();
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let params = Self::params(name, BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    fn params(name: &str, constraints: BasicConstraints) -> CertificateParams {
        let mut params = params(name);
        params.extended_key_usages.clear();
        params.is_ca = IsCa::Ca(constraints);
        params
    }

    /// An authority below this one.
    pub(crate) fn below(&self, name: &str, constraints: BasicConstraints) -> Self {
        let params = Self::params(name, constraints);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.signed_by(&key, &self.issuer).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.issuer).unwrap(),
            key,
            between: Vec::new(),
        }
    }

    /// A client's, by its common name.
    pub(crate) fn client(&self, name: &str) -> Pair {
        self.issue(&params(name))
    }
}

impl Pair {
    pub(crate) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            key,
            between: Vec::new(),
        }
    }

    /// Another certificate of the same key.
    pub(crate) fn again(&self, params: &CertificateParams) -> Self {
        Self {
            certificate: params.self_signed(&self.key).unwrap(),
            key: KeyPair::from_pem(&self.key.serialize_pem()).unwrap(),
            between: Vec::new(),
        }
    }

    pub(crate) fn with_between(self, between: Vec<Certificate>) -> Self {
        Self { between, ..self }
    }

    /// Its key as clients register it.
    pub(crate) fn jwks(&self) -> serde_json::Value {
        // An uncompressed point on P-256.
        let encoded = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let point = self.key.public_key_raw();
        let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
        serde_json::json!({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": y}]})
    }

    fn pem(&self) -> String {
        let chain = std::iter::once(&self.certificate).chain(&self.between);
        chain.map(Certificate::pem).collect()
    }

    /// As `curl` and others take it.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.crt")), self.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), self.key.serialize_pem()).unwrap();
    }

    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440 §2).
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let written = |one: &Certificate| format!(":{}:", STANDARD.encode(one.der()));
        let mut headers = vec![("client-cert", written(&self.certificate))];
        let between: Vec<_> = self.between.iter().map(written).collect();
        if !between.is_empty() {
            headers.push(("client-cert-chain", between.join(", ")));
        }
        headers
    }

    /// A client that presents it.
    pub(crate) fn http(&self, pki: &Pki) -> reqwest::Client {
        let pem = format!("{}{}", self.pem(), self.key.serialize_pem());
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).unwrap();
        pki.http().identity(identity).build().unwrap()
    }
}

/// An authority that the server trusts, and the certificate of its listener.
pub(crate) struct Pki {
    pub(crate) authority: Authority,
    server: Authority,
    pub(crate) folder: TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (authority, server) = (Authority::new("Clients"), Authority::new("Servers"));
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        server.issue(&params).write(folder.path(), "server");
        let path = |name| folder.path().join(name);
        std::fs::write(path("ca.crt"), authority.certificate.pem()).unwrap();
        std::fs::write(path("roots.crt"), server.certificate.pem()).unwrap();
        Self {
            authority,
            server,
            folder,
        }
    }

    /// A server that asks for certificates on a listener of its own.
    pub(crate) fn config(&self, stores: &Stores) -> Config {
        let mut config = self.behind_proxy(stores, "192.0.2.0/24");
        config.proxies = shared_server::web::Proxies::default();
        config.mtls.listen = vec![([127, 0, 0, 1], 0).into()];
        config.mtls.certificate = Some(self.folder.path().join("server.crt"));
        config.mtls.key = Some(self.folder.path().join("server.key"));
        config
    }

    /// A server that believes the proxies of this network.
    pub(crate) fn behind_proxy(&self, stores: &Stores, network: &str) -> Config {
        let mut config = config(stores);
        config.proxies.trusted = vec![network.parse().unwrap()];
        config.proxies.header = Some(shared_server::web::ForwardedBy::Forwarded);
        config.proxies.client_certificates = true;
        config.mtls.client_ca = Some(self.folder.path().join("ca.crt"));
        config
    }

    /// A client that presents nothing.
    pub(crate) fn http(&self) -> reqwest::ClientBuilder {
        let root = self.server.certificate.pem();
        let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([root])
            .redirect(reqwest::redirect::Policy::none())
    }
}
