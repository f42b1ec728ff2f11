//! A certificate and its key, from two PEM files.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};
use shared_protocol::time::Instant;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The largest file that is read.
const LARGEST: u64 = 1024 * 1024;

/// SHA-256 of both files.
pub(super) type Digest = [u8; 32];

/// Why a certificate and its key cannot be used. Each message names the setting and the mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting}: {} cannot be read ({source}); name a PEM file that this program may read", .path.display())]
    Unreadable {
        /// The setting that names it.
        setting: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is far larger than what it should hold.
    #[error("{setting}: {} is larger than 1 MiB; name a PEM file", .path.display())]
    TooLarge {
        /// The setting that names it.
        setting: String,
        /// The file.
        path: PathBuf,
    },
    /// There is no certificate in the file.
    #[error("{}.certificate: {} holds no certificate; name a PEM file with the certificate first, then those between it and the root", .0, .1.display())]
    NoCertificate(&'static str, PathBuf),
    /// There is no key in the file.
    #[error("{}.key: {} holds no private key; name a PEM file with the key that the certificate was issued for, not encrypted", .0, .1.display())]
    NoKey(&'static str, PathBuf),
    /// Key and certificate are not a pair, or of a kind that is not spoken.
    #[error(
        "{0}.key and {0}.certificate do not belong together or cannot be used ({1}); name the key that the first certificate of the file was issued for"
    )]
    NoPair(&'static str, #[source] rustls::Error),
    /// Clients would refuse it.
    #[error("{}.certificate: {} expired; renew it", .0, .1.display())]
    Expired(&'static str, PathBuf),
    /// Clients would refuse it.
    #[error("{}.certificate: {} is not valid yet; use it later, or set this machine's clock", .0, .1.display())]
    NotYet(&'static str, PathBuf),
    /// The provider speaks neither TLS 1.2 nor 1.3.
    #[error("TLS cannot be spoken")]
    Protocol(#[source] rustls::Error),
}

/// Where both are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The section of the configuration that names them.
    pub(super) section: &'static str,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What the files hold.
pub(super) struct Pem {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// A certificate and its key that can be used now.
pub(super) struct Pair {
    pub(super) certified: CertifiedKey,
    /// In seconds since 1970.
    pub(super) not_after: i64,
}

impl Files {
    fn setting(&self, key: &str) -> String {
        format!("{}.{key}", self.section)
    }

    /// Blocks.
    pub(super) fn read(&self) -> Result<Pem, TlsError> {
        Ok(Pem {
            certificate: read_pem(&self.setting("certificate"), &self.certificate)?,
            key: Zeroizing::new(read_pem(&self.setting("key"), &self.key)?),
        })
    }
}

/// The bytes of a file that should hold PEM.
pub(crate) fn read_pem(setting: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        setting: setting.to_owned(),
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(TlsError::TooLarge {
            setting: setting.to_owned(),
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

impl Pem {
    pub(super) fn digest(&self) -> Digest {
        let certificate = Sha256::digest(&self.certificate);
        let key = Sha256::digest(&*self.key);
        Sha256::new()
            .chain_update(certificate)
            .chain_update(key)
            .finalize()
            .into()
    }

    /// The pair, if both belong together and the certificate is valid `now`.
    pub(super) fn pair(&self, files: &Files, now: Instant) -> Result<Pair, TlsError> {
        let no_certificate = || TlsError::NoCertificate(files.section, files.certificate.clone());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| no_certificate())?;
        let leaf = chain.first().ok_or_else(no_certificate)?;
        let leaf = Certificate::from_der(leaf).map_err(|_| no_certificate())?;
        let validity = leaf.tbs_certificate.validity;
        let seconds =
            |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs());
        let not_after = seconds(validity.not_after).unwrap_or(i64::MAX);
        if not_after < now.as_secs() {
            return Err(TlsError::Expired(files.section, files.certificate.clone()));
        }
        if seconds(validity.not_before).unwrap_or(i64::MAX) > now.as_secs() {
            return Err(TlsError::NotYet(files.section, files.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| TlsError::NoKey(files.section, files.key.clone()))?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|why| TlsError::NoPair(files.section, why))?;
        Ok(Pair {
            certified,
            not_after,
        })
    }
}

/// The certificate that handshakes present, whatever name they ask for.
pub(super) struct Current(ArcSwap<CertifiedKey>);

impl Current {
    pub(super) fn new(certified: CertifiedKey) -> Self {
        Self(ArcSwap::from_pointee(certified))
    }

    /// For handshakes to come; connections that stand keep theirs.
    pub(super) fn replace(&self, certified: CertifiedKey) {
        self.0.store(Arc::new(certified));
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}
