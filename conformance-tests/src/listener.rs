//! A small server of the tests' own, for what an issuer fetches from its clients and sends to them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use url::Url;

/// As much of a request as is read, in bytes.
const REQUEST: usize = 1 << 16;

/// As many requests as are kept.
const HEARD: usize = 1000;

/// The time for one connection.
const CONNECTION: Duration = Duration::from_secs(10);

/// Where the tests listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listen {
    /// The address, plain HTTP; port 0 for any.
    pub address: SocketAddr,
    /// The URL at which the issuer reaches it, where that is another one: that of a proxy with TLS, for example.
    pub url: Option<Url>,
}

impl Listen {
    /// Any free port of this machine, for an issuer that runs on it too.
    #[must_use]
    pub fn here() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            url: None,
        }
    }
}

/// What the issuer sent.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) media_type: String,
    pub(crate) body: String,
    path: String,
}

#[derive(Default)]
struct Shared {
    /// Media type and text, by path.
    documents: Mutex<HashMap<String, (&'static str, String)>>,
    heard: Mutex<Vec<Heard>>,
    /// The published paths that somebody came to.
    visited: Mutex<HashSet<String>>,
    news: Notify,
}

pub(crate) struct Listener {
    url: Url,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listener {
    pub(crate) async fn open(listen: &Listen) -> io::Result<Self> {
        let socket = TcpListener::bind(listen.address).await?;
        let own = format!("http://{}/", socket.local_addr()?);
        let url = match &listen.url {
            Some(url) => url.clone(),
            None => Url::parse(&own).map_err(io::Error::other)?,
        };
        let shared = Arc::<Shared>::default();
        let known = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let known = known.clone();
                tokio::spawn(async move {
                    // A connection that fails is the issuer's to make again.
                    let _ = tokio::time::timeout(CONNECTION, known.answer(&stream)).await;
                });
            }
        });
        Ok(Self {
            url,
            shared,
            task: accepting.abort_handle(),
        })
    }

    /// The URL of that path.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }

    /// Publishes a document in the place of another one there.
    pub(crate) fn publish(&self, path: &str, media_type: &'static str, text: String) -> Url {
        let url = self.url(path);
        lock(&self.shared.documents).insert(url.path().to_owned(), (media_type, text));
        url
    }

    /// Whether anybody has fetched the document there.
    pub(crate) fn was_fetched(&self, path: &str) -> bool {
        lock(&self.shared.visited).contains(self.url(path).path())
    }

    /// The first thing that was posted there, waited for so long.
    pub(crate) async fn heard(&self, path: &str, patience: Duration) -> Option<Heard> {
        let path = self.url(path).path().to_owned();
        let found = async {
            loop {
                let news = self.shared.news.notified();
                let found = lock(&self.shared.heard)
                    .iter()
                    .find(|heard| heard.path == path)
                    .cloned();
                match found {
                    Some(found) => return found,
                    None => news.await,
                }
            }
        };
        tokio::time::timeout(patience, found).await.ok()
    }
}

impl Shared {
    async fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        let Some(heard) = read(stream).await? else {
            return write(
                stream,
                "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
            )
            .await;
        };
        let document = lock(&self.documents).get(&heard.path).cloned();
        if document.is_some() {
            lock(&self.visited).insert(heard.path.clone());
        }
        let (status, media_type, text) = match document {
            Some((media_type, text)) => ("200 OK", media_type, text),
            None if heard.method == "POST" => ("200 OK", "text/plain", String::new()),
            None => ("404 Not Found", "text/plain", String::new()),
        };
        if heard.method == "POST" {
            let mut all = lock(&self.heard);
            if all.len() < HEARD {
                all.push(heard);
            }
            drop(all);
            self.news.notify_waiters();
        }
        let response = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             connection: close\r\n\r\n{text}",
            text.len()
        );
        write(stream, &response).await
    }
}

/// A request with a `Content-Length` or without a body; `None` when it is none, or longer than what is read.
async fn read(stream: &TcpStream) -> io::Result<Option<Heard>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(heard) = parse(&bytes) {
            return Ok(Some(heard));
        }
        let mut chunk = [0; 4096];
        stream.readable().await?;
        match stream.try_read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
            Err(cause) => return Err(cause),
        }
        if bytes.len() > REQUEST {
            return Ok(None);
        }
    }
}

/// The request that the bytes hold, once they hold all of it.
fn parse(bytes: &[u8]) -> Option<Heard> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?, first.next()?);
    let field = |wanted: &str| {
        head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let length = field("content-length").map_or(Some(0), |length| length.parse().ok());
    let body = body.get(..length?)?;
    let media_type = field("content-type").unwrap_or_default();
    Some(Heard {
        method: method.to_owned(),
        path: target.split('?').next()?.to_owned(),
        media_type: media_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

async fn write(stream: &TcpStream, response: &str) -> io::Result<()> {
    let mut rest = response.as_bytes();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_body() {
        let whole = "POST /a/b?c HTTP/1.1\r\nHost: x\r\nContent-Type: Text/Plain; charset=utf-8\r\ncontent-length: 3\r\n\r\nabc";
        let heard = parse(whole.as_bytes()).unwrap();
        assert_eq!(
            (heard.method.as_str(), heard.path.as_str()),
            ("POST", "/a/b")
        );
        assert_eq!(
            (heard.media_type.as_str(), heard.body.as_str()),
            ("text/plain", "abc")
        );
        for cut in [0, 10, whole.len() - 4, whole.len() - 1] {
            assert!(parse(&whole.as_bytes()[..cut]).is_none(), "{cut}");
        }
        assert!(parse(b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n").is_none());
    }

    #[tokio::test]
    async fn documents_are_served_and_posts_are_heard() {
        let listener = Listener::open(&Listen::here()).await.unwrap();
        let url = listener.publish("keys", "application/json", "{}".into());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.get(url).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.text().await.unwrap(), "{}");
        assert!(listener.was_fetched("keys") && !listener.was_fetched("other"));
        let answer = http.get(listener.url("none")).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        let sent = http.post(listener.url("box")).body("a=b").send();
        assert_eq!(sent.await.unwrap().status(), 200);
        let heard = listener.heard("box", Duration::from_secs(5)).await.unwrap();
        assert_eq!(heard.body, "a=b");
        assert!(listener.heard("other", Duration::ZERO).await.is_none());
    }
}
