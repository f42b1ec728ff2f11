//! Clients that register, and requests and responses that do not come in a query.

use serde_json::json;

use super::{Row, UNREACHABLE, set};
use crate::server::Fault::{Metadata, Rule, Wire as On};
use crate::server::Rule as R;
use crate::server::Who::{Basic, Post};

#[rustfmt::skip]
pub(super) fn registrations() -> Vec<Row> {
    vec![
        ("registration in the open", Basic, Metadata(|m| set(m, "registration_endpoint", json!(UNREACHABLE))), &["rfc7591-3-tls"]),
        ("no grant types are told", Basic, On("/register", |w| w.edit(201, |m| drop(m.remove("grant_types")))),
            &["rfc7591-2-defaults", "rfc7591-3.2.1-metadata"]),
        ("another secret is told", Basic, On("/register", |w| w.edit(201, |m| set(m, "client_secret", json!("s3cret-of-another")))),
            &["rfc7591-3.2.1-secret"]),
        ("what is no JSON brings it down", Basic, On("/register", |w| w.restatus(400, 500)), &["rfc7591-3.2.2-invalid-client-metadata"]),
        ("any logout address", Basic, Rule(R::AnyLogoutAddress), &["back-channellogout-2.2-registration"]),
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
pub(super) fn pushed_requests() -> Vec<Row> {
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
        ("what stands beside a push counts", Basic, Rule(R::OutsideCounts), &["rfc9126-4-authorization"]),
        ("a push works twice", Basic, Rule(R::PushWorksTwice), &["rfc9126-4-once"]),
        ("loading spends", Basic, Rule(R::LoadSpends), &["rfc9126-4-reload"]),
        ("an unknown push is any", Basic, Rule(R::UnknownPushIsAny), &["rfc9126-4-unknown"]),
        ("pushing is announced as required", Basic, Metadata(|m| set(m, "require_pushed_authorization_requests", json!(true))),
            &["rfc9126-5-required"]),
        ("a client may ask otherwise", Basic, Rule(R::ClientMayAskOtherwise), &["rfc9126-6-required-of-client", "rfc9101-10.5-required"]),
    ]
}

#[rustfmt::skip]
pub(super) fn request_objects() -> Vec<Row> {
    vec![
        ("objects are refused", Basic, Rule(R::ObjectsAreRefused), &["rfc9101-4-signed"]),
        ("objects within objects", Basic, Rule(R::NestedObjects), &["rfc9101-4-not-nested"]),
        ("any client in an object", Basic, Rule(R::AnyClientInObject), &["rfc9101-5-client-id"]),
        ("an assertion is an object", Basic, Rule(R::AssertionIsAnObject), &["rfc9101-10.8-confused"]),
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
pub(super) fn signed_responses() -> Vec<Row> {
    vec![
        ("a response for nobody", Basic, Rule(R::JarmIsForNobody), &["jarm-2.1-claims"]),
        ("errors are not signed", Basic, Rule(R::JarmErrorsArePlain), &["jarm-2.1-errors"]),
        ("an unsigned response", Basic, Rule(R::JarmIsUnsigned), &["jarm-2.2-signed"]),
        ("always in the fragment", Basic, Rule(R::JarmInFragment), &["jarm-2.3.1-query", "jarm-2.3.3-form-post", "jarm-2.3.4-default"]),
        ("always in the query", Basic, Rule(R::JarmInQuery), &["jarm-2.3.2-fragment", "jarm-2.3.3-form-post"]),
    ]
}

#[rustfmt::skip]
pub(super) fn details() -> Vec<Row> {
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
