//! Signing out for a client (OpenID Connect RP-Initiated Logout 1.0): whom it proves to mean, and where they go then.

use std::time::Duration;

use auth_server::clients::{ApplicationType, AuthMethod, ClientMetadata};
use auth_server::sessions::SessionToken;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, Page};
use crate::person::{self, Scene, pair, sign_in};
use crate::server::{TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_rp_initiated_2_whom_the_client_proves_to_mean_is_signed_out,
    oidc_rp_initiated_2_a_form_of_another_site_is_looked_at_by_a_get,
    oidc_rp_initiated_3_the_destination_keeps_its_query_and_brings_the_state,
    oidc_rp_initiated_2_a_hint_is_good_long_after_it_expired,
    oidc_rp_initiated_2_another_person_is_asked_and_goes_on_to_the_client,
    oidc_rp_initiated_2_who_is_signed_out_goes_on_at_once,
    rfc8252_7_3_the_port_of_a_native_client_varies,
    threat_23_without_proof_the_person_is_asked_and_goes_nowhere,
    a_key_that_was_withdrawn_proves_nothing_any_more,
    threat_23_only_what_was_registered_is_gone_to,
    threats_3_and_30_parameters_are_bounded_and_stand_once,
    oidc_rp_initiated_2_1_the_endpoint_is_announced,
    offline_access_outlives_a_sign_out_and_nothing_else_does,
);

pub(crate) const BYE: &str = "https://app.example/bye";
const LOGOUT: &str = "/oauth/logout";

pub(crate) fn leaving(method: AuthMethod) -> ClientMetadata {
    let mut metadata = person::app(method);
    metadata.post_logout_redirect_uris = vec![BYE.parse().unwrap()];
    metadata
}

/// A browser in which the person of this cookie is signed in.
pub(crate) fn browser<'a>(server: &'a TestServer, cookie: &SessionToken) -> Browser<'a> {
    let browser = Browser::new(server);
    let port = server.issuer.rsplit(':').next().unwrap();
    browser.set_cookie(&format!("session-{port}"), cookie.expose());
    browser
}

pub(crate) async fn logout(
    server: &TestServer,
    browser: &Browser<'_>,
    parameters: &[(&str, &str)],
) -> Page {
    let mut url = url::Url::parse(&format!("{}{LOGOUT}", server.issuer)).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    browser.get(url).await
}

/// The ID token that a client got in the session of the scene.
pub(crate) async fn id_token(scene: &Scene, client: &TestClient) -> String {
    let tokens = scene.tokens(client, "openid read").await;
    tokens["id_token"].as_str().unwrap().to_owned()
}

pub(crate) async fn is_signed_in(server: &TestServer, cookie: &SessionToken) -> bool {
    let found = server.records.sessions.find(cookie, server.clock.now());
    found.await.unwrap().is_some()
}

fn leads_to(page: &Page, location: &str) {
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    assert_eq!(page.header("location"), location);
}

/// The page that asks was shown, and nothing happened.
async fn is_asked(scene: &Scene, page: &Page, what: &str) {
    assert_eq!(page.status, StatusCode::OK, "{what}: {}", page.body);
    assert!(page.has("sign-out-submit"), "{what}: {}", page.body);
    assert!(!page.headers.contains_key("set-cookie"), "{what}");
    assert!(is_signed_in(&scene.server, &scene.cookie).await, "{what}");
}

/// Presses the button, with all that the form holds.
async fn confirm(browser: &Browser<'_>, page: &Page) -> Page {
    let forms = conformance_tests::browser::Form::all(&page.url, &page.body);
    let form = forms.iter().find(|form| form.id == "sign-out").unwrap();
    let fields: Vec<_> = form
        .inputs
        .iter()
        .map(|input| (input.name.clone(), input.value.clone()))
        .collect();
    browser.post(form.action.clone(), &fields).await
}

