use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    server: Server,
    database: Database,
    mail: Option<Mail>,
    peers: Vec<Peer>,
    labels: BTreeMap<String, u32>,
    log: Log,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Server {
    listen: Vec<SocketAddr>,
    port: u16,
    secure: bool,
    request: Period,
    #[serde(with = "super::period")]
    drain: Duration,
    name: Option<String>,
    workers: Option<u16>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: Secret,
    key: Option<Secret>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    host: String,
    port: u16,
    password: Secret,
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    url: String,
    token: Option<Secret>,
    upstream: Option<Mail>,
}

/// Forgot `deny_unknown_fields`.
#[derive(Debug, Deserialize, Serialize)]
struct Log {
    level: Level,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Info,
    Debug,
}

fn defaults() -> Settings {
    Settings {
        server: Server {
            listen: vec!["127.0.0.1:8000".parse().unwrap()],
            port: 8000,
            secure: false,
            request: Period::from_secs(30),
            drain: Duration::from_secs(30),
            name: None,
            workers: None,
        },
        database: Database {
            url: Secret::from("sqlite:default-url".to_owned()),
            key: None,
        },
        mail: None,
        peers: Vec::new(),
        labels: BTreeMap::from([("first".to_owned(), 1)]),
        log: Log { level: Level::Info },
    }
}

/// A file in a directory of its own, gone at the end of the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn read(file: &str, variables: &[(&str, &str)], overrides: Value) -> Result<Settings, ConfigError> {
    let folder = Folder::new();
    let file = folder.file("server.toml", file);
    load(
        &defaults(),
        &Sources {
            file: Some(&file),
            env_prefix: "AUTH_",
            env: env(variables),
            overrides,
        },
    )
}

