//! FAPI 2.0 Security Profile: from a request that is good, one thing is changed at a time.

use std::sync::Arc;
use std::time::Duration;

use auth_server::authorize::request::ResponseType;
use auth_server::clients::{AuthMethod, Client, ClientMetadata, GrantType};
use auth_server::config::PkcePolicy;
use auth_server::profiles::Profile;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, Signer as _, SigningKey, UnverifiedJwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{JWT_BEARER, Of, Scene, config_of, metadata, registered, with_rsa_resource};
use crate::bound_userinfo::{USERINFO, assert_refused, challenges, get, proof};
use crate::browser::{Browser, EMAIL, PASSWORD, parameter};
use crate::dpop::{Prover, TOKEN, assert_bound};
use crate::macs;
use crate::person::{REDIRECT, app, ask, code_form, refresh_form};
use crate::pushed::{PAR, url_of};
use crate::request_object::{new_key, sign};
use crate::server::{API, Answer, TestServer, config};
use crate::token::decode;

on_each_store!(auth_server::store::MIGRATIONS;
    fapi2_5_3_2_2_requests_at_a_server,
    fapi2_5_3_2_2_requests_of_a_client,
    fapi2_5_3_2_1_tokens_at_a_server,
    fapi2_5_3_2_1_tokens_of_a_client,
    fapi2_5_3_2_1_assertions_at_a_server,
    fapi2_5_3_2_1_assertions_of_a_client,
    fapi2_5_4_1_nothing_is_signed_with_rs256_at_a_server,
    fapi2_5_4_1_nothing_is_signed_with_rs256_for_a_client,
    fapi2_5_3_2_1_there_is_no_password_grant,
    fapi2_5_4_1_a_client_signs_in_for_openid_alone_where_rs256_is_first,
    fapi2_5_3_2_1_userinfo_at_a_server,
    fapi2_5_3_2_1_userinfo_of_a_client,
);

async fn fapi2_5_3_2_2_requests_at_a_server(stores: &Stores) {
    requests(&Scene::set(stores, Profile::Fapi2, Of::Server).await).await;
}

async fn fapi2_5_3_2_2_requests_of_a_client(stores: &Stores) {
    let scene = Scene::with(stores, Profile::Fapi2, Of::Client, |config| {
        config.authorization.response_types = ResponseType::ALL.into();
        config.authorization.pkce = PkcePolicy::PublicOnly;
    });
    requests(&scene.await).await;
}

type Fields = [(&'static str, &'static str)];

