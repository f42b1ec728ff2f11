//! What pages of other origins may read.

use std::future::{pending, ready};

use axum::routing::{get as route_get, post};

use super::*;

const APP: &str = "https://app.example";

fn surrounded(pages: Cors, limits: &Limits) -> Router {
    let app = Router::new()
        .route("/token", post(|_: String| async { "token" }))
        .route("/panic", route_get(panics))
        .route("/slow", route_get(std::future::pending::<()>))
        .fallback(not_found);
    let observed = Observed {
        edge: Edge::default(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        metrics: HttpMetrics::register(&Registry::new()).unwrap(),
        limits: limits.clone(),
        refusals: None,
    };
    layers_for(app, &observed, pages)
}

async fn panics() {
    panic!("on purpose");
}

async fn server(pages: Cors) -> Server {
    let limits = Limits {
        request: Duration::from_millis(200),
        ..Limits::default()
    };
    Server::start_surrounded(surrounded(pages, &limits), limits).await
}

fn of_one() -> Cors {
    Cors::known(|origin| ready(origin.as_str() == APP))
}

fn ask(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: l\r\nConnection: close\r\n{headers}\r\n")
        .into_bytes()
}

fn allowed(answer: &str) -> Option<&str> {
    assert!(
        !answer
            .to_lowercase()
            .contains("access-control-allow-credentials"),
        "never with credentials"
    );
    header(answer, "access-control-allow-origin")
}

#[tokio::test]
async fn threat_32_only_an_origin_written_exactly_so_is_known() {
    let server = server(of_one()).await;
    for (what, sent, is_known) in [
        ("the origin", "Origin: https://app.example\r\n", true),
        ("no origin", "", false),
        ("null", "Origin: null\r\n", false),
        ("empty", "Origin: \r\n", false),
        ("any", "Origin: *\r\n", false),
        ("http", "Origin: http://app.example\r\n", false),
        ("upper case", "Origin: https://APP.example\r\n", false),
        (
            "an upper-case scheme",
            "Origin: HTTPS://app.example\r\n",
            false,
        ),
        ("its port", "Origin: https://app.example:443\r\n", false),
        (
            "another port",
            "Origin: https://app.example:8443\r\n",
            false,
        ),
        ("a trailing dot", "Origin: https://app.example.\r\n", false),
        ("a slash", "Origin: https://app.example/\r\n", false),
        ("a path", "Origin: https://app.example/cb\r\n", false),
        ("a user", "Origin: https://x@app.example\r\n", false),
        (
            "a user's host",
            "Origin: https://app.example@evil.example\r\n",
            false,
        ),
        (
            "a longer host",
            "Origin: https://app.example.evil.example\r\n",
            false,
        ),
        ("a subdomain", "Origin: https://x.app.example\r\n", false),
        ("a prefix", "Origin: https://evilapp.example\r\n", false),
        ("half", "Origin: https://app.exampl\r\n", false),
        (
            "a backslash",
            "Origin: https://app.example\\.evil.example\r\n",
            false,
        ),
        ("an encoded dot", "Origin: https://app%2eexample\r\n", false),
        (
            "a NUL, encoded",
            "Origin: https://app.example%00\r\n",
            false,
        ),
        ("a tab inside", "Origin: https://app.\texample\r\n", false),
        ("no ASCII", "Origin: https://\u{e4}pp.example\r\n", false),
        (
            "two in one",
            "Origin: https://app.example https://app.example\r\n",
            false,
        ),
        (
            "a list",
            "Origin: https://app.example, https://app.example\r\n",
            false,
        ),
        (
            "twice",
            "Origin: https://app.example\r\nOrigin: https://app.example\r\n",
            false,
        ),
        (
            "with another",
            "Origin: https://evil.example\r\nOrigin: https://app.example\r\n",
            false,
        ),
        ("a referrer", "Referer: https://app.example/\r\n", false),
    ] {
        let expected = is_known.then_some(APP);
        let answer = server
            .says(&ask(
                "POST",
                "/token",
                &format!("{sent}Content-Length: 0\r\n"),
            ))
            .await;
        assert_eq!(
            status(&answer),
            "200",
            "{what}: the request is as any other"
        );
        assert_eq!(allowed(&answer), expected, "{what}");
        assert_eq!(header(&answer, "vary"), Some("Origin"), "{what}");
        let asks = format!("{sent}Access-Control-Request-Method: POST\r\n");
        let answer = server.says(&ask("OPTIONS", "/token", &asks)).await;
        assert_eq!(allowed(&answer), expected, "{what}: preflight");
        let code = if is_known { "204" } else { "405" };
        assert_eq!(status(&answer), code, "{what}: preflight");
    }
    let long = format!("Origin: https://{}.example\r\n", "x".repeat(300));
    let answer = server.says(&ask("OPTIONS", "/token", &long)).await;
    assert_eq!(allowed(&answer), None);
}

#[tokio::test]
async fn fetch_3_3_2_a_preflight_says_what_may_be_sent() {
    let server = server(of_one()).await;
    let asks = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\
                Access-Control-Request-Headers: authorization,dpop\r\n";
    let answer = server.says(&ask("OPTIONS", "/token", asks)).await;
    assert_eq!(status(&answer), "204");
    assert_eq!(header(&answer, "access-control-max-age"), Some("3600"));
    let methods = header(&answer, "access-control-allow-methods").unwrap();
    assert!(methods.split(", ").any(|method| method == "POST"));
    let headers = header(&answer, "access-control-allow-headers").unwrap();
    for name in ["Authorization", "Content-Type", "DPoP"] {
        assert!(headers.split(", ").any(|found| found == name), "{name}");
    }
    // Not a preflight: the resource answers for itself.
    let answer = server
        .says(&ask("OPTIONS", "/token", "Origin: https://app.example\r\n"))
        .await;
    assert_eq!(status(&answer), "405");
    assert_eq!(allowed(&answer), Some(APP));
}

#[tokio::test]
async fn refusals_of_the_layers_can_be_read_too() {
    let server = server(of_one()).await;
    let sized = |rest: &str| format!("Origin: https://app.example\r\n{rest}");
    for (what, method, path, rest, code) in [
        ("another method", "GET", "/token", "", "405"),
        (
            "too large",
            "POST",
            "/token",
            "Content-Length: 70000\r\n",
            "413",
        ),
        (
            "packed",
            "POST",
            "/token",
            "Content-Encoding: gzip\r\nContent-Length: 0\r\n",
            "415",
        ),
        ("slow", "GET", "/slow", "", "503"),
        ("broken", "GET", "/panic", "", "500"),
        ("nothing there", "GET", "/nowhere", "", "404"),
    ] {
        let answer = server.says(&ask(method, path, &sized(rest))).await;
        assert_eq!(status(&answer), code, "{what}");
        assert_eq!(allowed(&answer), Some(APP), "{what}");
        let exposed = header(&answer, "access-control-expose-headers").unwrap();
        for name in [
            "DPoP-Nonce",
            "WWW-Authenticate",
            "Retry-After",
            "RateLimit",
            "RateLimit-Policy",
            "X-Request-Id",
        ] {
            assert!(
                exposed.split(", ").any(|found| found == name),
                "{what}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_for_everyone_needs_no_origin_and_what_is_for_nobody_heeds_none() {
    let everyone = server(Cors::Anyone).await;
    for sent in ["", "Origin: null\r\n", "Origin: https://app.example\r\n"] {
        let answer = everyone.says(&ask("GET", "/nowhere", sent)).await;
        assert_eq!(allowed(&answer), Some("*"), "{sent}");
        assert_eq!(header(&answer, "vary"), None, "{sent}");
    }
    let nobody = server(Cors::Nobody).await;
    for sent in ["", "Origin: null\r\n", "Origin: https://app.example\r\n"] {
        for method in ["GET", "OPTIONS"] {
            let asks = format!("{sent}Access-Control-Request-Method: POST\r\n");
            let answer = nobody.says(&ask(method, "/token", &asks)).await;
            assert_eq!(status(&answer), "405", "{method} {sent}");
            assert!(
                !answer.to_lowercase().contains("access-control"),
                "{method} {sent}"
            );
        }
    }
}

#[tokio::test]
async fn who_does_not_know_in_time_does_not_hold_up_the_request() {
    let server = server(Cors::known(|_| pending())).await;
    let answer = server
        .says(&ask(
            "POST",
            "/token",
            "Origin: https://app.example\r\nContent-Length: 0\r\n",
        ))
        .await;
    assert_eq!(status(&answer), "200");
    assert_eq!(allowed(&answer), None);
}
