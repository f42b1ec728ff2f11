//! Runs the checks: a few requirements at a time, in the catalogue's order.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};

use crate::catalogue::{self, Evidence, Requirement, Standard};
use crate::check::Outcome;
use crate::plan::{Module, Plan};
use crate::report::{CheckResult, Report, RequirementResult, StandardResult};
use crate::subject::Subject;

/// What requirements came to, by their ids.
type Known = BTreeMap<&'static str, Outcome>;

/// Checks every requirement of `standards`. `progress` hears of each one as it is done.
pub async fn run(
    subject: &Subject,
    standards: &[&'static Standard],
    progress: impl Fn(&RequirementResult) + Sync,
) -> Report {
    let started = subject.now();
    let mut results = Vec::with_capacity(standards.len());
    for &standard in standards {
        let asked = standard.requirements.iter();
        let asked = asked.map(|requirement| (standard.id, requirement));
        let requirements = judge_all(subject, asked.collect(), &progress).await;
        results.push(StandardResult::new(
            standard.id,
            standard.title,
            requirements,
        ));
    }
    Report::new(subject.issuer(), started, subject.now(), results)
}

/// Checks every module of `plans`, each plan in its response mode. `progress` hears of each module, and of each requirement
/// that modules rest on.
pub async fn run_plans(
    subject: &Subject,
    plans: &[&'static Plan],
    progress: impl Fn(&RequirementResult) + Sync,
) -> Report {
    let started = subject.now();
    let mut results = Vec::with_capacity(plans.len());
    for plan in plans {
        let subject = subject.in_mode(plan.response_mode);
        let rests_on = plan.modules.iter().flat_map(Module::rests_on);
        let rests_on: BTreeMap<_, _> = rests_on
            .filter_map(|id| Some((*id, catalogue::requirement(id)?)))
            .collect();
        let asked = rests_on.into_values();
        let asked = asked.map(|(standard, requirement)| (standard.id, requirement));
        let judged = judge_all(&subject, asked.collect(), &progress).await;
        let known = judged.into_iter().map(|judged| (judged.id, judged.result));
        let known: Known = known.collect();
        let mut modules = Vec::with_capacity(plan.modules.len());
        for module in plan.modules {
            let result = judge(&subject, module.standard, &module.requirement, &known).await;
            progress(&result);
            modules.push(result);
        }
        results.push(StandardResult::new(plan.title, plan.name, modules));
    }
    Report::new(subject.issuer(), started, subject.now(), results)
}

async fn judge_all(
    subject: &Subject,
    asked: Vec<(&'static str, &'static Requirement)>,
    progress: &(impl Fn(&RequirementResult) + Sync),
) -> Vec<RequirementResult> {
    let pending = asked.into_iter().map(|(standard, requirement)| async move {
        let result = judge(subject, standard, requirement, &Known::new()).await;
        progress(&result);
        result
    });
    // The list is collected first: a lazily mapped stream over borrowed data is not `Send` for the compiler.
    let pending: Vec<_> = pending.collect();
    stream::iter(pending)
        .buffered(subject.limits().concurrency.max(1))
        .collect()
        .await
}

async fn judge(
    subject: &Subject,
    standard: &'static str,
    requirement: &Requirement,
    known: &Known,
) -> RequirementResult {
    let absent = requirement
        .requires
        .iter()
        .find_map(|feature| feature.absent(subject.metadata()));
    let mut checks = Vec::new();
    match requirement.evidence {
        _ if absent.is_some() => {}
        Evidence::Checks(experiments) => {
            for check in experiments {
                checks.push(CheckResult {
                    name: check.name,
                    outcome: check.run(subject).await,
                });
            }
        }
        Evidence::Requirements(ids) => {
            let found = ids.iter().filter_map(|id| Some((*id, known.get(id)?)));
            checks.extend(found.map(|(name, outcome)| CheckResult {
                name,
                outcome: outcome.clone(),
            }));
        }
        Evidence::Nothing(_) => {}
    }
    RequirementResult::new(standard, requirement, absent, checks)
}
