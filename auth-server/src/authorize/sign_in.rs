//! The step in which a person signs in by address and password.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use shared_server::web::Cause;

use super::form::OwnForm;
use super::page::{PageError, caused, retry_after};
use super::response::see_other;
use super::visit::{Dialogue, Errand, InteractionQuery, Visit, interaction};
use super::{RESUME, sign_up};
use crate::accounts::sign_in::{Attempt, SignInRefusal};
use crate::browser::{Binding, Form};
use crate::interactions::InteractionId;
use crate::pages::{SignInNotice, SignInPage};
use crate::parameters::Parameters;

/// Below the issuer's path.
pub const PATH: &str = "/login";
/// The parameter by which somebody else asks for the form.
pub const ANOTHER: &str = "another";
/// As much of an address as is looked at and shown again; one that is longer is nobody's.
const LONGEST_ADDRESS: usize = 1024;

/// GET `/login`. [`ANOTHER`] asks for the form although somebody is signed in.
///
/// # Errors
/// [`PageError`].
pub async fn get(
    State(dialogue): State<Arc<Dialogue>>,
    InteractionQuery(id): InteractionQuery,
    RawQuery(query): RawQuery,
    visit: Visit,
) -> Result<Response, PageError> {
    let (interaction, errand) = dialogue.reopen(&id, &visit).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes())?;
    let another = query.optional(ANOTHER).is_some() && !errand.is_silent();
    if !another
        && dialogue
            .signed_in(&interaction, &errand, &visit)
            .await?
            .is_some()
    {
        // Perhaps in another tab.
        return Ok(see_other(&dialogue.link(RESUME, &id)));
    }
    let hint = errand.login_hint();
    let page = form(&dialogue, &id, &errand, &visit, hint);
    Ok(page.into_response())
}

/// POST `/login`.
///
/// # Errors
/// [`PageError`].
pub async fn post(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    OwnForm(typed): OwnForm,
) -> Result<Response, PageError> {
    let id = interaction(&typed)?;
    let (interaction, errand) = dialogue.reopen(&id, &visit).await?;
    let email = address(&typed);
    let again = |notice, status| {
        let mut page = form(&dialogue, &id, &errand, &visit, email.clone());
        page.notice = Some(notice);
        (status, page).into_response()
    };
    let csrf = typed.optional("csrf").unwrap_or_default();
    if !dialogue.forms.verify(&binding(&id, &visit), csrf) {
        // Somebody signed in, or out, since the form was made.
        let stale = PageError::StaleForm(dialogue.link(RESUME, &id));
        if dialogue
            .signed_in(&interaction, &errand, &visit)
            .await?
            .is_some()
        {
            return Err(stale);
        }
        let page = again(SignInNotice::Expired, StatusCode::BAD_REQUEST);
        return Ok(caused(page, stale));
    }
    // Whole, however long: `Password::typed` makes what is too long nobody's, and a part of it could be somebody's.
    let password: SecretString = typed.optional("password").unwrap_or_default().into();
    match sign_in(&dialogue, &id, &visit, &email, password).await {
        Ok(response) => Ok(response),
        Err(refusal) => {
            // 400: 401 would have to name a scheme of HTTP (RFC 9110 §15.5.2), and this is none.
            let mut response = match &refusal {
                SignInRefusal::Credentials(_) => {
                    again(SignInNotice::Credentials, StatusCode::BAD_REQUEST)
                }
                SignInRefusal::TooMany { wait, .. } => {
                    let notice = SignInNotice::TooMany { wait: *wait };
                    retry_after(again(notice, StatusCode::TOO_MANY_REQUESTS), *wait)
                }
                SignInRefusal::Busy
                | SignInRefusal::Hash
                | SignInRefusal::Store(_)
                | SignInRefusal::Ephemeral(_) => {
                    let page = again(SignInNotice::Unavailable, StatusCode::SERVICE_UNAVAILABLE);
                    retry_after(page, Duration::from_secs(1))
                }
            };
            response.extensions_mut().insert(Cause(Arc::new(refusal)));
            Ok(response)
        }
    }
}

/// Judges what was typed, and goes on.
async fn sign_in(
    dialogue: &Dialogue,
    id: &InteractionId,
    visit: &Visit,
    email: &str,
    password: SecretString,
) -> Result<Response, SignInRefusal> {
    let attempt = Attempt {
        email,
        password: &password,
        address: visit.address,
        device: dialogue.cookies.device(&visit.headers),
    };
    let proven = dialogue.sign_in.attempt(&attempt, visit.now).await?;
    Ok(dialogue.welcome(&proven, id, visit).await?)
}

fn form(
    dialogue: &Dialogue,
    id: &InteractionId,
    errand: &Errand,
    visit: &Visit,
    email: String,
) -> SignInPage {
    let shown = dialogue.shown_of(errand, visit);
    SignInPage {
        action: dialogue.path(PATH),
        interaction: id.to_string(),
        csrf: dialogue.forms.token(&binding(id, visit)),
        email,
        client_name: shown.name,
        about: shown.about,
        display: errand.display(),
        sign_up: dialogue
            .may_sign_up
            .then(|| dialogue.link(sign_up::PATH, id)),
        notice: None,
    }
}

fn address(typed: &Parameters) -> String {
    let email = typed.optional("email").unwrap_or_default();
    email.chars().take(LONGEST_ADDRESS).collect()
}

/// What the form is bound to: the interaction, the browser, and who was signed in when it was made.
fn binding<'a>(id: &'a InteractionId, visit: &'a Visit) -> Binding<'a> {
    Binding {
        interaction: Some(id.as_str()),
        browser: visit.browser.as_ref(),
        session: visit.session.as_ref(),
        ..Binding::to(Form::SignIn)
    }
}
