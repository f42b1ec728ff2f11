//! Pictures of clients, and what else their pages link to.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::AuthMethod;
use image::{DynamicImage, ImageFormat, RgbImage};
use reqwest::header::HeaderMap;
use serde_json::json;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;
use url::Url;

use crate::browser::{Browser, EMAIL, PASSWORD};
use crate::client_documents::describing;
use crate::outbound::png;
use crate::person::app;
use crate::server::{TestClient, TestServer, config};
use crate::site::Site;

on_each_store!(auth_server::store::MIGRATIONS;
    pages_show_a_picture_from_here_and_link_by_https,
    pictures_are_drawn_anew,
    threat_37_what_is_no_picture_is_not_shown,
    a_picture_is_fetched_once,
    a_picture_is_shown_of_clients_that_are_known,
);

struct Scene {
    server: TestServer,
    site: Site,
}

impl Scene {
    async fn set(stores: &Stores) -> Self {
        let site = Site::start().await;
        let mut config = config(stores);
        site.open_to(&mut config);
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        server.person(EMAIL).await;
        Self { server, site }
    }

    async fn client(&self, path: &str) -> TestClient {
        let mut metadata = app(AuthMethod::None);
        metadata.logo_uri = Some(self.site.at(path).parse().unwrap());
        self.server.register(metadata).await
    }

    async fn logo(&self, client: &TestClient) -> (u16, HeaderMap, Vec<u8>) {
        let request = self.server.http.get(logo_url(&self.server, &client.id));
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap().to_vec())
    }
}

pub(crate) fn logo_url(server: &TestServer, client_id: &str) -> Url {
    let url = format!("{}/clients/logo", server.issuer);
    Url::parse_with_params(&url, [("client_id", client_id)]).unwrap()
}

fn drawn(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        [x.to_le_bytes()[0], y.to_le_bytes()[0], 128].into()
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture)
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

async fn pages_show_a_picture_from_here_and_link_by_https(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.site.put_with("/logo", 200, &[], png(64, 64));
    let mut metadata = app(AuthMethod::None);
    metadata.logo_uri = Some(scene.site.at("/logo").parse().unwrap());
    metadata.policy_uri = Some("https://app.example/privacy#cookies".parse().unwrap());
    metadata.tos_uri = Some("http://localhost:1/terms".parse().unwrap());
    let client = scene.server.register(metadata).await;
    let browser = Browser::new(&scene.server);
    let sign_in = browser.open(scene.server.authorize_url(&client, &[])).await;
    let consent = browser.sign_in_as(&sign_in, EMAIL, PASSWORD).await;
    assert!(sign_in.has("sign-in") && consent.has("consent"));
    for page in [&sign_in, &consent] {
        let policy = page.header("content-security-policy");
        assert!(policy.contains("; img-src 'self'"), "{policy}");
        assert!(
            !page.body.contains(&scene.site.url),
            "hot-linked: {}",
            page.body
        );
        let (_, rest) = page.body.split_once("<img class=\"logo\" src=\"").unwrap();
        let (src, _) = rest.split_once('"').unwrap();
        let shown = browser.get(page.url.join(src).unwrap()).await;
        assert_eq!(shown.status, 200, "{src}");
        let link = "<a class=\"quiet\" href=\"https://app.example/privacy#cookies\" target=\"_blank\" rel=\"noopener noreferrer\">";
        assert!(page.body.contains(link), "{}", page.body);
        assert!(
            !page.body.contains("localhost:1"),
            "plain http: {}",
            page.body
        );
    }
    let bare = scene.server.register(app(AuthMethod::None)).await;
    let page = browser.open(scene.server.authorize_url(&bare, &[])).await;
    assert!(
        !page.body.contains("<img") && !page.has("about"),
        "{}",
        page.body
    );
}

async fn pictures_are_drawn_anew(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let said = [("content-type", "text/html")];
    for (what, bytes, size) in [
        ("PNG", drawn(ImageFormat::Png, 200, 100), (128, 64)),
        ("JPEG", drawn(ImageFormat::Jpeg, 100, 100), (100, 100)),
        ("WebP", drawn(ImageFormat::WebP, 100, 400), (32, 128)),
        ("GIF", drawn(ImageFormat::Gif, 300, 300), (128, 128)),
        ("one pixel", png(1, 1), (1, 1)),
        ("a wide one", png(2048, 2), (128, 1)),
        ("as large as it may be", png(2048, 2048), (128, 128)),
    ] {
        let path = format!("/{}", what.replace(' ', "-"));
        // Whatever they say that they are.
        scene.site.put_with(&path, 200, &said, bytes);
        let client = scene.client(&path).await;
        let (status, headers, shown) = scene.logo(&client).await;
        assert_eq!(status, 200, "{what}");
        for (name, value) in [
            ("content-type", "image/png"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "private, max-age=300"),
        ] {
            assert_eq!(headers[name], value, "{what}: {name}");
        }
        let picture = image::load_from_memory_with_format(&shown, ImageFormat::Png).unwrap();
        assert_eq!((picture.width(), picture.height()), size, "{what}");
    }
    // What is behind the picture, or beside it, is not passed on.
    let mut hidden = png(8, 8);
    hidden.extend_from_slice(b"<script>alert(1)</script>");
    scene.site.put_with("/hidden", 200, &[], hidden);
    let client = scene.client("/hidden").await;
    let (status, _, shown) = scene.logo(&client).await;
    assert_eq!(status, 200);
    assert!(!String::from_utf8_lossy(&shown).contains("script"));
}

