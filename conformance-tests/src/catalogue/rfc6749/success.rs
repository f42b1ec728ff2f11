//! Requests that the token endpoint grants (RFC 6749 §5.1).

use serde_json::Value;

use crate::check::{Stop, Verdict};
use crate::subject::Subject;

pub(super) async fn empty_scope_is_omitted(subject: &Subject) -> Verdict {
    let request = subject
        .token_request()?
        .form(&[("scope", ""), ("assertion", "")]);
    subject.issue(request).await.map(drop)
}

pub(super) async fn unknown_parameter_is_ignored(subject: &Subject) -> Verdict {
    let request = subject
        .token_request()?
        .form(&[("x_no_such_parameter", "1"), ("grant-type", "password")]);
    subject.issue(request).await.map(drop)
}

pub(super) async fn narrowed_scope_is_reported(subject: &Subject) -> Verdict {
    let asked = "x:no-such-scope";
    let granted = subject.token().await?.answer.json()?;
    let known = granted
        .get("scope")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let request = subject
        .token_request()?
        .form(&[("scope", format!("{known} {asked}").trim())]);
    let answer = request.send().await?;
    if answer.status == 400 {
        return answer.refused(&[400], &["invalid_scope"]);
    }
    answer.status(&[200])?;
    let issued = answer
        .json()?
        .get("scope")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let issued = issued.ok_or_else(|| {
        answer.fail("a scope that does not exist was asked for; the response has no scope")
    })?;
    answer.require(
        !issued.split(' ').any(|token| token == asked),
        "a scope that does not exist was issued",
    )
}

pub(super) async fn omitted_scope(subject: &Subject) -> Verdict {
    let answer = subject.token_request()?.send().await?;
    if answer.status == 200 {
        Ok(())
    } else {
        answer.refused(&[400], &["invalid_scope"])
    }
}

pub(super) async fn no_refresh_token(subject: &Subject) -> Verdict {
    let answer = &subject.token().await?.answer;
    answer.require(
        !answer.json()?.contains_key("refresh_token"),
        "there is a refresh_token",
    )
}

pub(super) async fn required_fields(subject: &Subject) -> Verdict {
    let answer = &subject.token().await?.answer;
    answer.require(
        !answer.text("access_token")?.is_empty(),
        "access_token is empty",
    )?;
    let token_type = answer.text("token_type")?;
    let known = ["bearer", "dpop", "n_a"].contains(&token_type.to_ascii_lowercase().as_str());
    answer.require(known, format!("token_type is {token_type}"))
}

pub(super) async fn media_type(subject: &Subject) -> Verdict {
    let answer = &subject.token().await?.answer;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )
}

pub(super) async fn no_store(subject: &Subject) -> Verdict {
    let answer = &subject.token().await?.answer;
    answer.require(
        answer.has_directive("cache-control", "no-store"),
        "Cache-Control is not no-store",
    )
}

pub(super) async fn pragma(subject: &Subject) -> Verdict {
    let answer = &subject.token().await?.answer;
    answer.require(
        answer.has_directive("pragma", "no-cache"),
        "Pragma is not no-cache",
    )
}

pub(super) async fn expires_in(subject: &Subject) -> Verdict {
    let answer = &subject.token().await?.answer;
    let seconds = answer.json()?.get("expires_in").and_then(Value::as_u64);
    answer.require(
        seconds.is_some_and(|seconds| seconds > 0),
        "expires_in is missing or no positive number",
    )
}

/// RFC 6749 §10.10 asks for 2^-128. From outside, length and difference are what shows.
pub(super) async fn tokens_are_not_guessable(subject: &Subject) -> Verdict {
    let first = subject.token().await?;
    let second = subject.fresh_token().await?;
    second.answer.require(
        first.value != second.value,
        "two requests brought the same token",
    )?;
    if second.jwt().is_ok() {
        // A signature cannot be guessed either.
        return Ok(());
    }
    let reason = "an opaque token is shorter than 128 bits in base64";
    if second.value.len() >= 22 {
        Ok(())
    } else {
        Err(Stop::failed(reason, Some(second.answer.exchange)))
    }
}
