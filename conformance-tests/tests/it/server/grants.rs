//! Codes, refresh tokens, ID tokens and userinfo, with faults.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::authorize::Parameters;
use super::clients::{Client, now, refusal};
use super::jwt::{self, Parsed};
use super::{Asked, Fault, Rule, Server, Wire, members};

/// What the server knows of people.
#[derive(Default)]
pub(crate) struct People {
    /// When each session began.
    pub(crate) sessions: HashMap<String, u64>,
    pub(crate) codes: HashMap<String, Issued>,
    grants: HashMap<u64, Grant>,
}

/// A code before it is redeemed, and its mark afterwards.
#[derive(Clone)]
pub(crate) struct Issued {
    redirect: String,
    challenge: Option<String>,
    resource: Option<String>,
    scope: String,
    nonce: Option<String>,
    auth_time: u64,
    grant: u64,
    spent: bool,
}

impl Issued {
    pub(crate) fn new(parameters: &Parameters, auth_time: u64, grant: u64) -> Self {
        let owned = |name| parameters.get(name).map(str::to_owned);
        Self {
            redirect: owned("redirect_uri").unwrap_or_default(),
            challenge: owned("code_challenge"),
            resource: owned("resource"),
            scope: owned("scope").unwrap_or_default(),
            nonce: owned("nonce"),
            auth_time,
            grant,
            spent: false,
        }
    }
}

#[derive(Clone)]
struct Grant {
    resource: Option<String>,
    scope: String,
    nonce: Option<String>,
    auth_time: u64,
    generation: u64,
    dead: bool,
    /// Whether its access tokens live on.
    access: bool,
}

