//! Subject identifiers of clients that do not share them (OpenID Connect Core §8).

use serde_json::{Value, json};

use crate::check::{Stop, Verdict};
use crate::subject::{Grant, Registered, Subject};

/// A pairwise client at that host.
async fn client_at(subject: &Subject, host: &str, name: &str) -> Result<Registered, Stop> {
    let redirect = format!("https://{host}/callback");
    let more =
        json!({"subject_type": "pairwise", "redirect_uris": [redirect], "client_name": name});
    subject.web_app(more).await
}

async fn granted(subject: &Subject, client: &Registered) -> Result<(Grant, String), Stop> {
    let code = subject.authorization_of(client)?.code().await?;
    let grant = subject.redeem_as(client, &code).await?;
    let sub = grant.id_token()?.claims.get("sub").cloned();
    let sub = sub.as_ref().and_then(Value::as_str).map(str::to_owned);
    let sub = sub.ok_or_else(|| grant.answer.fail("the ID token has no sub"))?;
    Ok((grant, sub))
}

pub(super) async fn sectors_differ(subject: &Subject) -> Verdict {
    let first = client_at(subject, "one.example", "One").await?;
    let second = client_at(subject, "two.example", "Two").await?;
    let (_, first) = granted(subject, &first).await?;
    let (grant, second) = granted(subject, &second).await?;
    grant
        .answer
        .require(first != second, "two sectors are told the same sub")?;
    let shared = subject.grant_of_person().await?.id_token()?.claims;
    grant.answer.require(
        shared.get("sub").and_then(Value::as_str) != Some(&second),
        "a pairwise sub is the public one",
    )
}

pub(super) async fn one_sector_agrees(subject: &Subject) -> Verdict {
    let first = client_at(subject, "one.example", "One").await?;
    let second = client_at(subject, "one.example", "One and a half").await?;
    let (_, first) = granted(subject, &first).await?;
    let (grant, second) = granted(subject, &second).await?;
    grant.answer.require(
        first == second,
        "clients of one sector are told different sub",
    )
}

pub(super) async fn userinfo_agrees(subject: &Subject) -> Verdict {
    let client = client_at(subject, "one.example", "One").await?;
    let (grant, sub) = granted(subject, &client).await?;
    let answer = subject.userinfo(&grant.access_token).await?;
    answer.status(&[200])?;
    answer.require(
        answer.text("sub")? == sub,
        "userinfo's sub is not that of the ID token",
    )
}
