//! The authentication request (OpenID Connect Core §3.1.2.1).

use serde_json::{Value, json};

use crate::catalogue::rfc9700::stays_at_the_server;
use crate::check::{Stop, Verdict};
use crate::subject::{Arrival, Grant, Registered, Subject};

pub(super) async fn post_is_taken(subject: &Subject) -> Verdict {
    let arrival = subject.authorization()?.end_by_post().await?.arrival()?;
    arrival.keeps_state()?;
    arrival.code().map(drop)
}

/// No form may have been filled in on the way.
fn without_pages(arrival: &Arrival) -> Verdict {
    let pages = arrival.redirected.sign_ins + arrival.redirected.consents;
    arrival
        .answer
        .require(pages == 0, "a page was shown on the way")
}

pub(super) async fn none_without_a_session(subject: &Subject) -> Verdict {
    let browser = subject.new_browser();
    let request = subject.authorization()?.with("prompt", "none");
    let arrival = request.end_in(&browser).await?.arrival()?;
    without_pages(&arrival)?;
    arrival.refused(&["login_required"])?;
    arrival.keeps_state()
}

/// Consent may not be given in silence, least of all to an app that anybody could be.
pub(super) async fn none_with_a_session(subject: &Subject) -> Verdict {
    subject.authorization()?.code().await?;
    let request = subject.authorization()?.with("prompt", "none");
    let arrival = request.arrive().await?;
    without_pages(&arrival)?;
    if arrival.parameter("code").is_some() {
        return Ok(());
    }
    arrival.refused(&["consent_required", "interaction_required"])
}

pub(super) async fn none_beside_login(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("prompt", "none login");
    let arrival = request.arrive().await?;
    without_pages(&arrival)?;
    arrival.refused(&["invalid_request"])
}

/// A first way signs the person in, so that the second one's form is the answer to its parameters.
async fn signs_in_again(subject: &Subject, name: &str, value: &str) -> Verdict {
    subject.authorization()?.code().await?;
    let request = subject.authorization()?.with(name, value);
    let arrival = request.arrive().await?;
    arrival.answer.require(
        arrival.redirected.sign_ins > 0,
        format!("{name}={value} did not lead to the sign-in form"),
    )?;
    arrival.code().map(drop)
}

pub(super) async fn login_signs_in_again(subject: &Subject) -> Verdict {
    signs_in_again(subject, "prompt", "login").await
}

/// Nothing is younger than 0 s.
pub(super) async fn max_age_signs_in_again(subject: &Subject) -> Verdict {
    signs_in_again(subject, "max_age", "0").await
}

pub(super) async fn consent_is_asked(subject: &Subject) -> Verdict {
    subject.authorization()?.code().await?;
    let request = subject.authorization()?.with("prompt", "consent");
    let arrival = request.arrive().await?;
    arrival.answer.require(
        arrival.redirected.consents > 0,
        "prompt=consent did not lead to a consent form",
    )
}

pub(super) async fn preferences_cause_no_error(subject: &Subject) -> Verdict {
    let request = subject
        .authorization()?
        .with("display", "popup")
        .with("ui_locales", "de-CH fr x-none");
    let request = request
        .with("claims_locales", "de fr")
        .with("acr_values", "urn:example:none 1");
    request.code().await.map(drop)
}

/// A web app that the person has signed in to, and what that gave.
async fn consented(subject: &Subject) -> Result<(Registered, Grant), Stop> {
    let client = subject.web_app(json!({})).await?;
    let code = subject.authorization_of(&client)?.code().await?;
    let grant = subject.redeem_as(&client, &code).await?;
    Ok((client, grant))
}

/// A silent request that must give a code, for the person of `grant`.
async fn silent(
    subject: &Subject,
    client: &Registered,
    grant: &Grant,
    hint: Option<&str>,
) -> Verdict {
    let request = subject.authorization_of(client)?.with("prompt", "none");
    let request = match hint {
        Some(hint) => request.with("id_token_hint", hint),
        None => request,
    };
    let arrival = request.arrive().await?;
    without_pages(&arrival)?;
    let again = subject.redeem_as(client, &arrival.code()?).await?;
    let (first, next) = (grant.id_token()?.claims, again.id_token()?.claims);
    again.answer.require(
        first.get("sub") == next.get("sub"),
        "sub is not that of the first sign-in",
    )
}

