//! JSON in which no name comes twice (RFC 7515 §4): all that another parser reads, but that.

use serde_json::Value;
use shared_protocol::jose::{array, is_within, object};

pub(crate) fn check(bytes: &[u8]) {
    let other: Option<Value> = serde_json::from_slice(bytes).ok();
    // A parser that keeps the last of two names has fewer members than the text has colons.
    let is_unique = other
        .as_ref()
        .is_some_and(|value| members(value) == colons(bytes));
    let object = object(bytes).ok().map(Value::Object);
    let array = array(bytes).ok().map(Value::Array);
    let expected = other.filter(|_| is_unique);
    assert_eq!(object, expected.clone().filter(Value::is_object));
    assert_eq!(array, expected.filter(Value::is_array));
    let Some(value) = object.or(array) else {
        return;
    };
    let deep = depth(&value);
    for bound in 0..12 {
        assert_eq!(is_within(&value, bound), deep <= bound);
    }
    if !has_fraction(&value) {
        let printed = value.to_string();
        let again = shared_protocol::jose::object(printed.as_bytes()).map(Value::Object);
        let again =
            again.or_else(|_| shared_protocol::jose::array(printed.as_bytes()).map(Value::Array));
        assert_eq!(again.ok(), Some(value), "printed it is another");
    }
}

/// Whether a number may lose its last digit when it is printed and read.
pub(crate) fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(members).sum(),
        Value::Object(all) => all.len() + all.values().map(members).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The colons outside of strings.
fn colons(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}
