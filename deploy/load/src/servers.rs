//! The two servers under measurement: ours, with what the workloads need registered in it, and the floor.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use conformance_tests::browser::{Browser, Person};
use serde::Deserialize;
use serde_json::json;
use shared_protocol::random::{SystemRandom, alphanumeric, bytes};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::LOG_FILTER;
use crate::drive::CodeFlow;
use crate::process::Process;

/// A verifier and its challenge (RFC 7636 appendix B): what is measured does not depend on which.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Of the app. Nobody ever goes there.
const REDIRECT_URI: &str = "https://app.example/callback";
const EMAIL: &str = "person@example.com";
/// The resource server that tokens are for.
const RESOURCE: &str = "https://api.example";
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);

/// A server and where it listens.
pub(crate) struct Server {
    /// Its process.
    pub(crate) process: Process,
    /// Its port on this machine.
    pub(crate) port: u16,
}

/// The authorization server, on a database of its own that goes when this is dropped.
pub(crate) struct AuthServer {
    /// The server. Before the folder: it ends before its database goes.
    pub(crate) server: Server,
    /// The client that gets tokens.
    pub(crate) client: Credentials,
    /// The client that introspects them.
    pub(crate) introspector: Credentials,
    /// The public client that a person has agreed to.
    app: App,
    /// The cookies of that person's browser, as a header.
    cookie: String,
    _folder: TempDir,
}

/// Where the server keeps things.
#[derive(Args, Clone, Debug)]
pub(crate) struct Stores {
    /// A PostgreSQL database, in which tables are made [default: SQLite in a temporary folder]
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// A Redis [default: the memory of the server]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

/// A public client.
#[derive(Deserialize)]
struct App {
    client_id: String,
}

/// What a confidential client authenticates with.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    client_id: String,
    client_secret: String,
}

impl Credentials {
    /// The `Authorization` header (RFC 7617 §2). Ids and secrets made here are letters and digits alone.
    pub(crate) fn basic(&self) -> String {
        let pair = format!("{}:{}", self.client_id, self.client_secret);
        format!("Basic {}", STANDARD.encode(pair))
    }
}

impl Server {
    /// Starts `command` and waits until it listens on `port`.
    async fn start(command: &mut Command, port: u16) -> anyhow::Result<Self> {
        let mut process = Process::start(command)?;
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            process.still_runs()?;
            if started.elapsed() > START {
                bail!(
                    "the server does not listen on port {port} after {} s",
                    START.as_secs()
                );
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { process, port })
    }

    /// Starts the floor.
    ///
    /// # Errors
    /// If it does not listen soon.
    pub(crate) async fn floor() -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--port", &port.to_string()]);
        Self::start(&mut command, port).await.context("the floor")
    }
}

