//! Whose request it is and what it asks for, as handlers come to know it: for the line in the log, and for whoever keeps refusals.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

use axum::response::Response;
use shared_protocol::client_id::ClientId;

use super::{Cause, Refused};

tokio::task_local! {
    static NOTED: RefCell<Noted>;
}

/// A client, by what it is called.
pub trait Caller: Send + Sync {
    /// Its identifier.
    fn client_id(&self) -> &str;
}

impl Caller for ClientId {
    fn client_id(&self) -> &str {
        self.as_str()
    }
}

/// What is known of a request that was refused.
#[derive(Clone, Default)]
pub struct Noted {
    /// The client that it is of, or says it is.
    pub client: Option<Arc<dyn Caller>>,
    /// The grant that it asks for.
    pub grant_type: Option<&'static str>,
}

/// The request is of this client.
pub fn note_client<C: Caller + 'static>(client: &Arc<C>) {
    tracing::Span::current().record("client_id", client.client_id());
    note_claim(client);
}

/// The request says that it is of this client, which nobody has checked: not for the log.
pub fn note_claim<C: Caller + 'static>(client: &Arc<C>) {
    let client: Arc<dyn Caller> = Arc::<C>::clone(client);
    note(|noted| noted.client = Some(client));
}

/// The request asks for this grant.
pub fn note_grant_type(name: &'static str) {
    tracing::Span::current().record("grant_type", name);
    note(|noted| noted.grant_type = Some(name));
}

/// Outside of a request there is nobody to tell.
fn note(change: impl FnOnce(&mut Noted)) {
    let _ = NOTED.try_with(|noted| change(&mut noted.borrow_mut()));
}

/// Runs a request, or the rest of one in a task of its own; a refusal carries along what was noted.
pub(super) async fn follow(answering: impl Future<Output = Response>) -> Response {
    NOTED
        .scope(RefCell::default(), async {
            let mut response = answering.await;
            let extensions = response.extensions_mut();
            let refused =
                extensions.get::<Cause>().is_some() || extensions.get::<Refused>().is_some();
            // What a task of its own noted is there already.
            if refused && extensions.get::<Noted>().is_none() {
                extensions.insert(NOTED.with(RefCell::take));
            }
            response
        })
        .await
}
