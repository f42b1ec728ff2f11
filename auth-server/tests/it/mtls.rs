//! Clients that authenticate by certificates (RFC 8705), shown to us or to a proxy (RFC 9440).

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata};
use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, SanType};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::certificates::{Authority, Pair, Pki, params, used, years};
use crate::server::{Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8705_2_1_certificates_of_our_authorities_and_no_others,
    rfc8705_2_1_2_each_name_that_may_be_registered,
    rfc8705_2_2_the_key_of_a_self_signed_certificate,
    rfc8705_5_what_is_configured_is_announced_and_nothing_else,
    rfc8705_by_curl,
    rfc9440_headers_of_a_trusted_proxy_and_of_nobody_else,
    other_authorities_are_trusted_without_a_restart,
);

const ENDPOINTS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

fn by_subject(subject: &str) -> ClientMetadata {
    ClientMetadata {
        tls_client_auth_subject_dn: Some(subject.into()),
        ..TestServer::metadata(AuthMethod::TlsClientAuth, "read")
    }
}

fn by_key(pair: &Pair) -> ClientMetadata {
    ClientMetadata {
        jwks: Some(pair.jwks()),
        ..TestServer::metadata(AuthMethod::SelfSignedTlsClientAuth, "read")
    }
}

async fn started(stores: &Stores, pki: &Pki) -> TestServer {
    TestServer::start_with(pki.config(stores), Arc::default())
        .await
        .with_resources(None)
        .await
}

/// Asks as `client` where certificates are asked for.
async fn ask(
    server: &TestServer,
    http: &reqwest::Client,
    endpoint: &str,
    client: &TestClient,
) -> Answer {
    let url = format!("{}{endpoint}", server.mtls.as_deref().unwrap());
    let form = [
        ("grant_type", "client_credentials"),
        ("token", "none"),
        ("client_id", client.id.as_str()),
    ];
    server.send(http.post(url).form(&form)).await
}

async fn rfc8705_2_1_certificates_of_our_authorities_and_no_others(stores: &Stores) {
    let pki = Pki::new();
    let server = started(stores, &pki).await;
    let client = server.register(by_subject("CN=worker")).await;
    let foreign = Authority::new("Clients");
    let below = pki
        .authority
        .below("Below", BasicConstraints::Constrained(0));
    let too_deep = below.below("Too deep", BasicConstraints::Unconstrained);
    let year = |from, to| years("worker", from, to);
    let for_servers = used("worker", &[ExtendedKeyUsagePurpose::ServerAuth]);
    let for_anything = used("worker", &[]);
    let rows = [
        ("good", pki.authority.client("worker"), true),
        ("for any use", pki.authority.issue(&for_anything), true),
        (
            "by way of another authority",
            below
                .client("worker")
                .with_between(vec![below.certificate.clone()]),
            true,
        ),
        (
            "with what nobody asked for",
            pki.authority
                .client("worker")
                .with_between(vec![foreign.certificate.clone()]),
            true,
        ),
        ("another subject", pki.authority.client("other"), false),
        ("expired", pki.authority.issue(&year(2000, 2001)), false),
        (
            "not valid yet",
            pki.authority.issue(&year(3000, 3001)),
            false,
        ),
        ("for servers", pki.authority.issue(&for_servers), false),
        ("a foreign authority's", foreign.client("worker"), false),
        (
            "a foreign authority's, with ours beside it",
            foreign
                .client("worker")
                .with_between(vec![pki.authority.certificate.clone()]),
            false,
        ),
        ("nobody's", Pair::self_signed(&params("worker")), false),
        (
            "without the authority between",
            below.client("worker"),
            false,
        ),
        (
            "below an authority that may have none below it",
            too_deep.client("worker").with_between(vec![
                too_deep.certificate.clone(),
                below.certificate.clone(),
            ]),
            false,
        ),
    ];
    for (what, pair, good) in rows {
        let http = pair.http(&pki);
        for endpoint in ENDPOINTS {
            let answer = ask(&server, &http, endpoint, &client).await;
            let expected = if good {
                (200, "no error")
            } else {
                (401, "invalid_client")
            };
            assert_eq!(answer.error(), expected, "{what} at {endpoint}");
        }
    }
    let nobody = pki.http().build().unwrap();
    let without = ask(&server, &nobody, "/oauth/token", &client).await;
    assert_eq!(without.error(), (401, "invalid_client"), "no certificate");
    let good = pki.authority.client("worker").http(&pki);
    let unnamed = format!("{}/oauth/token", server.mtls.as_deref().unwrap());
    let unnamed = good
        .post(unnamed)
        .form(&[("grant_type", "client_credentials")]);
    let unnamed = server.send(unnamed).await;
    assert_eq!(unnamed.error(), (401, "invalid_client"), "no client_id");
    // The certificate is judged with each request, not with the connection.
    assert_eq!(
        ask(&server, &good, "/oauth/token", &client).await.status,
        200
    );
    let soon = years("worker", 2000, 2100);
    let soon = pki.authority.issue(&soon).http(&pki);
    assert_eq!(
        ask(&server, &soon, "/oauth/token", &client).await.status,
        200
    );
    server.clock.advance(Duration::from_hours(24 * 365 * 100));
    assert_eq!(
        ask(&server, &soon, "/oauth/token", &client).await.error(),
        (401, "invalid_client"),
        "it expired while the connection stood"
    );
}

