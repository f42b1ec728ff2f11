//! Identity assertions for the authorization servers of others, which take this server's word for who somebody is
//! (draft-ietf-oauth-identity-assertion-authz-grant-03, the role of the identity provider).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{JwtKind, sign_jwt};
use shared_protocol::random;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::error::ExchangeError;
use super::subject::{Principal, Subject};
use super::{Exchange, ExchangeRequest, NOT_APPLICABLE, check_signed_in, seconds};
use crate::authorization_details::InvalidDetails;
use crate::authorize::request::OwnScope;
use crate::clients::exchange_policy::IdentityAssertions;
use crate::grants::Grant;
use crate::sessions::Amr;
use crate::token::TokenResponse;
use crate::token::error::TokenError;

/// It is used at once: whoever takes it gives a token of their own for it.
const LIFETIME: Duration = Duration::from_mins(5);

/// The claims that the draft has, and of those of an ID token what helps the other server to find its account.
#[derive(Serialize)]
struct AssertionClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    client_id: &'a ClientId,
    jti: String,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Resource<'a>>,
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    scope: &'a ScopeSet,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    amr: &'a [Amr],
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
}

/// One, or several.
#[derive(Serialize)]
#[serde(untagged)]
enum Resource<'a> {
    One(&'a ResourceId),
    Several(&'a [ResourceId]),
}

#[derive(Serialize)]
struct Email {
    email: String,
    email_verified: bool,
}

impl Exchange<'_> {
    /// An assertion of who the person is that the client signed in, for the one authorization server that the request names by its
    /// issuer: of what the operator lets the client have there.
    pub(super) async fn identity_assertion(
        &self,
        request: &ExchangeRequest,
        subject: Subject,
    ) -> Result<TokenResponse, TokenError> {
        // The client's own ID token or refresh token, and nobody who acts.
        let (Principal::Person(grant), None) = (&subject.principal, &subject.audience) else {
            return Err(ExchangeError::TokenType("subject_token_type").into());
        };
        if request.actor.is_some() {
            return Err(ExchangeError::TokenType("actor_token_type").into());
        }
        check_signed_in(grant)?;
        // It says nothing of who acts.
        if grant.chain.is_some() {
            return Err(ExchangeError::NoPerson.into());
        }
        if let Some(may_act) = &subject.chain.may_act
            && may_act.client_id != *self.client.id()
        {
            return Err(ExchangeError::MayAct.into());
        }
        let own = &grant.terms.agreed.own;
        if !OwnScope::OpenId.is_in(own) || !OwnScope::OpenId.is_in(&self.metadata.scope) {
            return Err(ExchangeError::NoPerson.into());
        }
        let known = self.authorization_server(request)?;
        if !request
            .resources
            .iter()
            .all(|asked| known.resources.contains(asked))
        {
            return Err(ExchangeError::Target.into());
        }
        if request.details.is_some() {
            return Err(InvalidDetails::NotGranted.into());
        }
        let scope = match &request.scope {
            None => &known.scopes,
            Some(asked) if asked.is_subset(&known.scopes) => asked,
            Some(_) => return Err(TokenError::InvalidScope),
        };
        let (tokens, now) = (&self.grantor.tokens, self.now);
        let ends_at = subject.chain.end(now + LIFETIME);
        let claims = AssertionClaims {
            iss: tokens.issuer.as_str(),
            sub: self.name_there(known, grant).await?,
            aud: known.audience.as_str(),
            client_id: &known.client_id,
            jti: URL_SAFE_NO_PAD.encode(random::bytes::<16>(&*tokens.random)),
            exp: ends_at.as_secs(),
            iat: now.as_secs(),
            resource: match request.resources.as_slice() {
                [] => None,
                [one] => Some(Resource::One(one)),
                several => Some(Resource::Several(several)),
            },
            scope,
            auth_time: grant.terms.auth_time.map(Instant::as_secs),
            acr: grant.terms.acr.as_deref(),
            amr: &grant.terms.amr,
            email: self.email(grant).await?,
        };
        let signer = tokens.id_token_signer(self.metadata, now)?;
        Ok(TokenResponse {
            access_token: sign_jwt(JwtKind::IdentityAssertion, &claims, &*signer).await?,
            issued_token_type: Some(request.requested),
            token_type: NOT_APPLICABLE,
            expires_in: seconds(ends_at, now),
            scope: scope.clone(),
            authorization_details: AuthorizationDetails::default(),
            refresh_token: None,
            id_token: None,
        })
    }

    fn authorization_server(
        &self,
        request: &ExchangeRequest,
    ) -> Result<&IdentityAssertions, ExchangeError> {
        let Some((first, others)) = request.audiences.split_first() else {
            return Err(ExchangeError::Target);
        };
        if others.iter().any(|other| other != first) {
            return Err(ExchangeError::SeveralTargets);
        }
        let mut all = self.policy.identity_assertions.iter();
        all.find(|known| known.audience.as_str() == first)
            .ok_or(ExchangeError::Target)
    }

    /// What the other server calls the person, if it signs people in here; else what the client calls them.
    async fn name_there(
        &self,
        known: &IdentityAssertions,
        grant: &Grant,
    ) -> Result<String, TokenError> {
        let subjects = &self.grantor.tokens.subjects;
        let account_id = &grant.terms.account_id;
        let Some(id) = &known.signs_in_as else {
            return Ok(subjects.of(self.metadata, account_id));
        };
        let client = self.grantor.clients.find(id).await?;
        let client = client.ok_or(ExchangeError::Target)?;
        Ok(subjects.of(&client.metadata, account_id))
    }

    /// Their address, if they let the client know it.
    async fn email(&self, grant: &Grant) -> Result<Option<Email>, TokenError> {
        let is_known = |scope: &ScopeSet| OwnScope::Email.is_in(scope);
        if !is_known(&grant.terms.agreed.own) || !is_known(&self.metadata.scope) {
            return Ok(None);
        }
        let person = self.grantor.tokens.person(&grant.terms.account_id).await?;
        Ok(Some(Email {
            email: person.email,
            email_verified: person.email_verified,
        }))
    }
}