async fn oidc_rp_initiated_2_whom_the_client_proves_to_mean_is_signed_out(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let (_, elsewhere) = sign_in(server, &scene.account_id).await;
    for (what, named, uri, location) in [
        ("everything", true, true, format!("{BYE}?state=s")),
        ("without client_id", false, true, format!("{BYE}?state=s")),
        ("without a destination", true, false, "/logged-out".into()),
    ] {
        let (session, cookie) = sign_in(server, &scene.account_id).await;
        let mut authorization = scene.authorization(&client, "openid read");
        authorization.terms.session_id = Some(session.id);
        let code = scene.issue(authorization).await;
        let tokens = scene.redeem(&client, &code).await;
        let hint = tokens.text("id_token").to_owned();
        let mut parameters = vec![("id_token_hint", &*hint), ("state", "s")];
        if named {
            parameters.push(("client_id", &client.id));
        }
        if uri {
            parameters.push(("post_logout_redirect_uri", BYE));
        }
        let browser = browser(server, &cookie);
        let answer = logout(server, &browser, &parameters).await;
        leads_to(&answer, &location);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert!(answer.header("set-cookie").contains("Max-Age=0"), "{what}");
        assert!(browser.cookie("session").is_none(), "{what}");
        assert!(!is_signed_in(server, &cookie).await, "{what}");
        assert!(!scene.is_active(pair(&tokens.body).0).await, "{what}");
    }
    assert!(is_signed_in(server, &elsewhere).await, "another browser");
    // The same person in another session of this browser.
    let hint = id_token(&scene, &client).await;
    let other = browser(server, &elsewhere);
    let answer = logout(server, &other, &[("id_token_hint", &hint)]).await;
    leads_to(&answer, "/logged-out");
    assert!(!is_signed_in(server, &elsewhere).await);
    assert!(is_signed_in(server, &scene.cookie).await);
}

async fn oidc_rp_initiated_2_a_form_of_another_site_is_looked_at_by_a_get(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let hint = id_token(&scene, &client).await;
    let form = [
        ("id_token_hint", &*hint),
        ("post_logout_redirect_uri", BYE),
        ("state", "s"),
    ];
    // From another site the browser sends no cookie; should one send it, the answer is the same.
    let own = browser(server, &scene.cookie);
    for poster in [&own, &Browser::new(server)] {
        let answer = poster.send(server.form(LOGOUT, &form)).await;
        let location = answer.location();
        assert_eq!(location.path(), "/oauth/logout/resume");
        let shown = location.as_str();
        assert!(!shown.contains(&hint) && !shown.contains("app.example"));
        assert!(is_signed_in(server, &scene.cookie).await);
    }
    let answer = Browser::new(server).send(server.form(LOGOUT, &form)).await;
    let resumed = answer.location();
    leads_to(&own.get(&resumed).await, &format!("{BYE}?state=s"));
    assert!(!is_signed_in(server, &scene.cookie).await);
    for stale in [
        resumed.to_string(),
        format!("{}/oauth/logout/resume", server.issuer),
        format!("{}/oauth/logout/resume?request=x", server.issuer),
    ] {
        let page = own.get(&stale).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{stale}");
        assert_eq!(page.link("go-on").path(), LOGOUT, "{stale}");
    }
    // Also where the client's form has a token of its own.
    let [hinted, to, with] = form;
    let posted = [hinted, to, with, ("csrf", "of the client")];
    let answer = Browser::new(server)
        .send(server.form(LOGOUT, &posted))
        .await;
    assert_eq!(answer.location().path(), "/oauth/logout/resume");
    let answer = Browser::new(server).send(server.form(LOGOUT, &form)).await;
    server.clock.advance(Duration::from_mins(5));
    let late = own.get(answer.location()).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST);
    // Nothing is asked for: nothing is kept.
    let nothing = [("unknown", "x"), ("state", "")];
    let answer = own.send(server.form(LOGOUT, &nothing)).await;
    leads_to(&answer, LOGOUT);
}

async fn oidc_rp_initiated_3_the_destination_keeps_its_query_and_brings_the_state(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let with_query = format!("{BYE}?from=here");
    let mut metadata = leaving(AuthMethod::None);
    metadata.post_logout_redirect_uris = vec![BYE.parse().unwrap(), with_query.parse().unwrap()];
    let client = server.register(metadata).await;
    let hint = id_token(&scene, &client).await;
    for (uri, state, expected) in [
        (BYE, "", BYE.to_owned()),
        (
            BYE,
            "a b&c=d#\u{e4}\r\n",
            format!("{BYE}?state=a+b%26c%3Dd%23%C3%A4%0D%0A"),
        ),
        (&with_query, "", with_query.clone()),
        (&with_query, "s", format!("{with_query}&state=s")),
    ] {
        let parameters = [
            ("id_token_hint", &*hint),
            ("post_logout_redirect_uri", uri),
            ("state", state),
        ];
        let answer = logout(server, &Browser::new(server), &parameters).await;
        leads_to(&answer, &expected);
    }
}

