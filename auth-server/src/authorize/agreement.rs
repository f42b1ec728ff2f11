//! What a person agrees to, each scope at the resource that it belongs to, so that what was agreed to for one resource never
//! counts for another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_protocol::scope::ScopeSet;

use crate::claims::ClaimSet;

/// Scopes of this server, and scopes by resource.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Agreement {
    /// Scopes of this server.
    pub own: ScopeSet,
    /// Scopes of resources, by the normal form of their identifiers.
    pub resources: BTreeMap<String, ScopeSet>,
    /// Claims that were asked for one by one, beside those that the scopes bring.
    #[serde(default, skip_serializing_if = "ClaimSet::is_empty")]
    pub claims: ClaimSet,
}

impl Agreement {
    /// Whether everything of `asked` was agreed to.
    #[must_use]
    pub fn covers(&self, asked: &Self) -> bool {
        let agreed = self.claims.union(ClaimSet::of_scope(&self.own));
        asked.own.is_subset(&self.own)
            && asked.claims.without(agreed).is_empty()
            && asked.resources.iter().all(|(resource, scope)| {
                self.resources
                    .get(resource)
                    .is_some_and(|agreed| scope.is_subset(agreed))
            })
    }

    /// All of its scopes, wherever they belong.
    #[must_use]
    pub fn scope(&self) -> ScopeSet {
        let of_resources = self.resources.values().flat_map(ScopeSet::iter);
        self.own.iter().chain(of_resources).cloned().collect()
    }

    /// What is left of it within `bounds`. A resource whose last scope goes, goes as well; one that was named without a scope stays.
    #[must_use]
    pub fn narrowed(&self, bounds: &ScopeSet) -> Self {
        let resources = self.resources.iter().filter_map(|(resource, scope)| {
            let left = scope.intersection(bounds);
            (scope.is_empty() || !left.is_empty()).then(|| (resource.clone(), left))
        });
        Self {
            own: self.own.intersection(bounds),
            resources: resources.collect(),
            claims: self.claims.intersection(ClaimSet::of_scope(bounds)),
        }
    }

    /// Adds what was agreed to later.
    pub fn grow(&mut self, later: &Self) {
        self.own = union(&self.own, &later.own);
        self.claims = self.claims.union(later.claims);
        for (resource, scope) in &later.resources {
            let agreed = self.resources.entry(resource.clone()).or_default();
            *agreed = union(agreed, scope);
        }
    }
}

fn union(a: &ScopeSet, b: &ScopeSet) -> ScopeSet {
    a.iter().chain(b.iter()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(own: &str, resources: &[(&str, &str)]) -> Agreement {
        Agreement {
            own: own.parse().unwrap(),
            resources: resources
                .iter()
                .map(|(resource, scope)| ((*resource).to_owned(), scope.parse().unwrap()))
                .collect(),
            claims: ClaimSet::default(),
        }
    }

    #[test]
    fn what_was_agreed_for_one_resource_does_not_count_for_another() {
        let mut agreed = agreement("openid", &[("https://a/", "read")]);
        agreed.grow(&agreement("", &[("https://b/", "write")]));
        for (asked, covered) in [
            (agreement("openid", &[]), true),
            (agreement("", &[("https://a/", "read")]), true),
            (
                agreement("openid", &[("https://a/", "read"), ("https://b/", "write")]),
                true,
            ),
            (agreement("openid", &[("https://a/", "")]), true),
            (agreement("openid email", &[]), false),
            (agreement("", &[("https://a/", "write")]), false),
            (agreement("", &[("https://a/", "read write")]), false),
            (agreement("", &[("https://c/", "")]), false),
        ] {
            assert_eq!(agreed.covers(&asked), covered, "{asked:?}");
        }
    }

    #[test]
    fn what_is_narrowed_keeps_only_resources_that_have_something_left() {
        let agreed = agreement(
            "email openid",
            &[
                ("https://a/", "read write"),
                ("https://b/", "read"),
                ("https://c/", ""),
            ],
        );
        assert_eq!(agreed.scope().to_string(), "email openid read write");
        for (bounds, left) in [
            ("email openid read write other", agreed.clone()),
            (
                "openid write",
                agreement("openid", &[("https://a/", "write"), ("https://c/", "")]),
            ),
            ("", agreement("", &[("https://c/", "")])),
        ] {
            assert_eq!(agreed.narrowed(&bounds.parse().unwrap()), left, "{bounds}");
        }
    }
}
