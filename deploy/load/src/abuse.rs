//! What an honest request costs while others attack.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{interval, sleep, timeout};

use crate::count;
use crate::drive::{Script, anything, drive};
use crate::servers::{AuthServer, Programs, Setup, Stores};
use crate::stats::{median, percentile};
use crate::workload::token_request;

/// The longest that an attacker waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an attack is measured by itself: longer than the server waits for headers.
const ALONE: Duration = Duration::from_secs(12);
/// Connections of an attack that comes as fast as it can.
const BUSY: usize = 16;
/// Connections that an attacker keeps open by sending a letter now and then.
const SLOW: usize = 500;

/// Measure what a client-credentials request costs while an attack runs beside it
#[derive(Args, Debug)]
pub(crate) struct Abuse {
    #[command(flatten)]
    programs: Programs,
    /// The attack (may repeat) [default: each of them]
    #[arg(long = "attack", value_enum)]
    attacks: Vec<Attack>,
    /// Connections of honest clients
    #[arg(long, default_value_t = 16, value_parser = count(1..=4096))]
    connections: usize,
    /// Honest requests of each round
    #[arg(long, default_value_t = 10_000, value_parser = count(1..=10_000_000))]
    requests: usize,
    /// Hostile requests a second
    #[arg(long, default_value_t = 200, value_parser = count(1..=100_000))]
    rate: usize,
    /// Rounds of each attack
    #[arg(long, default_value_t = 3, value_parser = count(1..=100))]
    rounds: usize,
    #[command(flatten)]
    stores: Stores,
}

/// A kind of attack.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Attack {
    /// 500 connections that never finish their headers
    Slowloris,
    /// 100,000 parameters, and as many as fit into a body
    Parameters,
    /// A scope of 50 KB, from a client that authenticates
    Scopes,
    /// Client assertions of JSON nested thousands of times
    DeepJson,
    /// Wrong passwords for people who do and do not exist
    Passwords,
}

/// What one attack sends.
enum Weapon {
    /// Whole requests, in turn, each on a connection of its own.
    Requests(Vec<Vec<u8>>),
    /// A letter of a header at a time.
    Letters,
}

/// How fast an attack comes.
#[derive(Clone, Copy)]
enum Pace {
    /// A request each so often.
    Each(Duration),
    /// The next as soon as one is answered, on [`BUSY`] connections.
    Full,
}

/// What was seen of attackers: answers by status.
type Seen = BTreeMap<String, usize>;

/// One stretch of time.
#[derive(Clone, Copy, Default)]
struct Spent {
    cpu_ms: f64,
    seconds: f64,
    hostile: usize,
}

