//! What a request asks for in more words than a scope has (RFC 9396 §3).

use shared_protocol::authorization_details::AuthorizationDetails;

use super::error::RedirectCause;
use crate::authorization_details::{ByResource, InvalidDetails};
use crate::clients::Client;
use crate::parameters::Parameters;
use crate::resource_servers::ResourceServers;

/// The objects of `authorization_details`, each at the resource of its type.
///
/// # Errors
/// [`RedirectCause::AuthorizationDetails`].
pub(super) fn asked(
    client: &Client,
    parameters: &Parameters,
    resource_servers: &ResourceServers,
) -> Result<ByResource, RedirectCause> {
    let Some(raw) = parameters.optional("authorization_details") else {
        return Ok(ByResource::default());
    };
    let details: AuthorizationDetails = raw.parse().map_err(InvalidDetails::from)?;
    let registered = &client.metadata.authorization_details_types;
    Ok(resource_servers.sort_details(&details, registered)?)
}
