//! The demo app: a public client with a page of its own, which shows the code flow with a browser, from "Sign in" to what the API
//! says about the person. All it knows of the servers is their addresses and its client id.

mod error;
mod jwt;
mod page;
mod provider;
mod visits;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::random::{Random, alphanumeric};
use shared_protocol::resource::ResourceId;
use shared_protocol::time::Instant;
use shared_server::web::{self, Now, Observed};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use self::error::AppError;
use self::page::{ErrorPage, SignedInPage, StartPage};
use self::provider::{Provider, StepUp, Tokens};
use self::visits::{Cookie, SignedIn, Started, Visits};

/// 43 letters and digits hold 256 bits; as a PKCE verifier they are as long as RFC 7636 §4.1 asks.
const SECRET_LENGTH: usize = 43;

/// Where people come back to who signed out.
pub(crate) const SIGNED_OUT: &str = "/signed-out";
/// Where the authorization server tells that somebody signed out.
pub(crate) const BACK_CHANNEL: &str = "/back-channel-logout";

/// What the app is told.
pub(crate) struct AppSettings {
    /// Its port on `localhost`.
    pub(crate) port: u16,
    /// The authorization server.
    pub(crate) issuer: Issuer,
    /// The API, its identifier and address.
    pub(crate) api: ResourceId,
    /// Who it is.
    pub(crate) client_id: ClientId,
}

/// What the handlers share.
struct App {
    provider: Provider,
    visits: Visits,
    cookie: Cookie,
    random: Arc<dyn Random>,
}

/// The app's routes.
///
/// # Errors
/// Addresses that the app cannot ask.
pub(crate) fn router(settings: AppSettings, observed: &Observed) -> anyhow::Result<Router> {
    let app = App {
        cookie: Cookie::of_port(settings.port),
        provider: Provider::new(settings)?,
        visits: Visits::default(),
        random: Arc::clone(&observed.random),
    };
    let router = Router::new()
        .route("/", get(front))
        .route("/start", get(start))
        .route("/callback", get(callback))
        .route("/refresh", post(refresh))
        .route("/rename", post(rename))
        .route("/sign-out", post(sign_out))
        .route(SIGNED_OUT, get(signed_out))
        .route(BACK_CHANNEL, post(hear))
        .route("/style.css", get(style))
        .fallback(web::not_found)
        .with_state(Arc::new(app));
    Ok(web::layers(router, observed))
}

