//! The requirements, standard by standard.

mod back_channel_logout;
mod client_documents;
mod discovery;
mod form_post;
mod global_token_revocation;
mod id_jag;
mod jarm;
mod jose;
mod oidc_core;
mod oidc_registration;
mod rfc6749;
mod rfc6750;
mod rfc7009;
mod rfc7521;
mod rfc7523;
mod rfc7591;
mod rfc7592;
mod rfc7636;
mod rfc7662;
mod rfc8252;
mod rfc8414;
mod rfc8628;
mod rfc8693;
mod rfc8705;
mod rfc8707;
mod rfc8725;
mod rfc9068;
mod rfc9101;
mod rfc9126;
mod rfc9207;
mod rfc9396;
mod rfc9440;
mod rfc9449;
mod rfc9470;
mod rfc9700;
mod rfc9701;
mod rfc9728;
mod rp_logout;

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::check::Check;
use crate::metadata::Metadata;
pub(crate) use rfc9126::request_uri;
pub(crate) use rfc9728::document as resource_metadata;

/// Every standard that the catalogue holds requirements of, in order of number.
pub const STANDARDS: &[&Standard] = &[
    &rfc6749::STANDARD,
    &rfc6750::STANDARD,
    &rfc7009::STANDARD,
    &jose::RFC7515,
    &jose::RFC7517,
    &jose::RFC7518,
    &jose::RFC7519,
    &rfc7521::STANDARD,
    &rfc7523::STANDARD,
    &rfc7591::STANDARD,
    &rfc7592::STANDARD,
    &rfc7636::STANDARD,
    &jose::RFC7638,
    &rfc7662::STANDARD,
    &rfc8252::STANDARD,
    &rfc8414::STANDARD,
    &rfc8628::STANDARD,
    &rfc8693::STANDARD,
    &rfc8705::STANDARD,
    &rfc8707::STANDARD,
    &rfc8725::STANDARD,
    &rfc9068::STANDARD,
    &rfc9101::STANDARD,
    &rfc9126::STANDARD,
    &rfc9207::STANDARD,
    &rfc9396::STANDARD,
    &rfc9440::STANDARD,
    &rfc9449::STANDARD,
    &rfc9470::STANDARD,
    &rfc9700::STANDARD,
    &rfc9701::STANDARD,
    &rfc9728::STANDARD,
    &oidc_core::STANDARD,
    &discovery::STANDARD,
    &oidc_registration::STANDARD,
    &form_post::STANDARD,
    &jarm::STANDARD,
    &rp_logout::STANDARD,
    &back_channel_logout::STANDARD,
    &client_documents::STANDARD,
    &id_jag::STANDARD,
    &global_token_revocation::STANDARD,
];

/// A standard and what it asks of a server.
#[derive(Debug)]
pub struct Standard {
    /// Its short name, for example `RFC 6749`.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it asks, in the order of its sections.
    pub requirements: &'static [Requirement],
}

/// One thing that a standard asks of a server.
#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    /// A name that is unique in the catalogue and begins with the standard and the section.
    pub id: &'static str,
    /// The section that asks it, without the sign.
    pub section: &'static str,
    /// How strongly it asks (RFC 2119).
    pub level: Level,
    /// What it asks, in one line.
    pub statement: &'static str,
    /// What a server must announce for the requirement to apply to it.
    pub requires: &'static [Feature],
    /// What shows whether it holds.
    pub evidence: Evidence,
}

/// What shows whether a requirement holds.
#[derive(Clone, Copy, Debug)]
pub enum Evidence {
    /// These experiments.
    Checks(&'static [Check]),
    /// Other requirements of the catalogue, by their ids: what they come to.
    Requirements(&'static [&'static str]),
    /// Nothing, for this reason: the requirement is reported as unchecked.
    Nothing(&'static str),
}

/// How strongly a standard asks (RFC 2119).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// MUST, MUST NOT, REQUIRED, and what a grammar or a format states as a fact.
    Must,
    /// SHOULD, SHOULD NOT, RECOMMENDED.
    Should,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        })
    }
}

