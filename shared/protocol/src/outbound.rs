//! The one HTTP client for everything our servers fetch: keys, metadata, introspection, client documents, webhooks, logout.
//!
//! Strangers choose many of those URLs (RFC 7591 §5, RFC 9700 §4.11), so the client will not serve them as a way into our own network. Only https,
//! only public addresses and networks that the operator named, no redirect, no proxy, no cookie, and hard bounds on size and time. Addresses are judged after
//! resolution, and the connection uses exactly those that were judged: a name that changes its answer gains nothing.

mod address;
mod error;
mod fetched;
mod origin;
mod resolver;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use ipnet::IpNet;
use reqwest::dns::Resolve;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

pub use address::is_public;
pub use error::FetchError;
pub use fetched::Fetched;
pub use origin::Origin;
pub use resolver::SystemResolver;

use resolver::{Guard, GuardedResolver};

/// The longest URL that is fetched, in bytes.
const MAX_URL: usize = 2048;

/// The most header fields an answer may have, and over HTTP/2 their total size in bytes. HTTP/1 heads are bounded by the read
/// buffer of the HTTP library, about 400 KiB.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// Idle connections: enough to help a burst of webhooks, too few to let strangers' URLs hold many open.
const IDLE_PER_HOST: usize = 2;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a [`Fetcher`] is allowed to do. `FetcherSettings::default()` allows public https servers and nothing else.
#[derive(Clone)]
pub struct FetcherSettings {
    /// Servers the operator named, such as a trusted issuer. For these alone the address may be private.
    pub allowed: Vec<Origin>,
    /// Networks the operator named, such as that of an intranet: their addresses may be reached whoever names the URL.
    pub networks: Vec<IpNet>,
    /// Whether plain http may be spoken to this machine whoever names the URL: for development.
    pub loopback_http: bool,
    /// Bound on a whole exchange, from resolution to the last byte of the body. Default 5 s.
    pub timeout: Duration,
    /// Bound on a response body, in bytes. Default 256 KiB.
    pub max_body: usize,
    /// The `User-Agent` header field (RFC 9110 §10.1.5).
    pub user_agent: String,
    /// Certificates trusted beside the public ones, for intranets with a CA of their own.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Turns names into addresses. Default: the system's resolver. Ports in its answers are ignored.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for FetcherSettings {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            networks: Vec::new(),
            loopback_http: false,
            timeout: Duration::from_secs(5),
            max_body: 256 * 1024,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            extra_roots: Vec::new(),
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// A guarded HTTP client. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Fetcher {
    // One client for each guard, so that a connection or an address allowed for a named origin is never within reach of other URLs.
    guarded: reqwest::Client,
    named: reqwest::Client,
    loopback: Option<reqwest::Client>,
    allowed: Arc<[Origin]>,
    networks: Arc<[IpNet]>,
    timeout: Duration,
    max_body: usize,
}

impl Fetcher {
    /// A fetcher with these settings. Certificates are checked against the `webpki-roots` compiled in and `extra_roots`.
    ///
    /// # Errors
    ///
    /// [`FetchError::Settings`] if `extra_roots` holds what is not a certificate or `user_agent` what cannot be in a header.
    pub fn new(settings: FetcherSettings) -> Result<Self, FetchError> {
        let tls = tls_config(&settings.extra_roots)?;
        let networks: Arc<[IpNet]> = settings.networks.into();
        let client = |guard: Guard| {
            reqwest::Client::builder()
                .user_agent(&settings.user_agent)
                .https_only(matches!(guard, Guard::Reachable(_)))
                .dns_resolver(GuardedResolver::new(guard, settings.resolver.clone()))
                .tls_backend_preconfigured(tls.clone())
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .referer(false)
                // Another crate's features must not switch decompression on for us.
                .no_gzip()
                .no_brotli()
                .no_deflate()
                .no_zstd()
                .http1_max_headers(MAX_HEADERS)
                .http2_max_header_list_size(MAX_HEADER_BYTES)
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(IDLE_TIMEOUT)
                // Divided among the addresses of a name, so that one dead address does not use up the whole exchange.
                .connect_timeout(settings.timeout)
                .build()
                .map_err(|error| FetchError::Settings(error::deepest(&error)))
        };
        Ok(Self {
            guarded: client(Guard::Reachable(Arc::clone(&networks)))?,
            named: client(Guard::Named)?,
            loopback: settings
                .loopback_http
                .then(|| client(Guard::Loopback))
                .transpose()?,
            allowed: settings.allowed.into(),
            networks,
            timeout: settings.timeout,
            max_body: settings.max_body,
        })
    }

