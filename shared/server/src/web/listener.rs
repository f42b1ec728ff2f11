//! The listener: accepts connections up to a cap, speaks HTTP/1.1 and HTTP/2 within limits, and stops in good order.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::patience::Patience;
use super::places::Places;
use super::{ClientCertificate, Edge, Limits, Shutdown};

/// Header fields of one HTTP/1.1 request; more is 431.
const HEADER_FIELDS: usize = 64;
/// The smallest buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// Bytes that an HTTP/2 client may send before we read them, on one stream and in all; and what we write before it takes them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const SEND_BUFFER: usize = 64 * 1024;
/// After how long a silent HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// Bound sockets, ready to be served. Bind all before serving any, so that a taken port stops the start.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<(TcpListener, SocketAddr)>,
    edge: Edge,
    open: Arc<AtomicUsize>,
}

/// An address cannot be listened on. Its message names the address and the mend.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", mend(source))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// What commonly goes wrong, and the mend.
const MENDS: [(io::ErrorKind, &str); 3] = [
    (
        io::ErrorKind::AddrInUse,
        "the port is in use; stop the program that has it, or choose another with the `listen` setting",
    ),
    (
        io::ErrorKind::PermissionDenied,
        "the port is reserved; choose one above 1023 with the `listen` setting, or grant CAP_NET_BIND_SERVICE",
    ),
    (
        io::ErrorKind::AddrNotAvailable,
        "this machine has no such address; correct the `listen` setting",
    ),
];

fn mend(error: &io::Error) -> String {
    let known = MENDS.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, mend)| (*mend).to_owned())
}

impl Listener {
    /// Binds every address; port 0 takes a free one.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub async fn bind(addrs: &[SocketAddr]) -> Result<Self, BindError> {
        let mut sockets = Vec::with_capacity(addrs.len());
        for &address in addrs {
            let failed = |source| BindError { address, source };
            let socket = TcpListener::bind(address).await.map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            sockets.push((socket, bound));
        }
        Ok(Self {
            sockets,
            edge: Edge::default(),
            open: Arc::default(),
        })
    }

    /// Puts `edge` between the network and what is served here.
    #[must_use]
    pub fn behind(self, edge: &Edge) -> Self {
        Self {
            edge: edge.clone(),
            ..self
        }
    }

    /// The addresses as bound, in the order they were given.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(_, address)| *address).collect()
    }

    /// How many connections are open, now and while this is served.
    #[must_use]
    pub fn open(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.open)
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.sockets
            .iter()
            .map(|(socket, _)| socket.poll_accept(cx))
            .find(Poll::is_ready)
            .unwrap_or(Poll::Pending)
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(accepted) => return accepted,
                // The client was gone before we came.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Most likely no file descriptor is left: trying again at once would only burn the processor.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Serves `app` until `shutdown` triggers, then lets requests in flight finish, and returns. Requests carry
/// `ConnectInfo<SocketAddr>`, the address of the peer, and its [`ClientCertificate`], if it was asked for one and presented it.
pub async fn serve(listener: Listener, app: Router, limits: &Limits, shutdown: Shutdown) {
    let edge = listener.edge.clone();
    let served = Arc::new(Served {
        app,
        protocol: protocol(limits),
        limits: limits.clone(),
        edge: edge.clone(),
        closing: CancellationToken::new(),
    });
    let seats = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let places = Places::default();
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let mut stop = pin!(async {
        shutdown.triggered().await;
        sleep(limits.notice).await;
    });
    let mut certificate = pin!(async {
        match edge.tls() {
            Some(tls) => tls.follow_files().await,
            None => pending().await,
        }
    });
    loop {
        let accepted = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (listener.accept().await, seat)
        };
        let ((stream, peer), seat) = tokio::select! {
            biased;
            () = &mut stop => break,
            () = &mut certificate => continue,
            accepted = accepted => accepted,
        };
        let place = if edge.trusts(peer.ip()) {
            None
        } else if let Some(place) = places.take(peer.ip(), limits.connections_per_address) {
            Some(place)
        } else {
            edge.refused_connection();
            continue;
        };
        let connection = Arc::clone(&served).connection(stream, peer);
        let cut = cut.clone();
        let open = Open::of(&listener.open);
        connections.spawn(async move {
            let _held = (seat, place, open);
            cut.run_until_cancelled(connection).await;
        });
    }
    drop(listener);
    served.closing.cancel();
    connections.close();
    shutdown.writes.close();
    let finished = async {
        connections.wait().await;
        shutdown.writes.wait().await;
    };
    if timeout(limits.drain, finished).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            writes = shutdown.writes.len(),
            "time to finish is over, some requests are cut off"
        );
        cut.cancel();
        connections.wait().await;
    }
}

/// Counts a connection for as long as it is there.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn of(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn protocol(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(limits.header_bytes.max(SMALLEST_BUFFER))
        .max_headers(HEADER_FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// What all connections of one listener share.
struct Served {
    app: Router,
    protocol: Builder<TokioExecutor>,
    limits: Limits,
    edge: Edge,
    closing: CancellationToken,
}

impl Served {
    /// One connection, to its end; from `closing` on, to the end of the requests it has begun.
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Answers are small; waiting to fill a packet only delays them. A socket that refuses is served all the same.
        let _ = stream.set_nodelay(true);
        match self.edge.tls() {
            None => self.converse(stream, peer, None).await,
            Some(tls) => {
                let accepted = self.closing.run_until_cancelled(tls.accept(stream)).await;
                if let Some(Some(stream)) = accepted {
                    let chain = stream.get_ref().1.peer_certificates();
                    let certificate = chain.and_then(ClientCertificate::new);
                    self.converse(stream, peer, certificate).await;
                }
            }
        }
    }

    async fn converse<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: I,
        peer: SocketAddr,
        certificate: Option<ClientCertificate>,
    ) {
        let stream = Patience::new(stream, self.limits.header_read, self.limits.request);
        let progress = Arc::<AtomicU64>::default();
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(certificate) = &certificate {
                certificate.clone().insert_into(request.extensions_mut());
            }
            progress.fetch_add(1, Ordering::Relaxed);
            // A router is always ready.
            let answered = self.app.clone().call(request);
            let progress = Arc::clone(&progress);
            async move {
                let response = answered.await?;
                Ok::<_, Infallible>(response.map(|body| Watched { body, progress }))
            }
        });
        let connection = self
            .protocol
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            // HTTP/1.1 ends by itself, and earlier.
            () = stillness(&progress, self.limits.idle) => {
                connection.as_mut().graceful_shutdown();
                // Whoever does not even take that is cut off.
                timeout(PONG, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "connection ended early");
        }
    }
}

/// Ends when nothing was begun or sent between two looks.
async fn stillness(progress: &AtomicU64, idle: Duration) {
    let mut before = None;
    loop {
        let now = progress.load(Ordering::Relaxed);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        sleep(idle).await;
    }
}

/// The body of a response that tells when the client took some of it.
struct Watched {
    body: Body,
    progress: Arc<AtomicU64>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.progress.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