fn s256(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// `r3fresh-{grant}-{generation}`.
fn refresh_token(token: &str) -> Option<(u64, u64)> {
    let (grant, generation) = token.strip_prefix("r3fresh-")?.split_once('-')?;
    Some((grant.parse().ok()?, generation.parse().ok()?))
}

impl Server {
    fn is_app(&self, client: &Client, rule: Rule) -> bool {
        matches!(client, Client::Public) || self.breaks(rule)
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.6.
    pub(crate) fn redeem(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let invalid_grant = || refusal(400, "invalid_grant");
        let code = asked.field("code").unwrap_or_default();
        let mut people = self.people.lock().unwrap();
        let issued = people.codes.get_mut(code).ok_or_else(invalid_grant)?;
        let redirect = asked.field("redirect_uri") == Some(issued.redirect.as_str())
            || self.breaks(Rule::AnyRedirectAtToken);
        if !self.is_app(client, Rule::CodeForAnyClient) || !redirect {
            return Err(invalid_grant());
        }
        let verifier = asked.field("code_verifier");
        let proven = match (&issued.challenge, verifier) {
            (Some(challenge), Some(verifier)) => {
                let long = self.breaks(Rule::ShortVerifiers) && verifier.len() > 64;
                let fits = if self.breaks(Rule::PlainChallenge) {
                    verifier == challenge
                } else {
                    s256(verifier) == *challenge
                };
                (fits || self.breaks(Rule::AnyVerifier)) && !long
            }
            (Some(_), None) => self.breaks(Rule::VerifierIsOptional),
            (None, _) => true,
        };
        if !proven {
            return Err(invalid_grant());
        }
        let number = issued.grant;
        if issued.spent && !self.breaks(Rule::CodeWorksTwice) {
            if !self.breaks(Rule::ReplayIsForgotten)
                && let Some(grant) = people.grants.get_mut(&number)
            {
                grant.dead = true;
                grant.access = false;
            }
            return Err(invalid_grant());
        }
        issued.spent = true;
        let grant = Grant {
            resource: issued.resource.clone(),
            scope: issued.scope.clone(),
            nonce: issued.nonce.clone(),
            auth_time: issued.auth_time,
            generation: 0,
            dead: false,
            access: true,
        };
        people.grants.insert(number, grant.clone());
        Ok(self.tokens(number, &grant, &grant.scope, "person"))
    }

    /// RFC 6749 §6, RFC 9700 §4.14.2.
    pub(crate) fn refresh(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let invalid_grant = || refusal(400, "invalid_grant");
        let token = asked.field("refresh_token").unwrap_or_default();
        let (number, generation) = refresh_token(token).ok_or_else(invalid_grant)?;
        let mut people = self.people.lock().unwrap();
        let grant = people.grants.get_mut(&number).ok_or_else(invalid_grant)?;
        let ours = self.is_app(client, Rule::RefreshForAnyClient);
        if grant.dead || !ours || self.breaks(Rule::RefreshIsRefused) {
            return Err(invalid_grant());
        }
        let scope = asked.field("scope").unwrap_or(&grant.scope).to_owned();
        let granted: Vec<_> = grant.scope.split(' ').collect();
        let narrow = scope.split(' ').all(|scope| granted.contains(&scope));
        if !narrow && !self.breaks(Rule::ScopeGrows) {
            return Err(refusal(400, "invalid_scope"));
        }
        if generation != grant.generation {
            if !self.breaks(Rule::SpentIsForgotten) {
                grant.dead = true;
            }
            return Err(invalid_grant());
        }
        if !self.breaks(Rule::NoRotation) {
            grant.generation += 1;
        }
        let person = if self.breaks(Rule::RefreshIsAnotherPerson) {
            "somebody-else"
        } else {
            "person"
        };
        let grant = grant.clone();
        Ok(self.tokens(number, &grant, &scope, person))
    }

    fn tokens(&self, number: u64, grant: &Grant, scope: &str, person: &str) -> Wire {
        let access = self.access_token(members(json!({
            "sub": person,
            "client_id": "app",
            "aud": grant.resource.as_ref().unwrap_or(&self.issuer),
            "scope": scope,
            "grant_id": number,
        })));
        let mut body = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": scope,
            "refresh_token": format!("r3fresh-{number}-{}", grant.generation),
        });
        let mut header = members(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}));
        let mut claims = members(json!({
            "iss": self.issuer,
            "sub": person,
            "aud": "app",
            "iat": now(),
            "exp": now() + 300,
            "auth_time": grant.auth_time,
            "at_hash": BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&access)[..16]),
        }));
        if let Some(nonce) = &grant.nonce {
            claims.insert("nonce".into(), nonce.as_str().into());
        }
        if let Fault::IdToken(edit) = self.fault {
            edit(&mut header, &mut claims);
        }
        body["id_token"] = jwt::sign(&header, &Value::Object(claims).to_string()).into();
        Wire::json(200, &body)
            .with("cache-control", "no-store")
            .with("pragma", "no-cache")
    }

    /// Whether it was a refresh token, which then is dead if `client` may revoke it (RFC 7009 §2.1).
    pub(crate) fn revoke_refresh_token(&self, token: &str, client: &str, hint: &str) -> bool {
        let Some((number, _)) = refresh_token(token) else {
            return false;
        };
        let own = client == "app" || self.breaks(Rule::RevocationIsForAll);
        let hidden = self.breaks(Rule::HintIsLaw) && hint != "refresh_token";
        let mut people = self.people.lock().unwrap();
        if let Some(grant) = people.grants.get_mut(&number)
            && own
            && !hidden
            && !self.breaks(Rule::RevocationDoesNothing)
        {
            grant.dead = true;
            grant.access = self.breaks(Rule::AccessOutlivesRefresh);
        }
        true
    }

    pub(crate) fn userinfo(&self, asked: &Asked) -> Wire {
        let Some(authorization) = &asked.authorization else {
            return Wire::new(401).with("www-authenticate", "Bearer");
        };
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let parsed = Parsed::of(token).filter(|token| self.is_genuine(token));
        let typed = |parsed: &Parsed| parsed.header.get("typ") == Some(&json!("at+jwt"));
        let Some(parsed) =
            parsed.filter(|token| typed(token) || self.breaks(Rule::AnyKindAtUserinfo))
        else {
            return Wire::new(401).with("www-authenticate", r#"Bearer error="invalid_token""#);
        };
        if !typed(&parsed) {
            return Wire::json(200, &json!({"sub": parsed.claims["sub"]}));
        }
        let Some(number) = parsed.claims.get("grant_id").and_then(Value::as_u64) else {
            return Wire::new(403).with("www-authenticate", r#"Bearer error="insufficient_scope""#);
        };
        let people = self.people.lock().unwrap();
        if people.grants.get(&number).is_some_and(|grant| grant.access) {
            Wire::json(200, &json!({"sub": parsed.claims["sub"]}))
        } else {
            Wire::new(401).with("www-authenticate", r#"Bearer error="invalid_token""#)
        }
    }
}
