//! Runs the checks: a few requirements at a time, in the catalogue's order.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};

use crate::catalogue::{self, Evidence, Requirement, Standard};
use crate::check::Outcome;
use crate::plan::Plan;
use crate::profile::Profile;
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
        let requirements = judge_all(subject, asked.collect(), &Known::new(), &progress).await;
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
        let modules = plan.modules.iter();
        let asked = modules.map(|module| (module.standard, &module.requirement));
        let judged = judge_set(&subject, asked.collect(), &progress).await;
        results.push(StandardResult::new(plan.title, plan.name, judged));
    }
    Report::new(subject.issuer(), started, subject.now(), results)
}

/// Checks every requirement of `profiles`. `progress` hears of each one, and of each requirement of the catalogue that they rest
/// on.
pub async fn run_profiles(
    subject: &Subject,
    profiles: &[&'static Profile],
    progress: impl Fn(&RequirementResult) + Sync,
) -> Report {
    let started = subject.now();
    let mut results = Vec::with_capacity(profiles.len());
    for profile in profiles {
        let subject = subject.under(profile);
        let parts = profile.parts.iter();
        let asked = parts.flat_map(|part| {
            let requirements = part.requirements.iter();
            requirements.map(|requirement| (part.id, requirement))
        });
        let judged = judge_set(&subject, asked.collect(), &progress).await;
        results.push(StandardResult::new(profile.title, profile.edition, judged));
    }
    Report::new(subject.issuer(), started, subject.now(), results)
}

/// Judges what others of the catalogue may have to show first.
async fn judge_set(
    subject: &Subject,
    asked: Vec<(&'static str, &'static Requirement)>,
    progress: &(impl Fn(&RequirementResult) + Sync),
) -> Vec<RequirementResult> {
    let rests_on = asked
        .iter()
        .flat_map(|(_, requirement)| requirement.rests_on());
    let rests_on: BTreeMap<_, _> = rests_on
        .filter_map(|id| Some((*id, catalogue::requirement(id)?)))
        .collect();
    let others = rests_on.into_values();
    let others = others.map(|(standard, requirement)| (standard.id, requirement));
    let judged = judge_all(subject, others.collect(), &Known::new(), progress).await;
    let known = judged.into_iter().map(|judged| (judged.id, judged.result));
    judge_all(subject, asked, &known.collect(), progress).await
}

async fn judge_all(
    subject: &Subject,
    asked: Vec<(&'static str, &'static Requirement)>,
    known: &Known,
    progress: &(impl Fn(&RequirementResult) + Sync),
) -> Vec<RequirementResult> {
    let pending = asked.into_iter().map(|(standard, requirement)| async move {
        let result = judge(subject, standard, requirement, known).await;
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