async fn threat_37_what_is_no_picture_is_not_shown(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    // 40,000 by 40,000 pixels by its header, in a hundred bytes.
    let mut bomb = png(1, 1);
    bomb[16..20].copy_from_slice(&40_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&40_000_u32.to_be_bytes());
    let whole = drawn(ImageFormat::Png, 64, 64);
    let broken = whole[..whole.len() / 2].to_vec();
    let large = [drawn(ImageFormat::Png, 8, 8), vec![0; 256 * 1024]].concat();
    for (what, bytes) in [
        ("SVG", svg.as_bytes().to_vec()),
        ("HTML", b"<!doctype html><script>alert(1)</script>".to_vec()),
        ("nothing", Vec::new()),
        ("a bitmap", b"BM\x00\x00\x00\x00\x00\x00".to_vec()),
        ("an icon", b"\x00\x00\x01\x00\x01\x00".to_vec()),
        ("half a picture", broken),
        (
            "a PNG by its first bytes",
            b"\x89PNG\r\n\x1a\nand then not".to_vec(),
        ),
        ("a GIF by its first bytes", b"GIF89a".to_vec()),
        ("a JPEG by its first bytes", b"\xff\xd8\xff\xe0".to_vec()),
        (
            "a WebP by its first bytes",
            b"RIFF\x04\x00\x00\x00WEBP".to_vec(),
        ),
        ("many pixels in few bytes", bomb),
        ("one pixel too wide", png(2049, 1)),
        ("one pixel too high", png(1, 2049)),
        ("many bytes", large),
    ] {
        let path = format!("/{}", what.replace(' ', "-"));
        let said = [("content-type", "image/png")];
        scene.site.put_with(&path, 200, &said, bytes);
        let client = scene.client(&path).await;
        let (status, headers, shown) = scene.logo(&client).await;
        assert_eq!(status, 404, "{what}");
        assert_eq!(
            headers["content-type"], "application/problem+json",
            "{what}"
        );
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(
            !shown.contains("script") && !shown.contains("127.0.0.1"),
            "{shown}"
        );
    }
}

async fn a_picture_is_fetched_once(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.site.put_with("/logo", 200, &[], png(8, 8));
    let client = scene.client("/logo").await;
    let all = (0..50).map(|_| scene.logo(&client));
    for (status, ..) in futures_util::future::join_all(all).await {
        assert_eq!(status, 200);
    }
    assert_eq!(scene.site.asked("/logo"), 1);
    scene.site.put_with("/logo", 404, &[], "");
    scene.server.clock.advance(Duration::from_mins(47));
    assert_eq!(scene.logo(&client).await.0, 200);
    scene.server.clock.advance(Duration::from_mins(14));
    assert_eq!(scene.logo(&client).await.0, 404, "an hour has passed");
    assert_eq!(scene.logo(&client).await.0, 404);
    assert_eq!(scene.site.asked("/logo"), 2);
}

async fn a_picture_is_shown_of_clients_that_are_known(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.site.put_with("/logo", 200, &[], png(8, 8));
    let described = TestClient {
        id: scene.site.at("/app.json"),
        secret: String::new(),
    };
    let mut document = describing(&described.id);
    document["logo_uri"] = json!(scene.site.at("/logo"));
    scene.site.put("/app.json", &document);
    assert_eq!(
        scene.logo(&described).await.0,
        404,
        "nobody asked for it yet"
    );
    assert_eq!(
        scene.site.asked_in_all(),
        0,
        "nor is it fetched for a picture"
    );
    let browser = Browser::new(&scene.server);
    let page = browser
        .open(scene.server.authorize_url(&described, &[]))
        .await;
    assert!(page.has("sign-in"), "{}", page.body);
    assert_eq!(scene.logo(&described).await.0, 200);

    let bare = scene.server.register(app(AuthMethod::None)).await;
    for (what, id) in [
        ("without a picture", bare.id.as_str()),
        ("unknown", "nobody"),
        ("another document", "https://nobody.example/app.json"),
        ("no identifier", ""),
        ("no text", "\u{0}"),
    ] {
        let client = TestClient {
            id: id.to_owned(),
            secret: String::new(),
        };
        assert_eq!(scene.logo(&client).await.0, 404, "{what}");
    }
    let none = scene.server.get("/clients/logo").await;
    assert_eq!(none.status, 404);
}
