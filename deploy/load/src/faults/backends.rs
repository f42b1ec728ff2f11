//! A PostgreSQL and a Redis of one run, which are killed and started again.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use shared_protocol::random::{SystemRandom, alphanumeric};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::killed::Killed;
use crate::kept::Database;
use crate::process::Process;
use crate::servers::{Stores, free_port};

/// How long a backend may take to answer; PostgreSQL recovers first, and waits for the processes of the one that was killed.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// PostgreSQL as it is in production: a commit waits for the disk.
pub(super) struct Postgres {
    process: Option<Process>,
    programs: PathBuf,
    /// Whom it runs as where we are root, as whom it refuses to run.
    user: Option<(u32, u32)>,
    port: u16,
    password: String,
    folder: TempDir,
}

/// Redis without persistence: it comes back empty.
pub(super) struct Redis {
    process: Option<Process>,
    port: u16,
    password: String,
    folder: TempDir,
}

/// Where the servers are to keep things.
pub(super) fn stores(postgres: &Postgres, redis: &Redis) -> Stores {
    Stores {
        postgres: Some(postgres.url()),
        redis: Some(redis.url()),
    }
}

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub(super) async fn start(programs: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let user = user().await?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let mut this = Self {
            process: None,
            programs: programs.map_or_else(newest, Ok)?,
            user,
            port: free_port()?,
            password: alphanumeric(20, &SystemRandom),
            folder,
        };
        let password = this.folder.path().join("password");
        fs::write(&password, &this.password)?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o644))?;
        let mut initdb = this.command("initdb");
        initdb.args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8"]);
        initdb.args(["--locale=C", "--pwfile"]).arg(&password);
        let made = initdb.output().await?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        this.start_again().await?;
        Ok(this)
    }

    fn url(&self) -> String {
        let (password, port) = (&self.password, self.port);
        format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.arg("-D").arg(self.folder.path().join("data"));
        command
    }

    /// Starts it on what it has, and waits until it answers.
    ///
    /// # Errors
    /// If it does not.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        let log = self.folder.path().join("log");
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let runs = self.process.as_mut().map(Process::still_runs);
            // The processes of a server that was killed end a moment later; until then another refuses to start.
            if !matches!(runs, Some(Ok(()))) {
                let log = fs::File::options().create(true).append(true).open(&log)?;
                let mut command = self.command("postgres");
                command.args(["-p", &self.port.to_string(), "-k", ""]);
                command.args(["-c", "listen_addresses=127.0.0.1"]);
                command.args(["-c", "max_connections=200"]).stderr(log);
                self.process = Some(Process::start(&mut command)?);
            }
            if Database::connect(&self.url()).await.is_ok() {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        bail!("PostgreSQL does not answer: {}", fs::read_to_string(log)?)
    }
}

impl Killed for Postgres {
    fn process(&mut self) -> Option<Process> {
        self.process.take()
    }
}

impl Redis {
    /// Starts one.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let mut this = Self {
            process: None,
            port: free_port()?,
            password: alphanumeric(20, &SystemRandom),
            folder: tempfile::tempdir()?,
        };
        // In a file, for command lines are for everybody to see.
        let configuration = format!(
            "bind 127.0.0.1\nport {}\nrequirepass {}\ndir {}\nsave \"\"\nappendonly no\nmaxmemory-policy noeviction\nlogfile log\n",
            this.port,
            this.password,
            this.folder.path().display()
        );
        fs::write(this.configuration(), configuration)?;
        this.start_again().await?;
        Ok(this)
    }

    fn url(&self) -> String {
        format!("redis://default:{}@127.0.0.1:{}", self.password, self.port)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("redis.conf")
    }

    /// Starts it empty, and waits until it answers.
    ///
    /// # Errors
    /// If it does not.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("redis-server");
        let mut process = Process::start(command.arg(self.configuration()))?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            process.still_runs().context("redis-server")?;
            let client = redis::Client::open(self.url())?;
            // It says who it is, and so is answered.
            if client.get_multiplexed_async_connection().await.is_ok() {
                self.process = Some(process);
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        bail!("Redis does not answer")
    }
}

impl Killed for Redis {
    fn process(&mut self) -> Option<Process> {
        self.process.take()
    }
}

/// The newest PostgreSQL whose programs can be found: Debian keeps them off the path.
fn newest() -> anyhow::Result<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let has = |folder: &PathBuf| folder.join("initdb").is_file();
    let newest = debian.filter(has).max_by_key(|folder| version(folder));
    newest.context("PostgreSQL is not installed: /usr/lib/postgresql holds no initdb; name its folder with --postgres-programs")
}

fn version(folder: &Path) -> Option<u32> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Who PostgreSQL runs as: `postgres` where we are root.
async fn user() -> anyhow::Result<Option<(u32, u32)>> {
    if id(&["-u"]).await? != 0 {
        return Ok(None);
    }
    let uid = id(&["-u", "postgres"]).await;
    let uid = uid.context("PostgreSQL does not run as root, and there is no user postgres")?;
    Ok(Some((uid, id(&["-g", "postgres"]).await?)))
}

async fn id(args: &[&str]) -> anyhow::Result<u32> {
    let told = Command::new("id").args(args).output().await?;
    Ok(String::from_utf8(told.stdout)?.trim().parse()?)
}
