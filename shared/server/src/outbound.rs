//! What a server may fetch: the section of a configuration behind its one [`Fetcher`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use shared_protocol::outbound::{FetchError, Fetcher, FetcherSettings, Origin};

use crate::config::Mistake;
use crate::web::{Network, TlsError, read_pem};

/// The longest that a request of ours may take: others wait for it.
const LONGEST: Duration = Duration::from_secs(10);
/// The shortest in which anybody answers.
const SHORTEST: Duration = Duration::from_millis(100);
/// What a body may be bounded by.
const BODY: std::ops::RangeInclusive<usize> = 4 * 1024..=4 * 1024 * 1024;

/// What a server may fetch. A section of the configuration: the default allows public https servers and nothing else.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundSettings {
    /// Servers that may be fetched from although their address is private. Default none.
    pub origins: Vec<Origin>,
    /// Private networks that may be reached, whoever names the URL. Default none.
    pub networks: Vec<Network>,
    /// Whether plain http may be spoken to this machine, whoever names the URL. Default no.
    pub loopback_http: bool,
    /// Whether production may have `networks`, `loopback_http` and http `origins`. Default no.
    pub allow_private_in_production: bool,
    /// A PEM file with certificates that are trusted beside the public ones. Default none.
    pub ca: Option<PathBuf>,
    /// How long an exchange may take, from resolution to the last byte. Default 5 s.
    #[serde(with = "crate::config::period")]
    pub timeout: Duration,
    /// Bytes of a body that is taken; what is fetched may set itself less. Default 256 KiB.
    pub body: usize,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            networks: Vec::new(),
            loopback_http: false,
            allow_private_in_production: false,
            ca: None,
            timeout: Duration::from_secs(5),
            body: 256 * 1024,
        }
    }
}

/// Why nothing can be fetched.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] TlsError),
    /// The file holds no certificate.
    #[error(
        "outbound.ca: {} holds no certificate, or one that cannot be read; name a PEM file with the certificates of your CAs", .0.display()
    )]
    NoCertificate(PathBuf),
    /// The client cannot be made.
    #[error("outbound: {0}")]
    Fetcher(#[from] FetchError),
}

impl OutboundSettings {
    /// What contradicts itself, or must not be in production.
    #[must_use]
    pub fn mistakes(&self, production: bool) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut say = |key: &str, reason: &str| {
            mistakes.push(Mistake::together(format!("outbound.{key}"), reason));
        };
        if !(SHORTEST..=LONGEST).contains(&self.timeout) {
            say(
                "timeout",
                "between \"100ms\" and \"10s\": others wait for it",
            );
        }
        if !BODY.contains(&self.body) {
            say("body", "between 4096 and 4194304 bytes");
        }
        if production && !self.allow_private_in_production {
            let unspoken = "strangers could make this server reach what is not public; take it out, or say outbound.allow_private_in_production = true";
            if !self.networks.is_empty() {
                say("networks", unspoken);
            }
            if self.loopback_http {
                say("loopback_http", unspoken);
            }
            if self.origins.iter().any(|origin| !origin.is_https()) {
                say("origins", unspoken);
            }
        }
        mistakes
    }

    /// The fetcher that may do so much, and reach `named` besides: servers that another section names.
    ///
    /// # Errors
    /// [`OutboundError`] says what to mend.
    pub fn fetcher(
        &self,
        named: impl IntoIterator<Item = Origin>,
        user_agent: &str,
    ) -> Result<Fetcher, OutboundError> {
        let extra_roots = self.ca.as_deref().map(certificates).transpose()?;
        Ok(Fetcher::new(FetcherSettings {
            allowed: named.into_iter().chain(self.origins.clone()).collect(),
            networks: self.networks.iter().map(Network::net).collect(),
            loopback_http: self.loopback_http,
            timeout: self.timeout,
            max_body: self.body,
            user_agent: user_agent.to_owned(),
            extra_roots: extra_roots.unwrap_or_default(),
            ..FetcherSettings::default()
        })?)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    let pem = read_pem("outbound.ca", path)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(OutboundError::NoCertificate(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(settings: &OutboundSettings, production: bool) -> Vec<String> {
        let mistakes = settings.mistakes(production).into_iter();
        mistakes.map(|mistake| mistake.key).collect()
    }

    #[test]
    fn production_reaches_private_addresses_by_an_explicit_word_alone() {
        let private = OutboundSettings {
            origins: vec!["http://localhost:8000".parse().unwrap()],
            networks: vec!["10.1.0.0/16".parse().unwrap()],
            loopback_http: true,
            ..OutboundSettings::default()
        };
        let spoken = OutboundSettings {
            allow_private_in_production: true,
            ..private.clone()
        };
        let named = OutboundSettings {
            origins: vec!["https://keys.intranet.example".parse().unwrap()],
            ..OutboundSettings::default()
        };
        let all = [
            "outbound.networks",
            "outbound.loopback_http",
            "outbound.origins",
        ];
        for (what, settings, production, expected) in [
            ("the default", &OutboundSettings::default(), true, &[][..]),
            ("private ones", &private, true, &all),
            ("the same in development", &private, false, &[]),
            ("the same with the word", &spoken, true, &[]),
            ("an https server that is named", &named, true, &[]),
        ] {
            assert_eq!(wrong(settings, production), expected, "{what}");
        }
    }

    #[test]
    fn bounds_have_bounds() {
        let with = |timeout, body| OutboundSettings {
            timeout: Duration::from_millis(timeout),
            body,
            ..OutboundSettings::default()
        };
        for (settings, expected) in [
            (with(100, 4096), &[][..]),
            (with(99, 4096), &["outbound.timeout"]),
            (with(10_001, 4096), &["outbound.timeout"]),
            (with(100, 4095), &["outbound.body"]),
            (with(100, 4 * 1024 * 1024 + 1), &["outbound.body"]),
        ] {
            assert_eq!(wrong(&settings, false), expected, "{settings:?}");
        }
    }

    #[test]
    fn a_file_without_certificates_stops_the_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, what) in [
            ("", "nothing"),
            ("hello", "something else"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "no certificate",
            ),
        ] {
            std::fs::write(file.path(), content).unwrap();
            let settings = OutboundSettings {
                ca: Some(file.path().to_owned()),
                ..OutboundSettings::default()
            };
            let error = settings.fetcher([], "test").unwrap_err().to_string();
            assert!(error.contains("outbound"), "{what}: {error}");
        }
        let absent = OutboundSettings {
            ca: Some("/nowhere/ca.pem".into()),
            ..OutboundSettings::default()
        };
        let error = absent.fetcher([], "test").unwrap_err().to_string();
        assert!(error.starts_with("outbound.ca: /nowhere/ca.pem"), "{error}");
    }
}
