//! One connection to a server on this machine, with one request at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, LOCATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The longest that one request may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// RFC 9449 §4.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Where a server listens on this machine, and what is spoken there.
#[derive(Clone)]
pub(crate) struct Destination {
    /// The port.
    pub(crate) port: u16,
    tls: Option<TlsConnector>,
}

/// Plain TCP.
impl From<u16> for Destination {
    fn from(port: u16) -> Self {
        Self { port, tls: None }
    }
}

impl Destination {
    /// TLS.
    pub(crate) fn tls(port: u16, connector: TlsConnector) -> Self {
        let tls = Some(connector);
        Self { port, tls }
    }
}

/// A connection, opened anew if the server closed it.
pub(crate) struct Client {
    to: Destination,
    host: String,
    sender: SendRequest<Full<Bytes>>,
}

/// What a server answered.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The header fields.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a str,
    authorization: Option<&'a str>,
    cookie: Option<&'a str>,
    proof: Option<&'a str>,
    form: Bytes,
}

impl<'a> Call<'a> {
    /// A GET.
    pub(crate) fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path, Bytes::new())
    }

    /// A form.
    pub(crate) fn post(path: &'a str, form: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, path, form.into())
    }

    /// Any method; the form may be empty.
    pub(crate) fn new(method: Method, path: &'a str, form: Bytes) -> Self {
        Self {
            method,
            path,
            authorization: None,
            cookie: None,
            proof: None,
            form,
        }
    }

    /// With an `Authorization` header.
    pub(crate) fn authorized(mut self, authorization: &'a str) -> Self {
        self.authorization = Some(authorization);
        self
    }

    /// With a `DPoP` header.
    pub(crate) fn proved(mut self, proof: &'a str) -> Self {
        self.proof = Some(proof);
        self
    }

    /// With a `Cookie` header.
    pub(crate) fn with_cookie(mut self, cookie: &'a str) -> Self {
        self.cookie = Some(cookie);
        self
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there, or takes us.
    pub(crate) async fn connect(to: impl Into<Destination>) -> anyhow::Result<Self> {
        let to = to.into();
        Ok(Self {
            host: format!("127.0.0.1:{}", to.port),
            sender: open(&to).await?,
            to,
        })
    }

    /// Sends a request and reads the answer, whatever its status.
    ///
    /// # Errors
    /// If there is none in time.
    pub(crate) async fn send(&mut self, call: Call<'_>) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, &self.host);
        for (name, value) in [
            (AUTHORIZATION, call.authorization),
            (COOKIE, call.cookie),
            (DPOP, call.proof),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if !call.form.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(Full::new(call.form))?;
        timeout(PATIENCE, self.exchange(request))
            .await
            .with_context(|| format!("no answer from {} in time", call.path))?
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        if self.sender.is_closed() {
            self.sender = open(&self.to).await?;
        }
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// The body of an answer that must be 200.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) async fn ok(&mut self, call: Call<'_>) -> anyhow::Result<Bytes> {
        let answer = self.send(call).await?;
        if answer.status != StatusCode::OK {
            bail!("answered {}", answer.describe());
        }
        Ok(answer.body)
    }

    /// The code that an authorization request of somebody signed in is answered with (RFC 6749 §4.1.2).
    ///
    /// # Errors
    /// If none comes.
    pub(crate) async fn code(&mut self, authorize: &str, cookie: &str) -> anyhow::Result<String> {
        let answer = self.send(Call::get(authorize).with_cookie(cookie)).await?;
        let location = answer.headers.get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok()?.split_once("code="));
        let code = location.map(|(_, rest)| rest.split('&').next().unwrap_or_default().to_owned());
        code.with_context(|| format!("no code came, but {}", answer.describe()))
    }
}

impl Answer {
    /// Status and body, for people.
    pub(crate) fn describe(&self) -> String {
        format!("{}: {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

async fn open(to: &Destination) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, to.port));
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    match &to.tls {
        None => speak(stream).await,
        Some(tls) => {
            let name = ServerName::from(address.ip());
            speak(timeout(PATIENCE, tls.connect(name, stream)).await??).await
        }
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A text member of a JSON object.
///
/// # Errors
/// If there is none.
pub(crate) fn member(body: &[u8], name: &str) -> anyhow::Result<String> {
    let response: Value = serde_json::from_slice(body)?;
    let text = response.get(name).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("a response without {name}"))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_text_or_an_error() {
        assert_eq!(member(br#"{"a":"b"}"#, "a").unwrap(), "b");
        for body in [&br#"{"a":1}"#[..], b"{}", b"[]", b"no"] {
            assert!(member(body, "a").is_err());
        }
    }
}
