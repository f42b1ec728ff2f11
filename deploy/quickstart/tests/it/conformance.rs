//! The executable requirements of the RFCs, against both servers as a stranger starts them.

use conformance_tests::{
    Clock, Level, Limits, Outcome, Subject, Target, catalogue, plan, profile, run, run_plans,
    run_profiles,
};

use crate::process::Place;

/// What was started there, as a stranger finds it.
async fn subject(place: &Place) -> Subject {
    let target = Target::from_demo(place.demo().to_string().as_bytes()).unwrap();
    let connected = Subject::connect(target, Clock::system(), Limits::default());
    connected.await.unwrap()
}

#[tokio::test]
async fn no_must_is_broken_by_what_a_stranger_starts() {
    let place = Place::new();
    let _running = place.start(&[]);
    let subject = subject(&place).await;
    let report = run(&subject, catalogue::STANDARDS, |_| ()).await;
    assert!(report.summary.passed > 240, "{}", report.text());
    for requirement in report.requirements() {
        let failed = matches!(requirement.result, Outcome::Failed { .. });
        assert!(
            !failed || requirement.level == Level::Should,
            "{}: {}",
            requirement.id,
            requirement.statement
        );
    }
    let report = run_plans(&subject, plan::PLANS, |_| ()).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    assert!(report.summary.passed > 70, "{}", report.text());
    let profiles = ["oauth2.1", "mcp"].map(|name| profile::find(name).unwrap());
    let report = run_profiles(&subject, &profiles, |_| ()).await;
    for requirement in report.requirements() {
        let failed = matches!(requirement.result, Outcome::Failed { .. });
        // Apps of no agents redirect to schemes of their own (RFC 8252 §7.1), which the profile refuses.
        let is_of_the_profile = requirement.id == "mcp-12-redirect-schemes";
        assert!(
            !failed || requirement.level == Level::Should || is_of_the_profile,
            "{}",
            report.text()
        );
    }
}

/// The API is the MCP server.
#[tokio::test]
async fn what_is_started_under_the_profile_of_mcp_keeps_it() {
    let place = Place::new();
    let settings = place.file("auth.toml");
    std::fs::write(&settings, "profile = \"mcp\"\n").unwrap();
    let _running = place.start(&["--auth-config", settings.to_str().unwrap()]);
    let subject = subject(&place).await;
    let report = run_profiles(&subject, &[profile::find("mcp").unwrap()], |_| ()).await;
    let unshown = report.requirements();
    let unshown = unshown.filter(|requirement| requirement.result != Outcome::Passed);
    let unshown: Vec<_> = unshown.map(|requirement| requirement.id).collect();
    // What needs a document of a client or a scope that nobody has, what is for people to judge or for those who serve, and what does not show from outside.
    let expected = [
        "mcp-5-client-documents",
        "mcp-11.1-insufficient-scope",
        "mcp-11.1-hierarchies",
        "mcp-12-redirect-host",
        "mcp-12-warning",
        "mcp-12-fetches",
    ];
    assert_eq!(unshown, expected, "{}", report.text());
}

/// What the tests publish themselves lies on this machine, which is not asked by default.
#[tokio::test]
async fn what_clients_publish_is_fetched_where_this_machine_may_be_asked() {
    let place = Place::new();
    let settings = place.file("auth.toml");
    std::fs::write(&settings, "[outbound]\nloopback_http = true\n").unwrap();
    let _running = place.start(&["--auth-config", settings.to_str().unwrap()]);
    let subject = subject(&place).await;
    let plans = ["dynamic", "back-channel-logout"].map(|name| plan::find(name).unwrap());
    let report = run_plans(&subject, &plans, |_| ()).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    for name in [
        "oidcc-registration-jwks-uri",
        "oidcc-refresh-token-rp-key-rotation",
    ] {
        let mut modules = report.requirements();
        let module = modules.find(|module| module.id == name).unwrap();
        assert_eq!(module.result, Outcome::Passed, "{}", report.text());
    }
}
