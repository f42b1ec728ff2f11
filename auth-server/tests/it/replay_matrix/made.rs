//! One of each artefact, and what goes with them.

mod grants;
mod outside;
mod pages;

use std::collections::BTreeMap;

use shared_protocol::confirmation::Confirmation;
use shared_protocol::jose::Signer as _;

use self::pages::Open;
use super::artefacts::Artefact;
use crate::stage::Stage;

/// The artefacts by what they are.
#[derive(Default)]
struct Values(BTreeMap<Artefact, String>);

impl Values {
    fn put(&mut self, artefact: Artefact, value: impl Into<String>) {
        let value = value.into();
        assert!(!value.is_empty(), "{artefact:?}");
        let known = self.0.insert(artefact, value);
        assert!(known.is_none(), "{artefact:?} twice");
    }
}

/// One of each, and what goes with them.
pub(super) struct Made<'a> {
    values: Values,
    /// The browsers in which the pages stand open.
    pub(super) open: Open<'a>,
    /// The client whom the registration access token is for.
    pub(super) managed: String,
    /// An access token of the app for its API.
    pub(super) subject: String,
}

impl<'a> Made<'a> {
    pub(super) async fn all(stage: &'a Stage) -> Self {
        let mut values = Values::default();
        let tokens = Box::pin(grants::make(stage, &mut values)).await;
        Box::pin(outside::make(stage, &mut values)).await;
        let managed = outside::registered(stage, &mut values).await;
        let open = Box::pin(pages::open(stage, &tokens.id_token, &mut values)).await;
        Self {
            values,
            open,
            managed,
            subject: tokens.subject,
        }
    }

    pub(super) fn value(&self, artefact: Artefact) -> &str {
        &self.values.0[&artefact]
    }

    /// Another of what a try may be the last of, where more than one place takes it.
    pub(super) async fn another(stage: &Stage, artefact: Artefact) -> Option<String> {
        if artefact.is_code() {
            Some(code(stage, artefact).await)
        } else if artefact == Artefact::PublicRefreshToken {
            Some(grants::public_refresh_token(stage).await)
        } else if artefact == Artefact::ClientAssertion {
            Some(outside::client_assertion(stage).await)
        } else {
            None
        }
    }
}

/// A code of this kind.
async fn code(stage: &Stage, artefact: Artefact) -> String {
    if artefact == Artefact::BoundCode {
        let key = Confirmation::of_key(stage.prover.key.public().thumbprint());
        stage.code(&stage.app, Some(key)).await
    } else if artefact == Artefact::CertifiedCode {
        let certificate = Confirmation::of_certificate(stage.thumbprint);
        stage.code(&stage.certified, Some(certificate)).await
    } else {
        stage.code(&stage.app, None).await
    }
}
