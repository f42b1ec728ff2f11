//! The password grant (RFC 6749 §4.3), off unless the configuration says otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::AccountId;
use auth_server::clients::{AuthMethod, ClientMetadata, GrantType, InvalidClientMetadata};
use auth_server::config::Config;
use serde_json::json;
use shared_protocol::jose::Algorithm;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD};
use crate::dpop;
use crate::person::{claims, is_active, refresh_form};
use crate::server::{API, Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc6749_4_3_off_by_default_and_unknown_then,
    rfc6749_4_3_3_a_password_brings_tokens,
    rfc6749_4_3_2_what_is_refused,
    threat_13_failures_count_together_with_those_of_the_page,
    the_grant_ends_with_its_session,
    rfc9449_5_a_password_brings_bound_tokens,
);

fn on(stores: &Stores) -> Config {
    let mut config = config(stores);
    config.authorization.password_grant = true;
    config
}

pub(crate) fn metadata() -> ClientMetadata {
    let scope = "openid profile offline_access read reports";
    let mut metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, scope);
    metadata.grant_types = BTreeSet::from([GrantType::Password, GrantType::RefreshToken]);
    metadata.skip_consent = true;
    metadata.id_token_signed_response_alg = Some(Algorithm::Es256);
    metadata
}

async fn started(config: Config) -> (TestServer, TestClient, TestClient) {
    let server = TestServer::start_with(config, Arc::default()).await;
    let api = server.client(AuthMethod::ClientSecretBasic, "").await;
    let server = server.with_resources(Some(&api)).await;
    server.person(EMAIL).await;
    let client = server.register(metadata()).await;
    (server, client, api)
}

async fn account_id(server: &TestServer) -> AccountId {
    let email = EMAIL.parse().unwrap();
    let account = server.records.accounts.find_by_email(&email).await;
    account.unwrap().unwrap().id
}

/// Asks with a good request of which some parameters are changed; an empty value leaves one out.
async fn ask(server: &TestServer, client: &TestClient, changes: &[(&str, &str)]) -> Answer {
    let good = [
        ("grant_type", "password"),
        ("username", EMAIL),
        ("password", PASSWORD),
        ("scope", "openid read"),
    ];
    let is_changed = |name: &str| changes.iter().any(|(known, _)| *known == name);
    let form: Vec<_> = good
        .into_iter()
        .filter(|(name, _)| !is_changed(name))
        .chain(changes.iter().copied())
        .collect();
    crate::person::post(server, client, "/oauth/token", &form).await
}

async fn rfc6749_4_3_off_by_default_and_unknown_then(stores: &Stores) {
    let (server, client, _) = started(config(stores)).await;
    for changes in [&[][..], &[("username", "")], &[("password", "wrong")]] {
        let answer = ask(&server, &client, changes).await;
        assert_eq!(
            answer.error(),
            (400, "unsupported_grant_type"),
            "{changes:?}"
        );
    }
    let announced = |metadata: &serde_json::Value| {
        let grants = metadata["grant_types_supported"].as_array().unwrap();
        grants.contains(&json!("password"))
    };
    let path = "/.well-known/openid-configuration";
    assert!(!announced(&server.get(path).await.body));
    let described = server.get("/openapi.json").await.body.to_string();
    assert!(!described.contains("\"password\""), "{described}");
    server.stop().await;
    let server = TestServer::start_with(on(stores), Arc::default()).await;
    assert!(announced(&server.get(path).await.body));
    server.stop().await;
    assert_eq!(config(stores).warnings(), Vec::<String>::new());
    let [warning] = &on(stores).warnings()[..] else {
        panic!("whoever turns it on is told");
    };
    assert!(
        warning.starts_with("authorization.password_grant"),
        "{warning}"
    );
}

