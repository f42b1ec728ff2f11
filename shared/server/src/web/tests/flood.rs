//! HTTP/2 frames that no honest client sends (RFC 9113 §10.5): the connection ends or bears them, and others are served.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get as route_get;
use tokio::io::AsyncRead;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Field lines of `GET /` at localhost, from the static table (RFC 7541 appendix A).
const GET_ROOT: &[u8] = b"\x82\x86\x84\x01\x09localhost";
/// Those of a POST.
const POST_ROOT: &[u8] = b"\x83\x86\x84\x01\x09localhost";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A literal field line that is not indexed, or added to the table (RFC 7541 §6.2).
fn field(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut line = vec![first];
    for text in [name, value] {
        if text.len() < 127 {
            line.extend(u8::try_from(text.len()));
        } else {
            // RFC 7541 §5.1: seven bits are full, the rest follows in groups of seven.
            let rest = text.len() - 127;
            let groups = [rest % 128 + 128, rest / 128];
            line.push(127);
            line.extend(groups.map(|group| u8::try_from(group).unwrap()));
        }
        line.extend(text.as_bytes());
    }
    line
}

fn request(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

/// All that comes until the connection ends.
async fn drain(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = from.read_to_end(&mut said).await;
    said
}

/// The frames in what was said: type, stream and payload.
fn frames(mut said: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((head, rest)) = said.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        found.push((head[3], stream, payload.to_vec()));
        said = rest;
    }
    found
}

/// What the server says to these frames until it, or the client after all of them, ends the connection.
async fn converse(server: &Server, sent: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let (reading, mut writing) = server.connect().await.0.into_split();
    let reading = tokio::spawn(drain(reading));
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    if writing.write_all(&opening).await.is_ok() && writing.write_all(sent).await.is_ok() {
        let _ = writing.shutdown().await;
    }
    let said = timeout(SOON, reading)
        .await
        .expect("the connection ends")
        .unwrap();
    frames(&said)
}

fn app(handled: &Arc<AtomicUsize>) -> Router {
    let handled = Arc::clone(handled);
    let count = move || {
        handled.fetch_add(1, Ordering::SeqCst);
        async { "root" }
    };
    Router::new().route("/", route_get(count.clone()).post(count))
}

/// Opens a stream and resets it, again and again.
fn resets() -> Vec<u8> {
    let pair = |stream| {
        let get = request(stream, END_HEADERS | END_STREAM, GET_ROOT);
        [get, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    (0..20_000)
        .flat_map(|number| pair(2 * number + 1))
        .collect()
}

/// Much of something.
fn floods() -> Vec<(&'static str, Vec<u8>)> {
    let streams = (0..5000).map(|number| 2 * number + 1);
    let long = field(0, "x-long", &"x".repeat(1000));
    // One line goes into the table, then a byte each stands for it again.
    let bomb = [
        GET_ROOT.to_vec(),
        field(0x40, "x-bomb", &"x".repeat(3000)),
        vec![0xbe; 12_000],
    ];
    let opened = request(1, END_HEADERS, POST_ROOT);
    let begun = request(1, 0, GET_ROOT);
    vec![
        ("rapid reset", resets()),
        (
            "more streams than there may be",
            streams
                .flat_map(|stream| request(stream, END_HEADERS, POST_ROOT))
                .collect(),
        ),
        (
            "continuations",
            [
                begun.clone(),
                frame(CONTINUATION, 0, 1, &long).repeat(20_000),
            ]
            .concat(),
        ),
        (
            "hollow continuations",
            [begun, frame(CONTINUATION, 0, 1, &[]).repeat(200_000)].concat(),
        ),
        (
            "a field line that unfolds",
            request(1, END_HEADERS | END_STREAM, &bomb.concat()),
        ),
        (
            "hollow data",
            [opened, frame(DATA, 0, 1, &[]).repeat(200_000)].concat(),
        ),
    ]
}

/// Much of something that costs nothing.
fn chatter() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("settings", frame(SETTINGS, 0, 0, &[]).repeat(100_000)),
        ("pings", frame(PING, 0, 0, &[0; 8]).repeat(100_000)),
        (
            "priorities",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]).repeat(100_000),
        ),
        (
            "frames of no known type",
            frame(0x77, 0, 0, &[0; 8]).repeat(100_000),
        ),
    ]
}

