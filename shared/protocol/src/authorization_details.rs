//! Authorization details (RFC 9396 §2): what may be done, in more words than a scope has.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::jose;

/// The most that a stranger may send, in bytes of JSON.
const MAX_BYTES: usize = 4 * 1024;
/// The most objects of one request.
const MAX_DETAILS: usize = 20;
/// The most objects and arrays within each other, of one object.
const MAX_DEPTH: usize = 8;
/// The longest `type`, in bytes.
const MAX_TYPE: usize = 255;

/// The common members (RFC 9396 §2.2) that are arrays of strings.
const LISTS: [&str; 4] = ["locations", "actions", "datatypes", "privileges"];

/// Why a text is no authorization details.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidAuthorizationDetails {
    /// More than 4 KiB.
    #[error("authorization_details is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// No JSON, no array, or a name twice in one object.
    #[error("authorization_details is not a JSON array of objects with unique names")]
    Json,
    /// Nothing is asked for, or too much.
    #[error("authorization_details holds no object, or more than {MAX_DETAILS}")]
    Count,
    /// More within each other than anybody reads.
    #[error("an object of authorization_details is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// RFC 9396 §2: the one member that every object has.
    #[error("an object of authorization_details has no type of 1 to {MAX_TYPE} bytes")]
    Type,
    /// RFC 9396 §2.2.
    #[error(
        "an object of authorization_details holds a {0} of another form than RFC 9396 gives it"
    )]
    Member(&'static str),
}

/// One object of authorization details. Equal to another with the same members, in whatever order they were written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthorizationDetail(Arc<Map<String, Value>>);

impl AuthorizationDetail {
    /// What kind of authorization it is.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.member("type").and_then(Value::as_str).unwrap_or("")
    }

    /// `locations`: where it is for (RFC 9396 §2.2).
    pub fn locations(&self) -> impl Iterator<Item = &str> {
        self.strings("locations")
    }

    /// `actions`: what may be done (RFC 9396 §2.2).
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.strings("actions")
    }

    /// `datatypes`: with what (RFC 9396 §2.2).
    pub fn datatypes(&self) -> impl Iterator<Item = &str> {
        self.strings("datatypes")
    }

    /// `privileges`: as whom (RFC 9396 §2.2).
    pub fn privileges(&self) -> impl Iterator<Item = &str> {
        self.strings("privileges")
    }

    /// `identifier`: with which one thing (RFC 9396 §2.2).
    #[must_use]
    pub fn identifier(&self) -> Option<&str> {
        self.member("identifier").and_then(Value::as_str)
    }

    /// A member by name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All members, the type among them.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    fn strings(&self, name: &str) -> impl Iterator<Item = &str> {
        let list = self.member(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}

/// The form that RFC 9396 §2 gives every object, whatever its type.
impl TryFrom<Value> for AuthorizationDetail {
    type Error = InvalidAuthorizationDetails;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        use InvalidAuthorizationDetails::{Json, Member, Type};
        let Value::Object(members) = value else {
            return Err(Json);
        };
        let name = members.get("type").and_then(Value::as_str).ok_or(Type)?;
        if name.is_empty() || name.len() > MAX_TYPE {
            return Err(Type);
        }
        for list in LISTS {
            let is_list = |value: &Value| {
                let values = value.as_array();
                values.is_some_and(|values| values.iter().all(Value::is_string))
            };
            if members.get(list).is_some_and(|value| !is_list(value)) {
                return Err(Member(list));
            }
        }
        let identifier = members.get("identifier");
        if identifier.is_some_and(|value| !value.is_string()) {
            return Err(Member("identifier"));
        }
        Ok(Self(Arc::new(members)))
    }
}

impl Serialize for AuthorizationDetail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AuthorizationDetail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::try_from(value).map_err(serde::de::Error::custom)
    }
}

/// Authorization details, each once, in the order in which they were asked for. Cheap to clone.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct AuthorizationDetails(Vec<AuthorizationDetail>);

impl AuthorizationDetails {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &AuthorizationDetail> {
        self.0.iter()
    }

    /// Those of one type.
    pub fn of_type(&self, name: &str) -> impl Iterator<Item = &AuthorizationDetail> {
        self.iter().filter(move |detail| detail.type_name() == name)
    }

    /// Whether an equal object is among them.
    #[must_use]
    pub fn contains(&self, detail: &AuthorizationDetail) -> bool {
        self.0.contains(detail)
    }

    /// Whether each of them has its equal in `other`. What less of one object would be, only its API knows (RFC 9396 §6.1).
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|detail| other.contains(detail))
    }
}

