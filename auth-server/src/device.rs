//! Devices on which nobody can sign in (RFC 8628): each shows a code, which a person types where they can.
//!
//! All of it is ephemeral: the request of a device under the digest of its device code, that digest under the user code, the session
//! that entered the code, and what was decided. Each step that may happen once is one atomic verb. The device's own use of an approval
//! is as that of an authorization code: taken once, and known for ever by the digest in the row of its grant.

pub mod authorization;
mod guesses;
pub mod qr;
pub mod user_code;
pub mod verification;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;
use shared_server::ephemeral::{Entry, Ephemeral, EphemeralError, Key, Kind, PutNew, Result, Take};
use shared_server::rate_limits::Network;

pub use self::guesses::GuessLimits;
use self::guesses::Typist;
use self::user_code::UserCode;
use crate::authorize::agreement::Agreement;
use crate::codes::{Kept, Taken};
use crate::grants::{GrantId, Terms};
use crate::routes;
use crate::sessions::{Session, SessionId};

/// What a device asks for.
const REQUEST: Kind = Kind::new("device-request");
/// The request that a user code is of.
const USER_CODE: Kind = Kind::new("device-user-code");
/// The session that entered it.
const ENTERED: Kind = Kind::new("device-entered");
/// What was decided.
const DECIDED: Kind = Kind::new("device-decided");
/// That the device asked a moment ago.
const POLLED: Kind = Kind::new("device-polled");
/// How often it asked too soon.
const HASTY: Kind = Kind::new("device-hasty");
/// How many requests one client made.
const OF_CLIENT: Kind = Kind::new("device-requests-of-client");
/// How many came from one network.
const OF_NETWORK: Kind = Kind::new("device-requests-of-network");

/// 43 letters and digits hold 256 bits.
const LENGTH: usize = 43;
/// As many user codes are drawn before there is none that is free.
const DRAWS: u32 = 8;
/// What `slow_down` adds to the interval (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// After so many the interval grows no more.
const MOST_HASTE: u32 = 60;
/// The value and the mark of a request that was denied: no grant is called so.
const DENIED: &[u8] = b"denied";

/// Names the request of a device: the digest of its device code.
#[derive(Clone, Copy)]
pub struct DeviceId([u8; 32]);

impl DeviceId {
    /// The request that this device code is of. In grants it stands beside the digests of authorization codes and is never one.
    #[must_use]
    pub fn of(device_code: &str) -> Self {
        let digest = Sha256::new()
            .chain_update("device_code\0")
            .chain_update(device_code);
        Self(digest.finalize().into())
    }

    /// By which the grant is found later.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.0
    }

    /// Where what was decided is kept.
    #[must_use]
    pub fn decision(&self) -> Key {
        self.key(DECIDED)
    }

    fn key(&self, kind: Kind) -> Key {
        Key::new(kind, self.0)
    }
}

/// What a device asks for, and what a person can know it by.
#[derive(Clone, Deserialize, Serialize)]
pub struct DeviceRequest {
    /// The client that asks.
    pub client_id: ClientId,
    /// For what: only what exists and what the client may ask for.
    pub asked: Agreement,
    /// The code that it shows.
    pub user_code: UserCode,
    /// Where it came from.
    pub address: IpAddr,
    /// What it says it is.
    pub user_agent: Option<String>,
    /// When it came.
    pub began_at: Instant,
    /// Until when it may be answered.
    pub expires_at: Instant,
}

/// What comes of a new request.
pub struct Begun {
    /// For the device alone.
    pub device_code: String,
    /// For the person.
    pub user_code: UserCode,
}

/// Why none began.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Enough of one client, or from one network, wait already.
    #[error("too many devices of one client or network wait")]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// No user code is free.
    #[error("no user code is free")]
    Crowded,
    /// The ephemeral store failed.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
}

/// Why a code was not entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Unknown, expired, entered by another session, or decided: the same to all.
    #[error("the user code is unknown, expired, or used")]
    Unusable,
    /// Too many failures.
    #[error("too many user codes were wrong")]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// The ephemeral store failed.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
}

/// What a device is told (RFC 8628 §3.5).
pub enum Polled {
    /// Nobody has decided.
    Pending,
    /// Nor has anybody, and it asks too often.
    TooSoon,
    /// Somebody let it in, and this is the one time that it is told.
    Approved(Box<Kept<Terms>>),
    /// It was told before, and this grant came of it.
    Before(GrantId),
    /// Somebody said no.
    Denied,
}

/// Where a person comes to with the code in the form (RFC 8628 §3.3.1).
fn verification_uri(issuer: &Issuer, user_code: &UserCode) -> String {
    format!("{}?user_code={user_code}", issuer.endpoint(routes::DEVICE))
}

