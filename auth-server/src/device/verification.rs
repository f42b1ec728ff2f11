//! `/device`: where a person types the code that a device shows, sees what it asks for, and lets it in or not (RFC 8628 §3.3).
//!
//! A code that comes with a link is shown in the form and entered by its person all the same (§3.3.1, §5.4).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use shared_protocol::time::Instant;
use shared_server::web::Cause;
use url::form_urlencoded::Serializer;

use super::user_code::UserCode;
use super::{DeviceId, DeviceRequest, EnterError};
use crate::authorize::acr::Proof;
use crate::authorize::agreement::Agreement;
use crate::authorize::consent::{self, Decision};
use crate::authorize::display::Display;
use crate::authorize::error::{AuthorizeError, PageCause};
use crate::authorize::form::OwnForm;
use crate::authorize::page::{PageError, retry_after};
use crate::authorize::request::OwnScope;
use crate::authorize::response::see_other;
use crate::authorize::sign_in;
use crate::authorize::visit::{Dialogue, Visit};
use crate::browser::{Binding, BrowserId, Form};
use crate::claims::GrantedClaims;
use crate::clients::{Client, GrantType};
use crate::grants::Terms;
use crate::interactions::{BeginError, Purpose};
use crate::locales::Locales;
use crate::pages::{AskingDevice, ConsentPage, DecidedPage, Destination, DeviceNotice, DevicePage};
use crate::parameters::Parameters;
use crate::routes::DEVICE;
use crate::sessions::Person;

/// Below the issuer's path: where it is decided.
pub const CONFIRM: &str = "/device/confirm";
/// As much as is kept and shown again of what was typed.
const LONGEST_TYPED: usize = 64;

impl Dialogue {
    /// Where codes are typed, with this one in the form.
    #[must_use]
    pub fn device_path(&self, user_code: Option<&str>) -> String {
        with_code(&self.path(DEVICE), user_code)
    }
}

fn with_code(path: &str, user_code: Option<&str>) -> String {
    let Some(user_code) = user_code else {
        return path.to_owned();
    };
    let mut query = Serializer::new(String::new());
    query.append_pair("user_code", user_code);
    format!("{path}?{}", query.finish())
}

/// GET `/device`. [`sign_in::ANOTHER`] asks for the sign-in form although somebody is signed in.
///
/// # Errors
/// [`PageError`].
pub async fn get(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = Parameters::parse(query.unwrap_or_default().as_bytes())?;
    let typed = typed(&query);
    let another = query.optional(sign_in::ANOTHER).is_some();
    let (browser, cookie) = dialogue.browser(&visit.headers);
    let person = dialogue.person(&visit).await?.filter(|_| !another);
    let mut response = match person {
        Some(person) => {
            let visit = visit.on(browser);
            let typed = typed.unwrap_or_default();
            form(&dialogue, &visit, &person, typed, None).into_response()
        }
        None => sign_in_first(&dialogue, &visit, &browser, typed).await?,
    };
    response.headers_mut().extend(cookie);
    Ok(response)
}

/// What was typed before there was anybody to enter it comes back once somebody has signed in.
async fn sign_in_first(
    dialogue: &Dialogue,
    visit: &Visit,
    browser: &BrowserId,
    user_code: Option<String>,
) -> Result<Response, PageError> {
    let authorize = &dialogue.authorize;
    let begun = authorize.interactions.begin(
        Purpose::Device { user_code },
        Some(browser),
        visit.address,
        visit.now,
        &*authorize.random,
    );
    let id = begun.await.map_err(|error| match error {
        BeginError::TooMany { wait } => AuthorizeError::from(PageCause::TooMany { wait }).into(),
        BeginError::Ephemeral(error) => PageError::from(error),
    })?;
    Ok(see_other(&dialogue.another_account(&id)))
}

/// POST `/device`.
///
/// # Errors
/// [`PageError`].
pub async fn enter(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    OwnForm(posted): OwnForm,
) -> Result<Response, PageError> {
    let typed = typed(&posted);
    let Some(person) = signed_in(&dialogue, &visit).await? else {
        return Ok(see_other(&dialogue.device_path(typed.as_deref())));
    };
    let csrf = posted.optional("csrf").unwrap_or_default();
    if !dialogue.forms.verify(&binding(&visit), csrf) {
        return Err(PageError::StaleForm(dialogue.device_path(typed.as_deref())));
    }
    let typed = typed.unwrap_or_default();
    let session = &person.session;
    let entered = dialogue
        .devices
        .enter(&typed, session, visit.address, visit.now);
    let error = match entered.await {
        Ok(user_code) => {
            let path = dialogue.path(CONFIRM);
            let code = user_code.to_string();
            return Ok(see_other(&with_code(&path, Some(&code))));
        }
        Err(error) => error,
    };
    let again = |notice, status| {
        let page = form(&dialogue, &visit, &person, typed.clone(), Some(notice));
        (status, page).into_response()
    };
    let mut response = match &error {
        EnterError::Unusable => again(DeviceNotice::Unusable, StatusCode::BAD_REQUEST),
        EnterError::TooMany { wait } => {
            let notice = DeviceNotice::TooMany { wait: *wait };
            retry_after(again(notice, StatusCode::TOO_MANY_REQUESTS), *wait)
        }
        EnterError::Ephemeral(_) => {
            let page = again(DeviceNotice::Unavailable, StatusCode::SERVICE_UNAVAILABLE);
            retry_after(page, Duration::from_secs(1))
        }
    };
    response.extensions_mut().insert(Cause(Arc::new(error)));
    Ok(response)
}

