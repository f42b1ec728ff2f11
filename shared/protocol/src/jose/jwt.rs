//! JSON Web Tokens in the compact form (RFC 7519, RFC 7515 §7.1): read with suspicion, written in one way.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Algorithm, JwkSet, JwsAlgorithm, KeyId, MacAlgorithm, PublicJwk, SignError, Signer, json,
};

/// The longest token that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// What a JWT is for. A token of one kind is never taken for another (RFC 8725 §3.11).
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum JwtKind {
            $($(#[$doc])* $kind,)*
        }

        impl JwtKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];
        }
    };
}

kinds! {
    /// An access token: `typ` is `at+jwt` (RFC 9068 §2.1).
    AccessToken,
    /// A client's assertion of itself (RFC 7523 §2.2), for which `typ` may be absent, `JWT`, or
    /// `client-authentication+jwt` (the name in the draft that revises RFC 7523).
    ClientAssertion,
    /// An ID token (OpenID Connect Core §2): `typ` is `JWT`, for there is no name of its own. Only its issuer's keys make one.
    IdToken,
    /// What somebody whom the server trusts says of a client (RFC 7591 §2.3), for which `typ` may be absent or `JWT`. Only keys of such
    /// an issuer make one.
    SoftwareStatement,
    /// What clients are told of a sign-out: `typ` is `logout+jwt` (OpenID Connect Back-Channel Logout §2.4).
    LogoutToken,
    /// An authorization request that its client signed (RFC 9101 §4, §10.8), for which `typ` may be absent, `JWT`, or
    /// `oauth-authz-req+jwt`.
    RequestObject,
    /// What an issuer that is trusted says of somebody, for which a client gets a token (RFC 7523 §2.1): `typ` may be absent or `JWT`, for
    /// there is no name of its own. Only keys of such an issuer make one.
    BearerAssertion,
    /// The same as a grant for one client at one server, of the person who signed in at the issuer: `typ` is `oauth-id-jag+jwt`
    /// (draft-ietf-oauth-identity-assertion-authz-grant-03 §3).
    IdentityAssertion,
    /// An answer of the authorization endpoint (JARM §2.1): without `typ`, so that it passes for no other kind.
    AuthorizationResponse,
    /// What userinfo says of a person, signed (OpenID Connect Core §5.3.2): `typ` is `JWT`, for there is no name of its own.
    Userinfo,
    /// What a server says of itself, signed (RFC 8414 §2.1), likewise.
    ServerMetadata,
    /// What introspection says of a token, signed: `typ` is `token-introspection+jwt` (RFC 9701 §5).
    TokenIntrospection,
    /// A proof that its maker holds a key, which stands in it: `typ` is `dpop+jwt` (RFC 9449 §4.2).
    DpopProof,
}

impl JwtKind {
    /// The `typ` that tokens of this kind are written with, if they have one.
    #[must_use]
    pub const fn typ(self) -> Option<&'static str> {
        match self {
            Self::AccessToken => Some("at+jwt"),
            Self::ClientAssertion => Some("client-authentication+jwt"),
            Self::RequestObject => Some("oauth-authz-req+jwt"),
            Self::LogoutToken => Some("logout+jwt"),
            Self::IdentityAssertion => Some("oauth-id-jag+jwt"),
            Self::TokenIntrospection => Some("token-introspection+jwt"),
            Self::DpopProof => Some("dpop+jwt"),
            Self::IdToken
            | Self::SoftwareStatement
            | Self::BearerAssertion
            | Self::Userinfo
            | Self::ServerMetadata => Some("JWT"),
            Self::AuthorizationResponse => None,
        }
    }

    /// Whether `typ` may be absent, or `JWT`, of tokens that have one.
    const fn may_be_untyped(self) -> bool {
        match self {
            Self::ClientAssertion
            | Self::SoftwareStatement
            | Self::RequestObject
            | Self::BearerAssertion => true,
            Self::AccessToken
            | Self::IdToken
            | Self::IdentityAssertion
            | Self::LogoutToken
            | Self::Userinfo
            | Self::ServerMetadata
            | Self::TokenIntrospection
            | Self::DpopProof
            | Self::AuthorizationResponse => false,
        }
    }

    /// RFC 7515 §4.1.9: compared without regard to case, and `application/` may stand before it.
    fn accepts(self, typ: Option<&str>) -> bool {
        let (Some(typ), Some(own)) = (typ, self.typ()) else {
            return typ.is_none() && (self.typ().is_none() || self.may_be_untyped());
        };
        let typ = match typ.split_at_checked(12) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        };
        typ.eq_ignore_ascii_case(own) || (self.may_be_untyped() && typ.eq_ignore_ascii_case("JWT"))
    }
}

