//! People signed in at browsers: rows, so that they survive a restart and can be listed and ended.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError, Store};

use crate::accounts::{Account, AccountError, AccountId, Proven};
use crate::authorize::agreement::Agreement;
use crate::clients::Client;
use crate::consents::agreement;
use crate::grants::{self, GrantsOf};
use crate::identifiers::identifier;
use crate::resource_servers::MAX_LIFETIME;
use crate::revocations::{RevocationKind, Revocations};
use crate::store;
use crate::store::accounts::{self, AccountRow};
use crate::store::logout_notices::{self, NoticeRow};
use crate::store::revocations::{self, RevocationRow};
use crate::store::sessions::{self, SessionRow};

identifier!(
    /// Names a session to clients and to its owner: the `sid` of ID tokens. Proves nothing.
    SessionId, "ses_"
);

/// 43 letters and digits hold 256 bits.
const LENGTH: usize = 43;
/// Use is noted this often at most, or eight times in the time that a session may idle, so that reading a page rarely writes.
const NOTED: Duration = Duration::from_mins(5);

/// How somebody proved who they are (RFC 8176 §2).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amr {
    /// By a password.
    Pwd,
}

/// A person signed in at a browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its public name.
    pub id: SessionId,
    /// Who is signed in.
    pub account_id: AccountId,
    /// When they last proved who they are.
    pub auth_time: Instant,
    /// How.
    pub amr: Vec<Amr>,
}

/// Somebody at a browser.
#[derive(Clone, Debug)]
pub struct Person {
    /// Where.
    pub session: Session,
    /// Who.
    pub account: Account,
}

/// The secret in the cookie.
pub struct SessionToken(SecretString);

impl SessionToken {
    /// One that a browser presented.
    #[must_use]
    pub fn presented(value: &str) -> Self {
        Self(value.to_owned().into())
    }

    /// For the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of it, and what forms are bound to.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct SessionLifetimes {
    /// Since they were last used.
    pub idle: Duration,
    /// Since they began.
    pub absolute: Duration,
}

/// The sessions of this server.
#[derive(Clone)]
pub struct Sessions {
    /// Where they are kept.
    pub store: Store,
    /// How long they last.
    pub lifetimes: SessionLifetimes,
    /// Where the end of their grants is told.
    pub revocations: Revocations,
}

/// Who signs in, how, and where.
pub struct Beginning<'a> {
    /// Who.
    pub proven: &'a Proven,
    /// How they proved it.
    pub amr: &'a [Amr],
    /// What the browser calls itself.
    pub user_agent: Option<&'a str>,
    /// The session that this browser presented, if any: it gives its place to the new one.
    pub before: Option<&'a SessionToken>,
}

/// Why no session began.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Since the person proved who they are, the account was disabled or deleted, or its password changed.
    #[error("the account changed while somebody signed in to it")]
    AccountChanged,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
}

