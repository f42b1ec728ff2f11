//! OpenID Connect Dynamic Client Registration 1.0.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{Feature, Requirement, Standard, must};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::jws::{self, Jws};
use crate::subject::{Registered, Subject};
use crate::target::AssertionKey;

const REGISTRATION: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Listed("scopes_supported", "openid"),
];
const SIGN_IN: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("scopes_supported", "openid"),
];
const SIGNED_USERINFO: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Member("authorization_endpoint"),
    Feature::Member("userinfo_endpoint"),
    Feature::Member("userinfo_signing_alg_values_supported"),
    Feature::Listed("scopes_supported", "openid"),
];
const PAIRWISE: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Listed("subject_types_supported", "pairwise"),
];

const KEYS: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::ClientAuthentication("private_key_jwt"),
];

/// How often, and how long between, it is tried whether a client is let in.
const LOOKS: usize = 15;
const PAUSE: Duration = Duration::from_secs(1);

const NO_HOST: &str = "needs a document of the tests at an https address that the issuer can fetch";

pub(super) const STANDARD: Standard = Standard {
    id: "OIDC Registration",
    title: "OpenID Connect Dynamic Client Registration 1.0",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "oidcregistration-2-id-token-alg",
        "2",
        "ID tokens are signed with the registered id_token_signed_response_alg, RS256 where none is.",
        &[check!(id_tokens_have_the_registered_algorithm)],
    )
    .when(SIGN_IN),
    must(
        "oidcregistration-2-userinfo-alg",
        "2",
        "With userinfo_signed_response_alg, userinfo is a JWT signed with it that names issuer and client.",
        &[check!(userinfo_is_signed)],
    )
    .when(SIGNED_USERINFO),
    must(
        "oidcregistration-2-application-type",
        "2",
        "A client that does not say so is a web app; web apps have https redirects, native ones loopback or schemes of their own.",
        &[check!(web_apps_have_https_redirects)],
    )
    .when(REGISTRATION),
    must(
        "oidcregistration-2-uris",
        "2",
        "client_uri, policy_uri and tos_uri are taken and told, in every language.",
        &[check!(uris_are_told)],
    )
    .when(REGISTRATION),
    must(
        "oidcregistration-2-uris-shown",
        "2",
        "The person is shown links to the policy and the terms.",
        &[check!(policy_and_terms_are_linked)],
    )
    .when(SIGN_IN),
    must(
        "oidcregistration-2-logo-uri",
        "2",
        "The logo of logo_uri is shown to the person.",
        &[],
    )
    .unchecked(NO_HOST)
    .when(REGISTRATION),
    must(
        "oidcregistration-2-default-max-age",
        "2",
        "default_max_age holds where a request has no max_age.",
        &[check!(default_max_age_signs_in_again)],
    )
    .when(SIGN_IN),
    must(
        "oidcregistration-2-jwks-uri",
        "2",
        "Keys are fetched from jwks_uri.",
        &[check!(keys_are_fetched)],
    )
    .when(KEYS),
    must(
        "oidcregistration-3.2-response",
        "3.2",
        "A registration is answered 201 with what was registered.",
        &[check!(is_answered)],
    )
    .when(REGISTRATION),
    must(
        "oidcregistration-5-sector-bad",
        "5",
        "Redirection URIs on several hosts need a sector_identifier_uri whose document lists them all.",
        &[check!(two_hosts_need_a_sector), check!(sector_that_is_not_there)],
    )
    .when(PAIRWISE),
    must(
        "oidcregistration-5-sector",
        "5",
        "A sector_identifier_uri whose document lists all redirection URIs is taken.",
        &[],
    )
    .unchecked(NO_HOST)
    .when(PAIRWISE),
];

async fn redeemed(subject: &Subject, client: &Registered) -> Result<crate::subject::Grant, Stop> {
    let code = subject.authorization_of(client)?.code().await?;
    subject.redeem_as(client, &code).await
}

