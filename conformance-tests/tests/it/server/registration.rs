//! Clients that register themselves, with faults.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use url::Url;

use super::clients::refusal;
use super::{Asked, Members, Rule, Server, Wire, members};

/// The URL of a document about a client, and where that client is.
pub(crate) const DOCUMENT: &str = "https://client.example/document.json";
pub(crate) const CALLBACK: &str = "https://client.example/callback";

/// What is known of clients without a registration.
pub(crate) fn known() -> HashMap<String, Members> {
    let document = members(json!({
        "token_endpoint_auth_method": "none",
        "redirect_uris": [CALLBACK],
    }));
    HashMap::from([(DOCUMENT.to_owned(), document)])
}

const KNOWN: [&str; 34] = [
    "tls_client_auth_san_dns",
    "tls_client_auth_subject_dn",
    "tls_client_certificate_bound_access_tokens",
    "authorization_signed_response_alg",
    "dpop_bound_access_tokens",
    "introspection_signed_response_alg",
    "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc",
    "request_uris",
    "token_endpoint_auth_signing_alg",
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "application_type",
    "scope",
    "client_name",
    "client_name#de",
    "client_uri",
    "policy_uri",
    "tos_uri",
    "tos_uri#de",
    "jwks",
    "subject_type",
    "sector_identifier_uri",
    "id_token_signed_response_alg",
    "userinfo_signed_response_alg",
    "default_max_age",
    "post_logout_redirect_uris",
    "backchannel_logout_uri",
    "request_object_signing_alg",
    "require_signed_request_object",
    "require_pushed_authorization_requests",
    "jwks_uri",
];

