//! When to stop, and what must finish first.

use std::io;
use std::panic;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{Problem, noted};

/// The wish to stop, shared by everything that serves: once triggered, for ever triggered.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    signal: CancellationToken,
    /// Requests that finish even if their client is gone.
    pub(super) writes: TaskTracker,
}

impl Shutdown {
    /// Not triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Triggers at SIGTERM or SIGINT (Ctrl-C).
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn on_signal(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = shutdown.triggered() => return,
            }
            tracing::info!("stopping: requests in flight may finish");
            shutdown.trigger();
        });
        Ok(())
    }

    /// Asks everything to stop.
    pub fn trigger(&self) {
        self.signal.cancel();
    }

    /// Waits until something triggered.
    pub async fn triggered(&self) {
        self.signal.cancelled().await;
    }

    /// Whether something triggered.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.signal.is_cancelled()
    }
}

/// A layer for routes that write: runs the rest of the request in a task of its own, so that neither a client that hangs up
/// nor the time limit can cancel a write half way. Shutdown waits for the task.
///
/// `axum::middleware::from_fn_with_state(shutdown.clone(), web::uninterrupted)`
pub async fn uninterrupted(
    State(shutdown): State<Shutdown>,
    request: Request,
    next: Next,
) -> Response {
    let task = shutdown
        .writes
        .spawn(noted::follow(next.run(request)).in_current_span());
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(response) => response,
        // The layer around everything answers panics, wherever they come from.
        Err(Ok(panicked)) => panic::resume_unwind(panicked),
        Err(Err(_)) => {
            Problem::unavailable("shutting-down", "The server is stopping").into_response()
        }
    }
}
