//! A running quickstart on a data folder and ports of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, KeyPair};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

const TO_READY: Duration = Duration::from_secs(30);
const TO_STOP: Duration = Duration::from_secs(30);

/// A folder and ports, for one quickstart after another.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) auth_port: u16,
    pub(crate) api_port: u16,
    pub(crate) app_port: u16,
    pub(crate) mtls_port: u16,
    /// For whatever else a test serves.
    pub(crate) spare_port: u16,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            auth_port: free_port(),
            api_port: free_port(),
            app_port: free_port(),
            mtls_port: free_port(),
            spare_port: free_port(),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificates that clients may show: the demo client's, and one that nobody vouches for.
    pub(crate) fn certificates(&self) -> Value {
        let read = |name: &str| std::fs::read_to_string(self.data().join(name)).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(Vec::new()).unwrap();
        // An uncompressed point of P-256 (SEC 1 §2.3.3).
        let (x, y) = key.public_key_raw()[1..].split_at(32);
        let coordinate = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "ca": read("mtls-ca.crt"),
            "pki": {
                "subject": "CN=Demo worker",
                "certificate": read("mtls-client.crt"),
                "key": read("mtls-client.key"),
            },
            "self_signed": {
                "certificate": own.self_signed(&key).unwrap().pem(),
                "key": key.serialize_pem(),
                "jwk": {"kty": "EC", "crv": "P-256", "x": coordinate(x), "y": coordinate(y)},
            },
        })
    }

    pub(crate) fn demo(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.data().join("demo.json")).unwrap()).unwrap()
    }

    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
        command
            .env_clear()
            .args(["--auth-port", &self.auth_port.to_string()])
            .args(["--api-port", &self.api_port.to_string()])
            .args(["--app-port", &self.app_port.to_string()])
            .args(["--mtls-port", &self.mtls_port.to_string()])
            .arg("--data")
            .arg(self.data())
            .args(more);
        command
    }

    /// Starts one and waits for `ready`.
    pub(crate) fn start(&self, more: &[&str]) -> Running {
        let log = self.file("stderr");
        let mut child = self
            .command(more)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Ends with the output of the child.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut running = Running {
            child,
            printed: Vec::new(),
            log,
            secrets: Vec::new(),
        };
        let deadline = Instant::now() + TO_READY;
        while running.printed.last().map(String::as_str) != Some("ready") {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => running.printed.push(line),
                Err(error) => panic!("not ready: {error}: {}", running.log()),
            }
        }
        let demo = self.demo();
        running.secrets = [("person", "password"), ("service", "client_secret")]
            .map(|(of, name)| demo[of][name].as_str().unwrap().to_owned())
            .into();
        running
    }

    pub(crate) fn api(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.api_port)
    }

    pub(crate) fn app(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.app_port)
    }

    pub(crate) fn auth(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.auth_port)
    }

    /// The credentials of the service client.
    pub(crate) fn service(&self) -> Credentials {
        let service = &self.demo()["service"];
        let text = |name: &str| service[name].as_str().unwrap().to_owned();
        Credentials {
            id: text("client_id"),
            secret: text("client_secret"),
        }
    }

    /// Asks for a token for `resource`.
    pub(crate) async fn token_response(&self, client: &Credentials, resource: &str) -> Response {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        send(
            client
                .on(http().post(self.auth("/oauth/token")))
                .form(&form),
        )
        .await
    }

    /// A token for `resource`.
    pub(crate) async fn token(&self, client: &Credentials, resource: &str) -> String {
        let response = self.token_response(client, resource).await;
        assert_eq!(response.status(), 200);
        let body: Value = response.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Calls the API, with this token if there is one.
    pub(crate) async fn me(&self, token: Option<&str>) -> Response {
        let request = http().get(self.api("/api/v1/users/me"));
        send(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }
}

/// A confidential client.
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Credentials {
    pub(crate) fn on(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(&self.id, Some(&self.secret))
    }
}

/// A client without the proxies of the environment.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

/// A quickstart that said `ready`; killed when dropped, and its log searched.
pub(crate) struct Running {
    child: Child,
    /// The lines that it printed until then.
    pub(crate) printed: Vec<String>,
    log: PathBuf,
    /// What must not be in the log, whatever the test was about (threat 39). The guide on standard output tells it, and is no log.
    secrets: Vec<String>,
}

impl Running {
    /// The lines that are meant to be pasted.
    pub(crate) fn pasted(&self) -> Vec<&str> {
        self.printed
            .iter()
            .map(String::as_str)
            .filter(|line| line.starts_with("TOKEN=") || line.starts_with("curl"))
            .collect()
    }

    /// What it logged, but for assertions that it sent away because the memory of used ones had just begun.
    pub(crate) fn complaints(&self) -> String {
        let log = self.log();
        let lines = log.lines();
        let complaints =
            lines.filter(|line| !line.contains("memory of used assertions has just begun"));
        complaints.collect()
    }

    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// Sends the signal and waits for the end.
    pub(crate) fn stop(mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + TO_STOP;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "does not stop: {}", self.log());
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            return;
        }
        let log = self.log();
        for secret in &self.secrets {
            assert!(!log.contains(secret), "a secret of demo.json is in the log");
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Below the ports that systems give to outgoing connections, so that none of those takes it meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// What a program prints as JSON that gets `input` as JSON.
pub(crate) fn told(command: &mut Command, input: &Value) -> Value {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program that deploy/test asks for");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let ended = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{errors}");
    serde_json::from_slice(&ended.stdout).unwrap()
}
