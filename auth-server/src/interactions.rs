//! What a person is busy with, an authorization request or a device's code: kept while they sign in and decide, bound to their browser, and spent by one
//! atomic step when it is answered.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_protocol::client_id::ClientId;
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::ephemeral::{Entry, Ephemeral, EphemeralError, Key, Kind, PutNew, Take};

use crate::accounts::Subject;
use crate::authorize::request::Origin;
use crate::browser::BrowserId;
use crate::identifiers::identifier;
use crate::sessions::SessionId;

const INTERACTION: Kind = Kind::new("interaction");
/// The browser of an interaction that began without one.
const BROWSER: Kind = Kind::new("interaction-browser");
/// The session whose account was chosen in an interaction.
const CHOSEN: Kind = Kind::new("interaction-chosen");
/// The client of an interaction, which may be over.
const CLIENT: Kind = Kind::new("interaction-client");
/// How many began at one address.
const BEGUN: Kind = Kind::new("interactions-begun");
/// The time in which they are counted.
const MINUTE: Duration = Duration::from_mins(1);

identifier!(
    /// Names an interaction. Worth nothing in another browser.
    InteractionId, "int_"
);

/// What a person came for. A request is checked anew at each step, so that nothing is issued that has been forbidden since.
#[derive(Deserialize, Serialize)]
pub enum Purpose {
    /// A client sent them with an authorization request.
    Request {
        /// Its parameters, form-urlencoded.
        parameters: String,
        /// How it came.
        origin: Origin,
    },
    /// To let a device in (RFC 8628): they sign in, and then go on to where codes are typed.
    Device {
        /// The code that they came with, as it was typed.
        user_code: Option<String>,
    },
}

/// What is kept of it.
#[derive(Deserialize, Serialize)]
pub struct Interaction {
    /// What it is for.
    pub purpose: Purpose,
    /// When it began.
    pub began_at: Instant,
    /// The digest of the browser that it came from. A request that another site posted comes without its cookie.
    browser: Option<[u8; 32]>,
    /// The session whose account the person chose, where a request asks which one it is to be.
    #[serde(skip)]
    pub chosen: Option<SessionId>,
}

/// The interactions of this server.
#[derive(Clone)]
pub struct Interactions {
    /// Where they are kept.
    pub ephemeral: Ephemeral,
    /// How long a person may take.
    pub lifetime: Duration,
    /// How many may begin at one IPv4 address or IPv6 /64 in a minute; zero for any number.
    pub per_address: u32,
}

/// Why no interaction began.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Enough began at this address: whoever asks needs no account, so that nothing else bounds what they have us keep.
    #[error("too many interactions began at one address")]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// The ephemeral store failed.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
}

impl Interactions {
    /// Keeps what a person came for. Without a browser it belongs to the first that goes on with it.
    ///
    /// # Errors
    /// [`BeginError`].
    pub async fn begin(
        &self,
        purpose: Purpose,
        browser: Option<&BrowserId>,
        address: IpAddr,
        now: Instant,
        random: &dyn Random,
    ) -> Result<InteractionId, BeginError> {
        self.count(address, now).await?;
        let id = InteractionId::generate(random);
        let interaction = Interaction {
            purpose,
            began_at: now,
            browser: browser.map(BrowserId::digest),
            chosen: None,
        };
        // Text and numbers always have a JSON form.
        let value = serde_json::to_vec(&interaction).unwrap_or_default();
        let entry = Entry {
            value: &value,
            mark: &[],
            deadline: now + self.lifetime,
        };
        self.ephemeral.put(&key(&id), entry, now).await?;
        Ok(id)
    }

    /// Counts one that begins at this address.
    ///
    /// # Errors
    /// [`BeginError`].
    pub(crate) async fn count(&self, address: IpAddr, now: Instant) -> Result<(), BeginError> {
        if self.per_address == 0 {
            return Ok(());
        }
        let key = Key::new(BEGUN, Subject::network(address).digest());
        let hits = self.ephemeral.hit(&key, MINUTE, now).await?;
        if hits.count > self.per_address.into() {
            let wait = hits.resets_at.since(now);
            return Err(BeginError::TooMany { wait });
        }
        Ok(())
    }

