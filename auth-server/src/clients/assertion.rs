//! A client's assertion of itself: a JWT signed with its private key, or with a MAC under its secret (RFC 7523 §2.2, §3).

use serde::Deserialize;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Claims, EitherJwt, JwsAlgorithm, JwtError, JwtKind};
use shared_protocol::time::Instant;
use shared_server::ephemeral::{Ephemeral, Kind};

use super::jwks_uri::{ClientKeys, ClientKeysError};
use super::{AuthMethod, Client};
use crate::assertions::{Dates, Identifier, Unusable};
use crate::documents::DocumentError;
use crate::refusals::Detail;

/// `client_assertion_type` for a JWT (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Identifiers of assertions that were used.
const USED: Kind = Kind::new("client-assertion");

/// Why an assertion proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// Its form, kind, algorithm or signature.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// `iss` and `sub` are not both the client.
    #[error("iss and sub of the assertion are not both the client_id")]
    NotItself(#[source] Detail),
    /// Another recipient, or an array of them (threat 17).
    #[error("aud of the assertion is not the issuer or a token endpoint of ours, as one string")]
    Audience(#[source] Detail),
    /// `alg` is not the registered one.
    #[error("alg of the assertion is not the registered one")]
    Algorithm(#[source] Detail),
    /// Its dates, or its `jti`.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The keys that the client publishes could not be had.
    #[error("the keys at the client's jwks_uri: {0}")]
    Keys(DocumentError),
}

impl From<ClientKeysError> for AssertionError {
    fn from(error: ClientKeysError) -> Self {
        match error {
            ClientKeysError::Jwt(error) => Self::Jwt(error),
            ClientKeysError::Document(error) => Self::Keys(error),
        }
    }
}

#[derive(Deserialize)]
struct AssertionClaims {
    iss: String,
    sub: String,
    /// One string: an array would let one assertion be used at two servers.
    aud: serde_json::Value,
    exp: serde_json::Number,
    iat: Option<serde_json::Number>,
    nbf: Option<serde_json::Number>,
    jti: String,
}

/// An assertion whose signature nobody has checked.
pub struct ClientAssertion<'a> {
    jwt: EitherJwt<'a>,
    client_id: ClientId,
}

impl<'a> ClientAssertion<'a> {
    /// Reads an assertion and whose it claims to be.
    ///
    /// # Errors
    /// [`AssertionError::Jwt`], [`AssertionError::NotItself`].
    pub fn parse(assertion: &'a str) -> Result<Self, AssertionError> {
        let jwt = EitherJwt::parse(assertion, JwtKind::ClientAssertion)?;
        let subject = jwt.unverified_text("sub").and_then(|sub| sub.parse().ok());
        let unread = || AssertionError::NotItself(Detail::new("sub is missing, or no client_id"));
        let client_id = subject.ok_or_else(unread)?;
        Ok(Self { jwt, client_id })
    }

    /// The client that it claims to be from.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// The method that it is of: its algorithm says, so that a public key is never taken for a secret, nor a secret for a key.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        match self.jwt {
            EitherJwt::Signed(_) => AuthMethod::PrivateKeyJwt,
            EitherJwt::Mac(_) => AuthMethod::ClientSecretJwt,
        }
    }

    /// The claims, if the client made the signature or the MAC, with the one algorithm that it registered, if it did.
    async fn proven(
        self,
        client: &Client,
        keys: &ClientKeys,
        now: Instant,
    ) -> Result<Claims, AssertionError> {
        let registered = client.metadata.token_endpoint_auth_signing_alg;
        let allows = |alg: JwsAlgorithm| {
            if registered.is_none_or(|one| one == alg) {
                Ok(())
            } else {
                let registered = registered.map(|alg| alg.to_string()).unwrap_or_default();
                let why = format!("it is {alg}, and token_endpoint_auth_signing_alg {registered}");
                Err(AssertionError::Algorithm(Detail::new(why)))
            }
        };
        Ok(match self.jwt {
            EitherJwt::Signed(jwt) => {
                allows(jwt.algorithm().into())?;
                if !client.demands().permits(jwt.algorithm()) {
                    let why = format!("it is {}, which the profile forbids", jwt.algorithm());
                    return Err(AssertionError::Algorithm(Detail::new(why)));
                }
                keys.verify(client, jwt, now).await?.0
            }
            EitherJwt::Mac(jwt) => {
                allows(jwt.algorithm().into())?;
                jwt.verify(client.live_mac_secrets(now))?
            }
        })
    }

    /// Whether it is this client's, for one of `audiences`, in time and for the first time (RFC 7523 §3). Spends its `jti`.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub async fn verify(
        self,
        client: &Client,
        (audiences, keys): (&[String], &ClientKeys),
        used: &Ephemeral,
        now: Instant,
    ) -> Result<(), AssertionError> {
        let claims: AssertionClaims = self.proven(client, keys, now).await?.parse()?;
        if claims.iss != client.id.as_str() || claims.sub != client.id.as_str() {
            let why = format!("iss is {:?}, and sub {:?}", claims.iss, claims.sub);
            return Err(AssertionError::NotItself(Detail::new(why)));
        }
        if !claims
            .aud
            .as_str()
            .is_some_and(|aud| audiences.iter().any(|own| own == aud))
        {
            let own = Detail::list(audiences);
            let why = format!("it is {}, and should be one of: {own}", claims.aud);
            return Err(AssertionError::Audience(Detail::new(why)));
        }
        let dates = Dates::read(&claims.exp, claims.iat.as_ref(), claims.nbf.as_ref())?;
        dates.check(client.demands().assertion_lifetime(), now)?;
        let identifier = Identifier::new(&claims.jti)?;
        let maker = (USED, client.id.as_str());
        Ok(identifier.spend(maker, dates, used, now).await?)
    }
}
