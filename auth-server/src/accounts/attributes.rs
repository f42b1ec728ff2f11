//! What operators say of a person, for the claims of resource servers: a department, groups, roles.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared_protocol::jose::is_within;

/// Attributes of a person.
const MOST: usize = 50;
/// Bytes of a name.
const LONGEST_NAME: usize = 64;
/// Bytes of all of them as JSON: they travel in tokens.
const LONGEST: usize = 4096;
/// Objects and lists within each other.
const DEEPEST: usize = 4;

/// Groups, roles and entitlements, in the words of RFC 7643 §4.1.2, which RFC 9068 §2.2.3.1 makes claims: lists.
pub const STANDARD: [&str; 3] = ["groups", "roles", "entitlements"];

/// The name of an attribute: a letter, then letters, digits, `_`, `-` and `.`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AttributeName(Box<str>);

impl AttributeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttributeName {
    type Err = InvalidAttributes;

    fn from_str(raw: &str) -> Result<Self, InvalidAttributes> {
        let is_good = raw.len() <= LONGEST_NAME
            && raw.starts_with(|c: char| c.is_ascii_alphabetic())
            && raw
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if is_good {
            Ok(Self(raw.into()))
        } else {
            Err(InvalidAttributes::Name(
                raw.chars().take(LONGEST_NAME).collect(),
            ))
        }
    }
}

impl std::fmt::Display for AttributeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why attributes will not do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidAttributes {
    /// A name that is none.
    #[error(
        "{0:?} is no name of an attribute: a letter, then letters, digits, _, - and . (64 characters at most)"
    )]
    Name(String),
    /// Too many.
    #[error("a person has at most {MOST} attributes")]
    TooMany,
    /// Too long.
    #[error("the attributes of a person have at most {LONGEST} bytes as JSON")]
    TooLong,
    /// Too deep.
    #[error("{0}: objects and lists stand at most {DEEPEST} deep within each other")]
    TooDeep(String),
    /// RFC 7643 §4.1.2: several values.
    #[error(
        "{0} is a list of texts, or of objects with a text named \"value\" (RFC 7643 section 4.1.2)"
    )]
    NoList(String),
}

/// The attributes of a person.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with this one set, or without it where there is no value.
    ///
    /// # Errors
    /// [`InvalidAttributes`].
    pub fn with(
        mut self,
        name: &AttributeName,
        value: Option<Value>,
    ) -> Result<Self, InvalidAttributes> {
        match value {
            None => self.0.remove(name.as_str()),
            Some(value) => self.0.insert(name.as_str().to_owned(), value),
        };
        self.0.try_into()
    }
}

impl From<Attributes> for Map<String, Value> {
    fn from(attributes: Attributes) -> Self {
        attributes.0
    }
}

impl TryFrom<Map<String, Value>> for Attributes {
    type Error = InvalidAttributes;

    fn try_from(members: Map<String, Value>) -> Result<Self, InvalidAttributes> {
        if members.len() > MOST {
            return Err(InvalidAttributes::TooMany);
        }
        for (name, value) in &members {
            name.parse::<AttributeName>()?;
            if !is_within(value, DEEPEST) {
                return Err(InvalidAttributes::TooDeep(name.clone()));
            }
            if STANDARD.contains(&name.as_str()) && !is_multi_valued(value) {
                return Err(InvalidAttributes::NoList(name.clone()));
            }
        }
        let text = serde_json::to_string(&members).unwrap_or_default();
        if text.len() > LONGEST {
            return Err(InvalidAttributes::TooLong);
        }
        Ok(Self(members))
    }
}

/// Whether it is a list as RFC 7643 §4.1.2 has it, or of plain texts, as most issuers write it.
#[must_use]
pub fn is_multi_valued(value: &Value) -> bool {
    let is_value =
        |value: &Value| value.is_string() || value.get("value").is_some_and(Value::is_string);
    value
        .as_array()
        .is_some_and(|values| values.iter().all(is_value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn rfc7643_4_1_2_each_attribute_has_its_bounds() {
        let many: Map<_, _> = (0..=MOST).map(|n| (format!("a{n}"), json!(n))).collect();
        for (what, attributes, good) in [
            ("none", json!({}), true),
            (
                "any JSON",
                json!({"department": "R&D", "level": 3, "x-y.z": {"a": [true, null]}}),
                true,
            ),
            (
                "groups",
                json!({"groups": ["staff", {"value": "g1", "display": "One"}]}),
                true,
            ),
            ("no groups", json!({"roles": []}), true),
            ("one group", json!({"groups": "staff"}), false),
            (
                "a group of nothing",
                json!({"groups": [{"display": "One"}]}),
                false,
            ),
            ("a number for a role", json!({"roles": [1]}), false),
            (
                "an entitlement as object",
                json!({"entitlements": {"value": "x"}}),
                false,
            ),
            ("an empty name", json!({"": 1}), false),
            ("a name that begins with a digit", json!({"1a": 1}), false),
            ("a blank in a name", json!({"a b": 1}), false),
            ("a name of 65", json!({"x".repeat(65): 1}), false),
            ("a name of 64", json!({"x".repeat(64): 1}), true),
            ("four deep", json!({"a": [[[[1]]]]}), true),
            ("five deep", json!({"a": [[[[[1]]]]]}), false),
            ("too long", json!({"a": "x".repeat(LONGEST)}), false),
            ("too many", Value::Object(many), false),
            ("a list", json!([]), false),
        ] {
            let read = serde_json::from_value::<Attributes>(attributes);
            assert_eq!(read.is_ok(), good, "{what}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_exactly_of_the_grammar(raw in "[ -~é]{0,4}") {
            let mut chars = raw.chars();
            let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
            let good = first && chars.all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
            prop_assert_eq!(raw.parse::<AttributeName>().is_ok(), good);
        }
    }
}
