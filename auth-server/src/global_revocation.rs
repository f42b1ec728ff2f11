//! Global Token Revocation (draft-parecki-oauth-global-token-revocation-06): whom the operator trusts with it has all end that a person
//! had here, wherever they are signed in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use serde_json::{Map, Value};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::object;

use crate::accounts::email::EmailAddress;
use crate::accounts::{AccountError, AccountId, Accounts};
use crate::clients::authenticate::Authenticator;
pub use crate::clients::authenticate::in_header::METHODS;
use crate::identity_links::IdentityLinks;
use crate::routes;
use crate::token::error::TokenError;

/// What it takes.
pub struct GlobalRevocation {
    /// Knows who asks.
    pub authenticator: Arc<Authenticator>,
    /// Whom their assertions must be for: this endpoint and no other.
    pub audiences: [String; 1],
    /// Whose subjects it knows.
    pub issuer: Arc<Issuer>,
    /// Whom it is about.
    pub accounts: Accounts,
    /// What others call them.
    pub links: IdentityLinks,
}

impl GlobalRevocation {
    /// The endpoint of this issuer.
    #[must_use]
    pub fn new(
        issuer: &Issuer,
        authenticator: Arc<Authenticator>,
        (accounts, links): (Accounts, IdentityLinks),
    ) -> Self {
        Self {
            authenticator,
            audiences: [issuer.endpoint(routes::REVOKE_ALL)],
            issuer: Arc::new(issuer.clone()),
            accounts,
            links,
        }
    }

    /// Whom a subject identifier means, if there is such a person.
    async fn find(&self, subject: SubjectId) -> Result<Option<AccountId>, TokenError> {
        let found = match subject {
            SubjectId::Account(id) => {
                // No client may be here whose people have other names to it. What is not an id of ours is nobody's.
                let Ok(id) = id.parse() else { return Ok(None) };
                self.accounts.find(&id).await
            }
            SubjectId::Email(address) => self.accounts.find_by_email(&address).await,
            SubjectId::Elsewhere { iss, sub } => {
                let (Ok(issuer), Ok(subject)) = (iss.parse(), sub.parse()) else {
                    return Ok(None);
                };
                return Ok(self.links.find(&issuer, &subject).await?);
            }
        };
        match found {
            Ok(account) => Ok(account.map(|account| account.id)),
            Err(AccountError::Store(error)) => Err(TokenError::Store(error)),
            Err(error) => Err(TokenError::Account(error.to_string())),
        }
    }
}

/// POST `/oauth/global-token-revocation`: by then all of it has ended, and the clients are about to be told (§3.3, §3.4.1).
///
/// # Errors
/// [`TokenError`]: what is asked is looked at only where the client may ask it.
pub async fn endpoint(
    State(revocation): State<Arc<GlobalRevocation>>,
    request: Request,
) -> Result<(StatusCode, [(header::HeaderName, &'static str); 1]), TokenError> {
    let authenticator = &revocation.authenticator;
    let authenticated = authenticator.authenticate_json(request, &revocation.audiences);
    let (client, body, now) = authenticated.await?;
    if !client.client().metadata.global_token_revocation {
        return Err(TokenError::NotTrustedToRevoke);
    }
    let subject = SubjectId::read(&body, &revocation.issuer);
    let subject = subject.ok_or(TokenError::SubjectIdentifier)?;
    let found = revocation.find(subject).await?;
    let account_id = found.ok_or(TokenError::UnknownSubject)?;
    let sessions = &revocation.accounts.sessions;
    sessions.end_all(&account_id, now).await?;
    Ok((
        StatusCode::NO_CONTENT,
        [(header::CACHE_CONTROL, "no-store")],
    ))
}

/// A subject identifier (RFC 9493 §3), of a format that can mean somebody here.
#[derive(Debug, PartialEq)]
enum SubjectId {
    /// `opaque` (§3.2.4), or `iss_sub` (§3.2.3) of this issuer: what a person is called here.
    Account(String),
    /// `email` (§3.2.2).
    Email(EmailAddress),
    /// `iss_sub` of another issuer: whom the operator linked to that name.
    Elsewhere { iss: String, sub: String },
}

impl SubjectId {
    /// The `sub_id` of a request.
    fn read(body: &[u8], issuer: &Issuer) -> Option<Self> {
        let mut members = object(body).ok()?;
        let Value::Object(mut identifier) = members.remove("sub_id")? else {
            return None;
        };
        let format = text(&mut identifier, "format")?;
        let read = match format.as_str() {
            "opaque" => Self::Account(text(&mut identifier, "id")?),
            "email" => Self::Email(text(&mut identifier, "email")?.parse().ok()?),
            "iss_sub" => {
                let (iss, sub) = (text(&mut identifier, "iss")?, text(&mut identifier, "sub")?);
                if iss == issuer.as_str() {
                    Self::Account(sub)
                } else {
                    Self::Elsewhere { iss, sub }
                }
            }
            _ => return None,
        };
        // RFC 9493 §3: no member that the format does not describe.
        identifier.is_empty().then_some(read)
    }
}

fn text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    let Value::String(text) = members.remove(name)? else {
        return None;
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9493_3_subject_identifiers_of_the_formats_that_mean_somebody_here() {
        let issuer: Issuer = "https://as.example".parse().unwrap();
        let account = || Some(SubjectId::Account("usr_1".into()));
        for (body, expected) in [
            (r#"{"sub_id":{"format":"opaque","id":"usr_1"}}"#, account()),
            (
                r#"{"sub_id":{"format":"iss_sub","iss":"https://as.example","sub":"usr_1"}}"#,
                account(),
            ),
            (
                r#"{"sub_id":{"format":"iss_sub","iss":"https://as.example/","sub":"usr_1"}}"#,
                Some(SubjectId::Elsewhere {
                    iss: "https://as.example/".into(),
                    sub: "usr_1".into(),
                }),
            ),
            (
                r#"{"sub_id":{"format":"email","email":"a@b.example"}}"#,
                Some(SubjectId::Email("a@b.example".parse().unwrap())),
            ),
            (r#"{"sub_id":{"format":"email","email":"a"}}"#, None),
            (r#"{"sub_id":{"format":"email","id":"a@b.example"}}"#, None),
            (r#"{"sub_id":{"format":"opaque","id":""}}"#, None),
            (r#"{"sub_id":{"format":"opaque","id":1}}"#, None),
            (r#"{"sub_id":{"format":"opaque","id":"a","x":"b"}}"#, None),
            (r#"{"sub_id":{"format":"opaque","id":"a","id":"b"}}"#, None),
            (r#"{"sub_id":{"format":"Opaque","id":"a"}}"#, None),
            (
                r#"{"sub_id":{"format":"phone_number","phone_number":"+1"}}"#,
                None,
            ),
            (r#"{"sub_id":{"format":"aliases","identifiers":[]}}"#, None),
            (r#"{"sub_id":{"id":"a"}}"#, None),
            (r#"{"sub_id":"usr_1"}"#, None),
            (r#"{"subject":{"format":"opaque","id":"usr_1"}}"#, None),
            (r"[]", None),
            ("", None),
        ] {
            assert_eq!(
                SubjectId::read(body.as_bytes(), &issuer),
                expected,
                "{body}"
            );
        }
    }
}
