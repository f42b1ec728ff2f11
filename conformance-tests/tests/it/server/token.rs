//! The token, revocation and introspection endpoints, with faults.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::clients::{Client, now, refusal};
use super::jwt::{self, Parsed};
use super::{Asked, Fault, Members, Rule, Server, Wire, members};

const KNOWN: [&str; 20] = [
    "device_code",
    "assertion",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "audience",
    "authorization_details",
    "grant_type",
    "scope",
    "resource",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "refresh_token",
    "code",
    "redirect_uri",
    "code_verifier",
];

impl Server {
    pub(crate) fn token(&self, asked: &Asked) -> Wire {
        match self.grant(asked) {
            Ok(wire) | Err(wire) => wire,
        }
    }

    fn grant(&self, asked: &Asked) -> Result<Wire, Wire> {
        let invalid_request = || refusal(400, "invalid_request");
        if self.breaks(Rule::QueryIsRead) && !asked.query.is_empty() {
            return Ok(self.issue("svc", None, "read"));
        }
        if asked.media_type != "application/x-www-form-urlencoded" {
            return Err(invalid_request());
        }
        let mut seen = HashSet::new();
        let repeated = asked.form.iter().any(|(name, _)| {
            !["resource", "audience"].contains(&name.as_str()) && !seen.insert(name)
        });
        if repeated && !self.breaks(Rule::LastDuplicateWins) {
            return Err(invalid_request());
        }
        if self.breaks(Rule::RefuseUnknownParameters)
            && asked
                .form
                .iter()
                .any(|(name, _)| !KNOWN.contains(&name.as_str()))
        {
            return Err(invalid_request());
        }
        let client = self.authenticate(asked)?;
        let key = match &asked.proof {
            Ok(key) => key,
            Err(code) => {
                if self.breaks(Rule::NonceSpendsCode) {
                    self.spend_code(asked);
                }
                return Err(refusal(400, code));
            }
        };
        let always = self.registered(client.id()).unwrap_or_default();
        let always = always.get("dpop_bound_access_tokens") == Some(&json!(true));
        if always && key.is_none() && !self.breaks(Rule::ProofIsOptional) {
            return Err(refusal(400, "invalid_dpop_proof"));
        }
        let certificate = self.binding_certificate(asked, &client)?;
        let mut wire = self.granted_to(asked, &client)?;
        if let Some(key) = key {
            self.bind(&mut wire, &json!({ "jkt": key }), "DPoP");
        }
        if let Some(thumbprint) = certificate {
            self.bind(&mut wire, &json!({ "x5t#S256": thumbprint }), "Bearer");
        }
        Ok(wire)
    }

