//! What must fail of profiles, by the profile.

use serde_json::json;

use super::{ProfileRow, UNREACHABLE, set};
use crate::server::Fault::{IdToken, Metadata, OpenId, Rule, Wire as On};
use crate::server::Rule as R;

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