/// An explanation, or what a person's tokens brought.
async fn front(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, AppError> {
    let signed_in = app
        .cookie
        .of(&headers)
        .and_then(|visit| app.visits.signed_in(&visit));
    match signed_in {
        None => Ok(page::respond(
            StatusCode::OK,
            &StartPage::new(&app.provider),
        )),
        Some(signed_in) => {
            let endpoints = app.provider.discover().await?;
            let access_token = &signed_in.tokens.access_token;
            let page = SignedInPage {
                form: signed_in.form.expose_secret(),
                id_token: page::pretty(&signed_in.id_token),
                access_token: page::pretty(&jwt::decoded(access_token.expose_secret())),
                userinfo: app.provider.userinfo(&endpoints, access_token).await?,
                me: app.provider.me(access_token).await?,
                api: app.provider.api(),
                refreshed: signed_in.refreshed,
                refreshable: signed_in.tokens.refresh_token.is_some(),
            };
            Ok(page::respond(StatusCode::OK, &page))
        }
    }
}

/// Sends the person to sign in.
async fn start(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, AppError> {
    app.send_away(&headers, &StepUp::default(), None).await
}

/// Where the authorization server sends the person back to (RFC 6749 §4.1.2).
async fn callback(
    State(app): State<Arc<App>>,
    Now(now): Now,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, AppError> {
    let query = query.unwrap_or_default();
    let parameter = |name| single(query.as_bytes(), name);
    // RFC 6749 §10.12: a response that this browser did not ask for is somebody else's.
    let started = parameter("state")
        .and_then(|state| app.visits.take(&state))
        .filter(|started| app.cookie.of(&headers).as_ref() == Some(&started.visit))
        .ok_or(AppError::NotAskedFor)?;
    // RFC 9207 §2.4: errors included.
    if parameter("iss").as_deref() != Some(app.provider.issuer()) {
        return Err(AppError::OtherIssuer);
    }
    if let Some(error) = parameter("error") {
        return Err(AppError::Refused {
            error,
            description: parameter("error_description"),
        });
    }
    let code = parameter("code").ok_or(AppError::Unexpected("neither a code nor an error"))?;
    let endpoints = app.provider.discover().await?;
    let tokens = app
        .provider
        .redeem(&endpoints, &code, &started.verifier)
        .await?;
    let id_token = tokens
        .id_token
        .as_deref()
        .ok_or(AppError::Unexpected("no ID token"))?;
    let id_token = app.provider.id_token(id_token, &started.nonce, now)?;
    // A new name, because whoever knew the old one must not share what comes now.
    let visit = alphanumeric(SECRET_LENGTH, &*app.random);
    let mut response = see_other("/");
    response
        .headers_mut()
        .insert(SET_COOKIE, app.cookie.set(&visit));
    if let Some(name) = &started.name {
        let renamed = app.provider.rename(&tokens.access_token, name).await?;
        renamed.map_err(|_| AppError::Unexpected("the API asks for another sign-in"))?;
    }
    let form = alphanumeric(SECRET_LENGTH, &*app.random).into();
    let signed_in = SignedIn {
        tokens,
        id_token,
        form,
        refreshed: 0,
    };
    app.visits.sign_in(visit, signed_in);
    Ok(response)
}

/// New tokens for the refresh token (RFC 6749 §6).
async fn refresh(
    State(app): State<Arc<App>>,
    Now(now): Now,
    headers: HeaderMap,
    form: Bytes,
) -> Result<Response, AppError> {
    let (visit, before) = app.posted(&headers, &form)?;
    let refresh_token = before
        .tokens
        .refresh_token
        .as_ref()
        .ok_or(AppError::Unexpected("no refresh token"))?;
    let endpoints = app.provider.discover().await?;
    let refreshed = match app.provider.refresh(&endpoints, refresh_token).await {
        Ok(refreshed) => refreshed,
        Err(error) => {
            if matches!(error, AppError::Refused { .. }) {
                // It is worth nothing any more: the person signs in again.
                app.visits.sign_out(&visit);
            }
            return Err(error);
        }
    };
    let after = SignedIn {
        id_token: app.renewed(&refreshed, &before, now)?,
        tokens: Tokens {
            id_token: refreshed
                .id_token
                .or_else(|| before.tokens.id_token.clone()),
            // RFC 6749 §6: the old one stays where no new one comes.
            refresh_token: refreshed
                .refresh_token
                .or_else(|| before.tokens.refresh_token.clone()),
            ..refreshed
        },
        form: before.form.clone(),
        refreshed: before.refreshed.saturating_add(1),
    };
    app.visits.sign_in(visit, after);
    Ok(see_other("/"))
}

/// Tells the API what the person wants to be called. Where it wants them to sign in for that (RFC 9470), they go there, and it is told
/// afterwards.
async fn rename(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Bytes,
) -> Result<Response, AppError> {
    let (_, signed_in) = app.posted(&headers, &form)?;
    let name = single(&form, "name").unwrap_or_default();
    let access_token = &signed_in.tokens.access_token;
    match app.provider.rename(access_token, &name).await? {
        Ok(()) => Ok(see_other("/")),
        Err(step_up) => app.send_away(&headers, &step_up, Some(name)).await,
    }
}

/// Ends what the person allowed the app (RFC 7009), forgets the tokens, and has the person signed out everywhere else: by the
/// authorization server, which knows where they are signed in (OpenID Connect RP-Initiated Logout §2).
async fn sign_out(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Bytes,
) -> Result<Response, AppError> {
    let (visit, signed_in) = app.posted(&headers, &form)?;
    app.visits.sign_out(&visit);
    let endpoints = app.provider.discover().await?;
    let tokens = &signed_in.tokens;
    let token = tokens
        .refresh_token
        .as_ref()
        .unwrap_or(&tokens.access_token);
    app.provider.revoke(&endpoints, token).await?;
    let state = alphanumeric(SECRET_LENGTH, &*app.random);
    let hint = tokens.id_token.as_deref();
    let mut response = see_other(&app.provider.end_session_url(&endpoints, hint, &state));
    app.visits.leave(state);
    response
        .headers_mut()
        .insert(SET_COOKIE, app.cookie.clear());
    Ok(response)
}

/// Where the authorization server sends a person back to who signed out there (OpenID Connect RP-Initiated Logout §3).
async fn signed_out(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Response, AppError> {
    let query = query.unwrap_or_default();
    let left = single(query.as_bytes(), "state").is_some_and(|state| app.visits.has_left(&state));
    if left {
        Ok(see_other("/"))
    } else {
        Err(AppError::NotAskedFor)
    }
}

/// Hears of a sign-out from the authorization server itself (OpenID Connect Back-Channel Logout §2.5 to §2.8).
async fn hear(State(app): State<Arc<App>>, Now(now): Now, form: Bytes) -> Response {
    let heard = async {
        let token = single(&form, "logout_token");
        let token = token.ok_or(AppError::LogoutToken("there is none"))?;
        let logout = app.provider.logout_token(&token, now).await?;
        app.visits.hear(&logout)
    };
    let (status, told) = match heard.await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => {
            let told = json!({"error": "invalid_request", "error_description": error.to_string()});
            (error.status(), told.to_string())
        }
    };
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_TYPE, "application/json"),
    ];
    (status, headers, told).into_response()
}

async fn style() -> Response {
    (
        [(CONTENT_TYPE, "text/css")],
        include_str!("../templates/style.css"),
    )
        .into_response()
}

impl App {
    /// Makes what only this browser and this app know, and sends the person to the authorization server (RFC 6749 §4.1.1).
    async fn send_away(
        &self,
        headers: &HeaderMap,
        step_up: &StepUp,
        name: Option<String>,
    ) -> Result<Response, AppError> {
        let endpoints = self.provider.discover().await?;
        let secret = || alphanumeric(SECRET_LENGTH, &*self.random);
        let visit = self.cookie.of(headers);
        let set_cookie = visit.is_none();
        let started = Started {
            visit: visit.unwrap_or_else(secret),
            nonce: secret(),
            verifier: secret().into(),
            name,
        };
        let state = secret();
        let url = self
            .provider
            .authorization_url(&endpoints, &state, &started, step_up);
        let mut response = see_other(&url);
        if set_cookie {
            let cookie = self.cookie.set(&started.visit);
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        self.visits.start(state, started);
        Ok(response)
    }

    /// Who posts a form of the signed-in page, if it is one: it holds a token that no other site knows.
    fn posted(
        &self,
        headers: &HeaderMap,
        form: &[u8],
    ) -> Result<(String, Arc<SignedIn>), AppError> {
        let visit = self.cookie.of(headers).ok_or(AppError::NotAskedFor)?;
        let signed_in = self.visits.signed_in(&visit).ok_or(AppError::NotAskedFor)?;
        let presented = single(form, "form").unwrap_or_default();
        let expected = signed_in.form.expose_secret().as_bytes();
        if presented.as_bytes().ct_eq(expected).into() {
            Ok((visit, signed_in))
        } else {
            Err(AppError::NotAskedFor)
        }
    }

    /// The claims of the ID token that came with a refresh, or those from before (OpenID Connect Core §12.2).
    fn renewed(
        &self,
        refreshed: &Tokens,
        before: &SignedIn,
        now: Instant,
    ) -> Result<Value, AppError> {
        match refreshed.id_token.as_deref() {
            None => Ok(before.id_token.clone()),
            Some(id_token) => self
                .provider
                .renewed_id_token(id_token, &before.id_token, now),
        }
    }
}

/// The value of a parameter that stands there once (RFC 6749 §3.1).
fn single(parameters: &[u8], name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(parameters).filter(|(key, _)| key == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}

/// A redirect after which the browser uses GET, and in whose address nothing of this request is left.
fn see_other(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

impl axum::response::IntoResponse for AppError {
    fn into_response(self) -> Response {
        page::respond(self.status(), &ErrorPage::new(&self))
    }
}
