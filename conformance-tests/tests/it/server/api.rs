//! The protected resource, with faults.

use serde_json::{Value, json};

use super::dpop;
use super::jwt::Parsed;
use super::{Asked, Rule, Server, Wire};

impl Server {
    pub(crate) fn me(&self, asked: &Asked) -> Wire {
        if let Some((_, token)) = asked.query.iter().find(|(name, _)| name == "access_token")
            && self.breaks(Rule::ApiTakesQuery)
        {
            return self.judge(asked, token);
        }
        let Some(authorization) = &asked.authorization else {
            return self.challenge(asked, 401, None);
        };
        if self.breaks(Rule::ApiIsLax) {
            let token = authorization.split_whitespace().nth(1).unwrap_or_default();
            return self.judge(asked, token);
        }
        let (scheme, token) = asked.credentials();
        let known = if self.breaks(Rule::ApiCaseMatters) {
            scheme == "Bearer"
        } else {
            ["bearer", "dpop"].contains(&scheme.to_ascii_lowercase().as_str())
        };
        if !known {
            return self.challenge(asked, 401, None);
        }
        let b64token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        if token.is_empty() || !token.chars().all(b64token) {
            return self.challenge(asked, 400, Some("invalid_request"));
        }
        self.judge(asked, token)
    }

    fn judge(&self, asked: &Asked, token: &str) -> Wire {
        let [api, _] = self.resources();
        let right = Parsed::of(token).filter(|token| {
            let typ = token.header.get("typ").and_then(Value::as_str);
            if self.breaks(Rule::ApiAnyType) && typ == Some("JWT") {
                return self.is_believed(token);
            }
            let audience =
                token.claims.get("aud") == Some(&json!(api)) || self.breaks(Rule::ApiAnyAudience);
            typ == Some("at+jwt") && audience && self.is_believed(token)
        });
        let Some(token) = right else {
            return self.challenge(asked, 401, Some("invalid_token"));
        };
        match self.is_held(asked, &token) {
            Ok(()) => Wire::json(200, &json!({"type": "client"})),
            Err(code) => self.challenge(asked, 401, Some(code)),
        }
    }

    /// A challenge of each scheme; the error goes with the one that was tried (RFC 9449 §7.2).
    fn challenge(&self, asked: &Asked, status: u16, error: Option<&str>) -> Wire {
        let metadata = format!("{}/.well-known/oauth-protected-resource/api", self.issuer);
        let proven = asked.credentials().0.eq_ignore_ascii_case("dpop");
        let bearer = error.filter(|_| !proven);
        let bearer = bearer.map(|error| format!(", error=\"{error}\""));
        let bearer = bearer.unwrap_or_default();
        let dpop = dpop::challenge(error.filter(|_| proven));
        Wire::new(status).with(
            "www-authenticate",
            format!("Bearer scope=\"read\", resource_metadata=\"{metadata}\"{bearer}, {dpop}"),
        )
    }
}
