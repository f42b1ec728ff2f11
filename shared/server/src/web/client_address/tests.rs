use axum::http::HeaderValue;

use super::*;

fn proxies(header: ForwardedBy) -> Proxies {
    Proxies {
        trusted: ["127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48"]
            .map(|raw| raw.parse().unwrap())
            .to_vec(),
        header: Some(header),
        ..Proxies::default()
    }
}

fn client<V: AsRef<[u8]>>(header: ForwardedBy, peer: &str, lines: &[(&'static str, V)]) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    let peer = peer.parse().unwrap();
    proxies(header).client(peer, &headers).to_string()
}

/// What it is, who connects, the lines of `Forwarded`, and who it must be.
const CHAINS: &[(&str, &str, &[&str], &str)] = &[
    ("nothing said", "127.0.0.1", &[], "127.0.0.1"),
    ("one proxy", "127.0.0.1", &["for=192.0.2.1"], "192.0.2.1"),
    (
        "a stranger says it",
        "192.0.2.7",
        &["for=192.0.2.1"],
        "192.0.2.7",
    ),
    (
        "a chain",
        "127.0.0.1",
        &["for=192.0.2.1, for=10.1.2.3"],
        "192.0.2.1",
    ),
    (
        "a chain on two lines",
        "127.0.0.1",
        &["for=192.0.2.1", "for=10.1.2.3"],
        "192.0.2.1",
    ),
    (
        "a lie before the truth",
        "127.0.0.1",
        &["for=203.0.113.9, for=192.0.2.1, for=10.1.2.3"],
        "192.0.2.1",
    ),
    (
        "a lie on a line of its own",
        "127.0.0.1",
        &["for=10.9.9.9", "for=192.0.2.1"],
        "192.0.2.1",
    ),
    (
        "an open quote before the truth",
        "127.0.0.1",
        &["for=\"203.0.113.9, for=192.0.2.1"],
        "192.0.2.1",
    ),
    (
        "a backslash before the truth",
        "127.0.0.1",
        &["for=\"\\, for=\"[2001:db8::1]\""],
        "2001:db8::1",
    ),
    (
        "all trusted",
        "127.0.0.1",
        &["for=10.1.1.1, for=10.2.2.2"],
        "10.1.1.1",
    ),
    (
        "unknown",
        "127.0.0.1",
        &["for=192.0.2.1, for=unknown"],
        "127.0.0.1",
    ),
    (
        "unknown behind a proxy",
        "127.0.0.1",
        &["for=192.0.2.1, for=unknown, for=10.1.1.1"],
        "10.1.1.1",
    ),
    ("obfuscated", "127.0.0.1", &["for=_gazonk"], "127.0.0.1"),
    (
        "garbage nearest",
        "127.0.0.1",
        &["for=192.0.2.1, &&&"],
        "127.0.0.1",
    ),
    (
        "an empty element",
        "127.0.0.1",
        &["for=192.0.2.1, "],
        "127.0.0.1",
    ),
    (
        "no ASCII",
        "127.0.0.1",
        &["for=192.0.2.1, \u{e9}"],
        "127.0.0.1",
    ),
    (
        "IPv6",
        "2001:db8:ffff::1",
        &["for=\"[2001:db8::1]:80\""],
        "2001:db8::1",
    ),
    (
        "a mapped peer",
        "::ffff:10.0.0.1",
        &["for=192.0.2.1"],
        "192.0.2.1",
    ),
    (
        "a mapped stranger",
        "::ffff:192.0.2.7",
        &["for=192.0.2.1"],
        "192.0.2.7",
    ),
    (
        "a mapped hop",
        "127.0.0.1",
        &["for=192.0.2.1, for=\"[::ffff:10.0.0.1]\""],
        "192.0.2.1",
    ),
    (
        "a mapped client",
        "127.0.0.1",
        &["for=\"[::ffff:192.0.2.1]\""],
        "192.0.2.1",
    ),
];

#[test]
fn rfc7239_8_1_only_trusted_proxies_are_believed() {
    let long = "for=203.0.113.9,".repeat(4096);
    let far = format!("for=203.0.113.9{}", ", for=10.0.0.1".repeat(40));
    let computed: &[(&str, &str, &[&str], &str)] = &[
        ("64 KiB", "127.0.0.1", &[&long], "127.0.0.1"),
        ("further than 32 proxies", "127.0.0.1", &[&far], "10.0.0.1"),
    ];
    for (what, peer, lines, expected) in CHAINS.iter().chain(computed) {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let said = client(ForwardedBy::Forwarded, peer, &lines);
        assert_eq!(said, *expected, "{what}");
    }
}

#[test]
fn x_forwarded_for_is_read_the_same_way() {
    for (what, peer, line, expected) in [
        ("one", "127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("a stranger says it", "192.0.2.7", "192.0.2.1", "192.0.2.7"),
        ("a port", "127.0.0.1", "192.0.2.1:80", "192.0.2.1"),
        ("IPv6", "127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("brackets", "127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        (
            "brackets and a port",
            "127.0.0.1",
            "[2001:db8::1]:80",
            "2001:db8::1",
        ),
        (
            "a lie before the truth",
            "127.0.0.1",
            "203.0.113.9,192.0.2.1 ,\t10.0.0.1",
            "192.0.2.1",
        ),
        ("garbage", "127.0.0.1", "192.0.2.1, <script>", "127.0.0.1"),
        ("a name", "127.0.0.1", "client.example", "127.0.0.1"),
        (
            "brackets around IPv4",
            "127.0.0.1",
            "[192.0.2.1]",
            "127.0.0.1",
        ),
        ("empty", "127.0.0.1", "", "127.0.0.1"),
    ] {
        let said = client(
            ForwardedBy::XForwardedFor,
            peer,
            &[("x-forwarded-for", line)],
        );
        assert_eq!(said, expected, "{what}");
    }
}

#[test]
fn a_byte_that_is_no_text_spoils_its_own_element_alone() {
    let line: &[u8] = b"\xff, 192.0.2.1";
    let lines = [("x-forwarded-for", line)];
    let said = client(ForwardedBy::XForwardedFor, "127.0.0.1", &lines);
    assert_eq!(said, "192.0.2.1");
}

#[test]
fn the_header_that_proxies_do_not_write_is_a_strangers() {
    let lines = [
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.2"),
    ];
    assert_eq!(
        client(ForwardedBy::Forwarded, "127.0.0.1", &lines),
        "192.0.2.2"
    );
    assert_eq!(
        client(ForwardedBy::XForwardedFor, "127.0.0.1", &lines),
        "192.0.2.1"
    );
    assert_eq!(
        client(ForwardedBy::XForwardedFor, "127.0.0.1", &lines[1..]),
        "127.0.0.1"
    );
}

#[test]
fn a_network_is_an_address_or_a_prefix_with_nothing_behind_it() {
    for raw in ["192.0.2.1", "10.0.0.0/8", "::1", "2001:db8::/32"] {
        let network: Network = raw.parse().unwrap();
        assert_eq!(
            network
                .to_string()
                .trim_end_matches("/32")
                .trim_end_matches("/128"),
            raw.trim_end_matches("/32")
        );
    }
    for (raw, expected) in [
        ("", InvalidNetwork::Malformed),
        ("localhost", InvalidNetwork::Malformed),
        ("10.0.0.0/33", InvalidNetwork::Malformed),
        ("10.0.0/8", InvalidNetwork::Malformed),
        (" 10.0.0.0/8", InvalidNetwork::Malformed),
        ("10.0.0.1/8", InvalidNetwork::Host),
        ("::ffff:10.0.0.1", InvalidNetwork::Mapped),
        ("::ffff:10.0.0.0/104", InvalidNetwork::Mapped),
        ("0.0.0.0/0", InvalidNetwork::Everyone),
        ("::/0", InvalidNetwork::Everyone),
    ] {
        assert_eq!(raw.parse::<Network>(), Err(expected), "{raw}");
    }
}
