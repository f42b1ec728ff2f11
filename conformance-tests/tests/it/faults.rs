//! Broken behaviour, row by row, and the requirements that must fail of it.

use serde_json::{Value, json};

use crate::server::Fault::{
    IdToken, Keys, Metadata, OpenId, Resource, Rule, Target, Token, Wire as On,
};
use crate::server::Rule as R;
use crate::server::Who::{Basic, Key, Post};
use crate::server::{Fault, Members, Who, Wire};

type Row = (&'static str, Who, Fault, &'static [&'static str]);

pub(crate) fn faults() -> Vec<Row> {
    [
        token_endpoint(),
        tokens(),
        revocation(),
        introspection(),
        assertions(),
        keys(),
        metadata(),
        resource(),
        authorization(),
        codes(),
        refresh_tokens(),
        sign_in(),
        id_tokens(),
        registrations(),
        pushed_requests(),
        request_objects(),
        signed_responses(),
        details(),
        claims(),
        sign_out(),
        devices(),
        exchanges(),
        grants(),
        signed_introspection(),
        identity_assertions(),
        global_revocation(),
        proofs(),
        bound_tokens(),
        certificates(),
        client_documents(),
    ]
    .concat()
}

fn set(members: &mut Members, name: &str, value: Value) {
    members.insert(name.into(), value);
}

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const PROTECTED: &str = "/.well-known/oauth-protected-resource/api";
const UNREACHABLE: &str = "http://as.invalid/";

fn to_stranger(wire: &mut Wire) {
    *wire = Wire::new(303).with(
        "location",
        "https://stranger.example/callback?error=invalid_request",
    );
}

#[rustfmt::skip]
fn token_endpoint() -> Vec<Row> {
    vec![
        ("two methods at once", Basic, Rule(R::TwoMethods), &["rfc6749-2.3-one-method"]),
        ("Basic is not announced", Basic,
            Metadata(|m| set(m, "token_endpoint_auth_methods_supported", json!(["client_secret_post"]))), &["rfc6749-2.3.1-basic"]),
        ("Basic is not decoded", Basic, Rule(R::RawBasic), &["rfc6749-2.3.1-basic-encoding"]),
        ("the body carries no secret", Post, Rule(R::NoSecretInBody), &["rfc6749-2.3.1-body"]),
        ("authorize refuses GET", Basic, On("/authorize", |w| w.restatus(400, 405)), &["rfc6749-3.1-get"]),
        ("authorize redirects to strangers", Basic, On("/authorize", to_stranger),
            &["rfc6749-3.1.2.4-unknown-client", "rfc9700-4.11.2-no-open-redirector"]),
        ("GET at the token endpoint", Basic, Rule(R::GetIsFine), &["rfc6749-3.2-post-only"]),
        ("empty is present", Basic, Rule(R::EmptyIsPresent), &["rfc6749-3.2-empty-is-absent"]),
        ("unknown parameters are refused", Basic, Rule(R::RefuseUnknownParameters), &["rfc6749-3.2-unknown-ignored"]),
        ("the last duplicate wins", Basic, Rule(R::LastDuplicateWins), &["rfc6749-3.2-no-duplicates"]),
        ("authentication is optional", Basic, Rule(R::AuthenticationIsOptional),
            &["rfc6749-3.2.1-client-authentication", "rfc7009-2.1-client-authentication", "rfc7662-2.1-authorization"]),
        ("scope is dropped in silence", Basic, Rule(R::SilentScope), &["rfc6749-3.3-scope-reported"]),
        ("scope is required", Basic, Rule(R::ScopeIsRequired), &["rfc6749-3.3-default-scope"]),
        ("a public client gets tokens of its own", Basic, Rule(R::PublicClientCredentials), &["rfc6749-4.4-confidential-only"]),
        ("the query is read", Basic, Rule(R::QueryIsRead), &["rfc6749-4.4.2-parameters-in-body"]),
        ("a refresh token comes along", Basic, On("/token", |w| w.edit(200, |m| set(m, "refresh_token", json!("r")))),
            &["rfc6749-4.4.3-no-refresh-token"]),
        ("no token_type", Basic, On("/token", |w| w.edit(200, |m| drop(m.remove("token_type")))), &["rfc6749-5.1-fields"]),
        ("tokens as HTML", Basic, On("/token", |w| w.set("content-type", "text/html")), &["rfc6749-5.1-json", "rfc6749-5.2-form"]),
        ("tokens may be cached", Basic, On("/token", |w| w.set("cache-control", "private")), &["rfc6749-5.1-no-store"]),
        ("no Pragma", Basic, On("/token", |w| w.remove("pragma")), &["rfc6749-5.1-pragma"]),
        ("expires_in as text", Basic, On("/token", |w| w.edit(200, |m| set(m, "expires_in", json!("300")))), &["rfc6749-5.1-expires-in"]),
        ("invalid_request by another name", Basic, On("/token", |w| w.replace("invalid_request", "bad_request")),
            &["rfc6749-5.2-invalid-request"]),
        ("invalid_client by another name", Basic, On("/token", |w| w.replace("invalid_client", "bad_client")),
            &["rfc6749-5.2-invalid-client"]),
        ("no challenge", Basic, On("/token", |w| w.remove("www-authenticate")), &["rfc6749-5.2-challenge"]),
        ("invalid_grant by another name", Basic, On("/token", |w| w.replace("invalid_grant", "bad_grant")),
            &["rfc6749-5.2-invalid-grant"]),
        ("an unknown grant is a server error", Basic,
            On("/token", |w| if w.body.contains("unsupported_grant_type") { w.status = 500 }), &["rfc6749-5.2-unsupported-grant-type"]),
        ("invalid_scope by another name", Basic, On("/token", |w| w.replace("invalid_scope", "bad_scope")),
            &["rfc6749-5.2-invalid-scope"]),
        ("a description beyond ASCII", Basic, On("/token", |w| w.replace("The request", "La requ\u{ea}te")), &["rfc6749-5.2-form"]),
        ("the same token again", Basic, Rule(R::SameTokenAgain), &["rfc6749-10.10-guessing", "rfc7519-4.1.7-jti"]),
        ("any resource will do", Basic, Rule(R::AnyResource),
            &["rfc8707-2-absolute", "rfc8707-2-no-fragment", "rfc8707-2-invalid-target"]),
        ("no resource is known", Basic, Rule(R::NoResources), &["rfc8707-2.2-token-endpoint"]),
    ]
}

#[rustfmt::skip]
fn tokens() -> Vec<Row> {
    vec![
        ("padding", Basic, Rule(R::PaddedToken), &["rfc7515-2-no-padding"]),
        ("no alg", Basic, Token(|h, _| drop(h.remove("alg"))), &["rfc7515-4.1.1-alg", "rfc7515-5.2-signature", "rfc9068-2.1-signed"]),
        ("alg none", Basic, Token(|h, _| set(h, "alg", json!("none"))), &["rfc8725-3.2-no-none", "rfc9068-2.1-signed"]),
        ("a claim twice", Basic, Rule(R::RepeatedClaim), &["rfc7519-4-unique-names"]),
        ("exp as text", Basic, Token(|_, c| set(c, "exp", json!("soon"))), &["rfc7519-4.1-types"]),
        ("exp in the past", Basic, Token(|_, c| set(c, "exp", json!(1))), &["rfc7519-4.1.4-exp"]),
        ("nbf in the future", Basic, Token(|_, c| set(c, "nbf", json!(99_999_999_999_u64))), &["rfc7519-4.1.5-nbf"]),
        ("one jti for all", Basic, Token(|_, c| set(c, "jti", json!("1"))), &["rfc7519-4.1.7-jti"]),
        ("another iss", Basic, Token(|_, c| set(c, "iss", json!("https://other.example"))), &["rfc8725-3.8-issuer"]),
        ("no aud", Basic, Token(|_, c| drop(c.remove("aud"))),
            &["rfc8725-3.9-audience", "rfc9068-2.2-claims", "rfc9068-3-default-audience"]),
        ("one aud for all", Basic, Token(|_, c| set(c, "aud", json!("https://other.example"))),
            &["rfc8707-2-audience", "rfc9068-3-audience"]),
        ("two aud", Basic, Token(|_, c| set(c, "aud", json!(["https://a.example", "https://b.example"]))), &["rfc9700-2.3-audience"]),
        ("typ JWT", Basic, Token(|h, _| set(h, "typ", json!("JWT"))), &["rfc8725-3.11-typ", "rfc9068-2.1-typ"]),
        ("no jti", Basic, Token(|_, c| drop(c.remove("jti"))), &["rfc9068-2.2-claims"]),
        ("another client_id", Basic, Token(|_, c| set(c, "client_id", json!("other"))), &["rfc9068-2.2-client-id"]),
        ("another sub", Basic, Token(|_, c| set(c, "sub", json!("other"))), &["rfc9068-2.2-subject"]),
        ("no scope", Basic, Token(|_, c| drop(c.remove("scope"))), &["rfc9068-2.2.3-scope"]),
    ]
}

#[rustfmt::skip]
fn revocation() -> Vec<Row> {
    vec![
        ("revocation is down", Basic, On("/revoke", |w| w.restatus(200, 503)), &["rfc7009-2-access-tokens", "rfc7009-2.2-success"]),
        ("no token is fine", Basic, On("/revoke", |w| w.restatus(400, 200)), &["rfc7009-2.1-token-required"]),
        ("anyone may revoke", Basic, Rule(R::RevocationIsForAll), &["rfc7009-2.1-own-tokens"]),
        ("revocation does nothing", Basic, Rule(R::RevocationDoesNothing), &["rfc7009-2.1-immediate", "rfc7662-4-revocation"]),
        ("the hint is law", Basic, Rule(R::HintIsLaw), &["rfc7009-2.1-wrong-hint", "rfc7662-2.1-wrong-hint"]),
        ("unknown tokens are errors", Basic, Rule(R::UnknownTokenFails), &["rfc7009-2.2-invalid-token", "rfc7662-2.2-inactive"]),
        ("GET revokes", Basic, Rule(R::GetRevokes), &["rfc7009-2-post"]),
        ("refused revocations by another name", Basic, On("/revoke", |w| w.replace("invalid_client", "bad_client")), &["rfc7009-2.2.1-errors"]),
        ("unknown hints are errors", Basic, Rule(R::UnknownHintFails), &["rfc7009-2.2-unknown-hint"]),
    ]
}

#[rustfmt::skip]
fn introspection() -> Vec<Row> {
    vec![
        ("no token is fine", Basic, On("/introspect", |w| w.restatus(400, 200)), &["rfc7662-2.1-token-required"]),
        ("introspection as text", Basic, On("/introspect", |w| w.set("content-type", "text/plain")), &["rfc7662-2.2-json"]),
        ("nothing is active", Basic, On("/introspect", |w| w.replace("\"active\":true", "\"active\":false")), &["rfc7662-2.2-active"]),
        ("exp as text", Basic, On("/introspect", |w| w.edit(200, |m| set(m, "exp", json!("soon")))), &["rfc7662-2.2-types"]),
        ("another sub", Basic, On("/introspect", |w| w.edit(200, |m| set(m, "sub", json!("other")))),
            &["rfc7662-2.2-same-token", "rfc7662-2.2-inactive-is-silent"]),
        ("a name is enough to ask", Basic, Rule(R::PublicIntrospects), &["rfc7662-4-authentication"]),
        ("anyone is told of any token", Basic, Rule(R::AnyoneIntrospects), &["rfc7662-4-authorized"]),
        ("a wrong secret is a bad request", Basic, On("/introspect", |w| w.restatus(401, 400)), &["rfc7662-2.3-invalid-credentials"]),
        ("signatures are not looked at", Basic, Rule(R::AnySignature), &["rfc7662-4-signature", "rfc9068-4-signature"]),
    ]
}

#[rustfmt::skip]
fn assertions() -> Vec<Row> {
    vec![
        ("assertions do not work", Key, Rule(R::NoAssertions), &["rfc7523-2.2-assertion"]),
        ("any assertion type", Key, Rule(R::AnyAssertionType), &["rfc7523-2.2-type"]),
        ("any iss", Key, Rule(R::AnyAssertionIssuer), &["rfc7523-3-issuer"]),
        ("any sub", Key, Rule(R::AnyAssertionSubject), &["rfc7523-3-subject"]),
        ("any aud", Key, Rule(R::AnyAssertionAudience), &["rfc7523-3-audience"]),
        ("any exp", Key, Rule(R::AnyAssertionExpiry), &["rfc7523-3-expiry"]),
        ("any nbf", Key, Rule(R::AnyAssertionNotBefore), &["rfc7523-3-not-before"]),
        ("any signature", Key, Rule(R::AnySignature), &["rfc7523-3-signature"]),
        ("crit is ignored", Key, Rule(R::IgnoreCrit), &["rfc7515-4.1.11-crit"]),
        ("invalid_client by another name", Key, On("/token", |w| w.replace("invalid_client", "invalid_grant")),
            &["rfc7523-3-well-formed", "rfc7523-3.2-invalid-client"]),
    ]
}

fn rsa(modulus: &str) -> Value {
    json!({"kty": "RSA", "kid": "r1", "use": "sig", "alg": "RS256", "n": modulus, "e": "AQAB"})
}

fn bare_rsa(keys: &mut Vec<Value>) {
    let mut key = rsa(&"q".repeat(342));
    key.as_object_mut().unwrap().remove("alg");
    keys.push(key);
}

#[rustfmt::skip]
fn keys() -> Vec<Row> {
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
fn metadata() -> Vec<Row> {
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
fn resource() -> Vec<Row> {
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
fn authorization() -> Vec<Row> {
    vec![
        ("empty is present at authorize", Basic, Rule(R::EmptyIsPresent), &["rfc6749-3.1-empty-is-absent"]),
        ("unknown parameters are refused at authorize", Basic, Rule(R::RefuseUnknownParameters), &["rfc6749-3.1-unknown-ignored"]),
        ("the last duplicate wins at authorize", Basic, Rule(R::LastDuplicateWins), &["rfc6749-3.1-no-duplicates"]),
        ("any response type", Basic, Rule(R::AnyResponseType), &["rfc6749-3.1.1-response-type"]),
        ("state is lost", Basic, Rule(R::StateIsLost), &["rfc6749-4.1.2-state", "rfc6749-4.1.2.1-access-denied"]),
        ("access_denied by another name", Basic, On("/consent", |w| w.replace("access_denied", "denied")), &["rfc6749-4.1.2.1-access-denied"]),
        ("invalid_scope by another name", Basic, On("/authorize", |w| w.replace("invalid_scope", "bad_scope")),
            &["rfc6749-4.1.2.1-invalid-scope"]),
        ("any redirect", Basic, Rule(R::AnyRedirect),
            &["rfc6749-3.1.2.4-unknown-client", "rfc8252-8.4-exact", "rfc9700-2.1-exact-redirects"]),
        ("a fixed port", Basic, Rule(R::FixedPort), &["rfc8252-7.3-any-port"]),
        ("consent is remembered", Basic, Rule(R::ConsentIsRemembered), &["rfc8252-8.6-consent", "oidccore-3.1.2.1-prompt-consent"]),
        ("any resource at authorize", Basic, Rule(R::AnyResource), &["rfc8707-2.1-authorization-endpoint"]),
        ("no iss", Basic, Rule(R::NoIss), &["rfc9207-2-iss"]),
        ("form_post is ignored", Basic, Rule(R::NoFormPost), &["formpost-2-form"]),
        ("the form may be stored", Basic, On("/consent", |w| w.remove("cache-control")), &["formpost-2-no-store"]),
        ("credentials go on", Basic, On("/login", |w| w.restatus(303, 307)), &["rfc9700-4.12-no-307"]),
        ("sign-in in a frame", Basic, On("/login", |w| w.remove("content-security-policy")), &["rfc9700-4.16-clickjacking"]),
    ]
}

#[rustfmt::skip]
fn codes() -> Vec<Row> {
    vec![
        ("a code works twice", Basic, Rule(R::CodeWorksTwice), &["rfc6749-4.1.2-code-once", "rfc6749-4.1.2-replay-revokes"]),
        ("a replayed code is forgotten", Basic, Rule(R::ReplayIsForgotten), &["rfc6749-4.1.2-replay-revokes"]),
        ("a code for any client", Basic, Rule(R::CodeForAnyClient), &["rfc6749-4.1.3-code-binding"]),
        ("a code with any redirect", Basic, Rule(R::AnyRedirectAtToken), &["rfc6749-4.1.3-code-binding"]),
        ("a person's tokens may be cached", Basic, On("/token", |w| w.set("cache-control", "private")), &["rfc6749-4.1.4-response"]),
        ("short verifiers only", Basic, Rule(R::ShortVerifiers), &["rfc7636-4.1-verifier-length"]),
        ("S256 is plain", Basic, Rule(R::PlainChallenge), &["rfc7636-4.2-s256", "rfc7636-4.6-verifier"]),
        ("no method is S256", Basic, Rule(R::AbsentMethodIsS256), &["rfc7636-4.3-default-method"]),
        ("any method", Basic, Rule(R::AnyMethod), &["rfc7636-4.4.1-method"]),
        ("any verifier", Basic, Rule(R::AnyVerifier), &["rfc7636-4.6-verifier"]),
        ("no verifier", Basic, Rule(R::VerifierIsOptional), &["rfc7636-4.6-verifier-required"]),
        ("PKCE is optional", Basic, Rule(R::PkceIsOptional),
            &["rfc8252-8.1-pkce", "rfc9700-2.1.1-downgrade", "rfc9700-2.1.1-public-clients"]),
    ]
}

#[rustfmt::skip]
fn refresh_tokens() -> Vec<Row> {
    vec![
        ("no refresh", Basic, Rule(R::RefreshIsRefused), &["rfc6749-6-refresh"]),
        ("a refresh token for any client", Basic, Rule(R::RefreshForAnyClient), &["rfc6749-6-refresh-binding"]),
        ("scope grows", Basic, Rule(R::ScopeGrows), &["rfc6749-6-refresh-scope"]),
        ("no rotation", Basic, Rule(R::NoRotation), &["rfc9700-2.2.2-refresh-tokens"]),
        ("a spent refresh token is forgotten", Basic, Rule(R::SpentIsForgotten), &["rfc9700-4.14.2-reuse"]),
        ("revocation spares refresh tokens", Basic, Rule(R::RevocationDoesNothing), &["rfc7009-2-refresh-tokens"]),
        ("a hint hides refresh tokens", Basic, Rule(R::HintIsLaw), &["rfc7009-2-refresh-tokens"]),
        ("anyone may revoke a refresh token", Basic, Rule(R::RevocationIsForAll), &["rfc7009-2.1-own-refresh-tokens"]),
        ("access tokens outlive the refresh token", Basic, Rule(R::AccessOutlivesRefresh), &["rfc7009-2.1-refresh-and-access"]),
        ("a refresh changes the person", Basic, Rule(R::RefreshIsAnotherPerson), &["oidccore-12.2-id-token"]),
    ]
}

#[rustfmt::skip]
fn sign_in() -> Vec<Row> {
    vec![
        ("no POST at authorize", Basic, Rule(R::PostIsRefused), &["oidccore-3.1.2.1-post"]),
        ("prompt is ignored", Basic, Rule(R::PromptIsIgnored),
            &["oidccore-3.1.2.1-prompt-none", "oidccore-3.1.2.1-prompt-none-alone", "oidccore-3.1.2.1-prompt-login"]),
        ("max_age is ignored", Basic, Rule(R::MaxAgeIsIgnored), &["oidccore-3.1.2.1-max-age"]),
        ("preferences are errors", Basic, Rule(R::PreferencesAreErrors), &["oidccore-15.1-parameters"]),
        ("userinfo is down", Basic, On("/userinfo", |w| w.restatus(200, 405)), &["oidccore-5.3-methods"]),
        ("userinfo of somebody else", Basic, On("/userinfo", |w| w.replace("person", "other")), &["oidccore-5.3.2-subject"]),
        ("userinfo as text", Basic, On("/userinfo", |w| w.set("content-type", "text/plain")), &["oidccore-5.3.2-json"]),
        ("userinfo without a challenge", Basic, On("/userinfo", |w| w.remove("www-authenticate")), &["oidccore-5.3.3-errors"]),
    ]
}

#[rustfmt::skip]
fn id_tokens() -> Vec<Row> {
    vec![
        ("an ID token at the API", Basic, Rule(R::ApiAnyType), &["rfc8725-3.12-id-token"]),
        ("an ID token at userinfo", Basic, Rule(R::AnyKindAtUserinfo), &["rfc8725-3.12-id-token"]),
        ("an access token of another person", Key, Token(|_, c| set(c, "sub", json!("other"))), &["rfc9068-2.2-resource-owner"]),
        ("no iat", Basic, IdToken(|_, c| drop(c.remove("iat"))), &["oidccore-2-claims"]),
        ("a long sub", Basic, IdToken(|_, c| set(c, "sub", json!("a".repeat(256)))), &["oidccore-2-subject", "oidccore-5.3.2-subject"]),
        ("one nonce for all", Basic, IdToken(|_, c| set(c, "nonce", json!("n"))), &["oidccore-2-nonce"]),
        ("alg none", Basic, IdToken(|h, _| set(h, "alg", json!("none"))), &["oidccore-2-signed", "oidccore-3.1.3.7-algorithm"]),
        ("no auth_time", Basic, IdToken(|_, c| drop(c.remove("auth_time"))), &["oidccore-3.1.2.1-auth-time"]),
        ("no ID token", Basic, On("/token", |w| w.edit(200, |m| drop(m.remove("id_token")))), &["oidccore-3.1.3.3-id-token"]),
        ("another at_hash", Basic, IdToken(|_, c| set(c, "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"))), &["oidccore-3.1.3.6-at-hash"]),
        ("another aud", Basic, IdToken(|_, c| set(c, "aud", json!(["other"]))), &["oidccore-3.1.3.7-issuer-and-audience"]),
        ("another azp", Basic, IdToken(|_, c| set(c, "azp", json!("other"))), &["oidccore-3.1.3.7-issuer-and-audience"]),
    ]
}

#[rustfmt::skip]
fn registrations() -> Vec<Row> {
    vec![
        ("registration in the open", Basic, Metadata(|m| set(m, "registration_endpoint", json!(UNREACHABLE))), &["rfc7591-3-tls"]),
        ("no grant types are told", Basic, On("/register", |w| w.edit(201, |m| drop(m.remove("grant_types")))),
            &["rfc7591-2-defaults", "rfc7591-3.2.1-metadata"]),
        ("unknown metadata is kept", Basic, Rule(R::UnknownMetadataIsKept), &["rfc7591-2-unknown-ignored"]),
        ("both kinds of keys", Basic, Rule(R::BothKeysAreTaken), &["rfc7591-2-jwks-or-jwks-uri"]),
        ("types that do not fit", Basic, Rule(R::TypesNeedNotFit), &["rfc7591-2.1-consistent"]),
        ("a registration is OK", Basic, On("/register", |w| w.restatus(201, 200)),
            &["rfc7591-3.2.1-created", "oidcregistration-3.2-response"]),
        ("a registration may be stored", Basic, On("/register", |w| w.remove("cache-control")), &["rfc7591-3.2.1-created"]),
        ("no end of the secret", Basic, On("/register", |w| w.edit(201, |m| drop(m.remove("client_secret_expires_at")))),
            &["rfc7591-3.2.1-secret"]),
        ("any redirect is registered", Basic, Rule(R::AnyRedirectIsRegistered),
            &["rfc7591-3.2.2-invalid-redirect-uri", "rfc7591-5-no-script-redirects", "oidcregistration-2-application-type"]),
        ("metadata is bad by another name", Basic, On("/register", |w| w.replace("invalid_client_metadata", "bad_metadata")),
            &["rfc7591-3.2.2-invalid-client-metadata"]),
        ("redirects are optional", Basic, Rule(R::RedirectsAreOptional), &["rfc7591-5-redirects"]),
        ("a registration reads otherwise", Basic, On("/register/*", |w| w.edit(200, |m| drop(m.remove("client_name")))),
            &["rfc7592-2.1-read"]),
        ("any registration token", Basic, Rule(R::AnyRegistrationToken), &["rfc7592-2.1-token"]),
        ("updates merge", Basic, Rule(R::UpdateMerges), &["rfc7592-2.2-replaces"]),
        ("updates change identity", Basic, Rule(R::UpdateChangesId), &["rfc7592-2.2-own-id"]),
        ("the deleted live on", Basic, Rule(R::DeletedLivesOn), &["rfc7592-2.3-delete"]),
        ("no registration token", Basic, On("/register", |w| w.edit(201, |m| drop(m.remove("registration_access_token")))),
            &["rfc7592-3-management"]),
        ("one algorithm for all", Basic, Rule(R::OneAlgorithm), &["oidcregistration-2-id-token-alg"]),
        ("userinfo is never signed", Basic, Rule(R::UserinfoIsPlain), &["oidcregistration-2-userinfo-alg"]),
        ("terms are not told", Basic, On("/register", |w| w.edit(201, |m| drop(m.remove("tos_uri")))), &["oidcregistration-2-uris"]),
        ("the policy is not linked", Basic, On("/resume", |w| w.replace("https://client.example/policy", "#")),
            &["oidcregistration-2-uris-shown"]),
        ("default_max_age is ignored", Basic, Rule(R::DefaultMaxAgeIsIgnored), &["oidcregistration-2-default-max-age"]),
        ("sectors are not checked", Basic, Rule(R::SectorsAreNotChecked), &["oidcregistration-5-sector-bad"]),
        ("a posted secret is refused", Basic, Rule(R::PostedSecretIsRefused), &["oidccore-9-client-secret-post"]),
        ("keys are not fetched", Basic, Rule(R::KeysAreNotFetched), &["oidcregistration-2-jwks-uri"]),
        ("keys are fetched once", Basic, Rule(R::KeysAreKept), &["oidccore-10.1.1-client-rotation"]),
        ("registered keys are ignored", Basic, Rule(R::RegisteredKeysAreIgnored), &["oidccore-9-private-key-jwt"]),
        ("one subject for all", Basic, Rule(R::OneSubject), &["oidccore-8.1-sectors"]),
        ("a subject for each client", Basic, Rule(R::SubjectByClient), &["oidccore-8.1-one-sector"]),
        ("userinfo tells the public subject", Basic, Rule(R::UserinfoIsPublic), &["oidccore-8.1-userinfo"]),
    ]
}

#[rustfmt::skip]
fn pushed_requests() -> Vec<Row> {
    vec![
        ("pushes in the open", Basic, Metadata(|m| set(m, "pushed_authorization_request_endpoint", json!(UNREACHABLE))), &["rfc9126-2-tls"]),
        ("anybody pushes", Basic, Rule(R::AuthenticationIsOptional), &["rfc9126-2.1-client-authentication"]),
        ("a reference is pushed", Basic, Rule(R::PushedReference), &["rfc9126-2.1-no-request-uri"]),
        ("pushes are not validated", Basic, Rule(R::PushIsNotValidated), &["rfc9126-2.1-validated", "rfc9126-2.3-errors", "rfc9396-5-pushed"]),
        ("expires_in as text", Basic, On("/par", |w| w.edit(201, |m| set(m, "expires_in", json!("60")))), &["rfc9126-2.2-response"]),
        ("one request_uri for all", Basic, Rule(R::SamePush), &["rfc9126-2.2-unique"]),
        ("a push for any client", Basic, Rule(R::PushForAnyClient), &["rfc9126-2.2-bound"]),
        ("refused pushes as HTML", Basic, On("/par", |w| if w.status == 400 { w.set("content-type", "text/html") }), &["rfc9126-2.3-errors"]),
        ("GET at the push endpoint", Basic, On("/par", |w| w.restatus(405, 200)), &["rfc9126-2.3-errors"]),
        ("pushed objects are ignored", Basic, Rule(R::PushedObjectIsIgnored), &["rfc9126-3-request-object"]),
        ("pushes are forgotten", Basic, Rule(R::PushIsForgotten), &["rfc9126-4-authorization", "rfc9126-6-required-of-client"]),
        ("a push works twice", Basic, Rule(R::PushWorksTwice), &["rfc9126-4-once"]),
        ("loading spends", Basic, Rule(R::LoadSpends), &["rfc9126-4-reload"]),
        ("an unknown push is any", Basic, Rule(R::UnknownPushIsAny), &["rfc9126-4-unknown"]),
        ("pushing is announced as required", Basic, Metadata(|m| set(m, "require_pushed_authorization_requests", json!(true))),
            &["rfc9126-5-required"]),
        ("a client may ask otherwise", Basic, Rule(R::ClientMayAskOtherwise), &["rfc9126-6-required-of-client", "rfc9101-10.5-required"]),
    ]
}

#[rustfmt::skip]
fn request_objects() -> Vec<Row> {
    vec![
        ("objects are refused", Basic, Rule(R::ObjectsAreRefused), &["rfc9101-4-signed"]),
        ("objects within objects", Basic, Rule(R::NestedObjects), &["rfc9101-4-not-nested"]),
        ("any client in an object", Basic, Rule(R::AnyClientInObject), &["rfc9101-5-client-id"]),
        ("both at once", Basic, Rule(R::BothAtOnce), &["rfc9101-5-one-of-both"]),
        ("any reference", Basic, Rule(R::AnyReference), &["rfc9101-5.2-unknown-reference"]),
        ("any signature of an object", Basic, Rule(R::AnyObjectSignature), &["rfc9101-6.2-signature"]),
        ("registered references are not fetched", Basic, Rule(R::ReferencesAreNotFetched), &["rfc9101-5.2-reference"]),
        ("what stands outside counts", Basic, Rule(R::OutsideCounts), &["rfc9101-6.3-parameters"]),
        ("any redirect in an object", Basic, Rule(R::AnyRedirect), &["rfc9101-6.3-validated"]),
        ("an object for anyone", Basic, Rule(R::ObjectForAnyone), &["rfc9101-10.8-confused"]),
        ("invalid_request_object by another name", Basic, On("/authorize", |w| w.replace("invalid_request_object", "bad_object")),
            &["rfc9101-7-invalid"]),
        ("request is not supported by another name", Post, On("/authorize", |w| w.replace("request_not_supported", "invalid_request")),
            &["oidccore-6.1-not-supported"]),
        ("request_uri is not supported by another name", Post, On("/authorize", |w| w.replace("request_uri_not_supported", "invalid_request")),
            &["oidccore-6.2-not-supported"]),
    ]
}

#[rustfmt::skip]
fn signed_responses() -> Vec<Row> {
    vec![
        ("a response for nobody", Basic, Rule(R::JarmIsForNobody), &["jarm-2.1-claims"]),
        ("errors are not signed", Basic, Rule(R::JarmErrorsArePlain), &["jarm-2.1-errors"]),
        ("an unsigned response", Basic, Rule(R::JarmIsUnsigned), &["jarm-2.2-signed"]),
        ("always in the fragment", Basic, Rule(R::JarmInFragment), &["jarm-2.3.1-query", "jarm-2.3.3-form-post", "jarm-2.3.4-default"]),
        ("always in the query", Basic, Rule(R::JarmInQuery), &["jarm-2.3.2-fragment", "jarm-2.3.3-form-post"]),
    ]
}

#[rustfmt::skip]
fn details() -> Vec<Row> {
    vec![
        ("any details", Basic, Rule(R::AnyDetails), &["rfc9396-2-array", "rfc9396-5-unknown-type", "rfc9396-5-pushed"]),
        ("nobody is asked about details", Basic, Rule(R::ConsentIsRemembered), &["rfc9396-3-asked"]),
        ("details grow", Basic, Rule(R::DetailsGrow), &["rfc9396-6.1-not-more"]),
        ("details are lost", Basic, Rule(R::DetailsAreLost),
            &["rfc9396-7-token-response", "rfc9396-9.1-access-token", "rfc9396-9.2-introspection"]),
        ("types as text", Basic, Metadata(|m| set(m, "authorization_details_types_supported", json!("payment"))), &["rfc9396-10-metadata"]),
        ("a resource beyond the grant", Basic, Rule(R::AnyResource), &["rfc8707-2.2-of-the-grant"]),
    ]
}

#[rustfmt::skip]
fn claims() -> Vec<Row> {
    vec![
        ("everybody signs in again", Basic, Rule(R::AlwaysSignsIn), &["oidccore-3.1.2.1-max-age-within"]),
        ("nothing is silent", Basic, Rule(R::NoneIsRefused), &["oidccore-3.1.2.1-prompt-none-consented"]),
        ("hints are refused", Basic, Rule(R::HintIsRefused), &["oidccore-3.1.2.1-id-token-hint"]),
        ("login_hint and display are errors", Basic, Rule(R::PreferencesAreErrors),
            &["oidccore-3.1.2.1-login-hint", "oidccore-3.1.2.1-display"]),
        ("redirect_uri is optional", Basic, Rule(R::RedirectIsOptional), &["oidccore-3.1.2.1-redirect-uri"]),
        ("any query in a redirect", Basic, Rule(R::AnyRedirect), &["oidccore-3.1.2.1-redirect-query"]),
        ("acr is lost", Basic, Rule(R::AcrIsLost), &["oidccore-3.1.2.1-acr-values", "rfc9470-5-acr-values"]),
        ("an access token without acr", Basic, Token(|_, c| drop(c.remove("acr"))), &["rfc9470-6.1-access-token", "rfc9470-6.2-introspection"]),
        ("no token in the body", Basic, Rule(R::NoTokenInBody), &["oidccore-5.3.1-body"]),
        ("everything is told", Basic, Rule(R::EverythingIsTold), &["oidccore-5.4-no-more"]),
        ("a name as a number", Basic, On("/userinfo", |w| w.replace("\"Person\"", "1")), &["oidccore-5.4-profile", "oidccore-5.4-all"]),
        ("email_verified as text", Basic, On("/userinfo", |w| w.replace("\"email_verified\":true", "\"email_verified\":\"true\"")),
            &["oidccore-5.4-email"]),
        ("an address as text", Basic, On("/userinfo", |w| w.replace("{\"locality\":\"Town\"}", "\"Town\"")), &["oidccore-5.4-address"]),
        ("an empty telephone number", Basic, On("/userinfo", |w| w.replace("+1 555 0100", "")), &["oidccore-5.4-phone"]),
        ("updated_at as text", Basic, On("/userinfo", |w| w.replace("\"updated_at\":1", "\"updated_at\":\"1\"")), &["oidccore-5.4-all"]),
        ("claims is ignored", Basic, Rule(R::ClaimsAreIgnored), &["oidccore-5.5-malformed", "oidccore-5.5.1-told", "oidccore-5.5.1-subject"]),
        ("no auth_time though asked for", Basic, IdToken(|_, c| drop(c.remove("auth_time"))), &["oidccore-5.5.1-essential"]),
    ]
}

#[rustfmt::skip]
fn sign_out() -> Vec<Row> {
    vec![
        ("sign-out by GET only", Basic, Rule(R::LogoutIsGetOnly), &["rp-initiatedlogout-2-methods"]),
        ("nobody is signed out", Basic, Rule(R::LogoutDoesNothing),
            &["rp-initiatedlogout-2-signed-out", "rp-initiatedlogout-2-no-parameters", "rp-initiatedlogout-2-only-state",
              "rp-initiatedlogout-2-no-redirect"]),
        ("any hint", Basic, Rule(R::AnyHint), &["rp-initiatedlogout-2-hint-issued-here"]),
        ("any client at sign-out", Basic, Rule(R::AnyClientAtLogout), &["rp-initiatedlogout-2-client-id"]),
        ("sign-out in the open", Basic, Metadata(|m| set(m, "end_session_endpoint", json!(UNREACHABLE))), &["rp-initiatedlogout-2.1-metadata"]),
        ("state is lost at sign-out", Basic, Rule(R::LogoutLosesState), &["rp-initiatedlogout-3-redirect"]),
        ("any redirect after sign-out", Basic, Rule(R::AnyLogoutRedirect), &["rp-initiatedlogout-3-registered"]),
        ("a redirect without a hint", Basic, Rule(R::RedirectWithoutHint), &["rp-initiatedlogout-3-no-hint"]),
        ("redirects after sign-out are not told", Basic, On("/register", |w| w.edit(201, |m| drop(m.remove("post_logout_redirect_uris")))),
            &["rp-initiatedlogout-3.1-registration"]),
        ("a flag as text", Basic, Metadata(|m| set(m, "backchannel_logout_supported", json!("true"))), &["back-channellogout-2.1-metadata"]),
        ("the logout address is not told", Basic, On("/register", |w| w.edit(201, |m| drop(m.remove("backchannel_logout_uri")))),
            &["back-channellogout-2.2-registration"]),
        ("no sid", Basic, IdToken(|_, c| drop(c.remove("sid"))), &["back-channellogout-2.4-sid"]),
        ("nobody is told of a sign-out", Basic, Rule(R::LogoutIsNotTold), &["back-channellogout-2.5-request"]),
        ("a logout token as JSON", Basic, Rule(R::LogoutTokenAsJson), &["back-channellogout-2.5-request"]),
        ("a nonce in a logout token", Basic, Rule(R::LogoutTokenHasNonce), &["back-channellogout-2.4-logout-token"]),
        ("a refresh token outlives the session", Basic, Rule(R::RefreshOutlivesSession), &["back-channellogout-2.7-refresh-tokens"]),
    ]
}

#[rustfmt::skip]
fn devices() -> Vec<Row> {
    vec![
        ("devices without a name", Basic, On("/device_authorization", |w| w.restatus(401, 200)), &["rfc8628-3.1-client"]),
        ("empty is present for devices", Basic, Rule(R::EmptyIsPresent), &["rfc8628-3.1-empty-is-absent"]),
        ("unknown parameters of devices", Basic, Rule(R::RefuseUnknownParameters), &["rfc8628-3.1-unknown-ignored"]),
        ("a duplicate of a device", Basic, Rule(R::LastDuplicateWins), &["rfc8628-3.1-no-duplicates"]),
        ("devices in the open", Basic, Metadata(|m| set(m, "device_authorization_endpoint", json!(UNREACHABLE))), &["rfc8628-3.1-tls"]),
        ("expires_in as text", Basic, On("/device_authorization", |w| w.edit(200, |m| set(m, "expires_in", json!("600")))),
            &["rfc8628-3.2-response"]),
        ("one code for all devices", Basic, Rule(R::SameDeviceCode), &["rfc8628-3.2-unique"]),
        ("a complete page that is no URL", Basic,
            On("/device_authorization", |w| w.edit(200, |m| set(m, "verification_uri_complete", json!("device")))), &["rfc8628-3.2-complete"]),
        ("refused devices by another name", Basic, On("/device_authorization", |w| w.replace("unauthorized_client", "bad_client")),
            &["rfc8628-3.2-errors"]),
        ("approval does nothing", Basic, Rule(R::ApprovalDoesNothing), &["rfc8628-3.3-approval", "rfc8628-3.2-complete"]),
        ("the code is not shown", Basic, Rule(R::CodeIsNotShown), &["rfc8628-3.3.1-code-shown"]),
        ("no device code, by another name", Basic, On("/token", |w| w.replace("invalid_request", "bad_request")), &["rfc8628-3.4-device-code"]),
        ("a device's tokens may be cached", Basic, On("/token", |w| w.set("cache-control", "private")), &["rfc8628-3.5-success"]),
        ("pending by another name", Basic, On("/token", |w| w.replace("authorization_pending", "invalid_grant")), &["rfc8628-3.5-pending"]),
        ("haste is fine", Basic, Rule(R::HasteIsFine), &["rfc8628-3.5-slow-down"]),
        ("nobody is patient enough", Basic, Rule(R::NobodyIsPatient), &["rfc8628-3.5-interval"]),
        ("denied by another name", Basic, On("/token", |w| w.replace("access_denied", "invalid_grant")), &["rfc8628-3.5-access-denied"]),
        ("a device code for any client", Basic, Rule(R::DeviceCodeForAnyClient), &["rfc8628-3.5-invalid-grant"]),
        ("a device code works twice", Basic, Rule(R::DeviceCodeWorksTwice), &["rfc8628-3.5-once"]),
        ("a grant without its endpoint", Basic, Metadata(|m| drop(m.remove("device_authorization_endpoint"))), &["rfc8628-4-metadata"]),
        ("two letters", Basic, On("/device_authorization", |w| w.edit(200, |m| set(m, "user_code", json!("BC")))), &["rfc8628-5.1-entropy"]),
        ("opening approves", Basic, Rule(R::OpeningApproves), &["rfc8628-5.4-confirmation"]),
        ("letters of both cases", Basic, On("/device_authorization", |w| w.edit(200, |m| set(m, "user_code", json!("bCdFgHjK")))),
            &["rfc8628-6.1-characters"]),
        ("the code is typed exactly", Basic, Rule(R::CodeIsTypedExactly), &["rfc8628-6.1-comparison"]),
    ]
}

#[rustfmt::skip]
fn exchanges() -> Vec<Row> {
    vec![
        ("no subject, by another name", Basic, On("/token", |w| w.replace("invalid_request", "bad_request")), &["rfc8693-2.1-subject-token"]),
        ("any type of token", Basic, Rule(R::AnyTokenType), &["rfc8693-2.1-actor-token-type", "rfc8693-2.2.2-unknown-type"]),
        ("an exchange for any resource", Basic, Rule(R::AnyResource), &["rfc8693-2.1-resource", "rfc8693-2.2.2-invalid-target"]),
        ("anyone exchanges", Basic, Rule(R::AnyoneExchanges), &["rfc8693-2.1-client"]),
        ("what was issued is not told", Basic, On("/token", |w| w.edit(200, |m| drop(m.remove("issued_token_type")))),
            &["rfc8693-2.2.1-response"]),
        ("another type is issued", Basic,
            On("/token", |w| w.edit(200, |m| set(m, "issued_token_type", json!("urn:ietf:params:oauth:token-type:saml2")))),
            &["rfc8693-2.2.1-requested-type"]),
        ("no lifetime", Basic, On("/token", |w| w.edit(200, |m| drop(m.remove("expires_in")))), &["rfc8693-2.2.1-expires-in"]),
        ("exchanged scope is dropped in silence", Basic, Rule(R::SilentScope), &["rfc8693-2.2.1-scope"]),
        ("forged subjects", Basic, Rule(R::AnySignature), &["rfc8693-2.2.2-invalid-subject"]),
        ("revoked subjects", Basic, Rule(R::RevokedIsExchanged), &["rfc8693-2.2.2-revoked-subject"]),
        ("actors are ignored", Basic, Rule(R::ActorIsIgnored), &["rfc8693-2.2.2-invalid-actor", "rfc8693-4.1-act"]),
        ("actors say too much", Basic, Rule(R::ActorSaysTooMuch), &["rfc8693-4.1-act"]),
        ("another actor", Basic, Rule(R::ActorIsAnother), &["rfc8693-4.1-current-actor"]),
    ]
}

#[rustfmt::skip]
fn grants() -> Vec<Row> {
    vec![
        ("assertions are refused", Basic, On("/token", |w| w.restatus(200, 400)), &["rfc7523-2.1-grant", "id-jag-4.4-grant"]),
        ("no assertion, by another name", Basic, On("/token", |w| w.replace("invalid_request", "bad_request")), &["rfc7523-2.1-assertion"]),
        ("any sub of a grant", Basic, Rule(R::AnyAssertionSubject), &["rfc7523-3-grant-claims"]),
        ("any aud of a grant", Basic, Rule(R::AnyAssertionAudience), &["rfc7523-3-grant-audience", "id-jag-4.4.1-audience"]),
        ("any exp of a grant", Basic, Rule(R::AnyAssertionExpiry), &["rfc7523-3-grant-time"]),
        ("any nbf of a grant", Basic, Rule(R::AnyAssertionNotBefore), &["rfc7523-3-grant-time"]),
        ("any signature of a grant", Basic, Rule(R::AnySignature), &["rfc7523-3-grant-signature"]),
        ("invalid grants by another name", Basic, On("/token", |w| w.replace("invalid_grant", "bad_grant")),
            &["rfc7523-3.1-invalid-grant", "rfc7521-4.1.1-invalid-grant"]),
        ("a token for ever", Basic, On("/token", |w| w.edit(200, |m| set(m, "expires_in", json!(99_999_999)))), &["rfc7521-4.1-lifetime"]),
        ("a refresh token for an assertion", Basic, On("/token", |w| w.edit(200, |m| set(m, "refresh_token", json!("r")))),
            &["rfc7521-4.1-no-refresh-token", "id-jag-4.4.3-no-refresh-token"]),
    ]
}

#[rustfmt::skip]
fn signed_introspection() -> Vec<Row> {
    vec![
        ("a JWT as JSON", Basic, On("/introspect", |w| w.set("content-type", "application/json")), &["rfc9701-4-accept"]),
        ("an introspection of another typ", Basic, Rule(R::IntrospectionIsUntyped), &["rfc9701-5-typ"]),
        ("an introspection of an unknown key", Basic, Keys(|k| k.truncate(1)), &["rfc9701-5-signed"]),
        ("an introspection without iss", Basic, Rule(R::IntrospectionHasNoIssuer), &["rfc9701-5-claims"]),
        ("an introspection for nobody", Basic, Rule(R::IntrospectionIsForNobody), &["rfc9701-5-audience"]),
        ("an introspection that forgets", Basic, Rule(R::IntrospectionForgets), &["rfc9701-5-active"]),
        ("an introspection that tells of the inactive", Basic, Rule(R::IntrospectionTellsInactive), &["rfc9701-5-inactive"]),
        ("an introspection for all", Basic, Rule(R::AuthenticationIsOptional), &["rfc9701-5-authentication"]),
        ("an introspection like an access token", Basic, Rule(R::IntrospectionLooksLikeAccess), &["rfc9701-5-no-sub-and-exp"]),
        ("introspections with ES256", Basic, Rule(R::IntrospectionIsEs256), &["rfc9701-6-default"]),
        ("introspections with RS256", Basic, Rule(R::IntrospectionIsRs256), &["rfc9701-6-registered"]),
        ("introspections in the open", Basic, Rule(R::IntrospectionIsPlain), &["rfc9701-6-encrypted"]),
        ("none for introspections", Basic, Metadata(|m| set(m, "introspection_signing_alg_values_supported", json!(["none"]))),
            &["rfc9701-7-metadata"]),
    ]
}

#[rustfmt::skip]
fn identity_assertions() -> Vec<Row> {
    vec![
        ("identity claims are optional", Basic, Rule(R::JagClaimsAreOptional), &["id-jag-3.1-claims"]),
        ("any identity is exchanged", Basic, Rule(R::AnyIdentityIsExchanged), &["id-jag-4.3-audience", "id-jag-4.3.3-subject-of-the-client"]),
        ("any typ of an identity assertion", Basic, Rule(R::AnyJagType), &["id-jag-4.4.1-typ"]),
        ("an identity assertion for any client", Basic, Rule(R::AnyJagClient), &["id-jag-4.4.1-client"]),
        ("profiles as text", Basic, Metadata(|m| set(m, "authorization_grant_profiles_supported", json!("id-jag"))), &["id-jag-7-profiles"]),
        ("anyone asserts", Basic, Rule(R::AnyoneAsserts), &["id-jag-8.1-confidential"]),
    ]
}

#[rustfmt::skip]
fn global_revocation() -> Vec<Row> {
    vec![
        ("global revocation in the open", Basic, Metadata(|m| set(m, "global_token_revocation_endpoint", json!(UNREACHABLE))),
            &["globaltokenrevocation-3.1-tls"]),
        ("anyone revokes globally", Basic, Rule(R::AnyoneRevokesGlobally),
            &["globaltokenrevocation-3.2-authenticated", "globaltokenrevocation-6.1-narrow"]),
        ("malformed is fine", Basic, On("/global", |w| w.restatus(400, 204)), &["globaltokenrevocation-3.4.2-malformed"]),
        ("nobody is found", Basic, On("/global", |w| w.restatus(404, 204)), &["globaltokenrevocation-3.4.2-unknown"]),
        ("a method as text", Basic, Metadata(|m| set(m, "global_token_revocation_endpoint_auth_methods_supported", json!("Bearer"))),
            &["globaltokenrevocation-5-methods"]),
    ]
}

#[rustfmt::skip]
fn proofs() -> Vec<Row> {
    vec![
        ("two proofs", Basic, Rule(R::TwoProofs), &["rfc9449-4.3-one-header"]),
        ("anything is a proof", Basic, Rule(R::AnythingIsAProof), &["rfc9449-4.3-well-formed"]),
        ("claims of a proof are optional", Basic, Rule(R::ProofClaimsAreOptional), &["rfc9449-4.3-claims"]),
        ("any typ of a proof", Basic, Rule(R::AnyProofType), &["rfc9449-4.3-typ"]),
        ("unsigned proofs", Basic, Rule(R::UnsignedProofs), &["rfc9449-4.3-alg"]),
        ("any signature of a proof", Basic, Rule(R::AnyProofSignature), &["rfc9449-4.3-signature"]),
        ("private keys in proofs", Basic, Rule(R::PrivateKeysInProofs), &["rfc9449-4.3-no-private-key"]),
        ("any method in a proof", Basic, Rule(R::AnyProofMethod), &["rfc9449-4.3-htm", "rfc9449-7.1-checked"]),
        ("any URL in a proof", Basic, Rule(R::AnyProofUrl), &["rfc9449-4.3-htu", "rfc9449-7.1-checked"]),
        ("the URL of a proof letter by letter", Basic, Rule(R::ProofUrlIsExact), &["rfc9449-4.3-htu-normalized"]),
        ("any time of a proof", Basic, Rule(R::AnyProofTime), &["rfc9449-4.3-window", "rfc9449-7.1-checked"]),
        ("a proof works twice", Basic, Rule(R::ProofWorksTwice), &["rfc9449-11.1-once"]),
        ("invalid_dpop_proof by another name", Basic, On("/token", |w| w.replace("invalid_dpop_proof", "invalid_request")),
            &["rfc9449-5-invalid-proof"]),
        ("any nonce", Basic, Rule(R::AnyNonce), &["rfc9449-8-nonce-checked", "rfc9449-9-resource-nonce"]),
        ("any nonce where one is wanted", Post, Rule(R::AnyNonce), &["rfc9449-8-nonce-checked"]),
        ("use_dpop_nonce by another name", Basic, On("/token", |w| w.replace("use_dpop_nonce", "invalid_dpop_proof")),
            &["rfc9449-8-challenge"]),
        ("no nonce where one is wanted", Basic, On("/token", |w| if w.status == 400 { w.remove("dpop-nonce") }), &["rfc9449-8-challenge"]),
        ("a nonce that is not kept", Basic, On("/token", |w| w.replace("n0nce-of-the-server", "n0nce-of-another")), &["rfc9449-8-challenge"]),
        ("the wish for a nonce spends the code", Basic, Rule(R::NonceSpendsCode), &["rfc9449-8-code-survives"]),
        ("a nonce with spaces", Basic, On("/token", |w| w.replace("n0nce-of-the-server", "n0nce of the server")), &["rfc9449-8.1-syntax"]),
        ("nonces may be stored", Basic, On("/token", |w| w.remove("cache-control")), &["rfc9449-8.2-not-cached"]),
        ("the API is silent about its nonce", Basic, On("/api/me", |w| w.replace("use_dpop_nonce", "invalid_token")),
            &["rfc9449-9-resource-nonce"]),
    ]
}

#[rustfmt::skip]
fn bound_tokens() -> Vec<Row> {
    vec![
        ("bound tokens are called bearer tokens", Basic, On("/token", |w| w.replace("\"DPoP\"", "\"Bearer\"")), &["rfc9449-5-token-type"]),
        ("tokens are not bound", Basic, Rule(R::TokensAreNotBound),
            &["rfc9449-5-token-type", "rfc9449-5-grants", "rfc9449-6.1-jkt", "rfc9449-6.2-introspection"]),
        ("a refresh token for any key", Basic, Rule(R::RefreshForAnyKey), &["rfc9449-5-refresh-binding"]),
        ("refresh tokens of all are bound", Basic, Rule(R::RefreshIsBoundForAll), &["rfc9449-5-refresh-of-confidential"]),
        ("HS256 for proofs", Basic, Metadata(|m| set(m, "dpop_signing_alg_values_supported", json!(["ES256", "HS256"]))),
            &["rfc9449-5.1-metadata"]),
        ("a proof is optional", Basic, Rule(R::ProofIsOptional), &["rfc9449-5.2-always"]),
        ("another key is introspected", Basic, On("/introspect", |w| w.edit(200, |m| set(m, "cnf", json!({"jkt": "other"})))),
            &["rfc9449-6.2-introspection"]),
        ("another type is introspected", Basic, On("/introspect", |w| w.edit(200, |m| set(m, "token_type", json!("Bearer")))),
            &["rfc9449-6.2-introspection"]),
        ("a proven token is refused", Basic, On("/userinfo", |w| w.restatus(200, 401)), &["rfc9449-7.1-scheme"]),
        ("no proof for a resource", Basic, Rule(R::ApiNeedsNoProof), &["rfc9449-7.1-proof"]),
        ("any ath", Basic, Rule(R::AnyAth), &["rfc9449-7-ath"]),
        ("any key for a resource", Basic, Rule(R::AnyProofKey), &["rfc9449-7.1-key", "rfc9449-7.1-error"]),
        ("a challenge without algorithms", Basic, On("/userinfo", |w| w.replace(" algs=\"ES256\",", "")), &["rfc9449-7.1-algs"]),
        ("bound tokens are bearer tokens", Basic, Rule(R::BoundIsBearer), &["rfc9449-7.2-no-downgrade"]),
        ("an error before anything was shown", Basic, On("/api/me", |w| w.replace("algs=\"ES256\"", "error=\"invalid_token\"")),
            &["rfc9449-7.2-no-error-without-token"]),
        ("dpop_jkt is ignored", Basic, Rule(R::CodeKeyIsIgnored), &["rfc9449-10-dpop-jkt", "rfc9449-10.1-pushed"]),
        ("a pushed proof is ignored", Basic, Rule(R::PushedProofIsIgnored), &["rfc9449-10.1-pushed"]),
        ("a pushed proof is not checked", Basic, Rule(R::PushedProofIsAnything), &["rfc9449-10.1-checked"]),
        ("two keys are pushed", Basic, Rule(R::PushedKeysDiffer), &["rfc9449-10.1-both"]),
    ]
}

#[rustfmt::skip]
fn certificates() -> Vec<Row> {
    vec![
        ("any certificate of a client", Basic, Rule(R::AnyClientCertificate), &["rfc8705-2.2-self-signed"]),
        ("userinfo refuses certificates", Basic, On("/userinfo", |w| w.restatus(200, 401)), &["rfc8705-3-same-certificate"]),
        ("any certificate at userinfo", Basic, Rule(R::AnyCertificate), &["rfc8705-3-other-certificate"]),
        ("certificates are forgotten", Basic, Rule(R::CertificateIsForgotten),
            &["rfc8705-3.1-thumbprint", "rfc8705-3.2-introspection", "rfc8705-4-public-clients"]),
        ("introspection forgets certificates", Basic, On("/introspect", |w| w.edit(200, |m| drop(m.remove("cnf")))),
            &["rfc8705-3.2-introspection"]),
        ("a flag as text", Basic, Metadata(|m| set(m, "tls_client_certificate_bound_access_tokens", json!("true"))), &["rfc8705-3.3-metadata"]),
        ("public clients are not bound", Basic, Rule(R::PublicIsNotBound), &["rfc8705-4-public-clients"]),
        ("a refresh token for any certificate", Basic, Rule(R::RefreshForAnyCertificate), &["rfc8705-4-refresh-tokens"]),
        ("an alias in the open", Basic, Metadata(|m| set(m, "mtls_endpoint_aliases", json!({"token_endpoint": UNREACHABLE}))),
            &["rfc8705-5-aliases"]),
        ("clients are believed about certificates", Basic, Rule(R::ClientCertIsBelieved), &["rfc9440-2.4-not-from-clients"]),
    ]
}

#[rustfmt::skip]
fn client_documents() -> Vec<Row> {
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

/// What must fail of profiles, by the profile.
type ProfileRow = (&'static str, &'static str, Fault, &'static [&'static str]);

#[rustfmt::skip]
pub(crate) fn of_profiles() -> Vec<ProfileRow> {
    let signing = "fapi2-message-signing";
    vec![
        ("a name is enough", "fapi2", Rule(R::NameIsEnough), &["fapi2-5.3.2.1-confidential", "fapi2-5.3.2.2-push-authenticated"]),
        ("a proof is optional", "fapi2", Rule(R::ProofIsOptional), &["fapi2-5.3.2.1-sender-constrained"]),
        ("tokens are not bound", "fapi2", Rule(R::TokensAreNotBound), &["fapi2-5.3.2.1-method"]),
        ("pushes are refused", "fapi2", On("/par", |w| w.restatus(201, 400)), &["fapi2-5.3.2.1-authentication", "fapi2-5.3.2.2-pushed"]),
        ("any audience", "fapi2", Rule(R::AnyAssertionAudience), &["fapi2-5.3.2.1-audience"]),
        ("rotation for all", "fapi2", Rule(R::RotatesForAll), &["fapi2-5.3.2.1-no-rotation"]),
        ("dpop_jkt is ignored", "fapi2", Rule(R::CodeKeyIsIgnored), &["fapi2-5.3.2.1-code-binding"]),
        ("clocks must agree", "fapi2", Rule(R::NoClockSkew), &["fapi2-5.3.2.1-clocks"]),
        ("clocks do not matter", "fapi2", Rule(R::AnyAssertionTime), &["fapi2-5.3.2.1-clocks"]),
        ("any response type", "fapi2", Rule(R::AnyResponseType), &["fapi2-5.3.2.2-code"]),
        ("plain requests", "fapi2", Rule(R::ClientMayAskOtherwise), &["fapi2-5.3.2.2-only-pushed"]),
        ("PKCE is optional", "fapi2", Rule(R::PkceIsOptional), &["fapi2-5.3.2.2-pkce"]),
        ("redirect_uri is optional", "fapi2", Rule(R::RedirectIsOptional), &["fapi2-5.3.2.2-redirect-uri"]),
        ("no iss", "fapi2", Rule(R::NoIss), &["fapi2-5.3.2.2-iss"]),
        ("any redirect is registered", "fapi2", Rule(R::AnyRedirectIsRegistered), &["fapi2-5.3.2.2-no-http-redirect"]),
        ("a code works twice", "fapi2", Rule(R::CodeWorksTwice), &["fapi2-5.3.2.2-code-once"]),
        ("credentials go on", "fapi2", On("/login", |w| w.restatus(303, 307)), &["fapi2-5.3.2.2-no-307", "fapi2-5.3.2.2-303"]),
        ("ten minutes", "fapi2", On("/par", |w| w.edit(201, |m| set(m, "expires_in", json!(600)))), &["fapi2-5.3.2.2-expires-in"]),
        ("one nonce for all", "fapi2", IdToken(|_, c| set(c, "nonce", json!("n"))), &["fapi2-5.3.2.2-nonce"]),
        ("a proven token is refused", "fapi2", On("/userinfo", |w| w.restatus(200, 401)), &["fapi2-5.3.4-header"]),
        ("bound tokens are bearer tokens", "fapi2", Rule(R::BoundIsBearer), &["fapi2-5.3.4-verified"]),
        ("userinfo takes a token in the query", "fapi2", Rule(R::UserinfoTakesQuery), &["fapi2-5.3.4-no-query"]),
        ("ID tokens with RS256", "fapi2", IdToken(|h, _| { set(h, "alg", json!("RS256")); set(h, "kid", json!("rsa1")); }),
            &["fapi2-5.4.1-algorithms"]),
        ("any signature of an assertion", "fapi2", Rule(R::AnySignature), &["fapi2-5.4.1-algorithms"]),
        ("keys in the open", "fapi2", Metadata(|m| set(m, "jwks_uri", json!(UNREACHABLE))), &["fapi2-5.4.2-tls"]),
        ("unsigned pushes", signing, Rule(R::UnsignedPush), &["fapi2-message-signing-5.3.1-signed"]),
        ("any signature of an object", signing, Rule(R::AnyObjectSignature), &["fapi2-message-signing-5.3.1-signed"]),
        ("an object for anyone", signing, Rule(R::ObjectForAnyone), &["fapi2-message-signing-5.3.1-audience"]),
        ("an object for one alone", signing, Rule(R::ObjectAudienceIsText), &["fapi2-message-signing-5.3.1-audience"]),
        ("any nbf of an object", signing, Rule(R::AnyObjectNotBefore), &["fapi2-message-signing-5.3.1-not-before"]),
        ("any exp of an object", signing, Rule(R::AnyObjectExpiry), &["fapi2-message-signing-5.3.1-expiry"]),
        ("objects are refused", signing, Rule(R::ObjectsAreRefused), &["fapi2-message-signing-5.3.1-typ"]),
        ("plain responses", signing, Rule(R::PlainResponses), &["fapi2-message-signing-5.4.1-signed"]),
        ("unsigned responses", signing, Rule(R::JarmIsUnsigned), &["fapi2-message-signing-5.4.1-signed"]),
        ("introspection as JSON", signing, On("/introspect", |w| w.set("content-type", "application/json")),
            &["fapi2-message-signing-5.5.1-introspection"]),
        ("no documents", "mcp", Metadata(|m| drop(m.remove("client_id_metadata_document_supported"))), &["mcp-3-client-documents"]),
        ("no scope in the challenge", "mcp", On("/api/me", |w| w.replace("scope=\"read\", ", "")), &["mcp-6-scope"]),
        ("tokens for a day", "mcp", On("/token", |w| w.edit(200, |m| set(m, "expires_in", json!(86_400)))), &["mcp-12-short-lived"]),
        ("PKCE is not announced", "mcp", OpenId(|m| drop(m.remove("code_challenge_methods_supported"))), &["mcp-12-pkce-announced"]),
    ]
}
