//! The body of a request, which must come in time.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::places::{Place, Places};

/// `body`, with an end to the wait for it.
pub(super) struct Paced {
    body: Body,
    limit: Duration,
    /// Runs from the first time that there was nothing to read, with the place that is held while it is waited for.
    wait: Option<(Pin<Box<Sleep>>, Place)>,
    room: Room,
    late: Late,
}

/// Where bodies of one client are waited for.
pub(super) struct Room {
    pub(super) places: Places,
    pub(super) address: IpAddr,
    /// How many at a time: who sends slowly holds what answers others.
    pub(super) most: usize,
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
    /// Waits `limit` in all, and not at all if there is no room.
    pub(super) fn new(body: Body, limit: Duration, room: Room) -> (Self, Late) {
        let late = Late(Some(Arc::default()));
        let paced = Self {
            body,
            limit,
            wait: None,
            room,
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
        if self.wait.is_none() {
            let place = self.room.places.take(self.room.address, self.room.most);
            let limit = self.limit;
            self.wait = place.map(|place| (Box::pin(sleep(limit)), place));
        }
        let waited = self.wait.as_mut();
        waited
            .map_or(Poll::Ready(()), |(deadline, _)| deadline.as_mut().poll(cx))
            .map(|()| {
                self.wait = None;
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
