//! Token exchange (RFC 8693) and assertions as grants (RFC 7523 §2.1, ID-JAG), with faults.

use serde_json::{Value, json};

use super::clients::{Client, now, refusal};
use super::jwt::Parsed;
use super::{Asked, Members, Rule, Server, Wire, members};

/// The clients that may do so.
const ALLOWED: [&str; 3] = ["svc", "poster", "signer"];

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// Who is trusted, and the seed of the key.
pub(crate) const TRUSTED: (&str, u8) = ("https://idp.example", 11);
/// The same for identity assertions.
pub(crate) const IDENTITY: (&str, u8) = ("https://sso.example", 13);

fn text<'c>(claims: &'c Members, name: &str) -> Option<&'c str> {
    claims.get(name)?.as_str()
}

impl Server {
    pub(crate) fn exchange(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let invalid_request = || refusal(400, "invalid_request");
        if !ALLOWED.contains(&client.id()) && !self.breaks(Rule::AnyoneExchanges) {
            return Err(refusal(400, "unauthorized_client"));
        }
        let subject = asked.field("subject_token").ok_or_else(invalid_request)?;
        let kind = asked.field("subject_token_type");
        let kind = kind.ok_or_else(invalid_request)?;
        let (actor, actor_kind) = (asked.field("actor_token"), asked.field("actor_token_type"));
        let requested = asked.field("requested_token_type").unwrap_or(ACCESS_TOKEN);
        let any = self.breaks(Rule::AnyTokenType);
        let known = [ACCESS_TOKEN, ID_TOKEN].contains(&kind)
            && [ACCESS_TOKEN, ID_JAG].contains(&requested)
            && actor.is_some() == actor_kind.is_some();
        if !known && !any {
            return Err(invalid_request());
        }
        if kind == ID_TOKEN && requested == ID_JAG {
            // Nobody here may have one, of whomever it is.
            return if self.breaks(Rule::AnyIdentityIsExchanged) {
                Ok(self.issue(client.id(), None, "read"))
            } else {
                Err(invalid_request())
            };
        }
        let resources = self.resources();
        let mut targets = asked.form.iter().filter(|(name, value)| {
            ["resource", "audience"].contains(&name.as_str()) && !value.is_empty()
        });
        let target = targets.clone().next().map(|(_, value)| value.as_str());
        if targets.any(|(_, value)| !resources.contains(value)) && !self.breaks(Rule::AnyResource) {
            return Err(refusal(400, "invalid_target"));
        }
        let silent = self.breaks(Rule::SilentScope);
        let scope = asked.field("scope").unwrap_or("read");
        if scope != "read" && !silent {
            return Err(refusal(400, "invalid_scope"));
        }
        let subject = self.access(subject, kind).ok_or_else(invalid_request)?;
        let mut claims = members(json!({
            "sub": subject.claims["sub"],
            "client_id": client.id(),
            "aud": target.unwrap_or(&resources[1]),
            "scope": "read",
        }));
        if let Some(actor) = actor.filter(|_| !self.breaks(Rule::ActorIsIgnored)) {
            let actor = self
                .access(actor, ACCESS_TOKEN)
                .ok_or_else(invalid_request)?;
            let mut act = members(json!({"sub": actor.claims["sub"]}));
            if self.breaks(Rule::ActorIsAnother) {
                act.insert("sub".into(), "somebody-else".into());
            }
            if self.breaks(Rule::ActorSaysTooMuch) {
                act.insert("exp".into(), actor.claims["exp"].clone());
            }
            if let Some(prior) = subject.claims.get("act") {
                act.insert("act".into(), prior.clone());
            }
            claims.insert("act".into(), act.into());
        }
        let mut body = json!({
            "access_token": self.access_token(claims),
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
        });
        if !silent {
            body["scope"] = "read".into();
        }
        Ok(Wire::json(200, &body).with("cache-control", "no-store"))
    }

    /// An access token of ours that is still good.
    fn access(&self, token: &str, kind: &str) -> Option<Parsed> {
        let any = self.breaks(Rule::AnyTokenType);
        let dead = self.revoked.lock().unwrap().contains(token);
        let parsed = Parsed::of(token)?;
        let typed = parsed.header.get("typ") == Some(&json!("at+jwt"));
        let right = (kind == ACCESS_TOKEN || any) && typed && self.is_genuine(&parsed);
        (right && (!dead || self.breaks(Rule::RevokedIsExchanged))).then_some(parsed)
    }

    pub(crate) fn assert(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let allowed = ALLOWED.contains(&client.id()) || self.breaks(Rule::AnyoneAsserts);
        if !allowed {
            return Err(refusal(400, "unauthorized_client"));
        }
        let assertion = asked.field("assertion");
        let assertion = assertion.ok_or_else(|| refusal(400, "invalid_request"))?;
        let assertion = Parsed::of(assertion).filter(|token| self.is_grant(token, client.id()));
        if assertion.is_none() {
            return Err(refusal(400, "invalid_grant"));
        }
        Ok(self.issue(client.id(), None, "read"))
    }

    fn is_grant(&self, token: &Parsed, client: &str) -> bool {
        let right = |rule, holds: bool| self.breaks(rule) || holds;
        let claims = &token.claims;
        let number = |name: &str| claims.get(name).and_then(Value::as_u64);
        let identity = text(claims, "iss") == Some(IDENTITY.0);
        let (issuer, seed) = if identity { IDENTITY } else { TRUSTED };
        let audience = match claims.get("aud") {
            Some(Value::Array(list)) => list.len() == 1 && list[0] == json!(self.issuer),
            other => other == Some(&json!(self.issuer)),
        };
        let typ = token.header.get("typ").and_then(Value::as_str);
        let typed = if identity {
            typ == Some("oauth-id-jag+jwt")
        } else {
            typ.is_none_or(|typ| typ == "JWT")
        };
        let complete = !identity
            || (number("iat").is_some()
                && text(claims, "jti").is_some()
                && text(claims, "client_id").is_some());
        right(Rule::AnySignature, token.verifies_with(seed))
            && right(
                Rule::AnyAssertionIssuer,
                text(claims, "iss") == Some(issuer),
            )
            && right(Rule::AnyAssertionSubject, text(claims, "sub").is_some())
            && right(Rule::AnyAssertionAudience, audience)
            && right(
                Rule::AnyAssertionExpiry,
                number("exp").is_some_and(|exp| exp > now()),
            )
            && right(
                Rule::AnyAssertionNotBefore,
                number("nbf").is_none_or(|nbf| nbf <= now()),
            )
            && right(Rule::AnyJagType, typed)
            && right(Rule::JagClaimsAreOptional, complete)
            && (!identity
                || self.breaks(Rule::JagClaimsAreOptional)
                || right(
                    Rule::AnyJagClient,
                    text(claims, "client_id") == Some(client),
                ))
    }
}