/// What breaks the protocol.
fn violations() -> Vec<(&'static str, Vec<u8>)> {
    let mut too_long = vec![0xff, 0xff, 0xff, HEADERS, END_HEADERS, 0, 0, 0, 1];
    too_long.resize(100_000, 0);
    let whole_window = 0x7fff_ffff_u32.to_be_bytes();
    vec![
        ("a frame of 16 MiB", too_long),
        (
            "a window beyond its end",
            frame(WINDOW_UPDATE, 0, 0, &whole_window),
        ),
        (
            "a push from a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]),
        ),
        ("a request on no stream", request(0, END_HEADERS, GET_ROOT)),
        (
            "a request on an even stream",
            request(2, END_HEADERS, GET_ROOT),
        ),
        ("data on no stream", frame(DATA, 0, 0, b"x")),
        (
            "a table index that is none",
            request(1, END_HEADERS, &[0xff; 5]),
        ),
        (
            "a continuation of nothing",
            frame(CONTINUATION, END_HEADERS, 1, GET_ROOT),
        ),
        ("settings of seven bytes", frame(SETTINGS, 0, 0, &[0; 7])),
    ]
}

#[tokio::test]
async fn rfc9113_10_5_what_abuses_the_protocol_ends_its_own_connection_alone() {
    let handled = Arc::default();
    let server = Server::start(app(&handled), Limits::default()).await;
    for (abuses, ends) in [(floods(), true), (chatter(), false), (violations(), true)] {
        for (what, sent) in abuses {
            let said = converse(&server, &sent).await;
            let went_away = said
                .iter()
                .any(|(kind, _, payload)| *kind == GOAWAY && payload[4..8] != [0; 4]);
            assert_eq!(went_away, ends, "{what}");
            assert!(said.len() < 200_000, "{what}: an answer to everything");
            let next = server.says(&super::get("/", "")).await;
            assert_eq!(body(&next), "root", "{what}: the next connection");
        }
    }
}

#[tokio::test]
async fn cve_2023_44487_requests_that_are_reset_at_once_are_hardly_begun() {
    let handled = Arc::default();
    let server = Server::start(app(&handled), Limits::default()).await;
    converse(&server, &resets()).await;
    let begun = handled.load(Ordering::SeqCst);
    assert!(begun < 1000, "{begun} of 20,000");
}

#[tokio::test]
async fn rfc9113_8_2_malformed_field_lines_reach_no_handler() {
    let handled = Arc::default();
    let server = Server::start(app(&handled), Limits::default()).await;
    let with = |line: Vec<u8>| [GET_ROOT.to_vec(), line].concat();
    for (what, block) in [
        ("upper case", with(field(0, "X-Upper", "x"))),
        ("Connection", with(field(0, "connection", "close"))),
        (
            "Transfer-Encoding",
            with(field(0, "transfer-encoding", "chunked")),
        ),
        ("a NUL", with(field(0, "x-nul", "a\0b"))),
        ("CR LF", with(field(0, "x-lines", "a\r\nx-smuggled: b"))),
        ("a name with a colon", with(field(0, "x:y", "a"))),
        ("an empty name", with(field(0, "", "a"))),
        ("two paths", with(field(0, ":path", "/"))),
        (
            "a pseudo-field after others",
            [
                GET_ROOT.to_vec(),
                field(0, "x", "y"),
                field(0, ":authority", "evil"),
            ]
            .concat(),
        ),
        ("an unknown pseudo-field", with(field(0, ":evil", "x"))),
        ("no path", b"\x82\x86\x01\x09localhost".to_vec()),
        ("no method", b"\x86\x84\x01\x09localhost".to_vec()),
        (
            "a body longer than announced",
            with(field(0, "content-length", "x")),
        ),
        (
            "Host beside another authority",
            with([field(0, "host", "a"), field(0, "host", "b")].concat()),
        ),
    ] {
        let said = converse(&server, &request(1, END_HEADERS | END_STREAM, &block)).await;
        assert!(
            said.iter().any(|(kind, stream, payload)| match *kind {
                RST_STREAM | GOAWAY => true,
                // 400 and no other: an index of the static table, or a literal.
                HEADERS =>
                    *stream == 1
                        && (payload[0] == 0x8c || payload.windows(3).any(|text| text == b"400")),
                _ => false,
            }),
            "{what}: {said:?}"
        );
        assert_eq!(handled.load(Ordering::SeqCst), 0, "{what}");
    }
}
