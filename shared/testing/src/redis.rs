//! Redis for tests: the shared server that the environment names, and throw-away servers for tests that break one.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::RngExt;
use rand::distr::Alphanumeric;
use secrecy::SecretString;
use shared_server::ephemeral::Settings;
use tempfile::TempDir;

/// Generous: a test machine is busy, and only tests of time-outs wait for one.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks at whether a server has started.
const PAUSE: Duration = Duration::from_millis(10);

/// A prefix that no other test uses.
#[must_use]
pub fn prefix() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "names have to differ between test processes"
    )]
    let rng = rand::rng();
    let random = rng.sample_iter(Alphanumeric).take(16).map(char::from);
    format!("test:{}", random.collect::<String>())
}

/// The Redis of `TEST_REDIS_URL`, with a fresh [`prefix`].
///
/// # Panics
///
/// If the variable is not set.
#[must_use]
pub fn settings() -> Settings {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads where the shared Redis of the tests is"
    )]
    let url = std::env::var("TEST_REDIS_URL");
    settings_at(url.expect("TEST_REDIS_URL names no Redis: run the tests through deploy/test"))
}

/// The store at `url`, with a fresh [`prefix`].
#[must_use]
pub fn settings_at(url: impl Into<String>) -> Settings {
    Settings {
        url: SecretString::from(url.into()),
        prefix: prefix(),
        capacity: 100_000,
        timeout: TIMEOUT,
    }
}

/// A `redis-server` of one test, on a port of its own, without persistence. Killed when dropped.
pub struct RedisServer {
    process: Child,
    port: u16,
    options: Vec<String>,
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server with further `options`, such as `["--maxmemory", "1mb"]`, and waits until it answers.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed or does not start.
    pub async fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let port = free_port();
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let mut server = Self {
            process: spawn(port, &options, &directory),
            port,
            options,
            directory,
        };
        // Someone may take the port before the server does.
        for _ in 0..20 {
            if server.has_started().await {
                return server;
            }
            server.port = free_port();
            server.process = spawn(server.port, &server.options, &server.directory);
        }
        panic!("redis-server does not start on any port");
    }

    /// `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs one command and gives its answer.
    ///
    /// # Panics
    ///
    /// If the server cannot be reached or answers with an error.
    pub async fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let answer = self.try_run(command).await;
        answer.expect("the throw-away Redis runs the command")
    }

    /// Kills the server. What it held is lost.
    ///
    /// # Panics
    ///
    /// If the process cannot be killed.
    pub fn stop(&mut self) {
        self.process.kill().expect("the process is ours");
        self.process.wait().expect("the process is ours");
    }

    /// Starts the stopped server again, empty, on the same port.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_again(&mut self) {
        self.process = spawn(self.port, &self.options, &self.directory);
        assert!(self.has_started().await, "the port is still ours");
    }

    /// Freezes the server: connections stay open and are accepted, and nothing is answered.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Ends [`RedisServer::freeze`].
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status();
        assert!(kill.expect("kill is installed").success());
    }

    async fn try_run<T: redis::FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut packed = redis::Cmd::new();
        packed.arg(command);
        packed.query_async(&mut connection).await
    }

    /// Waits until this very server answers on its port; `false` if it ended instead.
    async fn has_started(&mut self) -> bool {
        let ours = format!("process_id:{}\r", self.process.id());
        let starting = async {
            loop {
                let info = self.try_run::<String>(&["INFO", "server"]).await;
                if info.is_ok_and(|info| info.contains(&ours)) {
                    return true;
                }
                if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                    return false;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let started = tokio::time::timeout(TIMEOUT, starting).await;
        started.expect("the throw-away Redis starts in time")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Cluster of three masters of one test. Killed when dropped.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the servers and joins them.
    ///
    /// # Panics
    ///
    /// If `redis-server` or `redis-cli` is not installed, or the servers do not join.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            // The nodes talk to each other on their port + 10,000; one too high for that does not start.
            nodes.push(RedisServer::start(&["--cluster-enabled", "yes"]).await);
        }
        let addresses = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()));
        let joined = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .expect("redis-cli is installed");
        assert!(
            joined.status.success(),
            "{}",
            String::from_utf8_lossy(&joined.stdout)
        );
        let forming = async {
            for node in &nodes {
                let state = async || node.run::<String>(&["CLUSTER", "INFO"]).await;
                while !state().await.contains("cluster_state:ok") {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let formed = tokio::time::timeout(TIMEOUT, forming).await;
        formed.expect("the throw-away Cluster forms in time");
        Self { nodes }
    }

    /// `redis+cluster://127.0.0.1:port,…`, with every node.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// The masters.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }
}

fn spawn(port: u16, options: &[String], directory: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(directory.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

fn free_port() -> u16 {
    let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    address.expect("a port is free").port()
}
