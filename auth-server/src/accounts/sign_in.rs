//! Signing in by address and password: the one use case behind the page (and later the API).
//!
//! Whether an account exists must not be told by the answer or by the work (threat 24). So every attempt reads the account and the lock
//! in one go, is counted under what was typed, and hashes once, if only against a decoy.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::db::DbError;
use shared_server::ephemeral::{Ephemeral, EphemeralError};

use super::email::EmailAddress;
use super::known_devices::KnownDevices;
use super::password::Password;
use super::password::hasher::HashError;
use super::throttle::{Admission, Counted, Forgiving, Rule, Subject, Throttle};
use super::{AccountId, Accounts, Proven};
use crate::sessions::BeginError;
use crate::store::accounts::{self, AccountRow};
use crate::store::sign_in_locks;

/// What somebody typed, and from where.
pub struct Attempt<'a> {
    /// The address, as typed.
    pub email: &'a str,
    /// The password, as typed.
    pub password: &'a SecretString,
    /// Where the request came from.
    pub address: IpAddr,
    /// The cookie of a known device, as presented.
    pub device: Option<&'a str>,
}

/// Why nobody was signed in. A known and an unknown address are refused alike.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefusal {
    /// No such account, a wrong password, or an account that may not sign in.
    #[error("the address or the password is wrong")]
    Credentials(#[source] Unproven),
    /// Too many failures, for this address, this account, or both.
    #[error("too many failed attempts")]
    TooMany {
        /// How long to wait.
        wait: Duration,
        /// What holds them back.
        #[source]
        held: Held,
    },
    /// More people sign in than there are cores to hash for.
    #[error("too many people sign in at once")]
    Busy,
    /// The password could not be hashed: no memory is left.
    #[error("the password could not be hashed")]
    Hash,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The ephemeral store did not answer.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
}

/// What was wrong, for the operator alone (threat 24).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unproven {
    /// No account has this address.
    #[error("no account has this address")]
    NoAccount,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The account has no password.
    #[error("the account has no password")]
    NoPassword,
    /// The password is wrong.
    #[error("this is not the password of the account")]
    Password,
    /// Right a moment ago, and the account has changed since.
    #[error("the account was disabled in this very moment, or its password changed")]
    Changed,
}

/// What holds an attempt back, for the operator alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Held {
    /// Too many failures locked the account.
    #[error(
        "the account is locked, or would be if there were one: too many failures (sign_in.failures_before_lock)"
    )]
    Locked,
    /// Failures of the account, or of a known device.
    #[error("the next attempt for this account has to wait (sign_in.failures_before_wait)")]
    Account,
    /// Failures of the network address.
    #[error(
        "the next attempt from this network has to wait (sign_in.address_failures_before_wait)"
    )]
    Network,
}

impl From<HashError> for SignInRefusal {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Failed => Self::Hash,
        }
    }
}

impl From<BeginError> for SignInRefusal {
    fn from(error: BeginError) -> Self {
        match error {
            // What was right a moment ago is not any more.
            BeginError::AccountChanged => Self::Credentials(Unproven::Changed),
            BeginError::Store(error) => Self::Store(error),
        }
    }
}

/// How many failures are suffered.
#[derive(Clone, Copy, Debug)]
pub struct SignInLimits {
    /// Failures of one account, or one known device, after which the next attempt has to wait.
    pub failures_before_wait: u32,
    /// The same of one network address, which many people may share. Zero: addresses are not counted.
    pub address_failures_before_wait: u32,
    /// How long the first wait is. Each further failure doubles it.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// Failures after which the account is locked for strangers.
    pub failures_before_lock: u32,
    /// How long a lock lasts.
    pub lock: Duration,
    /// How long a failure counts.
    pub window: Duration,
}

/// Signs people in.
pub struct SignIn {
    /// The people.
    pub accounts: Accounts,
    /// What counts.
    pub ephemeral: Ephemeral,
    /// The devices that have counters of their own.
    pub devices: Arc<KnownDevices>,
    /// How many failures are suffered.
    pub limits: SignInLimits,
    /// For the salts of passwords that are hashed anew.
    pub random: Arc<dyn Random>,
}

/// Who an attempt is counted against.
struct Counters<'a> {
    /// The device, if it is known to the account; else what was typed.
    identity: Throttle<'a>,
    /// A known device is not held back by what its neighbours do, and nobody is where addresses tell nothing.
    network: Option<Throttle<'a>>,
}

