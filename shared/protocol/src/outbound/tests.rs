//! Behaviour over real sockets on this machine: servers that misbehave, and resolvers that lie.

mod destinations;
mod exchange;
mod tls;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Public by its form, but in a part of `2000::/3` that IANA has given to nobody: no packet to it arrives anywhere.
const PUBLIC: &str = "2d00::1";

/// A server on a free port that counts its connections and keeps every request.
struct Server {
    port: u16,
    accepted: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Reads a request, hands the stream to `answer`, then closes.
    async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        // All addresses, so that a request that slips through to any of this machine's is seen.
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
        };
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            accepted: Arc::default(),
            requests: Arc::default(),
        };
        let (accepted, requests) = (server.accepted.clone(), server.requests.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let request = read_request(&mut stream).await;
                requests.lock().unwrap().push(request);
                tokio::spawn(answer(stream));
            }
        });
        server
    }

    /// Answers every request with these bytes.
    async fn answering(response: impl AsRef<[u8]>) -> Self {
        let response = Arc::<[u8]>::from(response.as_ref());
        Self::start(move |mut stream| {
            let response = response.clone();
            async move {
                // The client may hang up first: it refuses what is too large.
                let _ = stream.write_all(&response).await;
            }
        })
        .await
    }

    fn url(&self) -> Url {
        parse(&format!("http://127.0.0.1:{}/", self.port))
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Fails unless nobody connected before this call. Connects itself, so that the count is known to work.
    async fn assert_untouched(&self) {
        let mut stream = TcpStream::connect((LOOPBACK, self.port)).await.unwrap();
        stream.write_all(b"\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        // Closed when answered: every connection before this one has been counted.
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(self.accepted(), 1, "someone else connected");
    }
}

/// A request, head and body, or as much of it as arrives. Of a TLS handshake the first bytes do.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !is_whole(&request) {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return request.first() == Some(&0x16);
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// Answers from a list, the last one for ever, and counts the questions.
struct ScriptedResolver {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl ScriptedResolver {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(parse).collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Resolve for ScriptedResolver {
    fn resolve(&self, _: Name) -> Resolving {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        // Port 1, which must not be used: the URL's is.
        let sockets = answer.unwrap().into_iter().map(|ip| SocketAddr::new(ip, 1));
        let sockets: Addrs = Box::new(sockets.collect::<Vec<_>>().into_iter());
        Box::pin(std::future::ready(Ok(sockets)))
    }
}

fn parse(url: &str) -> Url {
    Url::parse(url).unwrap()
}

/// Settings that allow `origins`, are patient and take bodies of 1000 bytes.
fn settings(origins: &[&str]) -> FetcherSettings {
    FetcherSettings {
        allowed: origins
            .iter()
            .map(|url| Origin::try_from(&parse(url)).unwrap())
            .collect(),
        timeout: Duration::from_secs(20),
        max_body: 1000,
        ..FetcherSettings::default()
    }
}

/// A fetcher that may reach `server` by its address.
fn fetcher_for(server: &Server) -> Fetcher {
    Fetcher::new(settings(&[server.url().as_str()])).unwrap()
}

/// Fetches `/` of a server that answers every request with these bytes.
async fn fetch_from(response: impl AsRef<[u8]>) -> Result<Fetched, FetchError> {
    let server = Server::answering(response).await;
    fetcher_for(&server).get(&server.url(), "*/*").await
}
