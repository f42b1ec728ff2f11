//! What a handshake proves of a client's certificate, and what it does not.

use std::path::Path;

use axum::extract::Request;
use axum::routing::get as route_get;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::Pair;
use super::*;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Answers with the length of what the client presented.
async fn started(pair: &Pair, folder: &Path) -> Server {
    pair.write(folder);
    let (registry, clock) = (Registry::new(), Arc::new(SystemClock));
    let edge = EdgeSettings {
        tls: &TlsSettings::default(),
        proxies: &Proxies::default(),
        https: true,
    };
    let edge = Edge::open(edge, clock.clone(), &registry).unwrap();
    let (certificate, key) = (folder.join("crt"), folder.join("key"));
    let settings = MtlsSettings {
        section: "mtls",
        certificate: &certificate,
        key: &key,
        tls: &TlsSettings::default(),
    };
    let edge = edge.asking_clients(settings, clock, &registry).unwrap();
    let told = |request: Request| async move {
        let presented = request.extensions().get::<ClientCertificate>();
        presented.map_or_else(
            || "nobody".to_owned(),
            |it| format!("{} and {}", it.leaf().len(), it.between().len()),
        )
    };
    let app = Router::new().route("/", route_get(told));
    let (limits, shutdown) = (Limits::default(), Shutdown::new());
    Server::start_behind(edge, registry, app, limits, shutdown).await
}

/// Presents a certificate, and signs with any key.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl Presents {
    fn new(chain: &[&Pair], key: &Pair) -> Self {
        let chain = chain.iter().map(|pair| der(pair)).collect();
        let key = PrivateKeyDer::from_pem_slice(key.key.as_bytes()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        // This constructor does not look whether both belong together.
        Self(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl ResolvesClientCert for Presents {
    fn resolve(&self, hints: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        assert!(
            hints.is_empty(),
            "nobody is told to send another's, or none"
        );
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn der(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

fn client(
    server: &Pair,
    version: &'static SupportedProtocolVersion,
    presents: Option<Presents>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(der(server)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match presents {
        Some(presents) => config.with_client_cert_resolver(Arc::new(presents)),
        None => config.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    config
}

/// Asks once on a connection of its own; with TLS 1.3 a refusal comes after the client's part of the handshake.
async fn asked(
    server: &Server,
    config: &Arc<ClientConfig>,
) -> io::Result<(String, TlsStream<TcpStream>)> {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::clone(config));
    let mut stream = timeout(SOON, connector.connect(name, tcp)).await.unwrap()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut said = Vec::new();
    loop {
        let mut some = [0; 1024];
        let read = timeout(SOON, stream.read(&mut some)).await.unwrap()?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        said.extend_from_slice(&some[..read]);
        let text = String::from_utf8_lossy(&said);
        if let Some((_, body)) = text.split_once("\r\n\r\n").filter(|(_, b)| !b.is_empty()) {
            return Ok((body.to_owned(), stream));
        }
    }
}

#[tokio::test]
async fn rfc8446_4_4_3_a_certificate_is_presented_by_whoever_holds_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::good();
    let server = started(&pair, folder.path()).await;
    let (own, other) = (Pair::good(), Pair::good());
    let length = der(&own).len();
    for version in VERSIONS {
        for (what, presents, expected) in [
            ("nothing", None, Some("nobody".to_owned())),
            (
                "its own",
                Some(Presents::new(&[&own], &own)),
                Some(format!("{length} and 0")),
            ),
            (
                "its own and what it likes",
                Some(Presents::new(&[&own, &other, &pair], &own)),
                Some(format!("{length} and 2")),
            ),
            (
                "more than anybody needs",
                Some(Presents::new(&[&own; 12], &own)),
                Some("nobody".to_owned()),
            ),
            (
                "another's",
                Some(Presents::new(&[&other, &own], &own)),
                None,
            ),
        ] {
            let config = Arc::new(client(&pair, version, presents));
            let said = asked(&server, &config).await.ok().map(|(said, _)| said);
            assert_eq!(said, expected, "{what} by {version:?}");
        }
    }
}

/// RFC 8446 §8: what is sent before the handshake ends can be sent again by anyone.
#[tokio::test]
async fn rfc8446_2_3_a_session_that_is_resumed_keeps_its_certificate_and_takes_no_early_data() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::good();
    let server = started(&pair, folder.path()).await;
    let own = Pair::good();
    for version in VERSIONS {
        let config = Arc::new(client(&pair, version, Some(Presents::new(&[&own], &own))));
        let expected = format!("{} and 0", der(&own).len());
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (said, mut stream) = asked(&server, &config).await.unwrap();
            assert_eq!(said, expected, "{kind:?}");
            let connection = stream.get_mut().1;
            assert_eq!(connection.handshake_kind(), Some(kind), "{version:?}");
            assert!(!connection.is_early_data_accepted());
        }
    }
}