impl Sessions {
    /// Begins a session, or renews that of the same person in the same browser: its name stays, its cookie changes, because an id
    /// that was known before must be worth nothing afterwards.
    ///
    /// `now` is when the person proved who they are: what happened to the account since then counts (threat 34).
    ///
    /// # Errors
    /// [`BeginError`].
    pub async fn begin(
        &self,
        beginning: &Beginning<'_>,
        now: Instant,
        random: &dyn Random,
    ) -> Result<(Session, SessionToken), BeginError> {
        let token = SessionToken(random::alphanumeric(LENGTH, random).into());
        let (digest, proven) = (token.digest(), beginning.proven);
        let (session, revoked) = self
            .store
            .transaction(async |conn| {
                let mut revoked = Vec::new();
                if !accounts::note_sign_in(conn, proven.account_id.as_str(), proven.epoch, now)
                    .await?
                {
                    return Err(BeginError::AccountChanged);
                }
                let before = match beginning.before {
                    Some(before) => {
                        let row = sessions::find(conn, &before.digest()).await?;
                        row.filter(|row| row.ended_at.is_none())
                    }
                    None => None,
                };
                let mut session = Session {
                    id: SessionId::generate(random),
                    account_id: proven.account_id.clone(),
                    auth_time: now,
                    amr: beginning.amr.to_vec(),
                };
                let mut row = SessionRow {
                    id: session.id.to_string(),
                    cookie_digest: digest.to_vec(),
                    account_id: session.account_id.to_string(),
                    auth_time: now,
                    amr: serde_json::json!(session.amr),
                    user_agent: beginning.user_agent.map(bounded),
                    created_at: now,
                    seen_at: now,
                    expires_at: now + self.lifetimes.absolute,
                    ended_at: None,
                };
                if let Some(before) = before {
                    // One that idled gives its place too, and its clients hear of that.
                    if before.account_id == row.account_id
                        && self.is_live(&before, now)
                        && let Ok(id) = before.id.parse()
                    {
                        row.id.clone_from(&before.id);
                        if sessions::renew(conn, &before.cookie_digest, &row).await? {
                            let until = row.expires_at;
                            store::grants::keep_of(conn, &row.id, until).await?;
                            session.id = id;
                            return Ok((session, revoked));
                        }
                        row.id = session.id.to_string();
                    } else if let Ok(id) = before.id.parse() {
                        (_, revoked) = end_in(conn, &id, now, now).await?;
                    }
                }
                sessions::insert(conn, &row).await?;
                Ok((session, revoked))
            })
            .await?;
        self.revocations.learn(revoked);
        Ok((session, token))
    }

    /// Who is signed in with this cookie, if the session goes on and they still may be.
    ///
    /// # Errors
    /// [`AccountError::Store`] and [`AccountError::Damaged`].
    pub async fn find(
        &self,
        token: &SessionToken,
        now: Instant,
    ) -> Result<Option<Person>, AccountError> {
        let digest = token.digest();
        let found = sessions::find_with_account(&mut self.store.read().await?, &digest).await?;
        match found {
            Some((session, account)) => self.admit(session, account, now).await,
            None => Ok(None),
        }
    }

    /// [`Sessions::find`], with what they agreed to for a client.
    ///
    /// # Errors
    /// [`AccountError::Store`] and [`AccountError::Damaged`].
    pub async fn find_with_agreement(
        &self,
        token: &SessionToken,
        client: &Client,
        now: Instant,
    ) -> Result<Option<(Person, Option<Agreement>)>, AccountError> {
        let digest = token.digest();
        let mut conn = self.store.read().await?;
        let found = sessions::find_with_consent(&mut conn, &digest, &client.id).await?;
        drop(conn);
        let Some((session, account, consent)) = found else {
            return Ok(None);
        };
        let person = self.admit(session, account, now).await?;
        Ok(person.map(|person| {
            (
                person,
                consent.and_then(|consent| agreement(consent, client)),
            )
        }))
    }

    /// The person, if the session goes on and they still may be signed in; notes that it was used.
    async fn admit(
        &self,
        row: SessionRow,
        account: AccountRow,
        now: Instant,
    ) -> Result<Option<Person>, AccountError> {
        if !self.is_live(&row, now) {
            return Ok(None);
        }
        let account = Account::try_from(account)?;
        if account.disabled {
            return Ok(None);
        }
        if now.since(row.seen_at) >= NOTED.min(self.lifetimes.idle / 8) {
            sessions::note(&mut self.store.write().await?, &row.id, now).await?;
        }
        Ok(from_row(row).map(|session| Person { session, account }))
    }

