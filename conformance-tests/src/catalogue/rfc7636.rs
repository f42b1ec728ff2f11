//! RFC 7636: proof key for code exchange.

use super::{Feature, Requirement, Standard, must};
use crate::check::{Stop, Verdict, check};
use crate::subject::{Code, Subject};

const PKCE: &[Feature] = &[
    Feature::Grant("authorization_code"),
    Feature::Member("authorization_endpoint"),
    Feature::Member("code_challenge_methods_supported"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 7636",
    title: "Proof Key for Code Exchange by OAuth Public Clients",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc7636-4.1-verifier-length",
        "4.1",
        "A code verifier of 43 to 128 unreserved characters works.",
        &[check!(verifiers_of_every_length)],
    )
    .when(PKCE),
    must(
        "rfc7636-4.2-s256",
        "4.2",
        "S256 is supported.",
        &[check!(s256_works)],
    )
    .when(PKCE),
    must(
        "rfc7636-4.3-default-method",
        "4.3",
        "A request without code_challenge_method means plain, never S256.",
        &[check!(absent_method_is_not_s256)],
    )
    .when(PKCE),
    must(
        "rfc7636-4.4.1-method",
        "4.4.1",
        "A transformation that is not supported is answered with invalid_request.",
        &[check!(unknown_method_is_refused)],
    )
    .when(PKCE),
    must(
        "rfc7636-4.6-verifier",
        "4.6",
        "A verifier that does not fit the challenge is refused with invalid_grant.",
        &[
            check!(another_verifier),
            check!(challenge_as_verifier),
            check!(verifier_of_another_code),
        ],
    )
    .when(PKCE),
    must(
        "rfc7636-4.6-verifier-required",
        "4.6",
        "A code that was asked for with a challenge is not redeemed without a verifier.",
        &[check!(no_verifier), check!(empty_verifier)],
    )
    .when(PKCE),
];

async fn verifiers_of_every_length(subject: &Subject) -> Verdict {
    let unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for length in [43, 44, 128] {
        let verifier: String = unreserved.chars().rev().cycle().take(length).collect();
        let request = subject.authorization()?.with_verifier(&verifier);
        subject.redeem(&request.code().await?).await?;
    }
    Ok(())
}

async fn s256_works(subject: &Subject) -> Verdict {
    let code = subject.authorization()?.code().await?;
    subject.redeem(&code).await.map(drop)
}

/// The challenge is a hash: under plain no verifier but the hash itself fits it.
async fn absent_method_is_not_s256(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.without("code_challenge_method");
    let arrival = request.arrive().await?;
    if arrival.parameter("code").is_none() {
        return arrival.refused(&["invalid_request"]);
    }
    let answer = arrival.code()?.redemption(subject)?.send().await?;
    answer.refused(&[400], &["invalid_grant"])
}

async fn unknown_method_is_refused(subject: &Subject) -> Verdict {
    for method in ["S512", "s256", "none"] {
        let request = subject
            .authorization()?
            .with("code_challenge_method", method);
        let arrival = request.refused(&["invalid_request"]).await?;
        arrival.keeps_state()?;
    }
    Ok(())
}

/// Redeems a new code with that verifier.
async fn redeemed_with(
    subject: &Subject,
    verifier: impl Fn(&Code) -> Option<String>,
    codes: &[&str],
) -> Verdict {
    let code = subject.authorization()?.code().await?;
    let request = code.redemption(subject)?.without("code_verifier");
    let request = match verifier(&code) {
        Some(verifier) => request.form(&[("code_verifier", verifier)]),
        None => request,
    };
    request.send().await?.refused(&[400], codes)
}

async fn another_verifier(subject: &Subject) -> Verdict {
    redeemed_with(subject, |_| Some("a".repeat(43)), &["invalid_grant"]).await
}

/// What a server that mixes up S256 and plain would take.
async fn challenge_as_verifier(subject: &Subject) -> Verdict {
    let challenge = |code: &Code| Some(crate::subject::s256(&code.verifier));
    redeemed_with(subject, challenge, &["invalid_grant"]).await
}

async fn verifier_of_another_code(subject: &Subject) -> Verdict {
    let other = subject.authorization()?.code().await?;
    redeemed_with(
        subject,
        |_| Some(other.verifier.clone()),
        &["invalid_grant"],
    )
    .await
}

/// RFC 7636 §4.6 speaks of values that differ; what is missing may be called a bad request too.
const MISSING: &[&str] = &["invalid_grant", "invalid_request"];

async fn no_verifier(subject: &Subject) -> Verdict {
    redeemed_with(subject, |_| None, MISSING).await
}

async fn empty_verifier(subject: &Subject) -> Verdict {
    redeemed_with(subject, |_| Some(String::new()), MISSING).await
}

/// What the app gets from a request without a challenge: nothing, or a code.
pub(super) async fn code_without_challenge(subject: &Subject) -> Result<Option<Code>, Stop> {
    let request = subject.authorization()?.without_challenge();
    let arrival = request.arrive().await?;
    if arrival.parameter("code").is_some() {
        return arrival.code().map(Some);
    }
    arrival.refused(&["invalid_request"])?;
    Ok(None)
}
