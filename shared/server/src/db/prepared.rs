//! Statements that a connection prepares once, though diesel would have them prepared each time.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

/// A statement whose text is the same each time but for what is bound: [`prepared_once`].
#[derive(Clone, Copy, Debug)]
pub struct PreparedOnce<Q>(Q);

/// Has each connection prepare `statement` once, which saves a round trip to PostgreSQL each time that it is executed.
///
/// diesel does so by itself for most statements, but for no `UPDATE`: what one sets may depend on its values, and every text would
/// be kept for good. It is for the caller to know that there is one text, or few.
pub const fn prepared_once<Q>(statement: Q) -> PreparedOnce<Q> {
    PreparedOnce(statement)
}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for PreparedOnce<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

/// Kept by its text.
impl<Q> QueryId for PreparedOnce<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}
