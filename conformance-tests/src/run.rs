//! Runs the checks: a few requirements at a time, in the catalogue's order.

use futures_util::{StreamExt as _, stream};

use crate::catalogue::{Requirement, Standard};
use crate::report::{CheckResult, Report, RequirementResult, StandardResult};
use crate::subject::Subject;

/// Checks every requirement of `standards`. `progress` hears of each one as it is done.
pub async fn run(
    subject: &Subject,
    standards: &[&'static Standard],
    progress: impl Fn(&RequirementResult) + Sync,
) -> Report {
    let started = subject.now();
    let progress = &progress;
    let mut results = Vec::with_capacity(standards.len());
    for &standard in standards {
        let pending = standard.requirements.iter().map(|requirement| async move {
            let result = judge(subject, standard, requirement).await;
            progress(&result);
            result
        });
        // The list is collected first: a lazily mapped stream over borrowed data is not `Send` for the compiler.
        let pending: Vec<_> = pending.collect();
        let requirements = stream::iter(pending)
            .buffered(subject.limits().concurrency.max(1))
            .collect()
            .await;
        results.push(StandardResult::new(standard, requirements));
    }
    Report::new(subject.issuer(), started, subject.now(), results)
}

async fn judge(
    subject: &Subject,
    standard: &Standard,
    requirement: &Requirement,
) -> RequirementResult {
    let absent = requirement
        .requires
        .iter()
        .find_map(|feature| feature.absent(subject.metadata()));
    let mut checks = Vec::with_capacity(requirement.checks.len());
    if absent.is_none() {
        for check in requirement.checks {
            checks.push(CheckResult {
                name: check.name,
                outcome: check.run(subject).await,
            });
        }
    }
    RequirementResult::new(standard, requirement, absent, checks)
}
