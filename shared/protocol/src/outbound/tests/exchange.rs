//! What is sent, and what a server may answer.

use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::*;

/// Long enough for a response on this machine, short enough to wait for.
const IMPATIENT: Duration = Duration::from_millis(150);

fn impatient(server: &Server) -> Fetcher {
    let settings = settings(&[server.url().as_str()]);
    Fetcher::new(FetcherSettings {
        timeout: IMPATIENT,
        ..settings
    })
    .unwrap()
}

/// Writes `piece` every few milliseconds until the other side hangs up.
async fn drip(mut stream: TcpStream, head: &'static [u8], piece: &'static [u8]) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let mut sent = stream.write_all(head).await;
    while sent.is_ok() {
        tick.tick().await;
        sent = stream.write_all(piece).await;
    }
}

#[tokio::test]
async fn a_response_is_read_whole() {
    let fetched = fetch_from(
        "HTTP/1.1 200 OK\r\ncontent-type: Application/JWK-Set+JSON; charset=utf-8\r\n\
         cache-control: public, max-age=300\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}",
    )
    .await
    .unwrap();
    let expected = Fetched {
        status: StatusCode::OK,
        media_type: Some("application/jwk-set+json".to_owned()),
        max_age: Some(Duration::from_mins(5)),
        challenge: None,
        body: Bytes::from_static(b"{\"keys\":[]}"),
    };
    assert_eq!(fetched, expected);
}

