//! What is published: keys, metadata, and what clients publish about themselves.

use serde_json::{Value, json};

use super::{Row, UNREACHABLE, set};
use crate::server::Fault::{Keys, Metadata, OpenId, Resource, Rule, Target, Wire as On};
use crate::server::Rule as R;
use crate::server::Who::Basic;

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const PROTECTED: &str = "/.well-known/oauth-protected-resource/api";

fn rsa(modulus: &str) -> Value {
    json!({"kty": "RSA", "kid": "r1", "use": "sig", "alg": "RS256", "n": modulus, "e": "AQAB"})
}

fn bare_rsa(keys: &mut Vec<Value>) {
    let mut key = rsa(&"q".repeat(342));
    key.as_object_mut().unwrap().remove("alg");
    keys.push(key);
}

#[rustfmt::skip]
pub(super) fn keys() -> Vec<Row> {
    vec![
        ("another key is published", Basic, Keys(|k| k[0] = crate::server::other_key()), &["rfc7515-5.2-signature", "rfc9068-2.1-signed"]),
        ("no kty", Basic, Keys(|k| drop(k[0].as_object_mut().unwrap().remove("kty"))), &["rfc7517-4.1-kty"]),
        ("use and key_ops", Basic, Keys(|k| k[0]["key_ops"] = json!(["verify"])), &["rfc7517-4.3-use-or-key-ops"]),
        ("one kid for two keys", Basic, Keys(|k| k.push(crate::server::other_key())), &["rfc7517-4.5-kid-distinct"]),
        ("keys is no array", Basic, On("/jwks", |w| w.edit(200, |m| set(m, "keys", json!({})))), &["rfc7517-5-keys"]),
        ("a private key is published", Basic, Keys(|k| k[0]["d"] = json!("AQ")), &["rfc7517-9.2-no-private-members"]),
        ("a shared key is published", Basic, Keys(|k| k.push(json!({"kty": "oct", "k": "AQ"}))), &["rfc7517-9.2-no-private-members"]),
        ("alg of another type", Basic, Keys(|k| k[0]["alg"] = json!("RS256")), &["rfc7518-3.1-alg-fits-key"]),
        ("a short RSA key", Basic, Keys(|k| k.push(rsa(&"q".repeat(171)))), &["rfc7518-3.3-rsa-size"]),
        ("a cut coordinate", Basic, Keys(|k| k[0]["x"] = json!("AQ")), &["rfc7518-6.2.1-ec-coordinates"]),
        ("a modulus with a leading zero", Basic, Keys(|k| k.push(rsa(&"A".repeat(342)))), &["rfc7518-6.3.1-rsa-members"]),
        ("no y", Basic, Keys(|k| drop(k[0].as_object_mut().unwrap().remove("y"))), &["rfc7638-3.2-members"]),
        ("a key for any algorithm", Basic, Keys(bare_rsa), &["rfc8725-3.1-one-algorithm"]),
        ("keys for two uses, one without use", Basic,
            Keys(|k| { let mut enc = rsa("qqqq"); enc["use"] = json!("enc"); k.push(enc); k[0].as_object_mut().unwrap().remove("use"); }),
            &["rfc8414-2-use"]),
    ]
}

