//! What is wrong about a proof, at the token endpoint (RFC 9449 §4.3, §11.1).

use serde_json::{Value, json};
use url::Url;

use super::asked;
use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::dpop::{DPOP, Draft, INVALID_PROOF, Prover, USE_NONCE, confused, hash, unsigned};
use crate::jws::{self, Jws};
use crate::subject::Subject;

/// What came must be a refusal for the proof's sake (§5).
fn refused(what: &str, answer: &Answer, codes: &[&str]) -> Verdict {
    let error = answer.text("error").unwrap_or_default();
    answer.require(
        answer.status == 400 && codes.contains(&error.as_str()),
        format!("{what} was answered {} {error}", answer.status),
    )
}

async fn is_refused(subject: &Subject, what: &str, draft: &Draft<'_>) -> Verdict {
    let answer = asked(subject, draft).await?;
    refused(what, &answer, &[INVALID_PROOF])
}

/// A few proofs that are none, for endpoints where not each of their faults is a requirement of its own.
pub(super) fn refused_everything<'p>(
    subject: &Subject,
    prover: &'p Prover,
    other: &'p Prover,
) -> Vec<(&'static str, Draft<'p>)> {
    let good = || Draft::of(prover);
    let past = subject.now().saturating_sub(3600);
    vec![
        ("a proof that is no JWT", good().instead("no-proof")),
        ("a proof of another typ", good().header("typ", "JWT")),
        ("a proof that another key signed", good().signed_by(other)),
        ("a proof for another method", good().claim("htm", "PATCH")),
        (
            "a proof for another URL",
            good().claim("htu", "https://other.example/"),
        ),
        ("a proof without jti", good().without("jti")),
        ("an old proof", good().claim("iat", past).without("nonce")),
    ]
}

pub(super) async fn two_proofs(subject: &Subject) -> Verdict {
    let prover = subject.prover("two-proofs")?;
    let good = Draft::of(&prover);
    // Whoever gives nonces has given one now.
    asked(subject, &good).await?.status(&[200])?;
    let request = subject.token_request()?;
    let (first, second) = (
        subject.proof(&request, &good)?,
        subject.proof(&request, &good)?,
    );
    let request = request.header(DPOP, first).header(DPOP, second);
    refused("two proofs", &request.send().await?, &[INVALID_PROOF])
}

pub(super) async fn no_jwt(subject: &Subject) -> Verdict {
    let prover = subject.prover("no-jwt")?;
    for text in ["no-proof", "e30.e30", "e30.e30.e30", "a.b.c.d.e"] {
        is_refused(subject, text, &Draft::of(&prover).instead(text)).await?;
    }
    Ok(())
}

pub(super) async fn claims_are_missing(subject: &Subject) -> Verdict {
    let prover = subject.prover("claims")?;
    for name in ["jti", "htm", "htu", "iat"] {
        let what = format!("a proof without {name}");
        let answer = asked(subject, &Draft::of(&prover).without(name)).await?;
        // A nonce may stand in for the time, and be asked for.
        let codes = if name == "iat" {
            &[INVALID_PROOF, USE_NONCE][..]
        } else {
            &[INVALID_PROOF]
        };
        refused(&what, &answer, codes)?;
    }
    Ok(())
}

pub(super) async fn another_typ(subject: &Subject) -> Verdict {
    let prover = subject.prover("typ")?;
    let good = || Draft::of(&prover);
    is_refused(subject, "typ JWT", &good().header("typ", "JWT")).await?;
    is_refused(subject, "no typ", &good().without_header("typ")).await
}

pub(super) async fn no_signature(subject: &Subject) -> Verdict {
    let prover = subject.prover("unsigned")?;
    let draft = Draft::of(&prover).finished_by(unsigned);
    is_refused(subject, "alg none", &draft).await
}

pub(super) async fn shared_key(subject: &Subject) -> Verdict {
    let prover = subject.prover("shared-key")?;
    let good = || Draft::of(&prover);
    is_refused(subject, "alg HS256", &good().finished_by(confused)).await?;
    let secret = json!({"kty": "oct", "k": hash("nobody's secret")});
    let symmetric = good().header("jwk", secret).finished_by(confused);
    is_refused(subject, "a shared key", &symmetric).await
}

pub(super) async fn by_every_algorithm(subject: &Subject) -> Verdict {
    let member = "dpop_signing_alg_values_supported";
    let announced = subject.metadata().list(member);
    for signer in subject.signers()?.all() {
        let prover = Prover::with(signer);
        let prover = prover.ok_or_else(|| Stop::unchecked("no key could be made"))?;
        let name = signer.name();
        let answer = asked(subject, &Draft::of(&prover)).await?;
        let known =
            announced.contains(&name.as_str()) || name == "EdDSA" && announced.contains(&"Ed25519");
        if known {
            answer.status(&[200])?;
        } else {
            refused(&format!("alg {name}"), &answer, &[INVALID_PROOF])?;
        }
    }
    Ok(())
}

