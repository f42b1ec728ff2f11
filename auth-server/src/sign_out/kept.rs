//! What another site posted, kept until the browser comes back by GET: only then does its cookie come along.

use std::net::IpAddr;
use std::time::Duration;

use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::ephemeral::{Entry, EphemeralError, Key, Kind, Take};

use crate::identifiers::identifier;
use crate::interactions::{BeginError, Interactions};

const REQUEST: Kind = Kind::new("logout-request");
/// A browser comes back at once.
const LIFETIME: Duration = Duration::from_mins(5);

identifier!(
    /// Names a request to sign out, once.
    KeptId, "lgo_"
);

/// Keeps the parameters of a request, which are bounded. It counts as one that asks for a person.
///
/// # Errors
/// [`BeginError`].
pub(super) async fn keep(
    parameters: &str,
    interactions: &Interactions,
    address: IpAddr,
    now: Instant,
    random: &dyn Random,
) -> Result<KeptId, BeginError> {
    interactions.count(address, now).await?;
    let id = KeptId::generate(random);
    let entry = Entry {
        value: parameters.as_bytes(),
        mark: &[],
        deadline: now + LIFETIME,
    };
    interactions.ephemeral.put(&key(&id), entry, now).await?;
    Ok(id)
}

/// The parameters, to the first who asks. They are no secret of this browser's: whoever knows them could have sent it here with them.
///
/// # Errors
/// [`EphemeralError`].
pub(super) async fn take(
    id: &KeptId,
    interactions: &Interactions,
    now: Instant,
) -> Result<Option<Vec<u8>>, EphemeralError> {
    Ok(match interactions.ephemeral.take(&key(id), now).await? {
        Take::First(parameters) => Some(parameters),
        Take::Before(_) | Take::Unknown => None,
    })
}

fn key(id: &KeptId) -> Key {
    Key::new(REQUEST, id.as_str())
}
