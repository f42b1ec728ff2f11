//! The certification plans of the OpenID Foundation's conformance suite, as sets of requirements.
//!
//! A plan has modules, which carry the suite's own names. A module rests on requirements of the catalogue and comes to what they
//! come to; where the catalogue has no way to find out, the module says why. The experiments are ours: a plan that passes here is
//! a good sign before the suite itself is run, not a certification.

mod basic;
mod dynamic;
mod logout;

use crate::catalogue::{Evidence, Feature, Requirement, must, named};

/// Every plan.
pub const PLANS: &[&Plan] = &[
    &basic::PLAN,
    &dynamic::CONFIG,
    &dynamic::PLAN,
    &basic::FORM_POST,
    &logout::RP_INITIATED,
    &logout::BACK_CHANNEL,
];

/// A certification plan.
#[derive(Debug)]
pub struct Plan {
    /// Its short name, for arguments.
    pub id: &'static str,
    /// The certification profile that it is for.
    pub title: &'static str,
    /// The name that the conformance suite has for it.
    pub name: &'static str,
    /// The response mode that its authorization requests ask for.
    pub response_mode: Option<&'static str>,
    /// Its modules, in the suite's order.
    pub modules: &'static [Module],
}

/// A module of a plan.
#[derive(Debug)]
pub struct Module {
    /// The standard that it tests.
    pub standard: &'static str,
    /// What it tests. Its id is the module's name, and its section is one of `standard`.
    pub requirement: Requirement,
}

impl Module {
    const fn when(self, requires: &'static [Feature]) -> Self {
        Self {
            standard: self.standard,
            requirement: self.requirement.when(requires),
        }
    }
}

/// A module that rests on requirements.
const fn module(
    name: &'static str,
    (standard, section): (&'static str, &'static str),
    statement: &'static str,
    rests_on: &'static [&'static str],
) -> Module {
    Module {
        standard,
        requirement: Requirement {
            evidence: Evidence::Requirements(rests_on),
            ..must(name, section, statement, &[])
        },
    }
}

/// A module that the catalogue cannot do, for that reason.
const fn unchecked(
    name: &'static str,
    place: (&'static str, &'static str),
    statement: &'static str,
    reason: &'static str,
) -> Module {
    let module = module(name, place, statement, &[]);
    Module {
        standard: module.standard,
        requirement: module.requirement.unchecked(reason),
    }
}

/// The plan of that short name, title or name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Plan> {
    named(PLANS, name, |plan| [plan.id, plan.title, plan.name])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue;
    use crate::catalogue::tests::assert_complete;

    #[test]
    fn every_module_rests_on_known_requirements_or_says_why_not() {
        for plan in PLANS {
            let mut names = HashSet::new();
            for Module {
                standard,
                requirement,
            } in plan.modules
            {
                let id = requirement.id;
                assert!(names.insert(id), "{}: {id} stands twice", plan.id);
                assert!(id.starts_with("oidcc-"), "{id}");
                assert!(catalogue::find(standard).is_some(), "{id}: {standard}");
                assert_complete(requirement);
                let own = matches!(requirement.evidence, Evidence::Checks(_));
                assert!(!own, "{id} has checks of its own");
            }
        }
    }

    #[test]
    fn plans_are_found_by_any_of_their_names() {
        for plan in PLANS {
            for name in [plan.id, plan.title, plan.name] {
                assert_eq!(find(name).map(|found| found.id), Some(plan.id), "{name}");
            }
        }
        assert!(find("").is_none() && find("oidcc").is_none());
    }
}