async fn id_tokens_have_the_registered_algorithm(subject: &Subject) -> Verdict {
    let announced = subject
        .metadata()
        .list("id_token_signing_alg_values_supported");
    let (keys, _) = subject.keys().await?;
    let asked = announced
        .iter()
        .filter(|alg| **alg != "none" && !alg.starts_with("HS"));
    for algorithm in std::iter::once(None).chain(asked.map(Some)) {
        let more = match algorithm {
            Some(algorithm) => json!({ "id_token_signed_response_alg": algorithm }),
            None => json!({}),
        };
        let client = subject.web_app(more).await?;
        let grant = redeemed(subject, &client).await?;
        let token = grant.id_token()?;
        let expected = algorithm.copied().unwrap_or("RS256");
        if algorithm.is_some() || announced.contains(&expected) {
            grant.answer.require(
                token.algorithm() == Some(expected),
                format!("alg is {:?}, expected {expected}", token.algorithm()),
            )?;
        }
        let verified = token.verify(&keys);
        verified.map_err(|reason| grant.answer.fail(reason))?;
    }
    Ok(())
}

async fn userinfo_is_signed(subject: &Subject) -> Verdict {
    let announced = subject
        .metadata()
        .list("userinfo_signing_alg_values_supported");
    let (keys, _) = subject.keys().await?;
    for algorithm in announced
        .iter()
        .filter(|alg| **alg != "none" && !alg.starts_with("HS"))
    {
        let more = json!({ "userinfo_signed_response_alg": algorithm });
        let client = subject.web_app(more).await?;
        let grant = redeemed(subject, &client).await?;
        let answer = subject.userinfo(&grant.access_token).await?;
        answer.status(&[200])?;
        answer.require(
            answer.media_type() == "application/jwt",
            format!("the media type is {}", answer.media_type()),
        )?;
        let token = Jws::parse(std::str::from_utf8(&answer.body).unwrap_or_default());
        let token = token.ok_or_else(|| answer.fail("the body is not a JWT"))?;
        answer.require(
            token.algorithm() == Some(algorithm),
            format!("alg is {:?}, registered was {algorithm}", token.algorithm()),
        )?;
        token.verify(&keys).map_err(|reason| answer.fail(reason))?;
        // OpenID Connect Core §5.3.2.
        let text = |name: &str| token.claims.get(name).and_then(Value::as_str);
        answer.require(
            text("iss") == Some(subject.issuer()),
            "iss is not the issuer",
        )?;
        answer.require(
            names(token.claims.get("aud"), &client.client_id),
            "aud does not name the client",
        )?;
        answer.require(
            text("sub") == grant.id_token()?.claims.get("sub").and_then(Value::as_str),
            "sub is not that of the ID token",
        )?;
    }
    Ok(())
}

/// Whether an `aud` is `wanted`, or has it.
pub(super) fn names(audience: Option<&Value>, wanted: &str) -> bool {
    let ours = |value: &Value| value.as_str() == Some(wanted);
    audience.is_some_and(|audience| {
        ours(audience)
            || audience
                .as_array()
                .is_some_and(|list| list.iter().any(ours))
    })
}

/// Without `application_type`, RFC 7591 alone may be read: a loopback redirect is then taken by some for a native app's.
async fn web_apps_have_https_redirects(subject: &Subject) -> Verdict {
    let client = subject.web_app(json!({})).await?;
    let told = client.metadata()?.get("application_type").cloned();
    client.answer.require(
        told.as_ref().is_none_or(|told| told == "web"),
        format!("application_type is {told:?}"),
    )?;
    for (kind, redirect) in [
        ("web", "http://client.example/callback"),
        ("native", "http://client.example/callback"),
    ] {
        let more = json!({ "application_type": kind, "redirect_uris": [redirect] });
        let answer = subject.register(&subject.web_app_metadata(more)).await?;
        answer.refused(&[400], &["invalid_redirect_uri", "invalid_client_metadata"])?;
    }
    Ok(())
}

fn pages() -> Value {
    json!({
        "client_uri": "https://client.example/",
        "policy_uri": "https://client.example/policy",
        "tos_uri": "https://client.example/terms",
        "tos_uri#de": "https://client.example/bedingungen",
        "client_name#de": "Prüfung",
    })
}

async fn uris_are_told(subject: &Subject) -> Verdict {
    let client = subject.web_app(pages()).await?;
    let told = client.metadata()?;
    let asked = pages();
    for (name, value) in asked.as_object().into_iter().flatten() {
        client.answer.require(
            told.get(name) == Some(value),
            format!("{name} is not what was registered"),
        )?;
    }
    Ok(())
}

/// At a page on the way: consent is asked for at the first sign-in.
async fn policy_and_terms_are_linked(subject: &Subject) -> Verdict {
    let client = subject.web_app(pages()).await?;
    let request = subject.authorization_of(&client)?;
    let answer = request.with("prompt", "consent").consent_page().await?;
    let page = String::from_utf8_lossy(&answer.body);
    for shown in [
        "https://client.example/policy",
        "https://client.example/terms",
    ] {
        answer.require(
            page.contains(shown),
            format!("the consent page has no link to {shown}"),
        )?;
    }
    Ok(())
}

