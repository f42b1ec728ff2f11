//! OpenID Connect: people who sign in, what is said of them, and how they sign out.

use serde_json::json;

use super::{Row, UNREACHABLE, set};
use crate::server::Fault::{IdToken, Metadata, Rule, Token, Wire as On};
use crate::server::Rule as R;
use crate::server::Who::{Basic, Key};
use crate::server::Wire;

#[rustfmt::skip]
pub(super) fn sign_in() -> Vec<Row> {
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
pub(super) fn id_tokens() -> Vec<Row> {
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
pub(super) fn claims() -> Vec<Row> {
    vec![
        ("everybody signs in again", Basic, Rule(R::AlwaysSignsIn), &["oidccore-3.1.2.1-max-age-within"]),
        ("nothing is silent", Basic, Rule(R::NoneIsRefused), &["oidccore-3.1.2.1-prompt-none-consented"]),
        ("nobody is there, by another name", Basic, On("/authorize", |w| w.replace("login_required", "interaction_required")),
            &["oidccore-3.1.2.1-id-token-hint"]),
        ("the query of a redirect is lost", Basic, On("/consent", |w| w.replace("tenant", "lost")), &["oidccore-3.1.2.1-redirect-query"]),
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

fn invent_state(wire: &mut Wire) {
    for (name, value) in &mut wire.headers {
        if *name == "location" && !value.contains("state=") {
            value.push_str("?state=invented");
        }
    }
}

#[rustfmt::skip]
pub(super) fn sign_out() -> Vec<Row> {
    vec![
        ("sign-out by GET only", Basic, Rule(R::LogoutIsGetOnly), &["rp-initiatedlogout-2-methods"]),
        ("signing out ends nowhere", Basic, On("/logout", |w| w.restatus(303, 200)), &["rp-initiatedlogout-2-methods"]),
        ("a state of its own", Basic, On("/logout", invent_state), &["rp-initiatedlogout-3-redirect"]),
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
