//! Every field by which a client has this server fetch something, against the same destinations and the same misbehaviour (threat 18).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth_server::clients::url::ClientUrl;
use auth_server::clients::{AuthMethod, Client, ClientMetadata};
use auth_server::config::{Config, Mode};
use image::{ImageFormat, RgbaImage};
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::ssrf::FORBIDDEN_URLS;
use shared_testing::stores::Stores;
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::back_channel;
use crate::browser::{Browser, EMAIL, code, parameter};
use crate::client_documents::describing;
use crate::jwks_uri;
use crate::logo::logo_url;
use crate::person::{REDIRECT, app, code_form, post};
use crate::request_object;
use crate::server::{TestClient, TestServer, config};
use crate::site::Site;

on_each_store!(auth_server::store::MIGRATIONS;
    threat_18_no_field_leads_into_our_network,
    threat_18_nor_does_a_url_inside_a_document,
    what_answers_badly_is_refused_by_every_field,
    oidc_registration_5_a_sector_lists_every_redirect,
);

/// What is fetched for a client.
#[derive(Clone, Copy, Debug)]
enum Field {
    Keys,
    Sector,
    Logo,
    Document,
    Logout,
    Request,
}

/// Those that bring something: of a logout endpoint only the status counts.
const FIELDS: [Field; 5] = [
    Field::Keys,
    Field::Sector,
    Field::Logo,
    Field::Document,
    Field::Request,
];

struct Scene {
    server: TestServer,
    site: Site,
    key: SigningKey,
    /// A client that publishes its requests, and one of those.
    publishing: TestClient,
    object: String,
}

impl Scene {
    /// A server that may fetch from the site, as an origin that the operator named, and from nowhere else on this machine.
    async fn set(stores: &Stores, timeout: Duration) -> Self {
        let site = Site::start().await;
        let mut config = config(stores);
        site.open_to(&mut config);
        config.outbound.networks.clear();
        config.outbound.origins = vec![site.url.parse().unwrap()];
        config.outbound.timeout = timeout;
        config.client_documents.fetches_per_address = 0;
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        server.clock.advance(Duration::from_mins(2));
        server.person(EMAIL).await;
        let alg = Algorithm::Es256;
        let pkcs8 = SigningKey::generate(alg, &SystemRandom).unwrap();
        let key = SigningKey::from_pkcs8(alg, &pkcs8).unwrap();
        let publishing = server.register(request_object::metadata(&key)).await;
        let asked = TestServer::asking(&publishing, &[]).into_iter();
        let claims = asked.map(|(name, value)| (name, json!(value))).collect();
        let object = request_object::sign(&key, &json!({}), &Value::Object(claims)).await;
        Self {
            server,
            site,
            key,
            publishing,
            object,
        }
    }

    /// Whether the object at `url` is taken for a request.
    async fn takes_request(&self, url: ClientUrl) -> bool {
        let server = &self.server;
        let metadata = ClientMetadata {
            request_uris: vec![url.clone()],
            ..request_object::metadata(&self.key)
        };
        let id = TestServer::client_id(&self.publishing);
        let client = Client::new(id, metadata, Vec::new()).unwrap();
        let clients = &server.records.clients;
        let now = server.clock.now();
        clients.put(&client, None, now).await.unwrap();
        let named = ("request_uri", url.as_str());
        let beside = [("redirect_uri", REDIRECT)];
        let opened = request_object::url(server, &self.publishing, named, &beside);
        let page = Browser::new(server).open(opened).await;
        if !page.has("sign-in") {
            let answer = page.location();
            let error = parameter(&answer, "error");
            assert_eq!(error.as_deref(), Some("invalid_request_uri"), "{answer}");
            let description = parameter(&answer, "error_description").unwrap();
            assert!(!description.contains("address"), "{description}");
        }
        page.has("sign-in")
    }

    fn good(&self, field: Field, url: &str) -> Vec<u8> {
        let value = match field {
            Field::Keys => JwkSet::new(vec![self.key.public().clone()]).to_value(),
            Field::Sector => json!([REDIRECT]),
            Field::Logo => return png(8, 8),
            Field::Document => describing(url),
            Field::Logout => json!(null),
            Field::Request => return self.object.clone().into_bytes(),
        };
        value.to_string().into_bytes()
    }

