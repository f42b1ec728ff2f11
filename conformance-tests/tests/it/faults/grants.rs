//! Devices, exchanges and assertions, and what is told of what came of them.

use serde_json::json;

use super::{Row, UNREACHABLE, set};
use crate::server::Fault::{Keys, Metadata, Rule, Wire as On};
use crate::server::Rule as R;
use crate::server::Who::Basic;

#[rustfmt::skip]
pub(super) fn devices() -> Vec<Row> {
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
        ("any client has a device", Basic, On("/device_authorization", |w| w.restatus(401, 200)), &["rfc8628-3.2-errors"]),
        ("an invented code by another name", Basic, On("/token", |w| w.replace("invalid_grant", "bad_grant")), &["rfc8628-3.5-invalid-grant"]),
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
pub(super) fn exchanges() -> Vec<Row> {
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
        ("no token, by another name", Basic, On("/token", |w| w.replace("invalid_request", "bad_request")), &["rfc8693-2.2.2-invalid-subject"]),
        ("forged subjects", Basic, Rule(R::AnySignature), &["rfc8693-2.2.2-invalid-subject"]),
        ("revoked subjects", Basic, Rule(R::RevokedIsExchanged), &["rfc8693-2.2.2-revoked-subject"]),
        ("actors are ignored", Basic, Rule(R::ActorIsIgnored), &["rfc8693-2.2.2-invalid-actor", "rfc8693-4.1-act"]),
        ("actors say too much", Basic, Rule(R::ActorSaysTooMuch), &["rfc8693-4.1-act"]),
        ("another actor", Basic, Rule(R::ActorIsAnother), &["rfc8693-4.1-current-actor"]),
    ]
}

#[rustfmt::skip]
pub(super) fn grants() -> Vec<Row> {
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
pub(super) fn signed_introspection() -> Vec<Row> {
    vec![
        ("JSON is not acceptable", Basic, On("/introspect", |w| w.restatus(200, 406)), &["rfc9701-4-accept"]),
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
pub(super) fn identity_assertions() -> Vec<Row> {
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
pub(super) fn global_revocation() -> Vec<Row> {
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
