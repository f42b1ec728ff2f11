//! Clients that authenticate by certificates (RFC 8705).

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shared_protocol::issuer::Issuer;
use shared_server::config::Mistake;
use shared_server::web::{MtlsSection, MtlsSettings, Proxies, TlsSettings};

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
    fn section(&self) -> MtlsSection<'_> {
        MtlsSection {
            listen: &self.listen,
            url: self.url.as_ref().map(Issuer::url),
            certificate: self.certificate.as_deref(),
            key: self.key.as_deref(),
        }
    }

    /// Whether anybody's certificate could be seen, here or by a proxy.
    pub(super) fn is_on(&self, proxies: &Proxies) -> bool {
        self.section().is_on(proxies)
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
        self.section().settings(tls)
    }

    pub(super) fn mistakes(
        &self,
        issuer: &Issuer,
        tls: &TlsSettings,
        proxies: &Proxies,
    ) -> Vec<Mistake> {
        let public = ("issuer", issuer.url());
        let mut mistakes = self.section().mistakes(public, tls, proxies);
        if !self.is_on(proxies) && self.client_ca.is_some() {
            mistakes.push(Mistake::together(
                "mtls.client_ca",
                "it is of no use where no client certificate is seen; set mtls.listen, or proxies.client_certificates, or take it out",
            ));
        }
        mistakes
    }
}