async fn default_max_age_signs_in_again(subject: &Subject) -> Verdict {
    let client = subject.web_app(json!({"default_max_age": 0})).await?;
    subject.authorization_of(&client)?.code().await?;
    let arrival = subject.authorization_of(&client)?.arrive().await?;
    arrival.answer.require(
        arrival.redirected.sign_ins > 0,
        "a default_max_age of 0 did not lead to the sign-in form",
    )
}

async fn is_answered(subject: &Subject) -> Verdict {
    let client = subject.web_app(json!({})).await?;
    client.answer.require(
        client.metadata()?.contains_key("redirect_uris"),
        "redirect_uris is missing",
    )
}

async fn sector_is_refused(subject: &Subject, more: Value) -> Verdict {
    let answer = subject.register(&subject.web_app_metadata(more)).await?;
    answer.refused(&[400], &["invalid_client_metadata", "invalid_redirect_uri"])
}

async fn two_hosts_need_a_sector(subject: &Subject) -> Verdict {
    let hosts = ["https://a.client.example/cb", "https://b.client.example/cb"];
    let more = json!({"subject_type": "pairwise", "redirect_uris": hosts});
    sector_is_refused(subject, more).await
}

/// A name that cannot exist (RFC 6761 §6.4).
async fn sector_that_is_not_there(subject: &Subject) -> Verdict {
    let more = json!({
        "subject_type": "pairwise",
        "sector_identifier_uri": "https://sector.invalid/redirects.json",
    });
    sector_is_refused(subject, more).await
}

/// A client whose keys the tests publish, and the path where they do.
async fn publishing_app(subject: &Subject) -> Result<(Registered, String), Stop> {
    let place = format!("keys/{}", subject.unique());
    let url = publish_key(subject, &place, subject.client_key()?)?;
    let more = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks_uri": url,
    });
    Ok((subject.reaching_client(more).await?, place))
}

pub(super) fn publish_key(subject: &Subject, place: &str, key: &AssertionKey) -> Result<Url, Stop> {
    let keys = jws::public_keys(key).ok_or_else(|| Stop::unchecked("no key could be made"))?;
    let listener = subject.listener()?;
    Ok(listener.publish(place, "application/json", keys.to_string()))
}

/// What the token endpoint says to a client with a code that nobody issued: `invalid_client` until it has authenticated.
async fn asks(subject: &Subject, client: &Registered, key: &AssertionKey) -> Result<Answer, Stop> {
    let request = subject.post("token_endpoint")?.form(&[
        ("grant_type", "authorization_code"),
        ("code", "no-such-code"),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", &"a".repeat(43)),
    ]);
    client.asserted(request, key)?.send().await
}

/// The error of a client that has authenticated.
const LET_IN: &[&str] = &["invalid_grant", "invalid_request"];

/// What the issuer does not come for says nothing about it: the tests' address may be out of its reach.
pub(super) fn unless_out_of_reach(subject: &Subject, place: &str) -> Verdict {
    if subject.listener()?.was_fetched(place) {
        return Ok(());
    }
    let reason = "the issuer did not come to the address at which the tests listen";
    Err(Stop::unchecked(reason))
}

/// A client that the issuer let in by a key that it fetched.
pub(super) async fn let_in(subject: &Subject) -> Result<(Registered, String), Stop> {
    let (client, place) = publishing_app(subject).await?;
    asks(subject, &client, subject.client_key()?).await?;
    unless_out_of_reach(subject, &place)?;
    comes_in(subject, &client, subject.client_key()?).await?;
    Ok((client, place))
}

/// The client is let in by that key, in time: an issuer may not ask for keys too often, and one that has just started may refuse
/// assertions that could be older than its memory of used ones (RFC 7523 §3).
pub(super) async fn comes_in(
    subject: &Subject,
    client: &Registered,
    key: &AssertionKey,
) -> Verdict {
    let mut looks = 0;
    loop {
        let refused = asks(subject, client, key).await?.refused(&[400], LET_IN);
        looks += 1;
        if refused.is_ok() || looks == LOOKS {
            return refused;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn keys_are_fetched(subject: &Subject) -> Verdict {
    let_in(subject).await.map(drop)
}