/// GET `/device/confirm`: what the device asks for, to the session that entered its code.
///
/// # Errors
/// [`PageError`].
pub async fn confirm(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = Parameters::parse(query.unwrap_or_default().as_bytes())?;
    let Some(person) = signed_in(&dialogue, &visit).await? else {
        return Ok(see_other(&dialogue.device_path(typed(&query).as_deref())));
    };
    let asking = asking(&dialogue, &query, &person, &visit).await?;
    if !asking.is_recent(&person, visit.now) {
        return asking.sign_in_again(&dialogue, &visit).await;
    }
    Ok(page(&dialogue, &asking, &person, &visit).into_response())
}

/// POST `/device/confirm`.
///
/// # Errors
/// [`PageError`].
pub async fn decide(
    State(dialogue): State<Arc<Dialogue>>,
    visit: Visit,
    OwnForm(posted): OwnForm,
) -> Result<Response, PageError> {
    let Some(person) = signed_in(&dialogue, &visit).await? else {
        return Ok(see_other(&dialogue.device_path(typed(&posted).as_deref())));
    };
    let asking = asking(&dialogue, &posted, &person, &visit).await?;
    let csrf = posted.optional("csrf").unwrap_or_default();
    if !dialogue.forms.verify(&asking.binding(&visit), csrf) {
        let code = asking.request.user_code.to_string();
        let path = with_code(&dialogue.path(CONFIRM), Some(&code));
        return Err(PageError::StaleForm(path));
    }
    let decision = consent::decision(&posted)?;
    if !asking.is_recent(&person, visit.now) {
        return asking.sign_in_again(&dialogue, &visit).await;
    }
    let terms = match decision {
        Decision::Approve => Some(terms(&dialogue, &asking, &person, &visit)),
        Decision::Deny => None,
    };
    let (devices, random) = (&dialogue.devices, &*dialogue.authorize.random);
    let decided = devices.decide((asking.id, &asking.request), terms, visit.now, random);
    decided.await.map_err(|error| unusable(&dialogue, error))?;
    let shown = dialogue.shown(&asking.client, &Locales::default(), &visit);
    let page = DecidedPage {
        client_name: shown
            .name
            .unwrap_or_else(|| asking.request.client_id.to_string()),
        name_lang: shown.about.name_lang,
        approved: decision == Decision::Approve,
    };
    Ok(page.into_response())
}

/// What a device asks for, as it stands now.
struct Asking {
    id: DeviceId,
    request: DeviceRequest,
    client: Arc<Client>,
    /// What of it the client may still have.
    asked: Agreement,
    /// What a person is shown, as the form is bound to it: no more is approved than that (threat 9).
    content: Vec<u8>,
}

impl Asking {
    /// How long ago the person signed in; nothing, if they did so for this device.
    fn age(&self, person: &Person, now: Instant) -> Duration {
        let auth_time = person.session.auth_time;
        if auth_time >= self.request.began_at {
            Duration::ZERO
        } else {
            now.since(auth_time)
        }
    }

    /// Whether they signed in as lately as the client registered that it wants it (OpenID Connect Registration §2, `default_max_age`).
    fn is_recent(&self, person: &Person, now: Instant) -> bool {
        let max_age = self.client.metadata.default_max_age.map(u64::from);
        let came_since = person.session.auth_time >= self.request.began_at;
        came_since || max_age.is_none_or(|most| self.age(person, now) < Duration::from_secs(most))
    }

    /// Who signs in again as the same person keeps their session, and so what it entered.
    async fn sign_in_again(
        &self,
        dialogue: &Dialogue,
        visit: &Visit,
    ) -> Result<Response, PageError> {
        let browser = visit.browser.as_ref().ok_or(PageError::NoCookie)?;
        let user_code = self.request.user_code.to_string();
        sign_in_first(dialogue, visit, browser, Some(user_code)).await
    }

    fn binding<'a>(&'a self, visit: &'a Visit) -> Binding<'a> {
        Binding {
            interaction: Some(self.request.user_code.letters()),
            browser: visit.browser.as_ref(),
            session: visit.session.as_ref(),
            content: &self.content,
            ..Binding::to(Form::Device)
        }
    }
}

