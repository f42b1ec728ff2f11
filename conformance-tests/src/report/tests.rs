use serde_json::Value;

use super::*;
use crate::exchange::Exchange;

const STANDARD: &str = "RFC 0 <&>";
const REASON: &str = "needs a <moon>";

fn check(outcome: Outcome) -> CheckResult {
    CheckResult {
        name: "check",
        outcome,
    }
}

fn failed() -> Outcome {
    let exchange = Exchange {
        request: "GET <x>".into(),
        response: "500\n\n\u{1b}[31m\"&'".into(),
    };
    Outcome::Failed {
        reason: "why <b>".into(),
        exchange: Some(Box::new(exchange)),
    }
}

fn not_applicable() -> Outcome {
    Outcome::NotApplicable {
        reason: "absent".into(),
    }
}

fn unchecked() -> Outcome {
    Outcome::Unchecked {
        reason: "nothing given".into(),
    }
}

fn result(level: Level, outcomes: Vec<Outcome>) -> RequirementResult {
    judged(level, Evidence::Checks(&[]), outcomes)
}

fn judged(level: Level, evidence: Evidence, outcomes: Vec<Outcome>) -> RequirementResult {
    let requirement = Requirement {
        id: "rfc0-1-x",
        section: "1",
        level,
        statement: "Say so.",
        requires: &[],
        evidence,
    };
    RequirementResult::new(
        STANDARD,
        &requirement,
        None,
        outcomes.into_iter().map(check).collect(),
    )
}

fn report() -> Report {
    let requirements = vec![
        result(Level::Must, vec![Outcome::Passed]),
        result(Level::Must, vec![failed()]),
        result(Level::Must, vec![not_applicable()]),
        judged(Level::Should, Evidence::Nothing(REASON), vec![]),
        result(Level::Should, vec![Outcome::Passed]),
        result(Level::Should, vec![Outcome::Passed]),
    ];
    Report::new(
        "http://as.example",
        100,
        103,
        vec![StandardResult::new(
            STANDARD,
            "Title \"quoted\"",
            requirements,
        )],
    )
}

#[test]
fn the_worst_check_decides() {
    for (what, outcomes, expected) in [
        (
            "none",
            vec![],
            Outcome::Unchecked {
                reason: "nothing shows it".into(),
            },
        ),
        ("passed", vec![Outcome::Passed], Outcome::Passed),
        (
            "one does not apply",
            vec![not_applicable(), Outcome::Passed],
            Outcome::Passed,
        ),
        (
            "none applies",
            vec![not_applicable(), not_applicable()],
            not_applicable(),
        ),
        (
            "one unchecked",
            vec![Outcome::Passed, unchecked(), not_applicable()],
            unchecked(),
        ),
        (
            "one failed",
            vec![unchecked(), failed(), Outcome::Passed],
            failed(),
        ),
    ] {
        assert_eq!(result(Level::Must, outcomes).result, expected, "{what}");
    }
}

#[test]
fn unchecked_counts_against_the_score_and_not_applicable_does_not() {
    let report = report();
    assert_eq!(
        report.summary,
        Summary {
            passed: 3,
            failed: 1,
            not_applicable: 1,
            unchecked: 1
        }
    );
    assert_eq!(report.score.must, Some(0.5));
    assert_eq!(report.score.should, Some(2.0 / 3.0));
    assert_eq!(report.score.overall, Some(0.6));
    assert_eq!(report.duration_s, 3);
}

#[test]
fn nothing_applicable_is_no_score_at_all() {
    assert_eq!(
        Summary {
            not_applicable: 3,
            ..Summary::default()
        }
        .ratio(),
        None
    );
    assert_eq!(percent(None), "–");
    assert_eq!(percent(Some(0.999)), "99%");
    assert_eq!(percent(Some(1.0)), "100%");
}

#[test]
fn text_counts_and_shows_evidence_without_control_characters() {
    let text = report().text();
    assert!(
        text.contains(
            "FAILED RFC 0 <&> §1 MUST: Say so.\n    rfc0-1-x: why <b>\n    > GET <x>\n    < 500"
        ),
        "{text}"
    );
    assert!(
        text.contains("unchecked RFC 0 <&> §1 SHOULD: Say so.\n    rfc0-1-x: needs a <moon>"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn json_holds_results_levels_and_evidence() {
    let json: Value = serde_json::from_str(&report().json()).unwrap();
    assert_eq!(json["standards"][0]["requirements"][1]["level"], "MUST");
    assert_eq!(
        json["standards"][0]["requirements"][1]["result"]["outcome"],
        "failed"
    );
    assert_eq!(
        json["standards"][0]["requirements"][1]["checks"][0]["exchange"]["request"],
        "GET <x>"
    );
    assert_eq!(
        json["standards"][0]["requirements"][3]["result"],
        serde_json::json!({"outcome": "unchecked", "reason": REASON})
    );
    assert_eq!(json["summary"]["unchecked"], 1);
    assert_eq!(json["score"]["must"], 0.5);
}

#[test]
fn junit_counts_and_escapes() {
    let junit = report().junit();
    assert!(junit.contains(r#"<testsuite name="RFC 0 &lt;&amp;&gt;" tests="6" failures="1" errors="0" skipped="2">"#), "{junit}");
    assert!(
        junit.contains(r#"<failure message="why &lt;b&gt;">GET &lt;x&gt;"#),
        "{junit}"
    );
    assert!(
        junit.contains(r#"<skipped message="unchecked: needs a &lt;moon&gt;"/>"#),
        "{junit}"
    );
    // A control character has no place in XML at all, escaped or not.
    assert!(
        !junit.contains('\u{1b}') && junit.contains("&quot;&amp;&#39;"),
        "{junit}"
    );
    assert_eq!(junit.matches("<testcase").count(), 6);
    assert_eq!(junit.matches("</testcase>").count(), 3);
}

#[test]
fn html_escapes_what_strangers_sent() {
    let html = report().html();
    assert!(
        html.contains("<pre>GET &lt;x&gt;</pre>") && html.contains("why &lt;b&gt;"),
        "{html}"
    );
    assert!(
        !html.contains("why <b>") && !html.contains("<script"),
        "{html}"
    );
    assert!(
        html.contains("class=\"failed\"") && html.contains("class=\"unchecked\""),
        "{html}"
    );
    assert!(html.contains("needs a &lt;moon&gt;"), "{html}");
}
