//! OpenID Connect Back-Channel Logout 1.0.

use std::time::Duration;

use serde_json::Value;

use super::oidc_registration::{let_in, names};
use super::{Feature, Requirement, Standard, must};
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::listener::Heard;
use crate::subject::{Grant, Registered, Subject};

const SENT: &[Feature] = &[
    Feature::Flag("backchannel_logout_supported"),
    Feature::Member("end_session_endpoint"),
    Feature::Member("registration_endpoint"),
];

/// How long a logout token may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) const STANDARD: Standard = Standard {
    id: "Back-Channel Logout",
    title: "OpenID Connect Back-Channel Logout 1.0",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "back-channellogout-2.1-metadata",
        "2.1",
        "backchannel_logout_supported and backchannel_logout_session_supported are true or false.",
        &[check!(look flags_are_flags)],
    ),
    must(
        "back-channellogout-2.2-registration",
        "2.2",
        "backchannel_logout_uri is taken and told; one with a fragment is not.",
        &[check!(uri_is_registered), check!(fragment_is_refused)],
    )
    .when(&[
        Feature::Flag("backchannel_logout_supported"),
        Feature::Member("registration_endpoint"),
    ]),
    must(
        "back-channellogout-2.4-sid",
        "2.4",
        "ID tokens have sid where backchannel_logout_session_supported is announced.",
        &[check!(id_token_has_sid)],
    )
    .when(&[Feature::Flag("backchannel_logout_session_supported")]),
    must(
        "back-channellogout-2.4-logout-token",
        "2.4",
        "A logout token is a signed JWT with iss, aud, iat, exp, jti, the event, and sub or sid, and without nonce.",
        &[check!(logout_token_is_right)],
    )
    .when(SENT),
    must(
        "back-channellogout-2.5-request",
        "2.5",
        "A logout token is posted as a form to the app's registered address when the person signs out.",
        &[check!(logout_token_is_posted)],
    )
    .when(SENT),
    must(
        "back-channellogout-2.7-refresh-tokens",
        "2.7",
        "Refresh tokens without offline_access end with the session.",
        &[check!(refresh_token_ends)],
    )
    .when(&[
        Feature::Flag("backchannel_logout_supported"),
        Feature::Member("end_session_endpoint"),
        Feature::Member("registration_endpoint"),
        Feature::Grant("refresh_token"),
    ]),
];

fn flags_are_flags(subject: &Subject) -> Verdict {
    let metadata = &subject.metadata().0;
    for name in [
        "backchannel_logout_supported",
        "backchannel_logout_session_supported",
    ] {
        let right = metadata.get(name).is_none_or(Value::is_boolean);
        subject
            .document()?
            .require(right, format!("{name} is neither true nor false"))?;
    }
    Ok(())
}

const ADDRESS: &str = "https://client.example/logout-token";

async fn uri_is_registered(subject: &Subject) -> Verdict {
    let more = serde_json::json!({ "backchannel_logout_uri": ADDRESS });
    let client = subject.web_app(more).await?;
    let told = client.metadata()?.get("backchannel_logout_uri").cloned();
    client.answer.require(
        told == Some(ADDRESS.into()),
        format!("backchannel_logout_uri is {told:?}"),
    )
}

async fn fragment_is_refused(subject: &Subject) -> Verdict {
    let more = serde_json::json!({ "backchannel_logout_uri": format!("{ADDRESS}#f") });
    let answer = subject.register(&subject.web_app_metadata(more)).await?;
    answer.refused(&[400], &["invalid_client_metadata"])
}

async fn id_token_has_sid(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let claims = grant.id_token()?.claims;
    grant.answer.require(
        claims.get("sid").is_some_and(Value::is_string),
        "the ID token has no sid",
    )
}

