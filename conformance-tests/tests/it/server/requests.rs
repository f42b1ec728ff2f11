//! Authorization requests that do not come in the query: pushed ones and request objects, with faults.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::authorize::{CALLBACK, Parameters};
use super::clients::{now, refusal};
use super::jwt::Parsed;
use super::{Asked, Rule, Server, Wire};

/// A pushed request.
#[derive(Clone)]
pub(crate) struct Pushed {
    client: String,
    parameters: Vec<(String, String)>,
    spent: bool,
}

const URN: &str = "urn:ietf:params:oauth:request_uri:";

/// The parameter in which a pushed request keeps where it was pushed.
pub(crate) const ORIGIN: &str = "pushed_as";

impl Server {
    /// RFC 9126 §2.
    pub(crate) fn push(&self, asked: &Asked) -> Wire {
        let client = match self.authenticate(asked) {
            Ok(client) => client.id().to_owned(),
            Err(wire) => return wire,
        };
        if asked.field("request_uri").is_some() && !self.breaks(Rule::PushedReference) {
            return refusal(400, "invalid_request");
        }
        let key = match &asked.proof {
            Ok(key) => key.clone(),
            Err(_) if self.breaks(Rule::PushedProofIsAnything) => None,
            Err(code) => return refusal(400, code),
        };
        let named = asked.field("dpop_jkt");
        let differ = key.is_some() && named.is_some() && named != key.as_deref();
        if differ && !self.breaks(Rule::PushedKeysDiffer) {
            return refusal(400, "invalid_request");
        }
        let mut parameters = asked.form.clone();
        parameters.retain(|(name, _)| {
            name != "client_id" && name != "client_secret" && !name.starts_with("client_assertion")
        });
        let signs = self.is_set(&client, "require_signed_request_object");
        if signs && asked.field("request").is_none() && !self.breaks(Rule::UnsignedPush) {
            return refusal(400, "invalid_request");
        }
        if let Some(key) =
            key.filter(|_| named.is_none() && !self.breaks(Rule::PushedProofIsIgnored))
        {
            parameters.push(("dpop_jkt".into(), key));
        }
        parameters.push(("client_id".into(), client.clone()));
        if let Some(object) = asked.field("request")
            && !self.breaks(Rule::PushedObjectIsIgnored)
        {
            match self.within(&client, object) {
                Ok(within) => parameters = within,
                Err(code) => return refusal(400, code),
            }
        }
        let judged = Parameters::new(parameters.clone());
        let redirect = judged.get("redirect_uri").unwrap_or_default();
        let lax = redirect.is_empty() && self.breaks(Rule::RedirectIsOptional);
        let known = lax || self.is_registered(&client, redirect);
        let plain = judged.get("response_mode") != Some("jwt");
        let response = self.registered(&client).unwrap_or_default();
        let response = response.contains_key("authorization_signed_response_alg");
        if plain && response && !self.breaks(Rule::PlainResponses) {
            return refusal(400, "invalid_request");
        }
        let judged = self.accept(&judged);
        if !self.breaks(Rule::PushIsNotValidated) {
            if !known {
                return refusal(400, "invalid_request");
            }
            if let Err(code) = judged {
                return refusal(400, code);
            }
        }
        let number = if self.breaks(Rule::SamePush) {
            0
        } else {
            self.counter.fetch_add(1, Ordering::Relaxed)
        };
        let uri = format!("{URN}{number}");
        parameters.push((ORIGIN.into(), uri.clone()));
        let pushed = Pushed {
            client,
            parameters,
            spent: false,
        };
        self.pushed.lock().unwrap().insert(uri.clone(), pushed);
        Wire::json(201, &json!({"request_uri": uri, "expires_in": 60}))
            .with("cache-control", "no-store")
    }

    /// The parameters that hold: those of the request object or of what was pushed, where there is one.
    pub(crate) fn resolved(
        &self,
        client: &str,
        outside: Parameters,
    ) -> Result<Parameters, Unresolved> {
        let metadata = self.registered(client).unwrap_or_default();
        let wants = |name: &str| {
            metadata.get(name) == Some(&json!(true)) && !self.breaks(Rule::ClientMayAskOtherwise)
        };
        let (object, reference) = (outside.get("request"), outside.get("request_uri"));
        if self.denies_objects() {
            if object.is_some() {
                return Err(Unresolved::Refused(outside, "request_not_supported"));
            }
            if reference.is_some_and(|uri| !uri.starts_with(URN)) {
                return Err(Unresolved::Refused(outside, "request_uri_not_supported"));
            }
        }
        match (object, reference) {
            (None, None) if wants("require_signed_request_object") => Err(Unresolved::Page),
            (None, None) if wants("require_pushed_authorization_requests") => Err(Unresolved::Page),
            (None, None) if self.breaks(Rule::PushIsRequired) => Err(Unresolved::Page),
            (None, None) => Ok(outside),
            (Some(_), Some(_)) if !self.breaks(Rule::BothAtOnce) => Err(Unresolved::Page),
            (Some(object), _) if self.breaks(Rule::AssertionIsAnObject) => {
                let object = Parsed::of(object).unwrap();
                assert_eq!(object.claims.get("sub"), Some(&json!(client)));
                let usual = [
                    ("response_type", "code"),
                    ("client_id", client),
                    (
                        "redirect_uri",
                        metadata["redirect_uris"][0].as_str().unwrap(),
                    ),
                    ("code_challenge", "a-challenge"),
                    ("code_challenge_method", "S256"),
                ];
                let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
                Ok(Parameters::new(usual.to_vec()))
            }
            (Some(object), _) => match self.within(client, object) {
                Ok(within) if self.breaks(Rule::OutsideCounts) => {
                    Ok(Parameters::new(within).overridden_by(&outside))
                }
                Ok(within) => Ok(Parameters::new(within)),
                Err(code) => Err(Unresolved::Refused(outside, code)),
            },
            (None, Some(uri)) => {
                let loaded = self.loaded(client, uri)?;
                Ok(if self.breaks(Rule::OutsideCounts) {
                    loaded.overridden_by(&outside)
                } else {
                    loaded
                })
            }
        }
    }

