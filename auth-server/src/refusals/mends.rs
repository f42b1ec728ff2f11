//! What an operator could do about a refusal, where that is known.

use shared_server::web::Cause;

/// What could be done about it.
pub(super) fn mend(Cause(_): &Cause) -> Option<String> {
    None
}
