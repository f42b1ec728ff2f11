//! What an operator lets a client exchange tokens for (RFC 8693). Whatever is not said here is refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::{ScopeSet, ScopeToken};

use super::{ClientMetadata, GrantType, InvalidClientMetadata};
use crate::authorize::request::OwnScope;
use crate::token::token_type::TokenType;

/// Of each list.
const MOST: usize = 100;

/// The policy of a client, member `token_exchange` of its metadata.
///
/// What a new token allows is never more than the old one: at the audience of the old one no more than that allows, at another only what
/// `downstream` says that a scope of the old one becomes there, and what is the client's own to ask for in either case. Of a refresh
/// token or an ID token, which are the client's own and name no audience, its grant counts as a whole.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangePolicy {
    /// The resource servers that it may have tokens for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<ResourceId>,
    /// The clients whose tokens it may exchange, beside its own and those for a resource server that it introspects for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_clients: Vec<ClientId>,
    /// Whether it may be somebody else: without an actor token, the new token then says nothing of it (RFC 8693 §1.1).
    #[serde(default)]
    pub impersonation: bool,
    /// Whether it may act for somebody else, and be seen to: with an actor token that one's subject is the actor, without, where it may not
    /// impersonate, the client itself (RFC 8693 §1.1).
    #[serde(default = "yes")]
    pub delegation: bool,
    /// What it may have.
    #[serde(default = "access_tokens")]
    pub requested_token_types: BTreeSet<TokenType>,
    /// What a scope of one resource server becomes at another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downstream: Vec<Downstream>,
    /// The authorization servers of others that it may have identity assertions for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_assertions: Vec<IdentityAssertions>,
}

/// What a scope of one resource server becomes at another, because the first needs the second to do what it is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Downstream {
    /// The audience of the old token.
    pub from: ResourceId,
    /// A scope that the old token has.
    pub scope: ScopeToken,
    /// The audience of the new one.
    pub to: ResourceId,
    /// What the new one then may have.
    pub scopes: ScopeSet,
}

/// An authorization server that takes this server's word for who somebody is (draft-ietf-oauth-identity-assertion-authz-grant-03).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityAssertions {
    /// Its issuer.
    pub audience: Issuer,
    /// What the client is called there.
    pub client_id: ClientId,
    /// By which of this server's clients it signs people in, if it does: it knows them by the names that that one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_in_as: Option<ClientId>,
    /// The resources there that may be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceId>,
    /// The scopes there that may be asked for.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scopes: ScopeSet,
}

fn yes() -> bool {
    true
}

fn access_tokens() -> BTreeSet<TokenType> {
    BTreeSet::from([TokenType::AccessToken])
}

/// Why a policy makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidExchangePolicy {
    /// Only an operator says what may be exchanged.
    #[error(
        "the token exchange grant (RFC 8693) is for confidential clients that the operator gave token_exchange; take it out of grant_types"
    )]
    OperatorOnly,
    /// A policy for nothing.
    #[error(
        "token_exchange goes with the grant type urn:ietf:params:oauth:grant-type:token-exchange; name both, or neither"
    )]
    NotRegistered,
    /// Neither of the two.
    #[error("token_exchange allows neither impersonation nor delegation; allow one")]
    NothingAllowed,
    /// Nothing to ask for.
    #[error("token_exchange: requested_token_types is empty; name one")]
    NoTypes,
    /// Nobody would take it.
    #[error("token_exchange: refresh_token is requested without the grant type refresh_token")]
    NoRefresh,
    /// A type and the list that it needs.
    #[error("token_exchange: id-jag and identity_assertions go together; name both, or neither")]
    IdentityAssertions,
    /// What people allow here is no right elsewhere.
    #[error("token_exchange: downstream gives a scope that is this server's own")]
    OwnScope,
    /// A map from somewhere to the same place.
    #[error("token_exchange: downstream leads from a resource server to itself")]
    Nowhere,
    /// A bound.
    #[error("token_exchange holds a list of more than {MOST}")]
    TooMany,
}

impl ExchangePolicy {
    /// Whether it makes sense for a client.
    ///
    /// # Errors
    /// [`InvalidExchangePolicy`].
    pub(super) fn check(metadata: &ClientMetadata) -> Result<(), InvalidClientMetadata> {
        let registered = metadata.grant_types.contains(&GrantType::TokenExchange);
        let policy = match (&metadata.token_exchange, registered) {
            (None, false) => return Ok(()),
            (None, true) => return Err(InvalidExchangePolicy::OperatorOnly.into()),
            (Some(_), false) => return Err(InvalidExchangePolicy::NotRegistered.into()),
            (Some(_), true) if metadata.is_public() => {
                return Err(InvalidExchangePolicy::OperatorOnly.into());
            }
            (Some(policy), true) => policy,
        };
        let refreshes = metadata.grant_types.contains(&GrantType::RefreshToken);
        Ok(policy.check_itself(refreshes)?)
    }

    fn check_itself(&self, refreshes: bool) -> Result<(), InvalidExchangePolicy> {
        let lists = [
            self.audiences.len(),
            self.subject_clients.len(),
            self.downstream.len(),
            self.identity_assertions.len(),
        ];
        let of_assertions = self.identity_assertions.iter();
        let resources = of_assertions.map(|known| known.resources.len());
        if lists.into_iter().chain(resources).any(|len| len > MOST) {
            return Err(InvalidExchangePolicy::TooMany);
        }
        if !self.impersonation && !self.delegation {
            return Err(InvalidExchangePolicy::NothingAllowed);
        }
        let types = &self.requested_token_types;
        if types.is_empty() {
            return Err(InvalidExchangePolicy::NoTypes);
        }
        if types.contains(&TokenType::RefreshToken) && !refreshes {
            return Err(InvalidExchangePolicy::NoRefresh);
        }
        if types.contains(&TokenType::IdentityAssertion) == self.identity_assertions.is_empty() {
            return Err(InvalidExchangePolicy::IdentityAssertions);
        }
        for rule in &self.downstream {
            if rule.from == rule.to {
                return Err(InvalidExchangePolicy::Nowhere);
            }
            let mut scopes = rule.scopes.iter();
            if scopes.any(|scope| OwnScope::of(scope).is_some()) {
                return Err(InvalidExchangePolicy::OwnScope);
            }
        }
        Ok(())
    }

