//! Reads the URL, connects, and refuses a Redis that forgets.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use ::redis::cluster::ClusterClientBuilder;
use ::redis::cluster_async::ClusterConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult, Value,
    from_redis_value,
};
use secrecy::ExposeSecret;
use shared_protocol::time::Clock;
use thiserror::Error;

use super::super::metrics::EphemeralMetrics;
use super::super::{EphemeralError, Result, Settings};
use super::{Redis, answer};

/// The oldest version this is tested to be right with.
const OLDEST: (u32, u32) = (6, 2);

/// What a URL names.
pub(in super::super) enum Target {
    Memory,
    Single(Box<ConnectionInfo>),
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Messages never repeat the URL: it may hold a password.
    pub(in super::super) fn parse(settings: &Settings) -> Result<Self> {
        let url = settings.url.expose_secret();
        if url == "memory" {
            return Ok(Self::Memory);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if settings.prefix.is_empty() || !settings.prefix.chars().all(allowed) {
            return refuse(
                "the prefix of the ephemeral store's keys takes ASCII letters, digits, `-`, `_`, `.` and `:`",
            );
        }
        // A fragment could turn the verification of certificates off.
        let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.contains('#')) else {
            return malformed();
        };
        match scheme {
            "redis" | "rediss" => Ok(Self::Single(Box::new(server(scheme, rest)?))),
            "redis+cluster" => Ok(Self::Cluster(servers("redis", rest)?)),
            "rediss+cluster" => Ok(Self::Cluster(servers("rediss", rest)?)),
            _ => malformed(),
        }
    }
}

fn server(scheme: &str, rest: &str) -> Result<ConnectionInfo> {
    let parsed = format!("{scheme}://{rest}").into_connection_info();
    let Ok(server) = parsed else {
        return malformed();
    };
    // Without it, a server that vanished without a word holds a dead connection for a quarter of an hour.
    let tcp = TcpSettings::default();
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(Duration::from_secs(5));
    Ok(server.set_tcp_settings(tcp))
}

fn servers(scheme: &str, rest: &str) -> Result<Vec<ConnectionInfo>> {
    let (credentials, hosts) = match rest.rsplit_once('@') {
        Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
        None => (String::new(), rest),
    };
    let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
    if hosts.contains('/') {
        return refuse("a Redis Cluster has no numbered databases: leave the path off the URL");
    }
    hosts
        .split(',')
        .map(|host| server(scheme, &format!("{credentials}{host}")))
        .collect()
}

fn malformed<T>() -> Result<T> {
    refuse(
        "the URL of the ephemeral store is not one of `memory`, `redis[s]://[user:password@]host[:port][/database]` and \
         `redis[s]+cluster://[user:password@]host:port,host:port`; special characters in a password are percent-encoded",
    )
}

fn refuse<T>(mend: impl Into<String>) -> Result<T> {
    Err(EphemeralError::Settings(mend.into()))
}

/// Connects to a single server.
pub(in super::super) async fn connect(
    server: ConnectionInfo,
    settings: &Settings,
    clock: Arc<dyn Clock>,
    meter: &Arc<EphemeralMetrics>,
) -> Result<Redis<ConnectionManager>> {
    let address = server.addr().to_string();
    // No retries: the next command tries again, and until then a caller is told at once.
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(settings.timeout))
        .set_response_timeout(Some(settings.timeout));
    let connecting = async {
        let client = Client::open(server)?;
        ConnectionManager::new_with_config(client, config).await
    };
    start(connecting, &address, settings, clock, meter).await
}

/// Connects to the Cluster that any of `seeds` knows.
pub(in super::super) async fn connect_cluster(
    seeds: Vec<ConnectionInfo>,
    settings: &Settings,
    clock: Arc<dyn Clock>,
    meter: &Arc<EphemeralMetrics>,
) -> Result<Redis<ClusterConnection>> {
    let mut addresses = String::new();
    for seed in &seeds {
        let comma = if addresses.is_empty() { "" } else { "," };
        let _ = write!(addresses, "{comma}{}", seed.addr());
    }
    let tcp = seeds.first().map(|seed| seed.tcp_settings().clone());
    // Following a slot that moved counts as a retry.
    let client = ClusterClientBuilder::new(seeds)
        .retries(3)
        .connection_timeout(settings.timeout)
        .response_timeout(settings.timeout)
        .tcp_settings(tcp.unwrap_or_default())
        .build();
    let connecting = async { client?.get_async_connection().await };
    start(connecting, &addresses, settings, clock, meter).await
}

