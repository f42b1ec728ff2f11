//! Clients that authenticate by certificates (RFC 8705).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared_protocol::issuer::Issuer;
use shared_server::web::{MtlsSettings, Proxies, TlsSettings};

use crate::clients::AuthMethod;

/// Clients that authenticate by certificates. Off unless something is said here or of the proxies.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MtlsConfig {
    /// Addresses on which clients are asked for certificates. May be empty.
    pub listen: Vec<SocketAddr>,
    /// The issuer as it is reached there.
    pub url: Option<Issuer>,
    /// The certificate of these addresses; that of `tls` when absent.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The authorities that vouch for certificates of `tls_client_auth`.
    pub client_ca: Option<PathBuf>,
}

impl MtlsConfig {
    /// Whether anybody's certificate could be seen, here or by a proxy.
    pub(super) fn is_on(&self, proxies: &Proxies) -> bool {
        !self.listen.is_empty() || proxies.client_certificates
    }

    /// What clients may authenticate by.
    pub(super) fn methods(&self, proxies: &Proxies) -> Vec<AuthMethod> {
        let on = self.is_on(proxies);
        let offers = |method: AuthMethod| match method {
            AuthMethod::TlsClientAuth => on && self.client_ca.is_some(),
            AuthMethod::SelfSignedTlsClientAuth => on,
            AuthMethod::None
            | AuthMethod::ClientSecretBasic
            | AuthMethod::ClientSecretPost
            | AuthMethod::ClientSecretJwt
            | AuthMethod::PrivateKeyJwt => true,
        };
        let methods = AuthMethod::ALL.into_iter();
        methods.filter(|method| offers(*method)).collect()
    }

    /// The listener, if there is one, its handshakes and files treated as those of `tls`.
    #[must_use]
    pub fn settings<'a>(&'a self, tls: &'a TlsSettings) -> Option<MtlsSettings<'a>> {
        let own = self.certificate.as_deref().zip(self.key.as_deref());
        let shared = || tls.certificate.as_deref().zip(tls.key.as_deref());
        let of = |section: &'static str| {
            move |(certificate, key): (&'a Path, &'a Path)| MtlsSettings {
                section,
                certificate,
                key,
                tls,
            }
        };
        let settings = own.map(of("mtls")).or_else(|| shared().map(of("tls")));
        settings.filter(|_| !self.listen.is_empty())
    }

    pub(super) fn problems(
        &self,
        issuer: &Issuer,
        tls: &TlsSettings,
        proxies: &Proxies,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |text: &str| problems.push(text.to_owned());
        if self.certificate.is_some() != self.key.is_some() {
            problem("mtls.certificate and mtls.key belong together; name both files, or neither");
        }
        let listens = !self.listen.is_empty();
        if listens && self.url.is_none() {
            problem(
                "mtls.listen is set but mtls.url is not; say at which https URL clients reach these addresses",
            );
        }
        if listens && self.certificate.is_none() && !tls.is_on() {
            problem(
                "mtls.listen is set but there is no certificate for it; name mtls.certificate and mtls.key, or tls.certificate and tls.key",
            );
        }
        if !listens && (self.certificate.is_some() || self.key.is_some()) {
            problem("mtls.certificate and mtls.key are for mtls.listen; set it, or take them out");
        }
        if !self.is_on(proxies) && (self.url.is_some() || self.client_ca.is_some()) {
            problem(
                "mtls.url and mtls.client_ca are of no use where no client certificate is seen; set mtls.listen, or proxies.client_certificates, or take them out",
            );
        }
        if let Some(url) = &self.url {
            if url.is_plain_http() {
                problem("mtls.url is plain http; certificates are shown over https");
            }
            if url.path() != issuer.path() {
                problem(
                    "mtls.url has another path than issuer; only scheme, host and port may differ",
                );
            }
        }
        problems
    }
}
