//! The way back to a client whose interaction is over: it may have said where others ask it to begin a sign-in (OpenID Connect
//! Core §4, `initiate_login_uri`).

use shared_protocol::issuer::Issuer;
use shared_protocol::time::Instant;

use super::page::PageError;
use super::visit::Dialogue;
use crate::clients::Client;
use crate::interactions::InteractionId;
use crate::pages::StartAgain;

impl Dialogue {
    /// Why an interaction does not go on that this browser cannot have, with the way back if there is one.
    pub(super) async fn over(&self, id: &InteractionId, now: Instant) -> PageError {
        let client_id = match self.authorize.interactions.client(id, now).await {
            Ok(Some(client_id)) => client_id,
            Ok(None) => return PageError::Stale,
            Err(error) => return error.into(),
        };
        let registered = &self.authorize.checks.clients.registered;
        // That it is over is to be told whatever else fails.
        let client = registered.find(&client_id).await.ok().flatten();
        let issuer = &self.authorize.checks.issuer;
        let way = client.and_then(|client| start_again(&client, issuer));
        way.map_or(PageError::Stale, |way| PageError::Over(Box::new(way)))
    }
}

/// Where to ask the client to begin: it is told who asks (OpenID Connect Core §4: `iss`).
fn start_again(client: &Client, issuer: &Issuer) -> Option<StartAgain> {
    let mut url = client.metadata.initiate_login_uri.as_ref()?.url().clone();
    url.query_pairs_mut().append_pair("iss", issuer.as_str());
    Some(StartAgain {
        client_name: client.name().to_owned(),
        url: url.into(),
    })
}
