//! Making an account for oneself.
//!
//! Without mail nobody can be told in secret that an address is taken: an account comes of it or not, and that shows. So little is
//! given away as can be: it shows only to whoever chose a password that would do, after the same work as for a free address, in
//! words that name no reason, and so many times an hour from one network. A guess at a free address leaves an account behind.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::SecretString;
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::db::DbError;
use shared_server::rate_limits::{Limited, Network, RateLimiter};

use super::email::EmailAddress;
use super::password::PasswordRefusal;
use super::password::hasher::HashError;
use super::{AccountError, Accounts, NewAccount, Proven};

/// What somebody typed, and from where.
pub struct NewPerson<'a> {
    /// The address, as typed.
    pub email: &'a str,
    /// What they are called; nothing if they did not say.
    pub name: &'a str,
    /// The password that they chose.
    pub password: SecretString,
    /// Where the request came from.
    pub address: IpAddr,
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum SignUpRefusal {
    /// Not an address.
    #[error("the address is none")]
    Email,
    /// A name that cannot be read, or is too long.
    #[error("the name will not do")]
    Name,
    /// A password that others would guess, or too short or too long a one.
    #[error(transparent)]
    Password(#[from] PasswordRefusal),
    /// Somebody has an account of this address.
    #[error("there is an account of this address")]
    Taken,
    /// Too many accounts were made, or tried to be, from one address.
    #[error(transparent)]
    TooMany(#[from] Limited),
    /// More passwords are to be hashed than there are cores, or no memory is left.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database did not answer, or holds a row that is not ours.
    #[error(transparent)]
    Accounts(AccountError),
}

impl From<AccountError> for SignUpRefusal {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::EmailTaken => Self::Taken,
            AccountError::Name => Self::Name,
            AccountError::Password(refusal) => Self::Password(refusal),
            AccountError::Hash(error) => Self::Hash(error),
            AccountError::Unknown | AccountError::Store(_) | AccountError::Damaged(_) => {
                Self::Accounts(error)
            }
        }
    }
}

impl From<DbError> for SignUpRefusal {
    fn from(error: DbError) -> Self {
        Self::Accounts(error.into())
    }
}

/// Makes accounts for those who ask.
pub struct SignUp {
    /// The people.
    pub accounts: Accounts,
    /// How many may be tried from one network address.
    pub attempts: RateLimiter,
    /// For ids and salts.
    pub random: Arc<dyn Random>,
}

impl SignUp {
    /// Makes an account, whose address nobody has proven to be theirs.
    ///
    /// # Errors
    /// [`SignUpRefusal`].
    pub async fn attempt(
        &self,
        person: NewPerson<'_>,
        now: Instant,
    ) -> Result<Proven, SignUpRefusal> {
        let email: EmailAddress = person.email.parse().map_err(|_| SignUpRefusal::Email)?;
        let name = person.name.trim();
        let new = NewAccount {
            email,
            name: (!name.is_empty()).then(|| name.to_owned()),
            email_verified: false,
            password: Some(person.password),
        };
        let network = Network::from(person.address);
        self.attempts.admit(network.as_ref(), now).await?;
        let account_id = self.accounts.create(new, now, &*self.random).await?;
        Ok(Proven {
            account_id,
            epoch: 0,
        })
    }
}
