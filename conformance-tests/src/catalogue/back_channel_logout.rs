//! OpenID Connect Back-Channel Logout 1.0.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must};
use crate::check::{Verdict, check};
use crate::subject::Subject;

const BACK_CHANNEL: &[Feature] = &[Feature::Flag("backchannel_logout_supported")];

/// A logout token is sent by the server, to where it can reach.
const NO_HOST: &str = "needs an address of the tests that the issuer sends logout tokens to";

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
        &[],
    )
    .unchecked(NO_HOST)
    .when(BACK_CHANNEL),
    must(
        "back-channellogout-2.5-request",
        "2.5",
        "A logout token is posted as a form to the registered address of every app of the session.",
        &[],
    )
    .unchecked(NO_HOST)
    .when(BACK_CHANNEL),
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
