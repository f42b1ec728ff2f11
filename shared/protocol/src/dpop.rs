//! DPoP (RFC 9449): a proof that whoever sends a request holds the private key to which a token is bound, or is to be. One judge for an
//! authorization server and for every resource server.

mod nonces;
mod used;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

pub use self::nonces::Nonces;
pub use self::used::{LocalProofs, MemoryFailure, ProofId, ProofUse, UsedProofs};
use crate::jose::{Algorithm, EmbeddedJwt, JwtError, Thumbprint};
use crate::random::{Random, bytes};
use crate::time::{CLOCK_SKEW, Instant, NumericDate};

/// Where a proof stands (RFC 9449 §4.1).
pub const PROOF: HeaderName = HeaderName::from_static("dpop");
/// Where a server says what the next proof is to hold (RFC 9449 §8).
pub const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// What proofs may be signed with, the preferred first: all asymmetric (RFC 9449 §4.2).
pub const ALGORITHMS: [Algorithm; 4] = Algorithm::ALL;

/// How long after its `iat` a proof without a nonce is good.
const MAX_AGE: Duration = Duration::from_mins(1);
/// How far ahead the clock of whoever made one may run.
const MAX_AHEAD: Duration = CLOCK_SKEW;
/// The same of one with a nonce, whose age does not rest on that clock.
const MAX_AHEAD_WITH_NONCE: Duration = Duration::from_mins(1);
/// Bytes of a proof; one with a key of RSA 4096 has two thousand.
const LONGEST: usize = 8 * 1024;
const LONGEST_JTI: usize = 256;
const LONGEST_HTU: usize = 4096;

/// Why a proof is none (`invalid_dpop_proof`).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidProof {
    /// RFC 9449 §4.3: not more than one.
    #[error("the request carries more than one DPoP header")]
    Twice,
    /// Not a JWT of this kind, or not signed by the key in its header.
    #[error("the DPoP proof: {0}")]
    Jwt(#[from] JwtError),
    /// Signed with what is not taken here.
    #[error("the DPoP proof is signed with {0}, which this server does not take of the client")]
    Algorithm(Algorithm),
    /// Too long for anybody to need it.
    #[error("the DPoP proof is too long")]
    TooLong,
    /// `jti` is empty or too long to be remembered.
    #[error("jti of the DPoP proof is empty or longer than 256 bytes")]
    Identifier,
    /// `htm` is another method.
    #[error("htm of the DPoP proof is not the method of the request")]
    Method,
    /// `htu` is not where the request went.
    #[error("htu of the DPoP proof is not the URL of the request")]
    Url,
    /// Dated where no clock should be.
    #[error("iat of the DPoP proof lies more than a minute ahead")]
    TooFarAhead,
    /// `ath` is absent, or of another token.
    #[error("ath of the DPoP proof is not the hash of the access token")]
    AccessToken,
    /// Its key and `jti` were seen before.
    #[error("the DPoP proof was used before")]
    Replayed,
}

/// Why a proof is to be made anew, with the nonce that comes with the answer (`use_dpop_nonce`).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NonceWanted {
    /// It has none, and has to.
    #[error("the DPoP proof has no nonce")]
    Missing,
    /// It has one that is expired, or was made elsewhere.
    #[error("the nonce of the DPoP proof has expired, or is of another server")]
    NotGood,
    /// The clock of whoever made it runs differently, or it took its time.
    #[error("neither iat of the DPoP proof is of this minute, nor its nonce")]
    Date,
    /// It may have been used before the memory of used proofs began.
    #[error("the DPoP proof is older than the memory of used ones")]
    BeforeMemory,
}

/// Why nothing is proven.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DpopError {
    /// RFC 9449 §5, §7.1: `invalid_dpop_proof`.
    #[error(transparent)]
    Invalid(#[from] InvalidProof),
    /// RFC 9449 §8, §9: `use_dpop_nonce`.
    #[error(transparent)]
    UseNonce(#[from] NonceWanted),
    /// Nobody knows: the fault is not the request's.
    #[error(transparent)]
    Memory(#[from] MemoryFailure),
}

impl From<JwtError> for DpopError {
    fn from(error: JwtError) -> Self {
        InvalidProof::from(error).into()
    }
}

/// Whether every proof has to hold a nonce. In a configuration, `offered` or `required`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoncePolicy {
    /// Only one whose date proves nothing.
    #[default]
    Offered,
    /// Every one.
    Required,
}

/// What a [`Dpop`] is made of.
pub struct DpopSettings {
    /// Scheme, host and port under which requests come, as their senders see them. Their paths are not looked at: `htu` is compared with
    /// the whole path of a request, so that a proxy which takes a part of it off has to be made to leave it.
    pub origins: Vec<Url>,
    /// Makes nonces.
    pub nonces: Nonces,
    /// Remembers proofs.
    pub used: Arc<dyn UsedProofs>,
}

/// A request, as far as a proof is about it.
#[derive(Clone, Copy)]
pub struct ProofRequest<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its method.
    pub method: &'a Method,
    /// The path by which it came from outside, whatever a router has taken off since.
    pub path: &'a str,
}

