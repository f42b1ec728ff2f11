//! What the authorization endpoint answers with beside a code (RFC 6749 §4.2, OpenID Connect Core §3.2, §3.3), and answers as JWTs (JARM).

mod signed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use auth_server::authorize::request::ResponseType;
use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;
use url::Url;

use crate::browser::{Browser, EMAIL, Page, parameter};
use crate::introspection::eventually;
use crate::person::{self, REDIRECT, claims, is_active, userinfo};
use crate::server::{API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_3_each_type_brings_what_it_says,
    oidc_core_3_what_is_refused,
    rfc7591_2_1_types_go_with_their_grants,
    rfc8414_only_what_is_configured_is_served_and_announced,
    rfc6749_4_2_a_token_without_a_code_dies_with_the_session,
    rfc6749_4_2_nothing_in_front_is_offline,
);

fn word(scope: &str) -> Vec<&str> {
    let mut words: Vec<_> = scope.split(' ').collect();
    words.sort_unstable();
    words
}

/// An app that may ask for all of these.
pub(crate) fn metadata(types: &[ResponseType]) -> ClientMetadata {
    let mut metadata = person::app(AuthMethod::ClientSecretBasic);
    let uses = |wanted: fn(ResponseType) -> bool| types.iter().any(|known| wanted(*known));
    metadata.grant_types = BTreeSet::new();
    if uses(ResponseType::has_code) {
        metadata.grant_types = [GrantType::AuthorizationCode, GrantType::RefreshToken].into();
    }
    if uses(ResponseType::is_in_front) {
        metadata.grant_types.insert(GrantType::Implicit);
    }
    metadata.response_types = types.to_vec();
    metadata
}

pub(crate) async fn started(stores: &Stores) -> (TestServer, TestClient, TestClient) {
    let mut config = config(stores);
    config.authorization.response_types = ResponseType::ALL.into();
    let server = TestServer::start_with(config, Arc::default()).await;
    let api = server.client(AuthMethod::ClientSecretBasic, "").await;
    let server = server.with_resources(Some(&api)).await;
    server.person(EMAIL).await;
    let app = server.register(metadata(&ResponseType::ALL)).await;
    (server, app, api)
}

/// The parameters of an answer by redirect, wherever they are, and whether that is the fragment.
pub(crate) fn told(answer: &Url) -> (BTreeMap<String, String>, bool) {
    assert!(answer.as_str().starts_with(REDIRECT), "{answer}");
    let in_fragment = answer.fragment().is_some();
    let encoded = answer.fragment().or(answer.query()).unwrap_or_default();
    assert!(!in_fragment || answer.query().is_none(), "{answer}");
    let pairs = url::form_urlencoded::parse(encoded.as_bytes()).into_owned();
    (pairs.collect(), in_fragment)
}

fn asking(response_type: &str) -> [(&str, &str); 4] {
    [
        ("response_type", response_type),
        ("nonce", "n-0S6_WzA2Mj"),
        (
            "code_challenge",
            if response_type.contains("code") {
                person::CHALLENGE
            } else {
                ""
            },
        ),
        (
            "code_challenge_method",
            if response_type.contains("code") {
                "S256"
            } else {
                ""
            },
        ),
    ]
}

fn left_half(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(token)[..16])
}

