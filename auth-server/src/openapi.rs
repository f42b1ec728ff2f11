//! The HTTP interface as OpenAPI 3.1.

use serde_json::{Value, json};
use shared_protocol::issuer::Issuer;

use crate::clients::AuthMethod;
use crate::routes;
use crate::token::GrantName;

/// The description of the server of `issuer`.
#[must_use]
pub fn document(issuer: &Issuer) -> Value {
    let json_body = |schema: &str| json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    let refusal =
        |description: &str| json!({"description": description, "content": json_body("Error")});
    let answers = |ok: Value| {
        json!({
            "200": ok,
            "400": refusal("The request is refused (RFC 6749 section 5.2)"),
            "401": refusal("Client authentication failed"),
            "413": refusal("The body is larger than 64 KiB"),
            "503": refusal("A store does not answer; try again"),
        })
    };
    let post = |summary: &str, properties: Value, required: Value, ok: Value| {
        json!({"post": {
            "summary": summary,
            "security": [{"basic": []}, {}],
            "requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": properties, "required": required}}}},
            "responses": answers(ok),
        }})
    };
    let published = |summary: &str| {
        json!({"get": {"summary": summary, "responses": {
            "200": {"description": "The document", "content": {"application/json": {"schema": {"type": "object"}}}},
            "304": {"description": "Unchanged"}}}})
    };
    let text = json!({"type": "string"});
    let with_client = |own: Value| {
        let mut properties = json!({"client_id": text, "client_secret": text, "client_assertion": text,
            "client_assertion_type": text});
        if let (Some(all), Some(own)) = (properties.as_object_mut(), own.as_object()) {
            all.extend(own.clone());
        }
        properties
    };
    let token = with_client(json!({"token": text, "token_type_hint": text}));
    let grants = GrantName::ALL.map(GrantName::as_str);
    let asked = with_client(
        json!({"grant_type": {"type": "string", "enum": grants}, "scope": text,
        "resource": {"type": "string", "format": "uri"}}),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Authorization server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("OAuth 2 and OpenID Connect. Clients authenticate by {}.",
                AuthMethod::ALL.map(AuthMethod::as_str).join(", ")),
        },
        "servers": [{"url": issuer.as_str()}],
        "paths": {
            routes::TOKEN: post("Get a token (RFC 6749 section 3.2)", asked, json!(["grant_type"]),
                json!({"description": "A token", "content": json_body("Token")})),
            routes::INTROSPECT: post("What a token is (RFC 7662)", token.clone(), json!(["token"]),
                json!({"description": "Its state", "content": json_body("Introspection")})),
            routes::REVOKE: post("Revoke a token (RFC 7009)", token, json!(["token"]),
                json!({"description": "It is revoked, or was no good anyway"})),
            routes::JWKS: published("Public keys (RFC 7517)"),
            "/.well-known/openid-configuration": published("Metadata (OpenID Connect Discovery 1.0)"),
        },
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": {
                "Error": {"type": "object", "required": ["error"],
                    "properties": {"error": text, "error_description": text}},
                "Token": {"type": "object", "required": ["access_token", "token_type", "expires_in"],
                    "properties": {"access_token": text, "token_type": {"const": "Bearer"},
                        "expires_in": {"type": "integer"}, "scope": text}},
                "Introspection": {"type": "object", "required": ["active"],
                    "properties": {"active": {"type": "boolean"}}},
            },
        },
    })
}