    /// The same for bodies of at most `max_body` bytes, if that is less than before. Shares its connections.
    #[must_use]
    pub fn within(&self, max_body: usize) -> Self {
        Self {
            max_body: self.max_body.min(max_body),
            ..self.clone()
        }
    }

    /// Fetches `url` with `GET` and an `Accept` header field.
    ///
    /// # Errors
    ///
    /// See [`FetchError`]. A status such as 404 or 500 is not an error.
    pub async fn get(&self, url: &Url, accept: &'static str) -> Result<Fetched, FetchError> {
        let mut request = reqwest::Request::new(Method::GET, url.clone());
        let accept = HeaderValue::from_static(accept);
        request.headers_mut().insert(ACCEPT, accept);
        self.exchange(request).await
    }

    /// Sends any request, such as the `POST` of an introspection (RFC 7662 §2.1). Its URI must be absolute.
    ///
    /// # Errors
    ///
    /// See [`FetchError`]. A status such as 404 or 500 is not an error.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<Fetched, FetchError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| FetchError::InvalidUrl)?;
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        self.exchange(request).await
    }

    /// Posts `form`, which is form-urlencoded, and asks for nothing but whether it was taken: the body of the answer, however long it
    /// is, is not read. Within `patience`, if that is less than the bound on any exchange.
    ///
    /// # Errors
    ///
    /// See [`FetchError`]. A status such as 404 or 500 is not an error; a redirect is.
    pub async fn tell(
        &self,
        url: &Url,
        form: String,
        patience: Duration,
    ) -> Result<StatusCode, FetchError> {
        let mut request = reqwest::Request::new(Method::POST, url.clone());
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, urlencoded);
        *request.body_mut() = Some(form.into());
        let told = async { Ok(self.begin(request).await?.status()) };
        self.within_time(patience, told).await
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Fetched, FetchError> {
        let exchange = async { self.receive(self.begin(request).await?).await };
        self.within_time(self.timeout, exchange).await
    }

    async fn within_time<T>(
        &self,
        patience: Duration,
        exchange: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        tokio::time::timeout(patience.min(self.timeout), exchange)
            .await
            .unwrap_or(Err(FetchError::Timeout))
    }

    /// Sends a request to whom it may be sent, and waits for the head of the answer.
    async fn begin(&self, request: reqwest::Request) -> Result<reqwest::Response, FetchError> {
        let client = self.client_for(request.url())?;
        let response = client
            .execute(request)
            .await
            .map_err(|e| FetchError::from_client(&e))?;
        if response.status().is_redirection() {
            return Err(FetchError::Redirect);
        }
        Ok(response)
    }

    /// The client that may fetch `url`, if any may. IP literals are judged here: the HTTP library resolves names alone.
    fn client_for(&self, url: &Url) -> Result<&reqwest::Client, FetchError> {
        if url.as_str().len() > MAX_URL {
            return Err(FetchError::UrlTooLong);
        }
        if url.fragment().is_some() {
            return Err(FetchError::Fragment);
        }
        let (host, port) = origin::web_authority(url)?;
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(v4) => Some(v4.into()),
            Host::Ipv6(v6) => Some(v6.into()),
        };
        let is_loopback = origin::is_loopback(&host);
        if self.allowed.iter().any(|named| named.is_of(url, port)) {
            return Ok(&self.named);
        }
        if url.scheme() != "https" {
            let loopback = self.loopback.as_ref().filter(|_| is_loopback);
            return loopback.ok_or(FetchError::NotHttps);
        }
        match address {
            Some(address) if !is_reachable(address, &self.networks) => {
                Err(FetchError::ForbiddenAddress(address))
            }
            Some(_) | None => Ok(&self.guarded),
        }
    }

    async fn receive(&self, mut response: reqwest::Response) -> Result<Fetched, FetchError> {
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > self.max_body) {
            return Err(FetchError::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|e| FetchError::from_client(&e))?
        {
            if chunk.len() > self.max_body - body.len() {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched::new(
            response.status(),
            response.headers(),
            body.freeze(),
        ))
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("allowed", &self.allowed)
            .field("networks", &self.networks)
            .field("loopback_http", &self.loopback.is_some())
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

/// Whether `address` may be reached whoever names it.
fn is_reachable(address: IpAddr, networks: &[IpNet]) -> bool {
    is_public(address) || networks.iter().any(|network| network.contains(&address))
}

/// TLS 1.2 and 1.3 with one named provider and compiled-in roots: neither a process-wide default nor the machine's
/// certificate files decide whom we trust.
fn tls_config(extra_roots: &[CertificateDer<'static>]) -> Result<ClientConfig, FetchError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for root in extra_roots {
        roots
            .add(root.clone())
            .map_err(|error| FetchError::Settings(format!("an extra root: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| FetchError::Settings(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
