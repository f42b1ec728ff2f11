//! Authorization details as a person reads them (RFC 9396 §3.1): everything that an object says, for all of it is agreed to.

use serde_json::Value;
use shared_protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};

use crate::pages::{DetailLine, MemberLine};
use crate::resource_servers::ResourceServers;

/// The common members (RFC 9396 §2.2) in words, in the order in which they are shown.
const COMMON: [(&str, &str); 5] = [
    ("identifier", "Identifier"),
    ("actions", "Actions"),
    ("datatypes", "Data"),
    ("privileges", "Privileges"),
    ("locations", "Where"),
];

/// Each object, under what its type is said to allow.
pub(super) fn lines(details: &AuthorizationDetails, servers: &ResourceServers) -> Vec<DetailLine> {
    let line = |detail: &AuthorizationDetail| {
        let name = detail.type_name();
        let known = servers.details_type(name);
        DetailLine {
            description: match &known {
                Some(known) => known.description.as_str().to_owned(),
                // Taken away since the request was checked, a moment ago.
                None => legible(name),
            },
            name: name.to_owned(),
            members: members(detail),
        }
    };
    details.iter().map(line).collect()
}

fn members(detail: &AuthorizationDetail) -> Vec<MemberLine> {
    let mut lines = Vec::new();
    for (name, words) in COMMON {
        if let Some(value) = detail.member(name) {
            add(&mut lines, words.to_owned(), value);
        }
    }
    for (name, value) in detail.members() {
        let is_shown = name == "type" || COMMON.iter().any(|(common, _)| common == name);
        if !is_shown {
            add(&mut lines, legible(name), value);
        }
    }
    lines
}

/// One line for a value, or for a list of plain values; for what holds others, one for each of them, named by the way to it.
fn add(lines: &mut Vec<MemberLine>, label: String, value: &Value) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                add(lines, format!("{label} \u{203a} {}", legible(name)), value);
            }
        }
        Value::Array(values)
            if values
                .iter()
                .any(|value| value.is_array() || value.is_object()) =>
        {
            for (index, value) in values.iter().enumerate() {
                add(lines, format!("{label} \u{203a} {}", index + 1), value);
            }
        }
        Value::Array(values) if !values.is_empty() => lines.push(MemberLine {
            label,
            values: values.iter().map(plain).collect(),
        }),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => lines.push(MemberLine {
            label,
            values: vec![plain(value)],
        }),
    }
}

fn plain(value: &Value) -> String {
    match value {
        // A page shows spaces at the ends, and more than one of them, as if they were not there.
        Value::String(text) if text.trim() != text || text.is_empty() || text.contains("  ") => {
            format!("\u{201c}{}\u{201d}", legible(text))
        }
        Value::String(text) => legible(text),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Null => "nothing".into(),
        Value::Number(number) => number.to_string(),
        // They hold nothing, or would have been taken apart.
        Value::Array(_) | Value::Object(_) => "none".into(),
    }
}

/// A text in which every character shows: those by which one could pass for another, or hide, are written as numbers (UAX 9, UTS 55).
fn legible(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
                | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    };
    let mut legible = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            legible.extend(c.escape_unicode());
        } else {
            legible.push(c);
        }
    }
    legible
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(members: Value) -> Vec<(String, Vec<String>)> {
        let detail = AuthorizationDetail::try_from(members).unwrap();
        let lines = super::members(&detail).into_iter();
        lines.map(|line| (line.label, line.values)).collect()
    }

    #[test]
    fn rfc9396_3_1_everything_that_an_object_says_is_shown() {
        let shown = shown(json!({
            "type": "payment", "identifier": "acc-7", "actions": ["initiate", "cancel"], "locations": ["https://bank.example"],
            "amount": {"currency": "EUR", "value": "123.50"}, "parts": [{"n": 1}, {"n": 2.5}], "rush": true, "note": null,
            "tags": [], "empty": {}, "blank": " ", "mixed": [1, "a", false],
        }));
        let expected = [
            ("Identifier", &["acc-7"][..]),
            ("Actions", &["initiate", "cancel"]),
            ("Where", &["https://bank.example"]),
            ("amount \u{203a} currency", &["EUR"]),
            ("amount \u{203a} value", &["123.50"]),
            ("blank", &["\u{201c} \u{201d}"]),
            ("empty", &["none"]),
            ("mixed", &["1", "a", "no"]),
            ("note", &["nothing"]),
            ("parts \u{203a} 1 \u{203a} n", &["1"]),
            ("parts \u{203a} 2 \u{203a} n", &["2.5"]),
            ("rush", &["yes"]),
            ("tags", &["none"]),
        ];
        let expected = expected.map(|(label, values)| {
            let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
            (label.to_owned(), values)
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_hides_and_nothing_turns_around() {
        for (text, expected) in [
            ("plain \u{e4}\u{5d0}", "plain \u{e4}\u{5d0}"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("a\nb\u{0}", "a\\u{a}b\\u{0}"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(legible(text), expected, "{text:?}");
        }
    }
}
