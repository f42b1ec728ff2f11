//! The authorization server and the API as a client asks them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shared_protocol::jose::{Audience, JwkSet, JwtKind, UnverifiedJwt};
use shared_protocol::outbound::{Fetched, Fetcher, FetcherSettings, Origin};
use shared_protocol::time::Instant;
use url::Url;
use url::form_urlencoded;

use super::error::AppError;
use super::visits::Started;
use super::{AppSettings, SIGNED_OUT, jwt};

/// What the app asks to be allowed.
const SCOPE: &str = "openid profile email offline_access profile:read profile:write";

/// Where the authorization server has what (RFC 8414 §2).
#[derive(Deserialize)]
pub(crate) struct Endpoints {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    revocation_endpoint: Url,
    end_session_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Url,
}

/// A token response (RFC 6749 §5.1).
#[derive(Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names that the RFCs give them"
)]
pub(crate) struct Tokens {
    pub(crate) access_token: SecretString,
    pub(crate) refresh_token: Option<SecretString>,
    pub(crate) id_token: Option<String>,
}

/// The claims of an ID token that are checked each time (OpenID Connect Core §3.1.3.7).
#[derive(Deserialize)]
struct Checked {
    iss: String,
    aud: Audience,
    exp: i64,
}

/// The claims of a logout token (OpenID Connect Back-Channel Logout §2.4).
#[derive(Deserialize)]
pub(crate) struct LogoutToken {
    iss: String,
    aud: Audience,
    iat: i64,
    exp: i64,
    pub(crate) jti: String,
    events: BTreeMap<String, Value>,
    pub(crate) sub: Option<String>,
    pub(crate) sid: Option<String>,
    nonce: Option<Value>,
}

/// What happened.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How far clocks may be apart, in seconds.
const SKEW: i64 = 60;

/// What a server said to a token.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    error_description: Option<String>,
}

