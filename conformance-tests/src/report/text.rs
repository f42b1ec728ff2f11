//! The report for a terminal.

use std::fmt::Write as _;

use super::{Report, RequirementResult, Summary, percent};
use crate::check::Outcome;

pub(super) fn render(report: &Report) -> String {
    let mut out = format!("{}\n\n", report.issuer);
    let width = report
        .standards
        .iter()
        .map(|standard| standard.id.chars().count())
        .max()
        .unwrap_or(0)
        .max(8);
    line(
        &mut out,
        width,
        [
            "standard",
            "passed",
            "failed",
            "n/a",
            "unchecked",
            "MUST",
            "SHOULD",
        ],
    );
    for standard in &report.standards {
        let score = [percent(standard.score.must), percent(standard.score.should)];
        counted(&mut out, width, standard.id, standard.summary, &score);
    }
    let score = [percent(report.score.must), percent(report.score.should)];
    counted(&mut out, width, "all", report.summary, &score);

    for result in report.requirements() {
        detail(&mut out, result);
    }
    out
}

fn counted(
    out: &mut String,
    width: usize,
    name: &str,
    summary: Summary,
    [must, should]: &[String; 2],
) {
    let counts = [
        summary.passed,
        summary.failed,
        summary.not_applicable,
        summary.unchecked,
    ]
    .map(|n| n.to_string());
    let [passed, failed, not_applicable, unchecked] = &counts;
    line(
        out,
        width,
        [
            name,
            passed,
            failed,
            not_applicable,
            unchecked,
            must,
            should,
        ],
    );
}

fn line(out: &mut String, width: usize, [name, counts @ ..]: [&str; 7]) {
    let _ = write!(out, "{name:<width$}");
    for count in counts {
        let _ = write!(out, " {count:>9}");
    }
    out.push('\n');
}

fn detail(out: &mut String, result: &RequirementResult) {
    let (mark, reason) = match &result.result {
        Outcome::Failed { reason, .. } => ("FAILED", reason),
        Outcome::Unchecked { reason } => ("unchecked", reason),
        Outcome::Passed | Outcome::NotApplicable { .. } => return,
    };
    let RequirementResult {
        id,
        standard,
        section,
        level,
        statement,
        ..
    } = result;
    let _ = writeln!(
        out,
        "\n{mark} {standard} §{section} {level}: {statement}\n    {id}: {reason}"
    );
    if let Outcome::Failed {
        exchange: Some(exchange),
        ..
    } = &result.result
    {
        for (arrow, part) in [
            ("    > ", &exchange.request),
            ("    < ", &exchange.response),
        ] {
            for text in part.lines() {
                // A terminal obeys control characters; evidence comes from a stranger.
                let plain: String = text
                    .chars()
                    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                    .collect();
                let _ = writeln!(out, "{arrow}{plain}");
            }
        }
    }
}
