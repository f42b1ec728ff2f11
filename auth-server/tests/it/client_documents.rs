//! Clients that describe themselves (draft-ietf-oauth-client-id-metadata-document).

use std::sync::Arc;
use std::time::Duration;

use auth_server::config::{Config, Enabled, Mode};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, Page, code, parameter};
use crate::introspection::eventually;
use crate::person::{REDIRECT, code_form, is_active, post, refresh_form, userinfo};
use crate::server::{API, Answer, TestClient, TestServer, config};
use crate::site::Site;

on_each_store!(auth_server::store::MIGRATIONS;
    an_app_needs_nothing_but_its_own_url,
    it_proves_itself_by_its_keys_and_by_nothing_else,
    people_see_who_publishes_it_and_are_asked_again_when_it_becomes_another,
    rfc8252_8_6_one_on_a_device_is_never_silent,
    documents_that_describe_nobody,
    a_document_is_believed_for_an_hour_at_most_and_the_next_fetch_decides,
    a_document_that_changes_while_a_person_decides,
    a_scope_that_comes_to_be_may_be_asked_for,
    a_failure_is_remembered_for_half_a_minute,
    threat_30_strangers_have_us_fetch_so_much_and_no_more,
    threat_34_one_that_is_deleted_loses_its_grants,
    two_nodes_serve_one,
    what_was_read_with_the_scopes_of_now_is_not_read_again_for_them,
    where_they_are_off_they_are_nobody,
);

const APP: &str = "/app.json";
const FORM: [(&str, &str); 1] = [("grant_type", "client_credentials")];

struct Scene {
    server: TestServer,
    site: Site,
    app: TestClient,
}

impl Scene {
    async fn set(stores: &Stores) -> Self {
        Self::with(stores, |_| ()).await
    }

    async fn with(stores: &Stores, change: impl FnOnce(&mut Config)) -> Self {
        let site = Site::start().await;
        let mut config = config(stores);
        site.open_to(&mut config);
        config.client_documents.fetches_per_address = 0;
        change(&mut config);
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        server.clock.advance(Duration::from_mins(2));
        server.person(EMAIL).await;
        let app = TestClient {
            id: site.at(APP),
            secret: String::new(),
        };
        site.put(APP, &describing(&app.id));
        Self { server, site, app }
    }

    fn ask(&self) -> String {
        self.server.authorize_url(&self.app, &[])
    }

    async fn first(&self, browser: &Browser<'_>) -> Page {
        browser.open(self.ask()).await
    }

    /// The tokens of a code.
    async fn redeem(&self, node: &TestServer, code: &str) -> Answer {
        post(node, &self.app, "/oauth/token", &code_form(code)).await
    }

    fn later(&self, seconds: u64) {
        self.server.clock.advance(Duration::from_secs(seconds));
    }
}

/// A good description.
pub(crate) fn describing(id: &str) -> Value {
    json!({
        "client_id": id,
        "client_name": "An agent",
        "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "something_else": {"ignored": true},
    })
}

fn with(mut document: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        document[*name] = value.clone();
    }
    document
}

/// The title of the page that refuses a request.
fn refused(page: &Page) -> bool {
    let is_page = page.has("error-title") && page.headers.get("location").is_none();
    assert!(
        !is_page || page.status == StatusCode::BAD_REQUEST,
        "{} {}",
        page.status,
        page.body
    );
    is_page
}

