//! The settings, and the example that documents them.

use std::path::Path;
use std::time::Duration;

use resource_api::Config;
use resource_api::config::{Introspection, Mode, Policy};
use secrecy::ExposeSecret;
use serde_json::Value;
use shared_server::config::{Secret, Sources, load};

const EXAMPLE: &str = include_str!("../../../deploy/config/resource-api.example.toml");

fn example_file() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/config/resource-api.example.toml"
    ))
}

fn loaded(file: &Path) -> Config {
    let sources = Sources {
        file: Some(file),
        env_prefix: "API_",
        env: Vec::new(),
        overrides: Value::Null,
    };
    load(&Config::default(), &sources).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_shows_the_defaults() {
    let example = loaded(example_file());
    let written = |config: &Config| serde_json::to_value(config).unwrap();
    assert_eq!(written(&example), written(&Config::default()));
    let url = |config: &Config| {
        [&config.database.url, &config.ephemeral.url].map(|url| url.expose_secret().to_owned())
    };
    assert_eq!(url(&example), url(&Config::default()));
    assert_eq!(example.check(), []);
}

#[test]
fn the_example_documents_every_key() {
    // `#key` is a setting that has no default; `# Text` says something.
    let uncommented: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            Some(_) | None => line,
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.toml");
    std::fs::write(&file, uncommented.join("\n")).unwrap();
    let config = loaded(&file);
    assert!(config.issuers[0].introspection.is_some());

    let documented: toml::Value = toml::from_str(&uncommented.join("\n")).unwrap();
    let documented = keys(&serde_json::to_value(documented).unwrap(), "");
    assert_eq!(documented, keys(&serde_json::to_value(config).unwrap(), ""));

    // Each of them stands below a line that says what it is.
    for pair in EXAMPLE.lines().collect::<Vec<_>>().windows(2) {
        let setting = pair[1].contains(" = ") && !pair[1].starts_with("# ");
        let introduced = pair[0].starts_with('#');
        assert!(!setting || introduced, "{}", pair[1]);
    }
}

/// The path of every leaf, in order.
fn keys(value: &Value, path: &str) -> Vec<String> {
    let mut found: Vec<String> = match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| keys(value, &format!("{path}.{name}")))
            .collect(),
        Value::Array(values) if values.iter().any(Value::is_object) => {
            values.iter().flat_map(|value| keys(value, path)).collect()
        }
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            vec![path.to_owned()]
        }
    };
    found.sort();
    found
}

fn asking(client_secret: Option<&str>, client_key: Option<&str>) -> Introspection {
    let secret = |text: &str| text.to_owned().into();
    Introspection {
        client_id: "api".parse().unwrap(),
        client_secret: client_secret.map(secret),
        client_key: client_key.map(secret),
    }
}

const NONCE_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Several nodes, which lack a key alone, but for this.
fn several(config: &mut Config, but: impl FnOnce(&mut Config)) {
    config.server.nodes = 2;
    config.ephemeral.url = "redis://localhost".to_owned().into();
    config.database.url = "postgres://localhost/api".to_owned().into();
    but(config);
}

#[test]
fn several_nodes_that_share_all_they_need_are_fine() {
    let mut config = Config::default();
    several(&mut config, |c| {
        c.dpop.nonce_key = Some(NONCE_KEY.to_owned().into());
    });
    assert_eq!(config.check(), []);
}

/// A start reads what the API proves itself with at an issuer.
#[test]
fn secrets_of_issuers_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let written = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let (key, secret) = (written("key.pem", &pem), written("secret", "of the API\n"));
    let issuer = |name: &str, field: &str, file: &Path| {
        format!(
            "[[issuers]]\nissuer = 'https://{name}.example'\npolicy = 'introspect'\n\
             [issuers.introspection]\nclient_id = 'api'\n{field} = {file:?}\n"
        )
    };
    let one = issuer("one", "client_key_file", &key);
    let two = issuer("two", "client_secret_file", &secret);
    let config = loaded(&written("api.toml", &format!("{one}{two}")));
    assert_eq!(config.check(), []);
    let [one, two] = [0, 1].map(|at| config.issuers[at].introspection.as_ref().unwrap());
    let told = |secret: &Option<Secret>| secret.as_ref().map(|it| it.expose_secret().to_owned());
    assert_eq!(told(&one.client_key).as_deref(), Some(pem.trim()));
    assert_eq!(told(&two.client_secret).as_deref(), Some("of the API"));
}