/// Why a JWT was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JwtError {
    /// Not three base64url parts that hold JSON objects with unique names, or too long.
    #[error("not a well-formed JWT")]
    Malformed,
    /// `alg` is `none`, symmetric, unknown, or absent.
    #[error("the JWT's algorithm is not accepted")]
    Algorithm,
    /// `typ` says that it is another kind of token.
    #[error("the JWT is of another kind")]
    Kind,
    /// `crit` or `b64` asks for what is not understood (RFC 7515 §4.1.11, RFC 7797).
    #[error("the JWT demands an extension that is not understood")]
    Critical,
    /// No key of this id and algorithm.
    #[error("no key for this JWT")]
    UnknownKey,
    /// The key that stands in the header is absent, private, or none that signatures are verified with here.
    #[error(
        "the JWT's header holds no public key (`jwk`) of P-256, Ed25519, or RSA of 2048 to 4096 bits"
    )]
    EmbeddedKey,
    /// The signature is not the key's.
    #[error("the JWT's signature does not verify")]
    Signature,
    /// A claim is absent or of the wrong type.
    #[error("the JWT lacks a claim, or a claim is of the wrong type")]
    Claims,
}

/// A JWT whose signature nobody has checked yet. Its kind, algorithm and form are as asked. Only keys of the kind that `A` needs can
/// verify it (RFC 8725 §3.1).
#[derive(Clone)]
pub struct UnverifiedJwt<'a, A = Algorithm> {
    alg: A,
    kid: Option<KeyId>,
    signing_input: &'a str,
    signature: &'a str,
    claims: Map<String, Value>,
}

/// The claims of a JWT whose signature was verified.
#[derive(Clone, Debug)]
pub struct Claims(Map<String, Value>);

impl<'a> UnverifiedJwt<'a> {
    /// Reads a compact JWS of one kind.
    ///
    /// Keys and addresses of keys in the header (`jwk`, `jku`, `x5u`, `x5c`) are never looked at.
    ///
    /// # Errors
    /// [`JwtError`] for any form but that.
    pub fn parse(token: &'a str, kind: JwtKind) -> Result<Self, JwtError> {
        Self::read(token, kind)
    }

    /// The claims, if one of the set's keys made the signature, and which key it was.
    ///
    /// # Errors
    /// [`JwtError::UnknownKey`] when no key fits, [`JwtError::Signature`] when none verifies.
    pub fn verify(self, keys: &JwkSet) -> Result<(Claims, PublicJwk), JwtError> {
        let mut error = JwtError::UnknownKey;
        // Without `kid` every fitting key is tried; a handful bounds what a stranger can make us compute.
        for key in keys.candidates(self.kid.as_ref(), self.alg).take(8) {
            if key.verify(self.signing_input.as_bytes(), self.signature, self.alg) {
                return Ok((Claims(self.claims), key.clone()));
            }
            error = JwtError::Signature;
        }
        Err(error)
    }
}

/// A JWT that brings its own key (`jwk`, RFC 7515 §4.1.3): nobody vouches for it, and that is what a DPoP proof is for (RFC 9449 §4.2).
/// Nothing else is read so.
pub struct EmbeddedJwt<'a> {
    jwt: UnverifiedJwt<'a>,
    key: PublicJwk,
}

impl<'a> EmbeddedJwt<'a> {
    /// Reads a DPoP proof.
    ///
    /// # Errors
    /// [`JwtError`]; [`JwtError::EmbeddedKey`] for a key that is symmetric, or of which more than the public half is there.
    pub fn parse(token: &'a str) -> Result<Self, JwtError> {
        let (jwt, header) = UnverifiedJwt::read_with_header(token, JwtKind::DpopProof)?;
        let key = header.get("jwk").and_then(Value::as_object);
        let key = key.and_then(|jwk| PublicJwk::from_object(jwk).ok());
        let key = key.ok_or(JwtError::EmbeddedKey)?;
        Ok(Self { jwt, key })
    }

