//! RFC 9440: what a proxy tells of a client's certificate, and why nobody else may.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must};
use crate::check::{Verdict, check};
use crate::jws::Jws;
use crate::subject::Subject;

/// Where tokens are bound to certificates, somebody may try to bind one to a certificate that is not theirs.
const CERTIFICATES: &[Feature] = &[
    Feature::Flag("tls_client_certificate_bound_access_tokens"),
    Feature::Grant("client_credentials"),
];

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
        &[check!(client_is_not_believed)],
    )
    .when(CERTIFICATES),
];

async fn client_is_not_believed(subject: &Subject) -> Verdict {
    let certificate = subject.certificate()?;
    let request = subject.token_request()?;
    let request = request.header("client-cert", certificate.header());
    let answer = request.send().await?;
    if answer.status != 200 {
        return answer.require(
            (400..500).contains(&answer.status),
            format!("Client-Cert was answered {}", answer.status),
        );
    }
    let token = answer.text("access_token")?;
    subject.redactor().learn(&token);
    let named = match Jws::parse(&token) {
        Some(token) => token.claims.get("cnf").cloned(),
        None => subject
            .introspect(&token)
            .await?
            .json()?
            .get("cnf")
            .cloned(),
    };
    let named = named.as_ref().and_then(|cnf| cnf.get("x5t#S256"));
    answer.require(
        named.and_then(Value::as_str).is_none(),
        "the token is bound to a certificate that nobody has shown",
    )
}
