//! Pictures of clients, fetched by us, drawn anew, and shown from our own origin: people's browsers never ask a stranger's server.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use image::{ImageFormat, ImageReader, Limits};
use shared_protocol::client_id::ClientId;
use shared_protocol::outbound::{Fetched, Fetcher};
use shared_protocol::time::Instant;
use shared_server::web::{Now, Problem};

use super::Client;
use super::directory::{Clients, DirectoryError};
use super::document::{self, ClientDocuments};
use super::url::ClientUrl;
use crate::documents::{DocumentError, Documents, Kind};
use crate::parameters::Parameters;

/// Below the issuer's path.
pub const PATH: &str = "/clients/logo";

/// The longest that a picture is believed.
const LONGEST: Duration = Duration::from_hours(1);
/// Bytes of one as it comes.
const MOST: usize = 256 * 1024;
/// Bytes of all that are remembered.
const KEPT: u64 = 16 * 1024 * 1024;
/// Pixels of one as it comes, on either side, and the memory that drawing it may take.
const MOST_PIXELS: u32 = 2048;
const MOST_MEMORY: u64 = 32 * 1024 * 1024;
/// Pixels as it is shown, on the longer side: twice those of the page, for fine screens.
const SIDE: u32 = 128;
/// For how long browsers keep it.
const CACHED: &str = "private, max-age=300";

/// Drawn anew as PNG, so that nothing of what came is passed on but what it shows.
pub struct Logo(Bytes);

impl Logo {
    /// What a picture shows, whatever it says that it is.
    fn read(fetched: &Fetched) -> Result<Self, DocumentError> {
        let unreadable = |_| DocumentError::Content("it is no picture that can be drawn".into());
        let format = image::guess_format(&fetched.body).map_err(unreadable)?;
        if !matches!(
            format,
            ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Gif
        ) {
            let other = "it is neither PNG, JPEG, WebP nor GIF";
            return Err(DocumentError::Content(other.into()));
        }
        let mut reader = ImageReader::with_format(Cursor::new(&fetched.body[..]), format);
        // A picture of few bytes may be of many pixels (threat 30).
        let mut limits = Limits::default();
        limits.max_image_width = Some(MOST_PIXELS);
        limits.max_image_height = Some(MOST_PIXELS);
        limits.max_alloc = Some(MOST_MEMORY);
        reader.limits(limits);
        let picture = reader.decode().map_err(unreadable)?;
        let picture = picture.thumbnail(SIDE.min(picture.width()), SIDE.min(picture.height()));
        let mut png = Vec::new();
        let drawn = picture
            .into_rgba8()
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png);
        drawn.map_err(unreadable)?;
        Ok(Self(png.into()))
    }
}

/// The pictures of clients.
#[derive(Clone)]
pub struct Logos(Documents<Logo>);

impl Logos {
    /// Pictures by this fetcher.
    #[must_use]
    pub fn new(fetcher: &Fetcher) -> Self {
        Self(Documents::new(
            fetcher,
            Kind {
                name: "logo_uri",
                accept: "image/png, image/jpeg, image/webp, image/gif",
                longest: LONGEST,
                most: MOST,
                kept: KEPT,
                // Drawing one takes memory.
                at_once: 2,
                read: Arc::new(|_, fetched| {
                    let logo = Logo::read(fetched)?;
                    let bytes = logo.0.len();
                    Ok((logo, bytes))
                }),
            },
        ))
    }
}

/// Shows pictures of clients that are known.
pub struct Pictures {
    /// Clients that were registered, and those that describe themselves and were approved.
    pub clients: Clients,
    /// Clients that describe themselves.
    pub documents: Option<ClientDocuments>,
    /// Their pictures.
    pub logos: Logos,
}

impl Pictures {
    /// The URL of a client's picture. Nobody has us fetch a description here.
    async fn url(&self, id: &ClientId, now: Instant) -> Result<Option<ClientUrl>, DirectoryError> {
        let described = self.documents.as_ref().zip(document::document_url(id));
        let fresh = described.and_then(|(documents, url)| documents.fresh(&url, now));
        let client: Option<Arc<Client>> = match fresh {
            Some(client) => Some(client),
            None => self.clients.find(id).await?,
        };
        Ok(client.and_then(|client| client.metadata.logo_uri.clone()))
    }
}

/// GET `/clients/logo?client_id=…`
pub async fn endpoint(
    State(pictures): State<Arc<Pictures>>,
    Now(now): Now,
    RawQuery(query): RawQuery,
) -> Response {
    let none = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such picture",
        )
    };
    let unavailable = || Problem::unavailable("unavailable", "The picture cannot be shown now");
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let id = parameters.ok().and_then(|parameters| {
        let id = parameters.optional("client_id")?;
        id.parse::<ClientId>().ok()
    });
    let Some(id) = id else {
        return none().into_response();
    };
    let url = match pictures.url(&id, now).await {
        Ok(Some(url)) => url,
        Ok(None) => return none().into_response(),
        Err(error) => return unavailable().because(error).into_response(),
    };
    match pictures.logos.0.current(&url, now).await {
        Ok(logo) => shown(logo.0.clone()),
        Err(error) if error.is_ours() => unavailable().because(error).into_response(),
        Err(_) => none().into_response(),
    }
}

fn shown(png: Bytes) -> Response {
    let mut response = png.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "image/png"),
        (header::CACHE_CONTROL, CACHED),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
