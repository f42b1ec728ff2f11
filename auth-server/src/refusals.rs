//! Why requests were refused: kept for a while under the ids of the requests, for operators. Clients learn no more by it.

mod keeper;
mod mends;

use serde::Serialize;
use shared_server::db::{DbError, Store};

pub use self::keeper::{Keeper, RefusalMetrics, Refusals};
use crate::store::refusals::{self, RefusalRow};
pub use shared_server::web::Detail;

/// Requests of one id that are told.
const MOST_TOLD: i64 = 10;

/// A request that was refused, and why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Explained {
    /// What the request was called.
    pub request_id: String,
    /// When it came.
    pub at: String,
    /// Its method.
    pub method: String,
    /// The template of its path.
    pub route: String,
    /// The client that it was of, or said it was.
    pub client_id: Option<String>,
    /// The grant that it asked for.
    pub grant_type: Option<String>,
    /// The status that it was answered with.
    pub status: i64,
    /// The error code that its client read, if it read one.
    pub error: Option<String>,
    /// The causes, the outermost first.
    pub causes: Vec<String>,
    /// What could be done about it, where that is known.
    pub mend: Option<String>,
    /// The trace that it was part of.
    pub trace_id: Option<String>,
}

impl From<RefusalRow> for Explained {
    fn from(row: RefusalRow) -> Self {
        Self {
            request_id: row.request_id,
            at: row.refused_at.to_string(),
            method: row.method,
            route: row.route,
            client_id: row.client_id,
            grant_type: row.grant_type,
            status: row.status,
            error: row.error,
            // Nobody but this server wrote it, as a list of texts.
            causes: serde_json::from_value(row.causes).unwrap_or_default(),
            mend: row.mend,
            trace_id: row.trace_id,
        }
    }
}

/// The requests of this id that were refused, as far as that is kept, the newest first.
///
/// # Errors
/// [`DbError`].
pub async fn explain(store: &Store, request_id: &str) -> Result<Vec<Explained>, DbError> {
    let mut conn = store.read().await?;
    let rows = refusals::find(&mut conn, request_id, MOST_TOLD).await?;
    Ok(rows.into_iter().map(Explained::from).collect())
}
