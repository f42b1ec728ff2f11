//! Signed requests, responses and introspection (Message Signing §5.3 to §5.5).

use serde_json::{Map, Value, json};

use super::client::{Client, response};
use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::jws::{self, Jws};
use crate::subject::Subject;

/// The answer to a push with a request object that `edit` has changed.
async fn pushed_with(
    subject: &Subject,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Result<Answer, Stop> {
    let client = Client::of(subject).await?;
    let mut claims = client.object_claims(&client.request()?);
    edit(&mut claims);
    client.push_object(&client.object(&claims)?).await
}

async fn is_refused(
    subject: &Subject,
    what: &str,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Verdict {
    let answer = pushed_with(subject, edit).await?;
    answer.require(
        (400..500).contains(&answer.status),
        format!("{what} was answered {}", answer.status),
    )
}

pub(super) async fn signed_request_works(subject: &Subject) -> Verdict {
    Client::of(subject).await?.grant().await.map(drop)
}

pub(super) async fn unsigned_request(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let request = client.request()?;
    let endpoint = subject.post("pushed_authorization_request_endpoint")?;
    let plain = endpoint.form(request.parameters()).without("client_id");
    let answer = client.authenticated(plain)?.send().await?;
    answer.require(
        (400..500).contains(&answer.status),
        format!("parameters in the open were answered {}", answer.status),
    )
}

pub(super) async fn forged_request(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let genuine = client.object(&client.object_claims(&client.request()?))?;
    let genuine = Jws::parse(&genuine);
    let genuine = genuine.ok_or_else(|| Stop::unchecked("no request object could be made"))?;
    let forgeries = [
        Some(jws::unsigned(&genuine, "none")),
        Some(jws::tampered(&genuine, "state", "another".into())),
        jws::forged(&genuine, false),
        jws::forged(&genuine, true),
    ];
    for forgery in forgeries.into_iter().flatten() {
        let answer = client.push_object(&forgery).await?;
        answer.require(
            (400..500).contains(&answer.status),
            format!("a forged request object was answered {}", answer.status),
        )?;
    }
    Ok(())
}

pub(super) async fn audience(subject: &Subject) -> Verdict {
    let issuer = subject.issuer();
    for right in [json!(issuer), json!([issuer])] {
        let answer =
            pushed_with(subject, |claims| drop(claims.insert("aud".into(), right))).await?;
        answer.status(&[201])?;
    }
    is_refused(subject, "another audience", |claims| {
        claims.insert("aud".into(), "https://other.example".into());
    })
    .await?;
    is_refused(subject, "no audience", |claims| drop(claims.remove("aud"))).await
}

pub(super) async fn not_before(subject: &Subject) -> Verdict {
    pushed_with(subject, |_| ()).await?.status(&[201])?;
    is_refused(subject, "no nbf", |claims| drop(claims.remove("nbf"))).await?;
    let past = subject.now().saturating_sub(3700);
    is_refused(subject, "an old nbf", |claims| {
        claims.insert("nbf".into(), past.into());
    })
    .await
}

pub(super) async fn expiry(subject: &Subject) -> Verdict {
    pushed_with(subject, |_| ()).await?.status(&[201])?;
    is_refused(subject, "no exp", |claims| drop(claims.remove("exp"))).await?;
    let far = subject.now().saturating_add(3700);
    is_refused(subject, "a late exp", |claims| {
        claims.insert("exp".into(), far.into());
    })
    .await
}

pub(super) async fn response_is_signed(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let arrival = client.arrive(client.request()?).await?;
    let signed = response(&arrival);
    let signed = signed.ok_or_else(|| arrival.answer.fail("the response is not a JWT"))?;
    let (keys, _) = subject.keys().await?;
    let verified = signed.verify(&keys);
    verified.map_err(|reason| arrival.answer.fail(reason))?;
    let others = arrival.redirected.parameters.len();
    arrival.answer.require(
        others == 1,
        "there are other parameters beside the signed response",
    )
}

pub(super) async fn plain_response(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let request = client.request()?.with("response_mode", "query");
    let answer = client.push(&request).await?;
    if answer.status != 201 {
        return answer.require(
            (400..500).contains(&answer.status),
            format!(
                "the wish for a plain response was answered {}",
                answer.status
            ),
        );
    }
    let arrival = client.travelling(request, &answer)?.arrive().await?;
    arrival.answer.require(
        arrival.parameter("code").is_none(),
        "a code came in a plain response",
    )
}

pub(super) async fn introspection_is_signed(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let request = subject.post("introspection_endpoint")?;
    let request = request.header("accept", "application/token-introspection+jwt");
    let request = request.form(&[("token", &grant.access_token)]);
    let answer = client.authenticated(request)?.send().await?;
    answer.status(&[200])?;
    answer.require(
        answer.media_type() == "application/token-introspection+jwt",
        format!("the media type is {}", answer.media_type()),
    )?;
    let signed = Jws::parse(&String::from_utf8_lossy(&answer.body));
    let signed = signed.ok_or_else(|| answer.fail("the body is not a JWT"))?;
    let (keys, _) = subject.keys().await?;
    signed.verify(&keys).map_err(|reason| answer.fail(reason))
}
