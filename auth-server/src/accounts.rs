//! People and how they prove who they are.

pub mod attributes;
pub mod email;
pub mod known_devices;
pub mod password;
pub mod profile;
pub mod sign_in;
pub mod sign_up;
pub(crate) mod throttle;

use secrecy::SecretString;
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use self::attributes::Attributes;
use self::email::EmailAddress;
use self::password::hasher::{HashError, PasswordHasher};
use self::password::{Password, PasswordRefusal};
use self::profile::Profile;
pub(crate) use self::throttle::Subject;
use crate::identifiers::identifier;
use crate::sessions::Sessions;
use crate::store::accounts::{self, AccountRow};
use crate::store::sign_in_locks;

identifier!(
    /// Names a person; the `sub` of their tokens. No client id begins so (RFC 9068 §5).
    AccountId, "usr_"
);

/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// A person.
#[derive(Clone, Debug)]
pub struct Account {
    /// Their name to clients.
    pub id: AccountId,
    /// Where mail reaches them.
    pub email: EmailAddress,
    /// Whether they proved that.
    pub email_verified: bool,
    /// What they are called.
    pub name: Option<String>,
    /// What else is known of them.
    pub profile: Profile,
    /// What operators say of them, to resource servers that ask for it.
    pub attributes: Attributes,
    /// When any of this last changed.
    pub updated_at: Instant,
    /// Whether they may not use the server.
    pub disabled: bool,
    /// Whether they have a password.
    pub has_password: bool,
    /// When they last signed in.
    pub signed_in_at: Option<Instant>,
}

/// Who proved who they are, and in which epoch of their account: what was proven before all its sessions were ended is worth nothing
/// afterwards (threat 34).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proven {
    /// Who.
    pub account_id: AccountId,
    /// How often all their sessions had been ended.
    pub epoch: i64,
}

/// What an account is made of.
pub struct NewAccount {
    /// Where mail reaches the person.
    pub email: EmailAddress,
    /// What they are called.
    pub name: Option<String>,
    /// Whether they proved that the address is theirs.
    pub email_verified: bool,
    /// Their password; without one they cannot sign in by one.
    pub password: Option<SecretString>,
}

/// Why an account could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another account has this address.
    #[error("there is an account of this address already")]
    EmailTaken,
    /// The name is empty, too long, or holds control characters.
    #[error("a name has 1 to {LONGEST_NAME} characters, none of them a control character")]
    Name,
    /// The password will not do.
    #[error(transparent)]
    Password(#[from] PasswordRefusal),
    /// No such account.
    #[error("there is no such account")]
    Unknown,
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A row that was not written by us.
    #[error("the row of account {0} is damaged")]
    Damaged(String),
}

/// The people that this server knows.
#[derive(Clone)]
pub struct Accounts {
    /// Where they are kept.
    pub store: Store,
    /// Where they are signed in.
    pub sessions: Sessions,
    /// Hashes their passwords.
    pub hasher: PasswordHasher,
}