/// The claims of RFC 9449 §4.2.
#[derive(Deserialize)]
struct ProofClaims {
    jti: String,
    htm: String,
    htu: String,
    iat: NumericDate,
    ath: Option<String>,
    nonce: Option<String>,
}

/// Judges proofs. Cheap to clone.
#[derive(Clone)]
pub struct Dpop(Arc<Inner>);

struct Inner {
    settings: DpopSettings,
    /// Since when the memory remembers, in milliseconds, as it said last.
    remembers_since: AtomicI64,
}

impl Dpop {
    /// With these settings.
    #[must_use]
    pub fn new(settings: DpopSettings) -> Self {
        Self(Arc::new(Inner {
            settings,
            remembers_since: AtomicI64::new(i64::MIN),
        }))
    }

    /// For whatever is served under one origin by one process: nonces are of a key of its own and good for five minutes, and there is
    /// room for 100 000 proofs, of which each is remembered for a minute and a half, and some longer: beyond some six hundred a second,
    /// requests with a proof are refused until there is room again. How many one client may send is for whatever limits requests in
    /// front. Nodes that share the work share key and memory.
    #[must_use]
    pub fn in_one_process(origin: Url, random: &dyn Random, now: Instant) -> Self {
        Self::new(DpopSettings {
            origins: vec![origin],
            nonces: Nonces::new(&bytes(random), Duration::from_mins(5)),
            used: Arc::new(LocalProofs::new(100_000, now)),
        })
    }

    /// The nonce that proofs may hold from now on. It is dated no earlier than what the memory of used proofs goes back to, as far as clocks
    /// may be apart: nobody could have made it before, so that who was sent away for that is taken with it.
    ///
    /// # Panics
    /// Never: base64url is printable ASCII.
    #[must_use]
    pub fn nonce(&self, now: Instant) -> HeaderValue {
        let since = self.0.remembers_since.load(Ordering::Relaxed);
        let since = Instant::from_millis(since);
        let date = if since <= now + CLOCK_SKEW {
            now.max(since)
        } else {
            now
        };
        HeaderValue::try_from(self.0.settings.nonces.at(date))
            .expect("base64url is printable ASCII")
    }

    /// The key that a request proves to hold, or none if it brings no proof. With an access token that is `bound` to a key, the proof is about
    /// that one too; one by another key is good for nothing, and so it is not remembered: whoever stole the token fills no memory with it.
    ///
    /// # Errors
    /// [`DpopError`]: what RFC 9449 §4.3 demands and the proof does not have.
    pub async fn prove(
        &self,
        request: ProofRequest<'_>,
        bound: Option<(&str, &Thumbprint)>,
        policy: NoncePolicy,
        now: Instant,
    ) -> Result<Option<Thumbprint>, DpopError> {
        self.prove_by(&ALGORITHMS, request, bound, policy, now)
            .await
    }

    /// The same of a proof that is signed with one of `algorithms`.
    ///
    /// # Errors
    /// [`DpopError`].
    pub async fn prove_by(
        &self,
        algorithms: &[Algorithm],
        request: ProofRequest<'_>,
        bound: Option<(&str, &Thumbprint)>,
        policy: NoncePolicy,
        now: Instant,
    ) -> Result<Option<Thumbprint>, DpopError> {
        let mut proofs = request.headers.get_all(PROOF).iter();
        let Some(proof) = proofs.next() else {
            return Ok(None);
        };
        if proofs.next().is_some() {
            return Err(InvalidProof::Twice.into());
        }
        if proof.len() > LONGEST {
            return Err(InvalidProof::TooLong.into());
        }
        let proof = proof.to_str().map_err(|_| JwtError::Malformed)?;
        let proof = EmbeddedJwt::parse(proof)?;
        if !algorithms.contains(&proof.algorithm()) {
            return Err(InvalidProof::Algorithm(proof.algorithm()).into());
        }
        let (claims, key) = proof.verify()?;
        let claims: ProofClaims = claims.parse()?;
        if !(1..=LONGEST_JTI).contains(&claims.jti.len()) {
            return Err(InvalidProof::Identifier.into());
        }
        if claims.htm != request.method.as_str() {
            return Err(InvalidProof::Method.into());
        }
        if !self.is_sent_to(&claims.htu, request.path) {
            return Err(InvalidProof::Url.into());
        }
        if let Some((token, _)) = bound {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
            if claims.ath.is_none_or(|ath| ath != hash) {
                return Err(InvalidProof::AccessToken.into());
            }
        }
        let dated = self.date(claims.iat.instant(), claims.nonce.as_deref(), policy, now)?;
        let jkt = key.thumbprint();
        if bound.is_some_and(|(_, bound)| *bound != jkt) {
            return Ok(Some(jkt));
        }
        let id = ProofId::new(&jkt, &claims.jti);
        match self.0.settings.used.note(id, dated.until, now).await? {
            ProofUse::Again => Err(InvalidProof::Replayed.into()),
            ProofUse::First { since } if dated.not_before < since => {
                let since = since.as_millis();
                self.0.remembers_since.store(since, Ordering::Relaxed);
                Err(NonceWanted::BeforeMemory.into())
            }
            ProofUse::First { .. } => Ok(Some(jkt)),
        }
    }

