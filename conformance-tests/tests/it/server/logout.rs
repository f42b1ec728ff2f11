//! Signing out (OpenID Connect RP-Initiated Logout), with faults.

use serde_json::{Value, json};
use url::Url;

use super::authorize::{Parameters, escape, page};
use super::jwt::Parsed;
use super::{Asked, Rule, Server, Wire};

impl Server {
    pub(crate) fn logout(&self, asked: &Asked) -> Wire {
        let sent = if asked.method == "POST" {
            &asked.form
        } else {
            &asked.query
        };
        let parameters = Parameters::new(sent.clone());
        let hint = match parameters.get("id_token_hint").map(Parsed::of) {
            None => None,
            Some(Some(hint)) if self.breaks(Rule::AnyHint) || self.is_genuine(&hint) => Some(hint),
            Some(_) => return page(400, "the hint is none of ours"),
        };
        let client = hint.as_ref().and_then(|hint| hint.claims.get("aud"));
        let client = client.and_then(Value::as_str);
        let named = parameters.get("client_id");
        if client.is_some()
            && named.is_some_and(|named| Some(named) != client)
            && !self.breaks(Rule::AnyClientAtLogout)
        {
            return page(400, "client_id is not that of the hint");
        }
        let redirect = parameters.get("post_logout_redirect_uri");
        if let Some(redirect) = redirect {
            let known = client.and_then(|client| self.registered(client));
            let known = known.is_some_and(|client| {
                let list = client.get("post_logout_redirect_uris");
                list.and_then(Value::as_array)
                    .is_some_and(|list| list.contains(&json!(redirect)))
            });
            let free = client.is_none() && self.breaks(Rule::RedirectWithoutHint);
            if !known && !free && !self.breaks(Rule::AnyLogoutRedirect) {
                return page(400, "unknown post_logout_redirect_uri");
            }
        }
        if hint.is_none() && parameters.get("confirmed").is_none() && redirect.is_none() {
            let state = parameters.get("state").unwrap_or_default();
            let form = r#"<form method="post" action="/logout"><input type="hidden" name="confirmed" value="1">"#;
            let input = format!(
                r#"<input type="hidden" name="state" value="{}"><button id="sign-out">Sign out</button></form>"#,
                escape(state)
            );
            return page(200, &format!("{form}{input}"));
        }
        if !self.breaks(Rule::LogoutDoesNothing) {
            self.end_session(asked);
            if let Some(client) = client {
                self.tell(client);
            }
        }
        let Some(redirect) = redirect else {
            return page(200, "signed out");
        };
        let mut url = Url::parse(redirect).unwrap();
        if let Some(state) = parameters.get("state")
            && !self.breaks(Rule::LogoutLosesState)
        {
            url.query_pairs_mut().append_pair("state", state);
        }
        Wire::new(303).with("location", url.as_str())
    }
}