async fn start<C: ConnectionLike + Clone + Send + Sync + 'static>(
    connecting: impl Future<Output = RedisResult<C>>,
    addresses: &str,
    settings: &Settings,
    clock: Arc<dyn Clock>,
    meter: &Arc<EphemeralMetrics>,
) -> Result<Redis<C>> {
    let named = |error: EphemeralError| match error {
        EphemeralError::Unavailable(source) => explain(addresses, &settings.prefix, source),
        EphemeralError::Full | EphemeralError::Settings(_) => error,
    };
    // Each attempt has its own time-out; a Cluster of which one seed hangs takes more than one.
    let mut connection = answer(4 * settings.timeout, connecting)
        .await
        .map_err(named)?;
    check(&mut connection, settings.timeout)
        .await
        .map_err(named)?;
    Redis::start(connection, &settings.prefix, settings.timeout, clock, meter)
        .await
        .map_err(named)
}

#[derive(Debug, Error)]
#[error("no answer from Redis at {addresses}: start it, or correct the URL of the ephemeral store")]
struct NoAnswer {
    addresses: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// A refusal of ours to be mended in the settings, or a server to be started.
fn explain(
    addresses: &str,
    prefix: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> EphemeralError {
    let credentials = source.downcast_ref::<RedisError>().is_some_and(|error| {
        error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
    });
    if credentials {
        return EphemeralError::Settings(format!(
            "Redis at {addresses} refuses the user or the password in the URL of the ephemeral store, or what they permit: \
             the user needs SET, GET, INCR, PEXPIRE, EVAL, EVALSHA, INFO and PING (in a Cluster also CLUSTER) on the keys `{{{prefix}:*`"
        ));
    }
    EphemeralError::Unavailable(Box::new(NoAnswer {
        addresses: addresses.to_owned(),
        source,
    }))
}

/// Asks the server, or every master of the Cluster, whether it can be relied on.
async fn check(connection: &mut impl ConnectionLike, timeout: Duration) -> Result<()> {
    let info = ::redis::cmd("INFO");
    let reports = answer(timeout, async {
        texts(info.query_async(connection).await?)
    })
    .await?;
    reports.iter().try_for_each(|report| judge(report))
}

/// It must be new enough, must never evict, and must name its history.
fn judge(report: &str) -> Result<()> {
    let field = |name: &str| {
        let mut lines = report.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| *key == name);
        found.map(|(_, value)| value).unwrap_or_default()
    };
    let version = field("redis_version");
    if !new_enough(version) {
        let (major, minor) = OLDEST;
        return refuse(format!(
            "Redis {version} is too old for the ephemeral store: use {major}.{minor} or newer"
        ));
    }
    let policy = field("maxmemory_policy");
    if policy != "noeviction" {
        return refuse(format!(
            "Redis with maxmemory-policy `{policy}` may forget what must not be used twice: \
             set maxmemory-policy to noeviction, or use a Redis of its own for the ephemeral store"
        ));
    }
    if field("master_replid").is_empty() {
        return refuse(
            "Redis reports no master_replid, so that a loss of its data could not be noticed: use another Redis",
        );
    }
    Ok(())
}

/// The text of one server, or of each master of a Cluster.
fn texts(info: Value) -> RedisResult<Vec<String>> {
    let texts = if let Value::Map(masters) = info {
        masters.into_iter().map(|(_, text)| text).collect()
    } else {
        vec![info]
    };
    texts
        .into_iter()
        .map(|text| from_redis_value(text).map_err(RedisError::from))
        .collect()
}

fn new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_cannot_be_relied_on_is_refused() {
        let good = "# Server\r\nredis_version:6.2.0\r\n\r\nmaxmemory_policy:noeviction\r\nmaster_replid:0a1b\r\n";
        assert!(judge(good).is_ok());
        assert!(judge(&good.replace("6.2.0", "10.0.1")).is_ok());
        for (from, to, named) in [
            ("6.2.0", "6.0.20", "6.2 or newer"),
            ("6.2.0", "5.9.9", "6.2 or newer"),
            ("6.2.0", "unstable", "6.2 or newer"),
            ("redis_version", "other_version", "6.2 or newer"),
            ("noeviction", "allkeys-lru", "allkeys-lru"),
            ("maxmemory_policy:noeviction", "", "noeviction"),
            ("master_replid:0a1b", "master_replid:", "master_replid"),
            ("master_replid:0a1b", "", "master_replid"),
        ] {
            match judge(&good.replace(from, to)) {
                Err(EphemeralError::Settings(mend)) => assert!(mend.contains(named), "{mend}"),
                other => panic!("{from} -> {to}: {other:?}"),
            }
        }
    }
}
