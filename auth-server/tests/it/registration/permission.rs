//! Who may register: by initial access token (RFC 7591 §3), by software statement (RFC 7591 §2.3).

use std::time::Duration;

use auth_server::config::{Config, RegistrationMode};
use auth_server::profiles::Profile;
use auth_server::registration::initial::{InitialTokens, NewInitialToken, RegistrationTokenId};
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, Signer as _, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{REGISTER, Registered, another, server, service, with};
use crate::server::{Answer, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7591_3_registration_by_initial_access_token,
    threat_6_a_token_of_one_use_registers_one_client,
    a_token_is_not_spent_for_a_client_that_is_refused,
    threat_26_no_letter_of_a_token_can_be_changed,
    rfc7591_3_2_1_who_names_less_may_get_all_there_is_and_reads_it,
    rfc7591_2_3_claims_of_a_statement_take_precedence,
    rfc7591_2_3_statements_that_say_nothing,
    threat_14_a_client_stays_bound_to_its_statement,
    fapi2_5_4_1_statements_are_signed_as_the_profile_has_it,
);

const ISSUER: &str = "https://software.example";
const HOUR: Duration = Duration::from_hours(1);

/// Makes an initial access token.
async fn token(server: &TestServer, uses: u32) -> (RegistrationTokenId, String) {
    let tokens = tokens(server);
    let new = NewInitialToken {
        name: Some("a partner".into()),
        uses,
        lifetime: HOUR,
    };
    let made = tokens.create(new, server.clock.now(), &SystemRandom);
    let (id, token) = made.await.unwrap();
    (id, token.expose().to_owned())
}

fn tokens(server: &TestServer) -> InitialTokens {
    InitialTokens {
        store: server.records.store.clone(),
    }
}

fn by_token(config: &mut Config) {
    config.registration.mode = Some(RegistrationMode::Token);
}

async fn register(server: &TestServer, body: &Value, token: &str) -> Answer {
    server.post_json(REGISTER, body, Some(token)).await
}

fn assert_refused(answer: &Answer, what: &str) {
    assert_eq!(answer.error(), (401, "invalid_token"), "{what}");
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{what}: {challenge}"
    );
}

async fn rfc7591_3_registration_by_initial_access_token(stores: &Stores) {
    let server = server(stores, by_token).await;
    let answer = server.post_json(REGISTER, &service(), None).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"registration\"",
        "without a code (RFC 6750 section 3.1)"
    );

    let (id, two) = token(&server, 2).await;
    for _ in 0..2 {
        let answer = register(&server, &service(), &two).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let client = Registered::of(answer).client;
        assert_eq!(server.wants_token(&client).await.status, 200);
    }
    assert_refused(&register(&server, &service(), &two).await, "used up");
    let listed = tokens(&server).list("", 10).await.unwrap();
    assert_eq!((&*listed[0].id, listed[0].uses_left), (id.as_str(), 0));

    let (revoked_id, revoked) = token(&server, 2).await;
    assert!(tokens(&server).revoke(&revoked_id).await.unwrap());
    assert_refused(&register(&server, &service(), &revoked).await, "revoked");
    let (_, expired) = token(&server, 2).await;
    let managing = server.registers_by(&service(), &expired).await.token;
    assert_refused(
        &register(&server, &service(), &managing).await,
        "of another kind (threat 5)",
    );
    let as_bearer = server.get(&format!("{REGISTER}/{}", "x".repeat(22))).await;
    let challenge = "Bearer realm=\"registration\"";
    assert_eq!(as_bearer.header("www-authenticate"), challenge);
    server.clock.advance(HOUR);
    assert_refused(&register(&server, &service(), &expired).await, "expired");

    for (what, header, status) in [
        ("no token", "Bearer", 400),
        ("two tokens", "Bearer a b", 400),
        ("a tab", "Bearer\ta", 400),
        ("another scheme", "Basic YTpi", 401),
        ("unknown", "Bearer iat_x", 401),
    ] {
        let request = server.http.post(format!("{}{REGISTER}", server.issuer));
        let request = request.json(&service()).header("authorization", header);
        let answer = server.send(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{what}"
        );
    }
}