fn texts(members: &Members, name: &str) -> Vec<String> {
    let list = members.get(name).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

impl Server {
    /// The metadata of a client that registered itself.
    pub(crate) fn registered(&self, client_id: &str) -> Option<Members> {
        let known = if self.breaks(Rule::AnyDocument) && client_id.contains("://") {
            DOCUMENT
        } else {
            client_id
        };
        if known == DOCUMENT && self.breaks(Rule::DocumentsAreRefused) {
            return None;
        }
        self.clients.lock().unwrap().get(known).cloned()
    }

    /// Whether that flag is among the client's metadata.
    pub(crate) fn is_set(&self, client_id: &str, name: &str) -> bool {
        let metadata = self.registered(client_id).unwrap_or_default();
        metadata.get(name) == Some(&json!(true))
    }

    /// Whether that client may be answered there; `None` for a client that is not registered.
    pub(crate) fn has_redirect(&self, client_id: &str, redirect: &str) -> Option<bool> {
        let client = self.registered(client_id)?;
        Some(texts(&client, "redirect_uris").contains(&redirect.to_owned()))
    }

    pub(crate) fn register(&self, asked: &Asked) -> Wire {
        let Ok(sent) = serde_json::from_str::<Members>(&asked.body) else {
            return refusal(400, "invalid_client_metadata");
        };
        let mut client = match self.judged(sent) {
            Ok(client) => client,
            Err(code) => return refusal(400, code),
        };
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let client_id = format!("client-{number}");
        let method = client.get("token_endpoint_auth_method").cloned();
        if method != Some(json!("none")) {
            client.insert("client_secret".into(), format!("s3cret-{number}").into());
            client.insert("client_secret_expires_at".into(), 0.into());
        }
        client.extend(members(json!({
            "client_id": client_id,
            "registration_client_uri": format!("{}/register/{client_id}", self.issuer),
            "registration_access_token": format!("s3cret-management-{number}"),
        })));
        self.clients
            .lock()
            .unwrap()
            .insert(client_id, client.clone());
        Wire::json(201, &client.into()).with("cache-control", "no-store")
    }

    /// The metadata that is kept of what was sent.
    fn judged(&self, sent: Members) -> Result<Members, &'static str> {
        let is = |rule| self.breaks(rule);
        let mut kept = sent;
        if !is(Rule::UnknownMetadataIsKept) {
            kept.retain(|name, _| KNOWN.contains(&name.as_str()));
        }
        for (name, value) in [
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("grant_types", json!(["authorization_code"])),
            ("response_types", json!(["code"])),
            ("application_type", json!("web")),
        ] {
            kept.entry(name).or_insert(value);
        }
        let text = |name: &str| kept.get(name).and_then(Value::as_str).unwrap_or_default();
        let methods = [
            "none",
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
        ];
        let named = ["tls_client_auth_san_dns", "tls_client_auth_subject_dn"];
        let named = named.iter().filter(|name| kept.contains_key(**name));
        let by_authority = text("token_endpoint_auth_method") == "tls_client_auth";
        let one_subject = !by_authority || named.count() == 1;
        let keys = kept.contains_key("jwks") && kept.contains_key("jwks_uri");
        let codes = texts(&kept, "grant_types").contains(&"authorization_code".to_owned());
        let typed = texts(&kept, "response_types").contains(&"code".to_owned());
        let address = text("backchannel_logout_uri");
        if !methods.contains(&text("token_endpoint_auth_method"))
            || (keys && !is(Rule::BothKeysAreTaken))
            || (codes != typed && !is(Rule::TypesNeedNotFit))
            || (address.contains('#') && !is(Rule::AnyLogoutAddress))
            || (!one_subject && !is(Rule::AnyCertificateSubjects))
        {
            return Err("invalid_client_metadata");
        }
        let redirects = texts(&kept, "redirect_uris");
        if codes && redirects.is_empty() && !is(Rule::RedirectsAreOptional) {
            return Err("invalid_redirect_uri");
        }
        for redirect in &redirects {
            let right = Url::parse(redirect).is_ok_and(|url| {
                let loopback =
                    text("application_type") == "native" && url.host_str() == Some("127.0.0.1");
                url.fragment().is_none() && (url.scheme() == "https" || loopback)
            });
            if !right && !is(Rule::AnyRedirectIsRegistered) {
                return Err("invalid_redirect_uri");
            }
        }
        let mut hosts: Vec<_> = redirects.iter().map(|redirect| host(redirect)).collect();
        hosts.dedup();
        let pairwise = text("subject_type") == "pairwise";
        let sector = kept.contains_key("sector_identifier_uri") || hosts.len() > 1;
        if pairwise && sector && !is(Rule::SectorsAreNotChecked) {
            return Err("invalid_client_metadata");
        }
        Ok(kept)
    }

    /// `/register/{client_id}` (RFC 7592 §2).
    pub(crate) fn manage(&self, asked: &Asked, client_id: &str) -> Wire {
        let token = asked.authorization.as_deref().unwrap_or_default();
        let token = token.strip_prefix("Bearer ").unwrap_or_default();
        let kept = self.registered(client_id).filter(|client| {
            let own = client["registration_access_token"] == json!(token);
            own || self.breaks(Rule::AnyRegistrationToken)
        });
        let Some(kept) = kept else {
            return Wire::new(401).with("www-authenticate", "Bearer");
        };
        match asked.method.as_str() {
            "GET" => Wire::json(200, &kept.into()),
            "PUT" => self.update(asked, &kept),
            "DELETE" => {
                if !self.breaks(Rule::DeletedLivesOn) {
                    self.clients.lock().unwrap().remove(client_id);
                }
                Wire::new(204)
            }
            _ => Wire::new(405),
        }
    }

    fn update(&self, asked: &Asked, kept: &Members) -> Wire {
        let Ok(sent) = serde_json::from_str::<Members>(&asked.body) else {
            return refusal(400, "invalid_client_metadata");
        };
        let same = |name: &str| {
            sent.get(name)
                .is_none_or(|given| Some(given) == kept.get(name))
        };
        let own = same("client_id") && same("client_secret");
        if !own && !self.breaks(Rule::UpdateChangesId) {
            return refusal(400, "invalid_client_metadata");
        }
        let mut next = match self.judged(sent) {
            Ok(next) => next,
            Err(code) => return refusal(400, code),
        };
        for (name, value) in kept {
            if !KNOWN.contains(&name.as_str()) || self.breaks(Rule::UpdateMerges) {
                next.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let client_id = kept["client_id"].as_str().unwrap().to_owned();
        self.clients.lock().unwrap().insert(client_id, next.clone());
        Wire::json(200, &next.into())
    }
}

pub(crate) fn host(uri: &str) -> String {
    let url = Url::parse(uri).ok();
    let host = url.as_ref().and_then(Url::host_str);
    host.unwrap_or_default().to_owned()
}
