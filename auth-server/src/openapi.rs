//! The HTTP interface as OpenAPI 3.1.

mod device;
mod registration;

use serde_json::{Value, json};

use crate::claims::Claim;
use crate::clients::AuthMethod;
use crate::config::{Config, RegistrationMode};
use crate::routes;
use crate::token::GrantName;
use crate::token::token_type::TokenType;

const TOO_MANY: &str =
    "Too many requests, of an address, a client or a person: wait as long as Retry-After says";

/// The description of the server that `config` makes.
#[must_use]
pub fn document(config: &Config) -> Value {
    let mut document = always(config);
    let is_offered = config.registration_mode() != RegistrationMode::Closed;
    registration::describe(&mut document, is_offered);
    describe_pushing(&mut document);
    describe_proofs(&mut document);
    describe_global_revocation(&mut document);
    device::describe(&mut document);
    document
}

/// Global Token Revocation §3.
fn describe_global_revocation(document: &mut Value) {
    let refusal = |description: &str| json!({"description": description, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}});
    let formats = ["opaque", "iss_sub", "email"];
    let identifier = json!({"type": "object", "required": ["format"],
        "properties": {"format": {"type": "string", "enum": formats}}});
    let schema =
        json!({"type": "object", "required": ["sub_id"], "properties": {"sub_id": identifier}});
    let operation = json!({
        "summary": "Have all end that a person had (Global Token Revocation), for clients that the operator lets",
        "operationId": "revokeAll",
        "security": [{"basic": []}, {"bearer": []}],
        "requestBody": {"required": true, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "204": {"description": "Their sessions, grants and tokens have ended"},
            "400": refusal("No subject identifier (RFC 9493), or of a format that is not known here"),
            "401": refusal("Client authentication failed"),
            "403": refusal("The client may not do this"),
            "404": refusal("There is no such person"),
            "413": refusal("The body is larger than 64 KiB"),
            "429": refusal(TOO_MANY),
            "503": refusal("A store does not answer; try again"),
        },
    });
    if let Some(paths) = document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut)
    {
        paths.insert(routes::REVOKE_ALL.into(), json!({"post": operation}));
    }
}

/// RFC 9126: as the other endpoints at which clients authenticate, but for what goes in and what comes out.
fn describe_pushing(document: &mut Value) {
    let (text, form) = (
        json!({"type": "string"}),
        "application/x-www-form-urlencoded",
    );
    let path = format!("/paths/{}/post", routes::REVOKE.replace('/', "~1"));
    let mut push = document.pointer(&path).cloned().unwrap_or_default();
    if let Some(operation) = push.as_object_mut() {
        operation.insert(
            "summary".into(),
            "Push an authorization request (RFC 9126)".into(),
        );
        let names = [
            "request",
            "response_type",
            "redirect_uri",
            "scope",
            "state",
            "code_challenge",
            "dpop_jkt",
        ];
        let properties: serde_json::Map<_, _> = [
            "client_id",
            "client_secret",
            "client_assertion",
            "client_assertion_type",
        ]
        .into_iter()
        .chain(names)
        .map(|name| (name.to_owned(), text.clone()))
        .collect();
        let schema = json!({"type": "object", "properties": properties});
        operation.insert(
            "requestBody".into(),
            json!({"required": true, "content": {form: {"schema": schema}}}),
        );
    }
    if let Some(responses) = push
        .pointer_mut("/responses")
        .and_then(Value::as_object_mut)
    {
        responses.remove("200");
        let schema = json!({"type": "object", "required": ["request_uri", "expires_in"],
            "properties": {"request_uri": text, "expires_in": {"type": "integer"}}});
        let named = json!({"description": "The request is kept under this name", "content": {"application/json": {"schema": schema}}});
        responses.insert("201".into(), named);
    }
    if let Some(paths) = document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut)
    {
        paths.insert(routes::PUSH.into(), json!({"post": push}));
    }
}

/// RFC 9449 §4.1: where a proof may come.
fn describe_proofs(document: &mut Value) {
    let proof = json!([{"name": "DPoP", "in": "header", "schema": {"type": "string"},
        "description": "A proof of possession of the key that tokens are bound to (RFC 9449 section 4)"}]);
    for path in [routes::TOKEN, routes::PUSH] {
        let operation = format!("/paths/{}/post", path.replace('/', "~1"));
        if let Some(members) = document
            .pointer_mut(&operation)
            .and_then(Value::as_object_mut)
        {
            members.insert("parameters".into(), proof.clone());
        }
    }
}

