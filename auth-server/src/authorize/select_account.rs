//! The step in which a person who is signed in says whether that is the account that they mean (OpenID Connect Core §3.1.2.1,
//! `prompt=select_account`).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::form::OwnForm;
use super::page::PageError;
use super::response::see_other;
use super::visit::{Dialogue, InteractionQuery, Visit, interaction};
use super::{Next, RESUME};
use crate::browser::{Binding, Form};
use crate::interactions::InteractionId;
use crate::pages::SelectAccountPage;

/// Below the issuer's path.
pub const PATH: &str = "/select-account";

/// GET `/select-account`.
///
/// # Errors
/// [`PageError`].
pub async fn get(
    State(dialogue): State<Arc<Dialogue>>,
    InteractionQuery(id): InteractionQuery,
    visit: Visit,
) -> Result<Response, PageError> {
    let (interaction, request) = dialogue.reopen_request(&id, &visit).await?;
    let next = dialogue.next(&interaction, &request, &visit).await;
    let Ok(Next::SelectAccount(person)) = next else {
        return Ok(see_other(&dialogue.link(RESUME, &id)));
    };
    let shown = dialogue.shown(&request.client, &request.locales, &visit);
    let page = SelectAccountPage {
        action: dialogue.path(PATH),
        interaction: id.to_string(),
        csrf: dialogue.forms.token(&binding(&id, &visit)),
        client_name: shown.name,
        about: shown.about,
        display: request.display,
        account_name: person.account.name.clone(),
        account_email: person.account.email.to_string(),
        another_account: dialogue.another_account(&id),
    };
    Ok(page.into_response())
}

/// POST `/select-account`: it is.
///
/// # Errors
/// [`PageError`].
pub async fn post(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    OwnForm(form): OwnForm,
) -> Result<Response, PageError> {
    let id = interaction(&form)?;
    let (interaction, request) = dialogue.reopen_request(&id, &visit).await?;
    let go_on = dialogue.link(RESUME, &id);
    // Bound to the session that was shown: somebody else may have signed in since.
    let csrf = form.optional("csrf").unwrap_or_default();
    if !dialogue.forms.verify(&binding(&id, &visit), csrf) {
        return Err(PageError::StaleForm(go_on));
    }
    let person = dialogue
        .signed_in_for(&interaction, &request, &visit)
        .await?;
    if let Some(person) = person {
        let interactions = &dialogue.authorize.interactions;
        interactions
            .choose(&id, &person.session.id, visit.now)
            .await?;
    }
    Ok(see_other(&go_on))
}

fn binding<'a>(id: &'a InteractionId, visit: &'a Visit) -> Binding<'a> {
    Binding {
        interaction: Some(id.as_str()),
        browser: visit.browser.as_ref(),
        session: visit.session.as_ref(),
        ..Binding::to(Form::SelectAccount)
    }
}
