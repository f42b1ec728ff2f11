//! Limits and framing, on the wire.

use axum::body::{Body, Bytes};
use axum::routing::{get as route_get, post};

use super::*;

fn echo() -> Router {
    Router::new()
        .route("/", route_get(|| async { "root" }))
        .route(
            "/length",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route(
            "/stream",
            post(|body: Body| async move {
                match axum::body::to_bytes(body, usize::MAX).await {
                    Ok(body) => body.len().to_string(),
                    Err(_) => "refused".to_owned(),
                }
            }),
        )
        .route(
            "/authorization",
            route_get(|headers: axum::http::HeaderMap| async move {
                String::from_utf8_lossy(headers["authorization"].as_bytes()).into_owned()
            }),
        )
        .route("/smuggled", route_get(|| async { "SMUGGLED" }))
}

fn limits() -> Limits {
    Limits {
        body: 1000,
        header_read: Duration::from_secs(2),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_headers_is_cut_off() {
    let limits = Limits {
        header_read: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = Server::start(echo(), limits).await;
    for (what, sent) in [
        ("nothing", ""),
        ("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\n"),
        ("a letter", "G"),
        ("half a request", "GET / HTTP/1.1\r\nHost: localhost\r\n"),
    ] {
        let answer = server.says(sent.as_bytes()).await;
        assert!(
            ["closed", "408"].contains(&status(&answer)),
            "{what}: {answer}"
        );
    }
    let mut idle = server.connect().await;
    idle.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(
        body(&idle.rest().await),
        "root",
        "an idle connection closes too"
    );
}

#[tokio::test]
async fn headers_beyond_their_limit_are_431() {
    let server = Server::start(echo(), Limits::default()).await;
    let fields = |count: usize, length: usize| {
        let field = format!("X: {}\r\n", "x".repeat(length));
        field.repeat(count)
    };
    for (what, headers, expected) in [
        ("one far too long", fields(1, 100_000), "431"),
        ("one too long", fields(1, 16_384), "431"),
        ("one just short enough", fields(1, 16_300), "200"),
        ("too many", fields(63, 1), "431"),
        ("just few enough", fields(62, 200), "200"),
    ] {
        let answer = server.says(&get("/", &headers)).await;
        assert_eq!(status(&answer), expected, "{what}");
    }
}

#[tokio::test]
async fn rfc9110_15_5_14_a_body_beyond_its_limit_is_413() {
    let server = Server::start(echo(), limits()).await;
    let announced =
        |length: usize| format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let chunked = |length: usize| {
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(length)
        )
    };
    for (what, path, rest, expected) in [
        ("announced, within", "/length", announced(1000), "200"),
        ("announced, beyond", "/length", announced(1001), "413"),
        ("chunked, within", "/length", chunked(1000), "200"),
        ("chunked, beyond", "/length", chunked(1001), "413"),
        (
            "announced and not sent",
            "/length",
            "Content-Length: 99999999999\r\n\r\n".to_owned(),
            "413",
        ),
        ("announced to a stream", "/stream", announced(1001), "413"),
    ] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{rest}");
        assert_eq!(
            status(&server.says(head.as_bytes()).await),
            expected,
            "{what}"
        );
    }
    let streamed = format!(
        "POST /stream HTTP/1.1\r\nHost: localhost\r\n{}",
        chunked(1001)
    );
    assert_eq!(body(&server.says(streamed.as_bytes()).await), "refused");
}

#[tokio::test]
async fn a_body_larger_than_axums_own_limit_passes_where_ours_lets_it() {
    let server = Server::start(
        echo(),
        Limits {
            body: 4_000_000,
            ..Limits::default()
        },
    )
    .await;
    let mut request = b"POST /length HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n".to_vec();
    request.resize(request.len() + 3_000_000, b'x');
    assert_eq!(body(&server.says(&request).await), "3000000");
}

#[tokio::test]
async fn threat_31_ambiguous_framing_is_refused() {
    let server = Server::start(echo(), limits()).await;
    for (what, head) in [
        (
            "two lengths",
            "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        ),
        ("a list of lengths", "Content-Length: 1, 1\r\n\r\nx"),
        ("a signed length", "Content-Length: +1\r\n\r\nx"),
        ("a negative length", "Content-Length: -1\r\n\r\nx"),
        ("a length in hex", "Content-Length: 0x1\r\n\r\nx"),
        ("an empty length", "Content-Length: \r\n\r\nx"),
        ("an unknown coding", "Transfer-Encoding: identity\r\n\r\nx"),
        (
            "chunked not last",
            "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        ),
        (
            "a folded header",
            "X-Folded: one\r\n two\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "a header folded with a tab",
            "X-Folded: one\r\n\ttwo\r\nContent-Length: 0\r\n\r\n",
        ),
        ("a space before the colon", "Content-Length : 1\r\n\r\nx"),
        ("a tab before the colon", "Content-Length\t: 1\r\n\r\nx"),
        ("a line without a colon", "Content-Length\r\n\r\n"),
        (
            "a NUL in a value",
            "X-Nul: a\0b\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "a bare CR in a value",
            "X-Cr: a\rb\r\nContent-Length: 0\r\n\r\n",
        ),
        ("a second host", "Host: other\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let request = format!("POST /length HTTP/1.1\r\nHost: localhost\r\n{head}");
        let answer = server.says(request.as_bytes()).await;
        assert_eq!(status(&answer), "400", "{what}: {answer}");
    }
    for (what, request, expected) in [
        ("no host in HTTP/1.1", "GET / HTTP/1.1\r\n\r\n", "400"),
        ("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "200"),
        (
            "chunks in HTTP/1.0",
            "POST /length HTTP/1.0\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("no version", "GET /\r\n\r\n", "400"),
    ] {
        let answer = server.says(request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{what}: {answer}");
    }
}

#[tokio::test]
async fn rfc9112_6_1_what_follows_a_body_of_doubtful_length_is_never_a_request() {
    const NEXT: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let server = Server::start(echo(), limits()).await;
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let request =
            format!("POST /length HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n0\r\n\r\n{NEXT}");
        let answer = server.says(request.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing}: {answer}");
        assert_eq!(header(&answer, "connection"), Some("close"), "{framing}");
        assert!(!answer.contains("SMUGGLED"), "{framing}");
    }
    // The same length twice is one length.
    let twice = format!(
        "POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nxx{NEXT}"
    );
    let answer = server.says(twice.as_bytes()).await;
    assert!(answer.contains("\r\n\r\n2HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_tab_inside_a_value_reaches_the_handler_as_it_is() {
    let server = Server::start(echo(), limits()).await;
    let answer = server
        .says(&get("/authorization", "Authorization: \tBearer\tx\t\r\n"))
        .await;
    assert_eq!(
        body(&answer),
        "Bearer\tx",
        "the guard must refuse it, and can"
    );
}

#[tokio::test]
async fn http1_and_http2_with_prior_knowledge_share_a_port() {
    let server = Server::start(echo(), limits()).await;
    for (what, client) in [
        ("HTTP/1.1", reqwest::Client::builder().http1_only()),
        ("HTTP/2", reqwest::Client::builder().http2_prior_knowledge()),
    ] {
        let client = client.no_proxy().build().unwrap();
        let response = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(
            format!("{:?}", response.version()),
            if what == "HTTP/2" { "HTTP/2.0" } else { what }
        );
        assert_eq!(response.text().await.unwrap(), "root");
        let long = client.post(server.url("/length")).body("x".repeat(1001));
        assert_eq!(long.send().await.unwrap().status(), 413, "{what}");
        let long = client
            .get(server.url("/"))
            .header("x-long", "x".repeat(20_000));
        assert_eq!(long.send().await.unwrap().status(), 431, "{what}");
    }
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_a_seat() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = Server::start(echo(), limits).await;
    let mut first = server.connect().await;
    first
        .send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    first.until("root").await;
    let mut second = server.connect().await;
    second.send(&get("/", "")).await;
    let early = timeout(Duration::from_millis(200), second.0.readable()).await;
    assert!(early.is_err(), "answered without a seat");
    drop(first);
    assert_eq!(status(&second.rest().await), "200");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let dropped = Arc::new(tokio::sync::Notify::new());
    let witness = Arc::clone(&dropped);
    let endless = move || {
        let guard = Witness(Arc::clone(&witness));
        async move {
            let chunk = Bytes::from(vec![b'x'; 65_536]);
            Body::from_stream(futures_util::stream::repeat_with(move || {
                let _ = &guard;
                Ok::<_, io::Error>(chunk.clone())
            }))
        }
    };
    let limits = Limits {
        request: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(Router::new().route("/endless", route_get(endless)), limits).await;
    let mut client = server.connect().await;
    client.send(&get("/endless", "")).await;
    timeout(SOON, dropped.notified())
        .await
        .expect("the response was never dropped");
}

struct Witness(Arc<tokio::sync::Notify>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_mend() {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let taken = Listener::bind(&[any, any]).await.unwrap().addresses();
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|address| address.port() != 0));
    let holder = Listener::bind(&[any]).await.unwrap();
    let address = holder.addresses()[0];
    let error = Listener::bind(&[any, address])
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "cannot listen on {address}: the port is in use; stop the program that has it, or choose another with the `listen` setting"
        )
    );
}