#[test]
fn nothing_given_leaves_the_defaults_with_their_secrets() {
    let settings = read(
        "",
        &[("PATH", "/bin"), ("API_SERVER__PORT", "1")],
        Value::Null,
    )
    .unwrap();
    assert_eq!(settings.server.port, 8000);
    assert_eq!(settings.database.url.expose_secret(), "sqlite:default-url");
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_defaults() {
    let file = "[server]\nport = 1\nname = 'file'\nworkers = 1\nrequest = '1s'";
    let variables = [("AUTH_SERVER__NAME", "env"), ("AUTH_SERVER__WORKERS", "2")];
    let settings = read(
        file,
        &variables,
        json!({"server": {"workers": 3, "name": null}}),
    )
    .unwrap();
    assert_eq!(settings.server.request.duration(), Duration::from_secs(1));
    assert_eq!(settings.server.port, 1);
    assert_eq!(settings.server.name.as_deref(), Some("env"));
    assert_eq!(settings.server.workers, Some(3));
    assert_eq!(settings.server.drain, Duration::from_secs(30));
}

#[test]
fn the_environment_is_read_as_the_type_of_its_key() {
    let settings = read(
        "",
        &[
            ("auth_server__port", "9000"),
            ("AUTH_SERVER__SECURE", "true"),
            ("AUTH_SERVER__DRAIN", "5m"),
            ("AUTH_SERVER__LISTEN", "127.0.0.1:1, [::1]:2"),
            ("AUTH_SERVER__NAME", "123"),
            ("AUTH_SERVER__WORKERS", "4"),
            ("AUTH_DATABASE__KEY", "42"),
            ("AUTH_MAIL__HOST", "mail.example"),
            ("AUTH_MAIL__PORT", "25"),
            ("AUTH_MAIL__PASSWORD", "1234"),
            ("AUTH_LABELS__SECOND", "2"),
            ("AUTH_PEERS", "[{ url = 'https://peer.example' }]"),
            ("AUTH_LOG__LEVEL", "debug"),
        ],
        Value::Null,
    )
    .unwrap();
    assert_eq!(settings.server.port, 9000);
    assert!(settings.server.secure);
    assert_eq!(settings.server.drain, Duration::from_mins(5));
    assert_eq!(settings.server.listen.len(), 2);
    assert_eq!(settings.server.name.as_deref(), Some("123"));
    assert_eq!(settings.server.workers, Some(4));
    assert_eq!(settings.database.key.unwrap().expose_secret(), "42");
    let mail = settings.mail.unwrap();
    assert_eq!((mail.host.as_str(), mail.port), ("mail.example", 25));
    assert_eq!(mail.password.expose_secret(), "1234");
    assert_eq!(settings.labels["first"], 1);
    assert_eq!(settings.labels["second"], 2);
    assert_eq!(settings.peers[0].url, "https://peer.example");
    assert_eq!(settings.log.level, Level::Debug);
}

#[test]
fn secrets_come_from_files_with_their_white_space_trimmed() {
    let folder = Folder::new();
    let from_file = folder.file("url", "  from-a-file\n");
    let from_env = folder.file("key", "from-env\r\n");
    let password = folder.file("password", "hunter22\n");
    let settings = read(
        &format!(
            "[database]\nurl_file = {from_file:?}\n[mail]\nhost = 'h'\nport = 25\npassword_file = {password:?}\nca_file = 'ca.pem'"
        ),
        &[("AUTH_DATABASE__KEY_FILE", from_env.to_str().unwrap())],
        Value::Null,
    )
    .unwrap();
    assert_eq!(settings.database.url.expose_secret(), "from-a-file");
    assert_eq!(settings.database.key.unwrap().expose_secret(), "from-env");
    let mail = settings.mail.unwrap();
    assert_eq!(mail.password.expose_secret(), "hunter22");
    assert_eq!(
        mail.ca_file,
        Some(PathBuf::from("ca.pem")),
        "a key of its own"
    );
}

#[test]
fn so_do_those_in_the_sections_of_a_list() {
    let folder = Folder::new();
    let [one, two, three] = ["one", "two", "three"].map(|name| folder.file(name, name));
    let upstream = "host = 'h'\nport = 25\nca_file = 'ca.pem'";
    let listed = format!(
        "[[peers]]\nurl = 'a'\ntoken_file = {one:?}\n[peers.upstream]\npassword_file = {two:?}\n{upstream}\n\
         [[peers]]\nurl = 'b'\ntoken = 'plain'\n[[peers]]\nurl = 'c'\ntoken_file = {three:?}"
    );
    let inline = format!("[{{url = 'a', token_file = {one:?}}}]");
    let settings = read(&listed, &[], Value::Null).unwrap();
    let tokens = |settings: &Settings| {
        let tokens = settings.peers.iter().filter_map(|peer| peer.token.as_ref());
        let tokens = tokens.map(|token| token.expose_secret().to_owned());
        tokens.collect::<Vec<_>>()
    };
    assert_eq!(tokens(&settings), ["one", "plain", "three"]);
    let mail = settings.peers[0].upstream.as_ref().unwrap();
    assert_eq!(mail.password.expose_secret(), "two");
    assert_eq!(mail.ca_file, Some(PathBuf::from("ca.pem")));
    let settings = read("", &[("AUTH_PEERS", &inline)], Value::Null).unwrap();
    assert_eq!(tokens(&settings), ["one"]);
}

/// What is wrong, the file, the environment, and what is told of it.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const MISTAKES: &[Row] = &[
    (
        "a letter wrong",
        "[server]\nprot = 1",
        &[],
        "server.prot ({file}): no such key; did you mean `server.port`?",
    ),
    (
        "in no section",
        "port = 1",
        &[],
        "port ({file}): no such key; did you mean `server.port`?",
    ),
    (
        "nothing like it",
        "[zebra]\nstripes = 1",
        &[],
        "zebra.stripes ({file}): no such key; take it out",
    ),
    (
        "an empty section",
        "[databse]",
        &[],
        "databse ({file}): no such key; did you mean `database`?",
    ),
    (
        "ignored by serde",
        "[log]\nlevels = 1",
        &[],
        "log.levels ({file}): no such key; did you mean `log.level`?",
    ),
    (
        "below a value",
        "[server.port]\nx = 1",
        &[],
        "server.port.x ({file}): invalid type: map, expected u16",
    ),
    (
        "under an absent section",
        "[mail]\nhots = ''",
        &[],
        "mail.hots ({file}): unknown field `hots`, expected one of `host`, `port`, `password`, `ca_file`",
    ),
    (
        "in a list",
        "[[peers]]\nurl = 'u'\nx = 1",
        &[],
        "peers ({file}): unknown field `x`, expected one of `url`, `token`, `upstream`",
    ),
    (
        "a section without its rest",
        "[mail]\nhost = 'h'",
        &[],
        "mail ({file}): missing field `port`",
    ),
    (
        "not a number",
        "[server]\nport = 'http'",
        &[],
        "server.port ({file}): invalid type: string …, expected u16",
    ),
    (
        "too large a number",
        "[server]\nport = 70000",
        &[],
        "server.port ({file}): invalid value: integer …, expected u16",
    ),
    (
        "not a period",
        "[server]\nrequest = 10",
        &[],
        "server.request ({file}): invalid type: integer …, expected a length of time such as \"500ms\", \"10s\", \"5m\", \"1h\" or \"30d\"",
    ),
    (
        "not a word",
        "[log]\nlevel = 'loud'",
        &[],
        "log.level ({file}): unknown variant …, expected `info` or `debug`",
    ),
    (
        "a map's value",
        "[labels]\nsecond = 'two'",
        &[],
        "labels.second ({file}): invalid type: string …, expected u32",
    ),
    (
        "not TOML",
        "[server]\nname = 'a'\nport = = 'hunter2'",
        &[],
        "{file}: line 3 is not TOML; check its quotes and brackets",
    ),
    (
        "an unknown variable",
        "",
        &[("AUTH_DATABASE__URI", "x")],
        "AUTH_DATABASE__URI (environment): no such key; did you mean `AUTH_DATABASE__URL`?",
    ),
    (
        "no key at all",
        "",
        &[("AUTH_", "x")],
        "AUTH_ (environment): no such key; take it out",
    ),
    (
        "an ill-typed variable",
        "",
        &[("AUTH_SERVER__SECURE", "yes")],
        "AUTH_SERVER__SECURE (environment): invalid type: string …, expected a boolean",
    ),
    (
        "a variable twice",
        "",
        &[("AUTH_SERVER__PORT", "1"), ("auth_server__port", "1")],
        "auth_server__port (environment): AUTH_SERVER__PORT sets the same key; keep one of the two",
    ),
    (
        "an empty secret",
        "",
        &[("AUTH_DATABASE__URL", "")],
        "AUTH_DATABASE__URL (environment): a secret must not be empty",
    ),
    (
        "what `config show` printed",
        "[database]\nurl = '[redacted]'",
        &[],
        "database.url ({file}): this only stands for a secret; give the secret itself",
    ),
    (
        "a secret that is a number",
        "[database]\nurl = 12345",
        &[],
        "database.url ({file}): invalid type: integer …, expected a secret, as text",
    ),
    (
        "a secret and its file",
        "[database]\nurl = 'x'\nurl_file = 'y'",
        &[],
        "database.url_file ({file}): `database.url` is given too; keep one of the two",
    ),
    (
        "both in the environment",
        "",
        &[
            ("AUTH_DATABASE__URL", "x"),
            ("AUTH_DATABASE__URL_FILE", "y"),
        ],
        "AUTH_DATABASE__URL_FILE (environment): `AUTH_DATABASE__URL` is given too; keep one of the two",
    ),
    (
        "an absent file",
        "[database]\nurl_file = '/nowhere/at/all'",
        &[],
        "database.url_file ({file}): the file cannot be read: No such file or directory (os error 2)",
    ),
    (
        "not the name of a file",
        "[database]\nurl_file = 1",
        &[],
        "database.url_file ({file}): not the name of a file; write it as text",
    ),
    (
        "a list names no file",
        "[[peers]]\nurl = 'a'\n[[peers]]\nurl = 'b'\ntoken_file = '/nowhere/at/all'",
        &[],
        "peers.1.token_file ({file}): the file cannot be read: No such file or directory (os error 2)",
    ),
    (
        "a list names a file by a number",
        "[[peers]]\nurl = 'a'\n[peers.upstream]\nhost = 'h'\nport = 25\npassword_file = 1",
        &[],
        "peers.0.upstream.password_file ({file}): not the name of a file; write it as text",
    ),
    (
        "a list has both",
        "[[peers]]\nurl = 'a'\ntoken = 'x'\ntoken_file = 'y'",
        &[],
        "peers.0.token_file ({file}): `token` is given too; keep one of the two",
    ),
    (
        "a list names a file for what is no key",
        "[[peers]]\nurl = 'a'\ntokens_file = '/etc/hostname'",
        &[],
        "peers ({file}): unknown field `tokens_file`, expected one of `url`, `token`, `upstream`",
    ),
    (
        "a file for no text",
        "[server]\nport_file = '/etc/hostname'",
        &[],
        "server.port_file ({file}): no such key; take it out",
    ),
];