async fn oidc_core_3_each_type_brings_what_it_says(stores: &Stores) {
    let (server, app, api) = started(stores).await;
    let browser = Browser::new(&server);
    for response_type in ResponseType::ALL {
        let name = response_type.as_str();
        // The words in another order mean the same.
        let mut words: Vec<_> = name.split(' ').collect();
        words.reverse();
        for raw in [name, &words.join(" ")] {
            let url = server.authorize_url(&app, &asking(raw));
            let (answer, in_fragment) = told(&browser.sign_in_and_consent(url).await);
            let has = |name: &str| answer.contains_key(name);
            assert_eq!(has("code"), response_type.has_code(), "{raw}: {answer:?}");
            assert_eq!(has("id_token"), response_type.has_id_token(), "{raw}");
            for name in ["access_token", "token_type", "expires_in", "scope"] {
                assert_eq!(has(name), response_type.has_token(), "{raw} {name}");
            }
            assert_eq!(in_fragment, raw.contains("token"), "{raw}");
            assert_eq!(answer["state"], "af0ifjsldkj");
            assert_eq!(answer["iss"], server.issuer);
            assert!(!has("error") && !has("refresh_token"), "{raw}");
            let mut grants = Vec::new();
            if let Some(token) = answer.get("access_token") {
                assert_eq!(answer["token_type"], "Bearer");
                assert_eq!(answer["expires_in"], "300");
                assert_eq!(word(&answer["scope"]), ["openid", "read"]);
                let told = claims(token);
                assert_eq!(
                    (&told["aud"], &told["client_id"]),
                    (&json!(API), &json!(app.id))
                );
                assert_eq!(told["scope"], "read");
                grants.push(told["grant_id"].as_str().unwrap().to_owned());
                assert!(is_active(&server, &api, token).await);
                assert_eq!(userinfo(&server, token).await.status, 200);
            }
            if let Some(token) = answer.get("id_token") {
                let told = claims(token);
                assert_eq!(told["nonce"], "n-0S6_WzA2Mj");
                assert_eq!(
                    (&told["aud"], &told["iss"]),
                    (&json!(app.id), &json!(server.issuer))
                );
                let hash = |name: &str| answer.get(name).map(|token| json!(left_half(token)));
                assert_eq!(told.get("at_hash").cloned(), hash("access_token"), "{raw}");
                assert_eq!(told.get("c_hash").cloned(), hash("code"), "{raw}");
                assert!(told["sid"].is_string() && told["auth_time"].is_i64());
            }
            if let Some(code) = answer.get("code") {
                let form = person::code_form(code);
                let tokens = server.post_as(&app, "/oauth/token", &form).await;
                assert_eq!(tokens.status, 200, "{raw}: {}", tokens.body);
                let told = claims(tokens.text("access_token"));
                let of_code = told["grant_id"].as_str().unwrap().to_owned();
                assert!(!grants.contains(&of_code), "a grant of its own");
                let told = claims(tokens.text("id_token"));
                assert_eq!(told["nonce"], "n-0S6_WzA2Mj");
            }
        }
    }
    // By a form, whatever it brings.
    for response_type in ResponseType::ALL {
        let mut changes = asking(response_type.as_str()).to_vec();
        changes.push(("response_mode", "form_post"));
        let page = browser.arrive(server.authorize_url(&app, &changes)).await;
        assert_eq!(page.action("form-post").as_str(), REDIRECT);
        assert_eq!(page.has("continue"), page.status == StatusCode::OK);
        for (name, there) in [
            ("code", response_type.has_code()),
            ("access_token", response_type.has_token()),
            ("id_token", response_type.has_id_token()),
            ("iss", true),
        ] {
            assert_eq!(has_input(&page, name), there, "{response_type} {name}");
        }
    }
    server.stop().await;
}

fn has_input(page: &Page, name: &str) -> bool {
    page.body.contains(&format!("name=\"{name}\""))
}

/// What is asked for, with what parameters, why it is refused, and whether the fragment tells so.
type Refused = (
    String,
    Vec<(&'static str, &'static str)>,
    &'static str,
    bool,
);

#[expect(clippy::too_many_lines, reason = "a table")]
async fn oidc_core_3_what_is_refused(stores: &Stores) {
    let (server, app, _) = started(stores).await;
    let mut rows: Vec<Refused> = Vec::new();
    for response_type in ResponseType::ALL {
        let asked = asking(response_type.as_str()).to_vec();
        let with = |more: &[(&'static str, &'static str)]| {
            let mut changes = asked.clone();
            changes.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
            changes.extend(more);
            changes
        };
        let front = response_type.is_in_front();
        if front {
            for mode in ["query", "query.jwt"] {
                rows.push((
                    format!("{response_type} by {mode}"),
                    with(&[("response_mode", mode)]),
                    "invalid_request",
                    true,
                ));
            }
        }
        if response_type.has_id_token() {
            rows.push((
                format!("{response_type} without nonce"),
                with(&[("nonce", "")]),
                "invalid_request",
                true,
            ));
            rows.push((
                format!("{response_type} without openid"),
                with(&[("scope", "read")]),
                "invalid_scope",
                true,
            ));
        }
        if response_type.has_token() {
            // RFC 9449 §10: nothing would bind the token that comes in front.
            let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
            rows.push((
                format!("{response_type} for a key"),
                with(&[("dpop_jkt", jkt)]),
                "invalid_request",
                true,
            ));
        }
        if response_type.has_code() {
            rows.push((
                format!("{response_type} without a challenge"),
                with(&[("code_challenge", ""), ("code_challenge_method", "")]),
                "invalid_request",
                front,
            ));
        }
        rows.push((
            format!("{response_type}, silent"),
            with(&[("prompt", "none")]),
            "login_required",
            front,
        ));
        rows.push((
            format!("{response_type} by a mode of nobody"),
            with(&[("response_mode", "cookie")]),
            "invalid_request",
            front,
        ));
    }
    for raw in [
        "code code",
        "code none",
        "none token",
        "Code",
        "token code x",
        "id_token,token",
    ] {
        rows.push((
            raw.to_owned(),
            vec![("response_type", raw)],
            "unsupported_response_type",
            false,
        ));
    }
    let browser = Browser::new(&server);
    for (what, changes, expected, in_fragment) in rows {
        let answer = browser
            .open(server.authorize_url(&app, &changes))
            .await
            .location();
        let (answer, found_in_fragment) = told(&answer);
        assert_eq!(answer["error"], expected, "{what}");
        assert_eq!(found_in_fragment, in_fragment, "{what}");
        assert_eq!(answer["state"], "af0ifjsldkj", "{what}");
        assert_eq!(answer["iss"], server.issuer, "{what}");
    }
    // Each client has what it registered.
    for registered in ResponseType::ALL {
        let mut types = vec![registered];
        if registered == ResponseType::None {
            types.push(ResponseType::Code);
        }
        let client = server.register(metadata(&types)).await;
        for asked in ResponseType::ALL {
            let url = server.authorize_url(&client, &asking(asked.as_str()));
            let page = browser.open(url).await;
            if types.contains(&asked) {
                assert!(page.has("sign-in"), "{asked} of {registered}");
            } else {
                let (answer, _) = told(&page.location());
                assert_eq!(
                    answer["error"], "unauthorized_client",
                    "{asked} of {registered}"
                );
            }
        }
    }
    server.stop().await;
}

