//! The documented example says what the code says, no more and no less.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auth_server::authorize::request::ResponseType;
use auth_server::config::{Config, Mode, PkcePolicy};
use auth_server::profiles::Profile;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use shared_protocol::jose::Algorithm;
use shared_server::config::{ConfigError, Sources, load};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config/auth-server.example.toml")
}

fn loaded(file: &Path) -> Result<Config, ConfigError> {
    let sources = Sources {
        file: Some(file),
        env_prefix: "AUTH_",
        env: Vec::new(),
        overrides: Value::Null,
    };
    load(&Config::default(), &sources)
}

/// Every key that holds a value, its sections parted by dots. A list is a value.
fn leaves(node: &Value) -> BTreeMap<String, Value> {
    let Value::Object(members) = node else {
        return BTreeMap::from([(String::new(), node.clone())]);
    };
    let below = members.iter().flat_map(|(key, member)| {
        leaves(member).into_iter().map(move |(path, value)| {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{key}.{path}")
            };
            (path, value)
        })
    });
    below.collect()
}

fn written(config: &Config) -> BTreeMap<String, Value> {
    let mut written = leaves(&serde_json::to_value(config).unwrap());
    // Shown as redacted, though the defaults of these two are no secrets.
    for (key, secret) in [
        ("database.url", &config.database.url),
        ("ephemeral.url", &config.ephemeral.url),
    ] {
        written.insert(key.to_owned(), secret.expose_secret().into());
    }
    written
}