/// Something that a server announces in its metadata (RFC 8414 §2).
#[derive(Clone, Copy, Debug)]
pub enum Feature {
    /// The metadata has this member.
    Member(&'static str),
    /// This grant type is supported.
    Grant(&'static str),
    /// The member is `true`.
    Flag(&'static str),
    /// The list of that member has this element.
    Listed(&'static str, &'static str),
    /// This method of client authentication is supported at the token endpoint.
    ClientAuthentication(&'static str),
}

impl Feature {
    /// Why a requirement of this feature does not apply; `None` when it does.
    pub(crate) fn absent(&self, metadata: &Metadata) -> Option<String> {
        match self {
            Self::Member(name) => (!metadata.has(name)).then(|| format!("metadata has no {name}")),
            Self::Flag(name) => (metadata.0.get(*name) != Some(&Value::Bool(true)))
                .then(|| format!("{name} is not true")),
            Self::Grant(name) => (!metadata.grants().contains(name))
                .then(|| format!("grant_types_supported does not list {name}")),
            Self::Listed(member, element) => (!metadata.list(member).contains(element))
                .then(|| format!("{member} does not list {element}")),
            Self::ClientAuthentication(name) => (!metadata.client_authentication().contains(name))
                .then(|| format!("token_endpoint_auth_methods_supported does not list {name}")),
        }
    }
}

/// The standard of that name: `RFC 6749`, `rfc6749`, `6749`, `OIDC Discovery` and `oidc-discovery` all work.
#[must_use]
pub fn find(name: &str) -> Option<&'static Standard> {
    let number = |name: &str| {
        let plain = plain(name);
        plain
            .strip_prefix("rfc")
            .map_or(plain.clone(), str::to_owned)
    };
    let mut all = STANDARDS.iter().copied();
    all.find(|standard| number(standard.id) == number(name))
}

/// A name as names are compared: its letters and digits, in whatever case.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.collect::<String>().to_ascii_lowercase()
}

/// The one that has that name among its names.
pub(crate) fn named<T, const N: usize>(
    all: &[&'static T],
    name: &str,
    names: fn(&T) -> [&'static str; N],
) -> Option<&'static T> {
    let mut all = all.iter().copied();
    all.find(|one| names(one).iter().any(|known| plain(known) == plain(name)))
}

/// The requirement of that id, and the standard that asks it.
#[must_use]
pub fn requirement(id: &str) -> Option<(&'static Standard, &'static Requirement)> {
    STANDARDS.iter().copied().find_map(|standard| {
        let mut requirements = standard.requirements.iter();
        let found = requirements.find(|requirement| requirement.id == id)?;
        Some((standard, found))
    })
}

/// A requirement of level MUST.
pub(crate) const fn must(
    id: &'static str,
    section: &'static str,
    statement: &'static str,
    checks: &'static [Check],
) -> Requirement {
    Requirement {
        id,
        section,
        level: Level::Must,
        statement,
        requires: &[],
        evidence: Evidence::Checks(checks),
    }
}

/// A requirement of level SHOULD.
pub(crate) const fn should(
    id: &'static str,
    section: &'static str,
    statement: &'static str,
    checks: &'static [Check],
) -> Requirement {
    Requirement {
        level: Level::Should,
        ..must(id, section, statement, checks)
    }
}

impl Requirement {
    /// The ids of the requirements that it rests on.
    #[must_use]
    pub fn rests_on(&self) -> &'static [&'static str] {
        match self.evidence {
            Evidence::Requirements(ids) => ids,
            Evidence::Checks(_) | Evidence::Nothing(_) => &[],
        }
    }

    /// The same, for servers that announce all of `requires`.
    pub(crate) const fn when(self, requires: &'static [Feature]) -> Self {
        Self { requires, ..self }
    }

    /// The same without a check, for this reason.
    pub(crate) const fn unchecked(self, reason: &'static str) -> Self {
        Self {
            evidence: Evidence::Nothing(reason),
            ..self
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashSet;

    use super::*;

    /// It is a sentence of a section, and something shows it, or a reason says why nothing does.
    pub(crate) fn assert_complete(requirement: &Requirement) {
        let Requirement {
            id,
            section,
            statement,
            evidence,
            ..
        } = requirement;
        let mut parts = section.split('.');
        assert!(
            parts.all(|part| !part.is_empty() && part.chars().all(char::is_alphanumeric)),
            "{id}: §{section}"
        );
        assert!(
            statement.ends_with('.') && !statement.contains('\n'),
            "{id}: {statement}"
        );
        match evidence {
            Evidence::Checks(checks) => {
                let names: HashSet<_> = checks.iter().map(|check| check.name).collect();
                assert_eq!(names.len(), checks.len(), "{id} runs a check twice");
                assert!(!checks.is_empty(), "{id} has neither checks nor a reason");
            }
            Evidence::Requirements(on) => {
                assert!(!on.is_empty(), "{id} rests on nothing");
                for known in *on {
                    assert!(super::requirement(known).is_some(), "{id}: no {known}");
                }
            }
            Evidence::Nothing(reason) => assert!(!reason.is_empty(), "{id}"),
        }
    }

    #[test]
    fn every_requirement_is_complete_and_named_once() {
        let mut ids = HashSet::new();
        for standard in STANDARDS {
            assert!(
                !standard.title.is_empty() && !standard.requirements.is_empty(),
                "{}",
                standard.id
            );
            let prefix: String = standard
                .id
                .to_lowercase()
                .chars()
                .filter(|c| *c != ' ')
                .collect();
            for requirement in standard.requirements {
                let Requirement { id, section, .. } = requirement;
                assert!(ids.insert(id), "{id} stands twice");
                let expected = format!("{prefix}-{section}-");
                assert!(
                    id.starts_with(&expected) && id.len() > expected.len(),
                    "{id} should begin with {expected}"
                );
                assert_complete(requirement);
                assert!(requirement.rests_on().is_empty(), "{id} rests on others");
            }
        }
    }

    #[test]
    fn standards_are_found_by_any_of_their_names() {
        for standard in STANDARDS {
            assert_eq!(find(standard.id).map(|found| found.id), Some(standard.id));
        }
        for name in ["RFC 6749", "6749", "rfc6749", "rfc-6749"] {
            assert_eq!(find(name).map(|found| found.id), Some("RFC 6749"), "{name}");
        }
        assert_eq!(
            find("oidc-discovery").map(|found| found.id),
            Some("OIDC Discovery")
        );
        for unknown in ["", "rfc", "674", "67490"] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }
}