/// The request whose code the session of `person` entered. A client that lost the grant since is as one that is gone.
async fn asking(
    dialogue: &Dialogue,
    parameters: &Parameters,
    person: &Person,
    visit: &Visit,
) -> Result<Asking, PageError> {
    let gone = || unusable(dialogue, EnterError::Unusable);
    let typed = parameters.optional("user_code").unwrap_or_default();
    let user_code: UserCode = typed.parse().map_err(|_| gone())?;
    let session = &person.session.id;
    let entered = dialogue.devices.entered(&user_code, session, visit.now);
    let (id, request) = entered.await.map_err(|error| unusable(dialogue, error))?;
    let clients = &dialogue.authorize.checks.clients;
    let found = clients
        .find_approved(&request.client_id, visit.address, visit.now)
        .await?;
    let client = found.filter(|client| {
        let grant_types = &client.metadata.grant_types;
        grant_types.contains(&GrantType::DeviceCode)
    });
    let client = client.ok_or_else(gone)?;
    let asked = request.asked.of_client(&client.metadata);
    if asked.is_empty() {
        return Err(gone());
    }
    let content = consent::shown(&asked, &client);
    Ok(Asking {
        id,
        request,
        client,
        asked,
        content,
    })
}

fn unusable(dialogue: &Dialogue, error: EnterError) -> PageError {
    match error {
        EnterError::Ephemeral(error) => error.into(),
        EnterError::Unusable | EnterError::TooMany { .. } => {
            PageError::DeviceCode(dialogue.path(DEVICE))
        }
    }
}

/// Who is signed in at this browser. Forms are bound to the browser, so that one that says nothing has to.
async fn signed_in(dialogue: &Dialogue, visit: &Visit) -> Result<Option<Person>, PageError> {
    if visit.browser.is_none() {
        return Err(PageError::NoCookie);
    }
    dialogue.person(visit).await
}

/// What the person allows. That they were asked is certain here, so that `offline_access` is honoured (OpenID Connect Core §11).
fn terms(dialogue: &Dialogue, asking: &Asking, person: &Person, visit: &Visit) -> Terms {
    let session = &person.session;
    let proof = Proof {
        amr: &session.amr,
        age: asking.age(person, visit.now),
    };
    let levels = &dialogue.authorize.checks.levels;
    Terms {
        client_id: asking.client.id.clone(),
        account_id: person.account.id.clone(),
        session_id: Some(session.id.clone()),
        offline: OwnScope::OfflineAccess.is_in(&asking.asked.own),
        agreed: asking.asked.clone(),
        claims: GrantedClaims::default(),
        auth_time: Some(session.auth_time),
        amr: session.amr.clone(),
        acr: levels.highest(proof).map(str::to_owned),
    }
}

fn typed(parameters: &Parameters) -> Option<String> {
    let typed = parameters.optional("user_code")?;
    Some(typed.chars().take(LONGEST_TYPED).collect())
}

fn form(
    dialogue: &Dialogue,
    visit: &Visit,
    person: &Person,
    typed: String,
    notice: Option<DeviceNotice>,
) -> DevicePage {
    // Shown as the device shows it, so that the two are easily compared.
    let user_code = typed
        .parse::<UserCode>()
        .map_or(typed, |user_code| user_code.to_string());
    let another = dialogue.device_path(Some(&user_code));
    DevicePage {
        action: dialogue.path(DEVICE),
        csrf: dialogue.forms.token(&binding(visit)),
        account_email: person.account.email.to_string(),
        another_account: format!("{another}&{}=1", sign_in::ANOTHER),
        user_code,
        notice,
    }
}

fn page(dialogue: &Dialogue, asking: &Asking, person: &Person, visit: &Visit) -> ConsentPage {
    let shown = dialogue.shown(&asking.client, &Locales::default(), visit);
    let request = &asking.request;
    let servers = &dialogue.authorize.checks.resource_servers;
    ConsentPage {
        action: dialogue.path(CONFIRM),
        hidden: ("user_code", request.user_code.to_string()),
        csrf: dialogue.forms.token(&asking.binding(visit)),
        client_name: shown.name.unwrap_or_else(|| request.client_id.to_string()),
        about: shown.about,
        display: Display::default(),
        client_host: asking.client.document_host(),
        destination: Destination::Device(AskingDevice {
            user_code: request.user_code.to_string(),
            address: request.address.to_string(),
            user_agent: request.user_agent.clone(),
            age: visit.now.since(request.began_at),
        }),
        account_email: person.account.email.to_string(),
        // The session that entered the code decides, and another one would be another.
        another_account: None,
        scopes: consent::own_scopes(&asking.asked),
        resources: consent::resources(&asking.asked, servers),
        offline: OwnScope::OfflineAccess.is_in(&asking.asked.own),
    }
}

fn binding(visit: &Visit) -> Binding<'_> {
    Binding {
        browser: visit.browser.as_ref(),
        session: visit.session.as_ref(),
        ..Binding::to(Form::UserCode)
    }
}