    /// Whether what stands at `url` is taken for the field. Whatever is not, is refused as it should be.
    async fn takes(&self, field: Field, url: &str) -> bool {
        let server = &self.server;
        if let Field::Document = field {
            let Ok(_) = url.parse::<shared_protocol::client_id::ClientId>() else {
                return false;
            };
            let app = client(url);
            let page = Browser::new(server)
                .open(server.authorize_url(&app, &[]))
                .await;
            assert!(
                page.has("sign-in") || page.status == 400,
                "{url}: {}",
                page.body
            );
            return page.has("sign-in");
        }
        let Ok(url) = url.parse::<ClientUrl>() else {
            return false;
        };
        if let Field::Request = field {
            return self.takes_request(url).await;
        }
        let mut metadata = app(AuthMethod::ClientSecretBasic);
        match field {
            Field::Keys => {
                let client = server.register(jwks_uri::metadata(url.as_str())).await;
                let answer = jwks_uri::ask(server, &client, &self.key).await;
                jwks_uri::is_accepted(&answer)
            }
            Field::Sector => {
                metadata.sector_identifier_uri = Some(url);
                let registered = server.records.register_client(metadata, &server.world);
                let refusal = registered.await.err().map(|error| error.to_string());
                if let Some(refusal) = &refusal {
                    assert!(refusal.starts_with("sector_identifier_uri"), "{refusal}");
                    assert!(!refusal.contains("address"), "{refusal}");
                }
                refusal.is_none()
            }
            Field::Logo | Field::Document | Field::Request => {
                metadata.logo_uri = Some(url);
                let client = server.register(metadata).await;
                self.shows_logo(&client).await
            }
            Field::Logout => {
                metadata.backchannel_logout_uri = Some(url);
                let client = server.register(metadata).await;
                back_channel::is_told(server, &client).await
            }
        }
    }

    async fn shows_logo(&self, client: &TestClient) -> bool {
        let url = logo_url(&self.server, &client.id);
        let answer = self.server.send(self.server.http.get(url)).await;
        assert!(
            [200, 404].contains(&answer.status.as_u16()),
            "{}",
            answer.status
        );
        answer.status == 200
    }
}

fn client(id: &str) -> TestClient {
    TestClient {
        id: id.to_owned(),
        secret: String::new(),
    }
}

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = RgbaImage::from_pixel(width, height, [200, 30, 60, 255].into());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A port of this machine on which nobody may ever call.
struct Trap {
    port: u16,
    called: Arc<AtomicUsize>,
}

impl Trap {
    async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let called = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&called);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, called }
    }

    /// Every URL of the corpus, as it is written and as a parser writes it, with this port where one fits.
    fn urls(&self) -> Vec<(String, String)> {
        let mut urls = Vec::new();
        for (what, raw) in FORBIDDEN_URLS {
            urls.push(((*what).to_owned(), (*raw).to_owned()));
            if let Ok(mut url) = Url::parse(raw) {
                if url.port() != Some(0) {
                    let _ = url.set_port(Some(self.port));
                }
                urls.push((format!("{what}, in other words"), url.into()));
            }
        }
        urls
    }

    /// Fails unless nobody called before. Calls itself, so that the count is known to work.
    async fn assert_untouched(&self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let _stream = TcpStream::connect(address).await.unwrap();
        while self.called.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.called.load(Ordering::SeqCst), 1, "somebody called");
    }
}

async fn threat_18_no_field_leads_into_our_network(stores: &Stores) {
    let scene = Scene::set(stores, Duration::from_secs(5)).await;
    let trap = Trap::set().await;
    for field in FIELDS.into_iter().chain([Field::Logout]) {
        let good = scene.site.at(&format!("/{field:?}"));
        let content = scene.good(field, &good);
        scene
            .site
            .put_with(&format!("/{field:?}"), 200, &[], content);
        assert!(scene.takes(field, &good).await, "{field:?}: a good one");
        for (what, url) in trap.urls() {
            assert!(!scene.takes(field, &url).await, "{field:?}: {what}: {url}");
        }
    }
    trap.assert_untouched().await;
}

async fn threat_18_nor_does_a_url_inside_a_document(stores: &Stores) {
    let scene = Scene::set(stores, Duration::from_secs(5)).await;
    let trap = Trap::set().await;
    let browser = Browser::new(&scene.server);
    for (n, (what, url)) in trap.urls().into_iter().enumerate() {
        for member in ["jwks_uri", "logo_uri"] {
            let path = format!("/{n}-{member}.json");
            let app = client(&scene.site.at(&path));
            let mut document = describing(&app.id);
            document[member] = json!(url);
            if member == "jwks_uri" {
                document["token_endpoint_auth_method"] = json!("private_key_jwt");
            }
            scene.site.put(&path, &document);
            let page = browser.arrive(scene.server.authorize_url(&app, &[])).await;
            if page.has("error-title") {
                continue;
            }
            let what = format!("{member}: {what}: {url}");
            if member == "logo_uri" {
                assert!(!scene.shows_logo(&app).await, "{what}");
                continue;
            }
            let code = code(&page.location());
            let mut form = code_form(&code).to_vec();
            let unproven = post(&scene.server, &app, "/oauth/token", &form).await;
            assert_eq!(unproven.error(), (401, "invalid_client"), "{what}");
            let proof = jwks_uri::proof(&scene.server, &app, &scene.key).await;
            form.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
            let answer = scene
                .server
                .send(scene.server.form("/oauth/token", &form))
                .await;
            assert!(!jwks_uri::is_accepted(&answer), "{what}");
        }
    }
    trap.assert_untouched().await;
}