async fn oidc_rp_initiated_2_a_hint_is_good_long_after_it_expired(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let hint = id_token(&scene, &client).await;
    let (keys, day) = (&server.records.keys, Duration::from_hours(24));
    keys.rotate(None, &*server.clock, &SystemRandom)
        .await
        .unwrap();
    server.clock.advance(10 * day);
    let published = server.get("/oauth/jwks").await;
    assert_eq!(published.body["keys"].as_array().unwrap().len(), 1);
    let (_, cookie) = sign_in(server, &scene.account_id).await;
    let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE)];
    let answer = logout(server, &browser(server, &cookie), &parameters).await;
    leads_to(&answer, BYE);
    assert!(!is_signed_in(server, &cookie).await);
}

async fn oidc_rp_initiated_2_another_person_is_asked_and_goes_on_to_the_client(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let hint = id_token(&scene, &client).await;
    let other = person::person(server, "bob@example.com").await;
    let (_, cookie) = sign_in(server, &other).await;
    let parameters = [
        ("id_token_hint", &*hint),
        ("client_id", &client.id),
        ("post_logout_redirect_uri", BYE),
        ("state", "<s>"),
        ("ui_locales", "de"),
        ("logout_hint", "alice"),
    ];
    let browser = browser(server, &cookie);
    let page = logout(server, &browser, &parameters).await;
    assert!(
        page.has("sign-out-submit") && page.has("asked-by"),
        "{}",
        page.body
    );
    assert!(page.body.contains("bob@example.com") && page.body.contains("An app"));
    let policy = page.header("content-security-policy");
    // Chromium would hold it against the way back to the client.
    assert!(!policy.contains("form-action"), "{policy}");
    assert!(is_signed_in(server, &cookie).await);
    let answer = confirm(&browser, &page).await;
    leads_to(&answer, &format!("{BYE}?state=%3Cs%3E"));
    assert!(!is_signed_in(server, &cookie).await);
    assert!(is_signed_in(server, &scene.cookie).await, "who was meant");
    // Once more, from the history of the browser.
    leads_to(
        &confirm(&browser, &page).await,
        &format!("{BYE}?state=%3Cs%3E"),
    );
}

async fn oidc_rp_initiated_2_who_is_signed_out_goes_on_at_once(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let hint = id_token(&scene, &client).await;
    let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE)];
    let answer = logout(server, &Browser::new(server), &parameters).await;
    leads_to(&answer, BYE);
    assert!(!answer.headers.contains_key("set-cookie"));
    assert!(
        is_signed_in(server, &scene.cookie).await,
        "at another browser"
    );
    let accounts = &server.records.accounts;
    accounts
        .disable(&scene.account_id, server.clock.now())
        .await
        .unwrap();
    let shut_out = browser(server, &scene.cookie);
    leads_to(&logout(server, &shut_out, &parameters).await, BYE);
    let unproven = [("post_logout_redirect_uri", BYE), ("client_id", &client.id)];
    leads_to(&logout(server, &shut_out, &unproven).await, "/logged-out");
}

async fn rfc8252_7_3_the_port_of_a_native_client_varies(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let loopback = "http://127.0.0.1/bye";
    let mut metadata = leaving(AuthMethod::None);
    metadata.application_type = ApplicationType::Native;
    metadata.post_logout_redirect_uris = vec![loopback.parse().unwrap()];
    let client = server.register(metadata).await;
    let hint = id_token(&scene, &client).await;
    for (uri, goes) in [
        (loopback, true),
        ("http://127.0.0.1:51004/bye", true),
        ("http://127.0.0.1:51004/bye/", false),
        ("http://localhost:51004/bye", false),
        ("http://[::1]:51004/bye", false),
        ("https://127.0.0.1:51004/bye", false),
    ] {
        let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", uri)];
        let answer = logout(server, &Browser::new(server), &parameters).await;
        leads_to(&answer, if goes { uri } else { "/logged-out" });
    }
}

