//! Where a fetch may go.

use shared_testing::ssrf::FORBIDDEN_URLS;

use super::*;

fn is_refusal(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::NotHttps
            | FetchError::ForbiddenAddress(_)
            | FetchError::UserInfo
            | FetchError::PortZero
    )
}

#[tokio::test]
async fn forbidden_urls_are_refused_without_a_connection() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let fetcher = Fetcher::new(FetcherSettings {
        resolver: ScriptedResolver::new(&[&["127.0.0.1"]]),
        // Allowances for other origins on the same hosts, which must not help.
        ..settings(&[
            "http://127.0.0.1:1",
            "https://127.0.0.1:1",
            "https://localhost:1",
            "https://[::1]:1",
        ])
    })
    .unwrap();
    for (what, url) in FORBIDDEN_URLS {
        // What does not parse cannot be fetched.
        let Ok(mut url) = Url::parse(url) else {
            continue;
        };
        if url.port() != Some(0) {
            // Other schemes have no port to set.
            let _ = url.set_port(Some(server.port));
        }
        let refusal = fetcher.get(&url, "*/*").await.unwrap_err();
        assert!(is_refusal(&refusal), "{what}: {url}: {refusal:?}");
    }
    server.assert_untouched().await;
}

#[tokio::test]
async fn names_of_this_machine_are_refused_with_the_systems_resolver() {
    let server = Server::answering("").await;
    let fetcher = Fetcher::new(settings(&[])).unwrap();
    let url = parse(&format!("https://localhost:{}/", server.port));
    let refusal = fetcher.get(&url, "*/*").await.unwrap_err();
    let FetchError::ForbiddenAddress(address) = refusal else {
        panic!("{refusal:?}");
    };
    assert!(address.is_loopback());
    server.assert_untouched().await;
}

#[tokio::test]
async fn an_allowance_is_for_one_scheme_host_and_port() {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let other = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let (port, another) = (server.port, other.port);
    let fetcher = Fetcher::new(FetcherSettings {
        resolver: ScriptedResolver::new(&[&["127.0.0.1"]]),
        ..settings(&[
            &format!("http://127.0.0.1:{port}"),
            &format!("http://localhost:{port}"),
        ])
    })
    .unwrap();
    let forbidden = Err(FetchError::ForbiddenAddress(LOOPBACK));
    for (what, url, expected) in [
        ("itself", format!("http://127.0.0.1:{port}/a?b"), Ok(())),
        (
            "itself by name",
            format!("http://localhost:{port}/"),
            Ok(()),
        ),
        (
            "the same in another spelling",
            format!("http://LocalHost:{port}/"),
            Ok(()),
        ),
        (
            "another port",
            format!("http://127.0.0.1:{another}/"),
            Err(FetchError::NotHttps),
        ),
        (
            "no port",
            "http://127.0.0.1/".to_owned(),
            Err(FetchError::NotHttps),
        ),
        (
            "another scheme",
            format!("https://127.0.0.1:{port}/"),
            forbidden.clone(),
        ),
        (
            "another scheme by name",
            format!("https://localhost:{port}/"),
            forbidden.clone(),
        ),
        (
            "another host",
            format!("http://127.0.0.2:{port}/"),
            Err(FetchError::NotHttps),
        ),
        (
            "another name",
            format!("http://issuer.example:{port}/"),
            Err(FetchError::NotHttps),
        ),
        (
            "a name below",
            format!("http://a.localhost:{port}/"),
            Err(FetchError::NotHttps),
        ),
        (
            "a name above",
            format!("http://localhost.example:{port}/"),
            Err(FetchError::NotHttps),
        ),
        (
            "trailing dot",
            format!("http://localhost.:{port}/"),
            Err(FetchError::NotHttps),
        ),
        (
            "as userinfo",
            format!("http://localhost:{port}@127.0.0.1:{another}/"),
            Err(FetchError::UserInfo),
        ),
        (
            "with userinfo",
            format!("http://me@127.0.0.1:{port}/"),
            Err(FetchError::UserInfo),
        ),
        (
            "with a fragment",
            format!("http://127.0.0.1:{port}/#keys"),
            Err(FetchError::Fragment),
        ),
    ] {
        let outcome = fetcher.get(&parse(&url), "*/*").await.map(|_| ());
        assert_eq!(outcome, expected, "{what}: {url}");
    }
    assert_eq!(server.accepted(), 3);
    other.assert_untouched().await;
}

#[tokio::test]
async fn an_allowed_name_on_another_port_is_judged_like_any_other() {
    let server = Server::answering("").await;
    let fetcher = Fetcher::new(FetcherSettings {
        resolver: ScriptedResolver::new(&[&["127.0.0.1"]]),
        ..settings(&["https://intranet.example:8443"])
    })
    .unwrap();
    let url = parse(&format!("https://intranet.example:{}/", server.port));
    let refusal = fetcher.get(&url, "*/*").await;
    assert_eq!(refusal, Err(FetchError::ForbiddenAddress(LOOPBACK)));
    server.assert_untouched().await;
}