/// As JSON.
impl fmt::Display for AuthorizationDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Objects of text, numbers and lists always have a JSON form.
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Whatever comes again is left out.
impl FromIterator<AuthorizationDetail> for AuthorizationDetails {
    fn from_iter<I: IntoIterator<Item = AuthorizationDetail>>(details: I) -> Self {
        let mut all = Self::default();
        for detail in details {
            if !all.contains(&detail) {
                all.0.push(detail);
            }
        }
        all
    }
}

/// The parameter `authorization_details` (RFC 9396 §2), as a stranger sends it: within every bound.
impl FromStr for AuthorizationDetails {
    type Err = InvalidAuthorizationDetails;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        use InvalidAuthorizationDetails::{Count, Json, TooDeep, TooLong};
        if raw.len() > MAX_BYTES {
            return Err(TooLong);
        }
        let values = jose::array(raw.as_bytes()).map_err(|_| Json)?;
        if values.is_empty() || values.len() > MAX_DETAILS {
            return Err(Count);
        }
        if values
            .iter()
            .any(|value| !jose::is_within(value, MAX_DEPTH))
        {
            return Err(TooDeep);
        }
        values.into_iter().map(TryInto::try_into).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::InvalidAuthorizationDetails::{Count, Json, Member, TooDeep, TooLong, Type};
    use super::*;

    fn parse(raw: &str) -> Result<AuthorizationDetails, InvalidAuthorizationDetails> {
        raw.parse()
    }

    fn nested(depth: usize) -> String {
        let inner = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"[{{"type":"t","deep":{inner}}}]"#)
    }

