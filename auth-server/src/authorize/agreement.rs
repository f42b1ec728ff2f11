//! What a person agrees to, each scope and each authorization detail at the resource that it belongs to, so that what was agreed to
//! for one resource never counts for another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use shared_protocol::scope::ScopeSet;

use crate::authorization_details::{ByResource, TypeName};
use crate::claims::ClaimSet;
use crate::clients::ClientMetadata;

/// The most that is remembered of the details of one resource, in bytes of JSON.
const MAX_REMEMBERED: usize = 16 * 1024;

/// Scopes of this server, and scopes and authorization details by resource.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Agreement {
    /// Scopes of this server.
    pub own: ScopeSet,
    /// Scopes of resources, by the normal form of their identifiers.
    pub resources: BTreeMap<String, ScopeSet>,
    /// Claims that were asked for one by one, beside those that the scopes bring.
    #[serde(default, skip_serializing_if = "ClaimSet::is_empty")]
    pub claims: ClaimSet,
    /// Authorization details (RFC 9396), by the same. None of them is empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: ByResource,
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
            && self.has(&asked.details)
    }

    /// Whether each of these objects was agreed to, at its resource.
    fn has(&self, details: &ByResource) -> bool {
        details.iter().all(|(resource, details)| {
            self.details
                .get(resource)
                .is_some_and(|agreed| details.is_subset(agreed))
        })
    }

    /// Whether nothing may be done by it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
            && self.resources.values().all(ScopeSet::is_empty)
            && self.details.is_empty()
    }

    /// All of its scopes, wherever they belong.
    #[must_use]
    pub fn scope(&self) -> ScopeSet {
        let of_resources = self.resources.values().flat_map(ScopeSet::iter);
        self.own.iter().chain(of_resources).cloned().collect()
    }

    /// What is left of it within these scopes. A resource whose last scope goes, goes as well; one that was named without a scope stays,
    /// and so do authorization details, which no scope bounds.
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
            details: self.details.clone(),
        }
    }

    /// What is left of it within what a client may have now.
    #[must_use]
    pub fn of_client(&self, metadata: &ClientMetadata) -> Self {
        self.narrowed(&metadata.scope)
            .of_types(&metadata.authorization_details_types)
    }

    /// What is left of it within these types of authorization details.
    #[must_use]
    pub fn of_types(self, types: &[TypeName]) -> Self {
        let is_of_them = |name: &str| types.iter().any(|known| known.as_str() == name);
        self.keeping(|details| {
            let left = details
                .iter()
                .filter(|detail| is_of_them(detail.type_name()));
            left.cloned().collect()
        })
    }

    /// The same with no authorization details but these, if each of them is one that is there, or less than it (RFC 9396 §6).
    #[must_use]
    pub fn with_details(
        self,
        asked: &AuthorizationDetails,
        is_within: impl Fn(&AuthorizationDetail, &AuthorizationDetail) -> bool,
    ) -> Option<Self> {
        let is_among = |detail: &AuthorizationDetail, granted: &AuthorizationDetails| {
            granted.iter().any(|granted| is_within(detail, granted))
        };
        let is_granted = |detail| {
            let mut granted = self.details.values();
            granted.any(|granted| is_among(detail, granted))
        };
        if !asked.iter().all(is_granted) {
            return None;
        }
        Some(self.keeping(|granted| {
            let left = asked.iter().filter(|detail| is_among(detail, granted));
            left.cloned().collect()
        }))
    }

    fn keeping(mut self, kept: impl Fn(&AuthorizationDetails) -> AuthorizationDetails) -> Self {
        self.details.retain(|_, details| {
            *details = kept(details);
            !details.is_empty()
        });
        self
    }

    /// Adds what was agreed to later.
    pub fn grow(&mut self, later: &Self) {
        self.own = union(&self.own, &later.own);
        self.claims = self.claims.union(later.claims);
        for (resource, scope) in &later.resources {
            let agreed = self.resources.entry(resource.clone()).or_default();
            *agreed = union(agreed, scope);
        }
        for (resource, later) in &later.details {
            let agreed = self.details.entry(resource.clone()).or_default();
            let before = agreed.iter().filter(|detail| !later.contains(detail));
            *agreed = latest(&before.chain(later.iter()).cloned().collect());
        }
    }

    /// Its authorization details as they are kept in a row: nothing where there are none.
    #[must_use]
    pub fn details_value(&self) -> Option<Value> {
        (!self.details.is_empty()).then(|| serde_json::json!(self.details))
    }

    /// The authorization details of a row, if it makes sense.
    #[must_use]
    pub fn details_of(row: Option<Value>) -> Option<ByResource> {
        row.map_or_else(
            || Some(ByResource::default()),
            |row| serde_json::from_value(row).ok(),
        )
    }
}

fn union(a: &ScopeSet, b: &ScopeSet) -> ScopeSet {
    a.iter().chain(b.iter()).cloned().collect()
}

