//! Whom an assertion is about: as the operator said of its issuer. No account is ever made by one.

use shared_protocol::jose::JwtError;
use shared_protocol::time::Instant;

use super::assertion::{Assertion, AssertionRefusal};
use crate::accounts::email::EmailAddress;
use crate::accounts::{Account, AccountId, Accounts};
use crate::assertions::{MAX_AHEAD, numeric_date};
use crate::authorize::acr::Levels;
use crate::clients::authenticate::AuthenticatedClient;
use crate::identity_links::{ExternalSubject, IdentityLinks};
use crate::sessions::Amr;
use crate::trusted_issuers::{Policy, SubjectRule};

/// Finds people by what issuers call them.
pub struct People {
    /// The people.
    pub accounts: Accounts,
    /// What others call them.
    pub links: IdentityLinks,
    /// What this server calls its sureness of them: of another's words, those alone mean anything here.
    pub levels: Levels,
}

/// Whom an assertion is about.
pub(super) enum Found {
    /// The client itself.
    Client,
    /// A person.
    Person(OfPerson),
}

/// A person, and what the issuer says of how they signed in.
pub(super) struct OfPerson {
    pub(super) account_id: AccountId,
    /// What the issuer calls them, if they were found by that.
    pub(super) linked: Option<ExternalSubject>,
    pub(super) auth_time: Option<Instant>,
    pub(super) amr: Vec<Amr>,
    pub(super) acr: Option<String>,
}

impl People {
    /// Whom the assertion is about, if they may have a token.
    pub(super) async fn find(
        &self,
        assertion: &Assertion,
        client: &AuthenticatedClient,
        now: Instant,
    ) -> Result<Found, AssertionRefusal> {
        let policy = &assertion.issuer().policy;
        let claims = assertion.claims();
        let mut linked = None;
        let account = match policy.subject {
            SubjectRule::Client if claims.sub == client.id().as_str() => {
                return Ok(Found::Client);
            }
            SubjectRule::Client => return Err(AssertionRefusal::NotTheClient),
            SubjectRule::AccountId => match claims.sub.parse() {
                Ok(id) => self.accounts.find(&id).await?,
                Err(_) => None,
            },
            SubjectRule::Linked => {
                let subject: ExternalSubject = claims.sub.parse().map_err(|_| JwtError::Claims)?;
                let issuer = &assertion.issuer().issuer;
                let found = match self.links.find(issuer, &subject).await? {
                    Some(id) => self.accounts.find(&id).await?,
                    None => None,
                };
                linked = Some(subject);
                found
            }
            SubjectRule::VerifiedEmail => {
                let email = verified_email(assertion, policy)?;
                // Whoever signed up with an address that is not theirs must not be taken for its owner (threat 19).
                let found = self.accounts.find_by_email(&email).await?;
                found.filter(|account| account.email_verified)
            }
        };
        let account = account.ok_or(AssertionRefusal::NoAccount)?;
        self.check(&account, now).await?;
        let at = claims.auth_time.as_ref().map(numeric_date).transpose()?;
        if at.is_some_and(|at| at > now + MAX_AHEAD) {
            return Err(JwtError::Claims.into());
        }
        let acr = claims.acr.as_deref();
        let acr = acr.filter(|acr| self.levels.values().any(|known| known == *acr));
        Ok(Found::Person(OfPerson {
            account_id: account.id,
            linked,
            auth_time: at,
            amr: known(&claims.amr),
            acr: acr.map(str::to_owned),
        }))
    }

    /// Whoever may not sign in gets nothing by another's word either (threat 13).
    async fn check(&self, account: &Account, now: Instant) -> Result<(), AssertionRefusal> {
        if account.disabled {
            return Err(AssertionRefusal::Disabled);
        }
        if self.accounts.is_locked(account, now).await? {
            return Err(AssertionRefusal::Locked);
        }
        Ok(())
    }
}

/// The address that the issuer verified, where the operator believes it (threat 19): normalized before anything is compared.
fn verified_email(
    assertion: &Assertion,
    policy: &Policy,
) -> Result<EmailAddress, AssertionRefusal> {
    let claims = assertion.claims();
    let email = claims.email.as_deref();
    // The boolean alone: some write a text, which nothing makes true here.
    let email = email.filter(|_| claims.email_verified.as_bool() == Some(true));
    let email = email.and_then(|email| email.parse::<EmailAddress>().ok());
    let email = email.ok_or(AssertionRefusal::Email)?;
    if policy.email_domains.contains(email.domain()) {
        Ok(email)
    } else {
        Err(AssertionRefusal::Domain)
    }
}

/// What we have a name for, each once.
fn known(amr: &[String]) -> Vec<Amr> {
    let known = amr
        .iter()
        .filter_map(|name| serde_json::from_value(name.as_str().into()).ok());
    let mut known: Vec<Amr> = known.collect();
    known.sort_unstable();
    known.dedup();
    known
}
