//! Both servers and the app, from their settings to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use auth_server::config::Mode;
use auth_server::server::{AuthServer, World};
use axum::Router;
use prometheus::Registry;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use shared_server::telemetry::{self, HttpMetrics};
use shared_server::web::{self, BindError, Limits, Listener, Observed, Shutdown};
use tokio::task::JoinSet;

use crate::app::{self, AppSettings};
use crate::certificates;
use crate::demo::Demo;
use crate::flags::Flags;
use crate::folder::Folder;
use crate::guide;
use crate::ready;
use crate::seed::Seed;
use crate::settings::{self, Settings};

/// How long both may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts both servers and the app, prints how to use them, and serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// Whatever keeps them from starting, with the mend.
pub(crate) async fn run(flags: Flags, environment: Vec<(String, String)>) -> anyhow::Result<()> {
    let settings = Settings::read(&flags, environment)?;
    anyhow::ensure!(
        settings.auth.mode == Mode::Development,
        "the quickstart is for development; serve with `auth-server serve` and `resource-api serve` where mode is \"production\""
    );
    anyhow::ensure!(
        !settings.auth.tls.is_on() && !settings.api.tls.is_on(),
        "the quickstart speaks plain http on this machine; take tls.certificate and tls.key out, or serve with `auth-server serve` and `resource-api serve`"
    );
    let traces = telemetry::init(&settings.auth.log, &settings.auth.traces)?;
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
    let mtls_listener = bind(&settings.auth.mtls.listen, "--mtls-port").await?;
    if !settings.auth.mtls.listen.is_empty() {
        certificates::write(&folder, world.clock.now()).context("certificates")?;
    }
    let addresses = listener.addresses();
    let app_listener = bind(&settings::loopback(settings.app_port), "--app-port").await?;
    let api = resource_api::Server::build(
        settings.api.clone(),
        Arc::clone(&world.clock),
        Arc::clone(&world.random),
    )
    .await
    .context("resource API")?;
    traces.register(api.registry())?;
    let api = api
        .bind()
        .await
        .map_err(|error| in_words(&error, "--api-port"))?;
    let api_addresses = api.addresses();
    let auth = AuthServer::open(&settings.auth, &world, shutdown.clone())
        .await
        .context("authorization server")?
        .with_mtls(mtls_listener);
    traces.register(auth.registry())?;
    let seed = Seed {
        records: &auth.records,
        settings: &settings,
        folder: &folder,
        world: &world,
    };
    let demo = Box::pin(seed.sow(&flags)).await.context("demo data")?;
    let app = app(&demo, &settings, &world).context("demo app")?;

    let mut serving = JoinSet::new();
    serving.spawn(auth.serve(listener, operations));
    serving.spawn(api.serve(shutdown.clone()));
    let stop = shutdown.clone();
    serving.spawn(async move { web::serve(app_listener, app, &Limits::default(), stop).await });
    tokio::select! {
        () = shutdown.triggered() => {}
        answered = ready::both([&addresses, &api_addresses], PATIENCE) => {
            answered?;
            guide::print(&demo, &settings, &flags.data)?;
        }
    }
    while let Some(ended) = serving.join_next().await {
        // None ends by itself; if one broke, the others must not go on as if nothing were.
        shutdown.trigger();
        ended.context("a server broke; see the log")?;
    }
    traces.finish().await;
    Ok(())
}

fn app(demo: &Demo, settings: &Settings, world: &World) -> anyhow::Result<Router> {
    let observed = Observed {
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
        // Of its own: nobody reads them.
        metrics: HttpMetrics::register(&Registry::new())?,
        limits: Limits::default(),
        edge: web::Edge::default(),
        refusals: None,
    };
    let settings = AppSettings {
        port: settings.app_port,
        issuer: demo.issuer.clone(),
        api: demo.api.clone(),
        client_id: demo.app.client_id.clone(),
    };
    app::router(settings, &observed)
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