async fn rfc7591_2_1_types_go_with_their_grants(stores: &Stores) {
    let (server, _, _) = started(stores).await;
    let redirects = json!([REDIRECT]);
    let rows = [
        (json!(["implicit"]), json!(["token"]), true),
        (json!(["implicit"]), json!(["id_token"]), true),
        (
            json!(["implicit"]),
            json!(["id_token", "token id_token"]),
            true,
        ),
        (
            json!(["authorization_code", "implicit"]),
            json!(["code id_token"]),
            true,
        ),
        (
            json!(["authorization_code", "implicit"]),
            json!(["code", "token"]),
            true,
        ),
        (json!(["authorization_code"]), json!(["code", "none"]), true),
        (json!(["authorization_code"]), json!(["token"]), false),
        (
            json!(["authorization_code"]),
            json!(["code", "token"]),
            false,
        ),
        (
            json!(["authorization_code"]),
            json!(["code id_token"]),
            false,
        ),
        (json!(["authorization_code"]), json!(["none"]), false),
        (json!(["implicit"]), json!(["code"]), false),
        (json!(["implicit"]), json!(["code token"]), false),
        (json!(["implicit"]), json!([]), false),
        (
            json!(["authorization_code", "implicit"]),
            json!(["code"]),
            false,
        ),
        (
            json!(["authorization_code", "implicit"]),
            json!(["token"]),
            false,
        ),
        (json!(["authorization_code"]), json!(["saml"]), false),
    ];
    for (grants, types, accepted) in rows {
        let document = json!({"redirect_uris": redirects, "grant_types": grants, "response_types": types,
            "token_endpoint_auth_method": "none", "id_token_signed_response_alg": "ES256"});
        let url = format!("{}/oauth/register", server.issuer);
        let answer = server.send(server.http.post(url).json(&document)).await;
        if accepted {
            assert_eq!(answer.status, 201, "{grants} {types}: {}", answer.body);
            let told = &answer.body["response_types"];
            assert_eq!(
                told.as_array().unwrap().len(),
                types.as_array().unwrap().len()
            );
        } else {
            assert_eq!(
                answer.error(),
                (400, "invalid_client_metadata"),
                "{grants} {types}"
            );
            assert!(
                answer.text("error_description").contains("response_types"),
                "{}",
                answer.body
            );
        }
    }
    server.stop().await;
}

