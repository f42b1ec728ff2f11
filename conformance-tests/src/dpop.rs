//! DPoP proofs (RFC 9449 §4.2): good ones, and ones with something wrong about them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::ThumbprintHash;
use reqwest::Method;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::answer::Answer;
use crate::check::Stop;
use crate::jws::{self, Jws};
use crate::request::Request;
use crate::subject::Subject;
use crate::target::AssertionKey;

/// The header field of a proof (§4.1).
pub(crate) const DPOP: &str = "dpop";
/// The header field of a nonce (§8).
const NONCE: &str = "dpop-nonce";
/// What the server answers when it wants a nonce (§8).
pub(crate) const USE_NONCE: &str = "use_dpop_nonce";
/// What the server answers to a proof that is none (§5).
pub(crate) const INVALID_PROOF: &str = "invalid_dpop_proof";

/// Somebody with a key of their own.
pub(crate) struct Prover {
    key: AssertionKey,
    public: Value,
    thumbprint: String,
}

impl Prover {
    /// The one with that seed; it signs with ES256.
    pub(crate) fn of(seed: &str) -> Option<Self> {
        Self::with(&jws::derived_key(seed, "")?)
    }

    /// The one with that key.
    pub(crate) fn with(key: &AssertionKey) -> Option<Self> {
        let set = jws::public_keys(key)?;
        let mut public = set.get("keys")?.get(0)?.clone();
        public
            .as_object_mut()?
            .retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()));
        let thumbprint = jws::jwk(&public)?.thumbprint(ThumbprintHash::SHA256).ok()?;
        let key = AssertionKey {
            algorithm: key.algorithm,
            kid: None,
            key: key.key.clone(),
        };
        Some(Self {
            key,
            public,
            thumbprint,
        })
    }

    /// The thumbprint of its key (RFC 7638), as `jkt` has it (§6.1).
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Its key as it stands in a proof.
    pub(crate) fn public(&self) -> &Value {
        &self.public
    }

    /// The `cnf` of what is bound to it.
    pub(crate) fn confirmation(&self) -> Value {
        json!({ "jkt": self.thumbprint })
    }
}

/// What differs from a good proof: members with their values, `None` for those left out.
type Edits = Vec<(&'static str, Option<Value>)>;

/// A proof that is made when its request is known.
#[derive(Clone)]
pub(crate) struct Draft<'p> {
    prover: &'p Prover,
    signer: &'p Prover,
    token: Option<String>,
    header: Edits,
    claims: Edits,
    /// What is sent in the place of a proof.
    instead: Option<String>,
    /// Makes something else of the finished proof.
    last: Option<fn(String) -> String>,
}

impl<'p> Draft<'p> {
    /// A good proof of that one.
    pub(crate) const fn of(prover: &'p Prover) -> Self {
        Self {
            prover,
            signer: prover,
            token: None,
            header: Vec::new(),
            claims: Vec::new(),
            instead: None,
            last: None,
        }
    }

    /// For a request with that access token (§7).
    pub(crate) fn with_token(self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self
        }
    }

    /// With that claim in the place of the right one.
    pub(crate) fn claim(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.claims.push((name, Some(value.into())));
        self
    }

    /// Without that claim.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.claims.push((name, None));
        self
    }

    /// With that header parameter in the place of the right one.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.header.push((name, Some(value.into())));
        self
    }

    /// Without that header parameter.
    pub(crate) fn without_header(mut self, name: &'static str) -> Self {
        self.header.push((name, None));
        self
    }

    /// Signed by somebody whose key is not the one in it.
    pub(crate) fn signed_by(self, signer: &'p Prover) -> Self {
        Self { signer, ..self }
    }

    /// That text in its place.
    pub(crate) fn instead(self, text: &str) -> Self {
        Self {
            instead: Some(text.to_owned()),
            ..self
        }
    }

    /// What `last` makes of it.
    pub(crate) fn finished_by(self, last: fn(String) -> String) -> Self {
        Self {
            last: Some(last),
            ..self
        }
    }

    /// The proof for that request.
    fn made(
        &self,
        subject: &Subject,
        (method, url): (&Method, &Url),
        nonce: Option<&str>,
    ) -> Result<String, Stop> {
        if let Some(text) = &self.instead {
            return Ok(text.clone());
        }
        let mut target = url.clone();
        target.set_query(None);
        target.set_fragment(None);
        let mut header = members(&json!({"typ": "dpop+jwt", "jwk": self.prover.public}));
        let mut claims = members(&json!({
            "jti": subject.unique(),
            "htm": method.as_str(),
            "htu": target.as_str(),
            "iat": subject.now(),
        }));
        if let Some(token) = &self.token {
            claims.insert("ath".into(), hash(token).into());
        }
        if let Some(nonce) = nonce {
            claims.insert("nonce".into(), nonce.into());
        }
        apply(&mut header, &self.header);
        apply(&mut claims, &self.claims);
        let proof = jws::sign_with_header(&self.signer.key, header, &claims);
        let proof = proof.ok_or_else(|| Stop::unchecked("no proof could be made"))?;
        Ok(match self.last {
            Some(last) => last(proof),
            None => proof,
        })
    }
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn apply(members: &mut Map<String, Value>, edits: &Edits) {
    for (name, value) in edits {
        match value {
            Some(value) => drop(members.insert((*name).into(), value.clone())),
            None => drop(members.remove(*name)),
        }
    }
}

