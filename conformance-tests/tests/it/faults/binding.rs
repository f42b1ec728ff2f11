//! Tokens that are bound to keys and to certificates.

use serde_json::json;

use super::{Row, UNREACHABLE, set};
use crate::server::Fault::{Metadata, Rule, Wire as On};
use crate::server::Rule as R;
use crate::server::Who::{Basic, Post};
use crate::server::Wire;

#[rustfmt::skip]
pub(super) fn proofs() -> Vec<Row> {
    vec![
        ("two proofs", Basic, Rule(R::TwoProofs), &["rfc9449-4.3-one-header"]),
        ("anything is a proof", Basic, Rule(R::AnythingIsAProof), &["rfc9449-4.3-well-formed"]),
        ("claims of a proof are optional", Basic, Rule(R::ProofClaimsAreOptional), &["rfc9449-4.3-claims"]),
        ("any typ of a proof", Basic, Rule(R::AnyProofType), &["rfc9449-4.3-typ"]),
        ("unsigned proofs", Basic, Rule(R::UnsignedProofs), &["rfc9449-4.3-alg"]),
        ("proofs by RS256", Basic, Rule(R::Rs256Proofs), &["rfc9449-5.1-announced"]),
        ("any signature of a proof", Basic, Rule(R::AnyProofSignature), &["rfc9449-4.3-signature"]),
        ("private keys in proofs", Basic, Rule(R::PrivateKeysInProofs), &["rfc9449-4.3-no-private-key"]),
        ("any method in a proof", Basic, Rule(R::AnyProofMethod), &["rfc9449-4.3-htm", "rfc9449-7.1-checked"]),
        ("any URL in a proof", Basic, Rule(R::AnyProofUrl), &["rfc9449-4.3-htu", "rfc9449-7.1-checked"]),
        ("the URL of a proof letter by letter", Basic, Rule(R::ProofUrlIsExact), &["rfc9449-4.3-htu-normalized"]),
        ("any time of a proof", Basic, Rule(R::AnyProofTime), &["rfc9449-4.3-window", "rfc9449-7.1-checked"]),
        ("a proof works twice", Basic, Rule(R::ProofWorksTwice), &["rfc9449-11.1-once", "rfc9449-11.1-once-at-resources"]),
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

fn complain(wire: &mut Wire) {
    for (_, value) in &mut wire.headers {
        if value == "Bearer" {
            value.push_str(" error=\"invalid_token\"");
        }
    }
}

#[rustfmt::skip]
pub(super) fn bound_tokens() -> Vec<Row> {
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
        ("a proven token is refused by the API", Basic, On("/api/me", |w| w.restatus(200, 401)), &["rfc9449-7.1-scheme"]),
        ("a challenge of the API without algorithms", Basic, On("/api/me", |w| w.replace("algs=\"ES256\"", "realm=\"api\"")),
            &["rfc9449-7.1-algs"]),
        ("an error of userinfo before anything was shown", Basic, On("/userinfo", complain), &["rfc9449-7.2-no-error-without-token"]),
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
pub(super) fn certificates() -> Vec<Row> {
    vec![
        ("any number of subjects", Basic, Rule(R::AnyCertificateSubjects), &["rfc8705-2.1.2-one-subject"]),
        ("certificates authenticate nobody", Basic, On("/token", |w| w.restatus(200, 401)), &["rfc8705-2.2-self-signed"]),
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
