//! A site of a client, on this machine and by TLS under a CA of its own: it answers what it is told to, and counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_server::config::Config;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use shared_protocol::time::SystemClock;
use shared_server::web::{
    self, Edge, EdgeSettings, Limits, Listener, Proxies, Shutdown, TlsSettings,
};
use tokio::sync::Semaphore;

/// A site. Gone when dropped, with the files of its certificates.
pub(crate) struct Site {
    /// Without a path.
    pub(crate) url: String,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
    shutdown: Shutdown,
}

#[derive(Default)]
struct Shared {
    pages: Mutex<BTreeMap<String, Page>>,
    asked: Mutex<Vec<String>>,
    heard: Mutex<Vec<(String, String)>>,
}

#[derive(Clone)]
enum Page {
    Whole(StatusCode, Vec<(String, String)>, Bytes),
    /// Answered when there is a permit for it.
    Held(Arc<Semaphore>, Box<Page>),
    /// Never ends.
    Endless,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let leaf = CertificateParams::new(names).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap().pem();
        for (name, content) in [("ca", ca), ("leaf", leaf), ("key", key.serialize_pem())] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let tls = TlsSettings {
            certificate: Some(folder.path().join("leaf")),
            key: Some(folder.path().join("key")),
            ..TlsSettings::default()
        };
        let settings = EdgeSettings {
            tls: &tls,
            proxies: &Proxies::default(),
            https: true,
        };
        let registry = prometheus::Registry::new();
        let edge = Edge::open(settings, Arc::new(SystemClock), &registry).unwrap();
        let any = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let listener = Listener::bind(&any).await.unwrap();
        let address = listener.addresses()[0];
        let shared = Arc::<Shared>::default();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let shutdown = Shutdown::new();
        let until = shutdown.clone();
        tokio::spawn(async move {
            let limits = Limits {
                drain: Duration::ZERO,
                ..Limits::default()
            };
            web::serve(listener.behind(&edge), app, &limits, until).await;
        });
        Self {
            url: format!("https://{address}"),
            shared,
            folder,
            shutdown,
        }
    }

    /// Lets a server trust and reach this site.
    pub(crate) fn open_to(&self, config: &mut Config) {
        config.outbound.ca = Some(self.folder.path().join("ca"));
        config.outbound.networks = vec!["127.0.0.0/8".parse().unwrap()];
        // Long for a machine that does much at once, short for one that never answers.
        config.outbound.timeout = Duration::from_secs(5);
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn show(&self, path: &str, page: Page) {
        let mut pages = self.shared.pages.lock().unwrap();
        pages.insert(path.to_owned(), page);
    }

    pub(crate) fn put(&self, path: &str, document: &Value) {
        self.put_with(path, 200, &[], document.to_string());
    }

    /// With headers, of which `content-type` is JSON unless another is given.
    pub(crate) fn put_with(
        &self,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) {
        self.show(path, whole(status, headers, body));
    }

    /// Answers with the document when there is a permit for it.
    pub(crate) fn hold(&self, path: &str, document: &Value) -> Arc<Semaphore> {
        let permits = Arc::new(Semaphore::new(0));
        let page = Box::new(whole(200, &[], document.to_string()));
        self.show(path, Page::Held(Arc::clone(&permits), page));
        permits
    }

    pub(crate) fn put_endless(&self, path: &str) {
        self.show(path, Page::Endless);
    }

    /// How often somebody asked for this path.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|known| *known == path).count()
    }

    /// What was posted to this path, in its order.
    pub(crate) fn heard(&self, path: &str) -> Vec<String> {
        let heard = self.shared.heard.lock().unwrap();
        let here = heard.iter().filter(|(known, _)| known == path);
        here.map(|(_, body)| body.clone()).collect()
    }

    /// How often somebody asked for anything.
    pub(crate) fn asked_in_all(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

fn whole(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Page {
    let mut headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".into(), "application/json".into()));
    }
    Page::Whole(StatusCode::from_u16(status).unwrap(), headers, body.into())
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().to_string();
    let path = path.split("://").last().unwrap();
    let path = path
        .find('/')
        .map_or("/", |start| &path[start..])
        .to_owned();
    shared.asked.lock().unwrap().push(path.clone());
    if request.method() == Method::POST {
        let body = axum::body::to_bytes(request.into_body(), 64 * 1024).await;
        let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
        shared.heard.lock().unwrap().push((path.clone(), body));
    }
    let mut page = shared.pages.lock().unwrap().get(&path).cloned();
    if let Some(Page::Held(permits, held)) = page {
        permits.acquire().await.unwrap().forget();
        page = Some(*held);
    }
    match page {
        Some(Page::Whole(status, headers, body)) => {
            let mut response = (status, body).into_response();
            for (name, value) in headers {
                let name = axum::http::HeaderName::try_from(name).unwrap();
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Some(Page::Endless) => {
            let chunks = futures_util::stream::repeat_with(|| {
                Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 4096]))
            });
            Body::from_stream(chunks).into_response()
        }
        Some(Page::Held(..)) | None => StatusCode::NOT_FOUND.into_response(),
    }
}
