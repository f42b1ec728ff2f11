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
    Confidential(String),
    Public(String),
}

impl Client {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Confidential(id) | Self::Public(id) => id,
        }
    }
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
            let (named, given) = (decode(client_id), decode(secret));
            if self.is_secret(&named, "client_secret_basic", Some(&given)) && !undecoded {
                return Ok(Client::Confidential(named));
            }
            return if right {
                Ok(Client::Confidential("svc".into()))
            } else {
                Err(invalid_client(true))
            };
        }
        if let Some(assertion) = asked.field("client_assertion") {
            let jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let typed = asked.field("client_assertion_type") == Some(jwt_bearer)
                || self.breaks(Rule::AnyAssertionType);
            if let Some(client) = Parsed::of(assertion).and_then(|token| self.asserting(&token)) {
                return Ok(Client::Confidential(client));
            }
            let known = Parsed::of(assertion).is_some_and(|token| self.is_assertion(&token, now()));
            let right = typed && known && !self.breaks(Rule::NoAssertions);
            return if right {
                Ok(Client::Confidential("signer".into()))
            } else {
                Err(invalid_client(false))
            };
        }
        match (asked.field("client_id"), asked.field("client_secret")) {
            (Some(public @ ("app" | super::device::DEVICE)), None) => {
                Ok(Client::Public(public.into()))
            }
            (Some("svc") | None, None) if self.breaks(Rule::AuthenticationIsOptional) => {
                Ok(Client::Confidential("svc".into()))
            }
            (Some("poster"), Some(SECRET)) if !self.breaks(Rule::NoSecretInBody) => {
                Ok(Client::Confidential("poster".into()))
            }
            (Some(client_id), None)
                if self.is_certified(asked, client_id)
                    || (self.breaks(Rule::NameIsEnough)
                        && self.registered(client_id).is_some()) =>
            {
                Ok(Client::Confidential(client_id.to_owned()))
            }
            (Some(client_id), None) if self.is_secret(client_id, "none", None) => {
                Ok(Client::Public(client_id.to_owned()))
            }
            (Some(client_id), Some(secret))
                if self.is_secret(client_id, "client_secret_post", Some(secret))
                    && !self.breaks(Rule::PostedSecretIsRefused) =>
            {
                Ok(Client::Confidential(client_id.to_owned()))
            }
            _ => Err(invalid_client(false)),
        }
    }

    /// The registered client that the assertion is of.
    fn asserting(&self, token: &Parsed) -> Option<String> {
        let client = token.claims.get("iss")?.as_str()?;
        let metadata = self.registered(client)?;
        let right = |rule, holds: bool| self.breaks(rule) || holds;
        let time = |name: &str| token.claims.get(name).and_then(serde_json::Value::as_u64);
        let ahead = if self.breaks(Rule::NoClockSkew) {
            0
        } else {
            60
        };
        let timely = |name: &str| time(name).is_none_or(|time| time <= now() + ahead);
        let ours = metadata["token_endpoint_auth_method"] == json!("private_key_jwt")
            && right(
                Rule::AnyAssertionAudience,
                token.claims.get("aud") == Some(&json!(self.issuer)),
            )
            && right(Rule::AnyAssertionTime, timely("iat") && timely("nbf"));
        let mut keys = self.keys_of(client).into_iter();
        let rs256 = self.breaks(Rule::Rs256Assertions);
        let signed = keys.any(|key| token.verifies_with_jwk(&key, rs256));
        (ours && right(Rule::AnySignature, signed)).then(|| client.to_owned())
    }

    /// Whether the certificate that was shown is one that the client registered (RFC 8705 §2.2).
    fn is_certified(&self, asked: &Asked, client_id: &str) -> bool {
        let metadata = self.registered(client_id).unwrap_or_default();
        let method = metadata.get("token_endpoint_auth_method");
        let known = &metadata.get("jwks").cloned().unwrap_or_default()["keys"][0]["x5c"][0];
        let shown = asked.certificate.as_ref();
        let shown = shown.map(|shown| json!(BASE64_STANDARD.encode(shown)));
        method == Some(&json!("self_signed_tls_client_auth"))
            && (self.breaks(Rule::AnyClientCertificate) || shown.as_ref() == Some(known))
    }

    /// Whether that is a registered client's secret, and its method.
    fn is_secret(&self, client_id: &str, method: &str, secret: Option<&str>) -> bool {
        self.registered(client_id).is_some_and(|client| {
            let known = client.get("client_secret");
            client["token_endpoint_auth_method"] == json!(method)
                && known == secret.map(|secret| json!(secret)).as_ref()
        })
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
