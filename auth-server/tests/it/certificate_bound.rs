//! Tokens that are bound to the certificate of their client (RFC 8705 §3), shown to us or to a proxy (RFC 9440).

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::bindable::{Door, Nodes, Sender};
use crate::bound_userinfo::assert_refused;
use crate::browser::{Browser, EMAIL, code};
use crate::certificates::{Authority, Pair, Pki, params};
use crate::dpop::{PAR, Prover, TOKEN, send};
use crate::person::{self, Scene, app, claims, code_form, refresh_form};
use crate::pushed::url_of;
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer};
use crate::token_exchange::{self, gateway_policy, introspects, service};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8705_3_1_tokens_are_bound_to_the_certificate_of_the_connection,
    rfc8705_3_4_a_client_that_registered_for_it_gets_nothing_without,
    rfc8705_4_a_public_client_is_bound_to_a_certificate_of_its_own,
    rfc8705_3_codes_are_bound_from_the_pushed_request_on,
    rfc8705_3_nothing_comes_of_any_grant_and_of_any_token_without_the_certificate,
    rfc8693_what_is_exchanged_is_bound_to_the_certificate_of_whom_exchanges_it,
    rfc9440_a_certificate_that_a_trusted_proxy_tells_of_binds_as_well,
    rfc9449_a_proof_of_a_client_that_is_bound_to_certificates_is_refused,
);

const CREDENTIALS: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", API)];

pub(crate) fn certified(metadata: ClientMetadata) -> ClientMetadata {
    ClientMetadata {
        tls_client_certificate_bound_access_tokens: true,
        ..metadata
    }
}

/// RFC 8705 §3.1.
fn thumbprint(pair: &Pair) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(pair.certificate.der()))
}

async fn scene(stores: &Stores, pki: &Pki) -> Scene {
    let server = TestServer::start_with(pki.config(stores), Arc::default()).await;
    let scene = Scene::on(server).await;
    scene.server.clock.advance(Duration::from_mins(2));
    scene
}

/// Asks where certificates are asked for, with this one or none.
pub(crate) async fn ask(
    (server, pki): (&TestServer, &Pki),
    client: &TestClient,
    (path, form): (&str, &[(&str, &str)]),
    pair: Option<&Pair>,
) -> Answer {
    let http = match pair {
        Some(pair) => pair.http(pki),
        None => pki.http().build().unwrap(),
    };
    let url = format!("{}{path}", server.mtls.as_deref().unwrap());
    let mut form = form.to_vec();
    form.push(("client_id", &client.id));
    if !client.secret.is_empty() {
        form.push(("client_secret", &client.secret));
    }
    server.send(http.post(url).form(&form)).await
}

pub(crate) fn assert_bound(answer: &Answer, pair: Option<&Pair>, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    let cnf = pair.map_or(Value::Null, |pair| json!({"x5t#S256": thumbprint(pair)}));
    assert_eq!(claims(answer.text("access_token"))["cnf"], cnf, "{what}");
    // As any other: the certificate shows by itself.
    assert_eq!(answer.text("token_type"), "Bearer", "{what}");
}

async fn rfc8705_3_1_tokens_are_bound_to_the_certificate_of_the_connection(stores: &Stores) {
    let pki = Pki::new();
    let scene = scene(stores, &pki).await;
    let at = (&scene.server, &pki);
    let own = Pair::self_signed(&params("own"));
    let named = |metadata: ClientMetadata| ClientMetadata {
        tls_client_auth_subject_dn: Some("CN=worker".into()),
        ..metadata
    };
    let keyed = |metadata: ClientMetadata| ClientMetadata {
        jwks: Some(own.jwks()),
        ..metadata
    };
    let metadata = |method| TestServer::metadata(method, "read");
    // However it proves who it is: the certificate is there to bind.
    for (what, metadata, pair) in [
        (
            "pki",
            named(metadata(AuthMethod::TlsClientAuth)),
            pki.authority.client("worker"),
        ),
        (
            "self-signed",
            keyed(metadata(AuthMethod::SelfSignedTlsClientAuth)),
            own.again(&params("own")),
        ),
        (
            "a secret",
            metadata(AuthMethod::ClientSecretPost),
            Authority::new("Nobody").client("anything"),
        ),
    ] {
        let bound = scene.server.register(certified(metadata.clone())).await;
        let answer = ask(at, &bound, (TOKEN, &CREDENTIALS), Some(&pair)).await;
        assert_bound(&answer, Some(&pair), what);
        let form = [("token", answer.text("access_token"))];
        let told = scene
            .server
            .post_as(&scene.api, "/oauth/introspect", &form)
            .await;
        assert_eq!(
            told.body["cnf"],
            json!({"x5t#S256": thumbprint(&pair)}),
            "{what}"
        );
        assert_eq!(told.body["token_type"], "Bearer", "{what}");
        // Who did not register for it is bound to nothing by a certificate that is there for another reason.
        let free = scene.server.register(metadata).await;
        let answer = ask(at, &free, (TOKEN, &CREDENTIALS), Some(&pair)).await;
        assert_bound(&answer, None, what);
    }
}

