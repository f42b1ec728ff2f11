//! The listener: accepts connections up to a cap, speaks HTTP/1.1 and HTTP/2 within limits, and stops in good order.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::patience::Patience;
use super::{Limits, Shutdown};

/// Header fields of one HTTP/1.1 request; more is 431.
const HEADER_FIELDS: usize = 64;
/// The smallest buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// After how long a silent HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// Bound sockets, ready to be served. Bind all before serving any, so that a taken port stops the start.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<(TcpListener, SocketAddr)>,
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
        Ok(Self { sockets })
    }

    /// The addresses as bound, in the order they were given.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(_, address)| *address).collect()
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
/// `ConnectInfo<SocketAddr>`, the address of the peer.
pub async fn serve(listener: Listener, app: Router, limits: &Limits, shutdown: Shutdown) {
    let protocol = Arc::new(protocol(limits));
    let seats = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let connections = TaskTracker::new();
    let closing = CancellationToken::new();
    let cut = CancellationToken::new();
    let mut stop = pin!(async {
        shutdown.triggered().await;
        sleep(limits.notice).await;
    });
    loop {
        let accepted = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (listener.accept().await, seat)
        };
        let ((stream, peer), seat) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        // Answers are small; waiting to fill a packet only delays them. A socket that refuses is served all the same.
        let _ = stream.set_nodelay(true);
        let stream = Patience::new(stream, limits.header_read, limits.request);
        let connection = converse(
            stream,
            peer,
            app.clone(),
            Arc::clone(&protocol),
            closing.clone(),
        );
        let cut = cut.clone();
        connections.spawn(async move {
            let _seat = seat;
            cut.run_until_cancelled(connection).await;
        });
    }
    drop(listener);
    closing.cancel();
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
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// One connection, to its end; from `closing` on, to the end of the requests it has begun.
async fn converse(
    stream: Patience<TcpStream>,
    peer: SocketAddr,
    app: Router,
    protocol: Arc<Builder<TokioExecutor>>,
    closing: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        // A router is always ready.
        app.clone().call(request)
    });
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection ended early");
    }
}