    /// What it is signed with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.jwt.alg
    }

    /// The claims, if the key made the signature, and the key.
    ///
    /// # Errors
    /// [`JwtError::Signature`].
    pub fn verify(self) -> Result<(Claims, PublicJwk), JwtError> {
        let Self { jwt, key } = self;
        if key.verify(jwt.signing_input.as_bytes(), jwt.signature, jwt.alg) {
            Ok((Claims(jwt.claims), key))
        } else {
            Err(JwtError::Signature)
        }
    }
}

impl UnverifiedJwt<'_, MacAlgorithm> {
    /// The claims, if one of these secrets made the MAC (RFC 7518 §3.2).
    ///
    /// # Errors
    /// [`JwtError::UnknownKey`] when there is none that is long enough, [`JwtError::Signature`] when none verifies.
    pub fn verify<'s>(
        self,
        secrets: impl IntoIterator<Item = &'s [u8]>,
    ) -> Result<Claims, JwtError> {
        let tag = URL_SAFE_NO_PAD
            .decode(self.signature)
            .map_err(|_| JwtError::Malformed)?;
        let mut error = JwtError::UnknownKey;
        for secret in secrets {
            if !self.alg.takes(secret) {
                continue;
            }
            if self
                .alg
                .verifies(secret, self.signing_input.as_bytes(), &tag)
            {
                return Ok(Claims(self.claims));
            }
            error = JwtError::Signature;
        }
        Err(error)
    }
}

/// A JWT whose signature nobody has checked yet, of a kind that keys or shared secrets may vouch for.
pub enum EitherJwt<'a> {
    /// Only public keys verify it.
    Signed(UnverifiedJwt<'a>),
    /// Only shared secrets verify it.
    Mac(UnverifiedJwt<'a, MacAlgorithm>),
}

impl<'a> EitherJwt<'a> {
    /// Reads a compact JWS of one kind, as [`UnverifiedJwt::parse`] does.
    ///
    /// # Errors
    /// [`JwtError`] for any form but that.
    pub fn parse(token: &'a str, kind: JwtKind) -> Result<Self, JwtError> {
        let jwt = UnverifiedJwt::<JwsAlgorithm>::read(token, kind)?;
        Ok(match jwt.alg {
            JwsAlgorithm::Signature(alg) => Self::Signed(jwt.of(alg)),
            JwsAlgorithm::Mac(alg) => Self::Mac(jwt.of(alg)),
        })
    }

    /// A claim that nobody has vouched for: good for choosing whose keys to try, and nothing else.
    #[must_use]
    pub fn unverified_text(&self, claim: &str) -> Option<&str> {
        match self {
            Self::Signed(jwt) => jwt.unverified_text(claim),
            Self::Mac(jwt) => jwt.unverified_text(claim),
        }
    }
}

/// Stands where an algorithm is named: this token has none (RFC 7519 §6).
#[derive(Clone, Copy)]
struct Unsecured;

impl FromStr for Unsecured {
    type Err = JwtError;

    fn from_str(name: &str) -> Result<Self, JwtError> {
        if name == "none" {
            Ok(Self)
        } else {
            Err(JwtError::Algorithm)
        }
    }
}

/// The claims of a JWT that says that nobody signed it (RFC 7519 §6), `alg` being exactly `none`: anybody may have written them.
///
/// # Errors
/// [`JwtError`], also for a token with a signature.
pub fn unsecured_claims(token: &str, kind: JwtKind) -> Result<Claims, JwtError> {
    let jwt = UnverifiedJwt::<Unsecured>::read(token, kind)?;
    if jwt.signature.is_empty() {
        Ok(Claims(jwt.claims))
    } else {
        Err(JwtError::Signature)
    }
}

impl<'a, A: Copy> UnverifiedJwt<'a, A> {
    fn read(token: &'a str, kind: JwtKind) -> Result<Self, JwtError>
    where
        A: FromStr,
    {
        Self::read_with_header(token, kind).map(|(jwt, _)| jwt)
    }

    fn read_with_header(
        token: &'a str,
        kind: JwtKind,
    ) -> Result<(Self, Map<String, Value>), JwtError>
    where
        A: FromStr,
    {
        if token.len() > MAX_BYTES {
            return Err(JwtError::Malformed);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwtError::Malformed)?;
        let header = part(header)?;
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(JwtError::Malformed),
        };
        // RFC 7515 §4.1.11: an extension that is not understood, and we understand none. `enc` and `zip` are for JWE.
        if ["crit", "b64", "enc", "zip"]
            .iter()
            .any(|name| header.contains_key(*name))
        {
            return Err(JwtError::Critical);
        }
        let alg = text("alg")?
            .and_then(|alg| alg.parse().ok())
            .ok_or(JwtError::Algorithm)?;
        if !kind.accepts(text("typ")?) {
            return Err(JwtError::Kind);
        }
        let key_id = text("kid")?
            .map(|kid| KeyId::new(kid).ok_or(JwtError::Malformed))
            .transpose()?;
        let jwt = Self {
            alg,
            kid: key_id,
            signing_input,
            signature,
            claims: part(payload)?,
        };
        Ok((jwt, header))
    }

    /// The algorithm of the header.
    #[must_use]
    pub fn algorithm(&self) -> A {
        self.alg
    }

    /// The key id of the header.
    #[must_use]
    pub fn kid(&self) -> Option<&KeyId> {
        self.kid.as_ref()
    }

    /// A claim that nobody has vouched for: good for choosing whose keys to try, and nothing else.
    #[must_use]
    pub fn unverified_text(&self, claim: &str) -> Option<&str> {
        self.unverified(claim)?.as_str()
    }

    /// The same, whatever it is.
    pub(crate) fn unverified(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim)
    }

    /// The same token with its algorithm narrowed to one family.
    fn of<B>(self, alg: B) -> UnverifiedJwt<'a, B> {
        UnverifiedJwt {
            alg,
            kid: self.kid,
            signing_input: self.signing_input,
            signature: self.signature,
            claims: self.claims,
        }
    }
}