/// A token that is no good is refused where none is needed: who shows one counts on it.
async fn threat_26_no_letter_of_a_token_can_be_changed(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let (_, token) = token(&server, 1000).await;
    let registered = server.registers_by(&service(), &token).await;
    for (index, letter) in token.char_indices() {
        let mut other = token.clone();
        let flipped = if letter == 'a' { "b" } else { "a" };
        other.replace_range(index..=index, flipped);
        assert_refused(&register(&server, &service(), &other).await, &other);
    }
    for other in [
        &token[1..],
        &token[..token.len() - 1],
        &format!("{token}a"),
        &token.to_lowercase(),
    ] {
        assert_refused(&register(&server, &service(), other).await, other);
    }
    let own = &registered.token;
    for (index, letter) in own.char_indices() {
        let mut other = own.clone();
        let flipped = if letter == 'a' { "b" } else { "a" };
        other.replace_range(index..=index, flipped);
        assert_refused(&server.reads(&registered, &other).await, &other);
    }
    for other in [
        &own[1..],
        &own[..own.len() - 1],
        &format!("{own}a"),
        &own.to_lowercase(),
    ] {
        assert_refused(&server.reads(&registered, other).await, other);
    }
    assert_eq!(server.reads(&registered, own).await.status, 200);
}

async fn threat_6_a_token_of_one_use_registers_one_client(stores: &Stores) {
    let server = server(stores, by_token).await;
    let other = another(stores, &server, by_token).await;
    for uses in [1, 3] {
        let (_, token) = token(&server, uses).await;
        let body = service();
        let nodes = [&server, &other].into_iter().cycle().take(200);
        let racing = nodes.map(|node| register(node, &body, &token));
        let answers = join_all(racing).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, uses as usize);
        for lost in answers.iter().filter(|answer| answer.status != 201) {
            assert_refused(lost, "too late");
        }
    }
}

async fn a_token_is_not_spent_for_a_client_that_is_refused(stores: &Stores) {
    let server = server(stores, by_token).await;
    let (_, token) = token(&server, 1).await;
    let refused = register(&server, &json!({}), &token).await;
    assert_eq!(refused.error().0, 400);
    assert_eq!(register(&server, &service(), &token).await.status, 201);
}

fn key() -> SigningKey {
    key_of(Algorithm::Es256)
}

fn key_of(alg: Algorithm) -> SigningKey {
    SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap()
}

async fn statement(key: &SigningKey, claims: &Value) -> String {
    let claims = with(&json!({"iss": ISSUER}), claims);
    sign_jwt(JwtKind::SoftwareStatement, &claims, key)
        .await
        .unwrap()
}

/// A server that believes this key, and whoever else is named.
async fn believing(stores: &Stores, key: &SigningKey, mode: RegistrationMode) -> TestServer {
    let jwks = JwkSet::new(vec![key.public().clone()])
        .to_value()
        .to_string();
    server(stores, |config| {
        config.registration.mode = Some(mode);
        let issuers = json!([{"issuer": ISSUER, "jwks": jwks}]);
        config.registration.software_statement_issuers = serde_json::from_value(issuers).unwrap();
    })
    .await
}