/// How a person has to sign in: parameters of an authorization request (RFC 9470 §4).
#[derive(Default)]
pub(crate) struct StepUp(Vec<(&'static str, String)>);

impl StepUp {
    /// What a challenge asks for, if it asks for a sign-in (RFC 9470 §3).
    fn of(challenge: &str) -> Option<Self> {
        let value = |name: &str| {
            let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
            let (value, _) = rest.split_once('"')?;
            Some(value.to_owned())
        };
        if value(" error").as_deref() != Some("insufficient_user_authentication") {
            return None;
        }
        let asked = ["acr_values", "max_age"].map(|name| Some((name, value(&format!(" {name}"))?)));
        Some(Self(asked.into_iter().flatten().collect()))
    }
}

/// Both servers.
pub(crate) struct Provider {
    settings: AppSettings,
    redirect_uri: String,
    signed_out_uri: String,
    fetcher: Fetcher,
}

impl Provider {
    pub(crate) fn new(settings: AppSettings) -> anyhow::Result<Self> {
        let fetcher = Fetcher::new(FetcherSettings {
            allowed: vec![
                Origin::try_from(settings.issuer.url())?,
                Origin::try_from(settings.api.url())?,
            ],
            ..FetcherSettings::default()
        })?;
        Ok(Self {
            redirect_uri: format!("http://localhost:{}/callback", settings.port),
            signed_out_uri: format!("http://localhost:{}{SIGNED_OUT}", settings.port),
            settings,
            fetcher,
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.settings.issuer.as_str()
    }

    pub(crate) fn api(&self) -> &str {
        self.settings.api.as_str()
    }

    /// Where a person signs out of the authorization server.
    pub(crate) fn sign_out_page(&self) -> String {
        self.settings.issuer.endpoint("/oauth/logout")
    }

    /// The endpoints, asked anew each time: the app may have been started first.
    pub(crate) async fn discover(&self) -> Result<Endpoints, AppError> {
        let url = self.settings.issuer.metadata_url();
        let fetched = self.fetcher.get(&url, "application/json").await?;
        let endpoints: Endpoints = json(&fetched)?;
        // RFC 8414 §3.3.
        if endpoints.issuer == self.issuer() {
            Ok(endpoints)
        } else {
            Err(AppError::OtherIssuer)
        }
    }

    /// RFC 6749 §4.1.1, with PKCE (RFC 7636 §4.3), the API as resource (RFC 8707 §2.1), and a nonce.
    pub(crate) fn authorization_url(
        &self,
        endpoints: &Endpoints,
        state: &str,
        started: &Started,
        step_up: &StepUp,
    ) -> String {
        let digest = Sha256::digest(started.verifier.expose_secret());
        let challenge = URL_SAFE_NO_PAD.encode(digest);
        let mut url = endpoints.authorization_endpoint.clone();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", self.settings.client_id.as_str()),
            ("redirect_uri", &self.redirect_uri),
            ("scope", SCOPE),
            ("resource", self.api()),
            ("state", state),
            ("nonce", &started.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        // RFC 9470 §4.
        url.query_pairs_mut().extend_pairs(&step_up.0);
        url.into()
    }

    /// RFC 6749 §4.1.3.
    pub(crate) async fn redeem(
        &self,
        endpoints: &Endpoints,
        code: &str,
        verifier: &SecretString,
    ) -> Result<Tokens, AppError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier.expose_secret()),
        ];
        json(&self.post(&endpoints.token_endpoint, &form).await?)
    }

    /// RFC 6749 §6.
    pub(crate) async fn refresh(
        &self,
        endpoints: &Endpoints,
        refresh_token: &SecretString,
    ) -> Result<Tokens, AppError> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
        ];
        json(&self.post(&endpoints.token_endpoint, &form).await?)
    }

    /// RFC 7009 §2.1.
    pub(crate) async fn revoke(
        &self,
        endpoints: &Endpoints,
        token: &SecretString,
    ) -> Result<(), AppError> {
        let form = [("token", token.expose_secret())];
        let fetched = self.post(&endpoints.revocation_endpoint, &form).await?;
        if fetched.status.is_success() {
            Ok(())
        } else {
            Err(refusal(&fetched))
        }
    }

    /// The claims of the first ID token, if it is for this app and this flow (OpenID Connect Core §3.1.3.7). It came from the token
    /// endpoint itself, so rule 6 leaves out the signature.
    pub(crate) fn id_token(
        &self,
        id_token: &str,
        nonce: &str,
        now: Instant,
    ) -> Result<Value, AppError> {
        let claims = self.current_claims(id_token, now)?;
        if claims.get("nonce").and_then(Value::as_str) != Some(nonce) {
            return Err(AppError::IdToken("it belongs to another sign-in"));
        }
        Ok(claims)
    }

    /// The claims of an ID token that came with a refresh: of the same person (OpenID Connect Core §12.2).
    pub(crate) fn renewed_id_token(
        &self,
        id_token: &str,
        before: &Value,
        now: Instant,
    ) -> Result<Value, AppError> {
        let claims = self.current_claims(id_token, now)?;
        if claims.get("sub") != before.get("sub") {
            return Err(AppError::IdToken("it is about somebody else"));
        }
        Ok(claims)
    }

    fn current_claims(&self, id_token: &str, now: Instant) -> Result<Value, AppError> {
        let claims = jwt::claims(id_token).ok_or(AppError::IdToken("it is not a JWT"))?;
        let checked = Checked::deserialize(&claims)
            .map_err(|_| AppError::IdToken("it lacks a claim that it must have"))?;
        if checked.iss != self.issuer() {
            return Err(AppError::IdToken("another server issued it"));
        }
        if !checked.aud.iter().eq([self.settings.client_id.as_str()]) {
            return Err(AppError::IdToken("it is for another client"));
        }
        if checked.exp <= now.as_secs() {
            return Err(AppError::IdToken("it has expired"));
        }
        Ok(claims)
    }

    /// OpenID Connect RP-Initiated Logout §2.
    pub(crate) fn end_session_url(
        &self,
        endpoints: &Endpoints,
        id_token: Option<&str>,
        state: &str,
    ) -> String {
        let mut url = endpoints.end_session_endpoint.clone();
        url.query_pairs_mut()
            .extend_pairs(id_token.map(|hint| ("id_token_hint", hint)))
            .extend_pairs([
                ("client_id", self.settings.client_id.as_str()),
                ("post_logout_redirect_uri", &self.signed_out_uri),
                ("state", state),
            ]);
        url.into()
    }

    /// What a logout token says, if it is to be believed (OpenID Connect Back-Channel Logout §2.6). Strangers may send one too, so
    /// that its form is looked at before anybody is asked for keys.
    pub(crate) async fn logout_token(
        &self,
        token: &str,
        now: Instant,
    ) -> Result<LogoutToken, AppError> {
        let malformed = |_| AppError::LogoutToken("it is no logout token");
        let jwt = UnverifiedJwt::parse(token, JwtKind::LogoutToken).map_err(malformed)?;
        let endpoints = self.discover().await?;
        let fetched = self
            .fetcher
            .get(&endpoints.jwks_uri, "application/jwk-set+json")
            .await?;
        let keys = JwkSet::from_slice(&fetched.body)
            .map_err(|_| AppError::Unexpected("keys that are none"))?;
        let forged = |_| AppError::LogoutToken("no key of the server signed it");
        let (claims, _) = jwt.verify(&keys).map_err(forged)?;
        let logout: LogoutToken = claims.parse().map_err(malformed)?;
        let why = if logout.iss != self.issuer() {
            "another server issued it"
        } else if !logout.aud.iter().eq([self.settings.client_id.as_str()]) {
            "it is for another client"
        } else if logout.exp <= now.as_secs() - SKEW || logout.iat > now.as_secs() + SKEW {
            "it is not of this time"
        } else if !logout
            .events
            .get(LOGOUT_EVENT)
            .is_some_and(Value::is_object)
        {
            "it tells of something else"
        } else if logout.nonce.is_some() {
            "it is an ID token"
        } else if logout.sub.is_none() && logout.sid.is_none() {
            "it is about nobody"
        } else {
            return Ok(logout);
        };
        Err(AppError::LogoutToken(why))
    }

    /// OpenID Connect Core §5.3.
    pub(crate) async fn userinfo(
        &self,
        endpoints: &Endpoints,
        access_token: &SecretString,
    ) -> Result<Answer, AppError> {
        self.call(&endpoints.userinfo_endpoint, access_token).await
    }

    /// What the API says about whose token this is.
    pub(crate) async fn me(&self, access_token: &SecretString) -> Result<Answer, AppError> {
        self.call(&self.me_url()?, access_token).await
    }

    /// Tells the API what the person wants to be called; or how they must sign in before it listens.
    pub(crate) async fn rename(
        &self,
        access_token: &SecretString,
        name: &str,
    ) -> Result<Result<(), StepUp>, AppError> {
        let body = serde_json::json!({"display_name": name}).to_string();
        let mut request = request(Method::PUT, &self.me_url()?, body.into())?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        request
            .headers_mut()
            .insert(AUTHORIZATION, bearer(access_token)?);
        let fetched = self.fetcher.send(request).await?;
        if fetched.status == StatusCode::OK {
            return Ok(Ok(()));
        }
        let step_up = fetched.challenge.as_deref().and_then(StepUp::of);
        step_up
            .map(Err)
            .ok_or(AppError::Unexpected("the API does not take the name"))
    }

    fn me_url(&self) -> Result<Url, AppError> {
        let base = self.api().trim_end_matches('/');
        Url::parse(&format!("{base}/api/v1/users/me"))
            .map_err(|_| AppError::Unexpected("the API has no address"))
    }

    /// RFC 6750 §2.1.
    async fn call(&self, url: &Url, access_token: &SecretString) -> Result<Answer, AppError> {
        let mut request = request(Method::GET, url, Bytes::new())?;
        request
            .headers_mut()
            .insert(AUTHORIZATION, bearer(access_token)?);
        let fetched = self.fetcher.send(request).await?;
        let body = match serde_json::from_slice::<Value>(&fetched.body) {
            Ok(value) => super::page::pretty(&value),
            Err(_) => String::from_utf8_lossy(&fetched.body).into_owned(),
        };
        Ok(Answer {
            status: fetched.status.as_u16(),
            body,
        })
    }

    /// A form of a public client, which says who it is and proves nothing (RFC 6749 §3.2.1).
    async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<Fetched, AppError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .append_pair("client_id", self.settings.client_id.as_str())
            .finish();
        let mut request = request(Method::POST, url, body.into())?;
        request.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        Ok(self.fetcher.send(request).await?)
    }
}

