//! Signing keys change under load, and nobody notices: every token verifies at the resource API and at verifiers that keep the
//! published keys for as long as they may.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use shared_server::config::Period;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::client::{Call, Client, member};
use crate::count;
use crate::drive::TOKEN;
use crate::outsider::Outsider;
use crate::servers::{AuthServer, ME, Programs, ResourceApi, Setup, Stores, output};

/// How long access tokens live. Each is verified when it is new and once more shortly before it expires.
const LIFETIME: (&str, Duration) = ("60s", Duration::from_mins(1));
/// How long before that.
const LATE: Duration = Duration::from_secs(5);
/// Between two rounds of one worker.
const PACE: Duration = Duration::from_millis(20);
/// How many failures are told.
const TOLD: usize = 10;

/// Rotates signing keys under mixed traffic; a token that does not verify anywhere is a failure.
///
/// Client credentials, code flow, refresh, introspection, userinfo and keys on all nodes in turns: two nodes over PostgreSQL and Redis,
/// else one. Every token goes to the resource API, and to verifiers of another library that keep the published keys for the whole of
/// `max-age`: when it is new and again before it expires.
#[derive(Args, Debug)]
pub(crate) struct Rotation {
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    stores: Stores,
    /// How long
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// From one rotation to the next; longer than --publish-ahead
    #[arg(long, default_value = "30s")]
    every: Period,
    /// `keys.publish_ahead`
    #[arg(long, default_value = "20s", value_name = "PERIOD")]
    publish_ahead: Period,
    /// `keys.jwks_max_age`
    #[arg(long, default_value = "10s", value_name = "PERIOD")]
    jwks_max_age: Period,
    /// Let `keys.rotate_every` do it instead of `auth-server keys rotate`
    #[arg(long)]
    by_schedule: bool,
    /// Clients at a time, each with a cache of its own
    #[arg(long, default_value_t = 8, value_parser = count(1..=256))]
    clients: usize,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    tokens: u64,
    verifications: u64,
    fetches: u64,
    rotations: u64,
    kids: BTreeSet<String>,
    failed: u64,
    failures: Vec<String>,
}

impl Seen {
    fn failed(&mut self, at: Duration, error: &anyhow::Error) {
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures
                .push(format!("{:.1} s: {error:#}", at.as_secs_f64()));
        }
    }

    /// Whether all is well, and was put to the test.
    fn passed(&self) -> bool {
        self.failed == 0 && self.tokens > 0 && self.rotations > 0 && self.kids.len() > 1
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rotations; {} tokens by {} keys, verified {} times outside and at the API, with keys fetched {} times; {} failures",
            self.rotations,
            self.tokens,
            self.kids.len(),
            self.verifications,
            self.fetches,
            self.failed
        )?;
        if self.kids.len() < 2 {
            writeln!(
                f,
                "no key ever took over from another: nothing was put to the test"
            )?;
        }
        self.failures
            .iter()
            .try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// What all clients share.
struct Traffic {
    server: AuthServer,
    began: Instant,
    until: Instant,
    seen: Mutex<Seen>,
}

/// One client, its connections, and the tokens that it will verify again.
struct Worker {
    nodes: Vec<Client>,
    api: Client,
    outsider: Outsider,
    again: VecDeque<(Instant, String)>,
}

