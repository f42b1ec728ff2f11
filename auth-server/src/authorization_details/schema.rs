//! The JSON Schema of a type (RFC 9396 §2), compiled once.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use boon::{CompileError, Compiler, Draft, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde::{Serialize, Serializer};
use serde_json::Value;
use shared_protocol::authorization_details::AuthorizationDetail;
use shared_protocol::jose;

/// The most that a schema may be, in bytes of JSON.
const MAX_BYTES: usize = 64 * 1024;
/// The most objects and arrays within each other.
const MAX_DEPTH: usize = 32;
/// The most that is told of where an object is not as the schema has it.
const MAX_POINTER: usize = 100;
/// What `$ref` is relative to. Nobody answers there (RFC 6761 §6.4), and nobody is asked.
const BASE: &str = "https://schema.invalid/";

/// Why a schema cannot be that of a type.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSchema {
    /// Larger than anybody needs.
    #[error("the schema is larger than {MAX_BYTES} bytes, or nested deeper than {MAX_DEPTH}")]
    TooLarge,
    /// No JSON object, or a name twice in one.
    #[error("the schema is not a JSON object with unique names")]
    Json,
    /// RFC 9396 §5: unknown members must be refused.
    #[error(
        "the schema lets members in that it does not know (RFC 9396 section 5): say \"additionalProperties\": false, or \"unevaluatedProperties\": false, at its top"
    )]
    Open,
    /// Then no object would ever be good.
    #[error("the schema does not know the member type: add it to \"properties\"")]
    NoType,
    /// No JSON Schema, or one that leads elsewhere.
    #[error("the schema is not one: {0}")]
    Compile(String),
}

/// A JSON Schema (draft 2020-12 where it does not name another) by which objects are judged. It refers to nothing outside of itself,
/// its patterns take linear time, and what it says of formats counts.
#[derive(Clone)]
pub struct DetailsSchema(Arc<Compiled>);

struct Compiled {
    source: Value,
    schemas: Schemas,
    index: SchemaIndex,
}

/// Nothing is fetched or read for a schema.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        Err(format!("{url} is outside of the schema, and nothing is fetched").into())
    }
}

impl DetailsSchema {
    /// Reads and compiles a schema.
    ///
    /// # Errors
    /// [`InvalidSchema`].
    pub fn parse(text: &[u8]) -> Result<Self, InvalidSchema> {
        if text.len() > MAX_BYTES {
            return Err(InvalidSchema::TooLarge);
        }
        let members = jose::object(text).map_err(|_| InvalidSchema::Json)?;
        Self::compile(Value::Object(members))
    }

    /// Compiles a schema that was read before.
    ///
    /// # Errors
    /// [`InvalidSchema`].
    pub fn compile(source: Value) -> Result<Self, InvalidSchema> {
        if !jose::is_within(&source, MAX_DEPTH) {
            return Err(InvalidSchema::TooLarge);
        }
        check_closed(&source)?;
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.use_loader(Box::new(Nowhere));
        let mut schemas = Schemas::new();
        let told = |error: CompileError| InvalidSchema::Compile(format!("{error:#}"));
        // The library judges the schema by that of its draft, which it holds itself.
        let added = compiler.add_resource(BASE, source.clone());
        added.map_err(told)?;
        let index = compiler.compile(BASE, &mut schemas).map_err(told)?;
        Ok(Self(Arc::new(Compiled {
            source,
            schemas,
            index,
        })))
    }

    /// The schema as it was written.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.0.source
    }

    /// Whether an object is as the schema has it.
    ///
    /// # Errors
    /// Where it is not: a JSON pointer, and no value, for that is nobody's but the client's.
    pub(super) fn check(&self, detail: &AuthorizationDetail) -> Result<(), String> {
        let object = Value::Object(detail.members().clone());
        let Compiled { schemas, index, .. } = &*self.0;
        schemas
            .validate(&object, *index)
            .map_err(|error| pointer(&error))
    }
}

/// Where the first fault lies, as deep as one cause led to it.
fn pointer(error: &ValidationError<'_, '_>) -> String {
    let mut fault = error;
    while let Some(cause) = fault.causes.first() {
        fault = cause;
    }
    let mut pointer = String::new();
    // Writing to a String does not fail.
    let _ = write!(pointer, "{}", fault.instance_location);
    if pointer.is_empty() {
        return "its members".to_owned();
    }
    pointer.chars().take(MAX_POINTER).collect()
}

