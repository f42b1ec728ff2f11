//! RFC 9440: what a proxy tells of a client's certificate, and why nobody else may.

use serde_json::json;

use super::rfc8705::{alias, binding_client, bound, certified, redemption};
use super::{Feature, Requirement, Standard, must};
use crate::answer::Answer;
use crate::certificate::Certificate;
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::request::Request;
use crate::subject::{Registered, Subject};

/// Where tokens are bound to certificates, somebody may try to bind one to a certificate that is not theirs.
const CERTIFICATES: &[Feature] = &[
    Feature::Flag("tls_client_certificate_bound_access_tokens"),
    Feature::Member("registration_endpoint"),
    Feature::Grant("authorization_code"),
];

/// The header field in which a proxy tells of a certificate (§2.2).
const FIELD: &str = "client-cert";

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9440",
    title: "Client-Cert HTTP Header Field",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9440-2.2-client-cert",
        "2.2",
        "Client-Cert of a proxy is understood as the certificate of its client.",
        &[],
    )
    .unchecked("the tests are no proxy that the server trusts")
    .when(CERTIFICATES),
    must(
        "rfc9440-2.3-client-cert-chain",
        "2.3",
        "Client-Cert-Chain of a proxy is understood as what stands between that certificate and its root.",
        &[],
    )
    .unchecked("the tests are no proxy that the server trusts")
    .when(CERTIFICATES),
    must(
        "rfc9440-2.4-not-from-clients",
        "2.4",
        "Client-Cert that a client sends itself is taken out or refused, and never believed.",
        &[
            check!(nothing_is_bound_to_what_is_told),
            check!(what_is_told_shows_no_token),
            check!(what_is_told_authenticates_nobody),
        ],
    )
    .when(CERTIFICATES),
];

/// A client tells of a certificate that it does not show.
async fn is_not_bound_to(
    other: &Certificate,
    client: &Registered,
    request: Request<'_>,
) -> Verdict {
    let subject = request.subject();
    let answer = request.header(FIELD, other.header()).send().await?;
    let Ok(token) = answer.text("access_token") else {
        return answer.without_token();
    };
    subject.redactor().learn(&token);
    let named = if let Some(token) = Jws::parse(&token) {
        token.claims.get("cnf").cloned()
    } else {
        let request = subject.post("introspection_endpoint")?;
        let request = client.authenticated(request.form(&[("token", &token)]))?;
        request.send().await?.json()?.get("cnf").cloned()
    };
    answer.require(
        named != Some(other.confirmation()),
        "the token is bound to a certificate that nobody has shown",
    )
}

/// The tokens of this client are bound to the certificate that it shows: so they would be to one that it tells of.
async fn nothing_is_bound_to_what_is_told(subject: &Subject) -> Verdict {
    let (own, other) = (subject.certificate()?, subject.certificate()?);
    let client = binding_client(subject, json!({})).await?;
    let shown = redemption(subject, &client).await?;
    let shown = shown.at(alias(subject, "token_endpoint")?).by(own.http);
    is_not_bound_to(&other, &client, shown).await?;
    let nothing_shown = redemption(subject, &client).await?;
    is_not_bound_to(&other, &client, nothing_shown).await
}

fn is_refused(answer: &Answer) -> Verdict {
    answer.require(
        (400..500).contains(&answer.status),
        format!(
            "a bound token with Client-Cert was answered {}",
            answer.status
        ),
    )
}

/// Certificates are no secrets: who stole the token knows which one to tell of.
async fn what_is_told_shows_no_token(subject: &Subject) -> Verdict {
    let bound = bound(subject, json!({})).await?;
    let token = &bound.grant.access_token;
    let of_owner = bound.certificate.header();
    let plain = subject.get(&subject.endpoint("userinfo_endpoint")?);
    let plain = plain.bearer(token).header(FIELD, of_owner.as_str());
    is_refused(&plain.send().await?)?;
    let thief = subject.certificate()?;
    let shown = subject.get(&alias(subject, "userinfo_endpoint")?);
    let shown = shown.bearer(token).header(FIELD, of_owner);
    is_refused(&shown.by(thief.http).send().await?)
}

async fn what_is_told_authenticates_nobody(subject: &Subject) -> Verdict {
    let methods = subject.metadata().client_authentication();
    if !methods.contains(&"self_signed_tls_client_auth") {
        let reason = "no client is known by its certificate alone";
        return Err(Stop::not_applicable(reason));
    }
    let (client, certificate) = certified(subject).await?;
    let request = redemption(subject, &client).await?;
    let request = request.header(FIELD, certificate.header());
    request.send().await?.without_token()
}