impl Rotation {
    /// Runs and prints.
    ///
    /// # Errors
    /// If a server does not start.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let nodes = if self.stores.shared() { 2 } else { 1 };
        let mut settings = vec![
            ("keys.publish_ahead", self.publish_ahead.to_string()),
            ("keys.jwks_max_age", self.jwks_max_age.to_string()),
        ];
        if self.by_schedule {
            settings.push(("keys.rotate_every", self.every.to_string()));
        }
        let setup = Setup {
            nodes,
            settings,
            lifetime: LIFETIME.0,
            ..Setup::new(&self.programs, &self.stores)
        };
        let server = AuthServer::start(setup).await?;
        let api = ResourceApi::start(&server, &self.programs, &self.stores, &[]).await?;
        let began = Instant::now();
        let traffic = Arc::new(Traffic {
            server,
            began,
            until: began + Duration::from_secs_f64(self.minutes * 60.0),
            seen: Mutex::default(),
        });
        let mut running = JoinSet::new();
        for number in 0..self.clients {
            // Caches that fill at different times, all over the life of one.
            let wait = self.jwks_max_age.duration() / u32::try_from(self.clients)?;
            let wait = wait * u32::try_from(number)?;
            let worker = Worker::connect(&traffic.server, number).await?;
            running.spawn(worker.work(Arc::clone(&traffic), number, wait));
        }
        self.rotate(&traffic).await;
        running.join_all().await;
        drop(api);
        let seen = traffic.lock();
        let mut out = io::stdout();
        writeln!(out, "{nodes} nodes")?;
        write!(out, "{seen}")?;
        Ok(if seen.passed() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Rotates until the end, and says so.
    async fn rotate(&self, traffic: &Traffic) {
        let every = self.every.duration();
        let mut ticks = interval_at(traffic.began + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = 0;
        loop {
            let now = ticks.tick().await;
            if now >= traffic.until {
                return;
            }
            let rotated = if self.by_schedule {
                // Every key that there is but the first, for each algorithm.
                made_so_far(&traffic.server).await.map(|made| {
                    let more = made > known;
                    known = made;
                    more
                })
            } else {
                let command = traffic.server.installation.command(&["keys", "rotate"]);
                output::<Value>(command).await.map(|_| true)
            };
            let at = traffic.began.elapsed();
            let mut seen = traffic.lock();
            match rotated.context("keys rotate") {
                Ok(rotated) => seen.rotations += u64::from(rotated),
                Err(error) => seen.failed(at, &error),
            }
            eprintln!(
                "{:>6.0} s  {} rotations, {} tokens, {} keys, {} failures",
                at.as_secs_f64(),
                seen.rotations,
                seen.tokens,
                seen.kids.len(),
                seen.failed
            );
        }
    }
}

/// How many keys there ever were.
async fn made_so_far(server: &AuthServer) -> anyhow::Result<usize> {
    let command = server.installation.command(&["keys", "list"]);
    Ok(output::<Vec<Value>>(command).await?.len())
}

impl Traffic {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, done: anyhow::Result<()>) {
        if let Err(error) = done {
            self.lock().failed(self.began.elapsed(), &error);
        }
    }
}

impl Worker {
    async fn connect(server: &AuthServer, number: usize) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for node in &server.nodes {
            nodes.push(Client::connect(node.port).await?);
        }
        let own = server.nodes.get(number % server.nodes.len());
        Ok(Self {
            nodes,
            api: Client::connect(server.api_port).await?,
            outsider: Outsider::at(own.unwrap_or(server.first()).port),
            again: VecDeque::new(),
        })
    }

    /// Rounds until the end, then the last look at each token.
    async fn work(mut self, traffic: Arc<Traffic>, number: usize, wait: Duration) {
        sleep(wait).await;
        let mut round = number;
        while Instant::now() < traffic.until {
            let done = self.round(&traffic, round).await;
            traffic.note(done);
            let done = self.look_again(&traffic, Instant::now()).await;
            traffic.note(done);
            round += 1;
            sleep(PACE).await;
        }
        while let Some((due, _)) = self.again.front() {
            sleep(due.saturating_duration_since(Instant::now())).await;
            let done = self.look_again(&traffic, Instant::now()).await;
            traffic.note(done);
        }
        traffic.lock().fetches += self.outsider.fetches;
    }

    /// The node whose turn it is.
    fn node(&mut self, turn: usize) -> anyhow::Result<&mut Client> {
        let count = self.nodes.len();
        self.nodes.get_mut(turn % count).context("no node")
    }

