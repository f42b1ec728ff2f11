//! What of the authorization endpoint can be seen without signing in (RFC 6749 §3.1).

use crate::check::Verdict;
use crate::subject::Subject;

pub(super) async fn authorize_takes_get(subject: &Subject) -> Verdict {
    let answer = subject
        .get(&subject.endpoint("authorization_endpoint")?)
        .send()
        .await?;
    let taken = answer.status < 500 && ![404, 405, 501].contains(&answer.status);
    answer.require(taken, format!("GET was answered {}", answer.status))
}

pub(super) fn authorization_endpoint_without_fragment(subject: &Subject) -> Verdict {
    let url = subject.endpoint("authorization_endpoint")?;
    subject.document()?.require(
        url.fragment().is_none(),
        "authorization_endpoint has a fragment",
    )
}

const STRANGER: &str = "https://stranger.example/callback";

pub(super) async fn unknown_client_is_not_redirected(subject: &Subject) -> Verdict {
    not_redirected(subject, "no-such-client").await
}

pub(super) async fn unregistered_uri_is_not_redirected(subject: &Subject) -> Verdict {
    not_redirected(subject, subject.public_client()?).await
}

async fn not_redirected(subject: &Subject, client_id: &str) -> Verdict {
    let request = subject.get(&subject.endpoint("authorization_endpoint")?);
    let request = request
        .query("response_type", "code")
        .query("client_id", client_id);
    let answer = request.query("redirect_uri", STRANGER).send().await?;
    let location = answer.header("location").unwrap_or_default();
    answer.require(
        !location.starts_with("https://stranger.example"),
        "redirected to an unproven redirect_uri",
    )?;
    answer.require(answer.status < 500, format!("answered {}", answer.status))
}
