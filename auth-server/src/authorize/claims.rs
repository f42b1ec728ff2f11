//! Claims that are asked for one by one (OpenID Connect Core §5.5, `claims`).

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value};
use shared_protocol::jose::object;
use shared_protocol::scope::ScopeSet;

use super::request::OwnScope;
use crate::claims::{Claim, ClaimSet, GrantedClaims};
use crate::locales::is_language_tag;
use crate::parameters::{InvalidParameters, Parameters};

/// The name of the parameter.
const NAME: &str = "claims";
/// Bytes of the parameter.
const LONGEST: usize = 4096;
/// Bytes of a name.
const LONGEST_NAME: usize = 128;

/// The name of a claim, with a language behind it perhaps (OpenID Connect Core §5.2): any text without control characters.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ClaimName(Box<str>);

/// Not the name of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the name of a claim has 1 to {LONGEST_NAME} bytes, none of them a control character")]
pub struct InvalidClaimName;

impl ClaimName {
    /// The name without its language. Nothing is kept in several, so that the one there is answers (OpenID Connect Core §5.2).
    #[must_use]
    pub fn untagged(&self) -> &str {
        match self.0.split_once('#') {
            Some((name, tag)) if is_language_tag(tag) => name,
            _ => &self.0,
        }
    }
}

impl FromStr for ClaimName {
    type Err = InvalidClaimName;

    fn from_str(raw: &str) -> Result<Self, InvalidClaimName> {
        if (1..=LONGEST_NAME).contains(&raw.len()) && !raw.chars().any(char::is_control) {
            Ok(Self(raw.into()))
        } else {
            Err(InvalidClaimName)
        }
    }
}

/// What is said of one claim (OpenID Connect Core §5.5.1). Of claims about people nothing but the truth is told, whatever value is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimRequest {
    /// Whether the client says that it cannot do without.
    pub essential: bool,
    /// The values that would do, in the order of preference; none where any would.
    pub values: Vec<Value>,
}

/// What is asked for at one place.
pub type Asked = BTreeMap<ClaimName, Option<ClaimRequest>>;

/// What is asked for, by where it is to be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestedClaims {
    /// At userinfo.
    pub userinfo: Asked,
    /// In the ID token.
    pub id_token: Asked,
}

impl RequestedClaims {
    /// Those of a request; members that nobody knows are ignored.
    ///
    /// # Errors
    /// [`InvalidParameters::Malformed`].
    pub fn of(parameters: &Parameters) -> Result<Self, InvalidParameters> {
        let Some(raw) = parameters.optional(NAME) else {
            return Ok(Self::default());
        };
        if raw.len() > LONGEST {
            return Err(InvalidParameters::Malformed(NAME));
        }
        let members = object(raw.as_bytes());
        let members = members.map_err(|_| InvalidParameters::Malformed(NAME))?;
        let requested = Self::read(&members)?;
        // A person who could be named by no text is nobody.
        let is_name = |values: &Value| values.is_string();
        if requested.subjects().all(|names| names.iter().all(is_name)) {
            Ok(requested)
        } else {
            Err(InvalidParameters::Malformed(NAME))
        }
    }

    fn read(members: &Map<String, Value>) -> Result<Self, InvalidParameters> {
        let malformed = || InvalidParameters::Malformed(NAME);
        let place = |name: &str| match members.get(name) {
            None => Ok(Asked::new()),
            Some(Value::Object(asked)) => {
                let asked = asked.iter();
                asked
                    .map(|(name, said)| {
                        let name = name.parse().map_err(|_| malformed())?;
                        Ok((name, request(said)?))
                    })
                    .collect()
            }
            Some(_) => Err(malformed()),
        };
        Ok(Self {
            userinfo: place("userinfo")?,
            id_token: place("id_token")?,
        })
    }

    /// What is said of a claim in the ID token.
    #[must_use]
    pub fn in_id_token(&self, name: &str) -> Option<&ClaimRequest> {
        said_of(&self.id_token, name)
    }