pub(super) async fn another_signature(subject: &Subject) -> Verdict {
    let (prover, other) = (subject.prover("signature")?, subject.prover("stranger")?);
    let draft = Draft::of(&prover).signed_by(&other);
    is_refused(subject, "another key's signature", &draft).await
}

fn other_time(proof: String) -> String {
    let Some(read) = Jws::parse(&proof) else {
        return proof;
    };
    let at = read.claims.get("iat").and_then(Value::as_i64);
    jws::tampered(
        &read,
        "iat",
        at.unwrap_or_default().saturating_add(1).into(),
    )
}

pub(super) async fn tampered(subject: &Subject) -> Verdict {
    let prover = subject.prover("tampered")?;
    let draft = Draft::of(&prover).finished_by(other_time);
    is_refused(subject, "a tampered proof", &draft).await
}

pub(super) async fn private_key(subject: &Subject) -> Verdict {
    let prover = subject.prover("private-key")?;
    let mut key = prover.public().clone();
    if let Some(members) = key.as_object_mut() {
        members.insert("d".into(), hash("nobody's private key").into());
    }
    is_refused(
        subject,
        "a private key",
        &Draft::of(&prover).header("jwk", key),
    )
    .await
}

pub(super) async fn another_method(subject: &Subject) -> Verdict {
    let prover = subject.prover("method")?;
    for method in ["GET", "post", ""] {
        let what = format!("htm {method:?}");
        is_refused(subject, &what, &Draft::of(&prover).claim("htm", method)).await?;
    }
    Ok(())
}

pub(super) async fn another_url(subject: &Subject) -> Verdict {
    let prover = subject.prover("url")?;
    let mut elsewhere = subject.endpoint("token_endpoint")?;
    elsewhere.set_path(&format!("{}/other", elsewhere.path()));
    for url in [elsewhere.as_str(), "https://other.example/token", "token"] {
        let what = format!("htu {url}");
        is_refused(subject, &what, &Draft::of(&prover).claim("htu", url)).await?;
    }
    Ok(())
}

/// The same URL with the scheme and the host in capitals, and the last letter of the path percent-encoded (RFC 3986 §6.2.2).
fn of_another_form(url: &Url) -> String {
    let text = url.as_str();
    let (origin, path) = text.split_at(text.len().saturating_sub(url.path().len()));
    let mut letters = path.chars();
    let last = letters.next_back().filter(char::is_ascii_alphanumeric);
    let path = match last {
        Some(last) => format!("{}%{:02X}", letters.as_str(), u32::from(last)),
        None => path.to_owned(),
    };
    format!("{}{path}", origin.to_uppercase())
}

pub(super) async fn url_of_another_form(subject: &Subject) -> Verdict {
    let prover = subject.prover("form-of-url")?;
    let mut url = subject.endpoint("token_endpoint")?;
    url.set_query(None);
    let htu = of_another_form(&url);
    let answer = asked(subject, &Draft::of(&prover).claim("htu", htu.as_str())).await?;
    answer.require(
        answer.status == 200,
        format!("htu {htu} was answered {}", answer.status),
    )
}

pub(super) async fn another_time(subject: &Subject) -> Verdict {
    subject.credentials()?;
    let prover = subject.prover("time")?;
    let now = subject.now();
    for (what, iat) in [
        ("a proof of an hour ago", now.saturating_sub(3600)),
        ("a proof of the next hour", now.saturating_add(3600)),
    ] {
        // With a nonce the server may go by the nonce's own time (§11.1).
        let draft = Draft::of(&prover).claim("iat", iat).without("nonce");
        let answer = subject
            .send_proved_once(subject.token_request()?, &draft)
            .await?;
        refused(what, &answer, &[INVALID_PROOF, USE_NONCE])?;
    }
    Ok(())
}

pub(super) async fn refusal_has_form(subject: &Subject) -> Verdict {
    let prover = subject.prover("form")?;
    let answer = asked(subject, &Draft::of(&prover).claim("htm", "GET")).await?;
    answer.refused(&[400], &[INVALID_PROOF])?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )
}

pub(super) async fn replayed(subject: &Subject) -> Verdict {
    let prover = subject.prover("replay")?;
    asked(subject, &Draft::of(&prover)).await?.status(&[200])?;
    let proof = subject.proof(&subject.token_request()?, &Draft::of(&prover))?;
    let again = Draft::of(&prover).instead(&proof);
    asked(subject, &again).await?.status(&[200])?;
    let answer = subject
        .send_proved_once(subject.token_request()?, &again)
        .await?;
    if answer.status == 200 {
        return Err(answer.fail("the same proof worked twice"));
    }
    refused("the same proof again", &answer, &[INVALID_PROOF, USE_NONCE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3986_6_2_2_the_same_url_in_another_form() {
        let url = "https://as.example/oauth/token".parse().unwrap();
        assert_eq!(of_another_form(&url), "HTTPS://AS.EXAMPLE/oauth/toke%6E");
    }
}
