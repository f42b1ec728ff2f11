//! Requests that the token endpoint refuses (RFC 6749 §5.2).

use reqwest::Method;
use serde_json::Value;

use crate::check::{Stop, Verdict};
use crate::subject::Subject;

/// RFC 6749 §5.2: one value of `error`, another of the status; 401 is for `invalid_client` alone.
const UNAUTHENTICATED: (&[u16], &[&str]) = (&[400, 401], &["invalid_client"]);

pub(super) async fn two_methods(subject: &Subject) -> Verdict {
    let (client_id, secret) = subject.secret()?;
    let request = subject.grant()?.basic(client_id, secret);
    let request = request.form(&[("client_id", client_id), ("client_secret", secret)]);
    request
        .send()
        .await?
        .refused(&[400, 401], &["invalid_request", "invalid_client"])
}

pub(super) async fn empty_grant_type_is_missing(subject: &Subject) -> Verdict {
    let request = subject
        .token_request()?
        .without("grant_type")
        .form(&[("grant_type", "")]);
    request.send().await?.refused(&[400], &["invalid_request"])
}

pub(super) async fn duplicate_grant_type(subject: &Subject) -> Verdict {
    let request = subject
        .token_request()?
        .form(&[("grant_type", "client_credentials")]);
    request.send().await?.refused(&[400], &["invalid_request"])
}

pub(super) async fn duplicate_scope(subject: &Subject) -> Verdict {
    let scope = granted_scope(subject).await?;
    let request = subject
        .token_request()?
        .form(&[("scope", &scope), ("scope", &scope)]);
    request.send().await?.refused(&[400], &["invalid_request"])
}

/// A scope that the client is known to get, so that nothing but the repetition can be wrong.
async fn granted_scope(subject: &Subject) -> Result<String, Stop> {
    let token = subject.token().await?;
    let scope = token
        .answer
        .json()?
        .get("scope")
        .and_then(Value::as_str)
        .map(str::to_owned);
    Ok(scope
        .filter(|scope| !scope.is_empty())
        .unwrap_or_else(|| "openid".into()))
}

pub(super) async fn no_authentication(subject: &Subject) -> Verdict {
    let answer = subject.grant()?.send().await?;
    answer.refused(&[400, 401], &["invalid_client", "invalid_request"])
}

pub(super) async fn client_id_alone(subject: &Subject) -> Verdict {
    let client_id = subject.credentials()?.client_id.as_str();
    let answer = subject
        .grant()?
        .form(&[("client_id", client_id)])
        .send()
        .await?;
    answer.refused(UNAUTHENTICATED.0, UNAUTHENTICATED.1)
}

pub(super) async fn public_client_credentials(subject: &Subject) -> Verdict {
    let client_id = subject.public_client()?;
    let answer = subject
        .grant()?
        .form(&[("client_id", client_id)])
        .send()
        .await?;
    answer.refused(&[400, 401], &["unauthorized_client", "invalid_client"])
}

pub(super) async fn parameters_in_query(subject: &Subject) -> Verdict {
    let request = subject
        .token_request()?
        .without("grant_type")
        .without("resource");
    // An empty body is still a form.
    let request = request
        .query("grant_type", "client_credentials")
        .form(&[("scope", "")]);
    request.send().await?.without_token()
}

pub(super) async fn parameters_in_json(subject: &Subject) -> Verdict {
    let (client_id, secret) = subject.basic_secret()?;
    let request = subject
        .request(Method::POST, subject.endpoint("token_endpoint")?)
        .basic(client_id, secret);
    let request = request.raw(
        "application/json",
        r#"{"grant_type":"client_credentials"}"#.into(),
    );
    request.send().await?.without_token()
}

pub(super) async fn missing_grant_type(subject: &Subject) -> Verdict {
    let answer = subject
        .token_request()?
        .without("grant_type")
        .send()
        .await?;
    answer.refused(&[400], &["invalid_request"])
}

