//! PostgreSQL: how a connection comes to be.

use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionError;
use diesel::dsl::sql;
use diesel::sql_types::Integer;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::FutureExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{PostgresAddress, Roots, Tls};
use super::error::chain;
use super::{Conn, DbError, Result};

/// Makes connections.
pub(super) struct Connector {
    config: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
    statement_timeout: Duration,
}

impl Connector {
    pub(super) fn new(address: PostgresAddress, statement_timeout: Duration) -> Result<Self> {
        let tls = match address.tls {
            Tls::Off => None,
            Tls::Verify(roots) => Some(MakeRustlsConnect::new(client_config(&roots)?)),
        };
        Ok(Self {
            config: address.config,
            tls,
            statement_timeout,
        })
    }

    pub(super) fn pool(self: &Arc<Self>, size: usize) -> Result<Pool<AsyncPgConnection>> {
        let connector = Arc::clone(self);
        let mut config = ManagerConfig::default();
        // Asking for each loan whether the connection is alive would cost a query; a dead one is found on first use.
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |_| {
            let connector = Arc::clone(&connector);
            async move { connector.connect(connector.statement_timeout).await }.boxed()
        });
        Pool::builder(AsyncDieselConnectionManager::new_with_config("", config))
            .max_size(size)
            .build()
            .map_err(|error| DbError::Settings(error.to_string()))
    }

    /// A connection of its own, whose statements may take as long as they need: for migrations.
    pub(super) async fn connect_unbounded(&self) -> diesel::ConnectionResult<AsyncPgConnection> {
        self.connect(Duration::ZERO).await
    }

    async fn connect(
        &self,
        statement_timeout: Duration,
    ) -> diesel::ConnectionResult<AsyncPgConnection> {
        let refused = |error: &tokio_postgres::Error| {
            ConnectionError::BadConnection(format!(
                "cannot connect to PostgreSQL at {}: {}; check the URL, its sslmode and that the server runs",
                self.place(),
                chain(error)
            ))
        };
        let mut conn = match &self.tls {
            None => {
                let (client, connection) =
                    self.config.connect(NoTls).await.map_err(|e| refused(&e))?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
            Some(tls) => {
                let (client, connection) = self
                    .config
                    .connect(tls.clone())
                    .await
                    .map_err(|e| refused(&e))?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
        };
        // A statement whose client is gone would otherwise run on and keep its locks.
        conn.batch_execute(&format!(
            "SET statement_timeout = {}; SET client_connection_check_interval = 1000",
            statement_timeout.as_millis()
        ))
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(conn)
    }

    /// Hosts and ports, for messages.
    fn place(&self) -> String {
        use tokio_postgres::config::Host;
        let ports = self.config.get_ports();
        let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate();
        let places: Vec<_> = hosts
            .map(|(at, host)| match host {
                Host::Tcp(name) => format!("{name}:{}", port(at)),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}:{}", path.display(), port(at)),
            })
            .collect();
        places.join(", ")
    }
}

fn client_config(roots: &Roots) -> Result<rustls::ClientConfig> {
    let mut store = rustls::RootCertStore::empty();
    match roots {
        Roots::Mozilla => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::File(path) => {
            let wrong = |why: String| {
                DbError::Settings(format!("`sslrootcert`, {}: {why}", path.display()))
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                store
                    .add(certificate)
                    .map_err(|error| wrong(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| DbError::Settings(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    // `sslnegotiation=direct` asks for it; others do not mind.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

/// The oldest major release that we test with.
const OLDEST: i32 = 15;

pub(super) async fn refuse_old_server(conn: &mut Conn) -> Result<()> {
    let Conn::Postgres(lease) = conn else {
        return Ok(());
    };
    let (c, running) = lease.statement()?;
    let version = diesel::select(sql::<Integer>("current_setting('server_version_num')::int"));
    let version: i32 = running.until(version.get_result(c)).await?;
    if version < OLDEST * 10_000 {
        return Err(DbError::Settings(format!(
            "the server is PostgreSQL {}; use {OLDEST} or later",
            version / 10_000
        )));
    }
    Ok(())
}
