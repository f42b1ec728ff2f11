//! Proofs of possession (RFC 9449) at this server: what judges them, and the nonces that clients are told.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use shared_protocol::dpop::{Dpop, DpopSettings, Nonces, PROOF, tell_nonce};
use shared_protocol::issuer::Issuer;
use shared_protocol::time::Clock;
use shared_server::ephemeral::Ephemeral;
use tower::{Layer, Service};

use crate::config::Config;
use crate::keys::root_secret::RootSecret;

/// Judges proofs for this issuer, as it is reached here and where clients are asked for certificates. Its nonces are good on every node.
#[must_use]
pub fn judge(config: &Config, root_secret: &RootSecret, ephemeral: &Ephemeral) -> Dpop {
    let elsewhere = config.offered().mtls;
    let issuers = std::iter::once(&config.issuer).chain(&elsewhere);
    let key = root_secret.key("dpop nonce");
    Dpop::new(DpopSettings {
        origins: issuers.map(Issuer::url).cloned().collect(),
        nonces: Nonces::new(&key, config.dpop.nonce_lifetime.duration()),
        used: Arc::new(ephemeral.clone()),
    })
}

/// The layer of an endpoint that takes proofs: whoever sent one, good or bad, is told the nonce for the next (RFC 9449 §8.2), and nobody
/// else. Not with what a cache may keep.
#[derive(Clone)]
pub struct TellNonce(Arc<Teller>);

struct Teller {
    dpop: Dpop,
    clock: Arc<dyn Clock>,
}

impl TellNonce {
    /// Tells nonces of `dpop`.
    #[must_use]
    pub fn new(dpop: Dpop, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Teller { dpop, clock }))
    }
}

impl Teller {
    fn tell(&self, response: &mut Response) {
        let nonce = || self.dpop.nonce(self.clock.now());
        tell_nonce(response.headers_mut(), nonce);
    }
}

impl<S> Layer<S> for TellNonce {
    type Service = TellingNonce<S>;

    fn layer(&self, inner: S) -> TellingNonce<S> {
        TellingNonce {
            inner,
            teller: Arc::clone(&self.0),
        }
    }
}

/// What [`TellNonce`] makes of a service. A request without a proof passes by without an allocation.
#[derive(Clone)]
pub struct TellingNonce<S> {
    inner: S,
    teller: Arc<Teller>,
}

impl<S> Service<Request> for TellingNonce<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let is_proven = request.headers().contains_key(PROOF);
        let answer = self.inner.call(request);
        if !is_proven {
            return Either::Left(answer);
        }
        let teller = Arc::clone(&self.teller);
        let told = async move {
            let mut response = answer.await?;
            teller.tell(&mut response);
            Ok(response)
        };
        Either::Right(told.boxed())
    }
}
