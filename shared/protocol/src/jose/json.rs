//! JSON in which no name comes twice: RFC 7515 §4 and RFC 7519 §4 let a parser refuse duplicates or keep the last,
//! and two parsers that choose differently read two different tokens.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Not the JSON that was expected, or some in which a name comes twice, at any depth.
#[derive(Debug, thiserror::Error)]
#[error("not the expected JSON with unique names")]
pub struct InvalidJson(#[source] Option<serde_json::Error>);

/// Parses a JSON object and refuses a duplicate name at any depth.
///
/// # Errors
/// [`InvalidJson`], also for trailing bytes and for nesting deeper than 128.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, InvalidJson> {
    match value(bytes)? {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(InvalidJson(None))
        }
    }
}

/// As [`object`], for an array.
///
/// # Errors
/// [`InvalidJson`].
pub fn array(bytes: &[u8]) -> Result<Vec<Value>, InvalidJson> {
    match value(bytes)? {
        Value::Array(values) => Ok(values),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(InvalidJson(None))
        }
    }
}

fn value(bytes: &[u8]) -> Result<Value, InvalidJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Unique
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| InvalidJson(Some(error)))
}

/// Whether at most `depth` objects and arrays stand within each other.
#[must_use]
pub fn is_within(value: &Value, depth: usize) -> bool {
    let inner = |value: &Value| depth > 0 && is_within(value, depth - 1);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(values) => depth > 0 && values.iter().all(inner),
        Value::Object(members) => depth > 0 && members.values().all(inner),
    }
}

struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(Unique)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Unique)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name comes twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7519_4_duplicate_names_are_refused_at_any_depth() {
        for (what, json) in [
            ("at the top", r#"{"a":1,"a":1}"#),
            ("by an escape", r#"{"a":1,"\u0061":1}"#),
            ("nested", r#"{"b":{"a":1,"a":2}}"#),
            ("in an array", r#"{"b":[{"a":1,"a":2}]}"#),
            ("trailing bytes", r#"{"a":1} x"#),
            ("two objects", r#"{"a":1}{"a":1}"#),
            ("an array", "[]"),
            ("a string", r#""a""#),
            ("nothing", ""),
            ("invalid UTF-8", "{\"a\":\"\u{0}\"}"),
        ] {
            assert!(object(json.as_bytes()).is_err(), "{what}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
        assert!(object("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn an_array_is_no_object_and_the_reverse() {
        assert_eq!(array(b"[1,{}]").unwrap().len(), 2);
        for json in [r#"{"a":1}"#, "1", r#"[{"a":1,"a":1}]"#, "[] []"] {
            assert!(array(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn an_object_keeps_every_kind_of_value() {
        let json = r#"{"n":null,"b":true,"i":-1,"u":1,"f":1.5,"s":"x","a":[1,{"o":{}}]}"#;
        let parsed = object(json.as_bytes()).unwrap();
        assert_eq!(
            Value::Object(parsed),
            serde_json::from_str::<Value>(json).unwrap()
        );
    }
}
