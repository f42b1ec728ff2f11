//! How spans get to the collector.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use shared_protocol::outbound::{Fetcher, FetcherSettings, Origin};
use url::Url;

/// How long the collector may take for one message.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What posts to the collector, which the operator named and which may stand in a private network.
pub(super) fn exporter(
    endpoint: &Url,
    headers: HeaderMap,
) -> Result<SpanExporter, Box<dyn Error + Send + Sync>> {
    let fetcher = Fetcher::new(FetcherSettings {
        allowed: vec![Origin::try_from(endpoint)?],
        timeout: TIMEOUT,
        ..FetcherSettings::default()
    })?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector { fetcher, headers })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint.as_str())
        .with_timeout(TIMEOUT)
        // What a collector refuses is dropped and counted: memory is for requests.
        .with_retry_policy(RetryPolicy::disabled())
        .build()?;
    Ok(exporter)
}

struct Collector {
    fetcher: Fetcher,
    headers: HeaderMap,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl HttpClient for Collector {
    // As the macro that declares the trait writes it.
    fn send_bytes<'a, 'b>(
        &'a self,
        mut request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        request.headers_mut().extend(self.headers.clone());
        Box::pin(async move {
            let fetched = self.fetcher.send(request).await?;
            let mut response = Response::new(fetched.body);
            *response.status_mut() = fetched.status;
            Ok(response)
        })
    }
}