/// The devices that wait.
#[derive(Clone)]
pub struct Devices {
    /// Where all of it is kept.
    pub ephemeral: Ephemeral,
    /// How long a request may be answered.
    pub lifetime: Duration,
    /// How long a device waits between two polls.
    pub interval: Duration,
    /// How many requests of one client begin in a lifetime.
    pub per_client: u32,
    /// How many of one IPv4 address or IPv6 /64; zero for any number.
    pub per_address: u32,
    /// How many wrong user codes are suffered.
    pub guesses: GuessLimits,
}

impl Devices {
    /// Keeps what a device asks for. The user code of `make` is none that is in use.
    ///
    /// # Errors
    /// [`BeginError`].
    pub async fn begin(
        &self,
        make: impl FnOnce(UserCode) -> DeviceRequest,
        (client_id, address): (&ClientId, IpAddr),
        now: Instant,
        random: &dyn Random,
    ) -> Result<Begun, BeginError> {
        // The network first: what it refuses must not count against the client, of which strangers may know the name.
        let network = Network::from(address);
        self.count(OF_NETWORK, network.as_ref(), self.per_address, now)
            .await?;
        let client = client_id.as_str().as_bytes();
        self.count(OF_CLIENT, client, self.per_client, now).await?;
        let device_code = random::alphanumeric(LENGTH, random);
        let id = DeviceId::of(&device_code);
        let user_code = self.reserve(id, now, random).await?;
        let request = make(user_code.clone());
        // Text, numbers and lists of them always have a JSON form.
        let value = serde_json::to_vec(&request).unwrap_or_default();
        let entry = Entry {
            value: &value,
            mark: &[],
            // Who comes too late is told so (RFC 8628 §3.5), for as long again.
            deadline: request.expires_at + self.lifetime,
        };
        self.ephemeral.put(&id.key(REQUEST), entry, now).await?;
        Ok(Begun {
            device_code,
            user_code,
        })
    }

    async fn count(
        &self,
        kind: Kind,
        id: &[u8],
        most: u32,
        now: Instant,
    ) -> Result<(), BeginError> {
        if most == 0 {
            return Ok(());
        }
        let key = Key::new(kind, id);
        let hits = self.ephemeral.hit(&key, self.lifetime, now).await?;
        if hits.count > most.into() {
            let wait = hits.resets_at.since(now);
            return Err(BeginError::TooMany { wait });
        }
        Ok(())
    }

    /// A user code that nobody else has.
    async fn reserve(
        &self,
        id: DeviceId,
        now: Instant,
        random: &dyn Random,
    ) -> Result<UserCode, BeginError> {
        for _ in 0..DRAWS {
            let drawn = UserCode::generate(random);
            let entry = Entry {
                value: &id.0,
                mark: &[],
                deadline: now + self.lifetime,
            };
            let key = Key::new(USER_CODE, drawn.letters());
            match self.ephemeral.put_new(&key, entry, now).await? {
                PutNew::Stored { .. } => return Ok(drawn),
                PutNew::Exists => {}
            }
        }
        Err(BeginError::Crowded)
    }