/// The grants that the token endpoint serves.
fn grants(config: &Config) -> Vec<&'static str> {
    let all = GrantName::ALL.into_iter();
    let has_password = config.authorization.password_grant;
    let served = all.filter(|grant| has_password || *grant != GrantName::Password);
    served.map(GrantName::as_str).collect()
}

/// What is there whatever is configured.
fn always(config: &Config) -> Value {
    let json_body = |schema: &str| json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    let refusal =
        |description: &str| json!({"description": description, "content": json_body("Error")});
    let answers = |ok: Value| {
        json!({
            "200": ok,
            "400": refusal("The request is refused (RFC 6749 section 5.2)"),
            "401": refusal("Client authentication failed"),
            "413": refusal("The body is larger than 64 KiB"),
            "429": refusal(TOO_MANY),
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
    let userinfo = |operation: &str| {
        json!({
            "summary": "What a person allowed a client to know of them (OpenID Connect Core section 5.3)",
            "operationId": operation,
            "security": [{"bearer": []}, {"dpop": []}],
            "responses": {
                "200": {"description": "Claims of the person, in a JWT if the client registered that they are signed or encrypted",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Userinfo"}},
                        "application/jwt": {"schema": text}}},
                "400": {"description": "The token stands in two places, or cannot be read (RFC 6750 section 3.1)"},
                "401": {"description": "No token, one that is not accepted, or one without the proof or certificate that it is bound to (RFC 9449 section 7, RFC 8705 section 3)"},
                "403": {"description": "The grant of the token does not hold openid, or the token was narrowed to less"},
                "429": refusal(TOO_MANY),
                "503": refusal("A store does not answer; try again"),
            },
        })
    };
    let (authorize, logout) = pages();
    let token = with_client(json!({"token": text, "token_type_hint": text}));
    let asked = with_client(token_request(config));
    let types = token_types();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Authorization server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("OAuth 2 and OpenID Connect. Clients authenticate by {}.",
                AuthMethod::ALL.map(AuthMethod::as_str).join(", ")),
        },
        "servers": [{"url": config.issuer.as_str()}],
        "paths": {
            routes::TOKEN: post("Get a token (RFC 6749 section 3.2)", asked, json!(["grant_type"]),
                json!({"description": "A token", "content": json_body("Token")})),
            routes::INTROSPECT: post("What a token is (RFC 7662)", token.clone(), json!(["token"]),
                introspected()),
            routes::REVOKE: post("Revoke a token (RFC 7009)", token, json!(["token"]),
                json!({"description": "It is revoked, or was no good anyway"})),
            routes::AUTHORIZE: authorize,
            routes::LOGOUT: logout,
            routes::USERINFO: {"get": userinfo("userinfo"), "post": userinfo("userinfoByForm")},
            routes::JWKS: published("Public keys (RFC 7517)"),
            "/.well-known/openid-configuration": published("Metadata (OpenID Connect Discovery 1.0)"),
        },
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"},
                "dpop": {"type": "http", "scheme": "dpop", "description": "With a proof in the header DPoP (RFC 9449 section 7.1)"}},
            "schemas": {
                "Error": {"type": "object", "required": ["error"],
                    "properties": {"error": text, "error_description": text}},
                "Token": {"type": "object", "required": ["access_token", "token_type", "expires_in"],
                    "properties": {"access_token": text, "token_type": {"enum": ["Bearer", "DPoP", "N_A"]}, "issued_token_type": types,
                        "expires_in": {"type": "integer"}, "scope": text, "refresh_token": text, "id_token": text,
                        "authorization_details": {"type": "array", "items": {"type": "object", "required": ["type"]}}}},
                "Userinfo": {"type": "object", "required": ["sub"], "properties": claims_of_people()},
                "Introspection": {"type": "object", "required": ["active"],
                    "properties": {"active": {"type": "boolean"}}},
            },
        },
    })
}

