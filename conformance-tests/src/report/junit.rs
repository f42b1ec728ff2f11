//! The report in `JUnit`'s XML, which test runners and CI systems read.

use std::fmt::Write as _;

use super::{Report, RequirementResult, escape};
use crate::check::Outcome;

pub(super) fn render(report: &Report) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"conformance-tests\">\n",
    );
    for standard in &report.standards {
        let skipped = standard
            .summary
            .not_applicable
            .saturating_add(standard.summary.unchecked);
        let (tests, failures) = (standard.requirements.len(), standard.summary.failed);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
            escape(standard.id)
        );
        for result in &standard.requirements {
            case(&mut out, result);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, result: &RequirementResult) {
    let RequirementResult {
        standard,
        section,
        level,
        statement,
        ..
    } = result;
    let name = escape(&format!("{standard} §{section} {level}: {statement}"));
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{name}\"",
        escape(result.id)
    );
    let _ = match &result.result {
        Outcome::Passed => writeln!(out, "/>"),
        Outcome::Failed { reason, exchange } => {
            let shown = exchange
                .as_ref()
                .map(|exchange| format!("{}\n\n{}", exchange.request, exchange.response));
            let (reason, shown) = (escape(reason), escape(&shown.unwrap_or_default()));
            writeln!(
                out,
                ">\n      <failure message=\"{reason}\">{shown}</failure>\n    </testcase>"
            )
        }
        Outcome::NotApplicable { reason } => skipped(out, "not applicable", reason),
        Outcome::Unchecked { reason } => skipped(out, "unchecked", reason),
    };
}

fn skipped(out: &mut String, kind: &str, reason: &str) -> std::fmt::Result {
    writeln!(
        out,
        ">\n      <skipped message=\"{kind}: {}\"/>\n    </testcase>",
        escape(reason)
    )
}