#[tokio::test]
async fn any_status_but_a_redirect_is_a_response() {
    for status in [200, 201, 204, 400, 401, 403, 404, 410, 429, 500, 503] {
        let fetched = fetch_from(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!(fetched.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_get_tells_no_more_than_it_must() {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\nset-cookie: seen=1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    let fetcher = fetcher_for(&server);
    for _ in 0..2 {
        fetcher
            .get(&server.url(), "application/json")
            .await
            .unwrap();
    }
    for request in server.requests.lock().unwrap().iter() {
        let mut lines: Vec<&str> = request.trim_end().lines().collect();
        lines.sort_unstable();
        let host = format!("host: 127.0.0.1:{}", server.port);
        let agent = concat!("user-agent: shared-protocol/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            lines,
            ["GET / HTTP/1.1", "accept: application/json", &host, agent]
        );
    }
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_not_used() {
    let proxy = Server::answering("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    // The environment of a process must not change while it runs, so another one runs the test above.
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "outbound::tests::exchange::a_get_tells_no_more_than_it_must",
    ]);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        child.env(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let run = tokio::task::spawn_blocking(move || child.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
    proxy.assert_untouched().await;
}

#[tokio::test]
async fn a_post_carries_its_body_and_header_fields() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let request = http::Request::post(format!("{}introspect", server.url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(AUTHORIZATION, "Basic Zm9vOmJhcg==")
        .body(Bytes::from_static(b"token=t"))
        .unwrap();
    fetcher_for(&server).send(request).await.unwrap();
    let requests = server.requests.lock().unwrap();
    for part in [
        "POST /introspect HTTP/1.1\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "authorization: Basic Zm9vOmJhcg==\r\n",
        "content-length: 7\r\n",
        "\r\n\r\ntoken=t",
    ] {
        assert!(requests[0].contains(part), "{part:?} in {:?}", requests[0]);
    }
}

#[tokio::test]
async fn of_who_is_told_something_only_the_status_is_read() {
    let endless = Server::start(|stream| drip(stream, b"HTTP/1.1 200 OK\r\n\r\n", b"x")).await;
    let large = Server::answering("HTTP/1.1 204 X\r\ncontent-length: 100000000\r\n\r\n").await;
    let refuses = Server::answering("HTTP/1.1 400 X\r\ncontent-length: 9\r\n\r\nBecause x").await;
    let moved = Server::answering("HTTP/1.1 307 X\r\nlocation: /\r\n\r\n").await;
    let silent = Server::start(|stream| drip(stream, b"HTTP/1.1 200 OK\r\n", b"x: y\r\n")).await;
    for (server, expected) in [
        (&endless, Ok(StatusCode::OK)),
        (&large, Ok(StatusCode::NO_CONTENT)),
        (&refuses, Ok(StatusCode::BAD_REQUEST)),
        (&moved, Err(FetchError::Redirect)),
    ] {
        let fetcher = fetcher_for(server);
        let url = server.url();
        let told = fetcher.tell(&url, "a=b".into(), Duration::MAX);
        assert_eq!(told.await, expected);
        let requests = server.requests.lock().unwrap();
        assert!(requests[0].starts_with("POST / HTTP/1.1\r\n"));
        assert!(requests[0].contains("content-type: application/x-www-form-urlencoded\r\n"));
        assert!(requests[0].ends_with("\r\n\r\na=b"), "{}", requests[0]);
    }
    for (fetcher, patience) in [
        (fetcher_for(&silent), IMPATIENT),
        (impatient(&silent), Duration::MAX),
    ] {
        let told = fetcher.tell(&silent.url(), String::new(), patience).await;
        assert_eq!(told, Err(FetchError::Timeout));
    }
    let private = Fetcher::new(FetcherSettings::default()).unwrap();
    let url = refuses.url();
    let told = private.tell(&url, String::new(), Duration::MAX);
    assert_eq!(told.await, Err(FetchError::NotHttps));
    assert_eq!(refuses.accepted(), 1);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", "a".repeat(size));
    let chunked = |chunks: &[usize]| {
        let chunks: String = chunks.iter().map(|&size| chunk(size)).collect();
        format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    let sized = |size: usize| format!("{head}content-length: {size}\r\n\r\n{}", "a".repeat(size));
    let until_close = |size: usize| format!("{head}\r\n{}", "a".repeat(size));
    for (what, response, fits) in [
        ("announced, at the bound", sized(1000), true),
        ("announced, above it", sized(1001), false),
        ("announced, 10 MB", sized(10_000_000), false),
        (
            "announced beyond any memory",
            format!("{head}content-length: {}\r\n\r\n", i64::MAX),
            false,
        ),
        ("chunked, at the bound", chunked(&[600, 400]), true),
        ("chunked, above it", chunked(&[600, 401]), false),
        ("chunked, 10 MB", chunked(&[100_000; 100]), false),
        ("until close, at the bound", until_close(1000), true),
        ("until close, above it", until_close(1001), false),
    ] {
        match fetch_from(response).await {
            Ok(fetched) => assert!(fits && fetched.body.len() == 1000, "{what}"),
            Err(error) => assert!(!fits && error == FetchError::TooLarge, "{what}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_body_too_large_by_its_own_announcement_is_not_read() {
    // The server sends nothing after the head: reading would meet the time-out.
    let server = Server::start(|stream| {
        drip(
            stream,
            b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
            b"",
        )
    })
    .await;
    let refusal = fetcher_for(&server).get(&server.url(), "*/*").await;
    assert_eq!(refusal, Err(FetchError::TooLarge));
}

#[tokio::test]
async fn an_endless_body_ends_at_the_bound() {
    let server = Server::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'a'; 4096]).await.is_ok() {}
    })
    .await;
    let refusal = fetcher_for(&server).get(&server.url(), "*/*").await;
    assert_eq!(refusal, Err(FetchError::TooLarge));
}

#[tokio::test]
async fn the_time_out_covers_the_whole_exchange() {
    let silent = Server::start(|stream| drip(stream, b"", b"")).await;
    let slow_head = Server::start(|stream| drip(stream, b"HTTP/1.1 200 OK\r\n", b"x: y\r\n")).await;
    let slow_line = Server::start(|stream| drip(stream, b"HTTP/1.1 200 OK\r\nx: ", b"y")).await;
    let informational =
        Server::start(|stream| drip(stream, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")).await;
    let slow_body = Server::start(|stream| {
        drip(
            stream,
            b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
            b"a",
        )
    })
    .await;
    for (what, server) in [
        ("silent", silent),
        ("slow head", slow_head),
        ("slow header line", slow_line),
        ("informational for ever", informational),
        ("slow body", slow_body),
    ] {
        let started = tokio::time::Instant::now();
        let refusal = impatient(&server).get(&server.url(), "*/*").await;
        assert_eq!(refusal, Err(FetchError::Timeout), "{what}");
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
    }
}

#[tokio::test]
async fn a_resolver_that_never_answers_meets_the_time_out() {
    struct Silent;
    impl Resolve for Silent {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(std::future::pending())
        }
    }
    let resolver = Arc::new(Silent);
    let fetcher = Fetcher::new(FetcherSettings {
        timeout: IMPATIENT,
        resolver,
        ..settings(&[])
    })
    .unwrap();
    let refusal = fetcher.get(&parse("https://slow.example/"), "*/*").await;
    assert_eq!(refusal, Err(FetchError::Timeout));
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let many_fields = "x: y\r\n".repeat(101);
    for (what, response) in [
        ("nothing", String::new()),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        ("HTTP/0.9", "<html>hello</html>".to_owned()),
        ("no status", "HTTP/1.1 OK\r\n\r\n".to_owned()),
        (
            "broken off in the head",
            "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
        ),
        (
            "broken off in the body",
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned(),
        ),
        (
            "chunk size",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na".to_owned(),
        ),
        (
            "a folded line",
            "HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        (
            "101 header fields",
            format!("HTTP/1.1 200 OK\r\n{many_fields}content-length: 0\r\n\r\n"),
        ),
        (
            "a header field of 1 MB",
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1_000_000)),
        ),
    ] {
        let refusal = fetch_from(response).await;
        assert!(
            matches!(refusal, Err(FetchError::Protocol(_))),
            "{what}: {refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_failed_connection() {
    let free = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let url = parse(&format!("http://{}/", free.local_addr().unwrap()));
    drop(free);
    let refusal = Fetcher::new(settings(&[url.as_str()]))
        .unwrap()
        .get(&url, "*/*")
        .await;
    assert!(
        matches!(refusal, Err(FetchError::Connect(_))),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn compressed_bodies_stay_compressed() {
    // An empty gzip member.
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let mut response =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\n".to_vec();
    response.extend_from_slice(gzip);
    assert_eq!(fetch_from(response).await.unwrap().body, &gzip[..]);
}

#[tokio::test]
async fn errors_tell_no_secret_of_the_url() {
    let silent = Server::start(|stream| drip(stream, b"", b"")).await;
    let garbage = Server::answering("SSH-2.0-x\r\n").await;
    let (silent, garbage) = (silent.port, garbage.port);
    let fetcher = Fetcher::new(FetcherSettings {
        timeout: IMPATIENT,
        resolver: ScriptedResolver::new(&[&["127.0.0.1"]]),
        ..settings(&[
            &format!("http://127.0.0.1:{silent}"),
            &format!("http://127.0.0.1:{garbage}"),
            &format!("https://127.0.0.1:{garbage}"),
            "http://127.0.0.1:1",
        ])
    })
    .unwrap();
    for url in [
        format!("http://127.0.0.1:{silent}/s3cret?code=s3cret"),
        format!("http://127.0.0.1:{garbage}/s3cret?code=s3cret"),
        format!("https://127.0.0.1:{garbage}/s3cret?code=s3cret"),
        "http://127.0.0.1:1/s3cret?code=s3cret".to_owned(),
        "https://issuer.example/s3cret?code=s3cret".to_owned(),
        "https://me:s3cret@issuer.example/".to_owned(),
    ] {
        let error = fetcher.get(&parse(&url), "*/*").await.unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    for (what, wrong) in [
        (
            "user agent",
            FetcherSettings {
                user_agent: "a\r\nb: c".to_owned(),
                ..settings(&[])
            },
        ),
        (
            "root",
            FetcherSettings {
                extra_roots: vec![vec![0; 10].into()],
                ..settings(&[])
            },
        ),
    ] {
        let refusal = Fetcher::new(wrong).map(|_| ());
        assert!(
            matches!(refusal, Err(FetchError::Settings(_))),
            "{what}: {refusal:?}"
        );
    }
}
