//! Requests of attackers: what they cannot change (threat 21), and what they cannot break (threats 30, 31).

use std::net::SocketAddr;
use std::sync::Arc;

use auth_server::clients::AuthMethod;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::Value;
use shared_protocol::jose::Algorithm;
use shared_protocol::random::SystemRandom;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;
use shared_testing::wire::{broken_requests, get, post, says, status};

use crate::browser::{Browser, EMAIL, code};
use crate::person::app;
use crate::server::{API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    threat_21_what_a_request_says_of_its_way_changes_no_answer,
    threat_21_the_authority_of_http2_changes_no_answer,
    threats_30_31_broken_requests_are_refused_and_the_next_is_served,
    threat_30_what_is_too_much_is_refused_and_the_next_is_served,
    threat_30_a_flood_of_passwords_is_turned_away_and_others_are_served,
);

const FORM: &str = "application/x-www-form-urlencoded";

impl TestServer {
    fn address(&self) -> SocketAddr {
        self.issuer
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap()
    }

    async fn says(&self, request: &[u8]) -> String {
        says(self.address(), request).await
    }

    async fn serves(&self, client: &TestClient, after: &str) {
        let answer = self.says(&get("/oauth/jwks", "")).await;
        assert_eq!(status(&answer), "200", "after {after}");
        self.token(client, API).await;
    }
}

fn basic(client: &TestClient) -> String {
    let pair = STANDARD.encode(format!("{}:{}", client.id, client.secret));
    format!("Authorization: Basic {pair}\r\n")
}

/// Where a request says that it came from and where it was going.
const CLAIMS: [&str; 23] = [
    "Host: evil.example\r\n",
    "Host: evil.example:1\r\n",
    "Host: \r\n",
    "Host: http://evil.example/\r\n",
    "Host: user@evil.example\r\n",
    "Host: localhost, evil.example\r\n",
    "Forwarded: for=192.0.2.1;host=evil.example;proto=https;by=evil.example\r\n",
    "Forwarded: for=\"[::1\";host=\"evil.example\r\n",
    "X-Forwarded-For: 192.0.2.1, evil.example\r\n",
    "X-Forwarded-Host: evil.example\r\n",
    "X-Forwarded-Server: evil.example\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X-Forwarded-Scheme: https\r\nX-Forwarded-Ssl: on\r\nFront-End-Https: on\r\n",
    "X-Forwarded-Port: 443\r\n",
    "X-Forwarded-Prefix: /evil\r\n",
    "X-Host: evil.example\r\nX-Real-IP: 192.0.2.1\r\nVia: 1.1 evil.example\r\n",
    "X-Original-URL: /oauth/logout\r\nX-Original-Host: evil.example\r\n",
    "X-Rewrite-URL: /oauth/logout\r\n",
    "X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\n",
    "Origin: https://evil.example\r\n",
    "Origin: null\r\n",
    "Referer: https://evil.example/\r\n",
    "Host: evil.example\r\nForwarded: host=evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n",
];

/// The request as it is, with one more claim, a Host of the claim in place of its own.
fn claiming(request: &str, claim: &str) -> String {
    let (line, rest) = request.split_once("\r\n").unwrap();
    let host = if claim.starts_with("Host:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    format!("{line}\r\n{host}Connection: close\r\n{claim}{rest}")
}

/// An answer without what differs each time: its id and date, which limit is nearest, and whatever is drawn at random, which is 20 characters or more.
fn settled(answer: &str, is_constant: bool) -> String {
    let lines = answer.split("\r\n").filter(|line| {
        let line = line.to_ascii_lowercase();
        !["date:", "x-request-id:", "ratelimit"]
            .iter()
            .any(|name| line.starts_with(name))
    });
    let answer = lines.collect::<Vec<_>>().join("\r\n");
    if is_constant {
        return answer;
    }
    let mut settled = String::new();
    for run in answer.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-_+".contains(c))) {
        let drawn =
            run.trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || "-_+".contains(c)));
        if drawn.len() < 20 {
            settled.push_str(run);
        } else {
            settled.push('*');
            settled.push_str(&run[drawn.len()..]);
        }
    }
    settled
}

