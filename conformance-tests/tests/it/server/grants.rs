//! Codes, refresh tokens, ID tokens and userinfo, with faults.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::authorize::{Parameters, are_payments};
use super::clients::{Client, now, refusal};
use super::dpop;
use super::jwt::{self, Parsed};
use super::registration::host;
use super::{Asked, Fault, Members, Rule, Server, Wire, members};

/// What the server knows of people.
#[derive(Default)]
pub(crate) struct People {
    /// When each session began.
    pub(crate) sessions: HashMap<String, u64>,
    pub(crate) codes: HashMap<String, Issued>,
    /// The registered clients that the person has agreed to.
    pub(crate) consents: HashSet<String>,
    grants: HashMap<u64, Grant>,
}

impl People {
    /// The end of a session (OpenID Connect Back-Channel Logout §2.7).
    pub(crate) fn end(&mut self, session: &str, spares: bool) {
        self.sessions.remove(session);
        for grant in self.grants.values_mut() {
            let offline = grant
                .issued
                .scope
                .split(' ')
                .any(|scope| scope == "offline_access");
            if grant.issued.session.as_deref() == Some(session) && !offline && !spares {
                grant.dead = true;
            }
        }
    }
}

/// A code before it is redeemed, and its mark afterwards.
#[derive(Clone)]
pub(crate) struct Issued {
    client: String,
    session: Option<String>,
    redirect: String,
    /// The thumbprint of the key that must redeem it.
    key: Option<String>,
    challenge: Option<String>,
    resources: Vec<String>,
    details: Option<String>,
    claims: Value,
    acr: bool,
    scope: String,
    nonce: Option<String>,
    auth_time: u64,
    grant: u64,
    spent: bool,
}

