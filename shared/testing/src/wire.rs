//! Bytes as no honest client sends them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far longer than anything takes, so that a hang fails.
const SOON: Duration = Duration::from_mins(1);

/// All that a server says to `bytes` until it closes the connection; what is no UTF-8 is replaced.
///
/// # Panics
/// If it cannot be reached, or does not come to an end.
pub async fn says(address: SocketAddr, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    let (mut reading, mut writing) = stream.into_split();
    let mut said = Vec::new();
    // Both at once: a server may answer and close before it has read everything.
    let conversation = async {
        tokio::join!(
            async {
                let _ = writing.write_all(bytes).await;
                writing
            },
            reading.read_to_end(&mut said)
        )
    };
    let (_, read) = timeout(SOON, conversation)
        .await
        .expect("the server closes the connection");
    if let Err(error) = read {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// The status of an answer, the last if some were informational; `closed` if none came.
#[must_use]
pub fn status(answer: &str) -> &str {
    let mut rest = answer;
    loop {
        let status = rest
            .strip_prefix("HTTP/1.1 ")
            .or(rest.strip_prefix("HTTP/1.0 "))
            .and_then(|line| line.get(..3))
            .unwrap_or("closed");
        match rest.split_once("\r\n\r\n") {
            Some((_, next)) if status.starts_with('1') => rest = next,
            _ => return status,
        }
    }
}

/// A request with a body of this media type, after which the connection closes.
#[must_use]
pub fn post(path: &str, media_type: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {media_type}\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// A request of one line and headers, after which the connection closes.
#[must_use]
pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
        .into_bytes()
}

/// Requests that are broken before anything looks at what they ask, each with the answers that are right.
#[must_use]
pub fn broken_requests(path: &str) -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    const REFUSED: &[&str] = &["400", "closed"];
    const TOO_MUCH: &[&str] = &["413", "closed"];
    const TOO_MANY: &[&str] = &["431", "414", "closed"];
    let head = |rest: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{rest}")
            .into_bytes()
    };
    let large = 10 * 1024 * 1024;
    let packed = "Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    vec![
        (
            "10 MB, announced",
            head(&format!("Content-Length: {large}\r\n\r\n{}", "x".repeat(large))),
            TOO_MUCH,
        ),
        (
            "10 MB in chunks",
            head(&format!(
                "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n{large:x}\r\n{}\r\n0\r\n\r\n",
                "x".repeat(large)
            )),
            &["400", "401", "404", "405", "413", "415", "closed"],
        ),
        ("a packed body", head(packed), &["415"]),
        (
            "a body packed twice",
            head("Content-Encoding: identity, br\r\nContent-Length: 0\r\n\r\n"),
            &["415"],
        ),
        (
            "a thousand headers",
            get(path, &"X: y\r\n".repeat(1000)),
            TOO_MANY,
        ),
        (
            "a header of 1 MB",
            get(path, &format!("X: {}\r\n", "x".repeat(1_000_000))),
            TOO_MANY,
        ),
        (
            "a target of 1 MB",
            get(&format!("{path}?{}", "x".repeat(1_000_000)), ""),
            TOO_MANY,
        ),
        ("a NUL in a header", get(path, "X: a\0b\r\n"), REFUSED),
        ("a bare CR in a header", get(path, "X: a\rb\r\n"), REFUSED),
        ("a folded header", get(path, "X: a\r\n b\r\n"), REFUSED),
        ("a space in a name", get(path, "X Y: a\r\n"), REFUSED),
        ("two hosts", get(path, "Host: other\r\n"), REFUSED),
        (
            "two lengths",
            head("Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
            REFUSED,
        ),
        (
            "a length and chunks",
            head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &["400", "401", "405", "415", "closed"],
        ),
        ("no length that is one", head("Content-Length: x\r\n\r\n"), REFUSED),
        ("an unknown coding", head("Transfer-Encoding: gzip\r\n\r\n"), &["400", "501", "closed"]),
        ("HTTP/0.9", format!("GET {path}\r\n\r\n").into_bytes(), REFUSED),
        ("HTTP/3.0", format!("GET {path} HTTP/3.0\r\nHost: l\r\n\r\n").into_bytes(), &["400", "505", "closed"]),
        ("no request", vec![0xff; 100_000], REFUSED),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n".to_vec(), REFUSED),
        (
            "an unknown method",
            format!("BREW {path} HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n").into_bytes(),
            &["405", "501"],
        ),
        (
            "a method of 10,000 letters",
            format!("{} {path} HTTP/1.1\r\nHost: l\r\n\r\n", "X".repeat(10_000)).into_bytes(),
            &["400", "405", "431", "501", "closed"],
        ),
        (
            "TRACE",
            format!("TRACE {path} HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n").into_bytes(),
            &["405", "501"],
        ),
        (
            "CONNECT",
            b"CONNECT inner.example:22 HTTP/1.1\r\nHost: inner.example:22\r\nConnection: close\r\n\r\n".to_vec(),
            &["400", "404", "405", "501", "closed"],
        ),
    ]
}
