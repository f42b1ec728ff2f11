//! The framework: endpoints, tokens, codes and refresh tokens.

use serde_json::json;

use super::{Row, set};
use crate::server::Fault::{Metadata, Rule, Token, Wire as On};
use crate::server::Rule as R;
use crate::server::Who::{Basic, Key, Post};
use crate::server::Wire;

fn to_stranger(wire: &mut Wire) {
    *wire = Wire::new(303).with(
        "location",
        "https://stranger.example/callback?error=invalid_request",
    );
}

#[rustfmt::skip]
pub(super) fn token_endpoint() -> Vec<Row> {
    vec![
        ("two methods at once", Basic, Rule(R::TwoMethods), &["rfc6749-2.3-one-method"]),
        ("Basic is refused", Basic, On("/token", |w| w.restatus(200, 401)), &["rfc6749-2.3.1-basic"]),
        ("empty is missing by another name", Basic, On("/token", |w| w.replace("invalid_request", "bad_request")),
            &["rfc6749-3.2-empty-is-absent"]),
        ("JSON is fine", Basic, On("/token", |w| w.restatus(400, 200)), &["rfc6749-4.4.2-parameters-in-body"]),
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
pub(super) fn tokens() -> Vec<Row> {
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
pub(super) fn revocation() -> Vec<Row> {
    vec![
        ("revocation is down", Basic, On("/revoke", |w| w.restatus(200, 503)), &["rfc7009-2-access-tokens", "rfc7009-2.2-success"]),
        ("no token is fine", Basic, On("/revoke", |w| w.restatus(400, 200)), &["rfc7009-2.1-token-required"]),
        ("any secret revokes", Basic, On("/revoke", |w| w.restatus(401, 200)), &["rfc7009-2.1-client-authentication"]),
        ("revoked twice", Basic, Rule(R::RevokedTwiceFails), &["rfc7009-2.2-invalid-token"]),
        ("ID tokens bring revocation down", Basic, On("/revoke", |w| w.restatus(200, 500)), &["rfc7009-2.2.1-errors"]),
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
pub(super) fn introspection() -> Vec<Row> {
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
pub(super) fn assertions() -> Vec<Row> {
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

#[rustfmt::skip]
pub(super) fn authorization() -> Vec<Row> {
    vec![
        ("empty is present at authorize", Basic, Rule(R::EmptyIsPresent), &["rfc6749-3.1-empty-is-absent"]),
        ("no response type, by another name", Basic, On("/authorize", |w| w.replace("invalid_request", "bad_request")),
            &["rfc6749-3.1-empty-is-absent"]),
        ("an audience of its own", Basic, Token(|_, c| set(c, "aud", json!("https://other.example"))),
            &["rfc8707-2.1-authorization-endpoint", "rfc8707-2.2-of-the-grant"]),
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
pub(super) fn codes() -> Vec<Row> {
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
pub(super) fn refresh_tokens() -> Vec<Row> {
    vec![
        ("no refresh", Basic, Rule(R::RefreshIsRefused), &["rfc6749-6-refresh"]),
        ("a refresh token for any client", Basic, Rule(R::RefreshForAnyClient), &["rfc6749-6-refresh-binding"]),
        ("scope does not narrow", Basic, On("/token", |w| w.edit(200, |m| set(m, "scope", json!("everything")))), &["rfc6749-6-refresh-scope"]),
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