/// RFC 9396 §5: a server refuses what it does not know, and so must each schema.
fn check_closed(source: &Value) -> Result<(), InvalidSchema> {
    let is_false = |name: &str| source.get(name) == Some(&Value::Bool(false));
    if is_false("additionalProperties") {
        // It looks at its own properties only.
        let known = source.get("properties").and_then(|known| known.get("type"));
        return known.map(drop).ok_or(InvalidSchema::NoType);
    }
    if is_false("unevaluatedProperties") {
        Ok(())
    } else {
        Err(InvalidSchema::Open)
    }
}

impl fmt::Debug for DetailsSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source().fmt(f)
    }
}

impl Serialize for DetailsSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn detail(value: &Value) -> AuthorizationDetail {
        value.clone().try_into().unwrap()
    }

    fn payment() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "type": {"const": "payment"},
                "actions": {"type": "array", "items": {"enum": ["initiate", "cancel"]}, "uniqueItems": true, "minItems": 1},
                "locations": true,
                "amount": {"$ref": "#/$defs/amount"},
                "to": {"type": "string", "pattern": "^[A-Z]{2}\\d{2}[A-Z0-9]{4,30}$"},
                "at": {"type": "string", "format": "date-time"},
            },
            "required": ["type", "actions", "amount"],
            "additionalProperties": false,
            "$defs": {"amount": {"type": "object", "required": ["currency", "value"], "additionalProperties": false,
                "properties": {"currency": {"type": "string"}, "value": {"type": "string", "pattern": "^\\d+\\.\\d{2}$"}}}},
        })
    }

    #[test]
    fn rfc9396_5_objects_are_as_their_type_has_them() {
        let schema = DetailsSchema::parse(payment().to_string().as_bytes()).unwrap();
        let good = json!({"type": "payment", "actions": ["initiate"], "amount": {"currency": "EUR", "value": "1.00"}});
        assert_eq!(schema.check(&detail(&good)), Ok(()));
        let with = |name: &str, value: Value| {
            let mut edited = good.clone();
            edited[name] = value;
            edited
        };
        for (what, object, at) in [
            (
                "every member",
                with("to", json!("DE02100100109307118603")),
                None,
            ),
            (
                "a member more",
                with("note", json!("x")),
                Some("its members"),
            ),
            (
                "an action less",
                with("actions", json!([])),
                Some("/actions"),
            ),
            (
                "an action twice",
                with("actions", json!(["cancel", "cancel"])),
                Some("/actions"),
            ),
            (
                "another action",
                with("actions", json!(["initiate", "read"])),
                Some("/actions/1"),
            ),
            ("another type", with("type", json!("pay")), Some("/type")),
            (
                "no amount",
                json!({"type": "payment", "actions": ["initiate"]}),
                Some("its members"),
            ),
            (
                "an amount of numbers",
                with("amount", json!({"currency": "EUR", "value": 1})),
                Some("/amount/value"),
            ),
            (
                "a member more within",
                with(
                    "amount",
                    json!({"currency": "EUR", "value": "1.00", "x": 1}),
                ),
                Some("/amount"),
            ),
            (
                "a pattern not met",
                with("to", json!("../../etc")),
                Some("/to"),
            ),
            (
                "a format not met",
                with("at", json!("tomorrow")),
                Some("/at"),
            ),
        ] {
            assert_eq!(
                schema.check(&detail(&object)).err().as_deref(),
                at,
                "{what}"
            );
        }
    }

    #[test]
    fn what_is_told_of_a_fault_is_bounded_and_holds_no_value() {
        let schema = json!({"properties": {"type": true}, "patternProperties": {"^long": {"type": "string"}}, "additionalProperties": false});
        let schema = DetailsSchema::compile(schema).unwrap();
        let name = format!("long{}", "x".repeat(1000));
        let at = schema
            .check(&detail(&json!({"type": "t", name: 4_711})))
            .unwrap_err();
        assert!(at.len() == MAX_POINTER && !at.contains("4711"), "{at}");
    }

    #[test]
    fn a_schema_is_closed_whole_and_bounded() {
        let deep = |depth: usize| {
            let inner = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
            format!(r#"{{"properties":{{"type":true}},"additionalProperties":false,"x":{inner}}}"#)
        };
        let closed = |more: &str| {
            format!(r#"{{"properties":{{"type":true}},"additionalProperties":false{more}}}"#)
        };
        for (what, text, expected) in [
            ("the least", closed(""), None),
            ("by what is unevaluated", r##"{"$ref":"#/$defs/t","unevaluatedProperties":false,"$defs":{"t":{"properties":{"type":true}}}}"##.to_owned(), None),
            ("of an earlier draft", closed(r#","$schema":"http://json-schema.org/draft-07/schema#""#), None),
            ("with a name of its own", closed(r#","$id":"https://bank.example/payment""#), None),
            ("as deep as may be", deep(MAX_DEPTH - 1), None),
            ("deeper", deep(MAX_DEPTH), Some("nested deeper")),
            ("too large", closed(&format!(r#","description":"{}""#, "x".repeat(MAX_BYTES))), Some("larger than")),
            ("no JSON", "{".into(), Some("not a JSON object")),
            ("true", "true".into(), Some("not a JSON object")),
            ("a name twice", r#"{"a":1,"a":1}"#.into(), Some("unique names")),
            ("open", r#"{"properties":{"type":true}}"#.into(), Some("additionalProperties")),
            ("open by a schema", r#"{"properties":{"type":true},"additionalProperties":{}}"#.into(), Some("additionalProperties")),
            ("no type", r#"{"properties":{"actions":true},"additionalProperties":false}"#.into(), Some("does not know the member type")),
            ("no schema", closed(r#","required":"type""#), Some("not one")),
            ("no type that there is", closed(r#","type":"thing""#), Some("not one")),
            ("no pattern", closed(r#","patternProperties":{"(":true}"#), Some("not one")),
            ("a pattern that looks back", closed(r#","patternProperties":{"(a)\\1":true}"#), Some("not one")),
            ("a pattern without bounds", closed(r#","patternProperties":{"((a{1000}){1000}){1000}":true}"#), Some("not one")),
            ("a reference to nothing", closed(r##","$ref":"#/$defs/none""##), Some("not one")),
            ("a reference to a site", closed(r#","$ref":"https://bank.example/schema.json""#), Some("nothing is fetched")),
            ("a reference to this machine", closed(r#","$ref":"http://127.0.0.1/schema.json""#), Some("nothing is fetched")),
            ("a reference to a file", closed(r#","$ref":"file:///etc/passwd""#), Some("nothing is fetched")),
            ("a draft that nobody knows", closed(r#","$schema":"https://bank.example/draft""#), Some("nothing is fetched")),
        ] {
            let told = DetailsSchema::parse(text.as_bytes()).err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(told, None, "{what}"),
                Some(part) => assert!(told.clone().is_some_and(|told| told.contains(part)), "{what}: {told:?}"),
            }
        }
    }

    /// Threat 30: neither does a pattern take exponential time, nor does a reference to itself go round for ever.
    #[test]
    fn no_object_takes_long() {
        let evil = json!({"properties": {"type": true, "text": {"pattern": "^(a+)+$"}, "tree": {"$ref": "#/$defs/tree"}},
            "additionalProperties": false, "$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}}}});
        let schema = DetailsSchema::compile(evil).unwrap();
        let text = format!("{}!", "a".repeat(4000));
        let since = Instant::now();
        assert!(
            schema
                .check(&detail(&json!({"type": "t", "text": text})))
                .is_err()
        );
        assert!(
            schema
                .check(&detail(&json!({"type": "t", "tree": [[[[]]]]})))
                .is_ok()
        );
        assert!(since.elapsed() < Duration::from_secs(2));
        let round =
            json!({"properties": {"type": true}, "additionalProperties": false, "$ref": "#"});
        let schema = DetailsSchema::compile(round).unwrap();
        assert!(schema.check(&detail(&json!({"type": "t"}))).is_err());
    }

    fn any_object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            Just(Value::from("EUR")),
            Just(Value::from("1.00")),
        ];
        let name = prop_oneof![
            Just("amount".to_owned()),
            Just("currency".to_owned()),
            Just("value".to_owned()),
            Just("to".to_owned()),
            Just("at".to_owned()),
            "\\PC{0,4}",
        ];
        let value = leaf.prop_recursive(6, 32, 4, move |inner| {
            let members = proptest::collection::btree_map(name.clone(), inner.clone(), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        });
        proptest::collection::btree_map("amount|to|at|note", value, 0..4).prop_map(|members| {
            let mut object: serde_json::Map<_, _> = members.into_iter().collect();
            object.insert("type".into(), "payment".into());
            object.insert("actions".into(), json!(["initiate"]));
            Value::Object(object)
        })
    }

    proptest! {
        #[test]
        fn any_object_is_let_in_or_refused(object in any_object()) {
            let schema = DetailsSchema::compile(payment()).unwrap();
            if schema.check(&detail(&object)).is_ok() {
                prop_assert!(object["amount"]["value"].is_string());
                prop_assert_eq!(object.get("note"), None);
            }
        }

        #[test]
        fn any_text_is_a_schema_or_refused(text in "\\PC{0,100}") {
            let _ = DetailsSchema::parse(text.as_bytes());
        }

        #[test]
        fn any_object_is_a_schema_or_refused(members in any_object()) {
            let mut schema = members;
            schema["additionalProperties"] = Value::Bool(false);
            schema["properties"] = json!({"type": {}});
            let _ = DetailsSchema::compile(schema);
        }
    }
}