/// What proves nothing: hints, each with the client that it is brought for, if one is named.
async fn unproven(
    scene: &Scene,
    client: &TestClient,
    other: &TestClient,
) -> Vec<(&'static str, String, String)> {
    let server = &scene.server;
    let good = id_token(scene, client).await;
    let tokens = scene.tokens(client, "openid read").await;
    let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let (_, claims) = crate::token::decode(&good);
    let alg = Algorithm::Es256;
    let ours = server.records.keys.ring();
    let ours = ours.signer(alg, server.clock.now()).unwrap();
    let der = SigningKey::generate(alg, &SystemRandom).unwrap();
    let stranger = SigningKey::from_pkcs8(alg, &der).unwrap();
    let stranger = sign_jwt(JwtKind::IdToken, &claims, &stranger).await;
    let parts: Vec<_> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let start = if signature.starts_with('A') { "B" } else { "A" };
    let mut rows = vec![
        ("no hint", String::new(), String::new()),
        ("no hint but a client", String::new(), client.id.clone()),
        ("for another client", good.clone(), other.id.clone()),
        ("for an unknown client", good.clone(), "nobody".into()),
        (
            "for no client that can be",
            good.clone(),
            "a b\u{e4}".into(),
        ),
    ];
    let of_none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
    let tampered = format!("{header}.{payload}.{start}{}", &signature[1..]);
    let mut hints = vec![
        ("tampered", tampered),
        ("another payload", format!("{header}.e30.{signature}")),
        ("of no algorithm", of_none),
        ("cut", good[..good.len() - 4].to_owned()),
        ("no JWT", "x".into()),
        ("encrypted", format!("{good}.x.y")),
        ("signed by a stranger", stranger.unwrap()),
        ("an access token", token("access_token")),
        ("a refresh token", token("refresh_token")),
    ];
    for (what, kind) in [
        ("typed as an access token", JwtKind::AccessToken),
        ("a logout token", JwtKind::LogoutToken),
    ] {
        hints.push((what, sign_jwt(kind, &claims, &*ours).await.unwrap()));
    }
    for (what, name, value) in [
        ("of another issuer", "iss", json!("https://evil.example")),
        ("for two clients", "aud", json!([client.id, other.id])),
        ("for nobody", "aud", json!([])),
        ("of nobody", "sub", Value::Null),
        ("without its end", "exp", Value::Null),
    ] {
        let mut claims = claims.clone();
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        let signed = sign_jwt(JwtKind::IdToken, &claims, &*ours).await;
        hints.push((what, signed.unwrap()));
    }
    let hints = hints.into_iter();
    rows.extend(hints.map(|(what, hint)| (what, hint, String::new())));
    rows
}

async fn threat_23_without_proof_the_person_is_asked_and_goes_nowhere(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let other = server.register(leaving(AuthMethod::None)).await;
    let gone = server.register(leaving(AuthMethod::None)).await;
    let gone_hint = id_token(&scene, &gone).await;
    let (clients, gone_id) = (&server.records.clients, TestServer::client_id(&gone));
    clients.delete(&gone_id, server.clock.now()).await.unwrap();
    let mut rows = unproven(&scene, &client, &other).await;
    rows.push(("of a client that is gone", gone_hint, String::new()));
    let browser = browser(server, &scene.cookie);
    for (what, hint, client_id) in &rows {
        let mut parameters = vec![("post_logout_redirect_uri", BYE), ("state", "s")];
        for (name, value) in [("id_token_hint", hint), ("client_id", client_id)] {
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        let page = logout(server, &browser, &parameters).await;
        is_asked(&scene, &page, what).await;
        assert!(!page.has("asked-by"), "{what}");
        let policy = page.header("content-security-policy");
        assert!(policy.ends_with("form-action 'self'"), "{what}: {policy}");
        let posted = Browser::new(server)
            .send(server.form(LOGOUT, &parameters))
            .await;
        let page = browser.get(posted.location()).await;
        is_asked(&scene, &page, what).await;
    }
    // Asked, they may do so all the same.
    let hint = &rows.last().unwrap().1;
    let parameters = [
        ("id_token_hint", &**hint),
        ("post_logout_redirect_uri", BYE),
    ];
    let page = logout(server, &browser, &parameters).await;
    leads_to(&confirm(&browser, &page).await, "/logged-out");
    assert!(!is_signed_in(server, &scene.cookie).await);
}

async fn a_key_that_was_withdrawn_proves_nothing_any_more(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let hint = id_token(&scene, &client).await;
    let (keys, now) = (&server.records.keys, server.clock.now());
    let kid = keys.ring().states(now)[0].kid.clone();
    keys.revoke(&kid, now, &SystemRandom).await.unwrap();
    let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE)];
    let page = logout(server, &browser(server, &scene.cookie), &parameters).await;
    is_asked(&scene, &page, "withdrawn").await;
}

async fn threat_23_only_what_was_registered_is_gone_to(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(leaving(AuthMethod::None)).await;
    let mut elsewhere = leaving(AuthMethod::None);
    elsewhere.post_logout_redirect_uris = vec!["https://other.example/bye".parse().unwrap()];
    server.register(elsewhere).await;
    let hint = id_token(&scene, &client).await;
    let browser = browser(server, &scene.cookie);
    for uri in [
        "https://evil.example/",
        "https://other.example/bye",
        person::REDIRECT,
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//https://app.example/bye",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "//app.example/bye",
        "/bye",
        "https://app.example/bye/",
        "https://app.example/bye?x=1",
        "https://app.example/bye#x",
        "https://app.example/bye%00",
        "https://app.example/bye/../bye",
        "https://app.example/%62ye",
        "https://app.example:443/bye",
        "https://app.example.evil.example/bye",
        "https://app.example@evil.example/bye",
        "https://user@app.example/bye",
        "https://app.example\\@evil.example/bye",
        "HTTPS://app.example/bye",
        "http://app.example/bye",
        " https://app.example/bye",
        "https://app.example/bye\r\nSet-Cookie: a=b",
        "https://app.example/bye https://evil.example/",
    ] {
        let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", uri)];
        let page = logout(server, &browser, &parameters).await;
        is_asked(&scene, &page, uri).await;
        let nobody = Browser::new(server);
        let answer = logout(server, &nobody, &parameters).await;
        leads_to(&answer, "/logged-out");
    }
    let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE)];
    leads_to(&logout(server, &browser, &parameters).await, BYE);
}

