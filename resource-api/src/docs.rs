//! What this API is, for machines (`/openapi.json`) and for people (`/docs`).

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use shared_server::web::not_found;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToResponse, ToSchema};
use utoipa_swagger_ui::Config;

use crate::answer::Answer;
use crate::{problem, profile_fields, users};

/// The page is ours alone and asks nobody else. The interface sets `style` attributes, so inline styles are let through;
/// inline scripts are not.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The description of this API, as `OpenAPI` 3.1.
#[must_use]
pub fn openapi() -> Document {
    Described::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Resource API", description = "A multi-tenant backend that trusts only access tokens."),
    paths(users::me, users::change, profile_fields::field),
    components(schemas(users::Me, users::Profile, profile_fields::ProfileField, ProblemDetails), responses(Refusal)),
    modifiers(&Schemes),
    tags((name = "users", description = "People and services"))
)]
struct Described;

/// Problem details (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `web::Problem` writes")]
pub(crate) struct ProblemDetails {
    /// The status of the response.
    status: u16,
    /// What kind of problem it is; never changes its meaning.
    #[schema(example = "urn:problem-type:invalid-token")]
    r#type: String,
    /// The same for every problem of the type.
    title: String,
    /// What is special about this one.
    detail: Option<String>,
    /// Names the request in the server's log.
    request_id: String,
}

/// A refusal
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
#[expect(dead_code, reason = "describes what `web::Problem` writes")]
pub(crate) struct Refusal(ProblemDetails);

/// The schemes by which callers show who they are (RFC 6750, RFC 9449).
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        bearer.description = Some(
            "An access token for this API (RFC 6750); one that is bound to a certificate goes with that one, over mutual TLS (RFC 8705)"
                .to_owned(),
        );
        // The description knows no scheme `DPoP`, so it tells of what comes beside the token.
        let proof = ApiKeyValue::with_description(
            "DPoP",
            "The proof of the key that the access token is bound to, which goes by `Authorization: DPoP` (RFC 9449)",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("dpop", SecurityScheme::ApiKey(ApiKey::Header(proof)));
    }
}

/// `/openapi.json`.
pub(crate) fn description() -> Router {
    let document = Arc::new(openapi());
    Router::new().route("/openapi.json", get(async move || Answer(document)))
}

/// `/docs`, to browse it.
pub(crate) fn pages() -> Router {
    // Without `none` the interface would send the address of the document to a service that judges it.
    let config = Config::from("/openapi.json").validator_url("none");
    let config = Arc::new(config);
    let index = Arc::clone(&config);
    Router::new()
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(move || page(String::new(), index)))
        .route(
            "/docs/{*file}",
            get(move |Path(file): Path<String>| page(file, config)),
        )
}

async fn page(file: String, config: Arc<Config<'static>>) -> Response {
    // Its error cannot be sent between threads.
    let served = utoipa_swagger_ui::serve(&file, config).map_err(|error| error.to_string());
    match served {
        Ok(Some(file)) => {
            let Ok(kind) = HeaderValue::try_from(file.content_type) else {
                return problem::internal().into_response();
            };
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
            ];
            (StatusCode::OK, headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => not_found().await.into_response(),
        Err(error) => {
            tracing::error!(error, "the page cannot be written");
            problem::internal().into_response()
        }
    }
}
