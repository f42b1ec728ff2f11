//! Profiles: what a server must do to be of a kind, as sets of requirements with a report and a score of their own.
//!
//! A profile asks more than the standards it is made of, so that a good server may well fail one: nothing here is part of
//! [`STANDARDS`](crate::catalogue::STANDARDS). Some requirements have checks of their own; others come to what requirements of the
//! catalogue come to.

mod fapi2;
mod mcp;
mod oauth21;

use crate::catalogue::{Evidence, Level, Requirement, Standard, must, named};

/// Every profile.
pub const PROFILES: &[&Profile] = &[
    &fapi2::SECURITY_PROFILE,
    &fapi2::MESSAGE_SIGNING_PROFILE,
    &mcp::PROFILE,
    &oauth21::PROFILE,
];

/// A named set of requirements.
#[derive(Debug)]
pub struct Profile {
    /// Its short name, for arguments.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// The edition of the documents that it was read from.
    pub edition: &'static str,
    /// What it asks, document by document.
    pub parts: &'static [&'static Standard],
    /// Whether its clients sign their requests and are answered by signed responses.
    pub signs: bool,
    /// Whether its clients name the resource that they want a token for in every request (RFC 8707 §2).
    pub names_resources: bool,
}

/// The profile of that short name or title.
#[must_use]
pub fn find(name: &str) -> Option<&'static Profile> {
    named(PROFILES, name, |profile| [profile.id, profile.title])
}

/// A requirement of level MUST that comes to what others come to.
const fn rests(
    id: &'static str,
    section: &'static str,
    statement: &'static str,
    on: &'static [&'static str],
) -> Requirement {
    Requirement {
        evidence: Evidence::Requirements(on),
        ..must(id, section, statement, &[])
    }
}

/// The same of level SHOULD.
const fn should_rest(
    id: &'static str,
    section: &'static str,
    statement: &'static str,
    on: &'static [&'static str],
) -> Requirement {
    Requirement {
        level: Level::Should,
        ..rests(id, section, statement, on)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue::tests::assert_complete;

    #[test]
    fn every_requirement_of_a_profile_is_complete_and_named_once() {
        for profile in PROFILES {
            let mut ids = HashSet::new();
            let parts = profile.parts.iter();
            for requirement in parts.flat_map(|part| part.requirements) {
                let Requirement { id, section, .. } = requirement;
                assert!(ids.insert(id), "{id} stands twice in {}", profile.id);
                assert!(id.contains(&format!("-{section}-")), "{id}: §{section}");
                assert_complete(requirement);
            }
        }
    }

    #[test]
    fn profiles_are_found_by_any_of_their_names() {
        for profile in PROFILES {
            for name in [profile.id, profile.title] {
                assert_eq!(find(name).map(|found| found.id), Some(profile.id), "{name}");
            }
        }
        assert!(find("").is_none() && find("fapi").is_none());
    }
}
