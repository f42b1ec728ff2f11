//! Proofs at protected resources: userinfo, and the API where it speaks DPoP (RFC 9449 §7, §9).

use url::Url;

use super::is_bound;
use crate::answer::Answer;
use crate::catalogue::rfc9728;
use crate::check::{Stop, Verdict};
use crate::dpop::{Draft, Prover, USE_NONCE, nonce};
use crate::request::Request;
use crate::subject::Subject;

/// A protected resource, and a token for it that is bound.
pub(super) struct Place {
    url: Url,
    token: String,
    prover: Prover,
}

impl Place {
    fn bare<'s>(&self, subject: &'s Subject) -> Request<'s> {
        subject.get(&self.url)
    }

    /// A request with the token, which is complete but for the proof.
    fn request<'s>(&self, subject: &'s Subject) -> Request<'s> {
        self.bare(subject).bound(&self.token)
    }

    fn good(&self) -> Draft<'_> {
        Draft::of(&self.prover).with_token(&self.token)
    }

    /// The answer to the token with that proof.
    async fn ask(&self, subject: &Subject, draft: &Draft<'_>) -> Result<Answer, Stop> {
        subject
            .send_proved(|| Ok(self.request(subject)), draft)
            .await
    }
}

/// The same experiment at userinfo and at the API: what is wrong at one of them is not made good by the other.
macro_rules! each {
    ($experiment:path) => {
        &[
            $crate::check::Check::new(
                concat!(stringify!($experiment), " at userinfo"),
                |subject| {
                    Box::pin(async move {
                        let place = $crate::catalogue::rfc9449::resource::userinfo(subject).await?;
                        $experiment(subject, place).await
                    })
                },
            ),
            $crate::check::Check::new(concat!(stringify!($experiment), " at the API"), |subject| {
                Box::pin(async move {
                    let place = $crate::catalogue::rfc9449::resource::api(subject).await?;
                    $experiment(subject, place).await
                })
            }),
        ]
    };
}
pub(super) use each;

pub(super) async fn userinfo(subject: &Subject) -> Result<Place, Stop> {
    let url = subject.endpoint("userinfo_endpoint")?;
    let prover = subject.prover("userinfo")?;
    let code = subject.authorization()?.code().await?;
    let answer = subject
        .send_proved(|| code.redemption(subject), &Draft::of(&prover))
        .await?;
    let token = is_bound(subject, &answer)?;
    Ok(Place { url, token, prover })
}

pub(super) async fn api(subject: &Subject) -> Result<Place, Stop> {
    if subject.target().api.is_none() && subject.metadata().has("userinfo_endpoint") {
        let reason = "no protected resource but userinfo was given";
        return Err(Stop::not_applicable(reason));
    }
    let url = subject.api()?.clone();
    if !speaks_dpop(subject).await? {
        let reason = "the protected resource does not speak DPoP";
        return Err(Stop::not_applicable(reason));
    }
    let prover = subject.prover("api")?;
    let (token, _) = super::bound(subject, &Draft::of(&prover)).await?;
    Ok(Place { url, token, prover })
}

/// RFC 9728 §2 has a member for it, and a challenge names the scheme.
async fn speaks_dpop(subject: &Subject) -> Result<bool, Stop> {
    let member = "dpop_signing_alg_values_supported";
    let document = rfc9728::document(subject).await;
    if document.is_ok_and(|answer| answer.json().is_ok_and(|json| json.contains_key(member))) {
        return Ok(true);
    }
    let answer = subject.get(subject.api()?).send().await?;
    Ok(answer.challenge("DPoP").is_ok())
}

/// 403 is an answer to a token that was understood.
fn taken(answer: &Answer) -> Verdict {
    answer.require(
        (200..300).contains(&answer.status) || answer.status == 403,
        format!("a good proof was answered {}", answer.status),
    )
}

fn refused(what: &str, answer: &Answer) -> Verdict {
    answer.require(
        [400, 401].contains(&answer.status),
        format!("{what} was answered {}", answer.status),
    )
}

pub(super) async fn good_proof(subject: &Subject, place: Place) -> Verdict {
    taken(&place.ask(subject, &place.good()).await?)?;
    let scheme = format!("dpop {}", place.token);
    let make = || Ok(place.bare(subject).header("authorization", scheme.as_str()));
    taken(&subject.send_proved(make, &place.good()).await?)
}