impl Spent {
    /// CPU time of so many hostile requests, or seconds of a server that only bears them.
    fn each(self) -> f64 {
        if self.hostile == 0 {
            self.cpu_ms / self.seconds.max(f64::MIN_POSITIVE)
        } else {
            self.cpu_ms / number(self.hostile)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn number(count: usize) -> f64 {
    count as f64
}

impl Abuse {
    /// Runs every attack and prints what it did to others.
    ///
    /// # Errors
    /// If the server does not start, or refuses an honest request.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let attacks = if self.attacks.is_empty() {
            Attack::value_variants()
        } else {
            &self.attacks
        };
        let server = AuthServer::start(Setup::new(&self.programs, &self.stores)).await?;
        // Caches fill, threads start.
        self.honest(&server).await?;
        let mut text = format!(
            "{} honest requests a round over {} connections, {} hostile ones a second, medians of {} rounds\n\
             {:<12} {:>12} {:>12} {:>7} {:>12} {:>12} {:>12}  answers to the attack\n",
            self.requests,
            self.connections,
            self.rate,
            self.rounds,
            "attack",
            "alone ms",
            "beside ms",
            "ratio",
            "p99 alone",
            "p99 beside",
            "hostile ms",
        );
        for &attack in attacks {
            self.measure(attack, &server, &mut text).await?;
        }
        write!(io::stdout(), "{text}")?;
        Ok(())
    }

    /// Honest requests alone, the attack alone, then both, in turns.
    ///
    /// Both spend the CPU time of one process. So the attack is measured by itself too, and what that many of its requests cost is
    /// taken off: what is left was spent on honest ones. By itself it comes as fast as it can, because a server that is as busy as
    /// honest clients keep it spends less on a request than one that is woken for each.
    async fn measure(
        &self,
        attack: Attack,
        server: &AuthServer,
        text: &mut String,
    ) -> anyhow::Result<()> {
        let weapon = Arc::new(attack.weapon(server).await?);
        let mut seen = Seen::new();
        let (mut alone, mut beside, mut ratios, mut costs) = (vec![], vec![], vec![], vec![]);
        let (mut slowest_alone, mut slowest_beside) = (vec![], vec![]);
        for _ in 0..self.rounds {
            let (honest, p99) = self.honest(server).await?;
            slowest_alone.push(p99);
            let (hostile, ()) = self
                .attacked(server, &weapon, Pace::Full, &mut seen, async {
                    sleep(ALONE).await;
                    Ok(())
                })
                .await?;
            let pace = Pace::Each(Duration::from_secs(1).div_f64(number(self.rate)));
            let (both, p99) = self
                .attacked(server, &weapon, pace, &mut seen, self.honest(server))
                .await?;
            slowest_beside.push(p99.1);
            let borne = if hostile.hostile == 0 {
                hostile.each() * both.seconds
            } else {
                hostile.each() * number(both.hostile)
            };
            let requests = number(self.requests);
            alone.push(honest.cpu_ms / requests);
            beside.push((both.cpu_ms - borne) / requests);
            ratios.push((both.cpu_ms - borne) / honest.cpu_ms);
            costs.push(hostile.each());
        }
        let name = attack.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        let answers: Vec<_> = seen
            .iter()
            .map(|(status, times)| format!("{status}: {times}"))
            .collect();
        writeln!(
            text,
            "{name:<12} {:>12.4} {:>12.4} {:>7.2} {:>12.2} {:>12.2} {:>12.4}  {}",
            median(&alone),
            median(&beside),
            median(&ratios),
            median(&slowest_alone),
            median(&slowest_beside),
            median(&costs),
            answers.join(", "),
        )?;
        Ok(())
    }

    /// Client-credentials requests: what the server spent in the meantime, and the 99th percentile of their time in ms.
    async fn honest(&self, server: &AuthServer) -> anyhow::Result<(Spent, f64)> {
        let script = Script::Repeat(token_request(server), 1);
        let before = server.first().process.cpu()?;
        let port = server.first().port;
        let mut driven = drive(port, self.connections, self.requests, script, anything).await?;
        let spent = Spent {
            cpu_ms: server.first().process.cpu()?.since(&before).as_secs_f64() * 1e3,
            seconds: driven.elapsed.as_secs_f64(),
            hostile: 0,
        };
        Ok((spent, percentile(&mut driven.latencies, 99) / 1e3))
    }

    /// What the server spends while `others` do what they do under attack.
    async fn attacked<T>(
        &self,
        server: &AuthServer,
        weapon: &Arc<Weapon>,
        pace: Pace,
        seen: &mut Seen,
        others: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(Spent, T)> {
        let port = server.first().port;
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let attackers = tokio::spawn(attack(
            port,
            pace,
            Arc::clone(weapon),
            Arc::clone(&answered),
            Arc::clone(&stop),
        ));
        // The attack is in full swing.
        sleep(Duration::from_secs(1)).await;
        let (before, first) = (
            server.first().process.cpu()?,
            answered.load(Ordering::Relaxed),
        );
        let started = std::time::Instant::now();
        let done = others.await;
        let spent = Spent {
            cpu_ms: server.first().process.cpu()?.since(&before).as_secs_f64() * 1e3,
            seconds: started.elapsed().as_secs_f64(),
            hostile: answered.load(Ordering::Relaxed) - first,
        };
        stop.store(true, Ordering::Relaxed);
        for (status, times) in attackers.await? {
            *seen.entry(status).or_default() += times;
        }
        Ok((spent, done?))
    }
}

impl Attack {
    async fn weapon(self, server: &AuthServer) -> anyhow::Result<Weapon> {
        let nested = |open: &str| URL_SAFE_NO_PAD.encode(open.repeat(15_000 / open.len()));
        let basic = server.client.basic();
        let token = |body: &str| post("/oauth/token", &format!("Authorization: {basic}\r\n"), body);
        let anonymous = |body: &str| post("/oauth/token", "", body);
        let assertion = |jwt: &str| {
            anonymous(&format!(
                "grant_type=client_credentials&client_assertion={jwt}\
                 &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            ))
        };
        Ok(match self {
            Self::Slowloris => Weapon::Letters,
            Self::Parameters => Weapon::Requests(vec![
                anonymous(&"a=1&".repeat(100_000)),
                token(&"a=1&".repeat(16_000)),
            ]),
            Self::Scopes => Weapon::Requests(vec![
                token(&format!(
                    "grant_type=client_credentials&scope={}",
                    "read+".repeat(10_000)
                )),
                token(&format!(
                    "grant_type=client_credentials&scope={}",
                    "a".repeat(50_000)
                )),
            ]),
            Self::DeepJson => {
                let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT"}"#);
                let bombs = ["[", "{\"a\":"].map(nested);
                let jwts = bombs
                    .iter()
                    .flat_map(|bomb| [format!("{header}.{bomb}.AA"), format!("{bomb}.e30.AA")]);
                Weapon::Requests(jwts.map(|jwt| assertion(&jwt)).collect())
            }
            Self::Passwords => Weapon::Requests(wrong_passwords(server).await?),
        })
    }
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// What a person would post from the sign-in page, were they a thousand and did none know the password.
async fn wrong_passwords(server: &AuthServer) -> anyhow::Result<Vec<Vec<u8>>> {
    let port = server.first().port;
    let get = |path: &str, cookie: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{cookie}\r\n")
    };
    let begun = says(port, get(&server.code_flow().authorize, "").as_bytes()).await?;
    let between = |text: &str, from: &str, to: &str| -> anyhow::Result<String> {
        let rest = text.split(from).nth(1);
        let found = rest.and_then(|rest| rest.split(to).next());
        Ok(found
            .with_context(|| format!("no {from} in {text}"))?
            .to_owned())
    };
    let location = between(&begun, "location: ", "\r\n")?;
    let path = location
        .find("/login")
        .and_then(|start| location.get(start..))
        .context("no sign-in page")?;
    let cookie = format!("Cookie: {}\r\n", between(&begun, "set-cookie: ", ";")?);
    let page = says(port, get(path, &cookie).as_bytes()).await?;
    let interaction = between(&page, "name=\"interaction\" value=\"", "\"")?;
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"")?;
    let guesses = (0..1000).map(|guess| {
        let form = format!(
            "interaction={interaction}&csrf={csrf}&email=person-{guess}%40example.com&password=guess-{guess}"
        );
        post("/login", &cookie, &form)
    });
    Ok(guesses.collect())
}

/// Attacks until told to stop; answers by status.
async fn attack(
    port: u16,
    pace: Pace,
    weapon: Arc<Weapon>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Seen {
    let mut running = JoinSet::new();
    let mut seen = Seen::new();
    match &*weapon {
        Weapon::Letters => {
            for _ in 0..SLOW {
                running.spawn(dawdle(port, Arc::clone(&stop)));
            }
        }
        Weapon::Requests(requests) => {
            let limit = match pace {
                Pace::Each(_) => usize::MAX,
                Pace::Full => BUSY,
            };
            let mut ticks = match pace {
                Pace::Each(period) => Some(interval(period)),
                Pace::Full => None,
            };
            for request in requests.iter().cycle() {
                if let Some(ticks) = &mut ticks {
                    ticks.tick().await;
                }
                while running.len() >= limit {
                    note(&mut seen, running.join_next().await);
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (request, sent) = (request.clone(), Arc::clone(&sent));
                running.spawn(async move {
                    let answer = says(port, &request).await;
                    sent.fetch_add(1, Ordering::Relaxed);
                    Seen::from([(status(&answer), 1)])
                });
            }
        }
    }
    while let Some(one) = running.join_next().await {
        note(&mut seen, Some(one));
    }
    seen
}

fn note(seen: &mut Seen, one: Option<Result<Seen, JoinError>>) {
    for (status, times) in one.and_then(Result::ok).unwrap_or_default() {
        *seen.entry(status).or_default() += times;
    }
}

/// One connection after the other that sends a letter of its headers each second.
async fn dawdle(port: u16, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = connect(port).await else {
            *seen.entry("unreachable".into()).or_default() += 1;
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        let _ = stream
            .write_all(b"GET /oauth/jwks HTTP/1.1\r\nHost: localhost\r\nX: ")
            .await;
        let mut said = Vec::new();
        let ended = loop {
            let read = timeout(Duration::from_secs(1), stream.read_to_end(&mut said)).await;
            if let Ok(read) = read {
                break Some(read);
            }
            if stop.load(Ordering::Relaxed) {
                break None;
            }
            let _ = stream.write_all(b"a").await;
        };
        if let Some(read) = ended {
            let answer = read
                .map(|_| String::from_utf8_lossy(&said).into_owned())
                .map_err(anyhow::Error::from);
            *seen.entry(status(&answer)).or_default() += 1;
        }
    }
    seen
}

/// A connection from an address that no honest client has: limits by address are to tell them apart.
async fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0)))?;
    socket.connect((Ipv4Addr::LOCALHOST, port).into()).await
}

/// What the server says to a request, until it closes the connection.
async fn says(port: u16, request: &[u8]) -> anyhow::Result<String> {
    let stream = connect(port).await?;
    let (mut reading, mut writing) = stream.into_split();
    let mut said = Vec::new();
    // Both at once: the server may answer before it has read everything.
    let both = async { tokio::join!(writing.write_all(request), reading.read_to_end(&mut said)) };
    let _ = timeout(PATIENCE, both).await.context("no answer in time")?;
    ensure!(!said.is_empty(), "closed");
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn status(answer: &anyhow::Result<String>) -> String {
    match answer {
        Ok(answer) => answer.split(' ').nth(1).unwrap_or("closed").to_owned(),
        Err(error) => error.to_string(),
    }
}