async fn requests(scene: &Scene) {
    let server = &scene.server;
    let pushed = scene.push(&[]).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    assert!(pushed.body["expires_in"].as_u64().unwrap() < 600);
    let rows: [(&str, &Fields, &[&str]); 9] = [
        (
            "no challenge",
            &[("code_challenge", ""), ("code_challenge_method", "")],
            &["invalid_request"],
        ),
        (
            "a plain challenge",
            &[("code_challenge_method", "plain")],
            &["invalid_request"],
        ),
        (
            "a challenge of no method, which means plain",
            &[("code_challenge_method", "")],
            &["invalid_request"],
        ),
        (
            "no redirect_uri",
            &[("redirect_uri", ""), ("scope", "read")],
            &["invalid_request"],
        ),
        (
            "a redirect_uri of somebody else",
            &[("redirect_uri", "https://evil.example/cb")],
            &["invalid_request"],
        ),
        (
            "a hybrid answer",
            &[("response_type", "code id_token"), ("nonce", "n")],
            &["unsupported_response_type", "unauthorized_client"],
        ),
        (
            "a token in front",
            &[("response_type", "token")],
            &["unsupported_response_type", "unauthorized_client"],
        ),
        (
            "nothing in return",
            &[("response_type", "none")],
            &["unsupported_response_type", "unauthorized_client"],
        ),
        (
            "a request_uri",
            &[("request_uri", "https://app.example/object")],
            &["invalid_request"],
        ),
    ];
    for (what, changes, errors) in rows {
        let answer = scene.push(changes).await;
        let (status, error) = answer.error();
        assert_eq!(status, 400, "{what}: {}", answer.body);
        assert!(errors.contains(&error), "{what}: {}", answer.body);
    }
    // §5.3.2.2 (4).
    let form = [
        ("client_id", scene.app.id.as_str()),
        ("response_type", "code"),
    ];
    let answer = server.send(server.form(PAR, &form)).await;
    assert_eq!(answer.error(), (401, "invalid_client"));

    // §5.3.2.2 (3): none that was not pushed, by whatever way.
    let object = sign(&scene.key, &json!({}), &object(scene)).await;
    let signed = [("request", object.as_str()), ("client_id", &scene.app.id)];
    let signed: Vec<_> = signed
        .into_iter()
        .chain([("redirect_uri", REDIRECT)])
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (what, form) in [
        ("plain", TestServer::asking(&scene.app, &[])),
        ("signed, and not pushed", signed),
    ] {
        let mut url = url::Url::parse(&format!("{}/oauth/authorize", server.issuer)).unwrap();
        url.query_pairs_mut().extend_pairs(&form);
        let browser = Browser::new(server);
        let endpoint = format!("{}/oauth/authorize", server.issuer);
        let by_post = browser.post(endpoint, &form).await;
        for page in [browser.open(&url).await, browser.follow(by_post).await] {
            assert_eq!(page.status, 303, "{what}: {}", page.body);
            let answer = page.location();
            assert_eq!(
                parameter(&answer, "error").as_deref(),
                Some("invalid_request"),
                "{what}"
            );
            // §5.3.2.2 (7).
            assert_eq!(parameter(&answer, "iss").as_deref(), Some(&*server.issuer));
        }
    }

    // What is good brings a code, for no longer than a minute (§5.3.2.1 (11)).
    let request_uri = pushed.text("request_uri").to_owned();
    let url = url_of(server, &scene.app, &request_uri);
    let answer = Browser::new(server).sign_in_and_consent(url).await;
    assert_eq!(parameter(&answer, "iss").as_deref(), Some(&*server.issuer));
    let code = parameter(&answer, "code").unwrap();
    server.clock.advance(Duration::from_mins(1));
    let late = scene.ask(&code_form(&code), &Prover::new()).await;
    assert_eq!(late.error(), (400, "invalid_grant"), "{}", late.body);
}

async fn fapi2_5_3_2_1_tokens_at_a_server(stores: &Stores) {
    tokens(&Scene::set(stores, Profile::Fapi2, Of::Server).await).await;
}

async fn fapi2_5_3_2_1_tokens_of_a_client(stores: &Stores) {
    tokens(&Scene::set(stores, Profile::Fapi2, Of::Client).await).await;
}

