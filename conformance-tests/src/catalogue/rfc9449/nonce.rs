//! Nonces of the authorization server (RFC 9449 §8).

use super::asked;
use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::dpop::{Draft, INVALID_PROOF, USE_NONCE, nonce, nonces};
use crate::subject::Subject;

const INVENTED: &str = "no-such-nonce";

/// The answer to a good proof, of a server that gives nonces.
async fn given(subject: &Subject) -> Result<(String, Answer), Stop> {
    let prover = subject.prover("nonce")?;
    let answer = asked(subject, &Draft::of(&prover)).await?;
    answer.status(&[200])?;
    match nonce(&answer) {
        Some(nonce) => Ok((nonce, answer)),
        None if subject.has_nonce(&subject.endpoint("token_endpoint")?) => {
            challenge(subject).await.and_then(|answer| {
                let nonce = nonce(&answer).ok_or_else(|| answer.fail("there is no DPoP-Nonce"))?;
                Ok((nonce, answer))
            })
        }
        None => Err(Stop::not_applicable("the server gives no nonces")),
    }
}

/// The answer to a nonce that nobody gave.
async fn challenge(subject: &Subject) -> Result<Answer, Stop> {
    let prover = subject.prover("invented-nonce")?;
    let draft = Draft::of(&prover).claim("nonce", INVENTED);
    let request = subject.token_request()?;
    subject.send_proved_once(request, &draft).await
}

pub(super) async fn invented(subject: &Subject) -> Verdict {
    given(subject).await?;
    let answer = challenge(subject).await?;
    answer.refused(&[400], &[USE_NONCE, INVALID_PROOF])
}

pub(super) async fn challenge_has_one(subject: &Subject) -> Verdict {
    given(subject).await?;
    let answer = challenge(subject).await?;
    answer.refused(&[400], &[USE_NONCE])?;
    let count = nonces(&answer);
    answer.require(count == 1, format!("there are {count} DPoP-Nonce"))?;
    let prover = subject.prover("given-nonce")?;
    let given = nonce(&answer).unwrap_or_default();
    let draft = Draft::of(&prover).claim("nonce", given);
    let answer = subject
        .send_proved_once(subject.token_request()?, &draft)
        .await?;
    answer.status(&[200])
}

pub(super) async fn code_survives(subject: &Subject) -> Verdict {
    let prover = subject.prover("surprised")?;
    let code = subject.authorization()?.code().await?;
    let draft = Draft::of(&prover).claim("nonce", INVENTED);
    let request = code.redemption(subject)?;
    let answer = subject.send_proved_once(request, &draft).await?;
    if answer.status == 200 {
        return Err(Stop::not_applicable("the server gives no nonces"));
    }
    answer.refused(&[400], &[USE_NONCE])?;
    let request = code.redemption(subject)?;
    let answer = subject
        .send_proved_once(request, &Draft::of(&prover))
        .await?;
    if let Ok(token) = answer.text("access_token") {
        subject.redactor().learn(&token);
    }
    answer.status(&[200])
}

pub(super) async fn syntax(subject: &Subject) -> Verdict {
    let (nonce, answer) = given(subject).await?;
    let nqchar = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    answer.require(
        !nonce.is_empty() && nonce.bytes().all(nqchar),
        format!("DPoP-Nonce is {nonce:?}"),
    )
}

pub(super) async fn not_stored(subject: &Subject) -> Verdict {
    let (_, answer) = given(subject).await?;
    answer.require(
        answer.has_directive("cache-control", "no-store"),
        "an answer with DPoP-Nonce may be stored",
    )
}