    /// The subjects that are asked for by value: the person is one of each list.
    pub fn subjects(&self) -> impl Iterator<Item = &[Value]> {
        [&self.id_token, &self.userinfo]
            .into_iter()
            .filter_map(|asked| said_of(asked, "sub"))
            .map(|said| said.values.as_slice())
            .filter(|values| !values.is_empty())
    }

    /// What a client may be granted of it: claims of scopes that it registered, and of people only if it asks who they are.
    #[must_use]
    pub fn granted(&self, registered: &ScopeSet, own: &ScopeSet) -> GrantedClaims {
        if !OwnScope::OpenId.is_in(own) {
            return GrantedClaims::default();
        }
        let bounds = ClaimSet::of_scope(registered);
        let granted = |asked: &Asked| {
            let known = asked.keys().filter_map(|name| Claim::of(name.untagged()));
            known.collect::<ClaimSet>().intersection(bounds)
        };
        GrantedClaims {
            userinfo: granted(&self.userinfo),
            id_token: granted(&self.id_token),
        }
    }
}

fn said_of<'a>(asked: &'a Asked, name: &str) -> Option<&'a ClaimRequest> {
    let mut asked = asked.iter();
    let found = asked.find(|(asked, _)| &*asked.0 == name);
    found.and_then(|(_, said)| said.as_ref())
}