async fn rfc8705_2_1_2_each_name_that_may_be_registered(stores: &Stores) {
    let pki = Pki::new();
    let server = started(stores, &pki).await;
    let text = |text: &str| text.try_into().unwrap();
    let mut full = params("worker");
    full.distinguished_name
        .push(DnType::OrganizationName, "Example, Inc.");
    full.distinguished_name.push(DnType::CountryName, "CH");
    full.subject_alt_names = vec![
        SanType::DnsName(text("other.example")),
        SanType::DnsName(text("Worker.Example")),
        SanType::URI(text("spiffe://example/worker")),
        SanType::IpAddress([192, 0, 2, 1].into()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
        SanType::Rfc822Name(text("Worker@Example.com")),
    ];
    let http = pki.authority.issue(&full).http(&pki);
    let name = |field: &str, value: &str| {
        let mut metadata = TestServer::metadata(AuthMethod::TlsClientAuth, "read");
        let value = Some(value.to_owned());
        match field {
            "dn" => metadata.tls_client_auth_subject_dn = value,
            "dns" => metadata.tls_client_auth_san_dns = value,
            "uri" => metadata.tls_client_auth_san_uri = value,
            "ip" => metadata.tls_client_auth_san_ip = value,
            "email" => metadata.tls_client_auth_san_email = value,
            _ => unreachable!(),
        }
        metadata
    };
    for (field, value, good) in [
        ("dn", r"C=CH,O=Example\, Inc.,CN=worker", true),
        (r"dn", r"c=ch, 2.5.4.10=example\2c inc., cn=WORKER", true),
        ("dn", r"CN=worker,O=Example\, Inc.,C=CH", false),
        ("dn", "CN=worker", false),
        ("dns", "worker.example", true),
        ("dns", "WORKER.example", true),
        ("dns", "other.example", true),
        ("dns", "example", false),
        ("dns", "x.worker.example", false),
        ("dns", "worker", false),
        ("uri", "spiffe://example/worker", true),
        ("uri", "spiffe://example/Worker", false),
        ("uri", "spiffe://example/worker/", false),
        ("ip", "192.0.2.1", true),
        ("ip", "2001:DB8:0::1", true),
        ("ip", "::ffff:192.0.2.1", false),
        ("ip", "192.0.2.2", false),
        ("email", "Worker@example.COM", true),
        ("email", "worker@example.com", false),
    ] {
        let client = server.register(name(field, value)).await;
        let answer = ask(&server, &http, "/oauth/token", &client).await;
        assert_eq!(answer.status == 200, good, "{field} {value}");
    }
    let refused = async |metadata: ClientMetadata| {
        let registered = server.records.register_client(metadata, &server.world);
        registered.await.err().map(|error| error.to_string())
    };
    for (field, value) in [
        ("dn", ""),
        ("dn", "worker"),
        ("dns", "*.example"),
        ("dns", "worker.example."),
        ("dns", ""),
        ("uri", "worker"),
        ("uri", "https://a b"),
        ("ip", "192.0.2.1/32"),
        ("ip", "1"),
        ("email", "worker"),
        ("email", "@example.com"),
        ("email", "a@b@example.com"),
    ] {
        let error = refused(name(field, value)).await.unwrap_or_default();
        assert!(
            error.starts_with("tls_client_auth_s"),
            "{field} {value}: {error}"
        );
    }
    let mut two = name("dns", "worker.example");
    two.tls_client_auth_san_ip = Some("192.0.2.1".into());
    let none = TestServer::metadata(AuthMethod::TlsClientAuth, "read");
    for metadata in [two, none] {
        let error = refused(metadata).await.unwrap_or_default();
        assert!(error.contains("exactly one of"), "{error}");
    }
    let mut unused = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    unused.tls_client_auth_san_ip = Some("192.0.2.1".into());
    let error = refused(unused).await.unwrap_or_default();
    assert_eq!(error, "tls_client_auth_san_ip is for tls_client_auth");
    let keyless = TestServer::metadata(AuthMethod::SelfSignedTlsClientAuth, "read");
    let error = refused(keyless).await.unwrap_or_default();
    assert!(error.contains("needs `jwks_uri`, or `jwks`"), "{error}");
}

async fn rfc8705_2_2_the_key_of_a_self_signed_certificate(stores: &Stores) {
    let pki = Pki::new();
    let server = started(stores, &pki).await;
    let own = Pair::self_signed(&params("anything"));
    let client = server.register(by_key(&own)).await;
    let year = |from, to| years("anything", from, to);
    for (what, pair, good) in [
        (
            "another certificate of its key",
            own.again(&params("renewed")),
            true,
        ),
        ("expired", own.again(&year(2000, 2001)), false),
        ("not valid yet", own.again(&year(3000, 3001)), false),
        (
            "its name, another key",
            Pair::self_signed(&params("anything")),
            false,
        ),
        ("an authority's", pki.authority.client("anything"), false),
        ("good", own, true),
    ] {
        let http = pair.http(&pki);
        for endpoint in ENDPOINTS {
            let answer = ask(&server, &http, endpoint, &client).await;
            assert_eq!(answer.status == 200, good, "{what} at {endpoint}");
        }
    }
    // RSA and Ed25519 keys as well.
    for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let raw = key.public_key_raw().to_vec();
        let encoded = |bytes: &[u8]| {
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
        };
        let jwk = if raw.len() == 32 {
            serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(&raw)})
        } else {
            // SEQUENCE { INTEGER of 257 bytes, the first of them zero, INTEGER 65537 }.
            serde_json::json!({"kty": "RSA", "n": encoded(&raw[9..265]), "e": "AQAB"})
        };
        let pair = Pair {
            certificate: params("x").self_signed(&key).unwrap(),
            key,
            between: Vec::new(),
        };
        let metadata = ClientMetadata {
            jwks: Some(serde_json::json!({"keys": [jwk]})),
            ..TestServer::metadata(AuthMethod::SelfSignedTlsClientAuth, "read")
        };
        let client = server.register(metadata).await;
        let answer = ask(&server, &pair.http(&pki), "/oauth/token", &client).await;
        assert_eq!(answer.status, 200, "{algorithm:?}");
    }
}

