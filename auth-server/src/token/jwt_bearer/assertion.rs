//! What an assertion must be to count (RFC 7523 §3, RFC 7521 §5.2).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Number, Value};
use shared_protocol::jose::{Audience, JwtError, UnverifiedJwt};
use shared_protocol::time::Instant;
use shared_server::db::DbError;
use shared_server::ephemeral::{Ephemeral, Kind};

use crate::accounts::AccountError;
use crate::assertions::{Dates, Identifier, Unusable};
use crate::clients::authenticate::AuthenticatedClient;
use crate::clients::jwks_uri::{ClientKeys, ClientKeysError};
use crate::documents::DocumentError;
use crate::trusted_issuers::{AssertionKind, TrustedIssuer, TrustedIssuers};

/// Identifiers of assertions that were used.
const USED: Kind = Kind::new("bearer-assertion");

/// Why an assertion brings nothing. The client is told none of it: whether an issuer is trusted, whom it spoke of and what became of them
/// shows to nobody who merely found an assertion.
#[derive(Debug, thiserror::Error)]
pub enum AssertionRefusal {
    /// Its form, algorithm or signature, or a claim that is absent or of the wrong type.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// `iss` is nobody who is trusted.
    #[error("the issuer of the assertion is not trusted")]
    UnknownIssuer,
    /// Its issuer brings assertions of another kind.
    #[error("the issuer brings assertions of another kind")]
    Kind,
    /// The operator did not name this client, or it cannot prove who it is.
    #[error("the client may not show assertions of this issuer")]
    Client,
    /// The operator did not name this algorithm.
    #[error("alg of the assertion is none of the issuer's")]
    Algorithm,
    /// The keys that the issuer publishes could not be had.
    #[error("the keys at the issuer's jwks_uri: {0}")]
    Keys(DocumentError),
    /// Another recipient, or an array of them (threat 17).
    #[error(
        "aud of the assertion is not the issuer, or for plain ones a token endpoint of ours, as one string"
    )]
    Audience,
    /// Its dates, or its `jti`.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// An ID-JAG without `iat` (the draft §3).
    #[error("the ID-JAG has no iat")]
    NoIssuedAt,
    /// An ID-JAG for another client (the draft §4.4.1).
    #[error("client_id of the ID-JAG is not the client")]
    OtherClient,
    /// `scope` is none.
    #[error("scope of the assertion is malformed")]
    Scope,
    /// `resource` is none.
    #[error("resource of the assertion is malformed")]
    Resource,
    /// `sub` is not the client.
    #[error("sub of the assertion is not the client_id")]
    NotTheClient,
    /// The issuer did not verify the address, or it is none.
    #[error("the assertion has no email that its issuer verified")]
    Email,
    /// The operator did not name its domain.
    #[error("email of the assertion is of a domain for which the issuer may not speak")]
    Domain,
    /// Nobody, or somebody who did not prove that the address is theirs (threat 19).
    #[error("there is no account for the subject of the assertion")]
    NoAccount,
    /// Shut out.
    #[error("the account of the assertion's subject is disabled")]
    Disabled,
    /// Somebody guessed at its password (threat 13).
    #[error("the account of the assertion's subject is locked")]
    Locked,
    /// Shut out since it was looked at.
    #[error("the account of the assertion's subject is gone")]
    PersonGone,
    /// Trusted, or linked, no longer since it was looked at.
    #[error("the issuer of the assertion was removed, or the subject unlinked, in this moment")]
    Untrusted,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The account could not be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl AssertionRefusal {
    /// Whether the client can do nothing about it but try again.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        if let Self::Keys(error) = self {
            return error.is_ours();
        }
        matches!(
            self,
            Self::Unusable(Unusable::Ephemeral(_) | Unusable::MemoryBegins { .. })
                | Self::Store(_)
                | Self::Account(_)
        )
    }
}

impl From<ClientKeysError> for AssertionRefusal {
    fn from(error: ClientKeysError) -> Self {
        match error {
            ClientKeysError::Jwt(error) => Self::Jwt(error),
            ClientKeysError::Document(error) => Self::Keys(error),
        }
    }
}

/// The claims that are looked at.
#[derive(Deserialize)]
pub(super) struct AssertionClaims {
    pub(super) sub: String,
    /// One string: an array would let one assertion be used at two servers.
    aud: Value,
    exp: Number,
    iat: Option<Number>,
    nbf: Option<Number>,
    jti: String,
    /// Of ID-JAGs: for whom it is.
    client_id: Option<String>,
    pub(super) scope: Option<String>,
    /// One, or an array of them: written as audiences are.
    pub(super) resource: Option<Audience>,
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) email_verified: Value,
    pub(super) auth_time: Option<Number>,
    pub(super) acr: Option<String>,
    #[serde(default)]
    pub(super) amr: Vec<String>,
}