pub(super) async fn none_with_consent(subject: &Subject) -> Verdict {
    let (client, grant) = consented(subject).await?;
    silent(subject, &client, &grant, None).await
}

pub(super) async fn hint_of_the_person(subject: &Subject) -> Verdict {
    let (client, grant) = consented(subject).await?;
    let hint = grant.raw_id_token()?;
    silent(subject, &client, &grant, Some(hint)).await
}

pub(super) async fn hint_without_a_session(subject: &Subject) -> Verdict {
    let (client, grant) = consented(subject).await?;
    let request = subject.authorization_of(&client)?.with("prompt", "none");
    let request = request.with("id_token_hint", grant.raw_id_token()?);
    let browser = subject.new_browser();
    let arrival = request.end_in(&browser).await?.arrival()?;
    without_pages(&arrival)?;
    arrival.refused(&["login_required"])
}

pub(super) async fn login_hint_causes_no_error(subject: &Subject) -> Verdict {
    for hint in ["somebody@as.example", "+1 555 <0100>\"&"] {
        let request = subject.authorization()?.with("login_hint", hint);
        request.code().await?;
    }
    Ok(())
}

pub(super) async fn every_display_is_taken(subject: &Subject) -> Verdict {
    for display in ["page", "popup", "touch", "wap"] {
        let request = subject.authorization()?.with("display", display);
        request.code().await?;
    }
    Ok(())
}

pub(super) async fn redirect_uri_is_required(subject: &Subject) -> Verdict {
    stays_at_the_server(subject.authorization()?.without("redirect_uri")).await
}

const WITH_QUERY: &str = "https://client.example/callback?tenant=a%20b";

async fn app_with_a_query(subject: &Subject) -> Result<Registered, Stop> {
    let more = json!({ "redirect_uris": [WITH_QUERY] });
    subject.web_app(more).await
}

pub(super) async fn query_is_kept(subject: &Subject) -> Verdict {
    let client = app_with_a_query(subject).await?;
    let arrival = subject.authorization_of(&client)?.arrive().await?;
    arrival.keeps_state()?;
    let query = arrival.redirected.url.query().unwrap_or_default();
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let kept = pairs
        .iter()
        .any(|(name, value)| name == "tenant" && value == "a b");
    arrival
        .answer
        .require(kept, "the query of the redirection URI is lost")?;
    let code = arrival.code()?;
    subject.redeem_as(&client, &code).await.map(drop)
}

pub(super) async fn query_has_to_match(subject: &Subject) -> Verdict {
    let client = app_with_a_query(subject).await?;
    for other in [
        "https://client.example/callback",
        "https://client.example/callback?tenant=other",
        "https://client.example/callback?tenant=a%20b&more=1",
    ] {
        let request = subject.authorization_of(&client)?;
        stays_at_the_server(request.with("redirect_uri", other)).await?;
    }
    Ok(())
}

/// A request object of a kind that servers without them are asked with most.
async fn not_supported(subject: &Subject, name: &str, value: &str) -> Verdict {
    let flag = format!("{name}_parameter_supported");
    // OpenID Connect Discovery §3: request_uri is supported where nothing is said.
    let announced = subject.metadata().0.get(&flag).and_then(Value::as_bool);
    if announced.unwrap_or(name == "request_uri") {
        let reason = format!("{flag} does not say false");
        return Err(Stop::not_applicable(reason));
    }
    let request = subject.authorization()?.with(name, value);
    let error = format!("{name}_not_supported");
    request.refused_anywhere(&[&error]).await
}

pub(super) async fn request_not_supported(subject: &Subject) -> Verdict {
    not_supported(subject, "request", "eyJhbGciOiJub25lIn0.e30.").await
}

pub(super) async fn request_uri_not_supported(subject: &Subject) -> Verdict {
    let uri = "https://client.example/request.jwt";
    not_supported(subject, "request_uri", uri).await
}

pub(super) async fn secret_in_the_body(subject: &Subject) -> Verdict {
    let more = json!({"token_endpoint_auth_method": "client_secret_post"});
    let client = subject.web_app(more).await?;
    let code = subject.authorization_of(&client)?.code().await?;
    subject.redeem_as(&client, &code).await.map(drop)
}
