//! RFC 8628: devices.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::browser::Decision;
use crate::check::{Stop, Verdict, check};
use crate::metadata::is_protected;
use crate::subject::device::DEVICE_CODE;
use crate::subject::{Pairing, Subject};

const ENDPOINT: &[Feature] = &[Feature::Member("device_authorization_endpoint")];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 8628",
    title: "OAuth 2.0 Device Authorization Grant",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc8628-3.1-client",
        "3.1",
        "A device authorization request names its client, or the client authenticates.",
        &[check!(client_is_missing)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.1-empty-is-absent",
        "3.1",
        "Parameters without a value are treated as if they were absent.",
        &[check!(empty_is_absent)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.1-unknown-ignored",
        "3.1",
        "Unknown parameters are ignored.",
        &[check!(unknown_is_ignored)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.1-no-duplicates",
        "3.1",
        "Parameters do not stand more than once.",
        &[check!(scope_twice)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.1-tls",
        "3.1",
        "Requests of devices go over TLS (this machine's own loopback excepted).",
        &[check!(look endpoint_is_protected)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.2-response",
        "3.2",
        "The answer is a JSON object with device_code, user_code, verification_uri and expires_in.",
        &[check!(response_has_fields)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.2-unique",
        "3.2",
        "Each request gets codes of its own.",
        &[check!(codes_are_unique)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.2-complete",
        "3.2",
        "verification_uri_complete leads to a page that needs no code typed.",
        &[check!(complete_page_lets_in)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.2-errors",
        "3.2",
        "Errors have the form of the token endpoint's: invalid_client, unauthorized_client.",
        &[check!(unknown_client), check!(client_without_the_grant)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.3-approval",
        "3.3",
        "A person who types the code and approves lets the device in.",
        &[check!(approved_device_gets_tokens)],
    )
    .when(ENDPOINT),
    should(
        "rfc8628-3.3.1-code-shown",
        "3.3.1",
        "A person who did not type the code is shown it.",
        &[check!(code_is_shown)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.4-device-code",
        "3.4",
        "The parameter device_code is required.",
        &[check!(device_code_is_missing)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.5-success",
        "3.5",
        "The answer to a device that was let in is a token response (RFC 6749 §5.1).",
        &[check!(tokens_have_their_form)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.5-pending",
        "3.5",
        "A device whose person has not answered is told authorization_pending.",
        &[check!(unanswered_is_pending)],
    )
    .when(ENDPOINT),
    should(
        "rfc8628-3.5-slow-down",
        "3.5",
        "A device that does not wait is told slow_down.",
        &[check!(hasty_is_slowed_down)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.5-interval",
        "3.5",
        "A device that waits for the interval is not told slow_down.",
        &[check!(patient_is_not_slowed_down)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.5-access-denied",
        "3.5",
        "A device whose person has said no is told access_denied.",
        &[check!(denied_device_is_told)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.5-expired-token",
        "3.5",
        "A device whose code has expired is told expired_token.",
        &[],
    )
    .unchecked("a device code would have to be waited for until it expires")
    .when(ENDPOINT),
    must(
        "rfc8628-3.5-invalid-grant",
        "3.5",
        "A device code that does not exist, or of another client, is refused (RFC 6749 §5.2).",
        &[check!(invented_code), check!(code_of_another_client)],
    )
    .when(ENDPOINT),
    must(
        "rfc8628-3.5-once",
        "3.5",
        "A device code that has been exchanged gives nothing more.",
        &[check!(second_poll_gives_nothing)],
    )
    .when(ENDPOINT),
    should(
        "rfc8628-4-metadata",
        "4",
        "Metadata announces the endpoint and the grant, both or neither.",
        &[check!(look both_are_announced)],
    ),
    should(
        "rfc8628-5.1-entropy",
        "5.1",
        "A user code cannot be guessed in few attempts.",
        &[check!(user_code_has_entropy)],
    )
    .when(ENDPOINT),
    should(
        "rfc8628-5.1-guesses",
        "5.1",
        "Attempts at user codes are limited.",
        &[],
    )
    .unchecked("to be limited would keep the person from what other checks need")
    .when(ENDPOINT),
    should(
        "rfc8628-5.4-confirmation",
        "5.4",
        "A device is let in by a person who is asked, never by opening a page.",
        &[check!(opening_is_no_approval)],
    )
    .when(ENDPOINT),
    should(
        "rfc8628-6.1-characters",
        "6.1",
        "A user code has letters of one case, digits and separators.",
        &[check!(user_code_has_plain_characters)],
    )
    .when(ENDPOINT),
    should(
        "rfc8628-6.1-comparison",
        "6.1",
        "A user code may be typed in any case and without its separators.",
        &[check!(code_is_typed_carelessly)],
    )
    .when(ENDPOINT),
];

fn endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("device_authorization_endpoint")?;
    let reason = format!("device_authorization_endpoint is {url}");
    subject.document()?.require(is_protected(&url), reason)
}

fn both_are_announced(subject: &Subject) -> Verdict {
    let endpoint = subject.metadata().has("device_authorization_endpoint");
    let grant = subject.metadata().grants().contains(&DEVICE_CODE);
    if !endpoint && !grant {
        return Err(Stop::not_applicable("neither is announced"));
    }
    let reason = "the endpoint is announced without the grant, or the grant without the endpoint";
    subject.document()?.require(endpoint && grant, reason)
}

async fn client_is_missing(subject: &Subject) -> Verdict {
    let request = subject.device_request().await?.without("client_id");
    let request = request.form(&[("scope", "")]);
    let answer = request.send().await?;
    answer.refused(&[400, 401], &["invalid_client", "invalid_request"])
}

async fn empty_is_absent(subject: &Subject) -> Verdict {
    let request = subject.device_request().await?.without("scope");
    request.form(&[("scope", "")]).send().await?.status(&[200])
}

async fn unknown_is_ignored(subject: &Subject) -> Verdict {
    let request = subject.device_request().await?;
    let request = request.form(&[("no_such_parameter", "1")]);
    request.send().await?.status(&[200])
}

async fn scope_twice(subject: &Subject) -> Verdict {
    let request = subject.device_request().await?.without("scope");
    let request = request.form(&[("scope", "openid"), ("scope", "openid")]);
    request.send().await?.refused(&[400], &["invalid_request"])
}

async fn response_has_fields(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    pairing.page()?;
    let json = pairing.answer.json()?;
    let seconds = |name: &str| json.get(name).and_then(Value::as_u64);
    let right = seconds("expires_in").is_some_and(|seconds| seconds > 0);
    let answer = &pairing.answer;
    answer.require(right, "expires_in is no number of seconds")?;
    let right = json.get("interval").is_none_or(Value::is_u64);
    answer.require(right, "interval is no number of seconds")?;
    let right = answer.media_type() == "application/json";
    answer.require(right, "the media type is not application/json")
}

async fn codes_are_unique(subject: &Subject) -> Verdict {
    let first = subject.pairing().await?;
    let second = subject.pairing().await?;
    let same = |name: &str| -> Result<bool, Stop> {
        Ok(first.answer.text(name)? == second.answer.text(name)?)
    };
    let twice = same("device_code")? || same("user_code")?;
    second.answer.require(!twice, "a code came twice")
}

async fn unknown_client(subject: &Subject) -> Verdict {
    let request = subject.device_request().await?.without("client_id");
    let request = request.form(&[("client_id", "no-such-client")]);
    let answer = request.send().await?;
    answer.refused(&[400, 401], &["invalid_client"])
}

async fn client_without_the_grant(subject: &Subject) -> Verdict {
    let app = subject.app()?;
    if subject.device().await? == app.client_id {
        return Err(Stop::unchecked("the app is the client of the device, too"));
    }
    let request = subject.device_request().await?.without("client_id");
    let request = request.form(&[("client_id", &app.client_id)]);
    let answer = request.send().await?;
    answer.refused(&[400], &["unauthorized_client"])
}

/// A device whose person has typed the code and said yes.
async fn approved(subject: &Subject) -> Result<Pairing, Stop> {
    let pairing = subject.pairing().await?;
    pairing.decided(subject, Decision::Approve).await?;
    Ok(pairing)
}

async fn approved_device_gets_tokens(subject: &Subject) -> Verdict {
    approved(subject).await?.tokens(subject).await.map(drop)
}

async fn complete_page_lets_in(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let way = (&pairing.complete_page()?, pairing.user_code.as_str());
    pairing.answered(subject, way, Decision::Approve).await?;
    pairing.tokens(subject).await.map(drop)
}

fn letters(text: &str) -> String {
    let plain = text.chars().filter(char::is_ascii_alphanumeric);
    plain.collect::<String>().to_ascii_uppercase()
}

async fn code_is_shown(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let way = (&pairing.complete_page()?, pairing.user_code.as_str());
    let asked = pairing.answered(subject, way, Decision::Nothing).await?;
    let (question, _) = asked;
    let page = letters(&String::from_utf8_lossy(&question.body));
    let shown = page.contains(&letters(&pairing.user_code));
    question.require(shown, "the page that asks does not show the code")
}

async fn opening_is_no_approval(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let page = pairing.complete_page().or_else(|_| pairing.page())?;
    let way = (&page, pairing.user_code.as_str());
    pairing.answered(subject, way, Decision::Nothing).await?;
    pairing.poll(subject)?.send().await?.without_token()
}

async fn device_code_is_missing(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let request = pairing.poll(subject)?.without("device_code");
    request.send().await?.refused(&[400], &["invalid_request"])
}

async fn tokens_have_their_form(subject: &Subject) -> Verdict {
    let answer = approved(subject).await?.tokens(subject).await?.answer;
    answer.text("token_type")?;
    let right = answer.media_type() == "application/json";
    answer.require(right, "the media type is not application/json")?;
    let kept = !answer.has_directive("cache-control", "no-store");
    answer.require(!kept, "Cache-Control is not no-store")
}

async fn unanswered_is_pending(subject: &Subject) -> Verdict {
    let answer = subject.pairing().await?.polled(subject).await?;
    answer.refused(&[400], &["authorization_pending"])
}

/// A few polls at once: on a slow day, or on a clock that other checks move, two of them may be far enough apart.
async fn hasty_is_slowed_down(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let mut answer = pairing.poll(subject)?.send().await?;
    for _ in 0..4 {
        answer.refused(&[400], &["authorization_pending", "slow_down"])?;
        answer = pairing.poll(subject)?.send().await?;
        if answer.text("error")? == "slow_down" {
            return Ok(());
        }
    }
    answer.refused(&[400], &["slow_down"])
}

async fn patient_is_not_slowed_down(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    for _ in 0..2 {
        pairing.wait(subject).await?;
        let answer = pairing.poll(subject)?.send().await?;
        answer.refused(&[400], &["authorization_pending"])?;
    }
    Ok(())
}

async fn denied_device_is_told(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    pairing.decided(subject, Decision::Deny).await?;
    let answer = pairing.polled(subject).await?;
    answer.refused(&[400], &["access_denied"])
}

async fn invented_code(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let request = pairing.poll(subject)?.without("device_code");
    let request = request.form(&[("device_code", "no-such-code")]);
    let answer = request.send().await?;
    answer.refused(&[400], &["invalid_grant", "expired_token"])
}

async fn code_of_another_client(subject: &Subject) -> Verdict {
    let other = subject.other_device().await?;
    let pairing = approved(subject).await?;
    let request = pairing.poll(subject)?.without("client_id");
    let request = request.form(&[("client_id", other)]);
    request.send().await?.without_token()
}

async fn second_poll_gives_nothing(subject: &Subject) -> Verdict {
    let pairing = approved(subject).await?;
    pairing.tokens(subject).await?;
    pairing.wait(subject).await?;
    pairing.poll(subject)?.send().await?.without_token()
}

async fn user_code_has_entropy(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let code = letters(&pairing.user_code);
    let digits = code.chars().all(|c| c.is_ascii_digit());
    // As many as make 2^26 and more: ten digits each, or twenty letters (§6.1).
    let enough = if digits { 8 } else { 7 };
    let reason = format!("a code of {} characters", code.len());
    pairing.answer.require(code.len() >= enough, reason)
}

async fn user_code_has_plain_characters(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let code = pairing.user_code.as_str();
    let plain = code
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ' ' | '.'));
    let has = |case: fn(&char) -> bool| code.chars().any(|c| case(&c));
    let mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
    pairing.answer.require(
        plain && !mixed,
        "the code has characters that are hard to type",
    )
}

async fn code_is_typed_carelessly(subject: &Subject) -> Verdict {
    let pairing = subject.pairing().await?;
    let typed = letters(&pairing.user_code).to_ascii_lowercase();
    let way = (&pairing.page()?, typed.as_str());
    pairing.answered(subject, way, Decision::Approve).await?;
    pairing.tokens(subject).await.map(drop)
}
