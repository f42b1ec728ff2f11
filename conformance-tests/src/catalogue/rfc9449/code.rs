//! Codes that are bound to a key (RFC 9449 §10).

use crate::answer::Answer;
use crate::catalogue::rfc9126::request_uri;
use crate::check::{Stop, Verdict};
use crate::dpop::{Draft, INVALID_PROOF, Prover};
use crate::subject::{Authorization, Code, Subject};

/// How a code comes to be bound.
#[derive(Clone, Copy)]
enum Way {
    /// By `dpop_jkt` (§10).
    Asked,
    /// By the proof with a pushed request (§10.1).
    PushedProof,
    /// By `dpop_jkt` of a pushed request.
    PushedKey,
}

impl Way {
    /// A code that is bound to the key of `prover`.
    async fn code(self, subject: &Subject, prover: &Prover) -> Result<Code, Stop> {
        let request = subject.authorization()?;
        match self {
            Self::Asked => request.with("dpop_jkt", prover.thumbprint()).code().await,
            Self::PushedProof => pushed_code(subject, request, Some(&Draft::of(prover))).await,
            Self::PushedKey => {
                let request = request.with("dpop_jkt", prover.thumbprint());
                pushed_code(subject, request, None).await
            }
        }
    }
}

/// The codes of that way are good with the key, and refused with another and with none.
async fn binds(subject: &Subject, way: Way) -> Verdict {
    let prover = subject.prover("redeemer")?;
    let own = way.code(subject, &prover).await?;
    let answer = subject
        .send_proved(|| own.redemption(subject), &Draft::of(&prover))
        .await?;
    if let Ok(token) = answer.text("access_token") {
        subject.redactor().learn(&token);
    }
    answer.status(&[200])?;
    let other = subject.prover("another-redeemer")?;
    let stolen = way.code(subject, &prover).await?;
    let answer = subject
        .send_proved(|| stolen.redemption(subject), &Draft::of(&other))
        .await?;
    is_refused("another key", &answer)?;
    let bare = way.code(subject, &prover).await?;
    let answer = bare.redemption(subject)?.send().await?;
    is_refused("no proof", &answer)
}

fn is_refused(what: &str, answer: &Answer) -> Verdict {
    answer.require(
        answer.status != 200,
        format!("the code was redeemed with {what}"),
    )?;
    let codes = ["invalid_grant", INVALID_PROOF, "invalid_request"];
    answer.refused(&[400], &codes)
}

pub(super) async fn asked_for_with_a_key(subject: &Subject) -> Verdict {
    binds(subject, Way::Asked).await
}

pub(super) async fn pushed_proof_binds(subject: &Subject) -> Verdict {
    binds(subject, Way::PushedProof).await
}

pub(super) async fn pushed_key_binds(subject: &Subject) -> Verdict {
    binds(subject, Way::PushedKey).await
}

/// What is pushed, and the answer; with a proof where there is a draft of one.
async fn push(
    subject: &Subject,
    request: &Authorization<'_>,
    draft: Option<&Draft<'_>>,
) -> Result<Answer, Stop> {
    let make = || {
        let endpoint = subject.post("pushed_authorization_request_endpoint")?;
        Ok(endpoint.form(request.parameters()))
    };
    match draft {
        Some(draft) => subject.send_proved(make, draft).await,
        None => make()?.send().await,
    }
}

/// The code of a request that was pushed so.
async fn pushed_code(
    subject: &Subject,
    request: Authorization<'_>,
    draft: Option<&Draft<'_>>,
) -> Result<Code, Stop> {
    let answer = push(subject, &request, draft).await?;
    let uri = request_uri(subject, &answer)?;
    let client_id = &subject.app()?.client_id;
    let front = [("client_id", client_id.as_str()), ("request_uri", &uri)];
    request.travelling_as(&front).code().await
}

pub(super) async fn pushed_proof_is_checked(subject: &Subject) -> Verdict {
    let (prover, other) = (subject.prover("pusher")?, subject.prover("no-pusher")?);
    let request = subject.authorization()?;
    for (what, draft) in super::refused_everything(subject, &prover, &other) {
        let answer = push(subject, &request, Some(&draft)).await?;
        answer.require(
            answer.status != 201,
            format!("{what} was pushed without complaint"),
        )?;
        if what != "an old proof" {
            answer.refused(&[400], &[INVALID_PROOF])?;
        }
    }
    Ok(())
}

pub(super) async fn two_keys_are_pushed(subject: &Subject) -> Verdict {
    let (prover, other) = (subject.prover("one-key")?, subject.prover("other-key")?);
    let request = subject.authorization()?;
    let request = request.with("dpop_jkt", other.thumbprint());
    let answer = push(subject, &request, Some(&Draft::of(&prover))).await?;
    answer.refused(&[400], &["invalid_request", INVALID_PROOF])
}