    fn long(bytes: usize) -> String {
        let text = r#"[{"type":"t","text":""}]"#.len();
        format!(r#"[{{"type":"t","text":"{}"}}]"#, "x".repeat(bytes - text))
    }

    fn many(count: usize) -> String {
        let objects: Vec<_> = (0..count).map(|n| json!({"type": "t", "n": n})).collect();
        json!(objects).to_string()
    }

    #[test]
    fn rfc9396_2_an_array_of_objects_each_with_a_type() {
        for (what, raw, expected) in [
            ("one", r#"[{"type":"t"}]"#.to_owned(), Ok(1)),
            ("two types", r#"[{"type":"t"},{"type":"u"}]"#.into(), Ok(2)),
            (
                "twice the same",
                r#"[{"type":"t","a":1},{"a":1,"type":"t"}]"#.into(),
                Ok(1),
            ),
            (
                "every common member",
                json!([{"type": "t", "locations": ["https://a"], "actions": ["read"],
                "datatypes": [], "privileges": ["admin"], "identifier": "7"}])
                .to_string(),
                Ok(1),
            ),
            ("as many as may be", many(MAX_DETAILS), Ok(MAX_DETAILS)),
            ("one more", many(MAX_DETAILS + 1), Err(Count)),
            ("none", "[]".into(), Err(Count)),
            ("as deep as may be", nested(MAX_DEPTH), Ok(1)),
            ("deeper", nested(MAX_DEPTH + 1), Err(TooDeep)),
            ("much deeper", nested(2000), Err(Json)),
            ("as long as may be", long(MAX_BYTES), Ok(1)),
            ("longer", long(MAX_BYTES + 1), Err(TooLong)),
            ("nothing", String::new(), Err(Json)),
            ("an object", r#"{"type":"t"}"#.into(), Err(Json)),
            ("a text", r#""t""#.into(), Err(Json)),
            ("texts", r#"["t"]"#.into(), Err(Json)),
            ("null", "null".into(), Err(Json)),
            ("a comma too many", r#"[{"type":"t"},]"#.into(), Err(Json)),
            (
                "something after it",
                r#"[{"type":"t"}] []"#.into(),
                Err(Json),
            ),
            (
                "a name twice",
                r#"[{"type":"t","type":"u"}]"#.into(),
                Err(Json),
            ),
            (
                "a name twice within",
                r#"[{"type":"t","a":{"b":1,"\u0062":2}}]"#.into(),
                Err(Json),
            ),
            ("no type", r#"[{"actions":["read"]}]"#.into(), Err(Type)),
            ("an empty type", r#"[{"type":""}]"#.into(), Err(Type)),
            (
                "a type that is a number",
                r#"[{"type":1}]"#.into(),
                Err(Type),
            ),
            (
                "a long type",
                json!([{"type": "t".repeat(MAX_TYPE + 1)}]).to_string(),
                Err(Type),
            ),
            (
                "one of two without",
                r#"[{"type":"t"},{}]"#.into(),
                Err(Type),
            ),
            (
                "locations that is a text",
                r#"[{"type":"t","locations":"https://a"}]"#.into(),
                Err(Member("locations")),
            ),
            (
                "actions of numbers",
                r#"[{"type":"t","actions":[1]}]"#.into(),
                Err(Member("actions")),
            ),
            (
                "datatypes that is null",
                r#"[{"type":"t","datatypes":null}]"#.into(),
                Err(Member("datatypes")),
            ),
            (
                "privileges of lists",
                r#"[{"type":"t","privileges":[[]]}]"#.into(),
                Err(Member("privileges")),
            ),
            (
                "an identifier that is a number",
                r#"[{"type":"t","identifier":7}]"#.into(),
                Err(Member("identifier")),
            ),
        ] {
            let count = parse(&raw).map(|details| details.iter().count());
            assert_eq!(count, expected, "{what}");
        }
    }

    #[test]
    fn details_are_equal_by_what_they_say() {
        let details =
            parse(r#"[{"type":"t","actions":["read","write"]},{"type":"u","n":1}]"#).unwrap();
        for (what, raw, is_among) in [
            ("the same", r#"[{"type":"u","n":1}]"#, true),
            (
                "in another order",
                r#"[ {"actions" : ["read","write"], "type":"\u0074"} ]"#,
                true,
            ),
            (
                "all, the last first",
                r#"[{"n":1,"type":"u"},{"type":"t","actions":["read","write"]}]"#,
                true,
            ),
            (
                "fewer actions",
                r#"[{"type":"t","actions":["read"]}]"#,
                false,
            ),
            (
                "actions turned round",
                r#"[{"type":"t","actions":["write","read"]}]"#,
                false,
            ),
            ("a member less", r#"[{"type":"t"}]"#, false),
            ("a member more", r#"[{"type":"u","n":1,"m":1}]"#, false),
            ("another type", r#"[{"type":"v","n":1}]"#, false),
            (
                "one of two",
                r#"[{"type":"u","n":1},{"type":"u","n":2}]"#,
                false,
            ),
        ] {
            assert_eq!(parse(raw).unwrap().is_subset(&details), is_among, "{what}");
        }
    }

    #[test]
    fn rfc9396_2_2_common_members() {
        let details = parse(
            r#"[{"type":"t","locations":["https://a"],"actions":["read","write"],"identifier":"7","n":1},
                {"type":"u","privileges":["admin"],"datatypes":["photos"]}]"#,
        )
        .unwrap();
        let first = details.of_type("t").next().unwrap();
        assert_eq!(first.locations().collect::<Vec<_>>(), ["https://a"]);
        assert_eq!(first.actions().collect::<Vec<_>>(), ["read", "write"]);
        assert_eq!(
            (first.identifier(), first.datatypes().next()),
            (Some("7"), None)
        );
        assert_eq!(first.member("n"), Some(&json!(1)));
        let second = details.of_type("u").next().unwrap();
        assert_eq!(second.privileges().collect::<Vec<_>>(), ["admin"]);
        assert_eq!(second.datatypes().collect::<Vec<_>>(), ["photos"]);
        assert_eq!(details.of_type("v").count(), 0);
    }

    /// JSON of any kind, some of it almost what is wanted.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            "[a-z]{1,4}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            Just("type".to_owned()),
            Just("actions".to_owned()),
            Just("identifier".to_owned()),
            "\\PC{0,6}",
        ];
        leaf.prop_recursive(10, 64, 6, move |inner| {
            let members = proptest::collection::btree_map(name.clone(), inner.clone(), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(raw in "\\PC{0,200}") {
            let _ = parse(&raw);
        }

        #[test]
        fn any_json_is_parsed_or_refused_and_what_is_parsed_is_within_every_bound(value in any_json()) {
            let raw = json!([value]).to_string();
            if let Ok(details) = parse(&raw) {
                prop_assert!(raw.len() <= MAX_BYTES);
                prop_assert!(details.iter().all(|detail| !detail.type_name().is_empty()));
                // What is kept or sent on is what came.
                let written = details.to_string();
                prop_assert_eq!(&parse(&written).unwrap(), &details);
                prop_assert_eq!(serde_json::from_str::<AuthorizationDetails>(&written).unwrap(), details);
            }
        }

        #[test]
        fn what_is_cut_or_bent_is_parsed_or_refused(at in 0..120_usize, byte in any::<u8>()) {
            let good = r#"[{"type":"t","locations":["https://a"],"actions":["read"],"identifier":"7","deep":{"a":[{"b":null}],"n":1.5e3}}]"#;
            let mut bent = good.as_bytes().to_vec();
            let at = at % bent.len();
            bent[at] = byte;
            for raw in [std::str::from_utf8(&bent), std::str::from_utf8(&good.as_bytes()[..at])].into_iter().flatten() {
                let _ = parse(raw);
            }
        }
    }
}