/// A request without its Host, the status of its answer, and whether nothing in that is drawn at random.
type Known = (&'static str, String, &'static str, bool);

/// One of each kind of answer that names a place.
async fn known(server: &TestServer, service: &TestClient, app: &TestClient) -> Vec<Known> {
    let browser = Browser::new(server);
    let asking = |changes: &[(&str, &str)]| {
        let url = server.authorize_url(app, changes);
        url.strip_prefix(&server.issuer).unwrap().to_owned()
    };
    let page = browser.open(server.authorize_url(app, &[])).await;
    let sign_in = format!("{}?{}", page.url.path(), page.url.query().unwrap());
    let cookies: Vec<_> = browser
        .cookies()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookies = format!("Cookie: {}\r\n", cookies.join("; "));
    let form = format!("grant_type=client_credentials&resource={API}");
    let posted = |path: &str, headers: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
    };
    let got = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
    vec![
        (
            "metadata",
            got("/.well-known/oauth-authorization-server", ""),
            "200",
            true,
        ),
        (
            "discovery",
            got("/.well-known/openid-configuration", ""),
            "200",
            true,
        ),
        ("keys", got("/oauth/jwks", ""), "200", true),
        ("the description", got("/openapi.json", ""), "200", true),
        (
            "an authorization request",
            got(&asking(&[]), ""),
            "303",
            false,
        ),
        (
            "one that nobody may answer",
            got(&asking(&[("prompt", "none")]), ""),
            "303",
            false,
        ),
        (
            "one of an unknown client",
            got(&asking(&[("client_id", "unknown")]), ""),
            "400",
            false,
        ),
        ("the sign-in page", got(&sign_in, &cookies), "200", false),
        (
            "the sign-in page without its cookie",
            got(&sign_in, ""),
            "400",
            false,
        ),
        ("the sign-out page", got("/oauth/logout", ""), "303", false),
        ("signed out", got("/logged-out", ""), "200", false),
        (
            "a token",
            posted("/oauth/token", &basic(service), &form),
            "200",
            false,
        ),
        (
            "no client",
            posted("/oauth/token", "Authorization: Basic eDp5\r\n", &form),
            "401",
            false,
        ),
        (
            "no grant",
            posted("/oauth/token", &basic(service), "grant_type=x"),
            "400",
            false,
        ),
        ("no person", got("/oauth/userinfo", ""), "401", true),
        (
            "introspection by nobody",
            posted("/oauth/introspect", "", "token=x"),
            "401",
            false,
        ),
        ("nothing there", got("/evil", ""), "404", false),
        ("health", got("/health", ""), "200", true),
    ]
}

async fn threat_21_what_a_request_says_of_its_way_changes_no_answer(stores: &Stores) {
    let mut config = config(stores);
    config.authorization.interactions_per_address = 10_000;
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let app = server.register(app(AuthMethod::None)).await;
    for (what, request, code, is_constant) in known(&server, &service, &app).await {
        let clean = server.says(claiming(&request, "").as_bytes()).await;
        assert_eq!(status(&clean), code, "{what}: {clean}");
        let clean = settled(&clean, is_constant);
        let by_proxy = request.replacen(' ', " http://evil.example", 1);
        let absolute = claiming(&by_proxy, "");
        let claimed = CLAIMS
            .iter()
            .map(|claim| (*claim, claiming(&request, claim)));
        for (claim, request) in claimed.chain([("an absolute target", absolute)]) {
            let answer = server.says(request.as_bytes()).await;
            assert_eq!(settled(&answer, is_constant), clean, "{what} with {claim}");
            if let Some((_, token)) = answer.split_once("\"access_token\":\"") {
                let claims = token.split('.').nth(1).unwrap();
                let claims: Value =
                    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
                assert_eq!(claims["iss"], server.issuer, "{what} with {claim}");
            }
        }
    }
    server.stop().await;
}