#[tokio::test]
async fn an_answer_with_one_forbidden_address_is_refused_whole() {
    let server = Server::answering("").await;
    for answer in [
        &["127.0.0.1"][..],
        &[PUBLIC, "127.0.0.1"],
        &["127.0.0.1", PUBLIC],
        &[PUBLIC, "8.8.8.8", "::ffff:127.0.0.1"],
        &[PUBLIC, "169.254.169.254"],
        &["::1"],
        &["64:ff9b::7f00:1"],
    ] {
        let fetcher = Fetcher::new(FetcherSettings {
            resolver: ScriptedResolver::new(&[answer]),
            ..settings(&[])
        })
        .unwrap();
        let url = parse(&format!("https://mixed.example:{}/", server.port));
        let refusal = fetcher.get(&url, "*/*").await.unwrap_err();
        assert!(
            matches!(refusal, FetchError::ForbiddenAddress(_)),
            "{answer:?}: {refusal:?}"
        );
    }
    server.assert_untouched().await;
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_asked_once_and_judged_each_time() {
    let server = Server::answering("").await;
    let resolver = ScriptedResolver::new(&[&[PUBLIC], &["127.0.0.1"]]);
    let fetcher = Fetcher::new(FetcherSettings {
        resolver: resolver.clone(),
        timeout: Duration::from_millis(200),
        ..settings(&[])
    })
    .unwrap();
    let url = parse(&format!("https://rebind.example:{}/", server.port));

    // Passes the judgement and goes to the address judged, where nobody is: a second question would have found the server.
    let first = fetcher.get(&url, "*/*").await.unwrap_err();
    assert!(
        matches!(first, FetchError::Connect(_) | FetchError::Timeout),
        "{first:?}"
    );
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);

    let second = fetcher.get(&url, "*/*").await;
    assert_eq!(second, Err(FetchError::ForbiddenAddress(LOOPBACK)));
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 2);
    server.assert_untouched().await;
}

#[tokio::test]
async fn localhost_must_be_this_machine_even_where_it_is_allowed() {
    let resolver = ScriptedResolver::new(&[&["127.0.0.1", "10.0.0.1"]]);
    let fetcher = Fetcher::new(FetcherSettings {
        resolver,
        ..settings(&["http://localhost:8000"])
    })
    .unwrap();
    let refusal = fetcher.get(&parse("http://localhost:8000/"), "*/*").await;
    assert_eq!(
        refusal,
        Err(FetchError::ForbiddenAddress("10.0.0.1".parse().unwrap()))
    );
}

#[tokio::test]
async fn a_name_without_addresses_does_not_resolve() {
    let resolver = ScriptedResolver::new(&[&[]]);
    let fetcher = Fetcher::new(FetcherSettings {
        resolver,
        ..settings(&[])
    })
    .unwrap();
    let refusal = fetcher.get(&parse("https://nowhere.example/"), "*/*").await;
    assert_eq!(refusal, Err(FetchError::Dns));
}

fn public_only() -> Guard {
    Guard::Reachable([].into())
}

#[tokio::test]
async fn a_named_network_opens_its_addresses_and_no_others() {
    let server = Server::answering("").await;
    let fetch = async |network: &str, host: &str, answer: &str| {
        let fetcher = Fetcher::new(FetcherSettings {
            networks: vec![network.parse().unwrap()],
            resolver: ScriptedResolver::new(&[&[answer]]),
            ..settings(&[])
        })
        .unwrap();
        let url = parse(&format!("https://{host}:{}/", server.port));
        fetcher.get(&url, "*/*").await.unwrap_err()
    };
    for (what, network, host, answer, admitted) in [
        (
            "a name within",
            "127.0.0.0/8",
            "a.example",
            "127.0.0.1",
            true,
        ),
        (
            "an address within",
            "127.0.0.0/8",
            "127.0.0.1",
            PUBLIC,
            true,
        ),
        ("IPv6", "::1/128", "a.example", "::1", true),
        (
            "another network",
            "10.0.0.0/8",
            "a.example",
            "127.0.0.1",
            false,
        ),
        (
            "another address",
            "127.0.0.2/32",
            "127.0.0.1",
            PUBLIC,
            false,
        ),
        ("mapped", "127.0.0.0/8", "[::ffff:127.0.0.1]", PUBLIC, false),
        (
            "mapped by name",
            "127.0.0.0/8",
            "a.example",
            "::ffff:7f00:1",
            false,
        ),
        (
            "NAT64",
            "127.0.0.0/8",
            "a.example",
            "64:ff9b::7f00:1",
            false,
        ),
    ] {
        let error = fetch(network, host, answer).await;
        // The server speaks no TLS, which shows that somebody got there.
        let refused = matches!(error, FetchError::ForbiddenAddress(_));
        assert_eq!(!refused, admitted, "{what}: {error:?}");
    }
    let fetcher = Fetcher::new(FetcherSettings {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        ..settings(&[])
    })
    .unwrap();
    let plain = fetcher.get(&server.url(), "*/*").await;
    assert_eq!(plain, Err(FetchError::NotHttps), "https all the same");
}