#[rustfmt::skip]
pub(super) fn metadata() -> Vec<Row> {
    vec![
        ("endpoints in the open", Basic,
            Metadata(|m| for name in ["token_endpoint", "revocation_endpoint", "introspection_endpoint"] { set(m, name, json!(UNREACHABLE)) }),
            &["rfc6749-3.2-tls", "rfc7009-2-tls", "rfc7662-2-tls", "rfc8414-2-endpoints-protected"]),
        ("endpoints with fragments", Basic,
            Metadata(|m| for name in ["token_endpoint", "authorization_endpoint"] {
                let url = format!("{}#fragment", m[name].as_str().unwrap());
                set(m, name, json!(url));
            }),
            &["rfc6749-3.1-fragment", "rfc6749-3.2-fragment"]),
        ("issuer with a query", Basic, Metadata(|m| set(m, "issuer", json!("https://as.example?q"))),
            &["rfc8414-2-issuer", "rfc8414-3.3-issuer-identical", "oidcdiscovery-4.3-issuer-identical"]),
        ("no authorization_endpoint", Basic, Metadata(|m| drop(m.remove("authorization_endpoint"))),
            &["rfc8414-2-authorization-endpoint", "rfc9207-3-flag"]),
        ("no token_endpoint", Basic, Metadata(|m| drop(m.remove("token_endpoint"))), &["rfc8414-2-token-endpoint"]),
        ("no response types", Basic, Metadata(|m| drop(m.remove("response_types_supported"))), &["rfc8414-2-response-types"]),
        ("a list as text", Basic, Metadata(|m| set(m, "scopes_supported", json!("openid read"))), &["rfc8414-2-types"]),
        ("no algorithms for assertions", Basic, Metadata(|m| drop(m.remove("token_endpoint_auth_signing_alg_values_supported"))),
            &["rfc8414-2-signing-algorithms"]),
        ("none for assertions", Basic,
            Metadata(|m| set(m, "token_endpoint_auth_signing_alg_values_supported", json!(["ES256", "none"]))),
            &["rfc8414-2-no-none", "rfc8725-3.2-no-none"]),
        ("a statement that nobody signed", Basic,
            Metadata(|m| { let text = format!("{}AA", m["signed_metadata"].as_str().unwrap()); set(m, "signed_metadata", json!(text)); }),
            &["rfc8414-2.1-signed"]),
        ("a statement within itself", Basic, Rule(R::NestedStatement), &["rfc8414-2.1-not-nested"]),
        ("no document", Basic, On(OAUTH, |w| w.status = 404), &["rfc8414-3-path", "rfc9700-2.6-metadata"]),
        ("the document as text", Basic, On(OAUTH, |w| w.set("content-type", "text/plain")), &["rfc8414-3.2-json"]),
        ("an empty list", Basic, Metadata(|m| set(m, "ui_locales_supported", json!([]))),
            &["rfc8414-3.2-no-empty-lists", "oidcdiscovery-4.2-no-empty-lists"]),
        ("no subject types", Basic, OpenId(|m| drop(m.remove("subject_types_supported"))), &["oidcdiscovery-3-required"]),
        ("no RS256", Basic, Rule(R::NoRsa), &["oidcdiscovery-3-rs256", "rfc9068-2.1-rs256"]),
        ("no openid", Basic, Metadata(|m| set(m, "scopes_supported", json!(["read"]))), &["oidcdiscovery-3-scopes"]),
        ("the configuration as text", Basic, On(OPENID, |w| w.set("content-type", "text/plain")), &["oidcdiscovery-4.2-json"]),
        ("the flag as text", Basic, Metadata(|m| set(m, "authorization_response_iss_parameter_supported", json!("true"))), &["rfc9207-3-flag"]),
        ("no S256", Basic, Metadata(|m| set(m, "code_challenge_methods_supported", json!(["plain"]))), &["rfc9700-2.1.1-pkce"]),
        ("implicit", Basic, Metadata(|m| set(m, "response_types_supported", json!(["code", "id_token token"]))),
            &["rfc9700-2.1.2-no-implicit"]),
        ("nothing binds tokens", Basic, Metadata(|m| m.retain(|name, _| !name.starts_with("dpop") && !name.starts_with("tls"))),
            &["rfc9700-2.2.1-sender-constrained"]),
        ("the password grant", Basic, Metadata(|m| set(m, "grant_types_supported", json!(["password"]))), &["rfc9700-2.4-no-password-grant"]),
        ("secrets only", Basic, Metadata(|m| set(m, "token_endpoint_auth_methods_supported", json!(["client_secret_basic"]))),
            &["rfc9700-2.5-asymmetric"]),
        ("CORS at authorize", Basic, On("/authorize", |w| w.set("access-control-allow-origin", "*")),
            &["rfc9700-2.6-no-cors-at-authorize"]),
    ]
}

