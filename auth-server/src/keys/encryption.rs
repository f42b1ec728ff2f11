//! Encryption of what the database keeps but must not know: AES-256-GCM under key-encryption keys that it never sees.
//!
//! A sealed text is the nonce (96 bits, random), the ciphertext and the tag. With random nonces one key is good for 2³²
//! sealings (NIST SP 800-38D §8.3), far past what signing keys and client secrets come to.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use shared_protocol::random::{self, Random};
use zeroize::Zeroizing;

mod file;

const KEY_LEN: usize = 32;
/// As `openssl rand -base64 32` prints it, or without the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The name of a key-encryption key: 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct KekId(Box<str>);

impl KekId {
    /// `None` when it is no such name.
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        ((1..=64).contains(&raw.len()) && raw.bytes().all(allowed)).then(|| Self(raw.into()))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is nothing to encrypt with. No text holds any part of a key.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKek {
    /// None was given.
    #[error("there is no key-encryption key")]
    None,
    /// The name cannot be one. It is not told, for it may be a key that was put in the wrong place.
    #[error(
        "the id of a key-encryption key is 1 to 64 letters, digits, dots, underscores or hyphens"
    )]
    Id,
    /// The name came twice.
    #[error("the key-encryption key `{0}` is there twice")]
    Duplicate(KekId),
    /// The key is no 32 bytes.
    #[error(
        "the key-encryption key `{0}` is not 32 bytes in base64; `openssl rand -base64 32` makes one"
    )]
    Key(KekId),
    /// The file cannot be read or made.
    #[error("the file of key-encryption keys {0}: {1}")]
    File(String, #[source] std::io::Error),
    /// Others than its owner may read or write the file.
    #[error(
        "the file of key-encryption keys {0} is open to others; run `chmod 600` on it, or make new keys"
    )]
    Open(String),
    /// A line of the file is no id and key.
    #[error("the file of key-encryption keys {0} must hold lines of an id, a space and a key")]
    Line(String),
}

/// Why a sealed text stays closed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed under a key that was not given.
    #[error("the key-encryption key `{0}` is missing")]
    Missing(String),
    /// Not what was sealed under this key for this place: the key is another of the same name, or somebody changed it.
    #[error("it was not sealed here under the key-encryption key `{0}`")]
    NotAuthentic(KekId),
}

/// What a text was sealed for; it opens for nothing else. Whoever can write to the database cannot move one elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// The kind of secret.
    pub purpose: &'static str,
    /// Whose it is and what else it must stand beside.
    pub parts: [&'a str; 2],
}

impl Label<'_> {
    /// Each part after its length, so that no two labels give the same bytes.
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [self.purpose].into_iter().chain(self.parts) {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

/// A text that was encrypted, and under which key.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The key that opens it.
    pub kek_id: KekId,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// Key-encryption keys by id. The first is the current one; the others only open what they sealed. Clones share them.
#[derive(Clone)]
pub struct KeyEncryption(Arc<Keks>);

struct Keks {
    current: Kek,
    earlier: Vec<Kek>,
}

struct Kek {
    id: KekId,
    key: LessSafeKey,
}

impl KeyEncryption {
    /// Takes ids with their keys, 32 bytes in base64 each. The first seals.
    ///
    /// # Errors
    /// [`InvalidKek`] if there is none, or if one has no usable name, a name that came before, or another length.
    pub fn new(keys: Vec<(String, SecretString)>) -> Result<Self, InvalidKek> {
        let mut parsed: Vec<Kek> = Vec::with_capacity(keys.len());
        for (id, key) in keys {
            let id = KekId::new(&id).ok_or(InvalidKek::Id)?;
            if parsed.iter().any(|kek| kek.id == id) {
                return Err(InvalidKek::Duplicate(id));
            }
            let Some(key) = parse_key(key.expose_secret()) else {
                return Err(InvalidKek::Key(id));
            };
            parsed.push(Kek { id, key });
        }
        let mut parsed = parsed.into_iter();
        let current = parsed.next().ok_or(InvalidKek::None)?;
        let earlier = parsed.collect();
        Ok(Self(Arc::new(Keks { current, earlier })))
    }

    /// Takes the keys from a file with a line `ID KEY` for each, and makes it with one new key if it is not there. For
    /// development: beside the database it guards against little. Blocks on the disk.
    ///
    /// # Errors
    /// [`InvalidKek`] if the file cannot be read or made, is open to others than its owner, or holds what
    /// [`KeyEncryption::new`] refuses.
    pub fn from_or_create_file(path: &Path, random: &dyn Random) -> Result<Self, InvalidKek> {
        Self::new(file::read_or_create(path, random)?)
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn current(&self) -> &KekId {
        &self.0.current.id
    }

    /// Encrypts under the current key.
    ///
    /// # Panics
    /// Past 64 GiB of plaintext.
    #[must_use]
    pub fn seal(&self, label: Label<'_>, plaintext: &[u8], random: &dyn Random) -> Sealed {
        let Kek { id, key } = &self.0.current;
        let nonce: [u8; NONCE_LEN] = random::bytes(random);
        // In one piece and never moved, so that no copy of the plaintext stays behind.
        let mut bytes = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
        bytes.extend(nonce);
        bytes.extend(plaintext);
        let (_, text) = bytes.split_at_mut(NONCE_LEN);
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(label.to_bytes()),
                text,
            )
            .expect("AES-GCM refuses nothing but a text past 64 GiB");
        bytes.extend(tag.as_ref());
        Sealed {
            kek_id: id.clone(),
            bytes,
        }
    }

    /// Decrypts what was sealed for `label` under the key `kek_id`.
    ///
    /// # Errors
    /// [`OpenError::Missing`] without that key, [`OpenError::NotAuthentic`] if any bit of text, label or key differs.
    pub fn open(
        &self,
        label: Label<'_>,
        kek_id: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Keks { current, earlier } = &*self.0;
        let kek = std::iter::once(current)
            .chain(earlier)
            .find(|kek| kek.id.as_str() == kek_id)
            .ok_or_else(|| OpenError::Missing(kek_id.to_owned()))?;
        let not_authentic = || OpenError::NotAuthentic(kek.id.clone());
        let (nonce, text) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(not_authentic)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = kek
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(label.to_bytes()),
                &mut text,
            )
            .map_err(|_| not_authentic())?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

fn parse_key(base64: &str) -> Option<LessSafeKey> {
    let bytes = Zeroizing::new(BASE64.decode(base64.trim()).ok()?);
    let bytes: &[u8; KEY_LEN] = bytes.as_slice().try_into().ok()?;
    UnboundKey::new(&AES_256_GCM, bytes)
        .ok()
        .map(LessSafeKey::new)
}

#[cfg(test)]
mod tests;
