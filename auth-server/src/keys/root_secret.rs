//! One secret of this server, shared by its nodes and kept sealed, from which a key for each purpose is derived. Who has the
//! database alone, or the key-encryption key alone, can make nothing that these keys vouch for.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError, Store};
use zeroize::Zeroizing;

use super::encryption::{KeyEncryption, Label, OpenError};
use crate::store::server_secrets;

const NAME: &str = "root";
const LENGTH: usize = 32;

/// Why there is no root secret.
#[derive(Debug, thiserror::Error)]
pub enum RootSecretError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// It does not open.
    #[error("the root secret of this server does not open")]
    Sealed(#[from] OpenError),
    /// It is not there although it was just made.
    #[error("the root secret of this server was removed while it was made")]
    Gone,
}

/// The secret from which keys are derived (RFC 5869).
pub struct RootSecret(Prk);

/// What the root secret is sealed for.
const fn label() -> Label<'static> {
    Label {
        purpose: "server secret",
        parts: [NAME, ""],
    }
}

/// Encrypts the root secret under the current key-encryption key, if there is one under another; how many that were.
pub(super) async fn rewrap(
    conn: &mut Conn,
    encryption: &KeyEncryption,
    random: &dyn Random,
) -> Result<usize, RootSecretError> {
    let current = encryption.current().as_str();
    let found = server_secrets::find(conn, NAME).await?;
    let Some((before, kek_id)) = found.filter(|(_, kek_id)| kek_id != current) else {
        return Ok(0);
    };
    let secret = encryption.open(label(), &kek_id, &before)?;
    let sealed = encryption.seal(label(), &secret, random);
    let kek_id = sealed.kek_id.as_str();
    let resealed = server_secrets::reseal(conn, NAME, &before, kek_id, &sealed.bytes).await?;
    Ok(usize::from(resealed))
}

impl RootSecret {
    /// Reads it, or makes it at the first start. Of several nodes that start at once, one makes it and all use it.
    ///
    /// # Errors
    /// [`RootSecretError`].
    pub async fn open(
        store: &Store,
        encryption: &KeyEncryption,
        now: Instant,
        random: &dyn Random,
    ) -> Result<Self, RootSecretError> {
        let found = server_secrets::find(&mut store.read().await?, NAME).await?;
        let (sealed, kek_id) = if let Some(found) = found {
            found
        } else {
            let made = Zeroizing::new(random::bytes::<LENGTH>(random));
            let sealed = encryption.seal(label(), &*made, random);
            let mut conn = store.write().await?;
            let kek_id = sealed.kek_id.as_str();
            server_secrets::insert_first(&mut conn, NAME, &sealed.bytes, kek_id, now).await?;
            server_secrets::find(&mut conn, NAME)
                .await?
                .ok_or(RootSecretError::Gone)?
        };
        let secret = encryption.open(label(), &kek_id, &sealed)?;
        Ok(Self(
            Salt::new(HKDF_SHA256, b"auth-server").extract(&secret),
        ))
    }

    /// The key for message authentication for one purpose. Purposes never share one.
    #[must_use]
    pub fn mac_key(&self, purpose: &'static str) -> MacKey {
        MacKey(hmac::Key::new(hmac::HMAC_SHA256, &*self.key(purpose)))
    }

    /// The key for one purpose, for whoever has a use of its own for it.
    ///
    /// # Panics
    /// Never: HKDF refuses nothing but outputs past 8,160 bytes.
    #[must_use]
    pub fn key(&self, purpose: &'static str) -> Zeroizing<[u8; LENGTH]> {
        let mut key = Zeroizing::new([0; LENGTH]);
        self.0
            .expand(&[purpose.as_bytes()], Length)
            .and_then(|okm| okm.fill(&mut *key))
            .expect("HKDF refuses nothing but outputs past 8,160 bytes");
        key
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        LENGTH
    }
}

/// A key for message authentication (HMAC-SHA-256).
pub struct MacKey(hmac::Key);

#[cfg(test)]
impl MacKey {
    /// One that everybody knows.
    pub(crate) fn of_test() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &[7; LENGTH]))
    }
}

impl MacKey {
    /// The tag of these parts, each after its length, so that no two lists give the same bytes.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Whether `tag` is the tag of these parts, in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.tag(parts).as_slice().ct_eq(tag).into()
    }
}
