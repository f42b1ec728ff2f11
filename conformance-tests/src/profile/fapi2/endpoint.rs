//! Flows that use the authorization endpoint (Security Profile §5.3.2.2).

use serde_json::Value;

use super::client::{Client, response};
use crate::answer::Answer;
use crate::browser::Page;
use crate::check::{Stop, Verdict};
use crate::subject::Subject;

/// Refused, with whatever code.
fn refused(what: &str, answer: &Answer) -> Verdict {
    answer.require(
        (400..500).contains(&answer.status),
        format!("{what} was answered {}", answer.status),
    )
}

pub(super) async fn other_response_types(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    for kind in ["code id_token", "code token", "token", "id_token"] {
        let request = client.request()?.with("response_type", kind);
        refused(kind, &client.push(&request).await?)?;
    }
    Ok(())
}

pub(super) async fn pushed_request_works(subject: &Subject) -> Verdict {
    Client::of(subject).await?.grant().await.map(drop)
}

pub(super) async fn plain_request(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    client.request()?.yields_no_code().await
}

pub(super) async fn unauthenticated_push(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let request = client.request()?;
    let push = client.unauthenticated_push(&request)?;
    let answer = push.form(&[("client_id", &client.id)]).send().await?;
    answer.refused(&[400, 401], &["invalid_client", "invalid_request"])
}

pub(super) async fn without_pkce(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let request = client.request()?.without_challenge();
    refused("no code_challenge", &client.push(&request).await?)?;
    let request = client.request()?.with("code_challenge_method", "plain");
    refused("plain", &client.push(&request).await?)
}

pub(super) async fn without_redirect_uri(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let request = client.request()?.without("redirect_uri");
    refused("no redirect_uri", &client.push(&request).await?)
}

pub(super) async fn response_has_issuer(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let arrival = client.arrive(client.request()?).await?;
    let within = response(&arrival);
    let iss = match &within {
        Some(response) => response.claims.get("iss").and_then(Value::as_str),
        None => arrival.parameter("iss"),
    };
    arrival.answer.require(
        iss == Some(subject.issuer()),
        format!("iss is {iss:?}, expected {}", subject.issuer()),
    )
}

pub(super) async fn http_redirect_is_not_registered(subject: &Subject) -> Verdict {
    for (redirect, right) in [
        ("https://client.example/callback", true),
        ("http://client.example/callback", false),
    ] {
        let answer = Client::registration(subject, redirect).await?;
        if right {
            answer.status(&[201])?;
        } else {
            refused("an http redirection URI", &answer)?;
        }
    }
    Ok(())
}

pub(super) async fn code_twice(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let code = client.code().await?;
    client.redeem(&code).await?.status(&[200])?;
    let answer = client.redeem(&code).await?;
    answer.refused(&[400], &["invalid_grant"])
}

/// The answer to the sign-in form of the client's person.
async fn signed_in(subject: &Subject) -> Result<Page, Stop> {
    let client = Client::of(subject).await?;
    let person = subject.person()?;
    // First the way that all share: what it finds out about the person holds here too.
    client.code().await?;
    let request = client.request()?;
    let pushed = client.push(&request).await?;
    let url = client.travelling(request, &pushed)?.url()?;
    let browser = subject.new_browser();
    let (form, _) = subject.sign_in_form_at(&browser, &url).await?;
    let page = browser.sign_in(&form, person).await;
    let page = page.map_err(|cause| subject.lost(&cause))?;
    if page.location().is_none() {
        return Err(subject.turned_away());
    }
    Ok(page)
}

pub(super) async fn credentials_are_not_sent_on(subject: &Subject) -> Verdict {
    let page = signed_in(subject).await?;
    subject.seen(&page).require(
        !matches!(page.status, 307 | 308),
        format!("credentials were answered {}", page.status),
    )
}

pub(super) async fn redirects_are_303(subject: &Subject) -> Verdict {
    let page = signed_in(subject).await?;
    subject.seen(&page).status(&[303])
}

pub(super) async fn request_uri_is_short_lived(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let answer = client.push(&client.request()?).await?;
    answer.status(&[201])?;
    let seconds = answer.json()?.get("expires_in").and_then(Value::as_u64);
    answer.require(
        seconds.is_some_and(|seconds| seconds < 600),
        format!("expires_in is {seconds:?}"),
    )
}

pub(super) async fn long_nonce(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let nonce = "n".repeat(64);
    let request = client.request()?.with("nonce", &nonce);
    let code = client.code_for(request).await?;
    let answer = client.redeem(&code).await?;
    let grant = crate::subject::Grant::read(subject, answer, &client.id)?;
    let claims = grant.id_token()?.claims;
    grant.answer.require(
        claims.get("nonce").and_then(Value::as_str) == Some(&nonce),
        "the ID token has another nonce",
    )
}
