//! Redemption of codes (RFC 6749 §4.1.2 to §4.1.4).

use serde_json::Value;

use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::request::Request;
use crate::subject::{Code, Subject};

pub(super) async fn second_use_is_refused(subject: &Subject) -> Verdict {
    let code = subject.authorization()?.code().await?;
    subject.redeem(&code).await?;
    let answer = code.redemption(subject)?.send().await?;
    answer.refused(&[400], &["invalid_grant"])
}

pub(super) async fn second_use_revokes(subject: &Subject) -> Verdict {
    let code = subject.offline_authorization()?.code().await?;
    let grant = subject.redeem(&code).await?;
    let second = code.redemption(subject)?.send().await?;
    second.without_token()?;
    let mut seen = false;
    if let Ok(refresh) = grant.refresh(subject) {
        refresh.send().await?.refused(&[400], &["invalid_grant"])?;
        seen = true;
    }
    if subject.metadata().has("userinfo_endpoint") {
        let answer = subject.userinfo(&grant.access_token).await?;
        answer.require(
            answer.status == 401,
            format!("the access token was answered {} after this", answer.status),
        )?;
        seen = true;
    }
    if seen {
        Ok(())
    } else {
        let reason = "there is neither a refresh token nor userinfo to see it by";
        Err(Stop::unchecked(reason))
    }
}

/// The confidential client of the target, which authenticates as itself.
pub(super) async fn another_client(subject: &Subject) -> Verdict {
    subject.credentials()?;
    let code = subject.authorization()?.code().await?;
    let request = code.redemption(subject)?.without("client_id");
    let answer = request.authenticated()?.send().await?;
    // A client that may not use codes at all may be told so first.
    answer.refused(&[400], &["invalid_grant", "unauthorized_client"])
}

pub(super) async fn another_redirect_uri(subject: &Subject) -> Verdict {
    redemption(subject, |request, code| {
        let other = format!("{}/other", code.redirect_uri);
        request.form(&[("redirect_uri", other)])
    })
    .await?
    .refused(&[400], &["invalid_grant"])
}

pub(super) async fn no_redirect_uri(subject: &Subject) -> Verdict {
    redemption(subject, |request, _| request)
        .await?
        .refused(&[400], &["invalid_grant", "invalid_request"])
}

/// A new code, redeemed with what `edit` adds to a request without `redirect_uri`.
async fn redemption(
    subject: &Subject,
    edit: for<'s> fn(Request<'s>, &Code) -> Request<'s>,
) -> Result<Answer, Stop> {
    let code = subject.authorization()?.code().await?;
    let request = code.redemption(subject)?.without("redirect_uri");
    edit(request, &code).send().await
}

pub(super) async fn response_is_complete(subject: &Subject) -> Verdict {
    let answer = &subject.grant_of_person().await?.answer;
    answer.text("token_type")?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )?;
    answer.require(
        answer.has_directive("cache-control", "no-store"),
        "Cache-Control lacks no-store",
    )?;
    let json = answer.json()?;
    answer.require(
        json.get("expires_in").is_none_or(Value::is_u64),
        "expires_in is not a number of seconds",
    )
}
