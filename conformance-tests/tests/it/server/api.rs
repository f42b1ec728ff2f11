//! The protected resource, with faults.

use serde_json::{Value, json};

use super::jwt::Parsed;
use super::{Asked, Rule, Server, Wire};

impl Server {
    pub(crate) fn me(&self, asked: &Asked) -> Wire {
        if let Some((_, token)) = asked.query.iter().find(|(name, _)| name == "access_token")
            && self.breaks(Rule::ApiTakesQuery)
        {
            return self.judge(token);
        }
        let Some(authorization) = &asked.authorization else {
            return self.challenge(401, None);
        };
        if self.breaks(Rule::ApiIsLax) {
            let token = authorization.split_whitespace().nth(1).unwrap_or_default();
            return self.judge(token);
        }
        let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
        let known = if self.breaks(Rule::ApiCaseMatters) {
            scheme == "Bearer"
        } else {
            scheme.eq_ignore_ascii_case("bearer")
        };
        if !known {
            return self.challenge(401, None);
        }
        let b64token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        if token.is_empty() || !token.chars().all(b64token) {
            return self.challenge(400, Some("invalid_request"));
        }
        self.judge(token)
    }

    fn judge(&self, token: &str) -> Wire {
        let [api, _] = self.resources();
        let right = Parsed::of(token).is_some_and(|token| {
            let typ = token.header.get("typ").and_then(Value::as_str);
            if self.breaks(Rule::ApiAnyType) && typ == Some("JWT") {
                return self.is_believed(&token);
            }
            let audience =
                token.claims.get("aud") == Some(&json!(api)) || self.breaks(Rule::ApiAnyAudience);
            typ == Some("at+jwt") && audience && self.is_believed(&token)
        });
        if right {
            Wire::json(200, &json!({"type": "client"}))
        } else {
            self.challenge(401, Some("invalid_token"))
        }
    }

    fn challenge(&self, status: u16, error: Option<&str>) -> Wire {
        let metadata = format!("{}/.well-known/oauth-protected-resource/api", self.issuer);
        let error = error
            .map(|error| format!(", error=\"{error}\""))
            .unwrap_or_default();
        Wire::new(status).with(
            "www-authenticate",
            format!("Bearer resource_metadata=\"{metadata}\"{error}"),
        )
    }
}