/// §5.3.2.1 (4), (5), (9), (10), (12): bound to a key by proofs with a nonce, and refreshed without rotation.
async fn tokens(scene: &Scene) {
    let server = &scene.server;
    let prover = Prover::new();
    let credentials = [("grant_type", "client_credentials"), ("resource", API)];
    let unproven = scene.post(TOKEN, &credentials).await;
    assert_eq!(unproven.error(), (400, "invalid_dpop_proof"));
    let without = scene.ask_with(&credentials, &prover, &json!({})).await;
    assert_eq!(without.error(), (400, "use_dpop_nonce"));
    let nonce = json!({"nonce": without.header("dpop-nonce")});
    for (alg, is_good) in [
        (Algorithm::Es256, true),
        (Algorithm::EdDsa, true),
        (Algorithm::Ps256, true),
        (Algorithm::Rs256, false),
    ] {
        let answer = scene.ask_with(&credentials, &Prover::of(alg), &nonce).await;
        if is_good {
            assert_eq!(answer.status, 200, "{alg}: {}", answer.body);
            assert_eq!(answer.text("token_type"), "DPoP");
        } else {
            assert_eq!(answer.error(), (400, "invalid_dpop_proof"), "{alg}");
        }
    }

    let asked = [
        ("scope", "openid read offline_access"),
        ("prompt", "consent"),
    ];
    let code = async |asked: &[(&str, &str)]| {
        let pushed = scene.push(asked).await;
        let url = url_of(server, &scene.app, pushed.text("request_uri"));
        let answer = Browser::new(server).sign_in_and_consent(url).await;
        parameter(&answer, "code").unwrap()
    };
    let first = code(&asked).await;
    let unproven = scene.post(TOKEN, &code_form(&first)).await;
    assert_eq!(unproven.error(), (400, "invalid_dpop_proof"));
    // Which spent nothing.
    let tokens = scene.ask(&code_form(&first), &prover).await;
    assert_bound(&tokens, Some(&prover), "a code");
    let header = decode(tokens.text("id_token")).0;
    assert_eq!(header["alg"], "ES256", "what it left out is not RS256");
    let refresh = tokens.text("refresh_token").to_owned();
    for _ in 0..2 {
        let again = scene.ask(&refresh_form(&refresh), &prover).await;
        assert_bound(&again, Some(&prover), "a refresh token");
        assert_eq!(again.body.get("refresh_token"), None, "not rotated");
    }
    let unproven = scene.post(TOKEN, &refresh_form(&refresh)).await;
    assert_eq!(unproven.error(), (400, "invalid_dpop_proof"));

    // §5.3.2.1 (12): a code that was bound when it was pushed.
    let jkt = prover.jkt();
    let asked = [&asked[..], &[("dpop_jkt", &jkt)]].concat();
    let bound = code(&asked).await;
    let stolen = scene.ask(&code_form(&bound), &Prover::new()).await;
    assert_eq!(stolen.error(), (400, "invalid_grant"));
}

/// The claims of a good request object.
fn object(scene: &Scene) -> Value {
    let now = scene.server.clock.now().as_secs();
    let mut claims =
        json!({"iss": scene.app.id, "aud": scene.server.issuer, "exp": now + 300, "nbf": now});
    let asked = TestServer::asking(&scene.app, &[]);
    let members = claims.as_object_mut().unwrap();
    members.extend(asked.into_iter().map(|(name, value)| (name, json!(value))));
    claims
}

async fn fapi2_5_3_2_1_assertions_at_a_server(stores: &Stores) {
    assertions(&Scene::set(stores, Profile::Fapi2, Of::Server).await).await;
}

async fn fapi2_5_3_2_1_assertions_of_a_client(stores: &Stores) {
    assertions(&Scene::set(stores, Profile::Fapi2, Of::Client).await).await;
}

/// At each endpoint that takes them: §5.3.2.1 (8), (13), and how long they are good.
async fn assertions(scene: &Scene) {
    let server = &scene.server;
    let now = server.clock.now().as_secs();
    let issuer = server.issuer.as_str();
    let rows = [
        ("the issuer", json!({}), true),
        (
            "a clock 9 seconds ahead",
            json!({"iat": now + 9, "nbf": now + 9}),
            true,
        ),
        ("five minutes", json!({"exp": now + 290}), true),
        ("more than five minutes", json!({"exp": now + 330}), false),
        ("an hour", json!({"exp": now + 3500}), false),
        (
            "the token endpoint",
            json!({"aud": format!("{issuer}/oauth/token")}),
            false,
        ),
        (
            "the pushed endpoint",
            json!({"aud": format!("{issuer}/oauth/par")}),
            false,
        ),
        ("the issuer in an array", json!({"aud": [issuer]}), false),
        (
            "somebody else",
            json!({"aud": "https://other.example"}),
            false,
        ),
        ("a clock 61 seconds ahead", json!({"iat": now + 61}), false),
        ("not yet good", json!({"nbf": now + 61}), false),
        ("no jti", json!({"jti": null}), false),
        ("no exp", json!({"exp": null}), false),
    ];
    for path in [
        PAR,
        TOKEN,
        "/oauth/introspect",
        "/oauth/revoke",
        crate::device::PATH,
    ] {
        for (what, changes, is_good) in &rows {
            let claims = scene.assertion(changes);
            let proof = scene.proof_of(&scene.key, &claims).await;
            let form: &[(&str, &str)] = &[("token", "unknown")];
            let answer = scene.post_with(path, form, &proof).await;
            let is_let_in = answer.error() != (401, "invalid_client");
            assert_eq!(is_let_in, *is_good, "{path}: {what}: {}", answer.body);
        }
    }
}

