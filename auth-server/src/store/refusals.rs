//! Why requests were refused, for a while.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::refusals as t;

/// A row of `refusals`.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct RefusalRow {
    /// What the request was called, by its client or by this server.
    pub request_id: String,
    /// Tells it from others of that name.
    pub id: String,
    /// When the request came.
    pub refused_at: Instant,
    /// Its method.
    pub method: String,
    /// The template of its path.
    pub route: String,
    /// The status that it was answered with.
    pub status: i64,
    /// The error code that its client read, if it read one.
    pub error: Option<String>,
    /// The causes, the outermost first, as a JSON array of texts.
    pub causes: Value,
    /// What could be done about it.
    pub mend: Option<String>,
    /// The client that it was of, or said it was.
    pub client_id: Option<String>,
    /// The grant that it asked for.
    pub grant_type: Option<String>,
    /// The trace that it was part of.
    pub trace_id: Option<String>,
}

/// Adds one.
pub async fn insert(conn: &mut Conn, row: &RefusalRow) -> Result<()> {
    let insert = diesel::insert_into(t::table).values(row);
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// At most `limit` of the requests of this name, the newest first.
pub async fn find(conn: &mut Conn, request_id: &str, limit: i64) -> Result<Vec<RefusalRow>> {
    let query = t::table
        .filter(t::request_id.eq(request_id))
        .order((t::refused_at.desc(), t::id))
        .limit(limit);
    on!(conn, |c| query.load(c))
}

/// When the newest one came of those that are more than `most`.
pub async fn newest_beyond(conn: &mut Conn, most: i64) -> Result<Option<Instant>> {
    let query = t::table
        .order(t::refused_at.desc())
        .offset(most)
        .limit(1)
        .select(t::refused_at);
    on!(conn, |c| query.get_result(c)).optional()
}