async fn an_app_needs_nothing_but_its_own_url(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let metadata = scene
        .server
        .get("/.well-known/oauth-authorization-server")
        .await;
    assert_eq!(metadata.body["client_id_metadata_document_supported"], true);
    // The scopes that were just made are known by now: documents are not read anew for them.
    let documents = scene.server.records.sites.documents.as_ref().unwrap();
    documents.follow_scopes();

    let browser = Browser::new(&scene.server);
    let answer = browser.sign_in_and_consent(scene.ask()).await;
    assert_eq!(parameter(&answer, "state").as_deref(), Some("af0ifjsldkj"));
    let tokens = scene.redeem(&scene.server, &code(&answer)).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let access = tokens.text("access_token");
    assert_eq!(crate::person::claims(access)["client_id"], scene.app.id);
    assert!(tokens.body["id_token"].is_string());
    assert_eq!(userinfo(&scene.server, access).await.status, 200);
    let form = refresh_form(tokens.text("refresh_token"));
    let refreshed = post(&scene.server, &scene.app, "/oauth/token", &form).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let token = refreshed.text("refresh_token").to_owned();
    let form = [("token", token.as_str())];
    let revoked = post(&scene.server, &scene.app, "/oauth/revoke", &form).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(userinfo(&scene.server, access).await.status, 401);
    assert_eq!(scene.site.asked(APP), 1, "one fetch for all of it");

    // Nobody approved it for itself.
    let alone = post(&scene.server, &scene.app, "/oauth/token", &FORM).await;
    assert_eq!(alone.error(), (400, "unauthorized_client"));
    // Agreed to once, it is not asked again.
    assert_eq!(code(&browser.open(scene.ask()).await.location()).len(), 43);
    let deleted = Browser::new(&scene.server);
    assert!(deleted.open(scene.ask()).await.has("sign-in"));
}

async fn it_proves_itself_by_its_keys_and_by_nothing_else(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let alg = Algorithm::Es256;
    let new_key =
        || SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap();
    let key = new_key();
    let keys = JwkSet::new(vec![key.public().clone()]).to_value();
    scene.site.put("/keys.json", &keys);
    for (what, path, changes) in [
        ("keys by value", "/by-value.json", ("jwks", keys.clone())),
        (
            "keys by reference",
            "/by-reference.json",
            ("jwks_uri", json!(scene.site.at("/keys.json"))),
        ),
    ] {
        let app = TestClient {
            id: scene.site.at(path),
            secret: String::new(),
        };
        let method = ("token_endpoint_auth_method", json!("private_key_jwt"));
        scene
            .site
            .put(path, &with(describing(&app.id), &[method, changes]));
        let browser = Browser::new(&scene.server);
        let url = scene.server.authorize_url(&app, &[]);
        let answer = browser.sign_in_and_consent(url).await;
        let code = code(&answer);
        let unproven = post(&scene.server, &app, "/oauth/token", &code_form(&code)).await;
        assert_eq!(unproven.error(), (401, "invalid_client"), "{what}");
        for (key, accepted) in [(&new_key(), false), (&key, true)] {
            let now = scene.server.clock.now().as_secs();
            let jti = shared_protocol::random::alphanumeric(16, &SystemRandom);
            let claims = json!({"iss": app.id, "sub": app.id, "aud": scene.server.issuer, "iat": now, "exp": now + 60, "jti": jti});
            let assertion = scene.server.assertion(key, &claims).await;
            let mut form = code_form(&code).to_vec();
            form.push((
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ));
            form.push(("client_assertion", &assertion));
            let answer = scene
                .server
                .send(scene.server.form("/oauth/token", &form))
                .await;
            assert_eq!(answer.status == 200, accepted, "{what}: {}", answer.body);
        }
    }
}

async fn people_see_who_publishes_it_and_are_asked_again_when_it_becomes_another(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let browser = Browser::new(&scene.server);
    let page = scene.first(&browser).await;
    let page = browser
        .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
        .await;
    let host = scene.site.url.strip_prefix("https://").unwrap();
    for shown in ["An agent", host, "app.example"] {
        assert!(page.body.contains(shown), "{shown} in {}", page.body);
    }
    browser.decide(&page, "approve").await.location();

    let document = describing(&scene.app.id);
    let another = json!([REDIRECT, "https://app.example/other"]);
    let key = scene.server.signing_client(Algorithm::Es256, "").await.1;
    let keys = JwkSet::new(vec![key.public().clone()]).to_value();
    let by_keys = [
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("jwks", keys),
    ];
    for (what, document, asked) in [
        ("the same", document.clone(), false),
        (
            "another name",
            with(document.clone(), &[("client_name", json!("Another"))]),
            false,
        ),
        (
            "another redirect",
            with(document.clone(), &[("redirect_uris", another)]),
            true,
        ),
        ("what it was before", document.clone(), true),
        ("keys", with(document.clone(), &by_keys), true),
    ] {
        scene.site.put(APP, &document);
        scene.later(3600);
        let page = browser.open(scene.ask()).await;
        assert_eq!(page.has("consent"), asked, "{what}: {}", page.body);
        if asked {
            browser.decide(&page, "approve").await.location();
            let again = browser.open(scene.ask()).await;
            assert!(!again.has("consent"), "{what}: remembered");
        }
    }
}

