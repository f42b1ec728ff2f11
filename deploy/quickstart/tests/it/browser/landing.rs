//! Where a client waits for the answer: an origin of its own, which keeps what arrives.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Uri};
use axum::response::Html;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use url::form_urlencoded;

const PATIENCE: Duration = Duration::from_secs(30);

/// A listener on 127.0.0.1, to which `localhost` is another host.
pub(crate) struct Landing {
    port: u16,
    arrived: UnboundedReceiver<Arrival>,
    serving: tokio::task::JoinHandle<()>,
}

/// A request to `/callback`.
pub(crate) struct Arrival {
    pub(crate) method: Method,
    pub(crate) query: String,
    pub(crate) body: String,
}

impl Arrival {
    /// A parameter of the answer, in query or body.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let all = format!("{}&{}", self.query, self.body);
        form_urlencoded::parse(all.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

impl Landing {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, arrived) = unbounded_channel();
        let callback = async move |method: Method, uri: Uri, body: String| {
            let query = uri.query().unwrap_or_default().to_owned();
            let _ = sender.send(Arrival {
                method,
                query,
                body,
            });
            Html("<title>Landed</title><p id=\"landed\">Landed")
        };
        let app = Router::new().route("/callback", any(callback));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            port,
            arrived,
            serving,
        }
    }

    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    pub(crate) async fn arrival(&mut self) -> Arrival {
        let arrival = timeout(PATIENCE, self.arrived.recv()).await;
        arrival.expect("an answer arrives").unwrap()
    }

    /// Whether something arrived that nobody looked at.
    pub(crate) fn has_more(&self) -> bool {
        !self.arrived.is_empty()
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
