//! The authorities whose word we take for whom a client's certificate names: a PEM file, read again when it changes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest as _, Sha256};
use shared_protocol::time::Instant;
use shared_server::web::ClientCertificate;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval_at};

/// The largest file that is read.
const LARGEST: u64 = 1024 * 1024;

/// Why there are no authorities. Each message names the setting and the mend.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file cannot be read.
    #[error("mtls.client_ca: {} cannot be read ({}); name a PEM file that this program may read", .0.display(), .1)]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file is far larger than what it should hold.
    #[error("mtls.client_ca: {} is larger than 1 MiB; name a PEM file of the authorities alone", .0.display())]
    TooLarge(PathBuf),
    /// There is no certificate in the file.
    #[error("mtls.client_ca: {} holds no certificate; name a PEM file with those of the authorities", .0.display())]
    None(PathBuf),
    /// One of them is no authority's.
    #[error("mtls.client_ca: {} holds what is no authority's certificate ({}); take it out", .0.display(), .1)]
    Unusable(PathBuf, #[source] rustls::Error),
}

/// The authorities that are trusted now.
pub(super) struct Trusted {
    verifier: Arc<dyn ClientCertVerifier>,
    digest: [u8; 32],
}

impl Trusted {
    /// What tells them from others.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether they vouch for a certificate (RFC 5280 §6): signatures up to one of them, dates, path lengths, names, and that it is for
    /// clients (`id-kp-clientAuth`, where it says what it is for).
    pub(super) fn vouch(
        &self,
        presented: &ClientCertificate,
        now: Instant,
    ) -> Result<(), rustls::Error> {
        let seconds = u64::try_from(now.as_secs()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.verifier
            .verify_client_cert(presented.leaf(), presented.between(), now)
            .map(drop)
    }
}

/// Trusted authorities, and the file that names them.
pub struct Authorities {
    file: PathBuf,
    trusted: ArcSwap<Trusted>,
    /// The digest of what was complained of last.
    refused: Mutex<Option<[u8; 32]>>,
}

impl Authorities {
    /// Reads the file. Blocks on the disk.
    ///
    /// # Errors
    /// [`AuthoritiesError`].
    pub fn open(file: &Path) -> Result<Self, AuthoritiesError> {
        let pem = read(file)?;
        Ok(Self {
            trusted: ArcSwap::from_pointee(trusted(file, &pem)?),
            file: file.to_owned(),
            refused: Mutex::default(),
        })
    }

    pub(super) fn trusted(&self) -> Arc<Trusted> {
        self.trusted.load_full()
    }

    /// Looks at the file again and again, until dropped.
    pub async fn follow_file(&self, every: Duration) {
        // It has just been read.
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Takes what the file holds, if that changed and can be used; complains once of what cannot.
    pub async fn look(&self) {
        // Before the file is read: of two looks, the later one must not come first.
        let mut refused = self.refused.lock().await;
        let file = self.file.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || read(&file)).await else {
            return;
        };
        let (digest, outcome) = match read {
            Ok(pem) => {
                let digest = digest(&pem);
                if digest == self.trusted.load().digest {
                    *refused = None;
                    return;
                }
                (digest, trusted(&self.file, &pem))
            }
            Err(error) => ([0; 32], Err(error)),
        };
        match outcome {
            Ok(trusted) => {
                self.trusted.store(Arc::new(trusted));
                *refused = None;
                tracing::info!("other authorities are trusted with clients' certificates");
            }
            Err(error) => {
                if *refused != Some(digest) {
                    *refused = Some(digest);
                    tracing::warn!(%error, "the authorities in use stay");
                }
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, AuthoritiesError> {
    let unreadable = |source| AuthoritiesError::Unreadable(file.to_owned(), source);
    let mut pem = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(LARGEST + 1).read_to_end(&mut pem))
        .map_err(unreadable)?;
    if u64::try_from(pem.len()).is_ok_and(|length| length > LARGEST) {
        return Err(AuthoritiesError::TooLarge(file.to_owned()));
    }
    Ok(pem)
}

fn digest(pem: &[u8]) -> [u8; 32] {
    Sha256::digest(pem).into()
}

fn trusted(file: &Path, pem: &[u8]) -> Result<Trusted, AuthoritiesError> {
    let none = || AuthoritiesError::None(file.to_owned());
    let unusable = |why| AuthoritiesError::Unusable(file.to_owned(), why);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.map_err(|_| none())?)
            .map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(none());
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(rustls::Error::General(error.to_string())))?;
    Ok(Trusted {
        verifier,
        digest: digest(pem),
    })
}
