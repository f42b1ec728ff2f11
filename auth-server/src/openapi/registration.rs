//! How clients register and manage themselves, as OpenAPI.

use serde_json::{Map, Value, json};
use shared_protocol::jose::{ContentEncryption, KeyManagement};

use super::TOO_MANY;
use crate::authorize::request::ResponseType;
use crate::clients::AuthMethod;
use crate::routes;
use crate::subjects::SubjectType;

/// Adds the routes; the one to register by only where it is there.
pub(super) fn describe(document: &mut Value, is_offered: bool) {
    let mut add = |part: &str, name: String, value: Value| {
        if let Some(Value::Object(members)) = document.pointer_mut(part) {
            members.insert(name, value);
        }
    };
    for (name, schema) in schemas() {
        add("/components/schemas", name, schema);
    }
    if is_offered {
        add("/paths", routes::REGISTER.to_owned(), registering());
    }
    let one = format!("{}/{{client_id}}", routes::REGISTER);
    add("/paths", one, managing());
}

fn registering() -> Value {
    let responses = json!({
        "201": {"description": "The client, with its secret if it has one, and the token by which it manages itself", "content": json_body("Client")},
        "400": refusal("The metadata, or the software statement, is refused (RFC 7591 section 3.2.2), or the Authorization header cannot be read"),
        "401": refusal("An initial access token or a software statement is needed, or the token is no good"),
        "408": refusal("The body did not come in time"),
        "413": refusal("The body is larger than 64 KiB"),
        "415": refusal("The body is not application/json"),
        "429": refusal(TOO_MANY),
        "431": refusal("The headers are too large"),
        "503": refusal("A store does not answer; try again"),
    });
    json!({"post": {
        "summary": "Register a client (RFC 7591 section 3.1, OpenID Connect Registration section 3.1)",
        "operationId": "registerClient",
        "security": [{"bearer": []}, {}],
        "requestBody": {"required": true, "content": json_body("ClientMetadata")},
        "responses": responses,
    }})
}

fn managing() -> Value {
    let told = json!({"description": "The client as it stands", "content": json_body("Client")});
    let responses = |ok: (&str, Value), with_body: bool| {
        let mut all = json!({
            "400": refusal("The Authorization header cannot be read"),
            "401": refusal("No registration access token, one that is no good, or no such client"),
            "429": refusal(TOO_MANY),
            "431": refusal("The headers are too large"),
            "503": refusal("A store does not answer; try again"),
        });
        let Some(members) = all.as_object_mut() else {
            return all;
        };
        members.insert(ok.0.to_owned(), ok.1);
        if with_body {
            for (status, description) in [
                (
                    "400",
                    "The metadata, or the software statement, is refused (RFC 7591 section 3.2.2), or the Authorization header cannot be read",
                ),
                ("408", "The body did not come in time"),
                ("413", "The body is larger than 64 KiB"),
                ("415", "The body is not application/json"),
            ] {
                members.insert(status.to_owned(), refusal(description));
            }
        }
        all
    };
    json!({
        "parameters": [{"name": "client_id", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}],
        "get": {
            "summary": "What a client registered (RFC 7592 section 2.1)",
            "operationId": "readClient",
            "security": [{"bearer": []}],
            "responses": responses(("200", told.clone()), false),
        },
        "put": {
            "summary": "Replace what a client registered (RFC 7592 section 2.2); the token in the answer takes the old one's place when it is first used",
            "operationId": "replaceClient",
            "security": [{"bearer": []}],
            "requestBody": {"required": true, "content": json_body("ClientUpdate")},
            "responses": responses(("200", told), true),
        },
        "delete": {
            "summary": "Delete a client with its grants and tokens (RFC 7592 section 2.3)",
            "operationId": "deleteClient",
            "security": [{"bearer": []}],
            "responses": responses(("204", json!({"description": "It is gone"})), false),
        },
    })
}