#[tokio::test]
async fn plain_http_to_this_machine_stays_on_it() {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let port = server.port;
    let fetcher = |answer: &str| {
        Fetcher::new(FetcherSettings {
            loopback_http: true,
            resolver: ScriptedResolver::new(&[&[answer]]),
            ..settings(&[])
        })
        .unwrap()
    };
    for (what, url, answer, expected) in [
        (
            "an address",
            format!("http://127.0.0.1:{port}/"),
            PUBLIC,
            Ok(()),
        ),
        (
            "a name",
            format!("http://localhost:{port}/"),
            "127.0.0.1",
            Ok(()),
        ),
        (
            "a name that is elsewhere",
            format!("http://localhost:{port}/"),
            "10.0.0.1",
            Err(FetchError::ForbiddenAddress("10.0.0.1".parse().unwrap())),
        ),
        (
            "another name for this machine",
            format!("http://a.example:{port}/"),
            "127.0.0.1",
            Err(FetchError::NotHttps),
        ),
        (
            "https is judged as before",
            format!("https://127.0.0.1:{port}/"),
            PUBLIC,
            Err(FetchError::ForbiddenAddress(LOOPBACK)),
        ),
    ] {
        let outcome = fetcher(answer).get(&parse(&url), "*/*").await.map(|_| ());
        assert_eq!(outcome, expected, "{what}: {url}");
    }
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_smaller_bound_may_be_set_and_a_larger_one_may_not() {
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n".to_owned() + &"x".repeat(900);
    let server = Server::answering(body).await;
    let fetcher = fetcher_for(&server);
    for (bound, fits) in [(899, false), (900, true), (5000, true)] {
        let outcome = fetcher.within(bound).get(&server.url(), "*/*").await;
        assert_eq!(outcome.is_ok(), fits, "{bound}");
    }
    let wide = fetcher.within(899).within(5000);
    let refusal = wide.get(&server.url(), "*/*").await;
    assert_eq!(refusal, Err(FetchError::TooLarge));
}

#[test]
fn origins_are_written_without_a_path() {
    for (raw, good) in [
        ("https://keys.intranet.example", true),
        ("https://keys.intranet.example/", true),
        ("https://keys.intranet.example:8443", true),
        ("http://localhost:8000", true),
        ("http://keys.intranet.example", false),
        ("https://keys.intranet.example/path", false),
        ("https://keys.intranet.example/?query", false),
        ("https://me@keys.intranet.example", false),
        ("keys.intranet.example", false),
        ("", false),
    ] {
        assert_eq!(raw.parse::<Origin>().is_ok(), good, "{raw}");
    }
}

#[tokio::test]
async fn only_the_first_addresses_of_a_long_answer_are_tried() {
    let many: Vec<String> = (0..200).map(|n| format!("2d00::{n:x}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let guarded = GuardedResolver::new(public_only(), ScriptedResolver::new(&[&many]));
    let tried: Vec<_> = guarded
        .resolve("many.example".parse().unwrap())
        .await
        .unwrap()
        .collect();
    assert_eq!(tried.len(), 16);
    assert!(
        tried.iter().all(|socket| socket.port() == 0),
        "the URL's port counts"
    );

    // But all of them are judged.
    let mut poisoned = many.clone();
    poisoned.push("127.0.0.1");
    let guarded = GuardedResolver::new(public_only(), ScriptedResolver::new(&[&poisoned]));
    assert!(
        guarded
            .resolve("many.example".parse().unwrap())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let target = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for status in [
        "300 X", "301 X", "302 X", "303 X", "304 X", "307 X", "308 X",
    ] {
        let location = target.url();
        let answer =
            format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::answering(answer).await;
        // Not even to an origin that is itself allowed.
        let fetcher = Fetcher::new(settings(&[server.url().as_str(), location.as_str()])).unwrap();
        let refusal = fetcher.get(&server.url(), "*/*").await;
        assert_eq!(refusal, Err(FetchError::Redirect), "{status}");
    }
    target.assert_untouched().await;
}

#[tokio::test]
async fn urls_are_bounded_and_absolute() {
    let fetcher = Fetcher::new(settings(&["http://127.0.0.1:1"])).unwrap();
    let long = parse(&format!("http://127.0.0.1:1/{}", "a".repeat(2048)));
    assert_eq!(fetcher.get(&long, "*/*").await, Err(FetchError::UrlTooLong));

    for (uri, expected) in [
        ("/introspect", FetchError::InvalidUrl),
        ("https://user:secret@issuer.example/", FetchError::UserInfo),
        ("http://issuer.example/", FetchError::NotHttps),
        ("https://0x7f.1/", FetchError::ForbiddenAddress(LOOPBACK)),
    ] {
        let request = http::Request::post(uri).body(Bytes::new()).unwrap();
        assert_eq!(fetcher.send(request).await, Err(expected), "{uri}");
    }
}
