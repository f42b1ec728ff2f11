//! RFC 6750: how a protected resource takes bearer tokens and refuses them.

use super::{Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Verdict, check};
use crate::metadata::is_protected;
use crate::subject::Subject;

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 6750",
    title: "The OAuth 2.0 Authorization Framework: Bearer Token Usage",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc6750-2.1-header",
        "2.1",
        "Resource servers take bearer tokens from the Authorization header.",
        &[check!(header_is_accepted)],
    ),
    must(
        "rfc6750-2.1-scheme-case",
        "2.1",
        "The scheme is matched without regard to case, as HTTP authentication defines it.",
        &[check!(scheme_in_other_case)],
    ),
    must(
        "rfc6750-2.1-syntax",
        "2.1",
        "Credentials are the scheme, a space and one b64token; anything else is refused.",
        &[check!(malformed_credentials)],
    ),
    should(
        "rfc6750-2.3-no-query",
        "2.3",
        "The URI query is not used to carry a token.",
        &[check!(token_in_query)],
    ),
    must(
        "rfc6750-3-challenge",
        "3",
        "A request without a token that enables access is answered with a WWW-Authenticate header.",
        &[
            check!(challenge_without_token),
            check!(challenge_for_invalid_token),
        ],
    ),
    must(
        "rfc6750-3-scheme",
        "3",
        "The challenge uses the scheme Bearer, followed by one or more parameters.",
        &[check!(bearer_with_parameters)],
    ),
    must(
        "rfc6750-3-parameters-once",
        "3",
        "No parameter of a challenge stands more than once.",
        &[check!(parameters_stand_once)],
    ),
    must(
        "rfc6750-3-characters",
        "3",
        "The parameters error, error_description, error_uri and scope keep to their allowed characters.",
        &[check!(parameter_characters)],
    ),
    should(
        "rfc6750-3.1-no-code-without-token",
        "3.1",
        "A request without any authentication information gets no error code.",
        &[check!(no_code_without_token)],
    ),
    should(
        "rfc6750-3.1-invalid-token",
        "3.1",
        "A token that is not valid is answered 401 invalid_token.",
        &[check!(invalid_token)],
    ),
    should(
        "rfc6750-3.1-invalid-request",
        "3.1",
        "A malformed request is answered 400 invalid_request.",
        &[check!(invalid_request)],
    ),
    should(
        "rfc6750-3.1-insufficient-scope",
        "3.1",
        "A token without the needed privileges is answered 403 insufficient_scope.",
        &[],
    )
    .unchecked("needs a token that lacks a scope which the protected resource asks for"),
    must(
        "rfc6750-5.3-tls",
        "5.3",
        "Bearer tokens travel over TLS (this machine's own loopback excepted).",
        &[check!(look api_is_protected)],
    ),
];

/// Not the shape of any token in use, but a valid b64token.
const INVENTED: &str = "no-such-token";

async fn anonymous(subject: &Subject) -> Result<Answer, crate::check::Stop> {
    subject.get(subject.api()?).send().await
}

/// 403 is an answer to a token that was understood: the check is about the way it travelled.
fn understood(answer: &Answer) -> Verdict {
    let taken = (200..300).contains(&answer.status) || answer.status == 403;
    answer.require(
        taken,
        format!("a valid token was answered {}", answer.status),
    )
}

async fn header_is_accepted(subject: &Subject) -> Verdict {
    let api = subject.api()?;
    let token = subject.token().await?;
    understood(&subject.get(api).bearer(&token.value).send().await?)
}

async fn scheme_in_other_case(subject: &Subject) -> Verdict {
    let api = subject.api()?;
    let token = subject.token().await?;
    for scheme in ["bearer", "BEARER"] {
        let request = subject
            .get(api)
            .header("authorization", format!("{scheme} {}", token.value));
        understood(&request.send().await?)?;
    }
    Ok(())
}

