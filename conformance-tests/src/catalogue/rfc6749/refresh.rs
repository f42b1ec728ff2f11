//! Refresh tokens (RFC 6749 §6).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::answer::Answer;
use crate::check::Verdict;
use crate::subject::Subject;

pub(super) async fn gives_a_token(subject: &Subject) -> Verdict {
    let grant = subject.fresh_grant().await?;
    grant.refreshed(subject).await.map(drop)
}

pub(super) async fn another_client(subject: &Subject) -> Verdict {
    subject.credentials()?;
    let grant = subject.fresh_grant().await?;
    let request = grant.refresh(subject)?.without("client_id");
    let answer = request.authenticated()?.send().await?;
    // A client that may not use refresh tokens at all may be told so first.
    answer.refused(&[400], &["invalid_grant", "unauthorized_client"])
}

/// The scopes of a token response. Left out, they are those that were asked for (RFC 6749 §5.1).
fn scopes(answer: &Answer, asked: &str) -> BTreeSet<String> {
    let json = answer.json().unwrap_or_default();
    let named = json.get("scope").and_then(Value::as_str).unwrap_or(asked);
    named.split(' ').map(str::to_owned).collect()
}

/// A scope that the server knows and the grant lacks is refused, or silently not given.
pub(super) async fn wider_scope(subject: &Subject) -> Verdict {
    let grant = subject.fresh_grant().await?;
    let granted = scopes(&grant.answer, "openid offline_access");
    let known = subject.metadata().list("scopes_supported");
    let lacking = known.iter().find(|scope| !granted.contains(**scope));
    let lacking = lacking.copied().unwrap_or("no-such-scope");
    let wider: Vec<_> = granted
        .iter()
        .map(String::as_str)
        .chain([lacking])
        .collect();
    let wider = wider.join(" ");
    let answer = grant
        .refresh(subject)?
        .form(&[("scope", wider.as_str())])
        .send()
        .await?;
    if answer.status == 200 {
        return answer.require(
            !scopes(&answer, &wider).contains(lacking),
            format!("{lacking} was given and had not been granted"),
        );
    }
    answer.refused(&[400], &["invalid_scope"])
}

/// A server may give more than what was asked for (RFC 6749 §3.3), but never more than what was granted.
pub(super) async fn narrower_scope(subject: &Subject) -> Verdict {
    let grant = subject.fresh_grant().await?;
    let granted = scopes(&grant.answer, "openid offline_access");
    let Some(one) = granted.iter().find(|scope| *scope != "offline_access") else {
        return Ok(());
    };
    let answer = grant
        .refresh(subject)?
        .form(&[("scope", one.as_str())])
        .send()
        .await?;
    answer.status(&[200])?;
    let given = scopes(&answer, one);
    answer.require(
        given.is_subset(&granted),
        format!("asked for {one}, got more than was granted"),
    )
}