async fn rfc7591_3_2_1_who_names_less_may_get_all_there_is_and_reads_it(stores: &Stores) {
    let key = key();
    let jwks = JwkSet::new(vec![key.public().clone()]);
    let jwks = jwks.to_value().to_string();
    let server = server(stores, |config| {
        config.registration.widen_scope = true;
        let issuers = json!([{"issuer": ISSUER, "jwks": jwks}]);
        config.registration.software_statement_issuers = serde_json::from_value(issuers).unwrap();
    })
    .await;
    let scope = |registered: &Registered| -> ScopeSet {
        let told = registered.document["scope"].as_str().unwrap();
        told.parse().unwrap()
    };
    let named = server.registers(&service()).await;
    let none = with(&service(), &json!({"scope": null}));
    assert_eq!(scope(&named), scope(&server.registers(&none).await));
    assert!(
        "read write"
            .parse::<ScopeSet>()
            .unwrap()
            .is_subset(&scope(&named))
    );

    let beyond = with(&service(), &json!({"scope": "read reports"}));
    let answer = server.post_json(REGISTER, &beyond, None).await;
    assert_eq!(answer.error(), (400, "invalid_client_metadata"));
    // Whoever made the statement vouches for no more than it says.
    let statement = statement(&key, &json!({"scope": "read"})).await;
    let stated = with(&service(), &json!({"software_statement": statement}));
    assert_eq!(scope(&server.registers(&stated).await).to_string(), "read");
}

async fn rfc7591_2_3_claims_of_a_statement_take_precedence(stores: &Stores) {
    let key = key();
    let server = believing(stores, &key, RegistrationMode::Token).await;
    let claims = json!({"client_name": "Stated", "software_id": "stated", "grant_types": ["client_credentials"],
        "skip_consent": true, "client_id": "mine", "aud": [server.issuer, "https://other.example"]});
    let statement = statement(&key, &claims).await;
    let body = with(
        &service(),
        &json!({"client_name": "Asked", "client_name#de": "Gefragt", "software_statement": statement, "software_version": "1"}),
    );
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let registered = server.registers(&body).await;
        let document = &registered.document;
        assert_eq!(document["client_name"], "Stated");
        assert_eq!(
            document.get("client_name#de"),
            None,
            "nor in another language"
        );
        assert_eq!(document["software_id"], "stated");
        assert_eq!(document["software_version"], "1");
        assert_eq!(
            document["software_statement"], *statement,
            "unmodified (section 3.2.1)"
        );
        assert_eq!(server.wants_token(&registered.client).await.status, 200);
        ids.insert(registered.client.id);
    }
    assert_eq!(ids.len(), 2, "one statement registers many");
    let beyond = self::statement(&key, &json!({"scope": "reports"})).await;
    let body = with(&service(), &json!({"software_statement": beyond}));
    let answer = server.post_json(REGISTER, &body, None).await;
    assert_eq!(
        answer.error(),
        (400, "invalid_client_metadata"),
        "the resulting state is judged"
    );
}

async fn rfc7591_2_3_statements_that_say_nothing(stores: &Stores) {
    const INVALID: &str = "invalid_software_statement";
    let (trusted, foreign) = (key(), key());
    for mode in [RegistrationMode::Open, RegistrationMode::Token] {
        let server = believing(stores, &trusted, mode).await;
        let now = server.clock.now().as_secs();
        let good = statement(&trusted, &json!({})).await;
        let (head, tail) = good.split_once('.').unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", tail.split_once('.').unwrap().0);
        let made = async |claims: Value| Value::from(statement(&trusted, &claims).await);
        let claims = json!({"iss": ISSUER});
        let as_access_token = sign_jwt(JwtKind::AccessToken, &claims, &trusted);
        for (what, sent, code) in [
            (
                "another key",
                statement(&foreign, &json!({})).await.into(),
                INVALID,
            ),
            (
                "another issuer",
                made(json!({"iss": "https://evil.example"})).await,
                "unapproved_software_statement",
            ),
            (
                "no issuer",
                made(json!({"iss": null})).await,
                "unapproved_software_statement",
            ),
            ("no signature", unsigned.into(), INVALID),
            ("a cut signature", good[..good.len() - 2].into(), INVALID),
            (
                "another kind",
                as_access_token.await.unwrap().into(),
                INVALID,
            ),
            ("no JWT", head.into(), INVALID),
            ("no text", json!({"iss": ISSUER}), INVALID),
            ("expired", made(json!({"exp": now})).await, INVALID),
            ("not yet", made(json!({"nbf": now + 60})).await, INVALID),
            (
                "of tomorrow",
                made(json!({"iat": now + 86_400})).await,
                INVALID,
            ),
            (
                "exp no number",
                made(json!({"exp": "tomorrow"})).await,
                INVALID,
            ),
            (
                "for others",
                made(json!({"aud": "https://other.example"})).await,
                INVALID,
            ),
            (
                "for many others",
                made(json!({"aud": ["https://other.example"]})).await,
                INVALID,
            ),
        ] {
            let body = with(&service(), &json!({"software_statement": sent}));
            let answer = server.post_json(REGISTER, &body, None).await;
            assert_eq!(answer.error(), (400, code), "{what}: {}", answer.body);
        }
        let body = with(&service(), &json!({"software_statement": good}));
        server.registers(&body).await;
    }
}