/// What the token endpoint takes beside the client's proof of itself.
fn token_request(config: &Config) -> Value {
    let (text, types) = (json!({"type": "string"}), token_types());
    json!({"grant_type": {"type": "string", "enum": grants(config)}, "scope": text,
        "resource": {"type": "string", "format": "uri"}, "code": text, "redirect_uri": text, "code_verifier": text,
        "refresh_token": text, "subject_token": text, "subject_token_type": types, "actor_token": text,
        "actor_token_type": types, "requested_token_type": types, "audience": text, "assertion": text, "device_code": text, "authorization_details": {"type": "string",
            "description": "A JSON array of objects, each of one of authorization_details_types_supported (RFC 9396)"}})
}

/// RFC 8693 §3.
fn token_types() -> Value {
    json!({"type": "string", "enum": TokenType::ALL.map(TokenType::as_str)})
}

/// RFC 7662 §2.2, or RFC 9701 §5 where `Accept` names that.
fn introspected() -> Value {
    json!({"description": "Its state, as a JWT where Accept asks for one (RFC 9701)", "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Introspection"}},
        "application/token-introspection+jwt": {"schema": {"type": "string"}}}})
}

/// OpenID Connect Core §5.1.
fn claims_of_people() -> Value {
    let kind = |claim: &Claim| match claim.as_str() {
        "updated_at" => "integer",
        "email_verified" | "phone_number_verified" => "boolean",
        "address" => "object",
        _ => "string",
    };
    let claims = Claim::ALL.iter();
    let claims = claims.map(|claim| (claim.as_str().to_owned(), json!({"type": kind(claim)})));
    let sub = ("sub".to_owned(), json!({"type": "string"}));
    Value::Object(std::iter::once(sub).chain(claims).collect())
}

/// Where browsers are sent: the authorization endpoint, and signing out.
fn pages() -> (Value, Value) {
    let page =
        |description: &str| json!({"description": description, "content": {"text/html": {}}});
    let shown = |summary: &str, id: &str, responses: &Value| json!({"summary": summary, "operationId": id, "responses": responses});
    let posted = |summary: &str, id: &str, mut responses: Value| {
        if let Some(all) = responses.as_object_mut() {
            all.insert("413".into(), page("A page: the body is larger than 64 KiB"));
            all.insert("415".into(), page("A page: the body is no form"));
        }
        json!({"summary": summary, "operationId": id, "responses": responses,
            "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}})
    };
    let with = |mut operation: Value, parameters: Value| {
        if let Some(all) = operation.as_object_mut() {
            all.insert("parameters".into(), parameters);
        }
        operation
    };
    let unavailable = page("A page: a store does not answer; try again");
    let authorize = "Send a person here to sign in and to agree (RFC 6749 section 4.1.1)";
    let answered = json!({
        "200": page("The answer to the client, in a form that the browser posts (response_mode=form_post)"),
        "303": {"description": "The answer to the client, or the way to a page to sign in or to agree on"},
        "400": page("A page: the client or the redirect URI is not known, or the request cannot be read"),
        "429": page("A page: too many requests from there, or too many of them wait for somebody to sign in"),
        "503": unavailable,
    });
    let asked_to_sign_out = json!({
        "200": page("The question whether to sign out"),
        "303": {"description": "Nobody is signed in, or the client proved whom it means, and they are signed out: the way back to it, if it registered that, or to a page"},
        "400": page("A page: a parameter stands twice, or is too long"),
        "429": page("A page: too many requests from there"),
        "503": unavailable,
    });
    let signed_out = json!({
        "303": {"description": "Signed out; a client's form leads to where the browser's cookie can be read"},
        "400": page("A page: the form is not the one that asked, or cannot be read"),
        "429": page("A page: too many requests from there"),
        "503": unavailable,
    });
    let text = json!({"type": "string"});
    let parameters = [
        "id_token_hint",
        "logout_hint",
        "client_id",
        "post_logout_redirect_uri",
        "state",
        "ui_locales",
    ]
    .map(|name| json!({"name": name, "in": "query", "schema": text}));
    let ask = "Send a person here to sign out (OpenID Connect RP-Initiated Logout section 2)";
    let answer = "The answer to that question, or a client's form that sends a person there";
    (
        json!({"get": shown(authorize, "authorize", &answered), "post": posted(authorize, "authorizeByForm", answered)}),
        json!({"get": with(shown(ask, "askToSignOut", &asked_to_sign_out), json!(parameters)),
            "post": posted(answer, "signOut", signed_out)}),
    )
}