async fn rfc8414_only_what_is_configured_is_served_and_announced(stores: &Stores) {
    for served in [
        vec![ResponseType::Code],
        vec![ResponseType::None, ResponseType::Code],
        vec![ResponseType::Token, ResponseType::Code],
        vec![
            ResponseType::IdToken,
            ResponseType::CodeIdToken,
            ResponseType::Code,
        ],
        ResponseType::ALL.to_vec(),
    ] {
        let mut config = config(stores);
        config.authorization.response_types.clone_from(&served);
        assert_eq!(config.problems(), Vec::<String>::new());
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        let announced = server.get("/.well-known/openid-configuration").await.body;
        let mut sorted = served.clone();
        sorted.sort_unstable();
        assert_eq!(announced["response_types_supported"], json!(sorted));
        let grants = announced["grant_types_supported"].as_array().unwrap();
        let in_front = served.iter().any(|known| known.is_in_front());
        assert_eq!(grants.contains(&json!("implicit")), in_front);
        for other in ResponseType::ALL {
            let types = if other == ResponseType::None {
                vec![ResponseType::Code, other]
            } else {
                vec![other]
            };
            let registered = server
                .records
                .register_client(metadata(&types), &server.world);
            assert_eq!(registered.await.is_ok(), served.contains(&other), "{other}");
        }
        // A client that was registered when more was served.
        let app = server.register(metadata(&served)).await;
        let browser = Browser::new(&server);
        for other in ResponseType::ALL
            .into_iter()
            .filter(|other| !served.contains(other))
        {
            let url = server.authorize_url(&app, &asking(other.as_str()));
            let (answer, _) = told(&browser.open(url).await.location());
            assert_eq!(answer["error"], "unsupported_response_type", "{other}");
        }
        server.stop().await;
    }
    let mut config = config(stores);
    config.authorization.response_types = vec![ResponseType::Token];
    config.authorization.request_lifetime = Duration::from_mins(10);
    config.authorization.require_signed_request_object = true;
    config.authorization.unsigned_request_objects = true;
    let problems = config.problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for key in [
        "response_types",
        "request_lifetime",
        "unsigned_request_objects",
    ] {
        let key = format!("authorization.{key}");
        assert!(
            problems.iter().any(|problem| problem.contains(&key)),
            "{key}"
        );
    }
}

async fn rfc6749_4_2_a_token_without_a_code_dies_with_the_session(stores: &Stores) {
    let (server, app, api) = started(stores).await;
    for (what, end) in [("the session", 0), ("the grant", 1), ("the account", 2)] {
        let email = format!("{end}@example.com");
        let account = server.person(&email).await;
        let browser = Browser::new(&server);
        let page = browser
            .open(server.authorize_url(&app, &asking("id_token token")))
            .await;
        let page = browser
            .sign_in_as(&page, &email, crate::browser::PASSWORD)
            .await;
        let (answer, _) = told(&browser.decide(&page, "approve").await.location());
        let token = &answer["access_token"];
        assert!(is_active(&server, &api, token).await, "{what}");
        let now = server.clock.now();
        match end {
            0 => {
                let page = browser
                    .open(format!("{}/oauth/logout", server.issuer))
                    .await;
                let form = [("sign_out_form".to_owned(), page.input("sign_out_form"))];
                browser.post(page.action("sign-out"), &form).await;
            }
            1 => {
                let id = claims(token)["grant_id"].as_str().unwrap().parse().unwrap();
                server.records.grants.revoke(&id, now).await.unwrap();
            }
            _ => {
                let accounts = &server.records.accounts;
                accounts.disable(&account, now).await.unwrap();
            }
        }
        let is_dead = eventually(async || !is_active(&server, &api, token).await).await;
        assert!(is_dead, "{what}");
        assert_eq!(userinfo(&server, token).await.status, 401, "{what}");
    }
    // Or when it is used no longer.
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app, &asking("token"));
    let (answer, _) = told(&browser.sign_in_and_consent(url).await);
    server.clock.advance(Duration::from_mins(6));
    assert!(!is_active(&server, &api, &answer["access_token"]).await);
    server.stop().await;
}

async fn rfc6749_4_2_nothing_in_front_is_offline(stores: &Stores) {
    let (server, app, _) = started(stores).await;
    let browser = Browser::new(&server);
    for (raw, is_offline) in [("id_token token", false), ("code id_token token", true)] {
        let mut changes = asking(raw).to_vec();
        changes.push(("scope", "openid offline_access read"));
        let url = server.authorize_url(&app, &changes);
        let (answer, _) = told(&browser.sign_in_and_consent(url).await);
        let granted = word(&answer["scope"]).contains(&"offline_access");
        assert_eq!(granted, is_offline, "{raw}");
        let id = claims(&answer["access_token"])["grant_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let grants = &server.records.grants;
        let grant = grants.find(&id, server.clock.now()).await.unwrap().unwrap();
        assert!(!grant.terms.offline && grant.family.is_none() && !grant.is_over);
    }
    // What is nothing else cannot be had.
    let mut changes = asking("token").to_vec();
    changes.push(("scope", "offline_access"));
    let answer = browser
        .open(server.authorize_url(&app, &changes))
        .await
        .location();
    assert_eq!(told(&answer).0["error"], "invalid_scope");
    assert_eq!(parameter(&answer, "error"), None, "in the fragment");
    server.stop().await;
}