/// An assertion that counts, and was not spent yet.
pub(super) struct Assertion {
    issuer: Arc<TrustedIssuer>,
    claims: AssertionClaims,
    dates: Dates,
}

impl Assertion {
    pub(super) fn issuer(&self) -> &Arc<TrustedIssuer> {
        &self.issuer
    }

    pub(super) fn claims(&self) -> &AssertionClaims {
        &self.claims
    }
}

/// Judges assertions.
pub struct Judge {
    /// Who is trusted.
    pub issuers: TrustedIssuers,
    /// The keys of those who publish them.
    pub keys: ClientKeys,
    /// Whom assertions must be for, each alone: first the issuer, then the token endpoint and its mTLS alias.
    pub audiences: Vec<String>,
    /// The memory of those that were used.
    pub used: Ephemeral,
}

impl Judge {
    /// Whether this client may show it, a trusted issuer made it, for this server, and its time has not passed. Whether it was used before
    /// is told when it is spent.
    pub(super) async fn judge(
        &self,
        presented: &str,
        client: &AuthenticatedClient,
        now: Instant,
    ) -> Result<Assertion, AssertionRefusal> {
        let (jwt, kind) = parse(presented)?;
        let iss = jwt.unverified_text("iss").ok_or(JwtError::Claims)?;
        let issuer = self.issuers.find(iss);
        let issuer = issuer.ok_or(AssertionRefusal::UnknownIssuer)?;
        let policy = &issuer.policy;
        if policy.kind != kind {
            return Err(AssertionRefusal::Kind);
        }
        if !issuer.admits(client.id(), client.is_confidential()) {
            return Err(AssertionRefusal::Client);
        }
        let demands = client.client().demands();
        if !policy.algorithms.contains(&jwt.algorithm()) || !demands.permits(jwt.algorithm()) {
            return Err(AssertionRefusal::Algorithm);
        }
        let (claims, _) = self.keys.verify(issuer.keys(), jwt, now).await?;
        let claims: AssertionClaims = claims.parse()?;
        // The draft §4.4.1 has an ID-JAG be for the issuer, and nothing else.
        let audiences = match kind {
            AssertionKind::Jwt => self.audiences.as_slice(),
            AssertionKind::IdJag => self.audiences.get(..1).unwrap_or_default(),
        };
        let is_ours = |aud| audiences.iter().any(|own| own == aud);
        if !claims.aud.as_str().is_some_and(is_ours) {
            return Err(AssertionRefusal::Audience);
        }
        let dates = Dates::read(&claims.exp, claims.iat.as_ref(), claims.nbf.as_ref())?;
        dates.check(policy.max_lifetime(), now)?;
        Identifier::new(&claims.jti)?;
        if kind == AssertionKind::IdJag {
            if claims.iat.is_none() {
                return Err(AssertionRefusal::NoIssuedAt);
            }
            if claims.client_id.as_deref() != Some(client.id().as_str()) {
                return Err(AssertionRefusal::OtherClient);
            }
        }
        Ok(Assertion {
            issuer,
            claims,
            dates,
        })
    }

    /// Spends it: of any number of callers, on any node, one does. The draft lets clients show an ID-JAG again (§4.4.3); here each is good
    /// once, so that one which was found is worth nothing.
    pub(super) async fn spend(
        &self,
        assertion: Assertion,
        now: Instant,
    ) -> Result<(), AssertionRefusal> {
        let Assertion {
            issuer,
            claims,
            dates,
        } = assertion;
        let maker = (USED, issuer.issuer.as_str());
        let identifier = Identifier::new(&claims.jti)?;
        Ok(identifier.spend(maker, dates, &self.used, now).await?)
    }
}

/// The assertion, and what it says it is: neither kind passes for the other (RFC 8725 §3.11).
fn parse(presented: &str) -> Result<(UnverifiedJwt<'_>, AssertionKind), JwtError> {
    let read = |kind: AssertionKind| Ok((UnverifiedJwt::parse(presented, kind.jwt())?, kind));
    match read(AssertionKind::IdJag) {
        Err(JwtError::Kind) => read(AssertionKind::Jwt),
        other => other,
    }
}
