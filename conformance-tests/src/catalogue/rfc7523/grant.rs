//! JWTs as authorization grants.

use serde_json::{Map, Value};

use crate::catalogue::Feature;
use crate::check::{Stop, Verdict};
use crate::jws::{self, Jws};
use crate::subject::Subject;
use crate::subject::assertion::{JWT_BEARER, NOT_ALLOWED, signed};
use crate::target::{Authentication, TrustedIssuer};

pub(in crate::catalogue) const BEARER: &[Feature] = &[Feature::Grant(JWT_BEARER)];

pub(super) async fn valid_assertion_is_taken(subject: &Subject) -> Verdict {
    let issuer = subject.trusted_issuer()?;
    let claims = subject.bearer_claims(issuer);
    subject.borne(issuer, None, &claims).await.map(drop)
}

pub(super) async fn assertion_is_missing(subject: &Subject) -> Verdict {
    let request = subject.post("token_endpoint")?;
    let request = request.form(&[("grant_type", JWT_BEARER)]);
    let answer = request.authenticated()?.send().await?;
    answer.is_for_the_client(NOT_ALLOWED)?;
    answer.refused(&[400], &["invalid_request"])
}

/// The assertion, posted as it is, is answered `invalid_grant`.
pub(in crate::catalogue) async fn refused_assertion(
    subject: &Subject,
    what: &str,
    assertion: &str,
) -> Verdict {
    let request = subject.post("token_endpoint")?;
    let request = request.form(&[("grant_type", JWT_BEARER), ("assertion", assertion)]);
    let answer = request.authenticated()?.send().await?;
    answer.is_for_the_client(NOT_ALLOWED)?;
    let error = answer.text("error")?;
    let right = answer.status == 400 && error == "invalid_grant";
    answer.require(
        right,
        format!("{what} was answered {} {error}", answer.status),
    )
}

/// The claims with some of them changed (`Null` takes one out), signed by the issuer.
pub(in crate::catalogue) fn changed_assertion(
    issuer: &TrustedIssuer,
    typ: Option<&str>,
    mut claims: Map<String, Value>,
    changes: &[(&str, Value)],
) -> Result<String, Stop> {
    for (name, value) in changes {
        if value.is_null() {
            claims.remove(*name);
        } else {
            claims.insert((*name).to_owned(), value.clone());
        }
    }
    signed(issuer, typ, &claims)
}

/// A valid assertion with these changes is refused. That the valid one is taken is known before.
async fn changed_is_refused(subject: &Subject, what: &str, changes: &[(&str, Value)]) -> Verdict {
    let issuer = subject.trusted_issuer()?;
    let claims = subject.bearer_claims(issuer);
    let assertion = changed_assertion(issuer, None, claims, changes)?;
    refused_assertion(subject, what, &assertion).await
}

pub(super) async fn claims_are_missing(subject: &Subject) -> Verdict {
    valid_assertion_is_taken(subject).await?;
    for name in ["iss", "sub", "aud", "exp"] {
        let what = format!("a grant without {name}");
        changed_is_refused(subject, &what, &[(name, Value::Null)]).await?;
    }
    Ok(())
}

pub(super) async fn wrong_audience(subject: &Subject) -> Verdict {
    valid_assertion_is_taken(subject).await?;
    let beside = format!("{}.other.example", subject.issuer());
    for audience in ["https://other.example", &beside] {
        let changes = [("aud", audience.into())];
        changed_is_refused(subject, "a grant for another server", &changes).await?;
    }
    Ok(())
}

pub(super) async fn wrong_time(subject: &Subject) -> Verdict {
    valid_assertion_is_taken(subject).await?;
    let past = subject.now().saturating_sub(3600);
    let expired = [
        ("iat", past.saturating_sub(60).into()),
        ("exp", past.into()),
    ];
    changed_is_refused(subject, "a grant that expired an hour ago", &expired).await?;
    let later = subject.now().saturating_add(1800);
    let early = [
        ("nbf", later.into()),
        ("exp", later.saturating_add(60).into()),
    ];
    changed_is_refused(subject, "a grant for half an hour from now", &early).await
}

pub(super) async fn wrong_signature(subject: &Subject) -> Verdict {
    valid_assertion_is_taken(subject).await?;
    let issuer = subject.trusted_issuer()?;
    let genuine = signed(issuer, None, &subject.bearer_claims(issuer))?;
    let genuine = Jws::parse(&genuine);
    let genuine = genuine.ok_or_else(|| Stop::unchecked("no assertion could be made"))?;
    for name in ["none", "nOnE"] {
        let unsigned = jws::unsigned(&genuine, name);
        refused_assertion(subject, "an unsigned grant", &unsigned).await?;
    }
    let tampered = jws::tampered(&genuine, "sub", "somebody-else".into());
    refused_assertion(subject, "a tampered grant", &tampered).await?;
    for embed in [false, true] {
        if let Some(forged) = jws::forged(&genuine, embed) {
            refused_assertion(subject, "a grant signed by a foreign key", &forged).await?;
        }
    }
    Ok(())
}

pub(in crate::catalogue) async fn invented_assertion(subject: &Subject) -> Verdict {
    for (what, assertion) in [
        ("text", "no-jwt"),
        ("dots", ".."),
        ("arrays", "W10.W10.x"),
        ("empty objects", "e30.e30.x"),
    ] {
        refused_assertion(subject, what, assertion).await?;
    }
    Ok(())
}

/// The client's own key is nobody's whom the server would let speak for others.
pub(super) async fn unknown_issuer(subject: &Subject) -> Verdict {
    let mut claims = subject.assertion_claims("https://no-such-issuer.example");
    claims.insert("sub".into(), "somebody".into());
    let key = match &subject.credentials()?.authentication {
        Authentication::PrivateKeyJwt(key) => key,
        Authentication::ClientSecretBasic(_) | Authentication::ClientSecretPost(_) => {
            subject.client_key()?
        }
    };
    let assertion = jws::sign(key, &claims);
    let assertion = assertion.ok_or_else(|| Stop::unchecked("no assertion could be made"))?;
    refused_assertion(subject, "a grant of an unknown issuer", &assertion).await
}
