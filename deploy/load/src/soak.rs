//! Very many flows with short lifetimes, and what is left of them when all has expired: nothing (threat 36).

mod judge;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use hyper::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::judge::{Sample, verdict};
use crate::client::{Call, Client, member};
use crate::count;
use crate::drive::TOKEN;
use crate::kept::{Database, Redis, entries};
use crate::servers::{AuthServer, Programs, Setup, Stores};

/// Settings under which everything expires soon: `sessions.idle` takes no less than five minutes.
const SETTINGS: &[(&str, &str)] = &[
    ("authorization.code_lifetime", "5s"),
    ("authorization.interaction_lifetime", "1m"),
    ("authorization.interactions_per_address", "0"),
    ("client_authentication.failures", "10000000"),
    ("client_authentication.address_failures", "10000000"),
    ("sessions.idle", "5m"),
    ("sessions.absolute", "1h"),
    ("refresh_tokens.idle", "30s"),
    ("refresh_tokens.absolute", "1m"),
    ("refresh_tokens.grace", "2s"),
    ("retention.every", "10s"),
    ("retention.sessions", "1s"),
    ("retention.grants", "10s"),
    ("retention.revocations", "1s"),
    ("retention.changes", "1m"),
    ("explain.keep", "1m"),
];
/// How long access tokens live.
const LIFETIME: &str = "10s";
/// Between two lines of the table.
const EVERY: Duration = Duration::from_secs(10);
/// One flow of so many signs a person in anew, by password.
const SIGN_IN: usize = 500;

/// Runs flows with short lifetimes, waits until all has expired, and compares what is kept with what was kept before.
///
/// Code flow, refresh, revocation, client credentials, introspection, wrong secrets, abandoned interactions and codes that expire. Then
/// rows of every table, entries of the ephemeral store, memory of the process and bytes of the database must be back at their base
/// line, taken after a warm-up of the same flows.
#[derive(Args, Debug)]
pub(crate) struct Soak {
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    stores: Stores,
    /// How many flows
    #[arg(long, default_value_t = 200_000, value_parser = count(1..=100_000_000))]
    flows: usize,
    /// How many of them come before the base line [default: one of ten, so that bounded memories are full]
    #[arg(long, value_parser = count(1..=1_000_000))]
    warm_up: Option<usize>,
    /// Flows at a time
    #[arg(long, default_value_t = 16, value_parser = count(1..=1024))]
    connections: usize,
    /// Minutes to wait for the base line after the last flow
    #[arg(long, default_value_t = 9.0)]
    wait: f64,
}

/// A server under soak, and what looks at it.
struct Watched {
    server: AuthServer,
    database: Database,
    redis: Option<Redis>,
    began: Instant,
}

impl Soak {
    /// Runs and prints.
    ///
    /// # Errors
    /// If a server does not start, or a flow goes other than it must.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = SETTINGS
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()));
        let setup = Setup {
            settings: settings.collect(),
            lifetime: LIFETIME,
            ..Setup::new(&self.programs, &self.stores)
        };
        let server = AuthServer::start(setup).await?;
        let mut watched = Watched {
            database: Database::connect(server.installation.database()).await?,
            redis: match &self.stores.redis {
                Some(url) => Some(Redis::connect(url).await.context("--redis")?),
                None => None,
            },
            server,
            began: Instant::now(),
        };
        let warm_up = self.warm_up.unwrap_or(self.flows.div_ceil(10));
        println_now(&Sample::heading())?;
        let mut samples = Vec::new();
        watched
            .flow(0..warm_up, self.connections, &mut samples)
            .await?;
        let base = watched.sample(warm_up).await?;
        println_now(&base.line())?;
        samples.clear();
        let flows = warm_up..warm_up.saturating_add(self.flows);
        let end = flows.end;
        watched.flow(flows, self.connections, &mut samples).await?;
        let last = watched.settle(end, &base, self.wait, &mut samples).await?;
        let (table, passed) = verdict(&base, &samples, &last);
        println_now(&table)?;
        Ok(if passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// A line for somebody who watches.
fn println_now(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", text.trim_end())?;
    out.flush()
}

impl Watched {
    /// Runs flows, and tells every ten seconds what is kept.
    async fn flow(
        &mut self,
        numbers: std::ops::Range<usize>,
        connections: usize,
        samples: &mut Vec<Sample>,
    ) -> anyhow::Result<()> {
        let first = numbers.start;
        let next = Arc::new(AtomicUsize::new(first));
        let script = Arc::new(Script::of(&self.server));
        let mut running = JoinSet::new();
        for _ in 0..connections {
            let runner = Runner {
                client: Client::connect(self.server.first().port).await?,
                cookie: script.cookie.clone(),
                script: Arc::clone(&script),
            };
            running.spawn(runner.run(Arc::clone(&next), numbers.end));
        }
        let mut sign_ins = 0;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while !running.is_empty() {
            tokio::select! {
                Some(ended) = running.join_next() => ended??,
                _ = ticks.tick() => {
                    let done = next.load(Ordering::Relaxed).min(numbers.end);
                    // A browser comes, signs in and is not seen again.
                    while sign_ins * SIGN_IN < done.saturating_sub(first) {
                        self.server.sign_in().await.context("signing in")?;
                        sign_ins += 1;
                    }
                    let sample = self.sample(done).await?;
                    println_now(&sample.line())?;
                    samples.push(sample);
                }
            }
        }
        Ok(())
    }

    /// Waits until all is back at the base line, or for so many minutes.
    async fn settle(
        &mut self,
        flows: usize,
        base: &Sample,
        minutes: f64,
        samples: &mut Vec<Sample>,
    ) -> anyhow::Result<Sample> {
        let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.database.vacuum().await?;
            let sample = self.sample(flows).await?;
            println_now(&sample.line())?;
            let settled = verdict(base, samples, &sample).1;
            if settled || Instant::now() >= until {
                return Ok(sample);
            }
            samples.push(sample);
        }
    }

    /// What is kept now.
    async fn sample(&mut self, flows: usize) -> anyhow::Result<Sample> {
        let entries = match &mut self.redis {
            Some(redis) => Some(redis.keys().await?),
            None => match self.server.installation.operations_port(0) {
                Some(port) => entries(port).await?,
                None => None,
            },
        };
        let (memory_kib, _) = self.server.first().process.memory()?;
        Ok(Sample {
            at: self.began.elapsed(),
            flows,
            rows: self.database.rows().await?,
            entries,
            memory_kib,
            bytes: self.database.bytes().await?,
        })
    }
}

