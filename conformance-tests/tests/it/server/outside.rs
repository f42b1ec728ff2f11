//! What the server fetches from clients and sends to them, with faults.

use serde_json::{Value, json};

use super::clients::now;
use super::jwt::{self, Parsed};
use super::{Asked, Rule, Server, members};

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Server {
    /// Fetches what the answer will need: a request object by reference, or the keys of a client that asserts.
    pub(crate) async fn fetch(&self, asked: &Asked) {
        let reference = asked.query.iter().find(|(name, _)| name == "request_uri");
        let keys = || {
            let token = Parsed::of(asked.field("client_assertion")?)?;
            let client = self.registered(token.claims.get("iss")?.as_str()?)?;
            Some(client.get("jwks_uri")?.as_str()?.to_owned())
        };
        let wanted = match asked.path.as_str() {
            "/authorize" => reference.map(|(_, url)| url.clone()),
            "/token" => keys(),
            _ => None,
        };
        let own = |url: &String| url.starts_with("http://127.0.0.1");
        let Some(url) = wanted.filter(own) else {
            return;
        };
        if self.breaks(Rule::KeysAreKept) && self.fetched.lock().unwrap().contains_key(&url) {
            return;
        }
        if let Ok(answer) = http().get(&url).send().await
            && let Ok(text) = answer.text().await
        {
            self.fetched.lock().unwrap().insert(url, text);
        }
    }

    /// Posts what lies in the outbox.
    pub(crate) async fn deliver(&self) {
        let waiting = std::mem::take(&mut *self.outbox.lock().unwrap());
        for (url, body) in waiting {
            let media_type = if self.breaks(Rule::LogoutTokenAsJson) {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            let post = http().post(url).header("content-type", media_type);
            drop(post.body(body).send().await);
        }
    }

    /// The keys of a registered client.
    pub(crate) fn keys_of(&self, client: &str) -> Vec<Value> {
        let metadata = self.registered(client).unwrap_or_default();
        let fetched = metadata.get("jwks_uri").and_then(Value::as_str);
        let fetched = fetched.filter(|_| !self.breaks(Rule::KeysAreNotFetched));
        let fetched = fetched.and_then(|url| self.fetched.lock().unwrap().get(url).cloned());
        let fetched = fetched.and_then(|text| serde_json::from_str(&text).ok());
        let keys = fetched.or_else(|| metadata.get("jwks").cloned());
        let keys: Option<Value> = keys.filter(|_| !self.breaks(Rule::RegisteredKeysAreIgnored));
        let list = keys.as_ref().and_then(|keys| keys["keys"].as_array());
        let mut list = list.cloned().unwrap_or_default();
        if self.breaks(Rule::OneKeyForAName) {
            list.dedup_by_key(|key| key["kid"].clone());
        }
        list
    }

    /// Tells that client that the person has signed out (OpenID Connect Back-Channel Logout §2.5).
    pub(crate) fn tell(&self, client: &str) {
        let metadata = self.registered(client).unwrap_or_default();
        let url = metadata
            .get("backchannel_logout_uri")
            .and_then(Value::as_str);
        let Some(url) = url.filter(|_| !self.breaks(Rule::LogoutIsNotTold)) else {
            return;
        };
        let event = "http://schemas.openid.net/event/backchannel-logout";
        let mut claims = members(json!({
            "iss": self.issuer,
            "aud": client,
            "sid": "session",
            "iat": now(),
            "exp": now() + 120,
            "jti": format!("logout-{client}"),
            "events": {event: {}},
        }));
        if self.breaks(Rule::LogoutTokenHasNonce) {
            claims.insert("nonce".into(), "n".into());
        }
        let header = members(json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}));
        let token = jwt::sign(&header, &Value::Object(claims).to_string());
        let body = format!("logout_token={token}");
        self.outbox.lock().unwrap().push((url.to_owned(), body));
    }
}