async fn rfc6749_4_3_3_a_password_brings_tokens(stores: &Stores) {
    let (server, client, api) = started(on(stores)).await;
    let answer = ask(&server, &client, &[("scope", "openid read offline_access")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.body["scope"], "openid read",
        "nobody was shown what outlives the session"
    );
    let (access_token, id_token) = (answer.text("access_token"), answer.text("id_token"));
    let token = claims(access_token);
    assert_eq!(token["aud"], API);
    assert_eq!(token["amr"], json!(["pwd"]));
    assert_eq!(token["acr"], "https://refeds.org/profile/sfa");
    assert_eq!(token["sub"], claims(id_token)["sub"]);
    assert!(token["auth_time"].is_i64() && token["grant_id"].is_string());
    assert!(is_active(&server, &api, access_token).await);
    let refreshed = refresh_form(answer.text("refresh_token"));
    let refreshed = server.post_as(&client, "/oauth/token", &refreshed).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    // Of one who has no `refresh_token` grant, none.
    let mut once = metadata();
    once.grant_types = BTreeSet::from([GrantType::Password]);
    let once = server.register(once).await;
    let answer = ask(&server, &once, &[("scope", ""), ("resource", API)]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body["refresh_token"].is_null() && answer.body["id_token"].is_null());
    assert_eq!(
        answer.body["scope"], "read",
        "what is registered for the resource"
    );
    server.stop().await;
}

async fn rfc9449_5_a_password_brings_bound_tokens(stores: &Stores) {
    let (server, client, _) = started(on(stores)).await;
    server.clock.advance(Duration::from_mins(2));
    let prover = dpop::Prover::new();
    let form = [
        ("grant_type", "password"),
        ("username", EMAIL),
        ("password", PASSWORD),
        ("scope", "openid read"),
    ];
    let answer = dpop::ask(&server, &client, &form, &prover).await;
    dpop::assert_bound(&answer, Some(&prover), "password");
    // What a proof is no good for, no password is tried for.
    let proof = prover.proof(&server, dpop::PAR, &json!({})).await;
    let asked = (dpop::TOKEN, &form[..]);
    let answer = dpop::send(&server, &client, asked, &[&proof]).await;
    assert_eq!(answer.error(), (400, "invalid_dpop_proof"));
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc6749_4_3_2_what_is_refused(stores: &Stores) {
    let (server, client, _) = started(on(stores)).await;
    let mut without = metadata();
    without.grant_types = BTreeSet::from([GrantType::ClientCredentials]);
    let without = server.register(without).await;
    let public = server.register(crate::person::app(AuthMethod::None)).await;
    let wrong = TestClient {
        secret: "wrong".into(),
        ..client.clone()
    };
    for (what, client, changes, expected) in [
        (
            "no username",
            &client,
            &[("username", "")][..],
            (400, "invalid_request"),
        ),
        (
            "details that nobody was shown",
            &client,
            &[("authorization_details", r#"[{"type":"album"}]"#)],
            (400, "invalid_authorization_details"),
        ),
        (
            "no password",
            &client,
            &[("password", "")],
            (400, "invalid_request"),
        ),
        (
            "username twice",
            &client,
            &[("username", "a"), ("username", "b")],
            (400, "invalid_request"),
        ),
        (
            "a wrong password",
            &client,
            &[("password", "wrong")],
            (400, "invalid_grant"),
        ),
        (
            "an unknown address",
            &client,
            &[("username", "x@example.com")],
            (400, "invalid_grant"),
        ),
        (
            "a scope of others",
            &client,
            &[("scope", "write")],
            (400, "invalid_scope"),
        ),
        (
            "a malformed scope",
            &client,
            &[("scope", "\"")],
            (400, "invalid_scope"),
        ),
        (
            "nothing but offline",
            &client,
            &[("scope", "offline_access")],
            (400, "invalid_scope"),
        ),
        (
            "an unknown resource",
            &client,
            &[("resource", "https://x.example")],
            (400, "invalid_target"),
        ),
        ("no such grant", &without, &[], (400, "unauthorized_client")),
        (
            "a public client",
            &public,
            &[],
            (400, "unauthorized_client"),
        ),
        ("a wrong secret", &wrong, &[], (401, "invalid_client")),
    ] {
        let answer = ask(&server, client, changes).await;
        assert_eq!(answer.error(), expected, "{what}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        server.clock.advance(Duration::from_mins(2));
    }
    // Nobody comes to have it but by the operator, who vouches for the client.
    for (what, edit) in [
        (
            "not the operator's own",
            (|metadata| metadata.skip_consent = false) as fn(&mut ClientMetadata),
        ),
        ("public", |metadata| {
            metadata.token_endpoint_auth_method = AuthMethod::None;
        }),
    ] {
        let mut metadata = metadata();
        edit(&mut metadata);
        let refused = server
            .records
            .register_client(metadata, &server.world)
            .await;
        let refused = refused.err().and_then(|error| error.downcast().ok());
        assert_eq!(
            refused,
            Some(InvalidClientMetadata::PasswordGrant),
            "{what}"
        );
    }
    let members = json!({"grant_types": ["password"], "skip_consent": true});
    let url = format!("{}/oauth/register", server.issuer);
    let stranger = server.send(server.http.post(url).json(&members)).await;
    assert_eq!(stranger.error(), (400, "invalid_client_metadata"));
    server.stop().await;
}

async fn threat_13_failures_count_together_with_those_of_the_page(stores: &Stores) {
    let (server, client, _) = started(on(stores)).await;
    let app = server.app().await;
    let mut refused = None;
    for attempt in 0..50 {
        let answer = ask(&server, &client, &[("password", "wrong")]).await;
        if answer.status == 429 {
            refused = Some((attempt, answer));
            break;
        }
        assert_eq!(answer.error(), (400, "invalid_grant"));
    }
    let (attempts, answer) = refused.expect("a limit");
    assert!(attempts >= 3, "{attempts}");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait > 0);
    // The page has to wait as well, whatever is typed there.
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert_eq!(page.status, 429);
    // Until the account is locked, for the grant too.
    for _ in 0..50 {
        server.clock.advance(Duration::from_mins(1));
        ask(&server, &client, &[("password", "wrong")]).await;
    }
    let locked = ask(&server, &client, &[]).await;
    assert_eq!(locked.status, 429, "{}", locked.body);
    server.clock.advance(Duration::from_hours(2));
    assert_eq!(ask(&server, &client, &[]).await.status, 200);
    let id = account_id(&server).await;
    let now = shared_protocol::time::Clock::now(&*server.clock);
    server.records.accounts.disable(&id, now).await.unwrap();
    let disabled = ask(&server, &client, &[]).await;
    assert_eq!(disabled.error(), (400, "invalid_grant"));
    server.stop().await;
}

async fn the_grant_ends_with_its_session(stores: &Stores) {
    let (server, client, api) = started(on(stores)).await;
    let answer = ask(&server, &client, &[]).await;
    let token = answer.text("access_token");
    let id = account_id(&server).await;
    let now = shared_protocol::time::Clock::now(&*server.clock);
    server.records.sessions.end_all(&id, now).await.unwrap();
    assert!(!is_active(&server, &api, token).await);
    let refreshed = refresh_form(answer.text("refresh_token"));
    let refreshed = server.post_as(&client, "/oauth/token", &refreshed).await;
    assert_eq!(refreshed.error(), (400, "invalid_grant"));
    // No browser ever sees the session, so that it idles.
    let answer = ask(&server, &client, &[]).await;
    server.clock.advance(Duration::from_hours(25));
    let refreshed = refresh_form(answer.text("refresh_token"));
    let refreshed = server.post_as(&client, "/oauth/token", &refreshed).await;
    assert_eq!(refreshed.error(), (400, "invalid_grant"));
    server.stop().await;
}