    /// The session of this cookie, if nobody ended it yet, though perhaps it idles or its time is over.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn find_over(&self, token: &SessionToken) -> Result<Option<SessionId>, DbError> {
        let found = sessions::find(&mut self.store.read().await?, &token.digest()).await?;
        let row = found.filter(|row| row.ended_at.is_none());
        Ok(row.and_then(|row| row.id.parse().ok()))
    }

    /// Whether there is a row of this session still, over or not.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn is_kept(&self, id: &SessionId) -> Result<bool, DbError> {
        sessions::is_kept(&mut self.store.read().await?, id.as_str()).await
    }

    /// Ends a session, and with it every grant that does not outlive it. Its clients hear of it soon.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn end(&self, id: &SessionId, now: Instant) -> Result<(), DbError> {
        self.end_and_tell(id, now, now).await.map(drop)
    }

    /// The same for a caller who tells the clients: nobody else does before `due_at`. Of any number of callers, one is told whom to
    /// tell.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn end_and_tell(
        &self,
        id: &SessionId,
        due_at: Instant,
        now: Instant,
    ) -> Result<Vec<NoticeRow>, DbError> {
        let (notices, revoked) = self
            .store
            .transaction(async |conn| end_in(conn, id, due_at, now).await)
            .await?;
        self.revocations.learn(revoked);
        Ok(notices)
    }

    /// Ends every session of a person, and every grant of theirs, those that outlive their session too, and whatever was issued on their
    /// behalf until now: for "sign out everywhere", a new password, a lock.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn end_all(&self, account_id: &AccountId, now: Instant) -> Result<(), DbError> {
        let revoked = self
            .store
            .transaction(async |conn| Self::end_all_in(conn, account_id, now).await)
            .await?;
        self.revocations.learn(revoked);
        Ok(())
    }

    /// [`Sessions::end_all`], in the transaction of the change that asks for it; [`Revocations::learn`] what comes back once it has
    /// committed.
    ///
    /// # Errors
    /// [`DbError`].
    pub(crate) async fn end_all_in(
        conn: &mut Conn,
        account_id: &AccountId,
        now: Instant,
    ) -> Result<Vec<RevocationRow>, DbError> {
        // First, so that whoever signs in meanwhile is either ended with the others or refused (threat 34).
        accounts::begin_epoch(conn, account_id.as_str()).await?;
        logout_notices::insert_of_account(conn, account_id.as_str(), now).await?;
        sessions::end_all(conn, account_id.as_str(), now).await?;
        let mut revoked = grants::revoke_of(conn, &GrantsOf::Account(account_id), now).await?;
        let ids = [account_id.to_string()];
        let until = now + MAX_LIFETIME;
        revoked
            .extend(revocations::cut_off(conn, RevocationKind::Account, &ids, until, now).await?);
        Ok(revoked)
    }

    fn is_live(&self, row: &SessionRow, now: Instant) -> bool {
        row.ended_at.is_none()
            && now < row.expires_at
            && now.since(row.seen_at) < self.lifetimes.idle
    }
}

/// Ends a session in a transaction, and then its grants: a redemption holds the session's row, so that none slips in between, neither
/// past the revocation nor past those who are to hear of it.
async fn end_in(
    conn: &mut Conn,
    id: &SessionId,
    due_at: Instant,
    now: Instant,
) -> Result<(Vec<NoticeRow>, Vec<RevocationRow>), DbError> {
    let notices = if sessions::end(conn, id.as_str(), now).await? {
        logout_notices::insert_of_session(conn, id.as_str(), due_at, now).await?
    } else {
        Vec::new()
    };
    let revoked = grants::revoke_of(conn, &GrantsOf::Session(id), now).await?;
    Ok((notices, revoked))
}

fn from_row(row: SessionRow) -> Option<Session> {
    Some(Session {
        id: row.id.parse().ok()?,
        account_id: row.account_id.parse().ok()?,
        auth_time: row.auth_time,
        amr: serde_json::from_value(row.amr).ok()?,
    })
}

/// A browser says of itself what it likes; it is kept to be shown.
fn bounded(user_agent: &str) -> String {
    user_agent
        .chars()
        .filter(|c| !c.is_control())
        .take(256)
        .collect()
}
