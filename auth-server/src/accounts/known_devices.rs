//! Browsers in which a person signed in before. While strangers guess at an account, its owner signs in from one of them: what fails
//! elsewhere does not count against a known device, and what fails on it counts against it alone.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;

use super::{AccountId, Proven};
use crate::keys::root_secret::{MacKey, RootSecret};

/// Letters and digits that name a device; 131 bits, so that none can be met by chance.
const NAME_LENGTH: usize = 22;
/// Bytes of a cookie that are looked at; one of ours has about half.
const LONGEST: usize = 160;

/// Makes and reads the cookies of known devices.
pub struct KnownDevices {
    key: MacKey,
    lifetime: Duration,
}

/// A device on which this account signed in before, in the same epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device<'a>(&'a str);

impl Device<'_> {
    /// Its name, which is in the cookie.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0
    }
}

impl KnownDevices {
    /// Cookies under the secret of this server, for so long.
    #[must_use]
    pub fn new(secret: &RootSecret, lifetime: Duration) -> Arc<Self> {
        Arc::new(Self {
            key: secret.mac_key("known device"),
            lifetime,
        })
    }

    /// How long a cookie is good for; also its `Max-Age`.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A cookie for the browser in which this account signed in just now. It says nothing about the account, and is good for no other,
    /// nor in another epoch: whoever learnt a password may have signed in with it, and a new one ends what they have of that.
    ///
    /// A browser that `presented` a good one keeps its name, and with it its counters.
    #[must_use]
    pub fn issue(
        &self,
        proven: &Proven,
        presented: Option<&str>,
        now: Instant,
        random: &dyn Random,
    ) -> String {
        let (account, epoch) = (&proven.account_id, proven.epoch);
        let known = presented.and_then(|cookie| self.read(cookie, account, epoch, now));
        let name = known.map_or_else(
            || random::alphanumeric(NAME_LENGTH, random),
            |device| device.name().to_owned(),
        );
        let expires_at = (now + self.lifetime).as_secs().to_string();
        let epoch = epoch.to_be_bytes();
        let tag = self.key.tag(&parts(account, &epoch, &name, &expires_at));
        format!("{name}.{expires_at}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The device of this cookie, if it is one on which this account signed in during this epoch of it.
    #[must_use]
    pub fn read<'a>(
        &self,
        cookie: &'a str,
        account: &AccountId,
        epoch: i64,
        now: Instant,
    ) -> Option<Device<'a>> {
        if cookie.len() > LONGEST {
            return None;
        }
        let (name, rest) = cookie.split_once('.')?;
        let (expires_at, tag) = rest.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        let epoch = epoch.to_be_bytes();
        let authentic = self
            .key
            .verify(&parts(account, &epoch, name, expires_at), &tag);
        let live = now < Instant::from_secs(expires_at.parse().ok()?);
        (authentic && live).then_some(Device(name))
    }
}

fn parts<'a>(
    account: &'a AccountId,
    epoch: &'a [u8; 8],
    name: &'a str,
    expires_at: &'a str,
) -> [&'a [u8]; 4] {
    [
        account.as_str().as_bytes(),
        epoch,
        name.as_bytes(),
        expires_at.as_bytes(),
    ]
}