async fn what_answers_badly_is_refused_by_every_field(stores: &Stores) {
    let scene = Scene::set(stores, Duration::from_millis(500)).await;
    let site = &scene.site;
    for field in FIELDS {
        let path = |what: &str| format!("/{field:?}/{what}").replace(' ', "-");
        let good = |what: &str| scene.good(field, &site.at(&path(what)));
        for status in [201, 203, 204, 206, 400, 401, 404, 410, 429, 500, 503] {
            let what = format!("status {status}");
            site.put_with(&path(&what), status, &[], good(&what));
        }
        for status in [301, 302, 303, 307, 308] {
            let what = format!("status {status}");
            let elsewhere = site.at(&path("elsewhere"));
            let header = [("location", elsewhere.as_str())];
            site.put_with(&path(&what), status, &header, good(&what));
        }
        let zipped = [("content-encoding", "gzip")];
        site.put_with(
            &path("zipped"),
            200,
            &zipped,
            &b"\x1f\x8b\x08\x00not what it says"[..],
        );
        site.put_with(&path("nothing"), 200, &[], "");
        site.put_with(&path("HTML"), 200, &[], "<html><script>alert(1)</script>");
        site.put_with(&path("deep"), 200, &[], "[".repeat(5000));
        site.put_with(&path("large"), 200, &[], vec![b' '; 300_000]);
        site.put_endless(&path("endless"));
        let permits = site.hold(&path("slow"), &json!({}));
        let statuses = [
            201, 203, 204, 206, 400, 401, 404, 410, 429, 500, 503, 301, 302, 303, 307, 308,
        ];
        let whats = statuses.map(|status| format!("status {status}"));
        let others = [
            "zipped", "nothing", "HTML", "deep", "large", "endless", "slow", "absent",
        ];
        for what in whats.into_iter().chain(others.map(str::to_owned)) {
            let url = site.at(&path(&what));
            assert!(!scene.takes(field, &url).await, "{field:?}: {what}");
            assert_eq!(site.asked(&path(&what)), 1, "{field:?}: {what}");
        }
        permits.close();
        assert_eq!(site.asked(&path("elsewhere")), 0, "{field:?}: followed");
        let fast = path("fast");
        site.put_with(&fast, 200, &[], scene.good(field, &site.at(&fast)));
        assert!(
            scene.takes(field, &site.at(&fast)).await,
            "{field:?}: others go on"
        );
    }
}

async fn oidc_registration_5_a_sector_lists_every_redirect(stores: &Stores) {
    let scene = Scene::set(stores, Duration::from_secs(5)).await;
    let (one, other) = (REDIRECT, "https://other.example/cb");
    for (what, list, redirects, good) in [
        ("the same", json!([one]), &[one][..], true),
        ("more than there are", json!([other, one]), &[one], true),
        ("both", json!([other, one]), &[one, other], true),
        ("one is missing", json!([one]), &[one, other], false),
        ("another", json!([other]), &[one], false),
        (
            "a prefix",
            json!([REDIRECT.trim_end_matches('b')]),
            &[one],
            false,
        ),
        ("none", json!([]), &[one], false),
        ("an object", json!({"redirect_uris": [one]}), &[one], false),
        ("a string", json!(one), &[one], false),
        ("a number among them", json!([one, 1]), &[one], false),
    ] {
        let path = format!("/{}", what.replace(' ', "-"));
        scene.site.put(&path, &list);
        let mut metadata = app(AuthMethod::ClientSecretBasic);
        metadata.redirect_uris = redirects.iter().map(|uri| uri.parse().unwrap()).collect();
        metadata.sector_identifier_uri = Some(scene.site.at(&path).parse().unwrap());
        let server = &scene.server;
        let registered = server
            .records
            .register_client(metadata, &server.world)
            .await;
        assert_eq!(registered.is_ok(), good, "{what}: {:?}", registered.err());
    }
    // Not even to this machine, where a key set might be.
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.sector_identifier_uri = Some("http://localhost:1/".parse().unwrap());
    let server = &scene.server;
    let refused = server
        .records
        .register_client(metadata, &server.world)
        .await;
    assert_eq!(
        refused.err().unwrap().to_string(),
        "sector_identifier_uri: use https"
    );
}

#[test]
fn production_reaches_what_is_private_by_an_explicit_word_alone() {
    type Edit = fn(&mut Config);
    let private: [(&str, Edit); 3] = [
        ("networks", |c| {
            c.outbound.networks = vec!["10.0.0.0/8".parse().unwrap()];
        }),
        ("loopback_http", |c| c.outbound.loopback_http = true),
        ("origins", |c| {
            c.outbound.origins = vec!["http://localhost:1".parse().unwrap()];
        }),
    ];
    for (key, edit) in private {
        let mut config = Config::default();
        edit(&mut config);
        let told = |config: &Config| {
            let key = format!("outbound.{key}");
            config
                .problems()
                .iter()
                .any(|problem| problem.contains(&key))
        };
        assert!(!told(&config), "{key} in development");
        config.mode = Mode::Production;
        assert!(told(&config), "{key}");
        config.outbound.allow_private_in_production = true;
        assert!(!told(&config), "{key} with the word");
    }
}