async fn malformed_credentials(subject: &Subject) -> Verdict {
    let api = subject.api()?;
    let token = &subject.token().await?.value;
    for credentials in [
        format!("Bearer\t{token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer={token}"),
        token.clone(),
    ] {
        let answer = subject
            .get(api)
            .header("authorization", credentials)
            .send()
            .await?;
        answer.status(&[400, 401])?;
    }
    Ok(())
}

async fn token_in_query(subject: &Subject) -> Verdict {
    let api = subject.api()?;
    let token = subject.token().await?;
    let answer = subject
        .get(api)
        .query("access_token", &token.value)
        .send()
        .await?;
    answer.status(&[400, 401])
}

async fn challenge_without_token(subject: &Subject) -> Verdict {
    let answer = anonymous(subject).await?;
    answer.status(&[401])?;
    answer.require(
        answer.header("www-authenticate").is_some(),
        "there is no WWW-Authenticate",
    )
}

async fn challenge_for_invalid_token(subject: &Subject) -> Verdict {
    let answer = subject.call_api(INVENTED).await?;
    answer.require(
        (400..500).contains(&answer.status),
        "an invented token was not refused",
    )?;
    answer.require(
        answer.header("www-authenticate").is_some(),
        "there is no WWW-Authenticate",
    )
}

async fn bearer_with_parameters(subject: &Subject) -> Verdict {
    for answer in [anonymous(subject).await?, subject.call_api(INVENTED).await?] {
        let challenge = answer.challenge("Bearer")?;
        answer.require(
            !challenge.parameters.is_empty(),
            "the Bearer challenge has no parameters",
        )?;
    }
    Ok(())
}

async fn parameters_stand_once(subject: &Subject) -> Verdict {
    for answer in [anonymous(subject).await?, subject.call_api(INVENTED).await?] {
        let challenge = answer.challenge("Bearer")?;
        for (name, _) in &challenge.parameters {
            let count = challenge
                .parameters
                .iter()
                .filter(|(other, _)| other == name)
                .count();
            answer.require(count == 1, format!("{name} stands {count} times"))?;
        }
    }
    Ok(())
}

async fn parameter_characters(subject: &Subject) -> Verdict {
    for answer in [anonymous(subject).await?, subject.call_api(INVENTED).await?] {
        for (name, value) in answer.challenge("Bearer")?.parameters {
            let allowed = |byte: u8| match name.as_str() {
                "error" | "error_description" => {
                    matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)
                }
                "scope" => matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E),
                "error_uri" => matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E),
                _ => true,
            };
            answer.require(
                value.bytes().all(allowed),
                format!("{name} has characters that it may not have"),
            )?;
        }
    }
    Ok(())
}

async fn no_code_without_token(subject: &Subject) -> Verdict {
    let answer = anonymous(subject).await?;
    let challenge = answer.challenge("Bearer")?;
    answer.require(
        challenge.parameter("error").is_none(),
        "the challenge has an error code",
    )
}

async fn invalid_token(subject: &Subject) -> Verdict {
    let answer = subject.call_api(INVENTED).await?;
    answer.status(&[401])?;
    let challenge = answer.challenge("Bearer")?;
    answer.require(
        challenge.parameter("error") == Some("invalid_token"),
        "the error is not invalid_token",
    )
}

async fn invalid_request(subject: &Subject) -> Verdict {
    let request = subject
        .get(subject.api()?)
        .header("authorization", "Bearer two words");
    let answer = request.send().await?;
    answer.status(&[400])?;
    let challenge = answer.challenge("Bearer")?;
    answer.require(
        challenge.parameter("error") == Some("invalid_request"),
        "the error is not invalid_request",
    )
}

fn api_is_protected(subject: &Subject) -> Verdict {
    let api = subject.api()?;
    let reason = || crate::check::Stop::failed(format!("the protected resource is {api}"), None);
    if is_protected(api) {
        Ok(())
    } else {
        Err(reason())
    }
}
