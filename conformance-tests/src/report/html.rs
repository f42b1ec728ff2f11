//! The report as a page for people.

use std::fmt::Write as _;

use super::{Report, RequirementResult, StandardResult, escape, percent};
use crate::check::Outcome;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccc}\
.passed{color:#175c2b}.failed{color:#a31515;font-weight:600}.unchecked{color:#7a4d00}.not_applicable{color:#595959}\
pre{background:#f5f5f5;padding:.6rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}";

pub(super) fn render(report: &Report) -> String {
    let issuer = escape(&report.issuer);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Conformance of {issuer}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Conformance of {issuer}</h1>\n\
         <p>Score: {} of MUST, {} of SHOULD. Passed / (passed + failed + unchecked), each requirement counting once; \
         what does not apply counts neither way.</p>\n<table>\n<thead><tr><th>Standard</th><th>Passed</th><th>Failed</th>\
         <th>Not applicable</th><th>Unchecked</th><th>MUST</th><th>SHOULD</th></tr></thead>\n<tbody>\n",
        percent(report.score.must),
        percent(report.score.should),
    );
    for (at, standard) in report.standards.iter().enumerate() {
        let StandardResult {
            id,
            title,
            summary,
            score,
            ..
        } = standard;
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#s{at}\">{}</a> {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(id),
            escape(title),
            summary.passed,
            summary.failed,
            summary.not_applicable,
            summary.unchecked,
            percent(score.must),
            percent(score.should),
        );
    }
    out.push_str("</tbody>\n</table>\n");
    for (at, standard) in report.standards.iter().enumerate() {
        let _ = writeln!(
            out,
            "<h2 id=\"s{at}\">{}: {}</h2>\n<table>\n<tbody>",
            escape(standard.id),
            escape(standard.title)
        );
        for result in &standard.requirements {
            row(&mut out, at, result);
        }
        out.push_str("</tbody>\n</table>\n");
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// A module may stand in several plans: the row is named by the table too.
fn row(out: &mut String, at: usize, result: &RequirementResult) {
    let (class, word, reason, exchange) = match &result.result {
        Outcome::Passed => ("passed", "passed", "", None),
        Outcome::Failed { reason, exchange } => {
            ("failed", "failed", reason.as_str(), exchange.as_ref())
        }
        Outcome::NotApplicable { reason } => {
            ("not_applicable", "not applicable", reason.as_str(), None)
        }
        Outcome::Unchecked { reason } => ("unchecked", "unchecked", reason.as_str(), None),
    };
    let id = escape(result.id);
    let _ = write!(
        out,
        "<tr id=\"s{at}-{id}\"><td>{} §{}</td><td>{}</td><td class=\"{class}\">{word}</td><td><code>{id}</code> {}",
        escape(result.standard),
        escape(result.section),
        result.level,
        escape(result.statement),
    );
    if !reason.is_empty() {
        let _ = write!(out, "<br>{}", escape(reason));
    }
    if let Some(exchange) = exchange {
        let (request, response) = (escape(&exchange.request), escape(&exchange.response));
        let _ = write!(
            out,
            "<details><summary>Evidence</summary><pre>{request}</pre><pre>{response}</pre></details>"
        );
    }
    out.push_str("</td></tr>\n");
}