/// What the file sets, and by `#` directly before the key only shows.
fn with_shown_settings(text: &str) -> String {
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            setting.to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_sets_every_key_to_its_default() {
    let text = std::fs::read_to_string(example()).unwrap();
    let set: Value = toml::from_str(&text).unwrap();
    let mut defaults = written(&Config::default());
    for key in ["keys.encryption", "registration.software_statement_issuers"] {
        assert_eq!(
            defaults.remove(key),
            Some(Value::Array(Vec::new())),
            "shown by the example, not set"
        );
    }
    for key in [
        "profile",
        "sign_up.mode",
        "tls.certificate",
        "tls.key",
        "proxies.header",
        "outbound.ca",
        "registration.mode",
        "mtls.url",
        "mtls.certificate",
        "mtls.key",
        "mtls.client_ca",
    ] {
        assert_eq!(defaults.remove(key), Some(Value::Null), "shown, not set");
    }
    assert_eq!(
        defaults.remove("traces.headers"),
        Some(Value::Null),
        "shown by the example, not set"
    );
    assert_eq!(leaves(&set), defaults);
}

#[test]
fn the_example_is_accepted_and_changes_nothing() {
    let config = loaded(&example()).unwrap();
    assert_eq!(written(&config), written(&Config::default()));
    assert_eq!(config.problems(), Vec::<String>::new());
}

#[test]
fn what_the_example_only_shows_is_accepted_too() {
    let text = with_shown_settings(&std::fs::read_to_string(example()).unwrap());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("auth-server.shown.toml");
    std::fs::write(&file, text).unwrap();
    let mut config = loaded(&file).unwrap();
    assert_eq!(config.keys.encryption.len(), 1);
    assert_eq!(config.keys.encryption[0].id, "2026-11");
    assert!(config.tls.is_on());
    assert_eq!(config.registration.software_statement_issuers.len(), 1);
    config.issuer = "https://accounts.example".parse().unwrap();
    // What it shows of [mtls] needs a listener.
    config.mtls.listen = vec![([127, 0, 0, 1], 8443).into()];
    assert_eq!(config.problems(), Vec::<String>::new());
}

/// A change to the defaults.
type Change = fn(&mut Config);

#[test]
fn contradictions_about_certificates_of_clients_are_told() {
    let listen: Change = |config| config.mtls.listen = vec![([127, 0, 0, 1], 8443).into()];
    let url: Change = |config| config.mtls.url = Some("https://mtls.example".parse().unwrap());
    let pair: Change = |config| {
        config.mtls.certificate = Some("crt".into());
        config.mtls.key = Some("key".into());
    };
    let proxy: Change = |config| {
        config.proxies.trusted = vec!["10.0.0.0/8".parse().unwrap()];
        config.proxies.header = Some(shared_server::web::ForwardedBy::Forwarded);
        config.proxies.client_certificates = true;
    };
    let authority: Change = |config| config.mtls.client_ca = Some("ca".into());
    let rows: [(&str, &[Change], &[&str]); 12] = [
        ("all of it", &[listen, url, pair, authority], &[]),
        ("a proxy alone", &[proxy], &[]),
        ("a proxy elsewhere", &[proxy, url, authority], &[]),
        ("no URL", &[listen, pair], &["mtls.listen"]),
        ("no certificate", &[listen, url], &["mtls.listen"]),
        ("nobody listens", &[pair], &["mtls.certificate"]),
        ("nobody is asked", &[url], &["mtls.url"]),
        ("nobody is asked for it", &[authority], &["mtls.client_ca"]),
        (
            "half a pair",
            &[listen, url, pair, |config| config.mtls.key = None],
            &["mtls.certificate"],
        ),
        (
            "plain http",
            &[listen, pair, |config| {
                config.mtls.url = Some("http://localhost:8443".parse().unwrap());
            }],
            &["mtls.url"],
        ),
        (
            "another path",
            &[listen, pair, |config| {
                config.mtls.url = Some("https://localhost:8443/a".parse().unwrap());
            }],
            &["mtls.url"],
        ),
        (
            "nobody to believe",
            &[|config| config.proxies.client_certificates = true],
            &["proxies.client_certificates"],
        ),
    ];
    for (what, changes, keys) in rows {
        let mut config = Config::default();
        for change in changes {
            change(&mut config);
        }
        let problems = config.problems();
        assert_eq!(problems.len(), keys.len(), "{what}: {problems:?}");
        for (problem, key) in problems.iter().zip(keys) {
            assert!(problem.starts_with(key), "{what}: {problem}");
        }
    }
}

#[test]
fn contradictions_with_a_profile_are_told() {
    let rows: [(&str, Change, &[Profile]); 7] = [
        ("nothing", |_| {}, &[]),
        (
            "authorization.require_pushed_authorization_requests",
            |config| config.authorization.require_pushed_authorization_requests = true,
            &[Profile::Mcp],
        ),
        (
            "authorization.pkce",
            |config| config.authorization.pkce = PkcePolicy::PublicOnly,
            &Profile::ALL,
        ),
        (
            "authorization.response_types",
            |config| {
                config
                    .authorization
                    .response_types
                    .push(ResponseType::CodeIdToken);
            },
            &Profile::ALL,
        ),
        (
            "authorization.password_grant",
            |config| config.authorization.password_grant = true,
            &Profile::ALL,
        ),
        (
            "authorization.unsigned_request_objects",
            |config| config.authorization.unsigned_request_objects = true,
            &[Profile::Fapi2, Profile::Fapi2MessageSigning],
        ),
        (
            "keys.algorithms",
            |config| config.keys.algorithms = vec![Algorithm::Rs256],
            &[Profile::Fapi2, Profile::Fapi2MessageSigning],
        ),
    ];
    for (key, change, by) in rows {
        for profile in Profile::ALL {
            let mut config = Config {
                profile: Some(profile),
                ..Config::default()
            };
            change(&mut config);
            let mut problems = config.problems();
            problems.retain(|problem| problem.contains("profile"));
            assert_eq!(
                problems.len(),
                usize::from(by.contains(&profile)),
                "{problems:?}"
            );
            assert!(problems.iter().all(|problem| problem.starts_with(key)));
            config.profile = None;
            let problems = config.problems().join(" ");
            assert!(!problems.contains("profile"), "{problems}");
        }
    }
    // What its tokens may not be signed with, production does not ask for.
    let mut config = Config {
        mode: Mode::Production,
        ..Config::default()
    };
    config.keys.algorithms = vec![Algorithm::Es256];
    assert!(config.problems().join(" ").contains("RS256"));
    config.profile = Some(Profile::Fapi2);
    assert!(!config.problems().join(" ").contains("RS256"));
}

#[test]
fn every_setting_of_the_example_is_explained() {
    let text = std::fs::read_to_string(example()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.windows(2) {
        let setting = pair[1].strip_prefix('#').unwrap_or(pair[1]);
        if setting.starts_with(|c: char| c.is_ascii_lowercase()) && setting.contains(" = ") {
            assert!(pair[0].starts_with("# "), "{:?} comes unexplained", pair[1]);
        }
    }
}