    /// The interaction, if it goes on and is this browser's.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn find(
        &self,
        id: &InteractionId,
        browser: &BrowserId,
        now: Instant,
    ) -> Result<Option<Interaction>, EphemeralError> {
        let Some(value) = self.ephemeral.get(&key(id), now).await? else {
            return Ok(None);
        };
        // Written by another release: the person begins again.
        let Ok(interaction) = serde_json::from_slice::<Interaction>(&value) else {
            return Ok(None);
        };
        let ours = match interaction.browser {
            Some(bound) => bound == browser.digest(),
            None => self.bind(id, browser, now).await?,
        };
        Ok(ours.then_some(interaction))
    }

    /// Binds an interaction that began without a browser to the first that comes; whether it is this one.
    async fn bind(
        &self,
        id: &InteractionId,
        browser: &BrowserId,
        now: Instant,
    ) -> Result<bool, EphemeralError> {
        let key = Key::new(BROWSER, id.as_str());
        let digest = browser.digest();
        let entry = Entry {
            value: &digest,
            mark: &[],
            // The interaction began earlier, so that this is there for as long as it is.
            deadline: now + self.lifetime,
        };
        match self.ephemeral.put_new(&key, entry, now).await? {
            PutNew::Stored { .. } => Ok(true),
            PutNew::Exists => {
                let bound = self.ephemeral.get(&key, now).await?;
                Ok(bound.as_deref() == Some(digest.as_slice()))
            }
        }
    }

    /// Notes that the person means the account of this session. Beside the interaction, which may be spent at this moment.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn choose(
        &self,
        id: &InteractionId,
        session: &SessionId,
        now: Instant,
    ) -> Result<(), EphemeralError> {
        let key = Key::new(CHOSEN, id.as_str());
        self.note(&key, session.as_str(), self.lifetime, now).await
    }

    /// The session whose account was chosen, if one was.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn chosen(
        &self,
        id: &InteractionId,
        now: Instant,
    ) -> Result<Option<SessionId>, EphemeralError> {
        self.noted(&Key::new(CHOSEN, id.as_str()), now).await
    }

    /// Notes whose the interaction is, for as long again as it may last: who comes too late can then be led back.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn note_client(
        &self,
        id: &InteractionId,
        client_id: &ClientId,
        now: Instant,
    ) -> Result<(), EphemeralError> {
        let key = Key::new(CLIENT, id.as_str());
        self.note(&key, client_id.as_str(), 2 * self.lifetime, now)
            .await
    }

    /// Whose an interaction was that may be over, if that was noted.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn client(
        &self,
        id: &InteractionId,
        now: Instant,
    ) -> Result<Option<ClientId>, EphemeralError> {
        self.noted(&Key::new(CLIENT, id.as_str()), now).await
    }

    async fn note(
        &self,
        key: &Key,
        value: &str,
        lifetime: Duration,
        now: Instant,
    ) -> Result<(), EphemeralError> {
        let entry = Entry {
            value: value.as_bytes(),
            mark: &[],
            deadline: now + lifetime,
        };
        self.ephemeral.put(key, entry, now).await
    }

    async fn noted<T: FromStr>(
        &self,
        key: &Key,
        now: Instant,
    ) -> Result<Option<T>, EphemeralError> {
        let noted = self.ephemeral.get(key, now).await?;
        Ok(noted.and_then(|noted| std::str::from_utf8(&noted).ok()?.parse().ok()))
    }

    /// Spends the interaction: of any number of callers one is told that it may answer.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn take(&self, id: &InteractionId, now: Instant) -> Result<bool, EphemeralError> {
        Ok(match self.ephemeral.take(&key(id), now).await? {
            Take::First(_) => true,
            Take::Before(_) | Take::Unknown => false,
        })
    }
}

fn key(id: &InteractionId) -> Key {
    Key::new(INTERACTION, id.as_str())
}