async fn rfc8252_8_6_one_on_a_device_is_never_silent(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let redirect = "http://127.0.0.1/cb";
    let on_device = with(
        describing(&scene.app.id),
        &[("redirect_uris", json!([redirect]))],
    );
    scene.site.put(APP, &on_device);
    let browser = Browser::new(&scene.server);
    let port = "http://127.0.0.1:51004/cb";
    let url = scene
        .server
        .authorize_url(&scene.app, &[("redirect_uri", port)]);
    for _ in 0..2 {
        let mut page = browser.open(&url).await;
        if page.has("sign-in") {
            page = browser
                .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
                .await;
        }
        assert!(page.has("consent"));
        assert!(page.body.contains("an app on this device"), "{}", page.body);
        assert!(page.has("client-host"), "{}", page.body);
        let answer = browser.decide(&page, "approve").await.location();
        assert_eq!(answer.port(), Some(51004));
        let mut form = code_form("").to_vec();
        let code = code(&answer);
        for (name, value) in &mut form {
            match *name {
                "code" => *value = &code,
                "redirect_uri" => *value = port,
                _ => {}
            }
        }
        let tokens = post(&scene.server, &scene.app, "/oauth/token", &form).await;
        assert_eq!(tokens.status, 200, "{}", tokens.body);
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn documents_that_describe_nobody(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let browser = Browser::new(&scene.server);
    let json_type = ("content-type", "application/json");
    let mut case = 0;
    let mut judge =
        async |what: &str, status: u16, headers: &[(&str, &str)], edit: &dyn Fn(&str) -> String| {
            case += 1;
            let path = format!("/case-{case}.json");
            let app = TestClient {
                id: scene.site.at(&path),
                secret: String::new(),
            };
            scene.site.put_with(&path, status, headers, edit(&app.id));
            let page = browser.open(scene.server.authorize_url(&app, &[])).await;
            assert!(scene.site.asked(&path) <= 1, "{what}");
            (refused(&page), page.body)
        };
    let whole = |id: &str| describing(id).to_string();
    let (is_refused, body) = judge("good", 200, &[], &whole).await;
    assert!(!is_refused, "{body}");
    for media_type in ["application/client+json", "Application/JSON; charset=utf-8"] {
        let headers = [("content-type", media_type)];
        let (is_refused, body) = judge(media_type, 200, &headers, &whole).await;
        assert!(!is_refused, "{media_type}: {body}");
    }
    let elsewhere = scene.site.at("/elsewhere.json");
    scene.site.put("/elsewhere.json", &describing(&elsewhere));
    for (what, status, headers) in [
        ("another success", 203, [json_type]),
        ("no content", 204, [json_type]),
        ("not found", 404, [json_type]),
        ("failing", 500, [json_type]),
        ("moved", 302, [("location", elsewhere.as_str())]),
        ("HTML", 200, [("content-type", "text/html")]),
        ("text", 200, [("content-type", "text/plain")]),
        ("not application", 200, [("content-type", "image/x+json")]),
    ] {
        let (is_refused, body) = judge(what, status, &headers, &whole).await;
        assert!(is_refused, "{what}: {body}");
    }
    assert_eq!(scene.site.asked("/elsewhere.json"), 0);
    for (what, text) in [
        ("nothing", String::new()),
        ("no JSON", "client_id".into()),
        ("an array", "[]".into()),
        ("not UTF-8 text", "\u{0}".into()),
        ("deep", format!("{}{}", "[".repeat(2000), "]".repeat(2000))),
    ] {
        let (is_refused, body) = judge(what, 200, &[], &|_| text.clone()).await;
        assert!(is_refused, "{what}: {body}");
    }
    let large = |id: &str| " ".repeat(5 * 1024 + 1 - whole(id).len()) + &whole(id);
    let (is_refused, body) = judge("one byte too many", 200, &[], &large).await;
    assert!(is_refused, "{body}");
    let fits = |id: &str| " ".repeat(5 * 1024 - whole(id).len()) + &whole(id);
    let (is_refused, body) = judge("as large as it may be", 200, &[], &fits).await;
    assert!(!is_refused, "{body}");
    let twice = |id: &str| whole(id).replacen('{', "{\"client_name\":\"Other\",", 1);
    let (is_refused, body) = judge("a name twice", 200, &[], &twice).await;
    assert!(is_refused, "{body}");
    let other = |id: &str| describing(&format!("{id}?")).to_string();
    let (is_refused, body) = judge("another client_id", 200, &[], &other).await;
    assert!(is_refused, "{body}");
    let method = "token_endpoint_auth_method";
    for (what, changes) in [
        ("no client_id", &[("client_id", Value::Null)][..]),
        ("client_id is no text", &[("client_id", json!(["x"]))]),
        ("Basic", &[(method, json!("client_secret_basic"))]),
        (
            "a secret in the body",
            &[(method, json!("client_secret_post"))],
        ),
        (
            "a secret that signs",
            &[(method, json!("client_secret_jwt"))],
        ),
        ("a certificate", &[(method, json!("tls_client_auth"))]),
        ("no method at all", &[(method, json!(["none"]))]),
        ("a secret", &[("client_secret", json!("s3cret"))]),
        ("its end", &[("client_secret_expires_at", json!(0))]),
        ("keys without any", &[(method, json!("private_key_jwt"))]),
        (
            "keys of both kinds",
            &[
                (method, json!("private_key_jwt")),
                ("jwks", json!({"keys": []})),
                ("jwks_uri", json!("https://client.example/keys")),
            ],
        ),
        (
            "keys over http",
            &[
                (method, json!("private_key_jwt")),
                ("jwks_uri", json!("http://client.example/keys")),
            ],
        ),
        (
            "people by the names of another's sector",
            &[("subject_type", json!("pairwise"))],
        ),
        ("no redirects", &[("redirect_uris", json!([]))]),
        ("no redirects at all", &[("redirect_uris", Value::Null)]),
        (
            "a redirect that is none",
            &[("redirect_uris", json!(["javascript:alert(1)"]))],
        ),
        (
            "plain http elsewhere",
            &[("redirect_uris", json!(["http://app.example/cb"]))],
        ),
        (
            "only for itself",
            &[("grant_types", json!(["client_credentials"]))],
        ),
        (
            "tokens from the front",
            &[("response_types", json!(["token"]))],
        ),
        (
            "two ways to bind its tokens",
            &[
                ("dpop_bound_access_tokens", json!(true)),
                ("tls_client_certificate_bound_access_tokens", json!(true)),
            ],
        ),
        (
            "signed requests",
            &[("require_signed_request_object", json!(true))],
        ),
        (
            "an algorithm that we lack",
            &[("id_token_signed_response_alg", json!("PS256"))],
        ),
        (
            "a name that is none",
            &[("client_name", json!({"en": "x"}))],
        ),
        (
            "a name as long as a book",
            &[("client_name", json!("x".repeat(257)))],
        ),
        (
            "a logo that is script",
            &[("logo_uri", json!("javascript:alert(1)"))],
        ),
    ] {
        let edit = |id: &str| {
            // An edit of the identifier replaces it.
            with(describing(id), changes).to_string()
        };
        let (is_refused, body) = judge(what, 200, &[], &edit).await;
        assert!(is_refused, "{what}: {body}");
    }
    for (what, changes) in [
        ("no method", &[(method, Value::Null)][..]),
        ("no grants", &[("grant_types", Value::Null)]),
        (
            "more grants than we have",
            &[(
                "grant_types",
                json!([
                    "authorization_code",
                    "urn:ietf:params:oauth:grant-type:device_code"
                ]),
            )],
        ),
        (
            "more response types",
            &[("response_types", json!(["code", "id_token"]))],
        ),
        (
            "proof of possession",
            &[("dpop_bound_access_tokens", json!(true))],
        ),
        (
            "an attempt to be the operator's",
            &[("skip_consent", json!(true))],
        ),
        (
            "a localized name",
            &[("client_name#de", json!("Ein Agent"))],
        ),
        ("its scopes", &[("scope", json!("openid read nonsense"))]),
    ] {
        let edit = |id: &str| with(describing(id), changes).to_string();
        let (is_refused, body) = judge(what, 200, &[], &edit).await;
        assert!(!is_refused, "{what}: {body}");
    }
    for id in [
        scene.site.at(""),
        scene.site.at("/a/../app.json"),
        scene.site.at("/app.json#it"),
        scene.app.id.replacen("https", "HTTPS", 1),
        scene.app.id.replacen("https", "http", 1),
        scene.app.id.replacen("https://", "https://me@", 1),
    ] {
        let before = scene.site.asked_in_all();
        let app = TestClient {
            id: id.clone(),
            secret: String::new(),
        };
        let page = browser.open(scene.server.authorize_url(&app, &[])).await;
        assert!(refused(&page), "{id}: {}", page.body);
        assert_eq!(scene.site.asked_in_all(), before, "{id}: fetched");
    }
}

async fn a_document_is_believed_for_an_hour_at_most_and_the_next_fetch_decides(stores: &Stores) {
    let mut scene = Scene::set(stores).await;
    for (what, path, headers, seconds) in [
        ("nothing is said", "/nothing.json", &[][..], 3600),
        (
            "a day",
            "/day.json",
            &[("cache-control", "max-age=86400")],
            3600,
        ),
        (
            "five minutes",
            "/five.json",
            &[("cache-control", "max-age=300")],
            300,
        ),
        ("never", "/never.json", &[("cache-control", "no-store")], 10),
    ] {
        scene.app.id = scene.site.at(path);
        let document = describing(&scene.app.id).to_string();
        scene.site.put_with(path, 200, headers, document);
        let browser = Browser::new(&scene.server);
        assert!(scene.first(&browser).await.has("sign-in"), "{what}");
        let elsewhere = json!(["https://app.example/elsewhere"]);
        let moved = with(describing(&scene.app.id), &[("redirect_uris", elsewhere)]);
        scene.site.put(path, &moved);
        scene.later(seconds * 4 / 5 - 1);
        assert!(scene.first(&browser).await.has("sign-in"), "{what}");
        assert_eq!(scene.site.asked(path), 1, "{what}");
        scene.later(seconds / 5 + 2);
        assert!(refused(&scene.first(&browser).await), "{what}");
        assert_eq!(scene.site.asked(path), 2, "{what}");
    }
}

async fn a_document_that_changes_while_a_person_decides(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let no_store = [("cache-control", "no-store")];
    let document = describing(&scene.app.id);
    let show = |document: &Value| {
        scene
            .site
            .put_with(APP, 200, &no_store, document.to_string());
    };
    for (what, change) in [
        ("another name", ("client_name", json!("The bank itself"))),
        (
            "another redirect beside it",
            ("redirect_uris", json!([REDIRECT, "https://evil.example/"])),
        ),
    ] {
        show(&document);
        scene.later(3600);
        let browser = Browser::new(&scene.server);
        let page = scene.first(&browser).await;
        let page = browser
            .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
            .await;
        assert!(page.has("consent"), "{what}: {}", page.body);
        show(&with(document.clone(), &[change]));
        scene.later(11);
        let answer = browser.decide(&page, "approve").await;
        assert!(answer.has("stale-title"), "{what}: {}", answer.body);
    }
    show(&document);
    scene.later(3600);
    let browser = Browser::new(&scene.server);
    let answer = browser.sign_in_and_consent(scene.ask()).await;
    // From public to one with keys, between code and token.
    let method = ("token_endpoint_auth_method", json!("client_secret_basic"));
    show(&with(document, &[method]));
    scene.later(11);
    let tokens = scene.redeem(&scene.server, &code(&answer)).await;
    assert_eq!(tokens.error(), (401, "invalid_client"));
}

async fn a_scope_that_comes_to_be_may_be_asked_for(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let browser = Browser::new(&scene.server);
    let url = scene
        .server
        .authorize_url(&scene.app, &[("scope", "openid audit")]);
    let refused = browser.open(&url).await.location();
    assert_eq!(
        parameter(&refused, "error").as_deref(),
        Some("invalid_scope")
    );
    let scopes = ["read", "write", "audit"];
    scene
        .server
        .put_resource(API, &scopes, None, Algorithm::Es256)
        .await;
    let asked = eventually(async || browser.open(&url).await.has("sign-in"));
    assert!(asked.await);
    // An operator may allow less.
    let site = Site::start().await;
    let mut less = config(stores);
    site.open_to(&mut less);
    less.client_documents.scope = "openid read".parse().unwrap();
    let server = TestServer::start_with(less, scene.server.clock.clone()).await;
    let app = TestClient {
        id: site.at(APP),
        secret: String::new(),
    };
    site.put(APP, &describing(&app.id));
    let scene = Scene { server, site, app };
    let browser = Browser::new(&scene.server);
    for (scope, allowed) in [
        ("openid read", true),
        ("openid write", false),
        ("email", false),
    ] {
        let url = scene.server.authorize_url(&scene.app, &[("scope", scope)]);
        assert_eq!(browser.open(url).await.has("sign-in"), allowed, "{scope}");
    }
}

async fn a_failure_is_remembered_for_half_a_minute(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.site.put_with(APP, 503, &[], "");
    let browser = Browser::new(&scene.server);
    for _ in 0..3 {
        assert!(refused(&scene.first(&browser).await));
    }
    assert_eq!(scene.site.asked(APP), 1);
    scene.site.put(APP, &describing(&scene.app.id));
    scene.later(29);
    assert!(refused(&scene.first(&browser).await));
    scene.later(1);
    assert!(scene.first(&browser).await.has("sign-in"));
    assert_eq!(scene.site.asked(APP), 2);
}

async fn threat_30_strangers_have_us_fetch_so_much_and_no_more(stores: &Stores) {
    let scene = Scene::with(stores, |config| {
        config.client_documents.fetches_per_address = 5;
    })
    .await;
    let browser = Browser::new(&scene.server);
    let mut statuses = Vec::new();
    for n in 0..8 {
        let app = TestClient {
            id: scene.site.at(&format!("/{n}.json")),
            secret: String::new(),
        };
        scene.site.put(&format!("/{n}.json"), &describing(&app.id));
        let page = browser.open(scene.server.authorize_url(&app, &[])).await;
        if page.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(!page.header("retry-after").is_empty());
        }
        statuses.push(page.status.as_u16());
        // At the token endpoint, what nobody approved is not even fetched.
        let before = scene.site.asked_in_all();
        let unapproved = post(&scene.server, &app, "/oauth/token", &FORM).await;
        assert_eq!(unapproved.error(), (401, "invalid_client"));
        assert_eq!(scene.site.asked_in_all(), before);
    }
    assert_eq!(statuses[..5], [200; 5]);
    assert_eq!(statuses[5..], [429; 3]);
    assert_eq!(scene.site.asked_in_all(), 5);
    // What is remembered costs nothing.
    let known = TestClient {
        id: scene.site.at("/0.json"),
        secret: String::new(),
    };
    let page = browser.open(scene.server.authorize_url(&known, &[])).await;
    assert!(page.has("sign-in"), "{}", page.body);
}

async fn threat_34_one_that_is_deleted_loses_its_grants(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let api = scene
        .server
        .client(auth_server::clients::AuthMethod::ClientSecretBasic, "")
        .await;
    scene
        .server
        .put_resource(API, &["read", "write"], Some(&api), Algorithm::Es256)
        .await;
    let browser = Browser::new(&scene.server);
    let answer = browser.sign_in_and_consent(scene.ask()).await;
    let tokens = scene.redeem(&scene.server, &code(&answer)).await;
    let access = tokens.text("access_token");
    assert!(is_active(&scene.server, &api, access).await);
    let clients = &scene.server.records.clients;
    let id = scene.app.id.parse().unwrap();
    clients.delete(&id, scene.server.clock.now()).await.unwrap();
    assert!(!is_active(&scene.server, &api, access).await);
    let token = tokens.text("refresh_token");
    let refreshed = post(
        &scene.server,
        &scene.app,
        "/oauth/token",
        &refresh_form(token),
    )
    .await;
    assert_eq!(refreshed.error(), (401, "invalid_client"));
    // It may ask again, as anybody may; nothing of before is left.
    let page = browser.open(scene.ask()).await;
    assert!(page.has("consent"), "{}", page.body);
}

async fn what_was_read_with_the_scopes_of_now_is_not_read_again_for_them(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let browser = Browser::new(&scene.server);
    scene.first(&browser).await;
    assert_eq!(scene.site.asked(APP), 1);
    // As when the feed tells of the resource servers that were there by then.
    let documents = scene.server.records.sites.documents.as_ref().unwrap();
    documents.follow_scopes();
    scene.first(&browser).await;
    assert_eq!(scene.site.asked(APP), 1);
    scene
        .server
        .put_resource("https://third.example", &["third"], None, Algorithm::Es256)
        .await;
    documents.follow_scopes();
    scene.first(&browser).await;
    assert_eq!(scene.site.asked(APP), 2, "there are others now");
}

async fn two_nodes_serve_one(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut second = config(stores);
    scene.site.open_to(&mut second);
    second.issuer = scene.server.issuer.parse().unwrap();
    let other = TestServer::start_with(second, scene.server.clock.clone()).await;
    let browser = Browser::new(&scene.server);
    let answer = browser.sign_in_and_consent(scene.ask()).await;
    // In-process codes are not shared: there, only the client is looked at.
    let tokens = scene.redeem(&other, &code(&answer)).await;
    if tokens.status != 200 {
        assert_eq!(tokens.error(), (400, "invalid_grant"), "{}", tokens.body);
    }
    assert_eq!(scene.site.asked(APP), 2, "each node asks for itself");
}

async fn where_they_are_off_they_are_nobody(stores: &Stores) {
    let scene = Scene::with(stores, |config| {
        config.client_documents.enabled = Enabled::Never;
    })
    .await;
    let metadata = scene
        .server
        .get("/.well-known/oauth-authorization-server")
        .await;
    assert_eq!(
        metadata.body["client_id_metadata_document_supported"],
        false
    );
    let browser = Browser::new(&scene.server);
    assert!(refused(&scene.first(&browser).await));
    let unknown = post(&scene.server, &scene.app, "/oauth/token", &FORM).await;
    assert_eq!(unknown.error(), (401, "invalid_client"));
    assert_eq!(scene.site.asked_in_all(), 0);
}

#[test]
fn production_serves_them_by_the_operators_word_and_with_a_limit() {
    let mut config = Config::default();
    assert!(config.client_documents.is_on(Mode::Development));
    assert!(!config.client_documents.is_on(Mode::Production));
    config.client_documents.enabled = Enabled::Always;
    assert!(config.client_documents.is_on(Mode::Production));
    let names = |config: &Config| {
        let problems = config.problems().into_iter();
        problems
            .filter(|problem| problem.starts_with("client_documents."))
            .count()
    };
    config.mode = Mode::Production;
    assert_eq!(names(&config), 0);
    config.client_documents.fetches_per_address = 0;
    assert_eq!(names(&config), 1);
    config.client_documents.body = 100;
    assert_eq!(names(&config), 2);
}
