//! The step in which a person makes an account (Initiating User Registration via OpenID Connect 1.0).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use shared_server::web::Cause;

use super::RESUME;
use super::form::OwnForm;
use super::page::{PageError, caused, retry_after};
use super::response::see_other;
use super::visit::{Dialogue, Errand, InteractionQuery, Visit, interaction};
use crate::accounts::sign_up::{NewPerson, SignUp, SignUpRefusal};
use crate::browser::{Binding, Form};
use crate::interactions::InteractionId;
use crate::pages::{SignUpNotice, SignUpPage};
use crate::parameters::Parameters;
use crate::sessions::BeginError;

/// Below the issuer's path.
pub const PATH: &str = "/register";
/// As much of a name or an address as is looked at and shown again; what is longer will not do.
const LONGEST: usize = 1024;

/// GET `/register`.
///
/// # Errors
/// [`PageError`].
pub async fn get(
    State(dialogue): State<Arc<Dialogue>>,
    InteractionQuery(id): InteractionQuery,
    visit: Visit,
) -> Result<Response, PageError> {
    let (interaction, errand) = dialogue.reopen(&id, &visit).await?;
    let person = dialogue.signed_in(&interaction, &errand, &visit).await?;
    if person.is_some() {
        // Perhaps in another tab.
        return Ok(see_other(&dialogue.link(RESUME, &id)));
    }
    let typed = Typed {
        email: errand.login_hint(),
        name: String::new(),
    };
    Ok(form(&dialogue, &id, &errand, &visit, typed).into_response())
}

/// POST `/register`.
///
/// # Errors
/// [`PageError`].
pub async fn post(
    State(dialogue): State<Arc<Dialogue>>,
    State(sign_up): State<Arc<SignUp>>,
    visit: Visit,
    OwnForm(posted): OwnForm,
) -> Result<Response, PageError> {
    let id = interaction(&posted)?;
    let (interaction, errand) = dialogue.reopen(&id, &visit).await?;
    let typed = Typed::of(&posted);
    let again = |notice, status| {
        let mut page = form(&dialogue, &id, &errand, &visit, typed.clone());
        page.notice = Some(notice);
        (status, page).into_response()
    };
    let csrf = posted.optional("csrf").unwrap_or_default();
    if !dialogue.forms.verify(&binding(&id, &visit), csrf) {
        let stale = PageError::StaleForm(dialogue.link(RESUME, &id));
        let person = dialogue.signed_in(&interaction, &errand, &visit).await?;
        if person.is_some() {
            return Err(stale);
        }
        let page = again(SignUpNotice::Expired, StatusCode::BAD_REQUEST);
        return Ok(caused(page, stale));
    }
    let password: SecretString = posted.optional("password").unwrap_or_default().into();
    let person = NewPerson {
        email: &typed.email,
        name: &typed.name,
        password,
        address: visit.address,
    };
    let refusal = match sign_up.attempt(person, visit.now).await {
        Ok(proven) => match dialogue.welcome(&proven, &id, &visit).await {
            Ok(response) => return Ok(response),
            // There is an account now, whose password is known: they sign in.
            Err(BeginError::AccountChanged) => SignUpRefusal::Taken,
            Err(BeginError::Store(error)) => error.into(),
        },
        Err(refusal) => refusal,
    };
    let mut response = match &refusal {
        SignUpRefusal::Email => again(SignUpNotice::Email, StatusCode::BAD_REQUEST),
        SignUpRefusal::Name => again(SignUpNotice::Name, StatusCode::BAD_REQUEST),
        SignUpRefusal::Password(refusal) => {
            again(SignUpNotice::Password(*refusal), StatusCode::BAD_REQUEST)
        }
        SignUpRefusal::Taken => again(SignUpNotice::Taken, StatusCode::BAD_REQUEST),
        SignUpRefusal::TooMany(limited) => {
            let notice = SignUpNotice::TooMany {
                wait: limited.wait(),
            };
            let mut page = again(notice, StatusCode::TOO_MANY_REQUESTS);
            limited.write(page.headers_mut());
            page
        }
        SignUpRefusal::Hash(_) | SignUpRefusal::Accounts(_) => {
            let page = again(SignUpNotice::Unavailable, StatusCode::SERVICE_UNAVAILABLE);
            retry_after(page, Duration::from_secs(1))
        }
    };
    response.extensions_mut().insert(Cause(Arc::new(refusal)));
    Ok(response)
}

/// What was typed, but for the password.
#[derive(Clone)]
struct Typed {
    email: String,
    name: String,
}

impl Typed {
    fn of(posted: &Parameters) -> Self {
        let text = |name: &'static str| {
            let text = posted.optional(name).unwrap_or_default();
            text.chars().take(LONGEST).collect()
        };
        Self {
            email: text("email"),
            name: text("name"),
        }
    }
}

fn form(
    dialogue: &Dialogue,
    id: &InteractionId,
    errand: &Errand,
    visit: &Visit,
    typed: Typed,
) -> SignUpPage {
    let shown = dialogue.shown_of(errand, visit);
    SignUpPage {
        action: dialogue.path(PATH),
        interaction: id.to_string(),
        csrf: dialogue.forms.token(&binding(id, visit)),
        email: typed.email,
        name: typed.name,
        client_name: shown.name,
        about: shown.about,
        display: errand.display(),
        sign_in: dialogue.another_account(id),
        notice: None,
    }
}

fn binding<'a>(id: &'a InteractionId, visit: &'a Visit) -> Binding<'a> {
    Binding {
        interaction: Some(id.as_str()),
        browser: visit.browser.as_ref(),
        session: visit.session.as_ref(),
        ..Binding::to(Form::SignUp)
    }
}
