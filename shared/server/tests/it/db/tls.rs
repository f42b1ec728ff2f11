//! A real server that speaks TLS: only the one whose chain and name are right is spoken to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use diesel::QueryableByName;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;
use shared_server::db::{DbError, Settings, Store};
use shared_server::on;
use shared_testing::databases::PostgresDatabase;
use tempfile::TempDir;

/// A server of its own, stopped when dropped. Asks for a password by SCRAM, which binds itself to the channel.
struct Server {
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
}

impl Server {
    fn start(certificate: &str, key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            binaries: binaries(),
            port: socket.local_addr().unwrap().port(),
            folder,
        };
        drop(socket);
        let path = server.folder.path();
        for (name, text) in [
            ("password", "s3cret"),
            ("server.crt", certificate),
            ("server.key", key),
        ] {
            std::fs::write(path.join(name), text).unwrap();
        }
        if runs_as_root() {
            // PostgreSQL refuses to run as root.
            run(Command::new("chown").arg("-R").arg("postgres").arg(path));
        }
        run(Command::new("chmod")
            .arg("0600")
            .arg(path.join("server.key")));
        run(server
            .program("initdb")
            .args(["-U", "postgres", "-A", "scram-sha-256", "--no-sync"])
            .arg("--pwfile")
            .arg(path.join("password")));
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={path} -c fsync=off -c ssl=on \
             -c ssl_cert_file={path}/server.crt -c ssl_key_file={path}/server.key",
            server.port,
            path = path.display(),
        );
        run(server
            .program("pg_ctl")
            .args(["-w", "-o", &options, "-l"])
            .arg(path.join("log"))
            .arg("start"));
        server
    }

    fn program(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        let mut command = if runs_as_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.folder.path())
            .arg("-D")
            .arg(self.folder.path().join("data"));
        command
    }

    fn settings(&self, host: &str, parameters: &str) -> Settings {
        let port = self.port;
        let url = format!("postgres://postgres:s3cret@{host}:{port}/postgres?{parameters}");
        Settings::new(url.into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        // A start that failed has nothing to stop.
        let _ = stop.args(["-m", "immediate", "stop"]).output();
    }
}

fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(|folder| {
        let found = folder.map(|entry| entry.unwrap().path().join("bin"));
        found.filter(|path| path.join("initdb").exists()).max()
    });
    versions
        .ok()
        .flatten()
        .expect("PostgreSQL is installed under /usr/lib/postgresql, as deploy/test does")
}

fn runs_as_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

fn authority() -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap()
}

#[derive(QueryableByName)]
struct Encrypted {
    #[diesel(sql_type = Bool)]
    ssl: bool,
}

async fn is_encrypted(store: &Store) -> bool {
    let mut conn = store.read().await.unwrap();
    let query = diesel::sql_query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let row: Encrypted = on!(&mut conn, |c| query.get_result(c)).unwrap();
    row.ssl
}

#[tokio::test]
async fn only_a_server_with_the_right_chain_and_name_is_spoken_to() {
    let (right, wrong) = (authority(), authority());
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &right)
        .unwrap();
    let server = Server::start(&certificate.pem(), &key.serialize_pem());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let right = file("right.pem", &right.pem());
    let wrong = file("wrong.pem", &wrong.pem());
    let empty = file("empty.pem", "");
    let roots = |mode: &str, file: &Path| format!("{mode}sslrootcert={}", file.display());

    for (parameters, encrypted) in [
        (roots("sslmode=verify-full&", &right), true),
        (roots("sslmode=verify-ca&", &right), true),
        (roots("sslmode=require&", &right), true),
        (
            roots("sslmode=require&sslnegotiation=postgres&", &right),
            true,
        ),
        (roots("", &right), true),
        ("sslmode=disable".to_owned(), false),
        (String::new(), false),
    ] {
        let store = Store::connect(&server.settings("localhost", &parameters)).await;
        let store = store.unwrap_or_else(|error| panic!("{parameters}: {error}"));
        assert_eq!(is_encrypted(&store).await, encrypted, "{parameters}");
    }

    for (what, host, parameters, why) in [
        (
            "another root of the same name",
            "localhost",
            roots("sslmode=verify-full&", &wrong),
            "BadSignature",
        ),
        (
            "another root, not asked to verify",
            "localhost",
            roots("sslmode=require&", &wrong),
            "BadSignature",
        ),
        (
            "Mozilla's roots",
            "localhost",
            "sslmode=require".to_owned(),
            "UnknownIssuer",
        ),
        (
            "another name",
            "127.0.0.1",
            roots("sslmode=verify-full&", &right),
            "not valid for name",
        ),
        (
            "another name, not asked to look",
            "127.0.0.1",
            roots("sslmode=require&", &right),
            "not valid for name",
        ),
        (
            "no root",
            "localhost",
            roots("sslmode=require&", &empty),
            "no certificate",
        ),
        (
            "no file",
            "localhost",
            roots("", Path::new("/nowhere.pem")),
            "/nowhere.pem",
        ),
    ] {
        let Err(error) = Store::connect(&server.settings(host, &parameters)).await else {
            panic!("{what} was spoken to");
        };
        let error = error.to_string();
        assert!(error.contains(why), "{what}: {error}");
        assert!(!error.contains("s3cret"), "{what}: {error}");
    }

    let mut settings = server.settings("localhost", &roots("", &right));
    settings.url = format!(
        "postgres://postgres:hunter2@localhost:{}/postgres?{}",
        server.port,
        roots("", &right)
    )
    .into();
    let Err(DbError::Unavailable(message)) = Store::connect(&settings).await else {
        panic!("a wrong password was taken");
    };
    assert!(
        message.contains("password authentication failed"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let database = PostgresDatabase::create("server", &super::MIGRATIONS).await;
    let mut settings = database.settings();
    let url = secrecy::ExposeSecret::expose_secret(&settings.url).to_owned();
    settings.url = format!("{url}sslmode=require").into();
    let Err(DbError::Unavailable(message)) = Store::connect(&settings).await else {
        panic!("spoken to in the clear");
    };
    assert!(message.contains("does not support TLS"), "{message}");
}