#[test]
fn a_mistake_names_its_key_its_place_and_the_mend() {
    for (what, file, variables, expected) in MISTAKES {
        let folder = Folder::new();
        let path = folder.file("server.toml", file);
        let sources = Sources {
            file: Some(&path),
            env_prefix: "AUTH_",
            env: env(variables),
            overrides: Value::Null,
        };
        let error = load(&defaults(), &sources).expect_err(what);
        let expected = expected.replace("{file}", path.to_str().unwrap());
        let told: Vec<String> = error.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told, [expected], "{what}");
    }
}

#[test]
fn a_secret_file_is_neither_empty_nor_huge() {
    let folder = Folder::new();
    for (file, expected) in [
        (
            folder.file("empty", " \n"),
            "the file is empty; write the value into it",
        ),
        (
            folder.file("huge", &"x".repeat(70_000)),
            "the file is larger than 64 KiB",
        ),
    ] {
        let variable = ("AUTH_DATABASE__URL_FILE", file.to_str().unwrap());
        let error = read("", &[variable], Value::Null).unwrap_err();
        assert_eq!(error.mistakes[0].reason, expected);
    }
}

#[test]
fn all_mistakes_of_all_sources_are_told_together() {
    let error = read(
        "[server]\nprot = 1\nrequest = 'soon'",
        &[
            ("AUTH_SERVER__PORT", "http"),
            ("AUTH_DATABASE__KEY_FILE", "/nowhere"),
        ],
        json!({"server": {"wrokers": 1}}),
    )
    .unwrap_err();
    let keys: Vec<&str> = error.mistakes.iter().map(|m| m.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "database.key_file",
            "server.prot",
            "server.request",
            "server.port",
            "server.wrokers"
        ]
    );
    assert_eq!(error.to_string().lines().count(), 6);
}

