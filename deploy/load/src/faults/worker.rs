//! One client of everything: it keeps what it is issued, and tries again as it is told to, at the other node.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hyper::header::LOCATION;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::seen::{Kind, Met, Seen};
use crate::client::{Answer, Call, Client, member};
use crate::drive::TOKEN;
use crate::servers::{AuthServer, ME};

/// Between two rounds.
const PACE: Duration = Duration::from_millis(20);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(200);
/// For how long something is tried: as long as a code is good.
const PATIENCE: Duration = Duration::from_secs(55);

/// What all clients share.
pub(super) struct Traffic {
    /// The server, without its nodes.
    pub(super) server: AuthServer,
    /// Where the nodes listen.
    pub(super) ports: Vec<u16>,
    /// What was met.
    pub(super) seen: Mutex<Seen>,
    /// How often Redis went away with all that it held.
    pub(super) losses: AtomicU64,
    /// Whether clients are to end.
    pub(super) ends: AtomicBool,
}

impl Traffic {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }
}

/// One client.
pub(super) struct Worker {
    traffic: Arc<Traffic>,
    /// Connections to each node and to the API.
    clients: Vec<Option<Client>>,
    /// The last refresh token that it was issued in its long life.
    chain: Option<String>,
    /// Access tokens whose grants were revoked, and when.
    dead: Vec<(String, Instant)>,
    turn: usize,
    /// Whether what it meets counts.
    counts: bool,
}

impl Worker {
    pub(super) fn new(traffic: &Arc<Traffic>, turn: usize, counts: bool) -> Self {
        Self {
            traffic: Arc::clone(traffic),
            clients: traffic.ports.iter().map(|_| None).chain([None]).collect(),
            chain: None,
            dead: Vec::new(),
            turn,
            counts,
        }
    }

    /// Rounds until the end.
    pub(super) async fn work(mut self) -> Self {
        while !self.traffic.ends() {
            if let Err(error) = self.round().await {
                self.traffic.seen().wrong(format!("{error:#}"));
            }
            self.turn += 1;
            sleep(PACE).await;
        }
        self
    }

    /// One of everything, each at another node than the one before. What is refused without an excuse is an error.
    async fn round(&mut self) -> anyhow::Result<()> {
        let traffic = Arc::clone(&self.traffic);
        let server = &traffic.server;
        let basic = server.client.basic();
        let form = "grant_type=client_credentials&scope=profile:read";
        let call = Call::post(TOKEN, form).authorized(&basic);
        if let Some(answer) = self.must(Kind::ClientCredentials, call).await? {
            let token = member(&answer.body, "access_token")?;
            if let Some(active) = self.introspect(self.turn + 1, &token).await? {
                anyhow::ensure!(active, "a token that was just issued is not active");
            }
            self.read_api(&token).await?;
        }
        if let Some((access, refresh, code)) = self.flow().await? {
            let bearer = format!("Bearer {access}");
            let call = Call::get("/oauth/userinfo").authorized(&bearer);
            self.must(Kind::Userinfo, call).await?;
            self.read_api(&access).await?;
            if self.chain.is_none() {
                self.chain = Some(refresh);
            } else if self.turn.is_multiple_of(4) {
                self.redeem_again(&code, access).await?;
            } else if self.turn % 4 == 1 {
                let form = server.revoke_form() + &refresh;
                let call = Call::post("/oauth/revoke", form);
                if self.must(Kind::Revocation, call).await?.is_some() {
                    self.dead.push((access, Instant::now()));
                }
            }
        }
        self.refresh().await
    }

    /// From the authorization request to tokens: access token, refresh token, and the code that brought them.
    async fn flow(&mut self) -> anyhow::Result<Option<(String, String, String)>> {
        let traffic = Arc::clone(&self.traffic);
        let flow = traffic.server.code_flow();
        let losses = traffic.losses.load(Ordering::Acquire);
        let call = Call::get(&flow.authorize).with_cookie(&flow.cookie);
        let Some(answer) = self.must(Kind::Authorization, call).await? else {
            return Ok(None);
        };
        let code = code(&answer)?;
        let call = Call::post(TOKEN, format!("{}{code}", flow.form));
        let (met, was_unheard) = self.answered(Kind::Code, call).await;
        match met {
            Met::Done(answer) => {
                let (access, refresh) = (
                    member(&answer.body, "access_token")?,
                    member(&answer.body, "refresh_token")?,
                );
                Ok(Some((access, refresh, code)))
            }
            // A node that died may have taken it (RFC 6749 §4.1.2), and Redis forgets it.
            Met::Refused(why) => {
                let was_lost = traffic.losses.load(Ordering::Acquire) != losses;
                anyhow::ensure!(was_unheard || was_lost, "a code was refused: {why}");
                traffic.seen().ended(Kind::Code);
                Ok(None)
            }
            Met::Later | Met::NoAnswer => Ok(None),
        }
    }