    fn loaded(&self, client: &str, uri: &str) -> Result<Parameters, Unresolved> {
        if !uri.starts_with(URN) && self.breaks(Rule::AnyReference) {
            let usual = [
                ("client_id", client),
                ("redirect_uri", CALLBACK),
                ("response_type", "code"),
                ("code_challenge", "x"),
                ("code_challenge_method", "S256"),
            ];
            let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
            return Ok(Parameters::new(usual.to_vec()));
        }
        let metadata = self.registered(client).unwrap_or_default();
        let listed = metadata.get("request_uris").and_then(Value::as_array);
        if listed.is_some_and(|list| list.contains(&json!(uri)))
            && !self.breaks(Rule::ReferencesAreNotFetched)
        {
            let object = self.fetched.lock().unwrap().get(uri).cloned();
            let within = self.within(client, object.as_deref().unwrap_or_default());
            return within.map(Parameters::new).map_err(|_| Unresolved::Page);
        }
        let mut all = self.pushed.lock().unwrap();
        let mut found = all.get_mut(uri);
        if found.is_none() && self.breaks(Rule::UnknownPushIsAny) {
            found = all
                .values_mut()
                .find(|pushed| pushed.client == client && !pushed.spent);
        }
        let found = found.filter(|_| !self.breaks(Rule::PushIsForgotten));
        let found = found.ok_or(Unresolved::Page)?;
        let own = found.client == client || self.breaks(Rule::PushForAnyClient);
        if !own || found.spent {
            return Err(Unresolved::Page);
        }
        found.spent = self.breaks(Rule::LoadSpends);
        Ok(Parameters::new(found.parameters.clone()))
    }

    /// Whether the request may be answered with a code: a pushed one is spent by it.
    pub(crate) fn spends(&self, parameters: &Parameters) -> bool {
        let Some(origin) = parameters.get(ORIGIN) else {
            return true;
        };
        let mut all = self.pushed.lock().unwrap();
        let Some(pushed) = all.get_mut(origin) else {
            return false;
        };
        let first = !pushed.spent || self.breaks(Rule::LoadSpends);
        pushed.spent = !self.breaks(Rule::PushWorksTwice);
        first
    }

    /// The parameters of a request object (RFC 9101 §6).
    fn within(&self, client: &str, object: &str) -> Result<Vec<(String, String)>, &'static str> {
        let invalid = "invalid_request_object";
        let token = Parsed::of(object).ok_or(invalid)?;
        let mut keys = self.keys_of(client).into_iter();
        let rs256 = self.breaks(Rule::Rs256Objects);
        let signed = keys.any(|key| token.verifies_with_jwk(&key, rs256));
        if !signed && !self.breaks(Rule::AnyObjectSignature) || self.breaks(Rule::ObjectsAreRefused)
        {
            return Err(invalid);
        }
        let claims = &token.claims;
        let nested = claims.contains_key("request") || claims.contains_key("request_uri");
        let named = claims.get("client_id") == Some(&json!(client));
        let exp = claims.get("exp").and_then(Value::as_u64);
        let nbf = claims.get("nbf").and_then(Value::as_u64);
        let listed = !self.breaks(Rule::ObjectAudienceIsText)
            && claims.get("aud") == Some(&json!([self.issuer]));
        let named = named
            && (!self.is_set(client, "require_signed_request_object")
                || ((self.breaks(Rule::AnyObjectNotBefore)
                    || nbf.is_some_and(|nbf| nbf + 3600 > now()))
                    && (self.breaks(Rule::AnyObjectExpiry)
                        || exp.is_some_and(|exp| nbf.is_none_or(|nbf| exp <= nbf + 3600)))));
        let timely = (listed || claims.get("aud") == Some(&json!(self.issuer)))
            && (exp > Some(now()) || self.breaks(Rule::AnyObjectExpiry));
        if (nested && !self.breaks(Rule::NestedObjects))
            || (!named && !self.breaks(Rule::AnyClientInObject))
            || (!timely && !self.breaks(Rule::ObjectForAnyone))
        {
            return Err(invalid);
        }
        let texts = claims.iter().filter_map(|(name, value)| {
            let value = value.as_str()?;
            let own = [
                "iss",
                "aud",
                "jti",
                "sub",
                "request",
                "request_uri",
                "client_id",
            ];
            (!own.contains(&name.as_str())).then(|| (name.clone(), value.to_owned()))
        });
        let mut parameters: Vec<_> = texts.collect();
        parameters.push(("client_id".into(), client.into()));
        Ok(parameters)
    }
}

/// What is answered to a request whose parameters cannot be had.
pub(crate) enum Unresolved {
    Page,
    /// An error at the redirection URI, if there is one that is registered.
    Refused(Parameters, &'static str),
}
