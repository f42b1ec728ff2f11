//! Where an access token comes from that was exchanged for another (RFC 8693 §4): who acts by it, and the tokens without which it would
//! not be. An ordinary token has none of it.

use serde::{Deserialize, Serialize};
use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;

use crate::clients::ClientMetadata;
use crate::grants::GrantId;
use crate::revocations::RestsOn;

/// Actors, one inside the other. Nobody means more than a few; each makes the token longer.
pub const MOST_ACTORS: usize = 8;
/// Tokens that one comes from: each exchange adds that of its subject, and that of its actor where this is a person.
pub const MOST_TOKENS: usize = 2 * MOST_ACTORS;

/// Who acts for the subject (RFC 8693 §4.1): the last one outermost, and inside it who acted before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Actor {
    /// What the audience calls them; of a client, its id. A person who has a name of its own at each audience has none here once the
    /// token was exchanged for one of another audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The client that they act with.
    pub client_id: ClientId,
    /// Who acted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

impl Actor {
    /// A client that acts by itself.
    #[must_use]
    pub fn client(id: &ClientId) -> Self {
        Self {
            sub: Some(id.to_string()),
            client_id: id.clone(),
            act: None,
        }
    }

    /// How many act, one for the other.
    #[must_use]
    pub fn depth(&self) -> usize {
        1 + self.act.as_ref().map_or(0, |before| before.depth())
    }

    /// The same without what one audience alone calls people.
    #[must_use]
    pub fn without_names(mut self) -> Self {
        self.sub.take_if(|sub| *sub != self.client_id.as_str());
        self.act = self.act.map(|before| Box::new(before.without_names()));
        self
    }
}

/// Who alone may act for the subject (RFC 8693 §4.4).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MayAct {
    /// What they are called.
    pub sub: String,
    /// The client.
    pub client_id: ClientId,
}

impl MayAct {
    /// A client.
    #[must_use]
    pub fn client(id: &ClientId) -> Self {
        Self {
            sub: id.to_string(),
            client_id: id.clone(),
        }
    }
}

/// A token that another one was exchanged for, and with which that one dies.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SubjectToken {
    /// By which it is revoked.
    pub jti: String,
    /// Whom it was issued to.
    pub client_id: ClientId,
    /// When.
    pub iat: i64,
    /// Of the token of an actor who is a person: what they granted. That of a subject stands in the token itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<GrantId>,
}

impl SubjectToken {
    /// With what it dies.
    #[must_use]
    pub fn rests_on(&self) -> RestsOn<'_> {
        RestsOn {
            jti: &self.jti,
            grant_id: self.grant_id.as_ref().map(GrantId::as_str),
            client_id: self.client_id.as_str(),
            account_id: None,
            issued_at: Instant::from_secs(self.iat),
        }
    }
}

/// What a token comes from.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Chain {
    /// Who acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
    /// Who alone may act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<MayAct>,
    /// The tokens that it was exchanged for, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_tokens: Vec<SubjectToken>,
    /// When the first of them expires, which it does not outlive.
    #[serde(skip)]
    pub ends_at: Option<Instant>,
}

impl Chain {
    /// What a client's own token of a person has.
    #[must_use]
    pub fn of_client(metadata: &ClientMetadata) -> Self {
        Self {
            may_act: metadata.may_act.as_ref().map(MayAct::client),
            ..Self::default()
        }
    }

    /// When a token ends that would end at this instant by itself.
    #[must_use]
    pub fn end(&self, by_itself: Instant) -> Instant {
        self.ends_at
            .map_or(by_itself, |ends_at| ends_at.min(by_itself))
    }

    /// Whether it has grown too long to grow on.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.subject_tokens.len() > MOST_TOKENS
            || self
                .act
                .as_ref()
                .is_some_and(|act| act.depth() > MOST_ACTORS)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn actor(sub: &str, client_id: &str, act: Option<Actor>) -> Actor {
        Actor {
            sub: Some(sub.into()),
            client_id: client_id.parse().unwrap(),
            act: act.map(Box::new),
        }
    }

    #[test]
    fn rfc8693_4_1_actors_are_nested_the_last_outermost() {
        let first = actor("a", "a", None);
        let nested = actor("c", "c", Some(actor("person", "b", Some(first))));
        assert_eq!(nested.depth(), 3);
        let names = json!({"sub": "c", "client_id": "c",
            "act": {"sub": "person", "client_id": "b", "act": {"sub": "a", "client_id": "a"}}});
        assert_eq!(serde_json::to_value(&nested).unwrap(), names);
        let unnamed = json!({"sub": "c", "client_id": "c",
            "act": {"client_id": "b", "act": {"sub": "a", "client_id": "a"}}});
        assert_eq!(
            serde_json::to_value(nested.without_names()).unwrap(),
            unnamed
        );
    }

    #[test]
    fn a_chain_has_an_end() {
        let link = SubjectToken {
            jti: "x".into(),
            client_id: "a".parse().unwrap(),
            iat: 0,
            grant_id: None,
        };
        let deep = |depth: usize| {
            (1..depth).fold(actor("a", "a", None), |before, _| {
                actor("a", "a", Some(before))
            })
        };
        for (tokens, actors, too_long) in [
            (MOST_TOKENS, MOST_ACTORS, false),
            (MOST_TOKENS + 1, 1, true),
            (1, MOST_ACTORS + 1, true),
        ] {
            let chain = Chain {
                act: Some(Box::new(deep(actors))),
                subject_tokens: vec![link.clone(); tokens],
                ..Chain::default()
            };
            assert_eq!(chain.is_too_long(), too_long, "{tokens} {actors}");
        }
        assert!(!Chain::default().is_too_long());
    }
}