pub(super) async fn no_proof(subject: &Subject, place: Place) -> Verdict {
    refused("no proof", &place.request(subject).send().await?)
}

pub(super) async fn another_token(subject: &Subject, place: Place) -> Verdict {
    let bare = Draft::of(&place.prover);
    refused("a proof without ath", &place.ask(subject, &bare).await?)?;
    let other = Draft::of(&place.prover).with_token("another-token");
    let answer = place.ask(subject, &other).await?;
    refused("a proof for another token", &answer)
}

pub(super) async fn another_key(subject: &Subject, place: Place) -> Verdict {
    let other = subject.prover("holder-of-nothing")?;
    let draft = Draft::of(&other).with_token(&place.token);
    refused("another key", &place.ask(subject, &draft).await?)
}

pub(super) async fn bad_proofs(subject: &Subject, place: Place) -> Verdict {
    let other = subject.prover("signer-of-nothing")?;
    for (what, draft) in super::refused_everything(subject, &place.prover, &other) {
        let draft = draft.with_token(&place.token);
        let answer = if what == "an old proof" {
            let request = place.request(subject);
            subject.send_proved_once(request, &draft).await?
        } else {
            place.ask(subject, &draft).await?
        };
        refused(what, &answer)?;
    }
    Ok(())
}

pub(super) async fn challenge_has_error(subject: &Subject, place: Place) -> Verdict {
    let other = subject.prover("nobody-we-know")?;
    let draft = Draft::of(&other).with_token(&place.token);
    let answer = place.ask(subject, &draft).await?;
    answer.status(&[401])?;
    let error = answer.challenge("DPoP")?;
    let error = error.parameter("error").unwrap_or_default();
    answer.require(
        ["invalid_token", "invalid_dpop_proof"].contains(&error),
        format!("the error of the challenge is {error:?}"),
    )
}

pub(super) async fn challenge_has_algorithms(subject: &Subject, place: Place) -> Verdict {
    let answer = place.request(subject).send().await?;
    let challenge = answer.challenge("DPoP")?;
    let told = challenge
        .parameter("algs")
        .is_some_and(|algs| !algs.is_empty());
    answer.require(told, "the challenge has no algs")
}

pub(super) async fn as_bearer(subject: &Subject, place: Place) -> Verdict {
    let answer = place.bare(subject).bearer(&place.token).send().await?;
    refused("a bound token as bearer token", &answer)?;
    let make = || Ok(place.bare(subject).bearer(&place.token));
    let answer = subject.send_proved(make, &place.good()).await?;
    refused("a bound token as bearer token beside a proof", &answer)
}

pub(super) async fn nothing_to_complain_of(subject: &Subject, place: Place) -> Verdict {
    let answer = place.bare(subject).send().await?;
    for challenge in answer.challenges()? {
        answer.require(
            challenge.parameter("error").is_none(),
            format!("the {} challenge has an error code", challenge.scheme),
        )?;
    }
    Ok(())
}

pub(super) async fn replayed(subject: &Subject, place: Place) -> Verdict {
    // Whoever gives nonces has given one now.
    taken(&place.ask(subject, &place.good()).await?)?;
    let proof = subject.proof(&place.request(subject), &place.good())?;
    let again = place.good().instead(&proof);
    taken(&place.ask(subject, &again).await?)?;
    let request = place.request(subject);
    let answer = subject.send_proved_once(request, &again).await?;
    refused("the same proof again", &answer)
}

pub(super) async fn wants_its_nonce(subject: &Subject, place: Place) -> Verdict {
    taken(&place.ask(subject, &place.good()).await?)?;
    if !subject.has_nonce(&place.url) {
        return Err(Stop::not_applicable("it gives no nonces"));
    }
    let draft = place.good().claim("nonce", "no-such-nonce");
    let request = place.request(subject);
    let answer = subject.send_proved_once(request, &draft).await?;
    answer.status(&[401])?;
    let challenge = answer.challenge("DPoP")?;
    let error = challenge.parameter("error").unwrap_or_default();
    answer.require(error == USE_NONCE, format!("the error is {error:?}"))?;
    answer.require(nonce(&answer).is_some(), "there is no DPoP-Nonce")
}
