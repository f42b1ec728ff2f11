//! DPoP proofs (RFC 9449), with faults.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::clients::{Client, now, refusal};
use super::jwt::{self, Parsed};
use super::{Asked, Rule, Server, Who, Wire};

/// The one nonce of the server.
const NONCE: &str = "n0nce-of-the-server";
const INVALID: &str = "invalid_dpop_proof";
const USE_NONCE: &str = "use_dpop_nonce";

/// The thumbprint of the key that was proven, if one was tried.
pub(crate) type Proof = Result<Option<String>, &'static str>;

impl Server {
    /// RFC 9449 §4.3.
    pub(crate) fn proof(&self, asked: &Asked) -> Proof {
        let text = match asked.proofs.as_slice() {
            [] => return Ok(None),
            [one] => one,
            [.., last] if self.breaks(Rule::TwoProofs) => last,
            _ => return Err(INVALID),
        };
        let Some(proof) = Parsed::of(text) else {
            let known = self.breaks(Rule::AnythingIsAProof);
            return if known {
                Ok(Some("any".into()))
            } else {
                Err(INVALID)
            };
        };
        let key = proof.header.get("jwk").cloned().unwrap_or_default();
        let holds = |rule, holds: bool| self.breaks(rule) || holds;
        let text = |name: &str| proof.claims.get(name).and_then(Value::as_str);
        let time = proof.claims.get("iat").and_then(Value::as_u64);
        let complete = ["jti", "htm", "htu"]
            .iter()
            .all(|name| text(name).is_some());
        let rs256 = self.breaks(Rule::Rs256Proofs);
        let signs = ["ES256", "PS256", "EdDSA", "RS256"];
        let named = proof.header.get("alg").and_then(Value::as_str);
        let signed = if named.is_some_and(|named| signs.contains(&named)) {
            let right = proof.verifies_with_jwk(&key, rs256);
            holds(Rule::AnyProofSignature, right)
        } else {
            self.breaks(Rule::UnsignedProofs)
        };
        let fits = |name: &str, right: &dyn Fn(&str) -> bool| text(name).is_none_or(right);
        let is_good = holds(
            Rule::AnyProofType,
            proof.header.get("typ") == Some(&json!("dpop+jwt")),
        ) && signed
            && holds(Rule::PrivateKeysInProofs, key.get("d").is_none())
            && holds(Rule::ProofClaimsAreOptional, complete && time.is_some())
            && holds(
                Rule::AnyProofMethod,
                fits("htm", &|method| method == asked.method),
            )
            && holds(
                Rule::AnyProofUrl,
                fits("htu", &|url| self.is_here(url, asked)),
            )
            && holds(Rule::AnyAth, has_hash(&proof, asked));
        if !is_good {
            return Err(INVALID);
        }
        let timely = time.is_none_or(|time| time.abs_diff(now()) < 60);
        match text("nonce") {
            Some(NONCE) => {}
            Some(_) if !self.breaks(Rule::AnyNonce) => return Err(USE_NONCE),
            None if self.who == Who::Post => return Err(USE_NONCE),
            Some(_) | None if timely || self.breaks(Rule::AnyProofTime) => {}
            Some(_) | None => return Err(USE_NONCE),
        }
        let id = text("jti").unwrap_or_default().to_owned();
        let first = self.proofs.lock().unwrap().insert(id);
        if !holds(Rule::ProofWorksTwice, first) {
            return Err(INVALID);
        }
        let key: Jwk = serde_json::from_value(key).map_err(|_| INVALID)?;
        Ok(key.thumbprint(ThumbprintHash::SHA256).ok())
    }

    fn is_here(&self, url: &str, asked: &Asked) -> bool {
        let here = format!("{}{}", self.issuer, asked.path);
        if self.breaks(Rule::ProofUrlIsExact) {
            return url == here;
        }
        Url::parse(url).is_ok_and(|url| {
            let path = url.path().replace("%6E", "n").replace("%6F", "o");
            format!("{}{path}", url.origin().ascii_serialization()) == here
        })
    }

