//! Devices on which nobody can sign in (RFC 8628).

use serde_json::{Value, json};

use crate::device::{qr, verification};
use crate::routes;

/// Adds their endpoint, as the others at which clients authenticate but for what goes in and what comes out, and the pages.
pub(super) fn describe(document: &mut Value) {
    let text = json!({"type": "string"});
    let url = json!({"type": "string", "format": "uri"});
    let seconds = json!({"type": "integer"});
    let path = format!("/paths/{}/post", routes::REVOKE.replace('/', "~1"));
    let mut ask = document.pointer(&path).cloned().unwrap_or_default();
    let names = [
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "scope",
        "resource",
        "authorization_details",
    ];
    let properties = names.map(|name| (name.to_owned(), text.clone()));
    let properties: serde_json::Map<_, _> = properties.into_iter().collect();
    let schema = json!({"type": "object", "properties": properties});
    let form = "application/x-www-form-urlencoded";
    let codes = json!({"type": "object",
        "required": ["device_code", "user_code", "verification_uri", "expires_in"],
        "properties": {
            "device_code": {"type": "string", "description": "With which the device polls the token endpoint"},
            "user_code": {"type": "string", "description": "What the device shows"},
            "verification_uri": url, "verification_uri_complete": url,
            "verification_uri_qr": {"type": "string", "format": "uri",
                "description": "The latter as a picture, for a device that draws no QR codes"},
            "expires_in": seconds, "interval": seconds}});
    if let Some(operation) = ask.as_object_mut() {
        let summary = "Ask to let a device in (RFC 8628 section 3.1)";
        operation.insert("summary".into(), summary.into());
        operation.insert(
            "requestBody".into(),
            json!({"required": true, "content": {form: {"schema": schema}}}),
        );
    }
    if let Some(responses) = ask.pointer_mut("/responses").and_then(Value::as_object_mut) {
        let begun =
            json!({"description": "The codes", "content": {"application/json": {"schema": codes}}});
        responses.insert("200".into(), begun);
    }
    let pages = [
        (
            routes::DEVICE_AUTHORIZATION.to_owned(),
            json!({"post": ask}),
        ),
        (
            routes::DEVICE.to_owned(),
            pages(
                "Where a person types the code that a device shows (RFC 8628 section 3.3)",
                "device",
                &["csrf", "user_code"],
            ),
        ),
        (
            verification::CONFIRM.to_owned(),
            pages(
                "Where the person sees what the device asks for, and decides",
                "confirmDevice",
                &["csrf", "user_code", "decision"],
            ),
        ),
        (format!("{}/{{user_code}}", qr::PATH), picture()),
    ];
    if let Some(paths) = document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut)
    {
        paths.extend(pages);
    }
}

fn pages(summary: &str, id: &str, fields: &[&str]) -> Value {
    let page =
        |description: &str| json!({"description": description, "content": {"text/html": {}}});
    let text = json!({"type": "string"});
    let responses = json!({
        "200": page("A page"),
        "303": {"description": "The next page, or the one to sign in on first"},
        "400": page("A page: the code cannot be used, or the form is not ours or out of date"),
        "403": page("A page: another site posted the form"),
        "429": page("A page: too many requests from there, or too many codes were wrong"),
        "503": page("A page: a store does not answer; try again"),
    });
    let properties: serde_json::Map<_, _> = fields
        .iter()
        .map(|name| ((*name).to_owned(), text.clone()))
        .collect();
    let body = json!({"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": properties}}});
    json!({
        "get": {"summary": summary, "operationId": id, "responses": responses,
            "parameters": [{"name": "user_code", "in": "query", "schema": text}]},
        "post": {"summary": summary, "operationId": format!("{id}ByForm"), "responses": responses,
            "requestBody": {"required": true, "content": body}},
    })
}

fn picture() -> Value {
    json!({"get": {
        "summary": "verification_uri_complete as a QR code", "operationId": "deviceCodePicture",
        "parameters": [{"name": "user_code", "in": "path", "required": true, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "The picture, whether or not the code is in use", "content": {"image/svg+xml": {}}},
            "404": {"description": "Not of the form of a code"},
            "429": {"description": "Too many requests from there"},
        },
    }})
}
