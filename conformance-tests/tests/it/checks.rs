//! The checks against a server that keeps every rule, and against the same server breaking one rule at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use conformance_tests::{
    Clock, Evidence, Limits, Outcome, Plan, Profile, Report, Requirement, Standard, Subject,
    Target, catalogue, plan, profile, run, run_plans, run_profiles,
};
use futures_util::{StreamExt as _, stream};

use crate::faults;
use crate::server::{Fault, Rule, Server, Who};

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

/// The standards of these requirements, without all others.
fn only(wanted: &[&str]) -> Vec<&'static Standard> {
    let mut standards: Vec<&'static Standard> = Vec::new();
    for standard in catalogue::STANDARDS {
        let asked = standard.requirements.iter();
        let asked: Vec<_> = asked
            .filter(|requirement| wanted.contains(&requirement.id))
            .copied()
            .collect();
        if !asked.is_empty() {
            standards.push(Box::leak(Box::new(Standard {
                id: standard.id,
                title: standard.title,
                requirements: asked.leak(),
            })));
        }
    }
    standards
}

/// A check of a requirement, by their names.
type Tried = (&'static str, &'static str);

/// Those that ended in a failure.
fn failed_checks(report: &Report) -> BTreeSet<Tried> {
    let checks = report.requirements().flat_map(|result| {
        let failed = result.checks.iter();
        let failed = failed.filter(|check| matches!(check.outcome, Outcome::Failed { .. }));
        failed.map(|check| (result.id, check.name))
    });
    checks.collect()
}

/// All of these requirements.
fn all_checks(requirements: impl Iterator<Item = &'static Requirement>) -> BTreeSet<Tried> {
    let checks = requirements.flat_map(|requirement| {
        let checks = match requirement.evidence {
            Evidence::Checks(checks) => checks,
            Evidence::Requirements(_) | Evidence::Nothing(_) => &[],
        };
        checks.iter().map(|check| (requirement.id, check.name))
    });
    checks.collect()
}

/// Requirements without a check: they can only be unchecked.
fn without_checks() -> BTreeSet<&'static str> {
    let all = catalogue::STANDARDS
        .iter()
        .flat_map(|standard| standard.requirements);
    all.filter(|requirement| matches!(requirement.evidence, Evidence::Nothing(_)))
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
        passed.extend(ids(&report, |outcome| matches!(outcome, Outcome::Passed)));
    }
    assert!(
        passed.is_disjoint(&without_checks()),
        "what nothing shows has passed"
    );
    let all = catalogue::STANDARDS
        .iter()
        .flat_map(|standard| standard.requirements)
        .map(|requirement| requirement.id);
    let never: Vec<_> = all
        .filter(|id| !passed.contains(id) && !without_checks().contains(id))
        .collect();
    // Its tokens have no nbf, and it takes requests that are not pushed.
    assert_eq!(never, ["rfc7519-4.1.5-nbf", "rfc9126-5-required"]);
}

#[tokio::test]
async fn each_broken_rule_fails_its_requirement() {
    let rows = faults::faults();
    let judged = stream::iter(rows).map(|(what, who, fault, expected)| async move {
        let standards = only(expected);
        let report = report(Server::start(fault, who).await, &standards).await;
        let failed = ids(&report, |outcome| matches!(outcome, Outcome::Failed { .. }));
        let mut problems = Vec::new();
        for id in expected.iter().filter(|id| !failed.contains(*id)) {
            let result = report.requirements().find(|result| result.id == *id);
            problems.push(format!(
                "{what}: {id} did not fail: {:?}",
                result.map(|result| &result.result)
            ));
        }
        let evidence = report.json();
        for secret in ["s3cret", "eyJ", "pa55word", "c0de-", "r3fresh-", "dev1ce-"] {
            if evidence.contains(secret) {
                problems.push(format!("{what}: {secret} stands in the report\n{evidence}"));
            }
        }
        (failed_checks(&report), problems)
    });
    let judged: Vec<_> = judged.buffer_unordered(4).collect().await;
    let problems: Vec<_> = judged
        .iter()
        .flat_map(|(_, problems)| problems.as_slice())
        .map(String::as_str)
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let failed: BTreeSet<_> = judged.into_iter().flat_map(|(failed, _)| failed).collect();
    let standards = catalogue::STANDARDS.iter();
    let all = all_checks(standards.flat_map(|standard| standard.requirements));
    let cannot_fail: Vec<_> = all.difference(&failed).collect();
    assert!(
        cannot_fail.is_empty(),
        "no broken server shows that these can fail: {cannot_fail:#?}"
    );
}