impl AuthServer {
    /// Makes a configuration and a database, registers clients, a resource server and a person, starts `program`, and lets the
    /// person sign in and agree to the app.
    ///
    /// # Errors
    /// If any of that fails.
    pub(crate) async fn start(program: &Path, stores: &Stores) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let config = folder.path().join("auth-server.toml");
        std::fs::write(&config, stores.configuration(folder.path(), port))?;
        let command = |args: &[&str]| {
            let mut command = Command::new(program);
            // The configuration is the file alone.
            command
                .env_clear()
                .args(args)
                .arg("--json")
                .arg("--config")
                .arg(&config);
            command
        };
        let service = ["--grant", "client_credentials"];
        let introspector = [
            &["client", "create", "--name", "introspector"],
            &service[..],
        ]
        .concat();
        let introspector: Credentials = output(command(&introspector)).await?;
        let resource: &[&str] = &[
            "resource",
            "create",
            RESOURCE,
            "--name",
            "API",
            "--scope",
            "read=Read",
            "--introspection-client",
            &introspector.client_id,
        ];
        output::<serde_json::Value>(command(resource)).await?;
        let client = ["client", "create", "--name", "client", "--scope", "read"];
        let client: Credentials = output(command(&[&client, &service[..]].concat())).await?;
        let app: App = output(command(APP)).await?;
        let person = person(&folder)?;
        let password_file = person.password_file.to_string_lossy();
        let create: &[&str] = &["user", "create", EMAIL, "--password-file", &password_file];
        output::<serde_json::Value>(command(create)).await?;
        let server = Server::start(&mut command(&["serve"]), port).await?;
        let mut server = Self {
            server,
            client,
            introspector,
            app,
            cookie: String::new(),
            _folder: folder,
        };
        server.cookie = server.sign_in(&person).await.context("signing in")?;
        Ok(server)
    }

    /// One code flow of the app, for the person who has agreed to it.
    pub(crate) fn code_flow(&self) -> CodeFlow {
        let client_id = &self.app.client_id;
        CodeFlow {
            authorize: format!(
                "/oauth/authorize?response_type=code&client_id={client_id}&redirect_uri={REDIRECT_URI}&scope=openid%20read\
                 &state=af0ifjsldkj&nonce=n-0S6_WzA2Mj&code_challenge={CHALLENGE}&code_challenge_method=S256"
            ),
            cookie: self.cookie.clone(),
            form: format!(
                "grant_type=authorization_code&client_id={client_id}&redirect_uri={REDIRECT_URI}\
                 &code_verifier={VERIFIER}&code="
            ),
        }
    }

    /// The form that refreshes tokens of the app, up to the refresh token.
    pub(crate) fn refresh_form(&self) -> String {
        let client_id = &self.app.client_id;
        format!("grant_type=refresh_token&client_id={client_id}&refresh_token=")
    }

    /// Goes through the pages once; the cookies that the browser then has.
    async fn sign_in(&self, person: &Registered) -> anyhow::Result<String> {
        let port = self.server.port;
        let url = format!("http://127.0.0.1:{port}{}", self.code_flow().authorize).parse()?;
        let browser = Browser::new()?;
        browser.authorize(&url, &person.person).await?;
        Ok(browser.cookies(&url))
    }
}

/// A person, and the file that their account's password is read from.
struct Registered {
    person: Person,
    password_file: PathBuf,
}

fn person(folder: &TempDir) -> anyhow::Result<Registered> {
    let password = alphanumeric(20, &SystemRandom);
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, &password)?;
    Ok(Registered {
        person: Person {
            login: EMAIL.into(),
            password: password.into(),
        },
        password_file,
    })
}

/// Public, so that its refresh tokens rotate; on the web, so that the person is asked once.
const APP: &[&str] = &[
    "client",
    "create",
    "--name",
    "App",
    "--auth-method",
    "none",
    "--grant",
    "authorization_code",
    "--grant",
    "refresh_token",
    "--redirect-uri",
    REDIRECT_URI,
    "--scope",
    "openid",
    "--scope",
    "read",
    "--id-token-alg",
    "ES256",
];

impl Stores {
    /// Limits are the defaults, those of production: none of them is in the way of this load.
    fn configuration(&self, folder: &Path, port: u16) -> String {
        let database = self
            .postgres
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", folder.join("auth-server.db").display()));
        let ephemeral = self.redis.as_deref().unwrap_or("memory");
        let key = STANDARD.encode(bytes::<32>(&SystemRandom));
        // A JSON string is a TOML string too.
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\n\
             [server]\nlisten = [\"127.0.0.1:{port}\"]\noperations_listen = []\n\
             [database]\nurl = {}\n\
             [ephemeral]\nurl = {}\n\
             [[keys.encryption]]\nid = \"load\"\nkey = \"{key}\"\n\
             [log]\nfilter = {}\n",
            json!(database),
            json!(ephemeral),
            json!(LOG_FILTER),
        )
    }
}

/// Runs a command to its end and reads the JSON that it prints.
async fn output<T: for<'a> Deserialize<'a>>(mut command: Command) -> anyhow::Result<T> {
    let output = command.kill_on_drop(true).output().await;
    let output = output.with_context(|| {
        let program = command.as_std().get_program().display().to_string();
        format!("{program} does not start; build it, or name it with --server")
    })?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("not the JSON that was expected")
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