    /// A nonce beside whatever is answered to a proof (§8.2).
    pub(crate) fn offer_nonce(asked: &Asked, wire: &mut Wire) {
        if !asked.proofs.is_empty() {
            wire.set("dpop-nonce", NONCE);
            wire.set("cache-control", "no-store");
        }
    }

    /// The tokens of a token response, bound to that key.
    pub(crate) fn bind(&self, wire: &mut Wire, confirmation: &Value, kind: &str) {
        let mut body: Value = serde_json::from_str(&wire.body).unwrap();
        let token = Parsed::of(body["access_token"].as_str().unwrap()).unwrap();
        let mut claims = token.claims;
        if !self.breaks(Rule::TokensAreNotBound) {
            claims.insert("cnf".into(), confirmation.clone());
        }
        let token = jwt::sign(&token.header, &Value::Object(claims).to_string());
        if let Some(id_token) = body["id_token"].as_str().and_then(Parsed::of) {
            let mut claims = id_token.claims;
            let half = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&token)[..16]);
            claims.insert("at_hash".into(), half.into());
            body["id_token"] =
                jwt::sign(&id_token.header, &Value::Object(claims).to_string()).into();
        }
        body["access_token"] = token.into();
        body["token_type"] = kind.into();
        wire.body = body.to_string();
    }

    /// The thumbprint of the certificate that the client's tokens are bound to (RFC 8705 §3).
    pub(crate) fn binding_certificate(
        &self,
        asked: &Asked,
        client: &Client,
    ) -> Result<Option<String>, Wire> {
        let public = matches!(client, Client::Public(_)) && self.breaks(Rule::PublicIsNotBound);
        let flag = "tls_client_certificate_bound_access_tokens";
        if !self.is_set(client.id(), flag) || self.breaks(Rule::CertificateIsForgotten) || public {
            return Ok(None);
        }
        match thumbprint(asked) {
            None => Err(refusal(400, "invalid_request")),
            shown => Ok(shown),
        }
    }

    /// Whether a token of that confirmation is shown by whom it is bound to (§7.1, §7.2); the error where it is not.
    pub(crate) fn is_held(&self, asked: &Asked, token: &Parsed) -> Result<(), &'static str> {
        let confirmation = token.claims.get("cnf");
        let certificate = confirmation.and_then(|cnf| cnf.get("x5t#S256"));
        let shown = thumbprint(asked).map(Value::from);
        if certificate.is_some()
            && certificate != shown.as_ref()
            && !self.breaks(Rule::AnyCertificate)
        {
            return Err("invalid_token");
        }
        let bound = confirmation.and_then(|cnf| cnf.get("jkt"));
        let (scheme, _) = asked.credentials();
        if !scheme.eq_ignore_ascii_case("dpop") {
            let free = bound.is_none() || self.breaks(Rule::BoundIsBearer);
            return if free { Ok(()) } else { Err("invalid_token") };
        }
        match &asked.proof {
            Err(code) => Err(code),
            Ok(None) if self.breaks(Rule::ApiNeedsNoProof) => Ok(()),
            Ok(None) => Err(INVALID),
            Ok(Some(key)) => {
                let right = bound == Some(&json!(key)) || self.breaks(Rule::AnyProofKey);
                if right { Ok(()) } else { Err("invalid_token") }
            }
        }
    }
}

/// The challenge of the scheme (§7.1).
pub(crate) fn challenge(error: Option<&str>) -> String {
    let error = error.map(|error| format!(", error=\"{error}\""));
    format!("DPoP algs=\"ES256\"{}", error.unwrap_or_default())
}

/// The thumbprint of the certificate that was shown (RFC 8705 §3.1).
pub(crate) fn thumbprint(asked: &Asked) -> Option<String> {
    let shown = asked.certificate.as_ref()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(shown)))
}

/// With a token comes its hash (§7).
fn has_hash(proof: &Parsed, asked: &Asked) -> bool {
    let resource = ["/userinfo", "/api/me"].contains(&asked.path.as_str());
    let hash = hash(asked.credentials().1);
    !resource || proof.claims.get("ath") == Some(&json!(hash))
}

fn hash(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}
