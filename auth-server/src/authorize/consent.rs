//! The step in which a person decides what a client may do.

mod details;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::agreement::Agreement;
use super::decision::Consented;
use super::error::{AuthorizeError, RedirectCause};
use super::form::OwnForm;
use super::page::PageError;
use super::request::{AuthorizationRequest, OwnScope};
use super::response::{AuthorizationResponse, see_other};
use super::visit::{Dialogue, InteractionQuery, Visit, interaction};
use super::{Next, RESUME};
use crate::browser::{Binding, Form};
use crate::clients::Client;
use crate::interactions::{Interaction, InteractionId};
use crate::pages::{ConsentPage, Destination, ResourceLine, ScopeLine};
use crate::parameters::{InvalidParameters, Parameters};
use crate::resource_servers::ResourceServers;
use crate::sessions::Person;

/// Below the issuer's path.
pub const PATH: &str = "/consent";

/// What a person decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    Approve,
    Deny,
}

/// GET `/consent`.
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
    let Ok(Next::Consent(person)) = next else {
        // Perhaps in another tab; or the client has to be told something, which is done once, and there.
        return Ok(see_other(&dialogue.link(RESUME, &id)));
    };
    Ok(page(&dialogue, &id, &request, &person, &visit).into_response())
}

/// POST `/consent`.
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
    let csrf = form.optional("csrf").unwrap_or_default();
    let content = shown(&request.asked, &request.client);
    if !dialogue.forms.verify(&binding(&id, &visit, &content), csrf) {
        return Err(PageError::StaleForm(dialogue.link(RESUME, &id)));
    }
    let decision = decision(&form)?;
    let told = |cause| AuthorizeError::Redirect(Box::new(request.back.clone()), cause);
    let Some(person) = dialogue
        .signed_in_for(&interaction, &request, &visit)
        .await?
    else {
        return Ok(see_other(&dialogue.link(RESUME, &id)));
    };
    dialogue.spend(&id, &request, visit.now).await?;
    let answered = match decision {
        Decision::Deny => Err(RedirectCause::Denied),
        Decision::Approve => approve(&dialogue, (&interaction, &request), &person, &visit).await,
    };
    Ok(answered.map_err(told)?.into_response())
}

pub(crate) fn decision(form: &Parameters) -> Result<Decision, InvalidParameters> {
    match form.required("decision")? {
        "approve" => Ok(Decision::Approve),
        "deny" => Ok(Decision::Deny),
        _ => Err(InvalidParameters::Malformed("decision")),
    }
}

async fn approve(
    dialogue: &Dialogue,
    (interaction, request): (&Interaction, &AuthorizationRequest),
    person: &Person,
    visit: &Visit,
) -> Result<AuthorizationResponse, RedirectCause> {
    let authorize = &dialogue.authorize;
    let client = &request.client;
    if client.digest().is_some() {
        let registered = &authorize.checks.clients.registered;
        registered.keep(client, visit.now).await?;
    }
    if !request.is_never_silent() {
        let account_id = &person.account.id;
        authorize
            .consents
            .remember(account_id, client, &request.asked, visit.now)
            .await?;
    }
    authorize
        .issue(
            request,
            person,
            Consented::Shown,
            Some(interaction),
            visit.now,
        )
        .await
}

fn page(
    dialogue: &Dialogue,
    id: &InteractionId,
    request: &AuthorizationRequest,
    person: &Person,
    visit: &Visit,
) -> ConsentPage {
    let content = shown(&request.asked, &request.client);
    let shown = dialogue.shown(&request.client, &request.locales, visit);
    let redirect_uri = &request.back.redirect_uri;
    ConsentPage {
        action: dialogue.path(PATH),
        hidden: ("interaction", id.to_string()),
        csrf: dialogue.forms.token(&binding(id, visit, &content)),
        client_name: shown.name.unwrap_or_else(|| request.client.id.to_string()),
        about: shown.about,
        display: request.display,
        client_host: request.client.document_host(),
        destination: if redirect_uri.is_on_device() {
            Destination::ThisDevice(redirect_uri.host())
        } else {
            Destination::Host(redirect_uri.host())
        },
        account_email: person.account.email.to_string(),
        another_account: Some(dialogue.another_account(id)),
        scopes: own_scopes(&request.asked),
        resources: resources(&request.asked, &dialogue.authorize.checks.resource_servers),
        offline: OwnScope::OfflineAccess.is_in(&request.scope),
    }
}

/// What the client wants to know of the person: by scope, and then claim by claim.
pub(crate) fn own_scopes(asked: &Agreement) -> Vec<ScopeLine> {
    let own = asked.own.iter().filter_map(OwnScope::of);
    let scopes = own.filter_map(|scope| Some((scope.as_str(), scope.description()?)));
    let claims = asked.claims.iter();
    let claims = claims.map(|claim| (claim.as_str(), claim.description()));
    let lines = scopes.chain(claims);
    lines
        .map(|(name, description)| ScopeLine {
            name: name.to_owned(),
            description: description.to_owned(),
        })
        .collect()
}

pub(crate) fn resources(asked: &Agreement, servers: &ResourceServers) -> Vec<ResourceLine> {
    let mut lines = Vec::new();
    for server in servers.all() {
        let normal = server.identifier.normal();
        let (scope, details) = (asked.resources.get(normal), asked.details.get(normal));
        if scope.is_none() && details.is_none() {
            continue;
        }
        let is_asked = |name| scope.is_some_and(|scope| scope.contains(name));
        let scopes = server.scopes.iter().filter(|(name, _)| is_asked(name));
        lines.push(ResourceLine {
            name: server.name.clone(),
            identifier: server.identifier.to_string(),
            scopes: scopes
                .map(|(name, description)| ScopeLine {
                    name: name.to_string(),
                    description: description.clone(),
                })
                .collect(),
            details: details
                .map(|details| details::lines(details, servers))
                .unwrap_or_default(),
        });
    }
    lines
}

/// What a person is shown, as the form is bound to it: no more is approved than that (threat 9).
pub(crate) fn shown(asked: &Agreement, client: &Client) -> Vec<u8> {
    // A client that describes itself may have become another since.
    let said = client.digest().map(|digest| (digest, client.name()));
    // Text and lists of it always have a JSON form.
    serde_json::to_vec(&(asked, said)).unwrap_or_default()
}

fn binding<'a>(id: &'a InteractionId, visit: &'a Visit, content: &'a [u8]) -> Binding<'a> {
    Binding {
        interaction: Some(id.as_str()),
        browser: visit.browser.as_ref(),
        session: visit.session.as_ref(),
        content,
        ..Binding::to(Form::Consent)
    }
}