async fn rfc8705_5_what_is_configured_is_announced_and_nothing_else(stores: &Stores) {
    let pki = Pki::new();
    let listening = started(stores, &pki).await;
    let plain = TestServer::start_with(config(stores), listening.clock.clone()).await;
    let mut proxied = pki.behind_proxy(stores, "127.0.0.1");
    proxied.mtls.client_ca = None;
    let proxied = TestServer::start_with(proxied, listening.clock.clone()).await;
    for (server, methods) in [
        (&plain, &[][..]),
        (&proxied, &["self_signed_tls_client_auth"]),
        (
            &listening,
            &["tls_client_auth", "self_signed_tls_client_auth"],
        ),
    ] {
        let metadata = server.get("/.well-known/openid-configuration").await.body;
        for endpoint in ["token", "introspection", "revocation"] {
            let announced = &metadata[format!("{endpoint}_endpoint_auth_methods_supported")];
            let announced = announced.as_array().unwrap().iter();
            let announced: Vec<_> = announced
                .filter_map(|method| method.as_str())
                .filter(|method| method.contains("tls"))
                .collect();
            assert_eq!(announced, methods, "{endpoint}");
        }
        let aliases = &metadata["mtls_endpoint_aliases"];
        let expected = server.mtls.as_ref().map(|mtls| {
            serde_json::json!({
                "token_endpoint": format!("{mtls}/oauth/token"),
                "introspection_endpoint": format!("{mtls}/oauth/introspect"),
                "revocation_endpoint": format!("{mtls}/oauth/revoke"),
                "pushed_authorization_request_endpoint": format!("{mtls}/oauth/par"),
                "device_authorization_endpoint": format!("{mtls}/oauth/device_authorization"),
                "userinfo_endpoint": format!("{mtls}/oauth/userinfo"),
            })
        });
        assert_eq!(*aliases, expected.unwrap_or_default());
    }
    // What is announced is there, and asks who it is.
    let pushed = format!("{}/oauth/par", listening.mtls.as_deref().unwrap());
    let form = [("client_id", "nobody")];
    let answer = pki.http().build().unwrap().post(pushed).form(&form);
    assert_eq!(
        listening.send(answer).await.error(),
        (401, "invalid_client")
    );
    // No pages there, where each browser would ask its person for a certificate.
    let http = pki.http().build().unwrap();
    for path in ["/oauth/authorize", "/login", "/oauth/jwks", "/health", "/"] {
        let url = format!("{}{path}", listening.mtls.as_deref().unwrap());
        assert_eq!(http.get(url).send().await.unwrap().status(), 404, "{path}");
    }
    // A certificate is no proof where nobody asked for one.
    let client = listening.register(by_subject("CN=worker")).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client.id.as_str()),
    ];
    let request = listening.form("/oauth/token", &form);
    assert_eq!(
        listening.send(request).await.error(),
        (401, "invalid_client")
    );
}

