//! Whom the fetcher trusts.

use std::io::{Read, Write};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::*;

/// What a handshake agreed on.
type Agreed = (Option<ProtocolVersion>, Option<Vec<u8>>);

/// A certificate authority of an intranet.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// A server's TLS configuration with a certificate for `name` that is good until `last_year` begins.
    fn server(
        &self,
        name: &str,
        last_year: i32,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// Serves one connection; tells the protocol version and ALPN agreed on, if the handshake came that far.
fn serve_one(config: ServerConfig) -> (u16, JoinHandle<Agreed>) {
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut tcp);
        // Errors are the client's refusals; the test looks at those.
        let _ = tls.read(&mut [0; 4096]);
        let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        tls.conn.send_close_notify();
        let _ = tls.flush();
        (
            connection.protocol_version(),
            connection.alpn_protocol().map(<[u8]>::to_vec),
        )
    });
    (port, serving)
}

fn fetcher(port: u16, extra_roots: Vec<CertificateDer<'static>>) -> (Fetcher, Url) {
    let url = parse(&format!("https://intranet.example:{port}/"));
    let resolver = ScriptedResolver::new(&[&["127.0.0.1"]]);
    let settings = FetcherSettings {
        extra_roots,
        resolver,
        ..settings(&[url.as_str()])
    };
    (Fetcher::new(settings).unwrap(), url)
}

#[tokio::test]
async fn an_allowed_server_with_a_certificate_of_an_extra_root_is_trusted() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let authority = Authority::new();
        let (port, serving) = serve_one(authority.server("intranet.example", 2999, &[version]));
        let (fetcher, url) = fetcher(port, vec![authority.certificate]);
        let response = fetcher.get(&url, "*/*").await.unwrap();
        assert_eq!(response.body, "hi");
        assert_eq!(serving.join().unwrap().0, Some(version.version));
    }
}

#[tokio::test]
async fn certificates_are_checked() {
    let authority = Authority::new();
    let trusted = || vec![authority.certificate.clone()];
    for (what, name, last_year, roots) in [
        ("unknown authority", "intranet.example", 2999, vec![]),
        (
            "another authority of the same name",
            "intranet.example",
            2999,
            vec![Authority::new().certificate],
        ),
        ("another name", "other.example", 2999, trusted()),
        ("expired", "intranet.example", 2001, trusted()),
    ] {
        let (port, serving) = serve_one(authority.server(name, last_year, rustls::ALL_VERSIONS));
        let (fetcher, url) = fetcher(port, roots);
        let refusal = fetcher.get(&url, "*/*").await;
        assert!(
            matches!(refusal, Err(FetchError::Tls(_))),
            "{what}: {refusal:?}"
        );
        serving.join().unwrap();
    }
}

#[tokio::test]
async fn http2_is_offered() {
    let authority = Authority::new();
    let mut config = authority.server("intranet.example", 2999, rustls::ALL_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (port, serving) = serve_one(config);
    let (fetcher, url) = fetcher(port, vec![authority.certificate]);
    // The server agrees on HTTP/2 and then speaks HTTP/1.
    let refusal = fetcher.get(&url, "*/*").await;
    assert!(
        matches!(refusal, Err(FetchError::Protocol(_))),
        "{refusal:?}"
    );
    assert_eq!(serving.join().unwrap().1.as_deref(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_a_tls_failure() {
    let server = Server::answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let (fetcher, url) = fetcher(server.port, Vec::new());
    let refusal = fetcher.get(&url, "*/*").await;
    assert!(matches!(refusal, Err(FetchError::Tls(_))), "{refusal:?}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_meets_the_time_out() {
    let server = Server::start(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let url = parse(&format!("https://127.0.0.1:{}/", server.port));
    let fetcher = Fetcher::new(FetcherSettings {
        timeout: Duration::from_millis(150),
        ..settings(&[url.as_str()])
    })
    .unwrap();
    assert_eq!(fetcher.get(&url, "*/*").await, Err(FetchError::Timeout));
}

#[tokio::test]
async fn an_extra_root_opens_no_private_address() {
    let server = Server::answering("").await;
    let resolver = ScriptedResolver::new(&[&["127.0.0.1"]]);
    let extra_roots = vec![Authority::new().certificate];
    let fetcher = Fetcher::new(FetcherSettings {
        extra_roots,
        resolver,
        ..settings(&[])
    })
    .unwrap();
    let url = parse(&format!("https://intranet.example:{}/", server.port));
    assert_eq!(
        fetcher.get(&url, "*/*").await,
        Err(FetchError::ForbiddenAddress(LOOPBACK))
    );
    server.assert_untouched().await;
}
