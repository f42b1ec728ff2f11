//! What a run found.

mod html;
mod junit;
mod text;

use serde::Serialize;

use crate::catalogue::{Evidence, Level, Requirement};
use crate::check::Outcome;

/// The results of one run, in the catalogue's order.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The server under test.
    pub issuer: String,
    /// When the run began, in seconds since 1970-01-01T00:00:00Z.
    pub started_at: i64,
    /// How long it took, in whole seconds.
    pub duration_s: i64,
    /// All standards together.
    pub summary: Summary,
    /// How much of what applies was shown to hold.
    pub score: Score,
    /// One entry for each standard, or for each plan.
    pub standards: Vec<StandardResult>,
}

/// The results for one standard, or for one plan, whose requirements are modules.
#[derive(Clone, Debug, Serialize)]
pub struct StandardResult {
    /// Its short name.
    pub id: &'static str,
    /// Its title; of a plan, the name that the conformance suite has for it.
    pub title: &'static str,
    /// Its requirements, counted.
    pub summary: Summary,
    /// Its score.
    pub score: Score,
    /// One entry for each requirement.
    pub requirements: Vec<RequirementResult>,
}

/// The result for one requirement.
#[derive(Clone, Debug, Serialize)]
pub struct RequirementResult {
    /// Its name, unique in the catalogue; of a module, unique in its plan.
    pub id: &'static str,
    /// The short name of the standard that asks it.
    pub standard: &'static str,
    /// The section of the standard.
    pub section: &'static str,
    /// MUST or SHOULD.
    pub level: Level,
    /// What it asks.
    pub statement: &'static str,
    /// What its checks come to: any failure fails it, then anything unchecked leaves it unchecked.
    pub result: Outcome,
    /// Its checks one by one; of a module, the requirements that it rests on.
    pub checks: Vec<CheckResult>,
}

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    /// The check's name.
    pub name: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Requirements, counted by result.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// Shown to hold.
    pub passed: usize,
    /// Shown not to hold.
    pub failed: usize,
    /// About something that the server does not do.
    pub not_applicable: usize,
    /// Neither shown nor excused.
    pub unchecked: usize,
}

impl Summary {
    fn count<'r>(results: impl IntoIterator<Item = &'r RequirementResult>) -> Self {
        let mut summary = Self::default();
        for result in results {
            match result.result {
                Outcome::Passed => summary.passed += 1,
                Outcome::Failed { .. } => summary.failed += 1,
                Outcome::NotApplicable { .. } => summary.not_applicable += 1,
                Outcome::Unchecked { .. } => summary.unchecked += 1,
            }
        }
        summary
    }

    /// passed / (passed + failed + unchecked); `None` when nothing applies.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let float = |count: usize| u32::try_from(count).map_or(f64::from(u32::MAX), f64::from);
        let applicable = self
            .passed
            .saturating_add(self.failed)
            .saturating_add(self.unchecked);
        (applicable > 0).then(|| float(self.passed) / float(applicable))
    }
}

/// How much of what applies was shown to hold: requirements passed / (passed + failed + unchecked), between 0 and 1. A
/// requirement that does not apply counts neither way; one that was not checked counts as not shown. `None` where
/// nothing applies. Levels are never mixed into one weighted figure: a missed MUST is not made good by SHOULDs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Over the requirements of level MUST.
    pub must: Option<f64>,
    /// Over those of level SHOULD.
    pub should: Option<f64>,
    /// Over all, each counting once.
    pub overall: Option<f64>,
}

impl Score {
    fn of(results: &[&RequirementResult]) -> Self {
        let at = |level| {
            Summary::count(
                results
                    .iter()
                    .copied()
                    .filter(|result| result.level == level),
            )
            .ratio()
        };
        Self {
            must: at(Level::Must),
            should: at(Level::Should),
            overall: Summary::count(results.iter().copied()).ratio(),
        }
    }
}

impl RequirementResult {
    pub(crate) fn new(
        standard: &'static str,
        requirement: &Requirement,
        absent: Option<String>,
        checks: Vec<CheckResult>,
    ) -> Self {
        let result = match (absent, requirement.evidence) {
            (Some(reason), _) => Outcome::NotApplicable { reason },
            (None, Evidence::Nothing(reason)) => Outcome::Unchecked {
                reason: reason.into(),
            },
            (None, Evidence::Checks(_) | Evidence::Requirements(_)) => conclude(&checks),
        };
        Self {
            id: requirement.id,
            standard,
            section: requirement.section,
            level: requirement.level,
            statement: requirement.statement,
            result,
            checks,
        }
    }
}

/// The worst outcome wins; a check that does not apply says nothing beside one that does.
fn conclude(checks: &[CheckResult]) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Failed { .. } => 3,
        Outcome::Unchecked { .. } => 2,
        Outcome::Passed => 1,
        Outcome::NotApplicable { .. } => 0,
    };
    let mut worst: Option<&Outcome> = None;
    for CheckResult { outcome, .. } in checks {
        if worst.is_none_or(|so_far| rank(outcome) > rank(so_far)) {
            worst = Some(outcome);
        }
    }
    worst.cloned().unwrap_or_else(|| Outcome::Unchecked {
        reason: "nothing shows it".into(),
    })
}

impl StandardResult {
    pub(crate) fn new(
        id: &'static str,
        title: &'static str,
        requirements: Vec<RequirementResult>,
    ) -> Self {
        Self {
            id,
            title,
            summary: Summary::count(&requirements),
            score: Score::of(&requirements.iter().collect::<Vec<_>>()),
            requirements,
        }
    }
}

impl Report {
    pub(crate) fn new(
        issuer: &str,
        started_at: i64,
        ended_at: i64,
        standards: Vec<StandardResult>,
    ) -> Self {
        let all: Vec<_> = standards
            .iter()
            .flat_map(|standard| &standard.requirements)
            .collect();
        Self {
            issuer: issuer.to_owned(),
            started_at,
            duration_s: ended_at.saturating_sub(started_at),
            summary: Summary::count(all.iter().copied()),
            score: Score::of(&all),
            standards,
        }
    }

    /// Every requirement's result, in order.
    pub fn requirements(&self) -> impl Iterator<Item = &RequirementResult> {
        self.standards
            .iter()
            .flat_map(|standard| &standard.requirements)
    }

    /// A table for the terminal, with the evidence of each failure below it.
    #[must_use]
    pub fn text(&self) -> String {
        text::render(self)
    }

    /// JSON, with the evidence.
    #[must_use]
    pub fn json(&self) -> String {
        // Nothing in a report can fail to be JSON: its keys are strings, and its ratios lie between 0 and 1.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// `JUnit`'s XML: a suite for each standard or plan, a case for each requirement or module. Unchecked and not applicable are `skipped`.
    #[must_use]
    pub fn junit(&self) -> String {
        junit::render(self)
    }

    /// A page that needs nothing else: no script, no other file.
    #[must_use]
    pub fn html(&self) -> String {
        html::render(self)
    }
}

/// A ratio in per cent; a dash where nothing applies. Rounded down, so that only the whole is 100.
fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(
        || "–".to_owned(),
        |ratio| format!("{:.0}%", (ratio * 100.0).floor()),
    )
}

/// Text for XML and HTML, in content and in quoted attributes. What XML cannot hold is replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