fn bearer(access_token: &SecretString) -> Result<HeaderValue, AppError> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose_secret()))
        .map_err(|_| AppError::Unexpected("an access token that no header can hold"))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

fn request(method: Method, url: &Url, body: Bytes) -> Result<Request<Bytes>, AppError> {
    Request::builder()
        .method(method)
        .uri(url.as_str())
        .header(ACCEPT, "application/json")
        .body(body)
        .map_err(|_| AppError::Unexpected("an endpoint that is not a URL"))
}

/// The document of a response with status 200, or the refusal that it is.
fn json<T: DeserializeOwned>(fetched: &Fetched) -> Result<T, AppError> {
    if fetched.status != StatusCode::OK {
        return Err(refusal(fetched));
    }
    serde_json::from_slice(&fetched.body)
        .map_err(|_| AppError::Unexpected("a document that is not of its form"))
}

fn refusal(fetched: &Fetched) -> AppError {
    match serde_json::from_slice::<ErrorResponse>(&fetched.body) {
        Ok(response) => AppError::Refused {
            error: response.error,
            description: response.error_description,
        },
        Err(_) => AppError::Unexpected("an error without a code"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9470_3_a_challenge_is_read() {
        for (challenge, expected) in [
            (
                r#"Bearer error="insufficient_user_authentication", error_description="x", acr_values="a b", max_age="5", resource_metadata="y""#,
                Some(vec![("acr_values", "a b"), ("max_age", "5")]),
            ),
            (
                r#"Bearer error="insufficient_user_authentication""#,
                Some(vec![]),
            ),
            (r#"Bearer error="invalid_token", acr_values="a""#, None),
            ("Bearer", None),
        ] {
            let read = StepUp::of(challenge);
            let read = read.as_ref().map(|step_up| {
                let pairs = step_up.0.iter();
                pairs.map(|(name, value)| (*name, value.as_str())).collect()
            });
            assert_eq!(read, expected, "{challenge}");
        }
    }
}