/// Each payment is another object: of those that nobody asks for again, the oldest are forgotten.
fn latest(details: &AuthorizationDetails) -> AuthorizationDetails {
    let mut bytes = 0;
    let kept = details.iter().rev().take_while(|detail| {
        bytes += serde_json::to_string(detail).map_or(0, |text| text.len());
        bytes <= MAX_REMEMBERED
    });
    let count = kept.count();
    let forgotten = details.iter().count() - count;
    details.iter().skip(forgotten).cloned().collect()
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
            details: ByResource::default(),
        }
    }

    fn detailed(details: &[(&str, &str)]) -> Agreement {
        let parse = |(resource, raw): &(&str, &str)| ((*resource).to_owned(), raw.parse().unwrap());
        Agreement {
            details: details.iter().map(parse).collect(),
            ..Agreement::default()
        }
    }

    const PAY_5: &str = r#"[{"type":"payment","amount":5}]"#;
    const PAY_6: &str = r#"[{"type":"payment","amount":6}]"#;
    const BOTH: &str = r#"[{"amount":5,"type":"payment"},{"type":"payment","amount":6}]"#;

    #[test]
    fn rfc9396_an_object_was_agreed_to_if_its_equal_was_at_its_resource() {
        let mut agreed = detailed(&[("https://a/", PAY_5)]);
        let before = agreed.clone();
        agreed.grow(&detailed(&[("https://a/", PAY_6), ("https://b/", PAY_5)]));
        for (what, asked, covered_before, covered) in [
            ("nothing", detailed(&[]), true, true),
            ("the same", detailed(&[("https://a/", PAY_5)]), true, true),
            ("another", detailed(&[("https://a/", PAY_6)]), false, true),
            ("both", detailed(&[("https://a/", BOTH)]), false, true),
            (
                "the same elsewhere",
                detailed(&[("https://b/", PAY_5)]),
                false,
                true,
            ),
            (
                "another elsewhere",
                detailed(&[("https://b/", PAY_6)]),
                false,
                false,
            ),
            (
                "the same and more",
                detailed(&[("https://a/", r#"[{"type":"payment","amount":5,"to":"x"}]"#)]),
                false,
                false,
            ),
        ] {
            assert_eq!(before.covers(&asked), covered_before, "{what}, before");
            assert_eq!(agreed.covers(&asked), covered, "{what}");
        }
    }

    #[test]
    fn rfc9396_6_details_are_narrowed_object_by_object() {
        let agreed = detailed(&[
            ("https://a/", BOTH),
            ("https://b/", r#"[{"type":"album"}]"#),
        ]);
        for (asked, left) in [
            (PAY_5, Some(detailed(&[("https://a/", PAY_5)]))),
            (BOTH, Some(detailed(&[("https://a/", BOTH)]))),
            (
                r#"[{"type":"album"}]"#,
                Some(detailed(&[("https://b/", r#"[{"type":"album"}]"#)])),
            ),
            (r#"[{"type":"payment","amount":7}]"#, None),
            (r#"[{"type":"payment"}]"#, None),
            (
                r#"[{"type":"payment","amount":5},{"type":"album","actions":["read"]}]"#,
                None,
            ),
        ] {
            let asked_for = asked.parse().unwrap();
            let narrowed = agreed
                .clone()
                .with_details(&asked_for, |asked, granted| asked == granted);
            assert_eq!(narrowed, left, "{asked}");
        }
        let types: [TypeName; 1] = ["album".parse().unwrap()];
        let of_albums = agreed.clone().of_types(&types);
        assert_eq!(
            of_albums,
            detailed(&[("https://b/", r#"[{"type":"album"}]"#)])
        );
        assert_eq!(agreed.narrowed(&ScopeSet::default()), agreed);
        assert!(agreed.clone().of_types(&[]).is_empty() && !agreed.is_empty());
    }

    #[test]
    fn what_is_remembered_of_details_is_bounded_and_the_latest_stays() {
        let one = |n: usize| {
            let raw = format!(
                r#"[{{"type":"payment","n":{n},"text":"{}"}}]"#,
                "x".repeat(3000)
            );
            detailed(&[("https://a/", &raw)])
        };
        let mut agreed = Agreement::default();
        for n in 0..50 {
            agreed.grow(&one(n));
            assert!(agreed.covers(&one(n)), "{n}");
            assert!(agreed.details_value().unwrap().to_string().len() < MAX_REMEMBERED + 100);
        }
        assert!(agreed.covers(&one(46)) && !agreed.covers(&one(40)));
        // What is agreed to again is the latest.
        agreed.grow(&one(46));
        (50..53).for_each(|n| agreed.grow(&one(n)));
        assert!(agreed.covers(&one(46)) && !agreed.covers(&one(47)));
    }

    #[test]
    fn details_are_kept_in_a_row_as_they_are() {
        let agreed = detailed(&[("https://a/", BOTH)]);
        assert_eq!(
            Agreement::details_of(agreed.details_value()),
            Some(agreed.details)
        );
        assert_eq!(Agreement::default().details_value(), None);
        assert_eq!(Agreement::details_of(Some(serde_json::json!([]))), None);
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