/// The program that operators try it with.
async fn rfc8705_by_curl(stores: &Stores) {
    let pki = Pki::new();
    let server = started(stores, &pki).await;
    let own = Pair::self_signed(&params("own"));
    let (by_name, by_key) = (
        server.register(by_subject("CN=worker")).await,
        server.register(by_key(&own)).await,
    );
    let expired = years("worker", 2000, 2001);
    let folder = pki.folder.path().to_owned();
    for (name, pair) in [
        ("worker", &pki.authority.client("worker")),
        ("other", &pki.authority.client("other")),
        ("expired", &pki.authority.issue(&expired)),
        ("foreign", &Authority::new("Clients").client("worker")),
        ("own", &own),
    ] {
        pair.write(&folder, name);
    }
    // Someone else's certificate, with a key of one's own.
    std::fs::copy(folder.join("worker.crt"), folder.join("stolen.crt")).unwrap();
    std::fs::copy(folder.join("own.key"), folder.join("stolen.key")).unwrap();
    let url = format!("{}/oauth/token", server.mtls.as_deref().unwrap());
    for (client, certificate, status) in [
        (&by_name, "worker", "200"),
        (&by_key, "own", "200"),
        (&by_name, "other", "401"),
        (&by_name, "expired", "401"),
        (&by_name, "foreign", "401"),
        (&by_name, "own", "401"),
        (&by_key, "worker", "401"),
        (&by_name, "stolen", "000"),
    ] {
        for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http1.1"]] {
            let file = |suffix: &str| folder.join(format!("{certificate}.{suffix}"));
            let mut curl = Command::new("curl");
            curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
                .args(version)
                .arg("--cacert")
                .arg(folder.join("roots.crt"))
                .arg("--cert")
                .arg(file("crt"))
                .arg("--key")
                .arg(file("key"))
                .args(["-d", "grant_type=client_credentials"])
                .args(["-d", &format!("client_id={}", client.id)])
                .arg(&url);
            let output = tokio::task::spawn_blocking(move || curl.output());
            let output = output.await.unwrap().expect("curl is installed");
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, status, "{certificate} {version:?}");
        }
    }
}

