//! An authorization request and what a client does with its answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Response;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::process::{Place, http, send};

/// 43 letters, as RFC 7636 §4.1 asks at least.
pub(crate) const VERIFIER: &str = "a-verifier-that-nobody-should-read-anywhere0";
pub(crate) const STATE: &str = "a-state-that-nobody-should-read-anywhere";
pub(crate) const NONCE: &str = "a-nonce-that-is-in-the-id-token";

/// What a client asks for, and where the answer goes.
pub(crate) struct Flow<'a> {
    place: &'a Place,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// What the client sends to the token endpoint to show that it is itself; nothing, if it is a public one.
    pub(crate) proof: Vec<(&'static str, String)>,
}

impl<'a> Flow<'a> {
    /// One of the demo app's client.
    pub(crate) fn of_app(place: &'a Place, redirect_uri: &str) -> Self {
        let client_id = place.demo()["app"]["client_id"]
            .as_str()
            .unwrap()
            .to_owned();
        Self::of(place, &client_id, redirect_uri)
    }

    pub(crate) fn of(place: &'a Place, client_id: &str, redirect_uri: &str) -> Self {
        Self {
            place,
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            proof: Vec::new(),
        }
    }

    /// The request's address, with these parameters too.
    pub(crate) fn url(&self, more: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut url = Url::parse(&self.place.auth("/oauth/authorize")).unwrap();
        url.query_pairs_mut()
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", &self.client_id),
                ("redirect_uri", &self.redirect_uri),
                ("scope", "openid email offline_access profile:read"),
                ("state", STATE),
                ("nonce", NONCE),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ])
            .extend_pairs(more);
        url.into()
    }

    pub(crate) async fn redeem(&self, code: &str) -> Response {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Response {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ])
        .await
    }

    async fn token(&self, form: &[(&str, &str)]) -> Response {
        let request = http().post(self.place.auth("/oauth/token"));
        let mut form = [form, &[("client_id", &self.client_id)]].concat();
        form.extend(self.proof.iter().map(|(name, value)| (*name, &**value)));
        send(request.form(&form)).await
    }

    /// The tokens of a code, which must be good: the API answers for the person.
    pub(crate) async fn tokens(&self, code: &str) -> Value {
        let response = self.redeem(code).await;
        assert_eq!(response.status(), 200);
        let tokens: Value = response.json().await.unwrap();
        let me = self.place.me(tokens["access_token"].as_str()).await;
        assert_eq!(me.status(), 200);
        let me: Value = me.json().await.unwrap();
        assert_eq!(me["type"], "person", "{me}");
        tokens
    }
}

/// The claims of a JWT, to be looked at.
pub(crate) fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