async fn threats_3_and_30_parameters_are_bounded_and_stand_once(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let browser = browser(server, &scene.cookie);
    for (name, longest) in [
        ("id_token_hint", 12 * 1024),
        ("logout_hint", 320),
        ("client_id", 2048),
        ("post_logout_redirect_uri", 2048),
        ("state", 4096),
        ("ui_locales", 256),
    ] {
        let fits = "x".repeat(longest);
        is_asked(
            &scene,
            &logout(server, &browser, &[(name, &fits)]).await,
            name,
        )
        .await;
        let long = format!("{fits}x");
        for parameters in [&[(name, &*long)][..], &[(name, "x"), (name, "")]] {
            let page = logout(server, &browser, parameters).await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{name}");
            assert!(
                page.has("error-title") && page.body.contains(name),
                "{name}"
            );
            let posted = browser.send(server.form(LOGOUT, parameters)).await;
            assert_eq!(posted.status, StatusCode::BAD_REQUEST, "{name}");
        }
    }
    assert!(is_signed_in(server, &scene.cookie).await);
    // Each may be as long as it may, all at once, also in the form.
    let all = [
        ("id_token_hint", 12 * 1024),
        ("post_logout_redirect_uri", 2048),
        ("state", 4096),
    ]
    .map(|(name, longest)| (name, "%".repeat(longest)));
    let all: Vec<_> = all.iter().map(|(name, value)| (*name, &**value)).collect();
    let kept = Browser::new(server).send(server.form(LOGOUT, &all)).await;
    let page = browser.get(kept.location()).await;
    is_asked(&scene, &page, "all at once").await;
    leads_to(&confirm(&browser, &page).await, "/logged-out");
}

async fn oidc_rp_initiated_2_1_the_endpoint_is_announced(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let told = server.get("/.well-known/openid-configuration").await.body;
    assert_eq!(
        told["end_session_endpoint"],
        format!("{}{LOGOUT}", server.issuer)
    );
    assert_eq!(told["backchannel_logout_supported"], true);
    assert_eq!(told["backchannel_logout_session_supported"], true);
    for absent in [
        "frontchannel_logout_supported",
        "frontchannel_logout_session_supported",
        "check_session_iframe",
    ] {
        assert!(told.get(absent).is_none(), "{absent}");
    }
    let described = server.get("/openapi.json").await.body;
    assert!(described["paths"][LOGOUT]["get"]["parameters"].is_array());
}

async fn offline_access_outlives_a_sign_out_and_nothing_else_does(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server
        .register(leaving(AuthMethod::ClientSecretBasic))
        .await;
    let (other, other_cookie) = sign_in(server, &scene.account_id).await;
    let bound = scene.tokens(&client, "openid read").await;
    let offline = scene.tokens(&client, "openid read offline_access").await;
    let mut authorization = scene.authorization(&client, "openid read");
    authorization.terms.session_id = Some(other.id);
    let code = scene.issue(authorization).await;
    let elsewhere = scene.redeem(&client, &code).await.body;
    let hint = bound["id_token"].as_str().unwrap();
    let parameters = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE)];
    leads_to(
        &logout(server, &browser(server, &scene.cookie), &parameters).await,
        BYE,
    );
    for (what, tokens, lives) in [
        ("of the session", &bound, false),
        ("offline", &offline, true),
        ("of another browser", &elsewhere, true),
    ] {
        let (access, refresh) = pair(tokens);
        assert_eq!(scene.is_active(access).await, lives, "{what}");
        let refreshed = scene.refresh(&client, refresh).await;
        let expected = if lives { 200 } else { 400 };
        assert_eq!(refreshed.status, expected, "{what}: {}", refreshed.body);
        assert_eq!(scene.userinfo(access).await.status == 200, lives, "{what}");
    }
    assert!(is_signed_in(server, &other_cookie).await);
}