impl Accounts {
    /// Makes an account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn create(
        &self,
        new: NewAccount,
        now: Instant,
        random: &dyn Random,
    ) -> Result<AccountId, AccountError> {
        if !new.name.as_deref().is_none_or(is_name) {
            return Err(AccountError::Name);
        }
        let password_hash = match &new.password {
            Some(typed) => {
                let (place, name) = (self.hasher.place()?, new.name.as_deref());
                Some(place.choose(typed, &new.email, name, random).await??)
            }
            None => None,
        };
        let id = AccountId::generate(random);
        let row = AccountRow {
            id: id.to_string(),
            email: new.email.as_str().to_owned(),
            email_normal: new.email.normal().to_owned(),
            email_verified: new.email_verified,
            name: new.name,
            password_changed_at: password_hash.as_ref().map(|_| now),
            epoch: 0,
            password_hash,
            signed_in_at: None,
            disabled_at: None,
            created_at: now,
            updated_at: now,
            profile: None,
            attributes: None,
        };
        let mut conn = self.store.write().await?;
        match accounts::insert(&mut conn, &row).await {
            Ok(()) => Ok(id),
            // The id is drawn from 131 bits: what is taken is the address.
            Err(DbError::Duplicate(_)) => Err(AccountError::EmailTaken),
            Err(error) => Err(error.into()),
        }
    }

    /// The account of this id.
    ///
    /// # Errors
    /// [`AccountError::Store`] and [`AccountError::Damaged`].
    pub async fn find(&self, id: &AccountId) -> Result<Option<Account>, AccountError> {
        let row = accounts::find(&mut self.store.read().await?, id.as_str()).await?;
        row.map(Account::try_from).transpose()
    }

    /// The account of this address.
    ///
    /// # Errors
    /// [`AccountError::Store`] and [`AccountError::Damaged`].
    pub async fn find_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<Account>, AccountError> {
        let mut conn = self.store.read().await?;
        let row = accounts::find_by_email_normal(&mut conn, email.normal()).await?;
        row.map(Account::try_from).transpose()
    }

    /// Whether nobody may sign in to the account for a while, because somebody guessed at its password (threat 13).
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn is_locked(&self, account: &Account, now: Instant) -> Result<bool, DbError> {
        let guessed_at = Subject::identifier(account.email.normal());
        let mut conn = self.store.read().await?;
        let until = sign_in_locks::locked_until(&mut conn, guessed_at.digest(), now).await?;
        Ok(until.is_some())
    }

    /// One page of accounts in the order of their ids, after `after`.
    ///
    /// # Errors
    /// [`AccountError::Store`] and [`AccountError::Damaged`].
    pub async fn list(&self, after: &str, limit: i64) -> Result<Vec<Account>, AccountError> {
        let rows = accounts::list(&mut self.store.read().await?, after, limit).await?;
        rows.into_iter().map(Account::try_from).collect()
    }

    /// Whether this is the account's password. Nothing is counted: for whoever operates the server, not for those who sign in.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn is_password(
        &self,
        id: &AccountId,
        typed: &SecretString,
    ) -> Result<bool, AccountError> {
        let row = accounts::find(&mut self.store.read().await?, id.as_str()).await?;
        let row = row.ok_or(AccountError::Unknown)?;
        let password = Password::typed(typed);
        let place = self.hasher.place()?;
        Ok(place
            .verify(&password, row.password_hash.as_deref())
            .await?)
    }

    /// Gives an account a new password. Every session of the account ends with the old one, and every grant: whoever had it may
    /// have used it. A lock is lifted, since the guesses were at the old one; what was counted stays, and the next failure locks again.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn set_password(
        &self,
        id: &AccountId,
        typed: &SecretString,
        now: Instant,
        random: &dyn Random,
    ) -> Result<(), AccountError> {
        let account = self.find(id).await?.ok_or(AccountError::Unknown)?;
        let (place, name) = (self.hasher.place()?, account.name.as_deref());
        let hash = place.choose(typed, &account.email, name, random).await??;
        let revoked = self
            .store
            .transaction(async |conn| {
                // First the account, whose row then is locked, so that no session begins between the two.
                if !accounts::set_password(conn, id.as_str(), &hash, now).await? {
                    return Err(AccountError::Unknown);
                }
                let guessed_at = Subject::identifier(account.email.normal());
                sign_in_locks::unlock(conn, guessed_at.digest()).await?;
                Ok(Sessions::end_all_in(conn, id, now).await?)
            })
            .await?;
        self.sessions.revocations.learn(revoked);
        Ok(())
    }

    /// Writes what is known of a person over what was.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn set_profile(
        &self,
        id: &AccountId,
        (name, profile): (Option<&str>, &Profile),
        now: Instant,
    ) -> Result<(), AccountError> {
        if !name.is_none_or(is_name) {
            return Err(AccountError::Name);
        }
        let profile = (!profile.is_empty()).then(|| serde_json::json!(profile));
        let mut conn = self.store.write().await?;
        let known = (name, profile.as_ref());
        if accounts::set_profile(&mut conn, id.as_str(), known, now).await? {
            Ok(())
        } else {
            Err(AccountError::Unknown)
        }
    }

    /// Writes what operators say of a person over what was.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] and [`AccountError::Store`].
    pub async fn set_attributes(
        &self,
        id: &AccountId,
        attributes: &Attributes,
    ) -> Result<(), AccountError> {
        let attributes = (!attributes.is_empty()).then(|| serde_json::json!(attributes));
        let mut conn = self.store.write().await?;
        if accounts::set_attributes(&mut conn, id.as_str(), attributes.as_ref()).await? {
            Ok(())
        } else {
            Err(AccountError::Unknown)
        }
    }

    /// Disables an account: it can do nothing any more, and all its sessions and grants end.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] and [`AccountError::Store`].
    pub async fn disable(&self, id: &AccountId, now: Instant) -> Result<(), AccountError> {
        let revoked = self
            .store
            .transaction(async |conn| {
                if !accounts::set_disabled(conn, id.as_str(), Some(now)).await? {
                    return Err(AccountError::Unknown);
                }
                Ok(Sessions::end_all_in(conn, id, now).await?)
            })
            .await?;
        self.sessions.revocations.learn(revoked);
        Ok(())
    }

    /// Enables an account that was disabled. What ended stays ended.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] and [`AccountError::Store`].
    pub async fn enable(&self, id: &AccountId) -> Result<(), AccountError> {
        let mut conn = self.store.write().await?;
        if accounts::set_disabled(&mut conn, id.as_str(), None).await? {
            Ok(())
        } else {
            Err(AccountError::Unknown)
        }
    }
}

fn is_name(name: &str) -> bool {
    profile::is_text(name, LONGEST_NAME, false)
}

impl TryFrom<AccountRow> for Account {
    type Error = AccountError;

    fn try_from(row: AccountRow) -> Result<Self, AccountError> {
        let (Ok(id), Ok(email)) = (row.id.parse(), row.email.parse()) else {
            return Err(AccountError::Damaged(row.id));
        };
        let profile = row.profile.map(serde_json::from_value).transpose();
        let attributes = row.attributes.map(serde_json::from_value).transpose();
        let (Ok(profile), Ok(attributes)) = (profile, attributes) else {
            return Err(AccountError::Damaged(row.id));
        };
        let (profile, attributes): (Option<Profile>, Option<Attributes>) = (profile, attributes);
        Ok(Self {
            id,
            email,
            email_verified: row.email_verified,
            name: row.name,
            profile: profile.unwrap_or_default(),
            attributes: attributes.unwrap_or_default(),
            updated_at: row.updated_at,
            disabled: row.disabled_at.is_some(),
            has_password: row.password_hash.is_some(),
            signed_in_at: row.signed_in_at,
        })
    }
}
