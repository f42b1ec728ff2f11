//! What pages of other origins may read (threat 32).

use auth_server::clients::AuthMethod;
use auth_server::clients::redirect_uri::RedirectUri;
use diesel_async::RunQueryDsl as _;
use reqwest::Method;
use shared_protocol::time::Clock as _;
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::app;
use crate::server::{API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    threat_32_pages_of_registered_origins_may_read_answers_and_refusals,
    threat_32_origins_come_and_go_with_their_clients,
    a_database_that_does_not_know_origins_changes_no_answer,
);

/// The origin of the redirect URI of [`app`].
const PAGE: &str = "https://app.example";

impl TestServer {
    async fn as_page(
        &self,
        method: Method,
        path: &str,
        origin: &str,
        headers: &[(&str, &str)],
    ) -> crate::server::Answer {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.issuer))
            .header("origin", origin);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    async fn lets_in(&self, origin: &str) -> bool {
        let answer = self
            .as_page(Method::POST, "/oauth/token", origin, &[])
            .await;
        let allowed = answer.header("access-control-allow-origin");
        assert!(allowed.is_empty() || allowed == origin);
        !allowed.is_empty()
    }
}

async fn threat_32_pages_of_registered_origins_may_read_answers_and_refusals(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.register(app(AuthMethod::None)).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let preflight = [
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,dpop",
        ),
    ];
    for (path, origin, expected) in [
        ("/oauth/token", PAGE, PAGE),
        ("/oauth/revoke", PAGE, PAGE),
        ("/oauth/device_authorization", PAGE, PAGE),
        ("/device", PAGE, ""),
        ("/oauth/userinfo", PAGE, PAGE),
        ("/oauth/token", "https://evil.example", ""),
        ("/oauth/token", "https://app.example.evil.example", ""),
        ("/oauth/token", "http://app.example", ""),
        ("/oauth/token", "https://app.example:8443", ""),
        ("/oauth/token", "https://APP.example", ""),
        ("/oauth/token", "null", ""),
        ("/oauth/userinfo", "https://evil.example", ""),
        ("/oauth/introspect", PAGE, ""),
        ("/oauth/authorize", PAGE, ""),
        ("/oauth/logout", PAGE, ""),
        ("/oauth/logout/resume", PAGE, ""),
        ("/logged-out", PAGE, ""),
        ("/health", PAGE, ""),
        ("/nothing", PAGE, ""),
        ("/oauth/jwks", "https://evil.example", "*"),
        ("/.well-known/jwks.json", "null", "*"),
        (
            "/.well-known/openid-configuration",
            "https://evil.example",
            "*",
        ),
        (
            "/.well-known/oauth-authorization-server",
            "https://evil.example",
            "*",
        ),
        ("/openapi.json", "https://evil.example", "*"),
    ] {
        for (method, headers) in [
            (Method::GET, &[][..]),
            (Method::POST, &[]),
            (Method::DELETE, &[]),
            (Method::POST, &[("content-encoding", "gzip")]),
            (Method::POST, &[("authorization", "Basic eDp5")]),
            (Method::GET, &[("authorization", "Bearer x")]),
            (Method::OPTIONS, &preflight),
        ] {
            let what = format!("{method} {path} from {origin} {headers:?}");
            let is_preflight = method == Method::OPTIONS;
            let answer = server.as_page(method, path, origin, headers).await;
            assert_eq!(
                answer.header("access-control-allow-origin"),
                expected,
                "{what}"
            );
            assert!(
                answer
                    .headers
                    .get("access-control-allow-credentials")
                    .is_none(),
                "{what}"
            );
            assert_eq!(
                answer.status == 204,
                is_preflight && !expected.is_empty(),
                "{what}: {}",
                answer.status
            );
            assert!(!answer.status.is_server_error(), "{what}");
        }
    }
    let form = [("grant_type", "client_credentials"), ("resource", API)];
    let request = server.form("/oauth/token", &form);
    let request = request.basic_auth(&service.id, Some(&service.secret));
    let answer = server.send(request.header("origin", PAGE)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("vary"), "Origin");
    let exposed = answer.header("access-control-expose-headers");
    assert!(exposed.contains("DPoP-Nonce") && exposed.contains("WWW-Authenticate"));
    server.stop().await;
}

async fn threat_32_origins_come_and_go_with_their_clients(stores: &Stores) {
    let server = TestServer::start(stores).await;
    assert!(!server.lets_in(PAGE).await);
    let first = server.register(app(AuthMethod::None)).await;
    assert!(
        server.lets_in(PAGE).await,
        "registered after somebody asked"
    );
    let second = server.register(app(AuthMethod::None)).await;
    delete(&server, &first).await;
    assert!(server.lets_in(PAGE).await, "the other still has it");
    // The one write replaces what was there (threat 14).
    let mut moved = app(AuthMethod::None);
    let uris = [
        "https://new.example:8443/cb",
        "https://new.example:8443/other",
        "com.example.app:/cb",
    ];
    moved.redirect_uris = uris.map(|uri| uri.parse::<RedirectUri>().unwrap()).into();
    let moved =
        auth_server::clients::Client::new(TestServer::client_id(&second), moved, Vec::new());
    let now = server.clock.now();
    server
        .records
        .clients
        .put(&moved.unwrap(), None, now)
        .await
        .unwrap();
    assert!(!server.lets_in(PAGE).await);
    assert!(server.lets_in("https://new.example:8443").await);
    delete(&server, &second).await;
    assert!(!server.lets_in("https://new.example:8443").await);
    // RFC 8252 §7.3: an app on a device is no page, unless it says on which port it is one.
    for (redirect, origin, is_page) in [
        ("http://127.0.0.1/cb", "http://127.0.0.1", false),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004", false),
        ("http://localhost:5173/cb", "http://localhost:5174", false),
        ("http://localhost:5173/cb", "http://127.0.0.1:5173", false),
        ("http://localhost:5173/cb", "http://localhost:5173", true),
    ] {
        let native = server.register(TestServer::native_metadata(redirect)).await;
        assert_eq!(
            server.lets_in(origin).await,
            is_page,
            "{origin} by {redirect}"
        );
        delete(&server, &native).await;
    }
    server.stop().await;
}

async fn delete(server: &TestServer, client: &TestClient) {
    let id = TestServer::client_id(client);
    let now = server.clock.now();
    server.records.clients.delete(&id, now).await.unwrap();
}

async fn a_database_that_does_not_know_origins_changes_no_answer(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.register(app(AuthMethod::None)).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let mut conn = server.records.store.write().await.unwrap();
    let statement = diesel::sql_query("DROP TABLE client_origins");
    on!(&mut conn, |c| statement.execute(c)).unwrap();
    drop(conn);
    let form = [("grant_type", "client_credentials"), ("resource", API)];
    for origin in [PAGE, "https://evil.example"] {
        let request = server.form("/oauth/token", &form).header("origin", origin);
        let request = request.basic_auth(&service.id, Some(&service.secret));
        let answer = server.send(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    server.stop().await;
}