#[rustfmt::skip]
pub(super) fn resource() -> Vec<Row> {
    vec![
        ("no token is taken", Basic, On("/api/me", |w| w.restatus(200, 401)), &["rfc6750-2.1-header"]),
        ("Bearer in this case only", Basic, Rule(R::ApiCaseMatters), &["rfc6750-2.1-scheme-case"]),
        ("anything with a token in it", Basic, Rule(R::ApiIsLax), &["rfc6750-2.1-syntax"]),
        ("a token in the query", Basic, Rule(R::ApiTakesQuery), &["rfc6750-2.3-no-query"]),
        ("no challenge", Basic, On("/api/me", |w| w.remove("www-authenticate")), &["rfc6750-3-challenge"]),
        ("a bare challenge", Basic, On("/api/me", |w| w.set("www-authenticate", "Bearer")), &["rfc6750-3-scheme", "rfc9728-5.1-challenge"]),
        ("a parameter twice", Basic, On("/api/me", |w| w.set("www-authenticate", r#"Bearer realm="a", realm="b""#)),
            &["rfc6750-3-parameters-once"]),
        ("a backslash in the error", Basic, On("/api/me", |w| w.set("www-authenticate", r#"Bearer error="a\\b""#)), &["rfc6750-3-characters"]),
        ("an error without a token", Basic, On("/api/me", |w| w.set("www-authenticate", r#"Bearer error="invalid_token""#)),
            &["rfc6750-3.1-no-code-without-token"]),
        ("invalid_token by another name", Basic, On("/api/me", |w| w.replace("invalid_token", "bad_token")), &["rfc6750-3.1-invalid-token"]),
        ("a malformed request is unauthorized", Basic, On("/api/me", |w| w.restatus(400, 401)), &["rfc6750-3.1-invalid-request"]),
        ("an API in the open", Basic, Target(|t| t.api = Some(UNREACHABLE.parse().unwrap())), &["rfc6750-5.3-tls"]),
        ("a public key as a secret", Basic, Rule(R::ApiConfusesKeys), &["rfc8725-3.1-verified"]),
        ("keys that the token brings", Basic, Rule(R::ApiTrustsEmbeddedKeys), &["rfc8725-3.10-claims-not-trusted"]),
        ("any typ", Basic, Rule(R::ApiAnyType), &["rfc9068-4-typ"]),
        ("any audience", Basic, Rule(R::ApiAnyAudience), &["rfc9068-4-audience"]),
        ("alg none", Basic, Rule(R::ApiTakesNone), &["rfc9068-4-none"]),
        ("resource with a fragment", Basic, Resource(|m| set(m, "resource", json!("https://a.example/#f"))),
            &["rfc9728-2-resource", "rfc9728-3.3-resource-identical"]),
        ("another authorization server", Basic, Resource(|m| set(m, "authorization_servers", json!(["https://a.example"]))),
            &["rfc9728-2-authorization-servers"]),
        ("a made-up bearer method", Basic, Resource(|m| set(m, "bearer_methods_supported", json!(["cookie"]))),
            &["rfc9728-2-bearer-methods"]),
        ("none is listed", Basic, Resource(|m| set(m, "resource_signing_alg_values_supported", json!(["none"]))), &["rfc9728-2-no-none"]),
        ("an empty list", Basic, Resource(|m| set(m, "scopes_supported", json!([]))), &["rfc9728-3.2-no-empty-lists"]),
        ("no document", Basic, On(PROTECTED, |w| w.status = 404), &["rfc9728-3-path"]),
        ("the document as text", Basic, On(PROTECTED, |w| w.set("content-type", "text/plain")), &["rfc9728-3.2-json"]),
    ]
}

#[rustfmt::skip]
pub(super) fn client_documents() -> Vec<Row> {
    vec![
        ("any document", Basic, Rule(R::AnyDocument),
            &["clientidmetadatadocument-3-https", "clientidmetadatadocument-3-form", "clientidmetadatadocument-4-document",
              "clientidmetadatadocument-5.1-errors"]),
        ("documents are refused", Basic, Rule(R::DocumentsAreRefused), &["clientidmetadatadocument-4-document"]),
        ("any redirect of a document", Basic, Rule(R::AnyRedirect), &["clientidmetadatadocument-4.2-redirects"]),
        ("documents by a flag as text", Basic, Metadata(|m| set(m, "client_id_metadata_document_supported", json!("true"))),
            &["clientidmetadatadocument-6-metadata"]),
    ]
}