/// What the requests of all flows are made of.
struct Script {
    authorize: String,
    cookie: String,
    redeem: String,
    refresh: String,
    revoke: String,
    client: String,
    wrong: String,
    introspector: String,
}

impl Script {
    fn of(server: &AuthServer) -> Self {
        let flow = server.code_flow();
        Self {
            authorize: flow.authorize,
            cookie: flow.cookie,
            redeem: flow.form,
            refresh: server.refresh_form(),
            revoke: server.revoke_form(),
            client: server.client.basic(),
            wrong: server.client.wrong(),
            introspector: server.introspector.basic(),
        }
    }
}

/// One connection of flows.
struct Runner {
    client: Client,
    cookie: String,
    script: Arc<Script>,
}

impl Runner {
    async fn run(mut self, next: Arc<AtomicUsize>, end: usize) -> anyhow::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return Ok(());
            }
            let done = self.flow(number).await;
            done.with_context(|| format!("flow {number}"))?;
        }
    }

    /// A person signs in to an app, which lives on; every so often something goes as it should not.
    async fn flow(&mut self, number: usize) -> anyhow::Result<()> {
        let script = Arc::clone(&self.script);
        let client = &mut self.client;
        let code = client.code(&script.authorize, &self.cookie).await?;
        // An app that is gone: its code expires.
        if !number.is_multiple_of(10) {
            let call = Call::post(TOKEN, format!("{}{code}", script.redeem));
            let issued = client.ok(call).await.context("code")?;
            let token = member(&issued, "refresh_token")?;
            let call = Call::post(TOKEN, format!("{}{token}", script.refresh));
            let issued = client.ok(call).await.context("refresh")?;
            if number.is_multiple_of(2) {
                let token = member(&issued, "refresh_token")?;
                let call = Call::post("/oauth/revoke", format!("{}{token}", script.revoke));
                client.ok(call).await.context("revocation")?;
            }
        }
        if number.is_multiple_of(4) {
            self.service().await?;
        }
        if number.is_multiple_of(10) {
            self.refused().await?;
        }
        Ok(())
    }

    /// A service gets a token, and its resource server asks about it.
    async fn service(&mut self) -> anyhow::Result<()> {
        let form = "grant_type=client_credentials&scope=profile:read";
        let call = Call::post(TOKEN, form).authorized(&self.script.client);
        let issued = self.client.ok(call).await.context("client credentials")?;
        let mut form = String::from("token=");
        write!(form, "{}", member(&issued, "access_token")?)?;
        let call = Call::post("/oauth/introspect", form).authorized(&self.script.introspector);
        self.client
            .ok(call)
            .await
            .context("introspection")
            .map(drop)
    }

    /// A secret that is wrong, and a person who comes and does not sign in.
    async fn refused(&mut self) -> anyhow::Result<()> {
        let call =
            Call::post(TOKEN, "grant_type=client_credentials").authorized(&self.script.wrong);
        let answer = self.client.send(call).await?;
        let expected = answer.status == StatusCode::UNAUTHORIZED;
        ensure!(expected, "a wrong secret: {}", answer.describe());
        let call = Call::get(&self.script.authorize);
        let answer = self.client.send(call).await?;
        let expected = answer.status.is_redirection() || answer.status == StatusCode::OK;
        ensure!(expected, "an interaction: {}", answer.describe());
        Ok(())
    }
}