async fn threat_14_a_client_stays_bound_to_its_statement(stores: &Stores) {
    let key = key();
    let server = believing(stores, &key, RegistrationMode::Token).await;
    let now = server.clock.now().as_secs();
    let claims = json!({"client_name": "Stated", "exp": now + 60});
    let first = statement(&key, &claims).await;
    let body = with(&service(), &json!({"software_statement": first}));
    let registered = server.registers(&body).await;
    server.clock.advance(HOUR);
    let evading = with(&service(), &json!({"client_name": "Another"}));
    let changed = server.puts(&registered, &registered.token, &evading).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.body["client_name"], "Stated");
    assert_eq!(changed.body["software_statement"], *first);

    let expired = with(&evading, &json!({"software_statement": first}));
    let refused = server.puts(&registered, &registered.token, &expired).await;
    assert_eq!(refused.error(), (400, "invalid_software_statement"));
    let second = statement(&key, &json!({"client_name": "Stated anew"})).await;
    let renewing = with(&evading, &json!({"software_statement": second}));
    let renewed = server.puts(&registered, &registered.token, &renewing).await;
    assert_eq!(renewed.body["client_name"], "Stated anew");

    let distrusting = another(stores, &server, |_| {}).await;
    let refused = distrusting
        .puts(&registered, &registered.token, &evading)
        .await;
    assert_eq!(refused.error(), (400, "unapproved_software_statement"));
}

impl TestServer {
    async fn registers_by(&self, body: &Value, token: &str) -> Registered {
        let answer = register(self, body, token).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Registered::of(answer)
    }
}

async fn fapi2_5_4_1_statements_are_signed_as_the_profile_has_it(stores: &Stores) {
    let keys = [key(), key_of(Algorithm::Rs256)];
    let publics = JwkSet::new(keys.iter().map(|key| key.public().clone()).collect()).to_value();
    let believing = |profile: Option<Profile>| {
        let issuers = json!([{"issuer": ISSUER, "jwks": publics.to_string()}]);
        move |config: &mut Config| {
            config.profile = profile;
            config.registration.software_statement_issuers =
                serde_json::from_value(issuers).unwrap();
        }
    };
    let before = server(stores, believing(None)).await;
    let held = another(stores, &before, believing(Some(Profile::Fapi2))).await;
    let by_key = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": publics});
    for (key, is_permitted) in keys.iter().zip([true, false]) {
        let statement = statement(key, &json!({"client_name": "Stated"})).await;
        let body = with(&service(), &by_key);
        let body = with(&body, &json!({"software_statement": statement}));
        let kept = before.registers(&body).await;
        let changed = with(&body, &json!({"software_statement": null}));
        for (what, status, answer) in [
            ("sent", 201, held.post_json(REGISTER, &body, None).await),
            ("kept", 200, held.puts(&kept, &kept.token, &changed).await),
        ] {
            let alg = key.algorithm();
            if is_permitted {
                assert_eq!(answer.status, status, "{what}: {alg}: {}", answer.body);
            } else {
                let refused = (400, "invalid_software_statement");
                assert_eq!(answer.error(), refused, "{what}: {alg}");
            }
        }
    }
}