async fn rfc8705_3_4_a_client_that_registered_for_it_gets_nothing_without(stores: &Stores) {
    let pki = Pki::new();
    let scene = scene(stores, &pki).await;
    let at = (&scene.server, &pki);
    let metadata = TestServer::metadata(AuthMethod::ClientSecretPost, "read");
    let client = scene.server.register(certified(metadata)).await;
    let refused = (400, "invalid_request");
    let answer = ask(at, &client, (TOKEN, &CREDENTIALS), None).await;
    assert_eq!(answer.error(), refused, "where it could show one");
    let secret = [
        ("client_id", client.id.as_str()),
        ("client_secret", &client.secret),
    ];
    let form = [&CREDENTIALS[..], &secret].concat();
    let answer = scene.server.send(scene.server.form(TOKEN, &form)).await;
    assert_eq!(answer.error(), refused, "where it cannot");
    // Before anything is spent.
    let app = scene
        .server
        .register(certified(app(AuthMethod::None)))
        .await;
    let pair = Pair::self_signed(&params("app"));
    let code = scene.code(&app, "openid read").await;
    let answer = ask(at, &app, (TOKEN, &code_form(&code)), None).await;
    assert_eq!(answer.error(), refused);
    let answer = ask(at, &app, (TOKEN, &code_form(&code)), Some(&pair)).await;
    assert_bound(&answer, Some(&pair), "the code is there");
}

async fn rfc8705_4_a_public_client_is_bound_to_a_certificate_of_its_own(stores: &Stores) {
    let pki = Pki::new();
    let scene = scene(stores, &pki).await;
    let at = (&scene.server, &pki);
    let app_metadata = || certified(app(AuthMethod::None));
    let public = scene.server.register(app_metadata()).await;
    let pair = Pair::self_signed(&params("app"));
    let renewed = pair.again(&params("app"));
    let code = scene.code(&public, "openid read").await;
    let answer = ask(at, &public, (TOKEN, &code_form(&code)), Some(&pair)).await;
    assert_bound(&answer, Some(&pair), "first");
    let token = answer.text("refresh_token").to_owned();
    let refresh = refresh_form(&token);
    let over = (400, "invalid_grant");
    for (what, other) in [
        ("another's", Pair::self_signed(&params("app"))),
        // RFC 8705 §6.3: it is the certificate, not its key.
        ("another of its key", renewed),
    ] {
        let answer = ask(at, &public, (TOKEN, &refresh), Some(&other)).await;
        assert_eq!(answer.error(), over, "{what}");
    }
    let answer = ask(at, &public, (TOKEN, &refresh), None).await;
    assert_eq!(answer.error(), (400, "invalid_request"), "none");
    // RFC 9449 §5, likewise: what the client registered since does not let go of it.
    let changed = |metadata: ClientMetadata| {
        auth_server::clients::Client::new(public.id.parse().unwrap(), metadata, Vec::new()).unwrap()
    };
    let (clients, now) = (
        &scene.server.records.clients,
        shared_protocol::time::Clock::now(&*scene.server.clock),
    );
    clients
        .put(&changed(app(AuthMethod::None)), None, now)
        .await
        .unwrap();
    for proven in [None, Some(Prover::new())] {
        let answer = match &proven {
            Some(prover) => crate::dpop::ask(&scene.server, &public, &refresh, prover).await,
            None => send(&scene.server, &public, (TOKEN, &refresh), &[]).await,
        };
        assert_eq!(answer.error(), over, "as a bearer token, or with a key");
    }
    clients
        .put(&changed(app_metadata()), None, now)
        .await
        .unwrap();
    for _ in 0..2 {
        let answer = ask(at, &public, (TOKEN, &refresh), Some(&pair)).await;
        assert_bound(&answer, Some(&pair), "refreshed");
        assert!(answer.body["refresh_token"].is_null(), "it stays as it is");
    }
    // RFC 8705 §7.1: one that proves who it is may come with the next certificate.
    let web = scene
        .server
        .register(certified(app(AuthMethod::ClientSecretPost)))
        .await;
    let code = scene.code(&web, "openid read").await;
    let answer = ask(at, &web, (TOKEN, &code_form(&code)), Some(&pair)).await;
    let refresh = refresh_form(answer.text("refresh_token"));
    let next = Pair::self_signed(&params("next"));
    let answer = ask(at, &web, (TOKEN, &refresh), Some(&next)).await;
    assert_bound(&answer, Some(&next), "replaced");
}