    /// A second use: refused, and the first has brought nothing that lives.
    async fn redeem_again(&mut self, code: &str, access: String) -> anyhow::Result<()> {
        let form = format!("{}{code}", self.traffic.server.code_flow().form);
        match self
            .ask(self.turn + 1, Kind::Code, Call::post(TOKEN, form))
            .await
        {
            Met::Done(_) => anyhow::bail!("a code was redeemed twice"),
            Met::Refused(why) => {
                anyhow::ensure!(why.contains("invalid_grant"), "a second use: {why}");
                self.dead.push((access, Instant::now()));
            }
            Met::Later | Met::NoAnswer => {}
        }
        Ok(())
    }

    /// One step of its long life.
    async fn refresh(&mut self) -> anyhow::Result<()> {
        let Some(token) = self.chain.clone() else {
            return Ok(());
        };
        let form = self.traffic.server.refresh_form() + &token;
        let call = Call::post(TOKEN, form);
        let (met, _) = self.answered(Kind::Refresh, call.clone()).await;
        let successor = match met {
            Met::Done(answer) => member(&answer.body, "refresh_token")?,
            Met::Refused(why) => {
                self.chain = None;
                anyhow::bail!("a refresh token was lost: {why}");
            }
            Met::Later | Met::NoAnswer => return Ok(()),
        };
        if self.turn.is_multiple_of(5) {
            // As if the answer had not come.
            match self.ask(self.turn + 1, Kind::Refresh, call).await {
                Met::Done(answer) => {
                    let other = member(&answer.body, "refresh_token")?;
                    anyhow::ensure!(other == successor, "a refresh token has two successors");
                }
                Met::Refused(why) => anyhow::bail!("no successor a second time: {why}"),
                Met::Later | Met::NoAnswer => {}
            }
        }
        self.chain = Some(successor);
        Ok(())
    }

    async fn introspect(&mut self, node: usize, token: &str) -> anyhow::Result<Option<bool>> {
        let basic = self.traffic.server.introspector.basic();
        let form = format!("token={token}");
        let call = Call::post("/oauth/introspect", form).authorized(&basic);
        let met = self.ask(node, Kind::Introspection, call).await;
        Ok(match done(Kind::Introspection, met)? {
            Some(answer) => {
                let told: Value = serde_json::from_slice(&answer.body)?;
                told.get("active").and_then(Value::as_bool)
            }
            None => None,
        })
    }

    async fn read_api(&mut self, token: &str) -> anyhow::Result<bool> {
        let bearer = format!("Bearer {token}");
        let call = Call::get(ME).authorized(&bearer);
        let api = self.traffic.ports.len();
        let met = self.ask_at(api, Kind::Api, call).await;
        Ok(done(Kind::Api, met)?.is_some())
    }

    /// What may be answered later, and never otherwise refused; tried until it is answered.
    async fn must(&mut self, kind: Kind, call: Call<'_>) -> anyhow::Result<Option<Answer>> {
        let (met, _) = self.answered(kind, call).await;
        done(kind, met)
    }

    /// Tries at each node in turn until there is an answer; also whether a try was not answered at all.
    async fn answered(&mut self, kind: Kind, call: Call<'_>) -> (Met, bool) {
        let (mut was_unheard, began) = (false, Instant::now());
        for node in self.turn.. {
            let met = self.ask(node, kind, call.clone()).await;
            match met {
                Met::NoAnswer => was_unheard = true,
                Met::Later => {}
                Met::Done(_) | Met::Refused(_) => return (met, was_unheard),
            }
            if self.traffic.ends() || began.elapsed() > PATIENCE {
                return (met, was_unheard);
            }
            sleep(AGAIN).await;
        }
        (Met::NoAnswer, was_unheard)
    }

