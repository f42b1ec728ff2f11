//! TLS, through real sockets: handshakes, those that never end, and certificates that change.

use std::path::Path;

use axum::routing::get as route_get;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use shared_testing::clock::MovableClock;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// Certificate and key in PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Pair {
    /// Good from the beginning of one year to that of another.
    fn new(from: i32, to: i32) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(super) fn good() -> Self {
        Self::new(2000, 4000)
    }

    pub(super) fn write(&self, folder: &Path) {
        std::fs::write(folder.join("crt"), &self.certificate).unwrap();
        std::fs::write(folder.join("key"), &self.key).unwrap();
    }

    fn connector(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> TlsConnector {
        let der = rustls::pki_types::CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let mut roots = RootCertStore::empty();
        roots.add(der.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config).into()
    }
}

/// Makes a good pair of files unusable.
type Spoil = Box<dyn Fn(&Path)>;

struct Secured {
    server: Server,
    edge: Edge,
    folder: TempDir,
    clock: Arc<MovableClock>,
}

fn settings(folder: &Path) -> TlsSettings {
    TlsSettings {
        certificate: Some(folder.join("crt")),
        key: Some(folder.join("key")),
        handshake: Duration::from_millis(300),
        // Tests look themselves.
        reload: Duration::from_hours(1),
        ..TlsSettings::default()
    }
}

fn open(
    tls: &TlsSettings,
    clock: Arc<MovableClock>,
    registry: &Registry,
) -> Result<Edge, EdgeError> {
    let settings = EdgeSettings {
        tls,
        proxies: &Proxies::default(),
        https: true,
    };
    Edge::open(settings, clock, registry)
}

async fn secured(pair: &Pair) -> Secured {
    let folder = tempfile::tempdir().unwrap();
    pair.write(folder.path());
    let registry = Registry::new();
    let clock = Arc::new(MovableClock::default());
    let edge = open(&settings(folder.path()), Arc::clone(&clock), &registry).unwrap();
    let app = Router::new().route("/", route_get(|| async { "root" }));
    let (limits, shutdown) = (Limits::default(), Shutdown::new());
    let server = Server::start_behind(edge.clone(), registry, app, limits, shutdown).await;
    Secured {
        server,
        edge,
        folder,
        clock,
    }
}

impl Secured {
    async fn look(&self) {
        self.edge.tls().unwrap().look().await;
    }

    async fn handshake(&self, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        timeout(SOON, connector.connect(name, tcp)).await.unwrap()
    }

    /// Whether a new connection sees the certificate of `pair`.
    async fn presents(&self, pair: &Pair) -> bool {
        let connector = pair.connector(rustls::ALL_VERSIONS, &[]);
        self.handshake(&connector).await.is_ok()
    }

    fn reloads(&self, outcome: &str) -> u64 {
        self.server
            .measured("tls_certificate_reloads_total", Some(outcome))
    }
}

async fn asked(stream: &mut TlsStream<TcpStream>) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut said = String::new();
    while !said.ends_with("root") {
        let byte = timeout(SOON, stream.read_u8()).await.unwrap().unwrap();
        said.push(char::from(byte));
    }
    said
}

#[tokio::test]
async fn rfc7301_both_versions_of_tls_agree_on_a_protocol() {
    let pair = Pair::good();
    let secured = secured(&pair).await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        for (version, expected) in [
            (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
            (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        ] {
            let connector = pair.connector(&[version], offered);
            let stream = secured.handshake(&connector).await.unwrap();
            let connection = stream.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(expected));
            assert_eq!(
                connection.alpn_protocol(),
                agreed.map(str::as_bytes),
                "{expected:?}"
            );
        }
    }
    let connector = pair.connector(rustls::ALL_VERSIONS, &["spdy/3"]);
    assert!(
        secured.handshake(&connector).await.is_err(),
        "RFC 7301 §3.2"
    );
    assert_eq!(
        secured
            .server
            .measured("tls_handshakes_total", Some("completed")),
        6
    );
    assert_eq!(
        secured
            .server
            .measured("tls_handshakes_total", Some("failed")),
        1
    );
}

#[tokio::test]
async fn a_client_of_both_http_versions_is_served_over_tls() {
    let pair = Pair::good();
    let secured = secured(&pair).await;
    let url = format!("https://localhost:{}/", secured.server.address.port());
    let root = reqwest::Certificate::from_pem(pair.certificate.as_bytes()).unwrap();
    for (what, client) in [
        ("HTTP/1.1", reqwest::Client::builder().http1_only()),
        ("HTTP/2.0", reqwest::Client::builder()),
    ] {
        let client = client
            .no_proxy()
            .tls_certs_only([root.clone()])
            .resolve("localhost", secured.server.address)
            .build()
            .unwrap();
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(format!("{:?}", response.version()), what);
        let strict = &response.headers()["strict-transport-security"];
        assert_eq!(strict, "max-age=63072000", "RFC 6797 §6.1");
        assert!(response.headers().get("server").is_none());
        assert_eq!(response.text().await.unwrap(), "root");
    }
}