async fn rfc8705_3_codes_are_bound_from_the_pushed_request_on(stores: &Stores) {
    let pki = Pki::new();
    let server = TestServer::start_with(pki.config(stores), Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    let app = server.register(certified(app(AuthMethod::None))).await;
    let at = (&server, &pki);
    let (pair, other) = (
        Pair::self_signed(&params("app")),
        Pair::self_signed(&params("app")),
    );
    let form = |changes: &[(&str, &str)]| TestServer::asking(&app, changes);
    let push = async |changes: &[(&str, &str)], pair: Option<&Pair>| {
        let form = form(changes);
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let form: Vec<_> = form
            .into_iter()
            .filter(|(name, _)| *name != "client_id")
            .collect();
        ask(at, &app, (PAR, &form), pair).await
    };
    for (what, pushed_with, redeemed_with, good) in [
        ("the same", Some(&pair), &pair, true),
        ("another", Some(&pair), &other, false),
        ("bound to nothing yet", None, &other, true),
    ] {
        let pushed = push(&[], pushed_with).await;
        assert_eq!(pushed.status, 201, "{what}: {}", pushed.body);
        let url = url_of(&server, &app, pushed.text("request_uri"));
        let code = code(&Browser::new(&server).sign_in_and_consent(url).await);
        let answer = ask(at, &app, (TOKEN, &code_form(&code)), Some(redeemed_with)).await;
        if good {
            assert_bound(&answer, Some(redeemed_with), what);
        } else {
            assert_eq!(answer.error(), (400, "invalid_grant"), "{what}");
            let late = ask(at, &app, (TOKEN, &code_form(&code)), Some(&pair)).await;
            assert_eq!(late.error(), (400, "invalid_grant"), "{what}: it is dead");
        }
    }
    // It could never redeem a code that is bound to a key.
    for pair in [Some(&pair), None] {
        let pushed = push(&[("dpop_jkt", &Prover::new().jkt())], pair).await;
        assert_eq!(pushed.error(), (400, "invalid_request"));
    }
}

/// Threat 27: by each grant and each method, at each door of each node. A refusal spends nothing.
async fn rfc8705_3_nothing_comes_of_any_grant_and_of_any_token_without_the_certificate(
    stores: &Stores,
) {
    let nodes = Nodes::start(stores).await;
    let (own, other) = (
        Pair::self_signed(&params("own")),
        Pair::self_signed(&params("own")),
    );
    let [own_http, other_http] = [&own, &other].map(|pair| pair.http(&nodes.pki));
    let places = nodes.places(&Sender::Certificate(&own)).await;
    let prover = Prover::new();
    let bound = places.iter().filter(|place| place.is_bound());
    for (number, place) in bound.enumerate() {
        let refused = |answer: &Answer, what: &str, code: &str| {
            let what = format!("{}, {what}", place.what);
            if place.token.is_some() {
                assert_refused(answer, "Bearer", "invalid_token", &what);
            } else {
                assert_eq!(answer.error(), (400, code), "{what}");
            }
        };
        for (number, door) in [(number, Door::Main), (number + 1, Door::Certificates)] {
            let none = place.send(&nodes, (number, door), &[]).await;
            refused(&none, "without a certificate", "invalid_request");
            let proof = [place.proof((&nodes, door), &prover, &json!({})).await];
            let answer = place.send(&nodes, (number, door), &proof).await;
            refused(&answer, "with a proof in its place", "invalid_request");
        }
        let node = nodes.node(number);
        let shown = async |http| node.send(place.by((node, Door::Certificates), http)).await;
        if place.token.is_some() || place.what == "refresh_token" {
            let answer = shown(&other_http).await;
            refused(&answer, "with another's certificate", "invalid_grant");
        }
        let answer = shown(&own_http).await;
        place.assert_good(&answer, "with its own");
        if place.path == TOKEN {
            assert_bound(&answer, Some(&own), place.what);
        }
    }
}

async fn rfc8693_what_is_exchanged_is_bound_to_the_certificate_of_whom_exchanges_it(
    stores: &Stores,
) {
    let pki = Pki::new();
    let scene = scene(stores, &pki).await;
    let at = (&scene.server, &pki);
    let metadata = ClientMetadata {
        token_endpoint_auth_method: AuthMethod::ClientSecretPost,
        ..certified(service("openid read reports", &gateway_policy()))
    };
    let gateway = scene.server.register(metadata).await;
    introspects(&scene, API, &["read", "write"], &gateway).await;
    let (pair, apps) = (Pair::self_signed(&params("gateway")), Prover::new());
    let code = scene.code(&scene.app, "openid read").await;
    let subject = crate::dpop::ask(&scene.server, &scene.app, &code_form(&code), &apps).await;
    let form = token_exchange::form(subject.text("access_token"), OTHER_API);
    let answer = ask(at, &gateway, (TOKEN, &form), Some(&pair)).await;
    assert_bound(&answer, Some(&pair), "exchanged");
    let answer = ask(at, &gateway, (TOKEN, &form), None).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
}

async fn rfc9440_a_certificate_that_a_trusted_proxy_tells_of_binds_as_well(stores: &Stores) {
    let pki = Pki::new();
    // We are the proxy.
    let server = TestServer::start_with(pki.behind_proxy(stores, "127.0.0.1"), Arc::default())
        .await
        .with_resources(None)
        .await;
    let metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    let client = server.register(certified(metadata)).await;
    let pair = pki.authority.client("worker");
    let request = || person::request(&server, &client, TOKEN, &CREDENTIALS);
    let headers = pair.headers().into_iter();
    let told = headers.fold(request(), |request, (name, value)| {
        request.header(name, value)
    });
    assert_bound(&server.send(told).await, Some(&pair), "told by the proxy");
    let answer = server.send(request()).await;
    assert_eq!(answer.error(), (400, "invalid_request"), "told of none");
}

async fn rfc9449_a_proof_of_a_client_that_is_bound_to_certificates_is_refused(stores: &Stores) {
    let pki = Pki::new();
    let scene = scene(stores, &pki).await;
    let server = &scene.server;
    let metadata = TestServer::metadata(AuthMethod::ClientSecretPost, "read");
    let client = server.register(certified(metadata)).await;
    let (pair, prover) = (Pair::self_signed(&params("own")), Prover::new());
    let form = [
        CREDENTIALS[0],
        CREDENTIALS[1],
        ("client_id", &client.id),
        ("client_secret", &client.secret),
    ];
    for path in [TOKEN, PAR] {
        let proof = prover.proof(server, path, &json!({})).await;
        for base in [server.issuer.as_str(), server.mtls.as_deref().unwrap()] {
            let http = pair.http(&pki);
            let http = if base == server.issuer {
                &server.http
            } else {
                &http
            };
            let request = http.post(format!("{base}{path}")).form(&form);
            let answer = server.send(request.header("dpop", &proof)).await;
            assert_eq!(answer.error(), (400, "invalid_request"), "{base}{path}");
        }
    }
    // Whoever did not register for it may show a proof by way of that listener, for whose URL it is made then, or for the other.
    let metadata = TestServer::metadata(AuthMethod::ClientSecretPost, "read");
    let free = server.register(metadata).await;
    let http = pair.http(&pki);
    let url = format!("{}{TOKEN}", server.mtls.as_deref().unwrap());
    let form = [
        CREDENTIALS[0],
        CREDENTIALS[1],
        ("client_id", &free.id),
        ("client_secret", &free.secret),
    ];
    for htu in [url.clone(), format!("{}{TOKEN}", server.issuer)] {
        let proof = prover.proof(server, TOKEN, &json!({"htu": htu})).await;
        let request = http.post(&url).form(&form).header("dpop", proof);
        let answer = server.send(request).await;
        crate::dpop::assert_bound(&answer, Some(&prover), &htu);
    }
}