async fn refresh_token_ends(subject: &Subject) -> Verdict {
    let client = subject.web_app(serde_json::json!({})).await?;
    let browser = subject.new_browser();
    let request = subject.authorization_of(&client)?;
    let code = request.end_in(&browser).await?.arrival()?.code()?;
    let grant = subject.redeem_as(&client, &code).await?;
    grant.refresh_token()?;
    let mut url = subject.endpoint("end_session_endpoint")?;
    url.query_pairs_mut()
        .append_pair("id_token_hint", grant.raw_id_token()?);
    let out = browser.sign_out(&url).await;
    out.map_err(|cause| subject.lost(&cause))?;
    let request = client.authenticated(grant.refresh(subject)?)?;
    let answer = request.send().await?;
    answer.refused(&[400], &["invalid_grant"])
}

/// Somebody signs in to an app and out again: what the app was told.
async fn told(subject: &Subject) -> Result<(Registered, Grant, Heard), Stop> {
    let listener = subject.listener()?;
    let place = format!("logout/{}", subject.unique());
    let more = serde_json::json!({ "backchannel_logout_uri": listener.url(&place) });
    let client = subject.reaching_client(more).await?;
    let browser = subject.new_browser();
    let request = subject.authorization_of(&client)?;
    let code = request.end_in(&browser).await?.arrival()?.code()?;
    let grant = subject.redeem_as(&client, &code).await?;
    let mut url = subject.endpoint("end_session_endpoint")?;
    url.query_pairs_mut()
        .append_pair("id_token_hint", grant.raw_id_token()?);
    let out = browser.sign_out(&url).await;
    let out = out.map_err(|cause| subject.lost(&cause))?;
    let Some(heard) = listener.heard(&place, PATIENCE).await else {
        // An issuer that fetches keys from the tests could have sent it.
        let_in(subject).await?;
        let seconds = PATIENCE.as_secs();
        let page = subject.seen(&out.page);
        return Err(page.fail(format!("no logout token came within {seconds} s")));
    };
    Ok((client, grant, heard))
}

fn logout_token(grant: &Grant, heard: &Heard) -> Result<Jws, Stop> {
    let pairs = url::form_urlencoded::parse(heard.body.as_bytes());
    let mut tokens = pairs.filter(|(name, _)| name == "logout_token");
    let token = tokens.next().and_then(|(_, token)| Jws::parse(&token));
    token.ok_or_else(|| {
        grant
            .answer
            .fail("what was posted has no logout_token that is a signed JWT")
    })
}

async fn logout_token_is_posted(subject: &Subject) -> Verdict {
    let (_, grant, heard) = told(subject).await?;
    grant.answer.require(
        heard.media_type == "application/x-www-form-urlencoded",
        format!("the logout token came as {}", heard.media_type),
    )?;
    logout_token(&grant, &heard).map(drop)
}

async fn logout_token_is_right(subject: &Subject) -> Verdict {
    let (client, grant, heard) = told(subject).await?;
    let token = logout_token(&grant, &heard)?;
    let (keys, _) = subject.keys().await?;
    let verified = token.verify(&keys);
    verified.map_err(|reason| grant.answer.fail(reason))?;
    let claims = &token.claims;
    let id_token = grant.id_token()?.claims;
    let same = |name: &str| claims.contains_key(name) && claims.get(name) == id_token.get(name);
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let events = claims.get("events").and_then(|events| events.get(event));
    let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
    for (holds, what) in [
        (same("iss"), "iss is not that of the ID token"),
        (
            names(claims.get("aud"), &client.client_id),
            "aud does not name the app",
        ),
        (
            same("sub") || same("sid"),
            "neither sub nor sid is that of the ID token",
        ),
        (seconds("iat").is_some(), "iat is missing or not a number"),
        (
            seconds("exp") > Some(subject.now()),
            "exp is missing, no number, or past",
        ),
        (
            claims.get("jti").is_some_and(Value::is_string),
            "jti is missing",
        ),
        (
            events.is_some_and(Value::is_object),
            "events does not have the event",
        ),
        (!claims.contains_key("nonce"), "there is a nonce"),
    ] {
        let reason = format!("the logout token is wrong: {what}");
        grant.answer.require(holds, reason)?;
    }
    Ok(())
}