async fn rfc9440_headers_of_a_trusted_proxy_and_of_nobody_else(stores: &Stores) {
    let pki = Pki::new();
    // We are the proxy of the one, and a stranger to the other.
    let trusting = TestServer::start_with(pki.behind_proxy(stores, "127.0.0.1"), Arc::default())
        .await
        .with_resources(None)
        .await;
    let mut strict = pki.behind_proxy(stores, "192.0.2.0/24");
    strict.issuer = trusting.issuer.parse().unwrap();
    let strict = TestServer::start_with(strict, trusting.clock.clone()).await;
    let client = trusting.register(by_subject("CN=worker")).await;
    let below = pki
        .authority
        .below("Below", BasicConstraints::Unconstrained);
    let form = [
        ("grant_type", "client_credentials"),
        ("token", "none"),
        ("client_id", client.id.as_str()),
    ];
    let with = |request: reqwest::RequestBuilder, pair: &Pair| {
        let headers = pair.headers().into_iter();
        headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    };
    for (what, pair, good) in [
        ("good", pki.authority.client("worker"), true),
        (
            "by way of another authority",
            below
                .client("worker")
                .with_between(vec![below.certificate.clone()]),
            true,
        ),
        ("another subject", pki.authority.client("other"), false),
        (
            "a foreign authority's, whatever the proxy did",
            Authority::new("Clients").client("worker"),
            false,
        ),
    ] {
        for endpoint in ENDPOINTS {
            let answer = trusting
                .send(with(trusting.form(endpoint, &form), &pair))
                .await;
            assert_eq!(answer.status == 200, good, "{what} at {endpoint}");
            assert!(good || answer.error() == (401, "invalid_client"), "{what}");
            let forged = strict.send(with(strict.form(endpoint, &form), &pair)).await;
            assert_eq!(
                forged.status, 400,
                "{what}: forged by a stranger at {endpoint}"
            );
        }
    }
    for (name, value) in [
        ("client-cert", ":bm90IGEgY2VydGlmaWNhdGU=:"),
        ("client-cert", ""),
        ("client-cert", "x"),
        ("client-cert-chain", ":YQ==:"),
    ] {
        let request = trusting.form("/oauth/token", &form).header(name, value);
        let status = trusting.send(request).await.status.as_u16();
        assert!(matches!(status, 400 | 401), "{name}: {value}");
        let metadata = format!("{}/.well-known/openid-configuration", strict.issuer);
        let metadata = strict.http.get(metadata).header(name, value);
        assert_eq!(strict.send(metadata).await.status, 400, "{name}: {value}");
    }
}

async fn other_authorities_are_trusted_without_a_restart(stores: &Stores) {
    let pki = Pki::new();
    let mut config = pki.config(stores);
    config.tls.reload = Duration::from_millis(20);
    let server = TestServer::start_with(config, Arc::default())
        .await
        .with_resources(None)
        .await;
    let client = server.register(by_subject("CN=worker")).await;
    let next = Authority::new("Next");
    let (old, new) = (
        pki.authority.client("worker").http(&pki),
        next.client("worker").http(&pki),
    );
    let good = async |http: &reqwest::Client| {
        ask(&server, http, "/oauth/token", &client).await.status == 200
    };
    assert!(good(&old).await && !good(&new).await);
    std::fs::write(pki.folder.path().join("ca.crt"), next.certificate.pem()).unwrap();
    let until = server.clock.now() + Duration::from_secs(20);
    while !good(&new).await {
        assert!(server.clock.now() < until, "the file was not read again");
    }
    assert!(!good(&old).await, "who is trusted no more");
}