/// One edit of the defaults that makes them unusable.
type Edit = fn(&mut Config);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn contradictions_name_their_key() {
    let cases: [(&str, Edit); 38] = [
        ("server.listen", |c| c.server.listen.clear()),
        ("resource.identifier", |c| {
            c.resource.identifier = "urn:example:api".parse().unwrap();
        }),
        ("issuers", |c| c.issuers.clear()),
        ("issuers.1.issuer", |c| {
            let twice = c.issuers[0].clone();
            c.issuers.push(twice);
        }),
        ("issuers.0.introspection", |c| {
            c.issuers[0].policy = Policy::Introspect;
        }),
        ("issuers.0.introspection.client_secret", |c| {
            c.issuers[0].introspection = Some(asking(None, None));
        }),
        ("issuers.0.introspection.client_key", |c| {
            c.issuers[0].introspection = Some(asking(Some("secret"), Some("key")));
        }),
        ("issuers.0.introspection.client_key", |c| {
            c.issuers[0].introspection = Some(asking(None, Some("no PEM")));
        }),
        ("tokens.introspection_cache", |c| {
            c.tokens.introspection_cache = "6s".parse().unwrap();
        }),
        ("tokens.algorithms", |c| c.tokens.algorithms.clear()),
        ("database.pool_size", |c| c.database.pool_size = 0),
        ("database.wait_timeout", |c| {
            c.database.wait_timeout = "0s".parse().unwrap();
        }),
        ("database.statement_timeout", |c| {
            c.database.statement_timeout = "0s".parse().unwrap();
        }),
        ("limits.request", |c| c.limits.request = Duration::ZERO),
        ("limits.header_read", |c| {
            c.limits.header_read = Duration::ZERO;
        }),
        ("limits.header_bytes", |c| c.limits.header_bytes = 8191),
        ("limits.connections", |c| c.limits.connections = 0),
        ("limits.requests", |c| c.limits.requests = 0),
        ("limits.body_read", |c| c.limits.body_read = Duration::ZERO),
        ("tls.certificate", |c| c.tls.key = Some("tls.key".into())),
        ("proxies.header", |c| {
            c.proxies.trusted = vec!["10.0.0.0/8".parse().unwrap()];
        }),
        ("tls.certificate", |c| {
            c.server.mode = Mode::Production;
            c.issuers[0].issuer = "https://login.example".parse().unwrap();
            c.resource.identifier = "https://api.example".parse().unwrap();
        }),
        ("mtls.listen", |c| {
            c.mtls.listen = vec![([127, 0, 0, 1], 8443).into()];
            c.mtls.certificate = Some("mtls.crt".into());
            c.mtls.key = Some("mtls.key".into());
        }),
        ("mtls.url", |c| {
            c.mtls.url = Some("https://mtls.api.example".parse().unwrap());
        }),
        ("dpop.nonce_key", |c| {
            c.dpop.nonce_key = Some("AAECAwQFBgcICQoLDA0ODw==".to_owned().into());
        }),
        ("dpop.nonce_key", |c| {
            c.dpop.nonce_key = Some("not base64".to_owned().into());
        }),
        ("dpop.nonce_key", |c| {
            c.ephemeral.url = "redis://localhost".to_owned().into();
        }),
        ("dpop.nonce_key", |c| several(c, |_| {})),
        ("ephemeral.url", |c| {
            several(c, |c| {
                c.ephemeral.url = "memory".to_owned().into();
                c.dpop.nonce_key = Some(NONCE_KEY.to_owned().into());
            });
        }),
        ("database.url", |c| {
            several(c, |c| {
                c.database.url = "sqlite:api.db".to_owned().into();
                c.dpop.nonce_key = Some(NONCE_KEY.to_owned().into());
            });
        }),
        ("outbound.timeout", |c| c.outbound.timeout = Duration::ZERO),
        ("outbound.networks", |c| {
            c.server.mode = Mode::Production;
            c.issuers[0].issuer = "https://login.example".parse().unwrap();
            c.resource.identifier = "https://api.example".parse().unwrap();
            c.tls.certificate = Some("tls.crt".into());
            c.tls.key = Some("tls.key".into());
            c.outbound.networks = vec!["10.0.0.0/8".parse().unwrap()];
        }),
        ("ephemeral.timeout", |c| {
            c.ephemeral.timeout = Duration::ZERO;
        }),
        ("rate_limits.client.requests", |c| {
            c.rate_limits.client.requests = 10_000_001;
        }),
        ("rate_limits.account.per", |c| {
            c.rate_limits.account.per = Duration::from_millis(999);
        }),
        ("rate_limits.penalty", |c| {
            c.rate_limits.penalty = Duration::from_mins(2);
        }),
        ("cors.origins", |c| {
            c.cors.origins = ["*", "https://app.example"]
                .map(|origin| origin.parse().unwrap())
                .into();
        }),
        ("resource.identifier", |c| {
            c.server.mode = Mode::Production;
            c.issuers[0].issuer = "https://login.example".parse().unwrap();
        }),
    ];
    for (key, edit) in cases {
        let mut config = Config::default();
        edit(&mut config);
        let keys: Vec<String> = config.check().into_iter().map(|m| m.key).collect();
        assert_eq!(keys, [key]);
    }
}
