//! A listener that asks clients for certificates (RFC 8705), as a section of the configuration describes it.

use std::net::SocketAddr;
use std::path::Path;

use url::Url;

use super::{MtlsSettings, Proxies, TlsSettings};
use crate::config::Mistake;

/// What the section `[mtls]` of either server says of its listener.
#[derive(Clone, Copy, Debug)]
pub struct MtlsSection<'a> {
    /// Addresses on which clients are asked for certificates. May be empty.
    pub listen: &'a [SocketAddr],
    /// The server as it is reached there.
    pub url: Option<&'a Url>,
    /// The certificate of these addresses; that of `tls` when absent.
    pub certificate: Option<&'a Path>,
    /// Its private key.
    pub key: Option<&'a Path>,
}

impl<'a> MtlsSection<'a> {
    /// Whether anybody's certificate could be seen, here or by a proxy.
    #[must_use]
    pub fn is_on(&self, proxies: &Proxies) -> bool {
        !self.listen.is_empty() || proxies.client_certificates
    }

    /// The listener, if there is one, its handshakes and files treated as those of `tls`.
    #[must_use]
    pub fn settings(&self, tls: &'a TlsSettings) -> Option<MtlsSettings<'a>> {
        let own = self.certificate.zip(self.key);
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

    /// What contradicts itself, or what is said elsewhere. The server is known to everyone by `public`, which the key of that name sets.
    #[must_use]
    pub fn mistakes(
        &self,
        (name, public): (&str, &Url),
        tls: &TlsSettings,
        proxies: &Proxies,
    ) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut say = |key: &str, reason: &str| mistakes.push(Mistake::together(key, reason));
        if self.certificate.is_some() != self.key.is_some() {
            say(
                "mtls.certificate",
                "it and mtls.key belong together; name both files, or neither",
            );
        }
        let listens = !self.listen.is_empty();
        if listens && self.url.is_none() {
            say(
                "mtls.listen",
                "it is set but mtls.url is not; say at which https URL clients reach these addresses",
            );
        }
        if listens && self.certificate.is_none() && !tls.is_on() {
            say(
                "mtls.listen",
                "it is set but there is no certificate for it; name mtls.certificate and mtls.key, or tls.certificate and tls.key",
            );
        }
        if !listens && (self.certificate.is_some() || self.key.is_some()) {
            say(
                "mtls.certificate",
                "it and mtls.key are for mtls.listen; set it, or take them out",
            );
        }
        let Some(url) = self.url else {
            return mistakes;
        };
        if !self.is_on(proxies) {
            say(
                "mtls.url",
                "it is of no use where no client certificate is seen; set mtls.listen, or proxies.client_certificates, or take it out",
            );
        }
        if url.scheme() != "https" {
            say(
                "mtls.url",
                "certificates are shown over https; use an https URL",
            );
        }
        let [there, here] = [url, public].map(|url| url.path().trim_end_matches('/'));
        if there != here {
            say(
                "mtls.url",
                &format!("its path is not that of {name}; only scheme, host and port may differ"),
            );
        }
        mistakes
    }
}
