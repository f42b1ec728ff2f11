//! What a client asks for that sends a person to sign out (OpenID Connect RP-Initiated Logout §2).

use std::sync::Arc;

use shared_protocol::client_id::ClientId;
use shared_server::web::note_client;
use url::form_urlencoded::Serializer;

use super::{SignOut, SignOutError};
use crate::clients::Client;
use crate::clients::redirect_uri::VerifiedRedirectUri;
use crate::id_token_hint::{self, Hint};
use crate::parameters::{InvalidParameters, Parameters};
use crate::sessions::Person;
use crate::subjects::Subjects;

/// Every parameter that any check looks at, and the longest that each may be. Who is meant by a `logout_hint` is for the person to see,
/// and there is one language.
pub(super) const PARAMETERS: [(&str, usize); 6] = [
    ("id_token_hint", id_token_hint::LONGEST),
    ("logout_hint", 320),
    ("client_id", 2048),
    ("post_logout_redirect_uri", 2048),
    ("state", 4096),
    ("ui_locales", 256),
];

/// A request to sign out, as far as it is proven.
#[derive(Default)]
pub(super) struct LogoutRequest {
    /// As they came, for the form that asks.
    pub(super) parameters: Vec<(String, String)>,
    /// Who asks, and whom they mean.
    proven: Option<(Arc<Client>, Hint)>,
    /// Where the person goes afterwards.
    destination: Option<Destination>,
}

struct Destination {
    uri: VerifiedRedirectUri,
    state: Option<String>,
}

impl LogoutRequest {
    /// Who asks, if they proved it.
    pub(super) fn client(&self) -> Option<&Client> {
        self.proven.as_ref().map(|(client, _)| &**client)
    }

    /// Whether it is about who is signed in, and nobody need be asked.
    pub(super) fn is_about(&self, person: &Person, subjects: &Subjects) -> bool {
        self.proven.as_ref().is_some_and(|(client, hint)| {
            hint.is_of(subjects, &client.metadata, &person.session.id)
                || hint.names(subjects, &client.metadata, &person.account.id)
        })
    }

    /// The target of the redirect, with what the client wants back (§3). A query that the URI has is kept; it has no fragment.
    pub(super) fn location(&self) -> Option<String> {
        let Destination { uri, state } = self.destination.as_ref()?;
        let uri = uri.as_str();
        let Some(state) = state else {
            return Some(uri.to_owned());
        };
        let separator = if uri.contains('?') { '&' } else { '?' };
        let state = Serializer::new(String::new())
            .append_pair("state", state)
            .finish();
        Some(format!("{uri}{separator}{state}"))
    }
}

impl SignOut {
    /// What `parameters` ask for. What is not proven is not acted on: it leaves the question to the person, and leads nowhere
    /// (threat 23).
    ///
    /// # Errors
    /// [`SignOutError::Parameters`] for one that is too long, [`SignOutError::Clients`].
    pub(super) async fn request(
        &self,
        parameters: &Parameters,
    ) -> Result<LogoutRequest, SignOutError> {
        let mut request = LogoutRequest::default();
        for (name, longest) in PARAMETERS {
            if let Some(value) = parameters.optional(name) {
                if value.len() > longest {
                    return Err(InvalidParameters::Malformed(name).into());
                }
                let kept = (name.to_owned(), value.to_owned());
                request.parameters.push(kept);
            }
        }
        let Some(hint) = self.hint(parameters) else {
            return Ok(request);
        };
        let Some(client) = self.clients.find(&hint.client_id).await? else {
            return Ok(request);
        };
        note_client(&client);
        if let Some(requested) = parameters.optional("post_logout_redirect_uri") {
            let varies = self.localhost_port_varies;
            let Some(uri) = client.matching_after_logout(requested, varies) else {
                return Ok(request);
            };
            let state = parameters.optional("state").map(str::to_owned);
            request.destination = Some(Destination { uri, state });
        }
        request.proven = Some((client, hint));
        Ok(request)
    }

    fn hint(&self, parameters: &Parameters) -> Option<Hint> {
        let token = parameters.optional("id_token_hint")?;
        let named = parameters.optional("client_id");
        // One that nobody can have is not none.
        let named: Option<ClientId> = named.map(str::parse).transpose().ok()?;
        let ring = self.keys.ring();
        let checks = id_token_hint::Checks {
            issuer: &self.issuer,
            client_id: named.as_ref(),
            keys: ring.verifying(),
        };
        let hint = checks.verify(token);
        if let Err(error) = &hint {
            tracing::debug!(%error, "an id_token_hint proves nothing");
        }
        hint.ok()
    }
}
