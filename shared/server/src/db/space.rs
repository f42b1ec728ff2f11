//! Disk space that deleted rows leave behind.

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{Conn, Pools, Result, Store};

/// Free pages that a SQLite file keeps for its next rows: 1 MiB.
const KEPT: i64 = 256;
/// Pages that one step gives back: some milliseconds.
const STEP: i64 = 256;
/// A journal that is longer is cut: SQLite writes it back when it has 4 MiB, and uses it again from its beginning.
const JOURNAL: u64 = 8 << 20;

#[derive(QueryableByName)]
struct Free {
    #[diesel(sql_type = BigInt)]
    pages: i64,
}

impl Store {
    /// Gives some of the pages that deleted rows left in a SQLite file back to the file system; whether there are more. Each call
    /// holds the one writer for some milliseconds. PostgreSQL does so itself.
    ///
    /// # Errors
    /// [`DbError::Unavailable`](super::DbError::Unavailable).
    pub async fn give_back_space(&self) -> Result<bool> {
        let Pools::Sqlite { file, .. } = &self.0.pools else {
            return Ok(false);
        };
        let mut conn = self.write().await?;
        let spare = free_pages(&mut conn).await? - KEPT;
        if spare > 0 {
            run(
                &mut conn,
                &format!("PRAGMA incremental_vacuum({})", spare.min(STEP)),
            )
            .await?;
        }
        // A file that was not made to give space back keeps it.
        let more = spare > STEP && free_pages(&mut conn).await? - KEPT < spare;
        // The file gets shorter when the journal is written back.
        if !more && (spare > 0 || file.journal_length() > JOURNAL) {
            run(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(more)
    }
}

async fn free_pages(conn: &mut Conn) -> Result<i64> {
    let query = diesel::sql_query("SELECT freelist_count AS pages FROM pragma_freelist_count");
    let free: Free = crate::on!(conn, |c| query.get_result(c))?;
    Ok(free.pages)
}

/// To its end: each page that goes is a row of the answer.
async fn run(conn: &mut Conn, statement: &str) -> Result<()> {
    crate::on!(conn, |c| c.batch_execute(statement))
}