/// OpenID Connect Core §5.5.1.
fn request(said: &Value) -> Result<Option<ClaimRequest>, InvalidParameters> {
    let malformed = InvalidParameters::Malformed(NAME);
    let said = match said {
        Value::Null => return Ok(None),
        Value::Object(said) => said,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(malformed);
        }
    };
    let essential = match said.get("essential") {
        None => false,
        Some(essential) => essential.as_bool().ok_or(malformed)?,
    };
    let mut values: Vec<Value> = said.get("value").cloned().into_iter().collect();
    match said.get("values") {
        None => {}
        Some(Value::Array(more)) if !more.is_empty() => values.extend_from_slice(more),
        Some(_) => return Err(InvalidParameters::Malformed(NAME)),
    }
    Ok(Some(ClaimRequest { essential, values }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(raw: &str) -> Result<RequestedClaims, InvalidParameters> {
        let encoded: String = url::form_urlencoded::byte_serialize(raw.as_bytes()).collect();
        RequestedClaims::of(&Parameters::parse(format!("claims={encoded}").as_bytes()).unwrap())
    }

    /// The example of OpenID Connect Core §5.5.
    #[test]
    fn oidc_core_5_5_the_example() {
        let requested = of(
            r#"{"userinfo": {"given_name": {"essential": true}, "nickname": null, "email": {"essential": true},
            "email_verified": {"essential": true}, "picture": null, "http://example.info/claims/groups": null},
            "id_token": {"auth_time": {"essential": true}, "acr": {"values": ["urn:mace:incommon:iap:silver"]}}}"#,
        )
        .unwrap();
        let acr = requested.in_id_token("acr").unwrap();
        assert_eq!(acr.values, [json!("urn:mace:incommon:iap:silver")]);
        assert!(!acr.essential && requested.in_id_token("auth_time").unwrap().essential);
        let scope = |raw: &str| raw.parse::<ScopeSet>().unwrap();
        for (registered, own, userinfo) in [
            (
                "openid profile email",
                "openid",
                &[
                    "given_name",
                    "nickname",
                    "picture",
                    "email",
                    "email_verified",
                ][..],
            ),
            ("openid email", "openid", &["email", "email_verified"]),
            ("openid profile email", "email", &[]),
            ("openid", "openid", &[]),
        ] {
            let granted = requested.granted(&scope(registered), &scope(own));
            let names: Vec<_> = granted.userinfo.iter().map(Claim::as_str).collect();
            assert_eq!(names, userinfo, "{registered}");
            assert!(granted.id_token.is_empty());
        }
    }

    #[test]
    fn oidc_core_5_2_a_language_is_answered_with_what_there_is() {
        let requested = of(
            r#"{"id_token": {"family_name#ja-Kana-JP": null, "given_name#": null, "x#de": null}}"#,
        );
        let all = "openid profile".parse().unwrap();
        let granted = requested.unwrap().granted(&all, &all);
        let names: Vec<_> = granted.all().iter().map(Claim::as_str).collect();
        assert_eq!(names, ["family_name"]);
    }

    #[test]
    fn oidc_core_5_5_what_is_no_request_is_refused() {
        let long = format!(
            r#"{{"userinfo": {{"{}": null}}}}"#,
            "x".repeat(LONGEST_NAME + 1)
        );
        let longer = format!(r#"{{"x": "{}"}}"#, "x".repeat(LONGEST));
        let deep = format!("{{\"x\": {}", "[".repeat(1000));
        for raw in [
            "x",
            "[]",
            "null",
            "{",
            r#"{"userinfo": null}"#,
            r#"{"userinfo": []}"#,
            r#"{"id_token": "name"}"#,
            r#"{"id_token": {"name": true}}"#,
            r#"{"id_token": {"name": "x"}}"#,
            r#"{"id_token": {"name": []}}"#,
            r#"{"id_token": {"name": {"essential": "true"}}}"#,
            r#"{"id_token": {"acr": {"values": "x"}}}"#,
            r#"{"id_token": {"acr": {"values": []}}}"#,
            r#"{"id_token": {"sub": {"value": 7}}}"#,
            r#"{"userinfo": {"sub": {"values": ["a", null]}}}"#,
            r#"{"id_token": {"": null}}"#,
            r#"{"id_token": {"name": null, "name": null}}"#,
            r#"{"id_token": {}, "id_token": {}}"#,
            &long,
            &longer,
            &deep,
        ] {
            assert_eq!(
                of(raw),
                Err(InvalidParameters::Malformed(NAME)),
                "{raw:.60}"
            );
        }
        for nothing in [
            "{}",
            r#"{"other": 1}"#,
            r#"{"userinfo": {}, "id_token": {}}"#,
        ] {
            assert_eq!(of(nothing), Ok(RequestedClaims::default()));
        }
        assert!(of(r#"{"id_token": {"name": {"new": [1]}, "unknown": {}}}"#).is_ok());
    }

    #[test]
    fn oidc_core_5_5_1_subjects_by_value() {
        let requested = of(
            r#"{"id_token": {"sub": {"value": "a"}}, "userinfo": {"sub": {"values": ["a", "b"]}}}"#,
        )
        .unwrap();
        let subjects: Vec<_> = requested.subjects().collect();
        assert_eq!(subjects, [&[json!("a")][..], &[json!("a"), json!("b")]]);
        let none = of(r#"{"id_token": {"sub": null}, "userinfo": {"sub": {"essential": true}}}"#);
        assert_eq!(none.unwrap().subjects().count(), 0);
    }

    fn said() -> impl Strategy<Value = Value> {
        let value = prop_oneof![
            any::<i32>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from)
        ];
        prop_oneof![
            Just(Value::Null),
            Just(json!({})),
            any::<bool>().prop_map(|essential| json!({ "essential": essential })),
            value.clone().prop_map(|value| json!({ "value": value })),
            prop::collection::vec(value, 1..4).prop_map(|values| json!({ "values": values })),
        ]
    }

    proptest! {
        #[test]
        fn every_request_of_the_form_is_read(
            userinfo in prop::collection::btree_map("[a-z_]{1,12}", said(), 0..8),
            id_token in prop::collection::btree_map("[a-z_]{1,12}", said(), 0..8),
        ) {
            let no_subject = !userinfo.contains_key("sub") && !id_token.contains_key("sub");
            prop_assume!(no_subject);
            let raw = json!({"userinfo": userinfo, "id_token": id_token}).to_string();
            let requested = of(&raw).unwrap();
            prop_assert_eq!(requested.userinfo.len(), userinfo.len());
            prop_assert_eq!(requested.id_token.len(), id_token.len());
        }

        #[test]
        fn any_text_is_read_or_refused(raw in "\\PC{0,200}") {
            let _ = of(&raw);
        }
    }
}