async fn fapi2_5_4_1_nothing_is_signed_with_rs256_at_a_server(stores: &Stores) {
    let scene = Scene::set(stores, Profile::Fapi2, Of::Server).await;
    algorithms(&scene, None).await;
}

async fn fapi2_5_4_1_nothing_is_signed_with_rs256_for_a_client(stores: &Stores) {
    let scene = Scene::with(stores, Profile::Fapi2, Of::Client, |config| {
        config.keys.algorithms = vec![Algorithm::Rs256, Algorithm::Es256];
    })
    .await;
    algorithms(&scene, Some(Profile::Fapi2)).await;
}

async fn algorithms(scene: &Scene, own: Option<Profile>) {
    let server = &scene.server;
    // What the client signs, with a key that would do for either.
    let pkcs8 = SigningKey::generate(Algorithm::Ps256, &SystemRandom).unwrap();
    let [pss, pkcs1] = [Algorithm::Ps256, Algorithm::Rs256]
        .map(|alg| SigningKey::from_pkcs8(alg, &pkcs8).unwrap());
    let keys = JwkSet::new(vec![pss.public().clone()]);
    let app = server.register(ClientMetadata {
        profile: own,
        jwks: Some(of_any_algorithm(&keys)),
        ..metadata(&[])
    });
    let app = app.await;
    for (alg, key, is_good) in [
        ("PS256", &pss, true),
        ("RS256", &pkcs1, false),
        ("RS256", &pss, false),
        ("none", &pss, false),
        ("HS256", &pss, false),
    ] {
        let now = server.clock.now().as_secs();
        let claims = json!({"iss": app.id, "sub": app.id, "aud": server.issuer, "iat": now, "exp": now + 60,
            "jti": macs::unique()});
        let assertion = sign(key, &json!({"alg": alg, "kid": null}), &claims).await;
        let form = [
            ("token", "unknown"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ];
        let answer = server.send(server.form("/oauth/introspect", &form)).await;
        assert_eq!(answer.status == 200, is_good, "{alg}: {}", answer.body);
    }
    // What is signed for it, where it said nothing.
    let told = registered(server, &scene.app).await;
    assert_eq!(told.id_token_algorithm(), Algorithm::Es256);
    assert_eq!(told.authorization_response_algorithm(), Algorithm::Es256);
    assert_eq!(
        told.introspection_signed_response_alg,
        Some(Algorithm::Es256)
    );
    let by_jwt = scene
        .push(&[("response_mode", "jwt"), ("prompt", "none")])
        .await;
    let url = url_of(server, &scene.app, by_jwt.text("request_uri"));
    let answer = Browser::new(server).open(url).await.location();
    let response = parameter(&answer, "response").unwrap();
    assert_eq!(decode(&response).0["alg"], "ES256");
    let keys = server.get("/oauth/jwks").await.body;
    let keys = JwkSet::from_object(keys.as_object().unwrap()).unwrap();
    let jwt = UnverifiedJwt::parse(&response, JwtKind::AuthorizationResponse).unwrap();
    jwt.verify(&keys).unwrap();
    // What it would be given of a resource server whose tokens are signed so.
    with_rsa_resource(server).await;
    let form = [("grant_type", "client_credentials"), ("resource", API)];
    let answer = scene.ask(&form, &Prover::new()).await;
    assert_eq!(answer.error(), (400, "invalid_target"), "{}", answer.body);
}

/// The keys without what would say what they are for.
pub(super) fn of_any_algorithm(keys: &JwkSet) -> Value {
    let mut keys = keys.to_value();
    for key in keys["keys"].as_array_mut().unwrap() {
        let key = key.as_object_mut().unwrap();
        key.remove("kid");
        key.remove("alg");
    }
    keys
}

/// Not at a server of the profile, whatever else it is told, nor for a client of it: where others have it, it works.
async fn fapi2_5_3_2_1_there_is_no_password_grant(stores: &Stores) {
    let form = [
        ("grant_type", "password"),
        ("username", EMAIL),
        ("password", PASSWORD),
        ("scope", "openid read"),
    ];
    let mut server_of_all = config(stores);
    server_of_all.authorization.password_grant = true;
    let mut scene = Scene::on(server_of_all, Some(Profile::Fapi2)).await;
    scene.server.person(EMAIL).await;
    let refused = scene.ask(&form, &Prover::new()).await;
    assert_eq!(refused.error(), (400, "unauthorized_client"));
    let trusted = ClientMetadata {
        skip_consent: true,
        grant_types: [GrantType::Password].into(),
        redirect_uris: Vec::new(),
        id_token_signed_response_alg: Some(Algorithm::Es256),
        ..metadata(&[&scene.key])
    };
    scene.app = scene.server.register(trusted).await;
    let prover = Prover::new();
    let tokens = scene.ask(&form, &prover).await;
    assert_bound(&tokens, Some(&prover), "of no profile");
    scene.server.stop().await;

    let scene = Scene::on(config_of(stores, Some(Profile::Fapi2)), None).await;
    let answer = scene.ask(&form, &Prover::new()).await;
    assert_eq!(answer.error(), (400, "unsupported_grant_type"));
}

/// A code for what the app asks for.
async fn code(scene: &Scene, scope: &str) -> String {
    let pushed = scene.push(&[("scope", scope), ("prompt", "consent")]).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let url = url_of(&scene.server, &scene.app, pushed.text("request_uri"));
    let answer = Browser::new(&scene.server).sign_in_and_consent(url).await;
    parameter(&answer, "code").unwrap()
}

async fn fapi2_5_4_1_a_client_signs_in_for_openid_alone_where_rs256_is_first(stores: &Stores) {
    let scene = Scene::with(stores, Profile::Fapi2, Of::Client, |config| {
        config.keys.algorithms = vec![Algorithm::Rs256, Algorithm::Es256];
    });
    let scene = scene.await;
    let prover = Prover::new();
    let code = code(&scene, "openid").await;
    let tokens = scene.ask(&code_form(&code), &prover).await;
    assert_bound(&tokens, Some(&prover), "openid");
    let token = tokens.text("access_token");
    assert_eq!(decode(token).0["alg"], "ES256");
    let nonce = json!({"nonce": tokens.header("dpop-nonce")});
    let shown = proof(&scene.server, &prover, token, &nonce).await;
    let request = get(&scene.server, &format!("DPoP {token}"), &[&shown]);
    let told = scene.server.send(request).await;
    assert_eq!(told.status, 200, "{:?}", challenges(&told));
}

async fn fapi2_5_3_2_1_userinfo_at_a_server(stores: &Stores) {
    Box::pin(userinfo(stores, Of::Server)).await;
}

async fn fapi2_5_3_2_1_userinfo_of_a_client(stores: &Stores) {
    Box::pin(userinfo(stores, Of::Client)).await;
}

/// What was issued before somebody held the client to the profile, and is shown after.
async fn userinfo(stores: &Stores, of: Of) {
    let server = TestServer::start_with(config(stores), Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    server.clock.advance(Duration::from_mins(2));
    let key = new_key(Algorithm::Es256);
    let metadata = ClientMetadata {
        id_token_signed_response_alg: Some(Algorithm::Es256),
        ..metadata(&[&key])
    };
    let public = server.register(app(AuthMethod::None)).await;
    let scene = Scene {
        app: server.register(metadata.clone()).await,
        server,
        key,
    };
    let [good, rsa] = [Algorithm::Es256, Algorithm::Rs256].map(Prover::of);
    let mut bound = Vec::new();
    for prover in [&good, &rsa] {
        let code = code(&scene, "openid email").await;
        let tokens = scene.ask_with(&code_form(&code), prover, &json!({})).await;
        assert_bound(&tokens, Some(prover), "before");
        bound.push(tokens.text("access_token").to_owned());
    }
    let code = code(&scene, "openid email").await;
    let tokens = scene.post(TOKEN, &code_form(&code)).await;
    let unbound = tokens.text("access_token");
    let url = scene.server.authorize_url(&public, &[]);
    let answer = Browser::new(&scene.server).sign_in_and_consent(url).await;
    let code = parameter(&answer, "code").unwrap();
    let publics = ask(&scene.server, &public, &code_form(&code)).await;
    let publics = publics.text("access_token");

    let held = hold(stores, &scene, metadata, of).await;
    let server = held.as_ref().unwrap_or(&scene.server);
    let show = async |scheme: &str, token: &str, proofs: &[&str]| {
        let request = get(server, &format!("{scheme} {token}"), proofs);
        server.send(request).await
    };
    let names_no_rs256 = |answer: &Answer, what: &str| {
        let lines = challenges(answer);
        let is_named = |line: &&str| line.contains("algs=\"ES256 EdDSA Ed25519 PS256\"");
        assert!(lines.iter().any(is_named), "{what}: {lines:?}");
    };
    let by_good = proof(&scene.server, &good, &bound[0], &json!({})).await;
    let wanted = show("DPoP", &bound[0], &[&by_good]).await;
    assert_refused(&wanted, "DPoP", "use_dpop_nonce", "no nonce");
    names_no_rs256(&wanted, "no nonce");
    let nonce = json!({"nonce": wanted.header("dpop-nonce")});
    let by_good = proof(&scene.server, &good, &bound[0], &nonce).await;
    let told = show("DPoP", &bound[0], &[&by_good]).await;
    assert_eq!(told.status, 200, "{:?}", challenges(&told));

    let by_rsa = proof(&scene.server, &rsa, &bound[1], &nonce).await;
    let by_good = proof(&scene.server, &good, unbound, &nonce).await;
    for (what, scheme, token, shown, code) in [
        (
            "by RS256",
            "DPoP",
            &*bound[1],
            Some(by_rsa),
            "invalid_dpop_proof",
        ),
        ("unbound", "Bearer", unbound, None, "invalid_token"),
        (
            "unbound, as DPoP",
            "DPoP",
            unbound,
            Some(by_good),
            "invalid_token",
        ),
    ] {
        let shown: Vec<_> = shown.iter().map(String::as_str).collect();
        let answer = show(scheme, token, &shown).await;
        assert_refused(&answer, scheme, code, what);
        names_no_rs256(&answer, what);
    }
    // RFC 7662 §2.2: nor does who asks learn anything else of them.
    for (what, token, is_active) in [("bound", &*bound[0], true), ("unbound", unbound, false)] {
        let [kind, assertion] = scene.proof().await;
        let form = [
            ("token", token),
            (kind.0, &*kind.1),
            (assertion.0, &*assertion.1),
        ];
        let told = server.send(server.form("/oauth/introspect", &form)).await;
        assert_eq!(told.body["active"], is_active, "{what}: {}", told.body);
    }
    let of_public = show("Bearer", publics, &[]).await;
    match of {
        // A client that may do nothing there, and who shows no token.
        Of::Server => {
            assert_refused(&of_public, "Bearer", "invalid_token", "a public client");
            let request = server.http.get(format!("{}{USERINFO}", server.issuer));
            names_no_rs256(&server.send(request).await, "no token");
        }
        Of::Client => assert_eq!(of_public.status, 200, "of no profile"),
    }
}

/// Holds the app to the profile from now on; a server that is held to it itself is another node.
async fn hold(
    stores: &Stores,
    scene: &Scene,
    metadata: ClientMetadata,
    of: Of,
) -> Option<TestServer> {
    let profile = Some(Profile::Fapi2);
    match of {
        Of::Server => {
            let mut config = config_of(stores, profile);
            config.issuer = scene.server.issuer.parse().unwrap();
            let node = TestServer::start_with(config, scene.server.clock.clone()).await;
            node.clock.advance(Duration::from_secs(12));
            Some(node)
        }
        Of::Client => {
            let metadata = ClientMetadata {
                profile,
                ..metadata
            };
            let id = TestServer::client_id(&scene.app);
            let client = Client::new(id, metadata, Vec::new()).unwrap();
            let clients = &scene.server.records.clients;
            let put = clients.put(&client, None, scene.server.clock.now());
            put.await.unwrap();
            None
        }
    }
}