    /// One of everything: each request goes to another node than the one before it.
    async fn round(&mut self, traffic: &Traffic, turn: usize) -> anyhow::Result<()> {
        let server = &traffic.server;
        let form = "grant_type=client_credentials&scope=profile:read";
        let basic = server.client.basic();
        let call = Call::post(TOKEN, form).authorized(&basic);
        let issued = self
            .node(turn)?
            .ok(call)
            .await
            .context("client credentials")?;
        let token = member(&issued, "access_token")?;
        self.verify(traffic, &token).await?;
        self.introspect(server, turn + 1, &token).await?;

        let form = server.code_flow().authorized(self.node(turn)?).await?;
        let call = Call::post(TOKEN, form);
        let issued = self.node(turn + 1)?.ok(call).await.context("code flow")?;
        self.verify_person(traffic, turn, &issued).await?;

        let form = server.refresh_form() + &member(&issued, "refresh_token")?;
        let call = Call::post(TOKEN, form);
        let issued = self.node(turn)?.ok(call).await.context("refresh")?;
        self.verify_person(traffic, turn + 1, &issued).await
    }

    /// What a person's app got: an access token, which userinfo takes too, and an ID token.
    async fn verify_person(
        &mut self,
        traffic: &Traffic,
        turn: usize,
        issued: &[u8],
    ) -> anyhow::Result<()> {
        let token = member(issued, "access_token")?;
        self.verify(traffic, &token).await?;
        let bearer = format!("Bearer {token}");
        let call = Call::get("/oauth/userinfo").authorized(&bearer);
        self.node(turn)?.ok(call).await.context("userinfo")?;
        let id_token = member(issued, "id_token")?;
        let kid = self
            .outsider
            .verify(&id_token)
            .await
            .context("an ID token")?;
        traffic.lock().kids.insert(kid);
        Ok(())
    }

    /// An access token that is new: here now and again later, and at the API.
    async fn verify(&mut self, traffic: &Traffic, token: &str) -> anyhow::Result<()> {
        traffic.lock().tokens += 1;
        let due = Instant::now() + LIFETIME.1.saturating_sub(LATE);
        self.again.push_back((due, token.to_owned()));
        self.everywhere(traffic, token).await.context("a new token")
    }

    async fn everywhere(&mut self, traffic: &Traffic, token: &str) -> anyhow::Result<()> {
        let kid = self.outsider.verify(token).await.context("outside")?;
        let bearer = format!("Bearer {token}");
        let call = Call::get(ME).authorized(&bearer);
        self.api.ok(call).await.context("at the API")?;
        let mut seen = traffic.lock();
        seen.verifications += 1;
        seen.kids.insert(kid);
        Ok(())
    }

    /// Tokens that expire soon are verified once more.
    async fn look_again(&mut self, traffic: &Traffic, now: Instant) -> anyhow::Result<()> {
        while let Some((_, token)) = self.again.pop_front_if(|(due, _)| *due <= now) {
            self.everywhere(traffic, &token)
                .await
                .context("a token that expires soon")?;
        }
        Ok(())
    }

    async fn introspect(
        &mut self,
        server: &AuthServer,
        turn: usize,
        token: &str,
    ) -> anyhow::Result<()> {
        let basic = server.introspector.basic();
        let call = Call::post("/oauth/introspect", format!("token={token}")).authorized(&basic);
        let body = self.node(turn)?.ok(call).await.context("introspection")?;
        let answer: Value = serde_json::from_slice(&body)?;
        let active = answer.get("active") == Some(&Value::Bool(true));
        anyhow::ensure!(active, "introspection: a new token is not active");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_passes_without_failures_and_with_a_key_that_took_over() {
        let good = || Seen {
            tokens: 10,
            rotations: 1,
            kids: ["a".to_owned(), "b".to_owned()].into(),
            ..Seen::default()
        };
        assert!(good().passed());
        let mut failed = good();
        for second in 0..20 {
            failed.failed(Duration::from_secs(second), &anyhow::anyhow!("no key"));
        }
        assert!(!failed.passed());
        assert_eq!(failed.failures.len(), TOLD);
        assert!(failed.to_string().contains("0.0 s: no key"), "{failed}");
        let mut untested = good();
        untested.kids.clear();
        assert!(!untested.passed());
        assert!(untested.to_string().contains("put to the test"));
    }
}