fn part(encoded: &str) -> Result<Map<String, Value>, JwtError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| JwtError::Malformed)?;
    json::object(&bytes).map_err(|_| JwtError::Malformed)
}

impl Claims {
    /// The claims as they are, for a reader of its own.
    #[must_use]
    pub fn into_members(self) -> Map<String, Value> {
        self.0
    }

    /// The claims as a type.
    ///
    /// # Errors
    /// [`JwtError::Claims`].
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, JwtError> {
        serde_json::from_value(Value::Object(self.0)).map_err(|_| JwtError::Claims)
    }
}

/// `aud`: one string or an array of them (RFC 7519 §4.1.3).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Audience {
    /// One recipient, written as a string.
    One(String),
    /// An array, of one or more.
    Many(Vec<String>),
}

impl Audience {
    /// The recipients.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

/// Writes and signs a JWT: header `typ`, `alg`, `kid`, then the claims.
///
/// # Errors
/// [`SignError`] when the claims cannot be written as JSON, or the signer fails.
pub async fn sign_jwt<T: Serialize + Sync>(
    kind: JwtKind,
    claims: &T,
    signer: &dyn Signer,
) -> Result<String, SignError> {
    let header = header_of(kind, signer);
    let mut token = String::with_capacity(1024);
    for json in [serde_json::to_vec(&header), serde_json::to_vec(claims)] {
        let json = json.map_err(|error| SignError(error.to_string()))?;
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        token.push('.');
    }
    token.pop();
    let signature = signer.sign(token.as_bytes()).await?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// The header of a JWT that we write.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct JwtHeader<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'static str>,
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// The header of what [`sign_jwt`] makes.
#[must_use]
pub fn header_of(kind: JwtKind, signer: &dyn Signer) -> JwtHeader<'_> {
    JwtHeader {
        typ: kind.typ(),
        alg: signer.algorithm().name(),
        kid: signer.public().kid().map(KeyId::as_str),
    }
}

#[cfg(test)]
mod tests;