    /// RFC 9449 §4.3: without query and fragment, after the normalizations of RFC 3986 §6.2.2 and §6.2.3.
    fn is_sent_to(&self, htu: &str, path: &str) -> bool {
        // What parsers of URLs for browsers forgive is not forgiven.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if htu.len() > LONGEST_HTU || !htu.bytes().all(is_plain) {
            return false;
        }
        let authority = htu
            .split_once("://")
            .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
        if authority.is_none_or(|authority| authority.is_empty() || authority.contains(['@', '%']))
        {
            return false;
        }
        let Ok(htu) = Url::parse(htu) else {
            return false;
        };
        self.0.settings.origins.iter().any(|origin| {
            if origin.origin() != htu.origin() {
                return false;
            }
            // Almost always, nothing has to be made the same first.
            htu.path() == path || {
                let mut url = origin.clone();
                url.set_path(path);
                normal(url.path()) == normal(htu.path())
            }
        })
    }

    /// Whether a proof is of now. With a nonce of ours it is no older than that, whatever its own clock says. From what is the later of
    /// both it is good for a minute, so that what has to be remembered of it does not depend on how long nonces are good.
    fn date(
        &self,
        iat: Instant,
        nonce: Option<&str>,
        policy: NoncePolicy,
        now: Instant,
    ) -> Result<Dated, DpopError> {
        if iat > now + MAX_AHEAD_WITH_NONCE {
            return Err(InvalidProof::TooFarAhead.into());
        }
        let (not_before, latest) = match nonce {
            Some(nonce) => {
                let made_at = self.0.settings.nonces.made(nonce, now);
                let made_at = made_at.ok_or(NonceWanted::NotGood)?;
                (made_at, made_at.max(iat))
            }
            None if policy == NoncePolicy::Required => return Err(NonceWanted::Missing.into()),
            None if iat > now + MAX_AHEAD => return Err(NonceWanted::Date.into()),
            None => (iat - MAX_AHEAD, iat),
        };
        let until = latest + MAX_AGE;
        if until < now {
            return Err(NonceWanted::Date.into());
        }
        Ok(Dated {
            not_before,
            // It is good at that instant too.
            until: until + Duration::from_secs(1),
        })
    }
}

/// Tells whoever gets this answer the nonce for the next proof, unless a cache may keep the answer (RFC 9449 §8.2).
pub fn tell_nonce(headers: &mut HeaderMap, nonce: impl FnOnce() -> HeaderValue) {
    if !may_be_kept(headers) {
        headers.insert(NONCE, nonce());
    }
}

/// Whether a cache may keep the answer that has these headers (RFC 9111 §5.2.2.5).
pub(crate) fn may_be_kept(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let mut directives = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    !directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-store"))
}

/// Between when a proof was made, and when it is good no more.
struct Dated {
    not_before: Instant,
    until: Instant,
}

/// RFC 3986 §6.2.2.1, §6.2.2.2: percent-encodings of what needs none are decoded, the others in upper case.
fn normal(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let code = after
            .get(..2)
            .filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        rest = match (code, byte) {
            (Some(_), Some(byte)) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                normal.push(char::from(byte));
                after.get(2..).unwrap_or_default()
            }
            (Some(code), _) => {
                normal.push('%');
                normal.push_str(&code.to_ascii_uppercase());
                after.get(2..).unwrap_or_default()
            }
            (None, _) => {
                normal.push('%');
                after
            }
        };
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

#[cfg(test)]
mod tests;