    /// What a token with `scope` at one resource server becomes at another.
    #[must_use]
    pub fn becomes(&self, scope: &ScopeSet, from: &ResourceId, to: &ResourceId) -> ScopeSet {
        let rules = self.downstream.iter();
        let rules = rules
            .filter(|rule| rule.from == *from && rule.to == *to && scope.contains(&rule.scope));
        rules.flat_map(|rule| rule.scopes.iter()).cloned().collect()
    }

    /// Whether what comes of it may say who somebody is, signed as the client's ID tokens are.
    #[must_use]
    pub fn tells_of_people(&self) -> bool {
        [TokenType::IdToken, TokenType::IdentityAssertion]
            .iter()
            .any(|told| self.requested_token_types.contains(told))
    }

    /// Every resource server that it names.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceId> {
        let of_rules = self
            .downstream
            .iter()
            .flat_map(|rule| [&rule.from, &rule.to]);
        self.audiences.iter().chain(of_rules)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn policy(value: Value) -> Result<ExchangePolicy, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn what_is_not_said_is_not_allowed() {
        let empty = policy(json!({})).unwrap();
        assert!(empty.audiences.is_empty() && empty.subject_clients.is_empty());
        assert!(!empty.impersonation && empty.delegation);
        assert_eq!(empty.requested_token_types, access_tokens());
        assert_eq!(empty.check_itself(false), Ok(()));
        assert!(policy(json!({"impersonations": true})).is_err(), "a typo");
    }

    #[test]
    fn a_policy_that_contradicts_itself_is_refused() {
        let rule = json!({"from": "https://a.example", "scope": "read", "to": "https://b.example", "scopes": "read"});
        let with = |name: &str, value: Value| {
            let mut changed = rule.clone();
            changed[name] = value;
            json!({"downstream": [changed]})
        };
        let jag = "urn:ietf:params:oauth:token-type:id-jag";
        let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
        for (what, value, expected) in [
            (
                "neither",
                json!({"delegation": false}),
                Some(InvalidExchangePolicy::NothingAllowed),
            ),
            (
                "one",
                json!({"delegation": false, "impersonation": true}),
                None,
            ),
            (
                "no types",
                json!({"requested_token_types": []}),
                Some(InvalidExchangePolicy::NoTypes),
            ),
            (
                "refresh",
                json!({"requested_token_types": [refresh]}),
                Some(InvalidExchangePolicy::NoRefresh),
            ),
            (
                "assertions",
                json!({"requested_token_types": [jag]}),
                Some(InvalidExchangePolicy::IdentityAssertions),
            ),
            (
                "to itself",
                with("to", json!("https://a.example/")),
                Some(InvalidExchangePolicy::Nowhere),
            ),
            (
                "own scope",
                with("scopes", json!("read openid")),
                Some(InvalidExchangePolicy::OwnScope),
            ),
            ("a rule", with("scopes", json!("read write")), None),
            (
                "many",
                json!({"subject_clients": vec!["x"; MOST + 1]}),
                Some(InvalidExchangePolicy::TooMany),
            ),
        ] {
            let refused = policy(value).unwrap().check_itself(false).err();
            assert_eq!(refused, expected, "{what}");
        }
        let refreshing = policy(json!({"requested_token_types": [refresh]})).unwrap();
        assert_eq!(refreshing.check_itself(true), Ok(()));
    }

    fn scopes() -> impl Strategy<Value = ScopeSet> {
        proptest::collection::btree_set("[a-d]", 0..4)
            .prop_map(|names| names.iter().map(|name| name.parse().unwrap()).collect())
    }

    proptest! {
        /// Threat 10: nothing comes of a scope that the token lacks, and nothing that no rule gives.
        #[test]
        fn threat_10_what_a_scope_becomes_is_what_a_rule_for_it_says(
            held in scopes(),
            rules in proptest::collection::vec(("[a-d]", scopes(), any::<bool>(), any::<bool>()), 0..6),
        ) {
            let (a, b): (ResourceId, ResourceId) =
                ("https://a.example".parse().unwrap(), "https://b.example".parse().unwrap());
            let downstream: Vec<_> = rules.iter().map(|(scope, scopes, from_a, to_b)| Downstream {
                from: if *from_a { a.clone() } else { "https://c.example".parse().unwrap() },
                scope: scope.parse().unwrap(),
                to: if *to_b { b.clone() } else { "https://d.example".parse().unwrap() },
                scopes: scopes.clone(),
            }).collect();
            let policy = ExchangePolicy { downstream: downstream.clone(), ..policy(json!({})).unwrap() };
            let becomes = policy.becomes(&held, &a, &b);
            for scope in becomes.iter() {
                prop_assert!(downstream.iter().any(|rule| rule.from == a && rule.to == b
                    && held.contains(&rule.scope) && rule.scopes.contains(scope)));
            }
            prop_assert!(policy.becomes(&ScopeSet::default(), &a, &b).is_empty());
        }
    }
}