impl Issued {
    pub(crate) fn new(
        parameters: &Parameters,
        auth_time: u64,
        grant: u64,
        session: Option<String>,
    ) -> Self {
        let owned = |name| parameters.get(name).map(str::to_owned);
        let resources = parameters.pairs().iter();
        let resources = resources.filter(|(name, _)| name == "resource");
        let claims = parameters.get("claims").unwrap_or("{}");
        let acr = parameters.get("acr_values").unwrap_or_default();
        Self {
            client: owned("client_id").unwrap_or_default(),
            session,
            resources: resources.map(|(_, value)| value.clone()).collect(),
            details: owned("authorization_details"),
            claims: serde_json::from_str(claims).unwrap_or_default(),
            acr: acr.split(' ').any(|acr| acr == "password"),
            redirect: owned("redirect_uri").unwrap_or_default(),
            key: owned("dpop_jkt"),
            challenge: owned("code_challenge"),
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
    issued: Issued,
    generation: u64,
    dead: bool,
    /// Whether its access tokens live on.
    access: bool,
    /// The thumbprints of the key and of the certificate that its refresh tokens are bound to.
    key: Option<String>,
    certificate: Option<String>,
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
    /// The one of the granted resources that is asked for, else the first.
    fn target(&self, asked: &Asked, issued: &Issued) -> Result<String, Wire> {
        let granted = &issued.resources;
        match asked.field("resource") {
            Some(resource) if self.breaks(Rule::AnyResource) => Ok(resource.to_owned()),
            Some(resource) if !granted.iter().any(|granted| granted == resource) => {
                Err(refusal(400, "invalid_target"))
            }
            Some(resource) => Ok(resource.to_owned()),
            None => Ok(granted.first().unwrap_or(&self.issuer).clone()),
        }
    }

    /// What that client is told the person is (OpenID Connect Core §8).
    fn person(&self, client: &str) -> String {
        let metadata = self.registered(client).unwrap_or_default();
        let pairwise = metadata.get("subject_type") == Some(&json!("pairwise"));
        if !pairwise || self.breaks(Rule::OneSubject) {
            return "person".into();
        }
        if self.breaks(Rule::SubjectByClient) {
            return format!("person-of-{client}");
        }
        let redirect = metadata["redirect_uris"][0].as_str().unwrap();
        format!("person-at-{}", host(redirect))
    }

    fn registered_text(&self, client: &str, name: &str) -> Option<String> {
        let metadata = self.registered(client)?;
        metadata.get(name)?.as_str().map(str::to_owned)
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.6.
    pub(crate) fn redeem(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let invalid_grant = || refusal(400, "invalid_grant");
        let code = asked.field("code").unwrap_or_default();
        let mut people = self.people.lock().unwrap();
        let issued = people.codes.get_mut(code).ok_or_else(invalid_grant)?;
        let redirect = asked.field("redirect_uri") == Some(issued.redirect.as_str())
            || self.breaks(Rule::AnyRedirectAtToken);
        let ours = client.id() == issued.client || self.breaks(Rule::CodeForAnyClient);
        if !ours || !redirect {
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
        let shown = asked.proof.clone().unwrap_or_default();
        let right = issued.key.is_none() || issued.key == shown;
        if !right && !self.breaks(Rule::CodeKeyIsIgnored) {
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
        let target = self.target(asked, issued)?;
        issued.spent = true;
        let grant = Grant {
            issued: issued.clone(),
            generation: 0,
            dead: false,
            access: true,
            certificate: dpop::thumbprint(asked).filter(|_| matches!(client, Client::Public(_))),
            key: shown.filter(|_| {
                matches!(client, Client::Public(_)) || self.breaks(Rule::RefreshIsBoundForAll)
            }),
        };
        people.grants.insert(number, grant.clone());
        let person = self.person(&grant.issued.client);
        Ok(self.tokens(number, &grant, (&grant.issued.scope, &target), &person))
    }

    /// As a server would that looks at the proof too late.
    pub(crate) fn spend_code(&self, asked: &Asked) {
        let code = asked.field("code").unwrap_or_default();
        if let Some(issued) = self.people.lock().unwrap().codes.get_mut(code) {
            issued.spent = true;
        }
    }

    /// RFC 6749 §6, RFC 9700 §4.14.2.
    pub(crate) fn refresh(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let invalid_grant = || refusal(400, "invalid_grant");
        let token = asked.field("refresh_token").unwrap_or_default();
        let (number, generation) = refresh_token(token).ok_or_else(invalid_grant)?;
        let mut people = self.people.lock().unwrap();
        let grant = people.grants.get_mut(&number).ok_or_else(invalid_grant)?;
        let ours = client.id() == grant.issued.client || self.breaks(Rule::RefreshForAnyClient);
        if grant.dead || !ours || self.breaks(Rule::RefreshIsRefused) {
            return Err(invalid_grant());
        }
        let shown = asked.proof.clone().unwrap_or_default();
        let held = grant.key.is_none() || grant.key == shown;
        if !held && !self.breaks(Rule::RefreshForAnyKey) {
            return Err(invalid_grant());
        }
        let certified = grant.certificate.is_none() || grant.certificate == dpop::thumbprint(asked);
        if !certified && !self.breaks(Rule::RefreshForAnyCertificate) {
            return Err(invalid_grant());
        }
        let more = asked.field("authorization_details");
        if more.is_some_and(|more| !are_payments(more)) && !self.breaks(Rule::DetailsGrow) {
            return Err(refusal(400, "invalid_authorization_details"));
        }
        let target = self.target(asked, &grant.issued)?;
        let kept = &grant.issued.scope;
        let scope = asked.field("scope").unwrap_or(kept).to_owned();
        let granted: Vec<_> = kept.split(' ').collect();
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
        let stays = self.is_set(&grant.issued.client, "dpop_bound_access_tokens")
            && matches!(client, Client::Confidential(_))
            && !self.breaks(Rule::RotatesForAll);
        if !self.breaks(Rule::NoRotation) && !stays {
            grant.generation += 1;
        }
        let person = if self.breaks(Rule::RefreshIsAnotherPerson) {
            "somebody-else".into()
        } else {
            self.person(&grant.issued.client)
        };
        let grant = grant.clone();
        Ok(self.tokens(number, &grant, (&scope, &target), &person))
    }

    /// What a device whose person said yes is given.
    pub(crate) fn granted(&self, issued: Issued) -> Wire {
        let (number, person) = (issued.grant, self.person(&issued.client));
        let grant = Grant {
            issued,
            generation: 0,
            dead: false,
            access: true,
            key: None,
            certificate: None,
        };
        let mut people = self.people.lock().unwrap();
        people.grants.insert(number, grant.clone());
        let scope = (grant.issued.scope.as_str(), self.issuer.as_str());
        self.tokens(number, &grant, scope, &person)
    }

    fn tokens(
        &self,
        number: u64,
        grant: &Grant,
        (scope, target): (&str, &str),
        person: &str,
    ) -> Wire {
        let issued = &grant.issued;
        let mut claims = members(json!({
            "sub": person,
            "client_id": issued.client,
            "aud": target,
            "scope": scope,
            "grant_id": number,
            "auth_time": issued.auth_time,
        }));
        let details = issued.details.as_ref();
        let details = details.filter(|_| !self.breaks(Rule::DetailsAreLost));
        let details = details.map(|details| serde_json::from_str::<Value>(details).unwrap());
        if let Some(details) = &details {
            claims.insert("authorization_details".into(), details.clone());
        }
        if issued.acr {
            claims.insert("acr".into(), "password".into());
        }
        let access = self.access_token(claims);
        let mut body = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": scope,
            "refresh_token": format!("r3fresh-{number}-{}", grant.generation),
        });
        if let Some(details) = details {
            body["authorization_details"] = details;
        }
        let mut header = self.header_for(&issued.client, "id_token_signed_response_alg");
        let mut claims = members(json!({
            "iss": self.issuer,
            "sub": person,
            "aud": issued.client,
            "sid": "session",
            "iat": now(),
            "exp": now() + 300,
            "auth_time": issued.auth_time,
            "at_hash": BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&access)[..16]),
        }));
        if let Some(nonce) = &issued.nonce {
            claims.insert("nonce".into(), nonce.as_str().into());
        }
        if issued.acr && !self.breaks(Rule::AcrIsLost) {
            claims.insert("acr".into(), "password".into());
        }
        claims.extend(self.asked_for(issued, "id_token"));
        if let Fault::IdToken(edit) = self.fault {
            edit(&mut header, &mut claims);
        }
        body["id_token"] = jwt::sign(&header, &Value::Object(claims).to_string()).into();
        Wire::json(200, &body)
            .with("cache-control", "no-store")
            .with("pragma", "no-cache")
    }

    /// The header of what is signed for a client, with the algorithm that it registered.
    fn header_for(&self, client: &str, member: &str) -> Members {
        let registered = self.registered_text(client, member);
        let default = if client == "app" { "ES256" } else { "RS256" };
        let algorithm = registered.as_deref().unwrap_or(default);
        let kid = match algorithm {
            "RS256" if !self.breaks(Rule::OneAlgorithm) => "rsa1",
            _ => "k1",
        };
        let algorithm = if kid == "k1" { "ES256" } else { "RS256" };
        members(json!({"alg": algorithm, "kid": kid, "typ": "JWT"}))
    }

    /// The claims that `claims` asks for there (OpenID Connect Core §5.5).
    fn asked_for(&self, issued: &Issued, place: &str) -> Members {
        let mut told = known_claims();
        let ignored = self.breaks(Rule::ClaimsAreIgnored);
        told.retain(|name, _| issued.claims[place].get(name).is_some() && !ignored);
        told
    }

    /// What userinfo says of the person (OpenID Connect Core §5.3.2).
    fn told(&self, token: &Parsed, issued: &Issued) -> Wire {
        let mut told = known_claims();
        let scopes: Vec<_> = issued.scope.split(' ').collect();
        told.retain(|name, _| {
            let scope = match name.as_str() {
                "name" | "updated_at" => "profile",
                "address" => "address",
                "phone_number" => "phone",
                _ => "email",
            };
            scopes.contains(&scope) || self.breaks(Rule::EverythingIsTold)
        });
        told.extend(self.asked_for(issued, "userinfo"));
        told.insert("sub".into(), token.claims["sub"].clone());
        if self.breaks(Rule::UserinfoIsPublic) {
            told.insert("sub".into(), "person".into());
        }
        let member = "userinfo_signed_response_alg";
        if self.registered_text(&issued.client, member).is_none()
            || self.breaks(Rule::UserinfoIsPlain)
        {
            return Wire::json(200, &told.into());
        }
        told.insert("iss".into(), self.issuer.as_str().into());
        told.insert("aud".into(), issued.client.as_str().into());
        let header = self.header_for(&issued.client, member);
        let mut wire = Wire::new(200).with("content-type", "application/jwt");
        wire.body = jwt::sign(&header, &Value::Object(told).to_string());
        wire
    }

    /// Whether it was a refresh token, which then is dead if `client` may revoke it (RFC 7009 §2.1).
    pub(crate) fn revoke_refresh_token(&self, token: &str, client: &str, hint: &str) -> bool {
        let Some((number, _)) = refresh_token(token) else {
            return false;
        };
        let hidden = self.breaks(Rule::HintIsLaw) && hint != "refresh_token";
        let mut people = self.people.lock().unwrap();
        if let Some(grant) = people.grants.get_mut(&number)
            && (client == grant.issued.client || self.breaks(Rule::RevocationIsForAll))
            && !hidden
            && !self.breaks(Rule::RevocationDoesNothing)
        {
            grant.dead = true;
            grant.access = self.breaks(Rule::AccessOutlivesRefresh);
        }
        true
    }

    pub(crate) fn userinfo(&self, asked: &Asked) -> Wire {
        let posted = asked.field("access_token");
        let posted = posted.filter(|_| !self.breaks(Rule::NoTokenInBody));
        let posted = posted.map(|token| format!("Bearer {token}"));
        let queried = asked.query.iter().find(|(name, _)| name == "access_token");
        if queried.is_some() && self.breaks(Rule::UserinfoTakesQuery) {
            return Wire::json(200, &json!({"sub": "person"}));
        }
        let Some(authorization) = asked.authorization.as_ref().or(posted.as_ref()) else {
            return Wire::new(401).with("www-authenticate", "Bearer");
        };
        let (_, token) = authorization.split_once(' ').unwrap_or_default();
        let parsed = Parsed::of(token).filter(|token| self.is_genuine(token));
        let typed = |parsed: &Parsed| parsed.header.get("typ") == Some(&json!("at+jwt"));
        let Some(parsed) =
            parsed.filter(|token| typed(token) || self.breaks(Rule::AnyKindAtUserinfo))
        else {
            return Wire::new(401).with("www-authenticate", r#"Bearer error="invalid_token""#);
        };
        if let Err(code) = self.is_held(asked, &parsed) {
            let proven = asked.credentials().0.eq_ignore_ascii_case("dpop");
            let challenge = if proven {
                format!("Bearer, {}", dpop::challenge(Some(code)))
            } else {
                format!(r#"Bearer error="{code}", {}"#, dpop::challenge(None))
            };
            return Wire::new(401).with("www-authenticate", challenge);
        }
        if !typed(&parsed) {
            return Wire::json(200, &json!({"sub": parsed.claims["sub"]}));
        }
        let Some(number) = parsed.claims.get("grant_id").and_then(Value::as_u64) else {
            return Wire::new(403).with("www-authenticate", r#"Bearer error="insufficient_scope""#);
        };
        let revoked = self.revoked.lock().unwrap().contains(token);
        let people = self.people.lock().unwrap();
        let grant = people.grants.get(&number);
        let grant = grant.filter(|grant| grant.access && !revoked);
        if let Some(grant) = grant {
            self.told(&parsed, &grant.issued)
        } else {
            Wire::new(401).with("www-authenticate", r#"Bearer error="invalid_token""#)
        }
    }
}

/// What is known of the person.
fn known_claims() -> Members {
    members(json!({
        "name": "Person",
        "updated_at": 1,
        "email": "person@as.example",
        "email_verified": true,
        "address": {"locality": "Town"},
        "phone_number": "+1 555 0100",
    }))
}