async fn threat_21_the_authority_of_http2_changes_no_answer(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let address = server.address();
    let http2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .resolve("evil.example", address)
        .build()
        .unwrap();
    for path in [
        "/.well-known/openid-configuration",
        "/oauth/jwks",
        "/logged-out",
        "/oauth/userinfo",
    ] {
        let mut answers = Vec::new();
        for host in [
            address.to_string(),
            format!("evil.example:{}", address.port()),
        ] {
            let request = http2.get(format!("http://{host}{path}"));
            let request = request
                .header("x-forwarded-host", &host)
                .header("host", &host);
            let response = request.send().await.unwrap();
            let mut headers = response.headers().clone();
            for name in [
                "date",
                "x-request-id",
                "ratelimit",
                "content-security-policy",
            ] {
                headers.remove(name);
            }
            let policy = |text: &str| settled(text, false);
            answers.push((
                response.status(),
                headers,
                policy(&response.text().await.unwrap()),
            ));
        }
        assert_eq!(answers[0], answers[1], "{path}");
    }
    server.stop().await;
}

async fn threats_30_31_broken_requests_are_refused_and_the_next_is_served(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    for path in ["/oauth/token", "/oauth/authorize"] {
        for (what, request, right) in broken_requests(path) {
            let answer = server.says(&request).await;
            assert!(
                right.contains(&status(&answer)),
                "{what} to {path}: {answer}"
            );
        }
        server.serves(&service, path).await;
    }
    let token = server.token(&service, API).await;
    for (what, headers, right) in [
        (
            "a tab after Bearer",
            format!("Authorization: Bearer\t{token}\r\n"),
            "401",
        ),
        (
            "two tokens",
            format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
            "400",
        ),
        (
            "a list of tokens",
            format!("Authorization: Bearer {token}, Bearer {token}\r\n"),
            "400",
        ),
        (
            "a space too many",
            format!("Authorization: Bearer {token} x\r\n"),
            "400",
        ),
        (
            "a NUL",
            format!("Authorization: Bearer {token}\0\r\n"),
            "400",
        ),
        (
            "no ASCII",
            "Authorization: Bearer \u{e4}\r\n".to_owned(),
            "400",
        ),
    ] {
        let answer = server.says(&get("/oauth/userinfo", &headers)).await;
        assert!(
            ["400", "401"].contains(&status(&answer)),
            "{what}: {answer}"
        );
        assert!(
            status(&answer) == right || what == "a tab after Bearer",
            "{what}: {answer}"
        );
    }
    let basic = basic(&service);
    let form = format!("grant_type=client_credentials&resource={API}");
    for (what, headers) in [
        ("two credentials", format!("{basic}{basic}")),
        ("a tab after Basic", basic.replace("Basic ", "Basic\t")),
        (
            "Basic and Bearer",
            format!("{basic}Authorization: Bearer {token}\r\n"),
        ),
        (
            "no base64",
            "Authorization: Basic \u{0}\r\n".replace('\0', "%%%"),
        ),
    ] {
        let answer = server
            .says(&post("/oauth/token", FORM, &headers, &form))
            .await;
        assert!(
            ["400", "401"].contains(&status(&answer)),
            "{what}: {answer}"
        );
    }
    // Nothing here is a socket (RFC 6455 §4.2.2), and an expectation is met (RFC 9110 §10.1.1).
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = String::from_utf8(get("/oauth/jwks", upgrade)).unwrap();
    let upgrade = upgrade.replace("Connection: close", "Connection: Upgrade, close");
    let answer = server.says(upgrade.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let expecting = post(
        "/oauth/token",
        FORM,
        &format!("{basic}Expect: 100-continue\r\n"),
        &form,
    );
    let answer = server.says(&expecting).await;
    assert_eq!(status(&answer), "200", "{answer}");
    server.stop().await;
}

/// What stands for a JWT and is none: long, or nested deeper than a stack is high.
fn no_tokens(long: &str) -> Vec<String> {
    let deep = |open: &str, close: &str| {
        URL_SAFE_NO_PAD.encode(open.repeat(15_000) + "1" + &close.repeat(15_000))
    };
    let (array, object) = (
        deep("[", "]"),
        URL_SAFE_NO_PAD.encode("{\"a\":".repeat(7_000)),
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT"}"#);
    let mut tokens = vec![
        long.to_owned(),
        ".".repeat(50_000),
        format!("{long}.{long}"),
    ];
    for nested in [&array, &object] {
        tokens.push(format!("{nested}.e30.AA"));
        tokens.push(format!("{header}.{nested}.AA"));
    }
    tokens
}

/// Forms that hold too much of something.
fn excesses(long: &str, tokens: &[String], signing: &TestClient) -> Vec<(String, String)> {
    let mut bodies: Vec<(String, String)> = vec![
        ("100,000 parameters".into(), "a=1&".repeat(100_000)),
        ("16,000 parameters".into(), "a=1&".repeat(16_000)),
        (
            "9,000 names".into(),
            (0..9000).fold(String::new(), |all, n| all + &n.to_string() + "=&"),
        ),
        ("60,000 separators".into(), "&".repeat(60_000)),
        ("60,000 equal signs".into(), "=".repeat(60_000)),
        ("20,000 encoded bytes".into(), "%00".repeat(20_000)),
        (
            "a scope of 25,000 tokens".into(),
            format!("resource={API}&scope={}", "a+".repeat(25_000)),
        ),
        ("90 resources".into(), format!("resource={API}&").repeat(90)),
    ];
    for name in [
        "grant_type",
        "client_id",
        "client_secret",
        "scope",
        "resource",
        "code",
        "code_verifier",
        "code_challenge",
        "redirect_uri",
        "refresh_token",
        "token",
        "token_type_hint",
        "state",
        "nonce",
        "prompt",
        "claims",
        "response_mode",
        "response_type",
        "max_age",
        "login_hint",
        "id_token_hint",
        "acr_values",
        "ui_locales",
        "request",
        "interaction",
        "csrf",
        "email",
        "access_token",
    ] {
        bodies.push((format!("50 KB of {name}"), format!("{name}={long}")));
    }
    for token in tokens {
        let assertion = format!(
            "grant_type=client_credentials&client_id={}&client_assertion={token}\
             &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            signing.id
        );
        bodies.push(("a nested assertion".into(), assertion));
        for name in [
            "token",
            "id_token_hint",
            "access_token",
            "refresh_token",
            "request",
        ] {
            bodies.push((format!("a nested {name}"), format!("{name}={token}")));
        }
    }
    bodies
}

async fn threat_30_what_is_too_much_is_refused_and_the_next_is_served(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let (signing, _) = server.signing_client(Algorithm::Es256, "read").await;
    let app = server.register(app(AuthMethod::None)).await;
    let long = "a".repeat(50_000);
    let tokens = no_tokens(&long);
    let bodies = excesses(&long, &tokens, &signing);
    let pusher = server.app().await;
    let television = server.register(crate::device::television()).await;
    let [asking, pushing] = [&app, &pusher].map(|client| {
        let asked = TestServer::asking(client, &[]).into_iter();
        let asked = asked.map(|(name, value)| format!("{name}={value}&"));
        asked.collect::<Vec<_>>()
    });
    for (path, headers, before) in [
        (
            "/oauth/token",
            basic(&service),
            "grant_type=client_credentials&".to_owned(),
        ),
        ("/oauth/token", String::new(), String::new()),
        ("/oauth/introspect", basic(&service), String::new()),
        ("/oauth/revoke", basic(&service), String::new()),
        ("/oauth/userinfo", String::new(), String::new()),
        ("/oauth/authorize", String::new(), asking.concat()),
        ("/oauth/par", basic(&pusher), pushing.concat()),
        (
            "/oauth/device_authorization",
            String::new(),
            format!("client_id={}&scope=read&", television.id),
        ),
        ("/device", String::new(), String::new()),
        ("/device/confirm", String::new(), String::new()),
        ("/login", String::new(), String::new()),
        ("/register", String::new(), String::new()),
        ("/select-account", String::new(), String::new()),
        ("/consent", String::new(), String::new()),
        ("/oauth/logout", String::new(), String::new()),
    ] {
        let sent = bodies.iter().map(|(what, body)| {
            let request = post(path, FORM, &headers, &format!("{before}{body}"));
            let server = &server;
            async move { (what, server.says(&request).await) }
        });
        for (what, answer) in join_all(sent).await {
            let code = status(&answer);
            // Revocation tells nothing (RFC 7009 §2.2), introspection that a token is not active; unknown parameters are ignored.
            let right = code.starts_with('4') || ["200", "201", "303", "closed"].contains(&code);
            assert!(right, "{what} to {path}: {answer}");
            let gave = answer.contains("access_token\":")
                || answer.contains("\"active\":true")
                || answer.contains("?code=")
                || answer.contains("&code=");
            let ignored = before.starts_with("grant_type") && code == "200";
            assert!(!gave || ignored, "{what} to {path}: {answer}");
        }
        server.serves(&service, path).await;
    }
    for token in &tokens {
        let short = &token[..token.len().min(15_000)];
        let answer = server
            .says(&get(
                "/oauth/userinfo",
                &format!("Authorization: Bearer {short}\r\n"),
            ))
            .await;
        assert!(["400", "401", "431"].contains(&status(&answer)), "{answer}");
    }
    server.stop().await;
}

async fn threat_30_a_flood_of_passwords_is_turned_away_and_others_are_served(stores: &Stores) {
    let mut config = config(stores);
    // A hash takes a while, and few may wait.
    (
        config.passwords.memory,
        config.passwords.iterations,
        config.passwords.queue,
    ) = (16 * 1024, 2, 4);
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    let hasher = &server.records.accounts.hasher;
    let before = hasher.metrics().hashes();
    let guesses = (0..200).map(|guess| {
        let (browser, page) = (&browser, &page);
        let email = format!("person-{guess}@example.com");
        let form = Browser::filled_in(
            page,
            &email,
            &shared_protocol::random::alphanumeric(20, &SystemRandom),
        );
        async move { browser.post(page.action("sign-in"), &form).await }
    });
    let others = async {
        for _ in 0..20 {
            server.token(&service, API).await;
        }
    };
    let (answers, ()) = tokio::join!(join_all(guesses), others);
    let count = |code: u16| {
        answers
            .iter()
            .filter(|answer| answer.status == code)
            .count()
    };
    let (wrong, slow, busy) = (count(400), count(429), count(503));
    assert_eq!(wrong + slow + busy, 200, "{wrong} {slow} {busy}");
    assert!(wrong > 0 && slow + busy > 100, "{wrong} {slow} {busy}");
    for turned_away in answers.iter().filter(|answer| answer.status != 400) {
        let wait: u64 = turned_away.header("retry-after").parse().unwrap();
        assert!(wait > 0);
    }
    // Nobody is hashed for who is turned away.
    let after = hasher.metrics().hashes();
    assert_eq!(usize::try_from(after - before).unwrap(), wrong);
    let known = Browser::new(&server);
    server.clock.advance(std::time::Duration::from_hours(1));
    let answer = known
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    code(&answer);
    server.stop().await;
}
