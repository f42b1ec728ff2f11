//! The checks against a server that keeps every rule, and against the same server breaking one rule at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use conformance_tests::{
    Clock, Limits, Outcome, Report, Standard, Subject, Target, catalogue, run,
};
use futures_util::{StreamExt as _, stream};

use crate::faults;
use crate::server::{Fault, Server, Who};

fn limits() -> Limits {
    Limits {
        request: Duration::from_secs(10),
        ..Limits::default()
    }
}

async fn report(target: Target, standards: &[&'static Standard]) -> Report {
    let subject = Subject::connect(target, Clock::system(), limits())
        .await
        .unwrap();
    run(&subject, standards, |_| ()).await
}

/// Requirements without a check: they can only be unchecked.
fn without_checks() -> BTreeSet<&'static str> {
    let all = catalogue::STANDARDS
        .iter()
        .flat_map(|standard| standard.requirements);
    all.filter(|requirement| requirement.checks.is_empty())
        .map(|requirement| requirement.id)
        .collect()
}

fn ids(report: &Report, wanted: fn(&Outcome) -> bool) -> BTreeSet<&'static str> {
    report
        .requirements()
        .filter(|result| wanted(&result.result))
        .map(|result| result.id)
        .collect()
}

#[tokio::test]
async fn a_server_that_keeps_the_rules_fails_nothing_and_every_check_can_pass() {
    let mut passed = BTreeSet::new();
    for who in [Who::Basic, Who::Post, Who::Key] {
        let report = report(Server::start(Fault::None, who).await, catalogue::STANDARDS).await;
        assert_eq!(report.summary.failed, 0, "{who:?}: {}", report.text());
        let unchecked = ids(&report, |outcome| {
            matches!(outcome, Outcome::Unchecked { .. })
        });
        assert!(
            unchecked.is_superset(&without_checks()),
            "{who:?}: {}",
            report.text()
        );
        passed.extend(ids(&report, |outcome| matches!(outcome, Outcome::Passed)));
    }
    let all = catalogue::STANDARDS
        .iter()
        .flat_map(|standard| standard.requirements)
        .map(|requirement| requirement.id);
    let never: Vec<_> = all
        .filter(|id| !passed.contains(id) && !without_checks().contains(id))
        .collect();
    // The server has no RSA key, and its tokens no nbf.
    assert_eq!(
        never,
        [
            "rfc7518-3.3-rsa-size",
            "rfc7518-6.3.1-rsa-members",
            "rfc7519-4.1.5-nbf"
        ]
    );
}

#[tokio::test]
async fn each_broken_rule_fails_its_requirement() {
    let rows = faults::faults();
    let judged = stream::iter(rows).map(|(what, who, fault, expected)| async move {
        let standards: Vec<_> = catalogue::STANDARDS
            .iter()
            .copied()
            .filter(|standard| {
                standard
                    .requirements
                    .iter()
                    .any(|requirement| expected.contains(&requirement.id))
            })
            .collect();
        let report = report(Server::start(fault, who).await, &standards).await;
        let failed = ids(&report, |outcome| matches!(outcome, Outcome::Failed { .. }));
        for id in expected {
            assert!(
                failed.contains(id),
                "{what}: {id} did not fail\n{}",
                report.text()
            );
        }
        let evidence = report.json();
        for secret in ["s3cret", "eyJ", "pa55word", "c0de-", "r3fresh-"] {
            assert!(
                !evidence.contains(secret),
                "{what}: {secret} stands in the report\n{evidence}"
            );
        }
        expected
    });
    let covered: BTreeSet<_> = judged
        .buffer_unordered(4)
        .flat_map(|ids| stream::iter(ids.iter().copied()))
        .collect()
        .await;

    let all = catalogue::STANDARDS
        .iter()
        .flat_map(|standard| standard.requirements)
        .map(|requirement| requirement.id);
    let cannot_fail: Vec<_> = all
        .filter(|id| !covered.contains(id) && !without_checks().contains(id))
        .collect();
    assert!(
        cannot_fail.is_empty(),
        "no broken server shows that these can fail: {cannot_fail:#?}"
    );
}