    /// One try at a node.
    async fn ask(&mut self, node: usize, kind: Kind, call: Call<'_>) -> Met {
        self.ask_at(node % self.traffic.ports.len(), kind, call)
            .await
    }

    async fn ask_at(&mut self, place: usize, kind: Kind, call: Call<'_>) -> Met {
        let met = Met::of(self.send(place, call).await);
        if self.counts {
            self.traffic.seen().note(kind, &met);
        }
        met
    }

    async fn send(&mut self, place: usize, call: Call<'_>) -> anyhow::Result<Answer> {
        let port = self.traffic.ports.get(place).copied();
        let port = port.unwrap_or(self.traffic.server.api_port);
        let client = self.clients.get_mut(place).context("no such place")?;
        let mut connected = match client.take() {
            Some(connected) => connected,
            None => Client::connect(port).await?,
        };
        let answer = connected.send(call).await?;
        *client = Some(connected);
        Ok(answer)
    }

    /// Whether a node is ready, and does all that there is to ask.
    pub(super) async fn is_served(&mut self, node: usize) -> bool {
        self.turn = node;
        self.serve(node).await.unwrap_or(false)
    }

    async fn serve(&mut self, node: usize) -> anyhow::Result<bool> {
        let traffic = Arc::clone(&self.traffic);
        let server = &traffic.server;
        let ready = self.ask(node, Kind::Readiness, Call::get("/health/ready"));
        let Met::Done(_) = ready.await else {
            return Ok(false);
        };
        let basic = server.client.basic();
        let form = "grant_type=client_credentials&scope=profile:read";
        let call = Call::post(TOKEN, form).authorized(&basic);
        let Met::Done(answer) = self.ask(node, Kind::ClientCredentials, call).await else {
            return Ok(false);
        };
        let token = member(&answer.body, "access_token")?;
        if self.introspect(node, &token).await? != Some(true) {
            return Ok(false);
        }
        let flow = server.code_flow();
        let call = Call::get(&flow.authorize).with_cookie(&flow.cookie);
        let Met::Done(answer) = self.ask(node, Kind::Authorization, call).await else {
            return Ok(false);
        };
        let call = Call::post(TOKEN, format!("{}{}", flow.form, code(&answer)?));
        let Met::Done(answer) = self.ask(node, Kind::Code, call).await else {
            return Ok(false);
        };
        let form = server.refresh_form() + &member(&answer.body, "refresh_token")?;
        let call = Call::post(TOKEN, form);
        let Met::Done(answer) = self.ask(node, Kind::Refresh, call).await else {
            return Ok(false);
        };
        let access = member(&answer.body, "access_token")?;
        let bearer = format!("Bearer {access}");
        let call = Call::get("/oauth/userinfo").authorized(&bearer);
        let told = self.ask(node, Kind::Userinfo, call).await;
        Ok(matches!(told, Met::Done(_)) && self.read_api(&access).await?)
    }

    /// When all is quiet: its last refresh token works, and what was revoked is dead at every node.
    pub(super) async fn settle(&mut self) -> (u64, u64) {
        let (mut chains, mut dead) = (0, 0);
        if self.chain.is_some() {
            match self.refresh().await {
                Ok(()) => chains = 1,
                Err(error) => self.traffic.seen().wrong(format!("at the end: {error:#}")),
            }
        }
        for (token, since) in std::mem::take(&mut self.dead) {
            for node in 0..self.traffic.ports.len() {
                match self.introspect(node, &token).await {
                    Ok(Some(false)) => dead += 1,
                    other => {
                        let what = format!(
                            "a token that was revoked {} ms before, at node {node}: {other:?}",
                            since.elapsed().as_millis()
                        );
                        self.traffic.seen().wrong(what);
                    }
                }
            }
        }
        (chains, dead)
    }
}

fn done(kind: Kind, met: Met) -> anyhow::Result<Option<Answer>> {
    match met {
        Met::Done(answer) => Ok(Some(answer)),
        Met::Later | Met::NoAnswer => Ok(None),
        Met::Refused(why) => anyhow::bail!("{kind:?}: {why}"),
    }
}

fn code(answer: &Answer) -> anyhow::Result<String> {
    let location = answer.headers.get(LOCATION).context("no redirect")?;
    let (_, rest) = location.to_str()?.split_once("code=").context("no code")?;
    Ok(rest.split('&').next().unwrap_or_default().to_owned())
}