    /// The request of a device, also for a while after it has expired.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn find(&self, id: DeviceId, now: Instant) -> Result<Option<DeviceRequest>> {
        let found = self.ephemeral.get(&id.key(REQUEST), now).await?;
        // Written by another release: the device begins again.
        Ok(found.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Enters a code for a session, which alone decides from then on (threat 11).
    ///
    /// # Errors
    /// [`EnterError`].
    pub async fn enter(
        &self,
        typed: &str,
        session: &Session,
        address: IpAddr,
        now: Instant,
    ) -> Result<UserCode, EnterError> {
        let typist = Typist::new(&self.guesses, &self.ephemeral, &session.account_id, address);
        let guess = match typist.admit(now).await? {
            Ok(guess) => guess,
            Err(wait) => return Err(EnterError::TooMany { wait }),
        };
        let Ok(user_code) = typed.parse::<UserCode>() else {
            return Err(EnterError::Unusable);
        };
        let (id, request) = self.live(&user_code, now).await?;
        let entry = Entry {
            value: session.id.as_str().as_bytes(),
            mark: &[],
            deadline: request.expires_at,
        };
        let key = id.key(ENTERED);
        let is_theirs = match self.ephemeral.put_new(&key, entry, now).await? {
            // It may have been entered, and the store forgot.
            PutNew::Stored { epoch } if request.began_at < epoch => {
                let nobody = Entry {
                    value: &[],
                    ..entry
                };
                self.ephemeral.put(&key, nobody, now).await?;
                false
            }
            PutNew::Stored { .. } => true,
            PutNew::Exists => self.is_entered_by(id, &session.id, now).await?,
        };
        if !is_theirs {
            return Err(EnterError::Unusable);
        }
        typist.forgive(&guess, now).await?;
        Ok(user_code)
    }

    /// The request whose code this session entered, while it may decide.
    ///
    /// # Errors
    /// [`EnterError::Unusable`], [`EnterError::Ephemeral`].
    pub async fn entered(
        &self,
        user_code: &UserCode,
        session: &SessionId,
        now: Instant,
    ) -> Result<(DeviceId, DeviceRequest), EnterError> {
        let (id, request) = self.live(user_code, now).await?;
        if self.is_entered_by(id, session, now).await? {
            Ok((id, request))
        } else {
            Err(EnterError::Unusable)
        }
    }

    /// Lets a device in, on these terms, or keeps it out. Of any number of callers one decides.
    ///
    /// # Errors
    /// [`EnterError::Unusable`], [`EnterError::Ephemeral`].
    pub async fn decide(
        &self,
        (id, request): (DeviceId, &DeviceRequest),
        terms: Option<Terms>,
        now: Instant,
        random: &dyn Random,
    ) -> Result<(), EnterError> {
        let key = id.decision();
        let deadline = request.expires_at;
        let put = if let Some(terms) = terms {
            let kept = Kept::new(terms, (now, deadline), random);
            let value = kept.to_value();
            let approval = kept.entry(&value);
            self.ephemeral.put_new(&key, approval, now).await?
        } else {
            let denial = Entry {
                value: DENIED,
                mark: DENIED,
                deadline,
            };
            self.ephemeral.put_new(&key, denial, now).await?
        };
        if put == PutNew::Exists {
            return Err(EnterError::Unusable);
        }
        // To its own session too the code is used from now on.
        let nobody = Entry {
            value: &[],
            mark: &[],
            deadline,
        };
        Ok(self.ephemeral.put(&id.key(ENTERED), nobody, now).await?)
    }

    /// What a device is told that asks about its request, which has not expired. An approval is told once.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn poll(&self, id: DeviceId, now: Instant) -> Result<Polled> {
        let taken = self.ephemeral.take(&id.decision(), now).await?;
        let is_denied = match &taken {
            Take::First(found) | Take::Before(found) => found == DENIED,
            Take::Unknown => false,
        };
        if is_denied {
            return Ok(Polled::Denied);
        }
        match Taken::from(taken) {
            Taken::First(kept) => Ok(Polled::Approved(kept)),
            Taken::Before(grant_id) => Ok(Polled::Before(grant_id)),
            Taken::Unknown if self.is_hasty(id, now).await? => Ok(Polled::TooSoon),
            Taken::Unknown => Ok(Polled::Pending),
        }
    }

    /// Whether a device asks sooner than it was told. Each time its interval grows (RFC 8628 §3.5).
    async fn is_hasty(&self, id: DeviceId, now: Instant) -> Result<bool> {
        let key = id.key(HASTY);
        let kept = self.ephemeral.get(&key, now).await?;
        let before = kept
            .and_then(|kept| kept.try_into().ok())
            .map_or(0, u32::from_be_bytes);
        let asked = |hasty: u32| Entry {
            value: &[],
            mark: &[],
            // The network may have held up the last one more than the next one.
            deadline: now + (self.interval + SLOWER * hasty) * 4 / 5,
        };
        let polled = id.key(POLLED);
        match self.ephemeral.put_new(&polled, asked(before), now).await? {
            PutNew::Stored { .. } => Ok(false),
            PutNew::Exists => {
                let again = (before + 1).min(MOST_HASTE);
                self.ephemeral.put(&polled, asked(again), now).await?;
                let entry = Entry {
                    value: &again.to_be_bytes(),
                    mark: &[],
                    deadline: now + self.lifetime,
                };
                self.ephemeral.put(&key, entry, now).await?;
                Ok(true)
            }
        }
    }

    /// The request that a user code is of, unless it has expired.
    async fn live(
        &self,
        user_code: &UserCode,
        now: Instant,
    ) -> Result<(DeviceId, DeviceRequest), EnterError> {
        let key = Key::new(USER_CODE, user_code.letters());
        let found = self.ephemeral.get(&key, now).await?;
        let id = found.and_then(|digest| Some(DeviceId(digest.try_into().ok()?)));
        let id = id.ok_or(EnterError::Unusable)?;
        let request = self.find(id, now).await?;
        let request = request.filter(|request| now < request.expires_at);
        Ok((id, request.ok_or(EnterError::Unusable)?))
    }

    async fn is_entered_by(&self, id: DeviceId, session: &SessionId, now: Instant) -> Result<bool> {
        let entered = self.ephemeral.get(&id.key(ENTERED), now).await?;
        Ok(entered.as_deref() == Some(session.as_str().as_bytes()))
    }
}