#[tokio::test]
async fn what_the_target_lacks_stays_unchecked_and_never_passes() {
    let mut target = Server::start(Fault::None, Who::Basic).await;
    target.credentials = None;
    target.public_client = None;
    target.api = None;
    target.resources.clear();
    target.person = None;
    target.app = None;
    let report = report(target, catalogue::STANDARDS).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    let result = |id: &str| {
        report
            .requirements()
            .find(|result| result.id == id)
            .map(|result| result.result.clone())
    };
    for id in [
        "rfc6749-5.1-no-store",
        "rfc6750-3-challenge",
        "rfc8707-2-audience",
        "rfc7009-2.1-own-tokens",
        "rfc6749-4.1.2-code-once",
        "rfc7636-4.6-verifier",
        "rfc9207-2-iss",
        "oidccore-2-nonce",
        "formpost-2-form",
    ] {
        assert!(
            matches!(result(id), Some(Outcome::Unchecked { .. })),
            "{id}: {:?}",
            result(id)
        );
    }
    assert_eq!(
        result("rfc8414-3.3-issuer-identical"),
        Some(Outcome::Passed)
    );
}

#[tokio::test]
async fn nothing_passes_for_a_person_who_cannot_sign_in() {
    let mut target = Server::start(Fault::None, Who::Basic).await;
    target.person.as_mut().unwrap().password = "another".into();
    let report = report(target, catalogue::STANDARDS).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    for id in [
        "rfc6749-4.1.2-code-once",
        "rfc9700-4.12-no-307",
        "oidccore-2-nonce",
    ] {
        let result = report
            .requirements()
            .find(|result| result.id == id)
            .unwrap();
        assert!(
            matches!(result.result, Outcome::Unchecked { .. }),
            "{id}: {:?}",
            result.result
        );
    }
}

#[tokio::test]
async fn what_is_not_announced_does_not_apply() {
    let quiet = Fault::Metadata(|metadata| {
        for member in [
            "authorization_endpoint",
            "revocation_endpoint",
            "introspection_endpoint",
        ] {
            metadata.remove(member);
        }
        metadata.insert(
            "grant_types_supported".into(),
            vec!["client_credentials"].into(),
        );
        metadata.insert(
            "token_endpoint_auth_methods_supported".into(),
            vec!["client_secret_basic"].into(),
        );
        metadata.remove("authorization_response_iss_parameter_supported");
    });
    let report = report(Server::start(quiet, Who::Basic).await, catalogue::STANDARDS).await;
    for id in [
        "rfc6749-4.1.2-code-once",
        "rfc6749-6-refresh-scope",
        "rfc7009-2.1-immediate",
        "rfc7662-2.2-active",
        "rfc7523-3-audience",
        "rfc9207-2-iss",
        "rfc7636-4.2-s256",
        "oidccore-2-signed",
        "oidcdiscovery-3-rs256",
    ] {
        let result = report
            .requirements()
            .find(|result| result.id == id)
            .unwrap();
        assert!(
            matches!(result.result, Outcome::NotApplicable { .. }),
            "{id}: {:?}",
            result.result
        );
    }
}

#[tokio::test]
async fn a_server_without_metadata_cannot_be_tested() {
    for (what, issuer) in [
        ("nobody listens", "http://127.0.0.1:1"),
        ("no URL", "as.example"),
    ] {
        let target = Target {
            issuer: issuer.into(),
            credentials: None,
            public_client: None,
            resources: vec![],
            api: None,
            person: None,
            app: None,
        };
        let refused = Subject::connect(target, Clock::system(), limits()).await;
        assert!(
            refused.is_err_and(|cause| cause.to_string().starts_with(issuer)),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_run_can_be_spawned() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let target = Server::start(Fault::None, Who::Basic).await;
    let run = assert_send(async { report(target, &catalogue::STANDARDS[..1]).await });
    assert_eq!(tokio::spawn(run).await.unwrap().standards.len(), 1);
}