#[tokio::test]
async fn what_is_no_handshake_ends_and_holds_nobody_up() {
    let pair = Pair::good();
    let secured = secured(&pair).await;
    let half_hello = [
        &[
            0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
        ][..],
        &[7; 40],
    ]
    .concat();
    let mut stuck = Vec::new();
    for (what, sent, outcome) in [
        ("nothing", &b""[..], "timed_out"),
        ("half a ClientHello", &half_hello, "timed_out"),
        (
            "plain http",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "failed",
        ),
        (
            "plain HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "failed",
        ),
        ("garbage", &[0xff; 4096], "failed"),
    ] {
        let mut client = secured.server.connect().await;
        client.send(sent).await;
        stuck.push((what, client, outcome));
    }
    assert!(secured.presents(&pair).await, "others are served meanwhile");
    for (what, client, _) in &mut stuck {
        let mut said = Vec::new();
        let read = timeout(SOON, client.0.read_to_end(&mut said))
            .await
            .unwrap();
        assert!(read.is_ok() || said.is_empty(), "{what}");
        assert!(!said.starts_with(b"HTTP"), "{what}");
    }
    for outcome in ["timed_out", "failed"] {
        let expected = stuck.iter().filter(|(_, _, o)| *o == outcome).count() as u64;
        let counted = secured
            .server
            .measured("tls_handshakes_total", Some(outcome));
        assert_eq!(counted, expected, "{outcome}");
    }
    // One that never ends does not keep the server from stopping.
    let _silent = secured.server.connect().await;
    secured.server.shutdown.trigger();
    secured.server.stopped().await;
}

#[tokio::test]
async fn a_changed_certificate_is_for_new_connections() {
    let (old, new) = (Pair::good(), Pair::new(2000, 4001));
    let secured = secured(&old).await;
    let not_after = "tls_certificate_not_after_timestamp_seconds";
    assert_eq!(secured.server.measured(not_after, None), 64_060_588_800);
    let connector = old.connector(rustls::ALL_VERSIONS, &[]);
    let mut standing = secured.handshake(&connector).await.unwrap();
    asked(&mut standing).await;
    secured.look().await;
    assert_eq!(secured.reloads("loaded"), 0, "nothing changed");
    new.write(secured.folder.path());
    secured.look().await;
    assert_eq!(secured.reloads("loaded"), 1);
    let connector = new.connector(rustls::ALL_VERSIONS, &[]);
    secured.handshake(&connector).await.unwrap();
    assert!(!secured.presents(&old).await);
    asked(&mut standing).await;
    assert_ne!(secured.server.measured(not_after, None), 64_060_588_800);
}

#[tokio::test]
async fn files_are_followed_without_being_asked() {
    let (old, new) = (Pair::good(), Pair::good());
    let folder = tempfile::tempdir().unwrap();
    old.write(folder.path());
    let registry = Registry::new();
    let tls = TlsSettings {
        reload: Duration::from_millis(10),
        ..settings(folder.path())
    };
    let clock = Arc::new(MovableClock::default());
    let edge = open(&tls, Arc::clone(&clock), &registry).unwrap();
    let (limits, shutdown) = (Limits::default(), Shutdown::new());
    let server =
        Server::start_behind(edge.clone(), registry, Router::new(), limits, shutdown).await;
    let secured = Secured {
        server,
        edge,
        folder,
        clock,
    };
    new.write(secured.folder.path());
    let seen = async { while !secured.presents(&new).await {} };
    timeout(SOON, seen).await.unwrap();
}

#[tokio::test]
async fn a_bad_pair_stops_the_start_and_is_told_once_later() {
    let good = Pair::good();
    let write = |name: &'static str, text: String| {
        move |folder: &Path| std::fs::write(folder.join(name), &text).unwrap()
    };
    let remove =
        |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    let cases: Vec<(&str, Spoil, &str)> = vec![
        ("no certificate", Box::new(remove("crt")), "tls.certificate"),
        ("no key", Box::new(remove("key")), "tls.key"),
        (
            "an empty certificate",
            Box::new(write("crt", String::new())),
            "holds no certificate",
        ),
        (
            "garbage",
            Box::new(write(
                "crt",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            )),
            "holds no certificate",
        ),
        (
            "a key as certificate",
            Box::new(write("crt", good.key.clone())),
            "holds no certificate",
        ),
        (
            "a certificate as key",
            Box::new(write("key", good.certificate.clone())),
            "holds no private key",
        ),
        (
            "another's key",
            Box::new(write("key", Pair::good().key)),
            "do not belong together",
        ),
        (
            "too large",
            Box::new(write("crt", "x".repeat(2_000_000))),
            "larger than 1 MiB",
        ),
        (
            "expired",
            Box::new(|folder| Pair::new(2000, 2020).write(folder)),
            "renew it",
        ),
        (
            "not valid yet",
            Box::new(|folder| Pair::new(3000, 4000).write(folder)),
            "not valid yet",
        ),
    ];
    for (what, spoil, told) in cases {
        let folder = tempfile::tempdir().unwrap();
        good.write(folder.path());
        spoil(folder.path());
        let refused = open(&settings(folder.path()), Arc::default(), &Registry::new()).unwrap_err();
        assert!(refused.to_string().contains(told), "{what}: {refused}");
        assert!(refused.to_string().contains("tls."), "{what}: {refused}");
        assert!(!refused.to_string().contains("BEGIN"), "{what}");

        let secured = secured(&good).await;
        spoil(secured.folder.path());
        for _ in 0..3 {
            secured.look().await;
        }
        assert!(secured.presents(&good).await, "{what}: the old one stays");
        assert_eq!(secured.reloads("refused"), 1, "{what}: told once");
        good.write(secured.folder.path());
        secured.look().await;
        spoil(secured.folder.path());
        secured.look().await;
        assert_eq!(
            secured.reloads("refused"),
            2,
            "{what}: and again after it was mended"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_becomes_valid_is_taken_without_a_change() {
    let (old, next) = (Pair::good(), Pair::new(2100, 4000));
    let secured = secured(&old).await;
    next.write(secured.folder.path());
    secured.look().await;
    assert!(secured.presents(&old).await);
    secured.clock.advance(Duration::from_hours(100 * 366 * 24));
    secured.look().await;
    assert_eq!(secured.reloads("loaded"), 1);
}