    fn granted_to(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let invalid_request = || refusal(400, "invalid_request");
        match asked.field("grant_type") {
            None => return Err(invalid_request()),
            Some("client_credentials") => {}
            Some("password") if self.breaks(Rule::PasswordGrant) => {}
            Some("authorization_code") => return self.redeem(asked, client),
            Some("refresh_token") => return self.refresh(asked, client),
            Some("urn:ietf:params:oauth:grant-type:device_code") => {
                return self.poll(asked, client);
            }
            Some("urn:ietf:params:oauth:grant-type:token-exchange") => {
                return self.exchange(asked, client);
            }
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                return self.assert(asked, client);
            }
            Some(_) => return Err(refusal(400, "unsupported_grant_type")),
        }
        let client = match client {
            Client::Confidential(client) => client.as_str(),
            Client::Public(_) if self.breaks(Rule::PublicClientCredentials) => "app",
            Client::Public(_) => return Err(refusal(400, "unauthorized_client")),
        };
        let known = self.resources();
        let mut resources = asked
            .form
            .iter()
            .filter(|(name, value)| name == "resource" && !value.is_empty());
        let resource = resources
            .clone()
            .next_back()
            .map(|(_, value)| value.as_str());
        let refused =
            resources.any(|(_, value)| !known.contains(value)) && !self.breaks(Rule::AnyResource);
        if refused || (resource.is_some() && self.breaks(Rule::NoResources)) {
            return Err(refusal(400, "invalid_target"));
        }
        let empty = asked
            .form
            .iter()
            .any(|(name, value)| name == "scope" && value.is_empty());
        if empty && self.breaks(Rule::EmptyIsPresent) {
            return Err(refusal(400, "invalid_scope"));
        }
        match asked.field("scope") {
            None if self.breaks(Rule::ScopeIsRequired) => Err(invalid_request()),
            None | Some("read") => Ok(self.issue(client, resource, "read")),
            Some(_) if self.breaks(Rule::SilentScope) => {
                let mut wire = self.issue(client, resource, "read");
                wire.edit(200, |json| drop(json.remove("scope")));
                Ok(wire)
            }
            Some(_) => Err(refusal(400, "invalid_scope")),
        }
    }

    pub(crate) fn issue(&self, client: &str, resource: Option<&str>, scope: &str) -> Wire {
        let token = self.access_token(members(json!({
            "sub": client,
            "client_id": client,
            "aud": resource.unwrap_or(&self.issuer),
            "scope": scope,
        })));
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": scope});
        Wire::json(200, &body)
            .with("cache-control", "no-store")
            .with("pragma", "no-cache")
    }

    /// An access token with these claims and those that every one has.
    pub(crate) fn access_token(&self, mut claims: Members) -> String {
        let mut header = members(json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}));
        let common = members(json!({
            "iss": self.issuer,
            "iat": now(),
            "exp": now() + 300,
            "jti": self.counter.fetch_add(1, Ordering::Relaxed).to_string(),
        }));
        claims.extend(common);
        if let Fault::Token(edit) = self.fault {
            edit(&mut header, &mut claims);
        }
        let mut claims = Value::Object(claims).to_string();
        if self.breaks(Rule::RepeatedClaim) {
            claims = claims.replacen('{', r#"{"sub":"twice","#, 1);
        }
        let mut token = jwt::sign(&header, &claims);
        if self.breaks(Rule::PaddedToken) {
            token.push('=');
        }
        if self.breaks(Rule::SameTokenAgain) {
            token = self.last.lock().unwrap().get_or_insert(token).clone();
        }
        token
    }

    pub(crate) fn revoke(&self, asked: &Asked) -> Wire {
        let client = match self.authenticate(asked) {
            Ok(client) => client,
            Err(wire) => return wire,
        };
        let client = client.id();
        let Some(token) = asked.field("token") else {
            return refusal(400, "invalid_request");
        };
        let hint = asked.field("token_type_hint").unwrap_or("access_token");
        if self.breaks(Rule::UnknownHintFails) && hint.starts_with("no-such") {
            return refusal(400, "unsupported_token_type");
        }
        if self.revoke_refresh_token(token, client, hint) {
            return Wire::new(200);
        }
        let parsed = Parsed::of(token).filter(|parsed| self.is_genuine(parsed));
        if parsed.is_none() && self.breaks(Rule::UnknownTokenFails) {
            return refusal(400, "invalid_request");
        }
        let own =
            parsed.is_some_and(|parsed| parsed.claims.get("client_id") == Some(&json!(client)));
        let hidden = self.breaks(Rule::HintIsLaw) && hint != "access_token";
        let again = self.revoked.lock().unwrap().contains(token);
        if again && self.breaks(Rule::RevokedTwiceFails) {
            return refusal(400, "invalid_request");
        }
        if (own || self.breaks(Rule::RevocationIsForAll))
            && !hidden
            && !self.breaks(Rule::RevocationDoesNothing)
        {
            self.revoked.lock().unwrap().insert(token.to_owned());
        }
        Wire::new(200)
    }

    /// Revocation as nobody should offer it.
    pub(crate) fn revoke_by_get(&self, asked: &Asked) -> Wire {
        let mut sent = asked.query.iter();
        if let Some((_, token)) = sent.find(|(name, _)| name == "token") {
            self.revoked.lock().unwrap().insert(token.clone());
        }
        Wire::new(200)
    }

    pub(crate) fn introspect(&self, asked: &Asked) -> Wire {
        let client = match self.authenticate(asked) {
            Ok(Client::Public(_)) if !self.breaks(Rule::PublicIntrospects) => {
                return refusal(401, "invalid_client");
            }
            Ok(client) => client.id().to_owned(),
            Err(wire) => return wire,
        };
        let Some(token) = asked.field("token") else {
            return refusal(400, "invalid_request");
        };
        let hidden = self.breaks(Rule::HintIsLaw)
            && asked
                .field("token_type_hint")
                .is_some_and(|hint| hint != "access_token");
        // A client that registered itself is a stranger to every token that is not its own.
        let stranger = self.registered(&client).is_some() && !self.breaks(Rule::AnyoneIntrospects);
        let parsed = Parsed::of(token).filter(|parsed| {
            let own = parsed.claims.get("client_id") == Some(&json!(client));
            self.is_genuine(parsed) && !hidden && (own || !stranger)
        });
        match parsed.filter(|_| !self.revoked.lock().unwrap().contains(token)) {
            Some(parsed) => {
                let mut told = parsed.claims;
                told.insert("active".into(), true.into());
                if told.contains_key("cnf") {
                    told.insert("token_type".into(), "DPoP".into());
                }
                self.introspected(asked, &client, told.into())
            }
            None if self.breaks(Rule::UnknownTokenFails) => refusal(400, "invalid_request"),
            None => self.introspected(asked, &client, json!({"active": false})),
        }
    }
}
