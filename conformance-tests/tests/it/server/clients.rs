//! Client authentication, with faults.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use url::form_urlencoded;

use super::jwt::Parsed;
use super::{Asked, Rule, Server, Wire};

/// With characters that form encoding changes.
pub(crate) const SECRET: &str = "s3cret of+the/test%client";

pub(crate) enum Client {
    Confidential(&'static str),
    Public,
}

fn invalid_client(basic: bool) -> Wire {
    let wire = refusal(401, "invalid_client");
    if basic {
        wire.with("www-authenticate", "Basic realm=\"token\"")
    } else {
        wire
    }
}

pub(crate) fn refusal(status: u16, code: &str) -> Wire {
    let body = json!({"error": code, "error_description": "The request was refused."});
    Wire::json(status, &body).with("cache-control", "no-store")
}

impl Server {
    pub(crate) fn authenticate(&self, asked: &Asked) -> Result<Client, Wire> {
        if let Some(authorization) = &asked.authorization {
            if asked.field("client_secret").is_some() && !self.breaks(Rule::TwoMethods) {
                return Err(refusal(400, "invalid_request"));
            }
            let pair = authorization
                .strip_prefix("Basic ")
                .and_then(|pair| BASE64_STANDARD.decode(pair).ok());
            let pair = String::from_utf8(pair.unwrap_or_default()).unwrap();
            let (client_id, secret) = pair.split_once(':').unwrap_or_default();
            let undecoded = self.breaks(Rule::RawBasic) && client_id.contains('%');
            let right = decode(client_id) == "svc" && decode(secret) == SECRET && !undecoded;
            return if right {
                Ok(Client::Confidential("svc"))
            } else {
                Err(invalid_client(true))
            };
        }
        if let Some(assertion) = asked.field("client_assertion") {
            let jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let typed = asked.field("client_assertion_type") == Some(jwt_bearer)
                || self.breaks(Rule::AnyAssertionType);
            let known = Parsed::of(assertion).is_some_and(|token| self.is_assertion(&token, now()));
            let right = typed && known && !self.breaks(Rule::NoAssertions);
            return if right {
                Ok(Client::Confidential("signer"))
            } else {
                Err(invalid_client(false))
            };
        }
        match (asked.field("client_id"), asked.field("client_secret")) {
            (Some("app"), None) => Ok(Client::Public),
            (Some("svc") | None, None) if self.breaks(Rule::AuthenticationIsOptional) => {
                Ok(Client::Confidential("svc"))
            }
            (Some("poster"), Some(SECRET)) if !self.breaks(Rule::NoSecretInBody) => {
                Ok(Client::Confidential("poster"))
            }
            _ => Err(invalid_client(false)),
        }
    }
}

fn decode(text: &str) -> String {
    form_urlencoded::parse(format!("v={text}").as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect()
}

pub(crate) fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}