#[tokio::test]
async fn what_the_target_lacks_stays_unchecked_and_never_passes() {
    let closed = Fault::Metadata(|metadata| drop(metadata.remove("registration_endpoint")));
    let server = Server::start(closed, Who::Basic).await;
    let target = Target::of(server.issuer);
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
        let refused = Subject::connect(Target::of(issuer), Clock::system(), limits()).await;
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

#[tokio::test]
async fn what_the_target_lacks_is_registered_where_strangers_may() {
    let server = Server::start(Fault::None, Who::Basic).await;
    let mut target = Target::of(server.issuer);
    target.person = server.person;
    let report = report(target, catalogue::STANDARDS).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    let passed = ids(&report, |outcome| matches!(outcome, Outcome::Passed));
    for id in [
        "rfc6749-5.1-fields",
        "rfc6749-4.1.2-code-once",
        "rfc7662-2.2-active",
        "oidccore-2-nonce",
        "rp-initiatedlogout-3-redirect",
    ] {
        assert!(passed.contains(id), "{id}: {}", report.text());
    }
}

#[tokio::test]
async fn a_server_that_wants_pushed_requests_keeps_what_it_announces() {
    let target = Server::start(Fault::Rule(Rule::PushIsRequired), Who::Basic).await;
    let report = report(target, &[catalogue::find("9126").unwrap()]).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    let passed = ids(&report, |outcome| matches!(outcome, Outcome::Passed));
    assert!(passed.contains("rfc9126-5-required"), "{}", report.text());
}

/// The results of the plans, module by module.
async fn planned(fault: Fault, who: Who, plans: &[&'static Plan]) -> Report {
    let target = Server::start(fault, who).await;
    let subject = Subject::connect(target, Clock::system(), limits()).await;
    run_plans(&subject.unwrap(), plans, |_| ()).await
}

#[tokio::test]
async fn every_module_of_a_plan_can_pass_or_says_why_not() {
    let mut passed = BTreeSet::new();
    for who in [Who::Basic, Who::Post, Who::Key] {
        let report = planned(Fault::None, who, plan::PLANS).await;
        assert_eq!(report.summary.failed, 0, "{who:?}: {}", report.text());
        assert_eq!(report.standards.len(), plan::PLANS.len());
        for result in &report.standards {
            let done = result.requirements.iter();
            let done = done.filter(|module| module.result == Outcome::Passed);
            passed.extend(done.map(|module| (result.id, module.id)));
        }
    }
    let never: BTreeSet<_> = plan::PLANS
        .iter()
        .flat_map(|plan| plan.modules.iter().map(|module| (plan.title, module)))
        .filter(|(plan, module)| !passed.contains(&(*plan, module.requirement.id)))
        .map(|(_, module)| module.requirement.id)
        .collect();
    // What needs somebody at the server, or a document that the server fetches.
    let expected = [
        "oidcc-idtoken-unsigned",
        "oidcc-registration-logo-uri",
        "oidcc-registration-sector-uri",
        "oidcc-request-uri-signed-rs256",
        "oidcc-request-uri-unsigned",
        "oidcc-server-rotate-keys",
    ];
    assert_eq!(never, BTreeSet::from(expected));
}

#[tokio::test]
async fn a_plan_fails_by_its_modules() {
    for (what, fault, plan, expected) in [
        (
            "prompt is ignored",
            Rule::PromptIsIgnored,
            "basic",
            "oidcc-prompt-login",
        ),
        (
            "form_post is ignored",
            Rule::NoFormPost,
            "form-post",
            "oidcc-server",
        ),
        (
            "sectors are not checked",
            Rule::SectorsAreNotChecked,
            "dynamic",
            "oidcc-registration-sector-bad",
        ),
        (
            "state is lost",
            Rule::LogoutLosesState,
            "rp-initiated-logout",
            "oidcc-rp-initiated-logout",
        ),
    ] {
        let plan = plan::find(plan).unwrap();
        let report = planned(Fault::Rule(fault), Who::Basic, &[plan]).await;
        let failed = ids(&report, |outcome| matches!(outcome, Outcome::Failed { .. }));
        assert!(failed.contains(expected), "{what}: {}", report.text());
    }
    let basic = plan::find("basic").unwrap();
    let report = planned(Fault::Rule(Rule::NoFormPost), Who::Basic, &[basic]).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
}

/// The results of these profiles.
async fn profiled(fault: Fault, profiles: &[&'static Profile]) -> Report {
    let target = Server::start(fault, Who::Basic).await;
    let subject = Subject::connect(target, Clock::system(), limits()).await;
    run_profiles(&subject.unwrap(), profiles, |_| ()).await
}

#[tokio::test]
async fn a_server_can_be_of_every_profile() {
    let report = profiled(Fault::None, profile::PROFILES).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    assert_eq!(report.standards.len(), profile::PROFILES.len());
    let passed = ids(&report, |outcome| matches!(outcome, Outcome::Passed));
    let never: BTreeSet<_> = report
        .requirements()
        .map(|result| result.id)
        .filter(|id| !passed.contains(id))
        .collect();
    // What would have to be waited for, what people judge or those who serve, what needs a scope that nobody has, and the body as
    // the client sends no secret in it.
    let expected = [
        "fapi2-5.3.2.1-code-lifetime",
        "fapi2-5.3.2.1-least-privilege",
        "fapi2-5.3.2.2-informed",
        "fapi2-5.3.4-sufficient",
        "mcp-11.1-hierarchies",
        "mcp-11.1-insufficient-scope",
        "mcp-12-fetches",
        "mcp-12-warning",
        "oauth2.1-2.4.1-body",
    ];
    assert_eq!(never, BTreeSet::from(expected), "{}", report.text());
}

/// The profile with these requirements alone.
fn part_of(profile: &str, wanted: &[&str]) -> &'static Profile {
    let whole = profile::find(profile).unwrap();
    let parts = whole.parts.iter().map(|part| {
        let asked = part.requirements.iter();
        let asked = asked.filter(|requirement| wanted.contains(&requirement.id));
        &*Box::leak(Box::new(Standard {
            id: part.id,
            title: part.title,
            requirements: asked.copied().collect::<Vec<_>>().leak(),
        }))
    });
    Box::leak(Box::new(Profile {
        parts: parts.collect::<Vec<_>>().leak(),
        ..*whole
    }))
}

#[tokio::test]
async fn each_broken_rule_fails_its_requirement_of_a_profile() {
    let judged =
        stream::iter(faults::of_profiles()).map(|(what, name, fault, expected)| async move {
            let report = profiled(fault, &[part_of(name, expected)]).await;
            let failed = ids(&report, |outcome| matches!(outcome, Outcome::Failed { .. }));
            let missed = expected.iter().filter(|id| !failed.contains(*id));
            let missed: Vec<_> = missed
                .map(|id| format!("{what}: {id}\n{}", report.text()))
                .collect();
            (failed_checks(&report), missed)
        });
    let judged: Vec<_> = judged.buffer_unordered(4).collect().await;
    let missed: Vec<_> = judged.iter().flat_map(|(_, missed)| missed).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let failed: BTreeSet<_> = judged.into_iter().flat_map(|(failed, _)| failed).collect();
    let parts = profile::PROFILES.iter().flat_map(|profile| profile.parts);
    let all = all_checks(parts.flat_map(|part| part.requirements));
    let cannot_fail: Vec<_> = all.difference(&failed).collect();
    assert!(
        cannot_fail.is_empty(),
        "no broken server shows that these can fail: {cannot_fail:#?}"
    );
}
