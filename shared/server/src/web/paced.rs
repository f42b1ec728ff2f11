//! The body of a request, which must come in time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// `body`, with an end to the wait for it.
pub(super) struct Paced {
    body: Body,
    limit: Duration,
    /// Runs from the first time that there was nothing to read.
    deadline: Option<Pin<Box<Sleep>>>,
    late: Late,
}

/// Whether a body did not come in time; whoever read it may not have said so.
#[derive(Clone, Default)]
pub(super) struct Late(Option<Arc<AtomicBool>>);

/// A body did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
struct TooSlow;

impl Late {
    pub(super) fn is_late(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|late| late.load(Ordering::Relaxed))
    }

    fn set(&self) {
        if let Some(late) = &self.0 {
            late.store(true, Ordering::Relaxed);
        }
    }
}

impl Paced {
    /// Waits `limit` in all.
    pub(super) fn new(body: Body, limit: Duration) -> (Self, Late) {
        let late = Late(Some(Arc::default()));
        let paced = Self {
            body,
            limit,
            deadline: None,
            late: late.clone(),
        };
        (paced, late)
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.late.is_late() {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            return polled;
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        deadline.as_mut().poll(cx).map(|()| {
            self.late.set();
            Some(Err(axum::Error::new(TooSlow)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
