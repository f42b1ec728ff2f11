//! Both servers, from their settings to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use auth_server::config::Mode;
use auth_server::server::{AuthServer, World};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use shared_server::telemetry;
use shared_server::web::{BindError, Listener, Shutdown};
use tokio::task::JoinSet;

use crate::flags::Flags;
use crate::folder::Folder;
use crate::guide;
use crate::ready;
use crate::seed::Seed;
use crate::settings::Settings;

/// How long both may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts both servers, prints how to use them, and serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// Whatever keeps them from starting, with the mend.
pub(crate) async fn run(flags: Flags, environment: Vec<(String, String)>) -> anyhow::Result<()> {
    let settings = Settings::read(&flags, environment)?;
    anyhow::ensure!(
        settings.auth.mode == Mode::Development,
        "the quickstart is for development; serve with `auth-server serve` and `resource-api serve` where mode is \"production\""
    );
    telemetry::init(&settings.auth.log)?;
    let shutdown = Shutdown::new();
    shutdown.on_signal()?;
    let world = World {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    let folder = Folder::open(&flags.data)?;

    // All addresses before anything is seeded for them, and before either serves.
    let listener = bind(&settings.auth.server.listen, "--auth-port").await?;
    let operations = bind(
        &settings.auth.server.operations_listen,
        "server.operations_listen",
    )
    .await?;
    let addresses = listener.addresses();
    let api = resource_api::Server::build(
        settings.api.clone(),
        Arc::clone(&world.clock),
        Arc::clone(&world.random),
    )
    .await
    .context("resource API")?
    .bind()
    .await
    .map_err(|error| in_words(&error, "--api-port"))?;
    let api_addresses = api.addresses();
    let auth = AuthServer::open(&settings.auth, &world, shutdown.clone())
        .await
        .context("authorization server")?;
    let seed = Seed {
        records: &auth.records,
        settings: &settings,
        folder: &folder,
        world: &world,
    };
    let demo = seed.sow(&flags).await.context("demo data")?;

    let mut serving = JoinSet::new();
    serving.spawn(auth.serve(listener, operations));
    serving.spawn(api.serve(shutdown.clone()));
    tokio::select! {
        () = shutdown.triggered() => {}
        answered = ready::both([&addresses, &api_addresses], PATIENCE) => {
            answered?;
            guide::print(&demo, &flags.data)?;
        }
    }
    while let Some(ended) = serving.join_next().await {
        // Neither ends by itself; if one broke, the other must not go on as if nothing were.
        shutdown.trigger();
        ended.context("a server broke; see the log")?;
    }
    Ok(())
}

async fn bind(addresses: &[SocketAddr], setting: &str) -> anyhow::Result<Listener> {
    Listener::bind(addresses)
        .await
        .map_err(|error| in_words(&error, setting))
}

/// The flag is the mend here, where the message of the listener names the setting of a file.
fn in_words(error: &BindError, setting: &str) -> anyhow::Error {
    if error.source.kind() == std::io::ErrorKind::AddrInUse {
        anyhow::anyhow!(
            "{} is in use; stop the program that has it, or choose another port with {setting}",
            error.address
        )
    } else {
        anyhow::anyhow!("{error} ({setting})")
    }
}