pub(super) async fn wrong_secret(subject: &Subject) -> Verdict {
    let (client_id, secret) = subject.secret()?;
    let wrong = wrong(secret);
    let request = subject.grant()?;
    let request = match subject.basic_secret() {
        Ok(_) => request.basic(client_id, &wrong),
        Err(_) => request.form(&[("client_id", client_id), ("client_secret", &wrong)]),
    };
    request
        .send()
        .await?
        .refused(UNAUTHENTICATED.0, UNAUTHENTICATED.1)
}

pub(super) async fn unknown_client(subject: &Subject) -> Verdict {
    let request = subject.grant()?.form(&[
        ("client_id", "no-such-client"),
        ("client_secret", "no-such-secret"),
    ]);
    request
        .send()
        .await?
        .refused(UNAUTHENTICATED.0, UNAUTHENTICATED.1)
}

pub(super) async fn basic_challenge(subject: &Subject) -> Verdict {
    let (client_id, secret) = subject.basic_secret()?;
    let answer = subject
        .grant()?
        .basic(client_id, &wrong(secret))
        .send()
        .await?;
    answer.refused(&[401], &["invalid_client"])?;
    answer.challenge("Basic").map(drop)
}

/// As long as the right one and different in its last character alone: what a sloppy comparison would let pass.
fn wrong(secret: &str) -> String {
    let mut wrong = secret.to_owned();
    let last = wrong.pop();
    wrong.push(if last == Some('x') { 'y' } else { 'x' });
    wrong
}

/// A client that may not use the grant at all is told `unauthorized_client`, and rightly so.
pub(super) async fn invented_grants(subject: &Subject) -> Verdict {
    let supported = subject.metadata().grants();
    let mut tried = false;
    for (grant, parameters) in [
        ("refresh_token", &[("refresh_token", "no-such-token")][..]),
        (
            "authorization_code",
            &[
                ("code", "no-such-code"),
                ("redirect_uri", "https://stranger.example/callback"),
                (
                    "code_verifier",
                    "no-such-verifier-no-such-verifier-no-such-verifier",
                ),
            ],
        ),
    ] {
        if supported.contains(&grant) {
            tried = true;
            let request = subject
                .post("token_endpoint")?
                .form(&[("grant_type", grant)])
                .form(parameters);
            let answer = request.authenticated()?.send().await?;
            answer.refused(&[400], &["invalid_grant", "unauthorized_client"])?;
        }
    }
    if tried {
        Ok(())
    } else {
        Err(Stop::not_applicable(
            "grant_types_supported lists neither grant",
        ))
    }
}

pub(super) async fn unknown_grant_type(subject: &Subject) -> Verdict {
    let request = subject
        .token_request()?
        .without("grant_type")
        .form(&[("grant_type", "urn:example:no-such-grant")]);
    request
        .send()
        .await?
        .refused(&[400], &["unsupported_grant_type"])
}

pub(super) async fn malformed_scope(subject: &Subject) -> Verdict {
    // RFC 6749 §3.3: a quotation mark is no NQCHAR.
    let answer = subject
        .token_request()?
        .form(&[("scope", "no\"such\"scope")])
        .send()
        .await?;
    answer.refused(&[400], &["invalid_scope"])
}

pub(super) async fn error_form(subject: &Subject) -> Verdict {
    // What the client sent may come back in the description, so it holds characters that may not.
    let odd = "urn:example:\"\\\u{e9}\n";
    let request = subject
        .token_request()?
        .without("grant_type")
        .form(&[("grant_type", odd)]);
    let answer = request.send().await?;
    answer.status(&[400])?;
    answer.require(
        answer.media_type() == "application/json",
        "the media type is not application/json",
    )?;
    let allowed = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E))
    };
    let json = answer.json()?;
    answer.require(
        allowed(&answer.text("error")?),
        "error has characters that it may not have",
    )?;
    let description = json
        .get("error_description")
        .map_or(Some(""), Value::as_str);
    answer.require(
        description.is_some_and(allowed),
        "error_description has characters that it may not have",
    )
}
