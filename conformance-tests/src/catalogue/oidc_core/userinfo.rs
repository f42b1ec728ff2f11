//! The userinfo endpoint (OpenID Connect Core §5.3).

use reqwest::Method;
use serde_json::Value;

use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::subject::Subject;

/// What userinfo says about the person of the shared grant.
async fn userinfo(subject: &Subject) -> Result<Answer, Stop> {
    let grant = subject.grant_of_person().await?;
    let answer = subject.userinfo(&grant.access_token).await?;
    answer.status(&[200])?;
    Ok(answer)
}

pub(super) async fn get_works(subject: &Subject) -> Verdict {
    userinfo(subject).await.map(drop)
}

pub(super) async fn post_works(subject: &Subject) -> Verdict {
    let token = &subject.grant_of_person().await?.access_token;
    let url = subject.endpoint("userinfo_endpoint")?;
    let answer = subject.request(Method::POST, url).bearer(token).send();
    answer.await?.status(&[200])
}

pub(super) async fn token_in_the_body(subject: &Subject) -> Verdict {
    let token = &subject.grant_of_person().await?.access_token;
    let request = subject.post("userinfo_endpoint")?;
    let request = request.form(&[("access_token", token)]);
    request.send().await?.status(&[200])
}

/// A signed answer would have to be unpacked first; its form is the client's choice and not of this check.
pub(super) async fn subject_is_the_same(subject: &Subject) -> Verdict {
    let answer = userinfo(subject).await?;
    if answer.media_type() == "application/jwt" {
        return Err(Stop::unchecked("userinfo is signed for this client"));
    }
    let sub = answer.text("sub")?;
    let token = subject.grant_of_person().await?.id_token()?;
    answer.require(
        token.claims.get("sub").and_then(Value::as_str) == Some(&sub),
        "sub is not that of the ID token",
    )
}

pub(super) async fn media_type(subject: &Subject) -> Verdict {
    let answer = userinfo(subject).await?;
    let media_type = answer.media_type();
    answer.require(
        ["application/json", "application/jwt"].contains(&media_type.as_str()),
        format!("the media type is {media_type}"),
    )
}

/// RFC 6750 §3.1: a request without any credentials gets no error code.
pub(super) async fn no_token(subject: &Subject) -> Verdict {
    let url = subject.endpoint("userinfo_endpoint")?;
    let answer = subject.get(&url).send().await?;
    answer.status(&[401])?;
    let challenge = answer.challenge("Bearer")?;
    answer.require(
        challenge.parameter("error").is_none(),
        "there is an error although there was no token",
    )
}

pub(super) async fn invented_token(subject: &Subject) -> Verdict {
    let answer = subject.userinfo("no-such-token").await?;
    answer.status(&[401])?;
    let challenge = answer.challenge("Bearer")?;
    answer.require(
        challenge.parameter("error") == Some("invalid_token"),
        "the challenge does not say invalid_token",
    )
}

/// A token of a client's own is about no person.
pub(super) async fn token_without_openid(subject: &Subject) -> Verdict {
    let token = &subject.token().await?.value;
    let answer = subject.userinfo(token).await?;
    answer.status(&[401, 403])?;
    answer.challenge("Bearer").map(drop)
}