/// A proof without a signature, for [`Draft::finished_by`].
pub(crate) fn unsigned(proof: String) -> String {
    Jws::parse(&proof).map_or(proof, |proof| jws::unsigned(&proof, "none"))
}

/// One under HS256, with the public key in it as the secret.
pub(crate) fn confused(proof: String) -> String {
    let read = Jws::parse(&proof);
    let key = read
        .as_ref()
        .and_then(|read| read.header.get("jwk").cloned());
    let (Some(read), Some(key)) = (read, key) else {
        return proof;
    };
    jws::confused(&read, &key).unwrap_or(proof)
}

/// The `ath` of a token (§4.2).
pub(crate) fn hash(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// The nonce that each server gave last, by origin.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<String, String>>);

impl Nonces {
    fn of(&self, url: &Url) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&url.origin().ascii_serialization()).cloned()
    }

    fn learn(&self, url: &Url, answer: &Answer) {
        if let Some(nonce) = nonce(answer) {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(url.origin().ascii_serialization(), nonce);
        }
    }
}

/// The nonce that an answer brings.
pub(crate) fn nonce(answer: &Answer) -> Option<String> {
    answer.header(NONCE)
}

/// How many nonces an answer brings.
pub(crate) fn nonces(answer: &Answer) -> usize {
    answer.headers.get_all(NONCE).iter().count()
}

/// Whether the answer asks for a nonce, at the authorization server (§8) or at a protected resource (§9).
pub(crate) fn wants_nonce(answer: &Answer) -> bool {
    let named = answer.text("error").is_ok_and(|error| error == USE_NONCE);
    named
        || answer
            .challenge("DPoP")
            .is_ok_and(|challenge| challenge.parameter("error") == Some(USE_NONCE))
}

impl Subject {
    /// Sends what `make` makes with a proof; a second time if the server wants a nonce, as clients do (§8). It is made anew,
    /// because a client assertion is good once.
    pub(crate) async fn send_proved<'s>(
        &'s self,
        make: impl Fn() -> Result<Request<'s>, Stop>,
        draft: &Draft<'_>,
    ) -> Result<Answer, Stop> {
        let answer = self.send_proved_once(make()?, draft).await?;
        if wants_nonce(&answer) && nonce(&answer).is_some() {
            return self.send_proved_once(make()?, draft).await;
        }
        Ok(answer)
    }

    /// The same without a second try, with the nonce that was given last.
    pub(crate) async fn send_proved_once(
        &self,
        request: Request<'_>,
        draft: &Draft<'_>,
    ) -> Result<Answer, Stop> {
        let url = request.url().clone();
        let proof = self.proof(&request, draft)?;
        let answer = request.header(DPOP, proof).send().await?;
        self.nonces().learn(&url, &answer);
        Ok(answer)
    }

    /// The proof of that request, with the nonce that was given last.
    pub(crate) fn proof(&self, request: &Request<'_>, draft: &Draft<'_>) -> Result<String, Stop> {
        let nonce = self.nonces().of(request.url());
        draft.made(self, (request.method(), request.url()), nonce.as_deref())
    }

    /// Whether the server at that URL has given nonces.
    pub(crate) fn has_nonce(&self, url: &Url) -> bool {
        self.nonces().of(url).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9449_6_1_a_thumbprint_is_that_of_the_bare_key() {
        let prover = Prover::of("somebody").unwrap();
        assert_eq!(prover.thumbprint().len(), 43);
        assert_eq!(prover.public().as_object().unwrap().len(), 4);
        assert_ne!(
            prover.thumbprint(),
            Prover::of("another").unwrap().thumbprint()
        );
    }

    #[test]
    fn rfc9449_4_2_ath_of_the_example_of_7_1() {
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(hash(token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }
}
