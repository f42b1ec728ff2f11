//! Why the database did not do as asked.

use diesel::result::{DatabaseErrorKind, Error};

/// Of the store and of every function on a [`Conn`](super::Conn).
pub type Result<T, E = DbError> = std::result::Result<T, E>;

/// Why the database did not do as asked. No text holds a password.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be asked now: no connection in time, a connection that broke, or a statement that took too long. A
    /// statement that broke off may have been done or not.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// There is such a row already. Names the unique index (PostgreSQL) or the columns (SQLite), never the value.
    #[error("there is such a row already: {0}")]
    Duplicate(String),
    /// A row that this one refers to is gone, or one that refers to it is there.
    #[error("a row that belongs to another: {0}")]
    Reference(String),
    /// The settings cannot work, and how to mend them.
    #[error("the database settings are wrong: {0}")]
    Settings(String),
    /// A migration failed; what it did was rolled back.
    #[error("the database cannot be migrated: {0}")]
    Migration(String),
    /// Anything else, such as no row where there must be one, or a constraint that does not hold.
    #[error("the database refused: {0}")]
    Query(#[source] Error),
}

/// SQLite's messages are fixed. PostgreSQL's may be translated: one that is missed here becomes [`DbError::Query`], and
/// diesel does not pass on the code.
const UNAVAILABLE: [&str; 8] = [
    "database is locked",
    "database table is locked",
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "terminating connection",
    "the database system is ",
    "canceling statement due to ",
];

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        // The connection broke within a transaction: this is what diesel says of it from then on.
        if matches!(
            error,
            Error::BrokenTransactionManager | Error::RollbackErrorOnCommit { .. }
        ) {
            return Self::Unavailable(error.to_string());
        }
        let Error::DatabaseError(kind, about) = &error else {
            return Self::Query(error);
        };
        let says = |start: &&str| about.message().starts_with(start);
        if matches!(kind, DatabaseErrorKind::UniqueViolation) {
            let what = about.constraint_name().unwrap_or(about.message());
            Self::Duplicate(what.to_owned())
        } else if matches!(kind, DatabaseErrorKind::ForeignKeyViolation) {
            let what = about.constraint_name().unwrap_or(about.message());
            Self::Reference(what.to_owned())
        } else if matches!(
            kind,
            DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection
        ) || UNAVAILABLE.iter().any(says)
        {
            Self::Unavailable(about.message().to_owned())
        } else {
            Self::Query(error)
        }
    }
}

/// Turns "no such row" into `None`, as diesel's own `optional` does for its own error.
pub trait OptionalRow<T> {
    /// `None` if the query was answered with no row.
    ///
    /// # Errors
    /// Any other.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalRow<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(row) => Ok(Some(row)),
            Err(DbError::Query(Error::NotFound)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The error and what caused it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_says = cause.to_string();
        if !line.contains(&cause_says) {
            line = format!("{line}: {cause_says}");
        }
        next = cause.source();
    }
    line
}