impl SignIn {
    /// Judges an attempt.
    ///
    /// # Errors
    /// [`SignInRefusal`].
    pub async fn attempt(
        &self,
        attempt: &Attempt<'_>,
        now: Instant,
    ) -> Result<Proven, SignInRefusal> {
        // Before anything is counted: a full queue is nobody's failure.
        let place = self.accounts.hasher.place()?;
        let email = attempt.email.parse::<EmailAddress>().ok();
        // What is no address is looked up all the same, by what no account has.
        let normal = email.as_ref().map_or("", EmailAddress::normal);
        let identifier =
            Subject::identifier(email.as_ref().map_or(attempt.email.trim(), |_| normal));
        let mut conn = self.accounts.store.read().await?;
        let row = accounts::find_by_email_normal(&mut conn, normal).await?;
        let id: Option<AccountId> = row.as_ref().and_then(|row| row.id.parse().ok());
        let account = id.as_ref().zip(row.as_ref().map(|row| row.epoch));
        let counters = self.counters(attempt, account, identifier, now);
        let locked = counters.identity.subject.digest();
        let locked_until = sign_in_locks::locked_until(&mut conn, locked, now).await?;
        // Nothing is held while others hash.
        drop(conn);
        if let Some(until) = locked_until {
            let wait = until.since(now);
            let held = Held::Locked;
            return Err(SignInRefusal::TooMany { wait, held });
        }
        let counted = counters.admit(now).await?;

        let password = Password::typed(attempt.password);
        let is_known = row.is_some();
        let usable = row.filter(|row| row.disabled_at.is_none());
        let hash = usable.as_ref().and_then(|row| row.password_hash.as_deref());
        let why = match (is_known, &usable, hash) {
            (false, ..) => Unproven::NoAccount,
            (true, None, _) => Unproven::Disabled,
            (true, Some(_), None) => Unproven::NoPassword,
            (true, Some(_), Some(_)) => Unproven::Password,
        };
        let proven = place.verify(&password, hash).await?;
        if let (true, Some(row), Some(id)) = (proven, usable, id) {
            counters.forgive(&counted, now).await?;
            self.rehash(&row, &password).await?;
            return Ok(Proven {
                account_id: id,
                epoch: row.epoch,
            });
        }
        self.lock_after(&counters, &counted, now).await?;
        Err(SignInRefusal::Credentials(why))
    }

    fn counters(
        &self,
        attempt: &Attempt<'_>,
        account: Option<(&AccountId, i64)>,
        identifier: Subject,
        now: Instant,
    ) -> Counters<'_> {
        let throttle = |subject, free: u32| Throttle {
            ephemeral: &self.ephemeral,
            subject,
            rule: Rule {
                free: free.into(),
                first_wait: self.limits.first_wait,
                longest_wait: self.limits.longest_wait,
                window: self.limits.window,
            },
        };
        let device = attempt
            .device
            .zip(account)
            .and_then(|(cookie, (id, epoch))| self.devices.read(cookie, id, epoch, now));
        let free = self.limits.failures_before_wait;
        let of_network = self.limits.address_failures_before_wait;
        match device {
            Some(device) => Counters {
                identity: throttle(Subject::device(device.name()), free),
                network: None,
            },
            None => Counters {
                identity: throttle(identifier, free),
                network: (of_network != 0)
                    .then(|| throttle(Subject::network(attempt.address), of_network)),
            },
        }
    }

    /// After too many failures the account (or the device) has to rest, whether there is such an account or not.
    async fn lock_after(
        &self,
        counters: &Counters<'_>,
        counted: &Admitted,
        now: Instant,
    ) -> Result<(), DbError> {
        if counted.identity.count < self.limits.failures_before_lock.into() {
            return Ok(());
        }
        let digest = counters.identity.subject.digest();
        let until = now + self.limits.lock;
        let mut conn = self.accounts.store.write().await?;
        sign_in_locks::lock(&mut conn, digest, until).await
    }

    /// Hashes a password anew whose hash has other parameters than new ones. When too many wait, another time will do.
    async fn rehash(&self, row: &AccountRow, password: &Password) -> Result<(), SignInRefusal> {
        let hasher = &self.accounts.hasher;
        let before = row.password_hash.as_deref().unwrap_or_default();
        if !hasher.is_outdated(before) {
            return Ok(());
        }
        let Ok(place) = hasher.place() else {
            return Ok(());
        };
        let after = place.hash(password, &*self.random).await?;
        let mut conn = self.accounts.store.write().await?;
        accounts::update_hash(&mut conn, &row.id, before, &after).await?;
        Ok(())
    }
}

/// What was counted against whom.
struct Admitted {
    identity: Counted,
    network: Option<Counted>,
}

impl Counters<'_> {
    /// Counts the attempt, unless somebody has to wait.
    async fn admit(&self, now: Instant) -> Result<Admitted, SignInRefusal> {
        let mut wait = self.identity.waiting(now).await?;
        let mut held = Held::Account;
        if let Some(network) = &self.network {
            // The longer of the two, so that whoever waits for it has waited for both.
            let longer = network.waiting(now).await?;
            if longer > wait {
                (wait, held) = (longer, Held::Network);
            }
        }
        if let Some(wait) = wait {
            return Err(SignInRefusal::TooMany { wait, held });
        }
        let counted = async |throttle: &Throttle<'_>, held| match throttle.admit(now).await? {
            Admission::Admitted(counted) => Ok(counted),
            Admission::Wait(wait) => Err(SignInRefusal::TooMany { wait, held }),
        };
        // The network first: what it refuses must not count against the account.
        let network = match &self.network {
            Some(network) => Some(counted(network, Held::Network).await?),
            None => None,
        };
        let identity = counted(&self.identity, Held::Account).await?;
        Ok(Admitted { identity, network })
    }

    async fn forgive(&self, counted: &Admitted, now: Instant) -> Result<(), EphemeralError> {
        self.identity
            .forgive(counted.identity, Forgiving::All, now)
            .await?;
        if let (Some(network), Some(counted)) = (&self.network, counted.network) {
            network.forgive(counted, Forgiving::This, now).await?;
        }
        Ok(())
    }
}
