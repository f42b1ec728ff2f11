//! An ID token of ours that a client brings back to say whom it means (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2).

use serde::Deserialize;
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{Audience, JwkSet, JwtError, JwtKind, UnverifiedJwt};
use shared_protocol::time::Instant;

use crate::accounts::AccountId;
use crate::clients::ClientMetadata;
use crate::grants::GrantId;
use crate::sessions::SessionId;
use crate::subjects::Subjects;

/// The longest that is looked at, in bytes, which a request's line still holds. Ours are shorter, but for profiles full of long URLs.
pub const LONGEST: usize = 12 * 1024;

/// Why a token is no hint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidHint {
    /// Longer than any of ours.
    #[error("the hint is too long")]
    TooLong,
    /// Not an ID token, or none that a key of ours made which was not withdrawn. One that is encrypted is none.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// Another server's.
    #[error("the hint is of another issuer")]
    Issuer,
    /// Another client's, or nobody knows whose.
    #[error("the hint is not for this client alone")]
    Audience,
}

/// What a hint is checked against. Not the time: it is good long after it expired.
pub struct Checks<'a> {
    /// Who must have made it.
    pub issuer: &'a Issuer,
    /// For whom, where somebody says who they are.
    pub client_id: Option<&'a ClientId>,
    /// Signed with what.
    pub keys: &'a JwkSet,
}

/// Whom a client means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hint {
    /// Who brings it.
    pub client_id: ClientId,
    /// The person, as this client knows them.
    subject: String,
    /// Where they were signed in.
    session: Option<String>,
    /// What they granted.
    grant_id: Option<GrantId>,
    /// When it expires, or did.
    expires_at: Instant,
}

/// What every ID token has (OpenID Connect Core §2). Of what else is signed for a client, not all has an end.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    sid: Option<String>,
    grant_id: Option<GrantId>,
    exp: i64,
}

impl Checks<'_> {
    /// What the hint says.
    ///
    /// # Errors
    /// [`InvalidHint`].
    pub fn verify(&self, token: &str) -> Result<Hint, InvalidHint> {
        if token.len() > LONGEST {
            return Err(InvalidHint::TooLong);
        }
        let (claims, _) = UnverifiedJwt::parse(token, JwtKind::IdToken)?.verify(self.keys)?;
        let claims: Claims = claims.parse()?;
        if claims.iss != self.issuer.as_str() {
            return Err(InvalidHint::Issuer);
        }
        Ok(Hint {
            client_id: self.client(&claims.aud).ok_or(InvalidHint::Audience)?,
            subject: claims.sub,
            session: claims.sid,
            grant_id: claims.grant_id,
            expires_at: Instant::from_secs(claims.exp),
        })
    }

    fn client(&self, audience: &Audience) -> Option<ClientId> {
        let mut recipients = audience.iter();
        if let Some(named) = self.client_id {
            return recipients
                .any(|recipient| recipient == named.as_str())
                .then(|| named.clone());
        }
        let (only, None) = (recipients.next()?, recipients.next()) else {
            return None;
        };
        only.parse().ok()
    }
}

impl Hint {
    /// What its client calls the person.
    #[must_use]
    pub fn into_subject(self) -> String {
        self.subject
    }

    /// By what grant its client got it, and when it expires, for whoever takes it for more than a hint.
    #[must_use]
    pub fn granted(&self) -> Option<(&GrantId, Instant)> {
        Some((self.grant_id.as_ref()?, self.expires_at))
    }

    /// Whether it means this person, to a client that registered `metadata`. Found out by naming them, for nothing that a client says is
    /// taken for the id of an account.
    #[must_use]
    pub fn names(
        &self,
        subjects: &Subjects,
        metadata: &ClientMetadata,
        account_id: &AccountId,
    ) -> bool {
        self.subject == subjects.of(metadata, account_id)
    }

    /// Whether it was given out in this session.
    #[must_use]
    pub fn is_of(
        &self,
        subjects: &Subjects,
        metadata: &ClientMetadata,
        session_id: &SessionId,
    ) -> bool {
        self.session.as_deref() == Some(&*subjects.session(metadata, session_id))
    }
}