#[test]
fn an_absent_file_is_a_mistake() {
    let sources = Sources {
        file: Some(Path::new("/nowhere/server.toml")),
        env_prefix: "AUTH_",
        env: Vec::new(),
        overrides: Value::Null,
    };
    let error = load(&defaults(), &sources).unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/server.toml: the file cannot be read"),
        "{error}"
    );
}

#[test]
fn no_message_quotes_a_value() {
    const VALUE: &str = "hunter2 \"quoted\" \\ postgres://u:pw@h/";
    for key in [
        "SERVER__PORT",
        "SERVER__REQUEST",
        "SERVER__LISTEN",
        "LOG__LEVEL",
        "DATABSE__URL",
        "PEERS",
        "MAIL__PORT",
        "MAIL",
        "LABELS__X",
    ] {
        let name = format!("AUTH_{key}");
        let error = read("", &[(&name, VALUE)], Value::Null).expect_err(key);
        for told in [error.to_string(), format!("{error:?}")] {
            assert!(!told.contains("hunter2") && !told.contains("pw@"), "{told}");
        }
    }
}

#[test]
fn a_secret_is_redacted_wherever_it_is_shown() {
    let settings = read("[database]\nkey = 'hunter2'", &[], Value::Null).unwrap();
    let shown = toml::to_string(&settings.database).unwrap() + &format!("{settings:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("default-url"),
        "{shown}"
    );
    assert_eq!(shown.matches(REDACTED).count(), 4);
}