fn schemas() -> [(String, Value); 3] {
    let metadata = metadata();
    let text = json!({"type": "string"});
    let mut update = metadata.clone();
    update.insert("client_id".to_owned(), text.clone());
    update.insert("client_secret".to_owned(), text.clone());
    let mut client = metadata.clone();
    client.extend(update.clone());
    for (name, schema) in [
        ("client_id_issued_at", json!({"type": "integer"})),
        ("client_secret_expires_at", json!({"type": "integer"})),
        ("registration_access_token", text),
        (
            "registration_client_uri",
            json!({"type": "string", "format": "uri"}),
        ),
        ("software_statement", json!({"type": "string"})),
    ] {
        client.insert(name.to_owned(), schema);
    }
    [
        (
            "ClientMetadata".to_owned(),
            json!({"type": "object", "properties": metadata,
                "description": "Client metadata (RFC 7591 section 2). What is not known is ignored; names and links may come in other languages, such as client_name#de."}),
        ),
        (
            "ClientUpdate".to_owned(),
            json!({"type": "object", "properties": update, "required": ["client_id"]}),
        ),
        (
            "Client".to_owned(),
            json!({"type": "object", "properties": client, "required": ["client_id", "client_id_issued_at",
                "registration_access_token", "registration_client_uri", "grant_types", "response_types",
                "token_endpoint_auth_method"]}),
        ),
    ]
}

/// What a client may say of itself.
fn metadata() -> Map<String, Value> {
    let text = || json!({"type": "string", "maxLength": 256});
    let page = || json!({"type": "string", "format": "uri"});
    let uris =
        || json!({"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": 100});
    let named = |names: &[&str]| json!({"type": "string", "enum": names});
    let management = || named(&KeyManagement::ALL.map(KeyManagement::name));
    let encryption = || named(&ContentEncryption::ALL.map(ContentEncryption::name));
    let members = [
        ("redirect_uris", uris()),
        ("post_logout_redirect_uris", uris()),
        (
            "token_endpoint_auth_method",
            json!({"type": "string", "enum": AuthMethod::ALL.map(AuthMethod::as_str)}),
        ),
        ("token_endpoint_auth_signing_alg", text()),
        (
            "grant_types",
            json!({"type": "array", "items": {"type": "string", "enum": ["authorization_code", "refresh_token", "client_credentials", "implicit"]}}),
        ),
        (
            "response_types",
            json!({"type": "array", "items": {"type": "string", "enum": ResponseType::ALL}}),
        ),
        (
            "application_type",
            json!({"type": "string", "enum": ["web", "native"]}),
        ),
        ("scope", json!({"type": "string"})),
        ("client_name", text()),
        ("client_uri", page()),
        ("tos_uri", page()),
        ("policy_uri", page()),
        ("initiate_login_uri", page()),
        ("backchannel_logout_uri", page()),
        (
            "backchannel_logout_session_required",
            json!({"type": "boolean"}),
        ),
        (
            "contacts",
            json!({"type": "array", "items": text(), "maxItems": 10}),
        ),
        ("jwks", json!({"type": "object"})),
        ("software_id", text()),
        ("software_version", text()),
        ("software_statement", json!({"type": "string"})),
        ("id_token_signed_response_alg", text()),
        ("id_token_encrypted_response_alg", management()),
        ("id_token_encrypted_response_enc", encryption()),
        ("userinfo_signed_response_alg", text()),
        ("userinfo_encrypted_response_alg", management()),
        ("userinfo_encrypted_response_enc", encryption()),
        ("introspection_signed_response_alg", text()),
        ("introspection_encrypted_response_alg", management()),
        ("introspection_encrypted_response_enc", encryption()),
        (
            "subject_type",
            json!({"type": "string", "enum": SubjectType::ALL.map(SubjectType::as_str)}),
        ),
        (
            "default_max_age",
            json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        ),
        ("require_auth_time", json!({"type": "boolean"})),
        ("request_uris", uris()),
        ("request_object_signing_alg", text()),
        ("require_signed_request_object", json!({"type": "boolean"})),
        (
            "require_pushed_authorization_requests",
            json!({"type": "boolean"}),
        ),
        ("authorization_signed_response_alg", text()),
        (
            "default_acr_values",
            json!({"type": "array", "items": text(), "maxItems": 10}),
        ),
    ];
    members
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

fn json_body(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

/// The edge refuses as a problem document what does not even reach the endpoint.
fn refusal(description: &str) -> Value {
    let mut content = json_body("Error");
    if let Some(types) = content.as_object_mut() {
        let problem = json!({"schema": {"type": "object"}});
        types.insert("application/problem+json".to_owned(), problem);
    }
    json!({"description": description, "content": content})
}
