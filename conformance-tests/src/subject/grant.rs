//! What a person's consent gave: the tokens of one grant.

use serde_json::Value;

use super::arrival::Code;
use super::{Registered, Subject};
use crate::answer::Answer;
use crate::check::Stop;
use crate::jws::Jws;
use crate::request::Request;

/// The tokens that a code or a refresh token was exchanged for.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) access_token: String,
    pub(crate) client_id: String,
    /// The `nonce` of the authorization request.
    pub(crate) nonce: Option<String>,
    pub(crate) answer: Answer,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

impl Grant {
    /// Reads a token response that must be a success (RFC 6749 §5.1).
    pub(crate) fn read(subject: &Subject, answer: Answer, client_id: &str) -> Result<Self, Stop> {
        answer.status(&[200])?;
        let json = answer.json()?;
        let member = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let grant = Self {
            access_token: answer.text("access_token")?,
            client_id: client_id.to_owned(),
            nonce: None,
            refresh_token: member("refresh_token"),
            id_token: member("id_token"),
            answer,
        };
        let secrets = [&grant.refresh_token, &grant.id_token];
        for secret in secrets.into_iter().flatten() {
            subject.redactor.learn(secret);
        }
        subject.redactor.learn(&grant.access_token);
        Ok(grant)
    }

    pub(crate) fn refresh_token(&self) -> Result<&str, Stop> {
        self.refresh_token
            .as_deref()
            .ok_or_else(|| Stop::unchecked("the app got no refresh token"))
    }

    /// The ID token, which a request with the scope `openid` must be given (OpenID Connect Core §3.1.3.3).
    pub(crate) fn raw_id_token(&self) -> Result<&str, Stop> {
        self.id_token
            .as_deref()
            .ok_or_else(|| self.answer.fail("the token response has no id_token"))
    }

    /// The same, read.
    pub(crate) fn id_token(&self) -> Result<Jws, Stop> {
        let token = self.raw_id_token()?;
        Jws::parse(token).ok_or_else(|| self.answer.fail("the ID token is not a JWT"))
    }

    pub(crate) fn has_id_token(&self) -> bool {
        self.id_token.is_some()
    }

    /// A request with the refresh token, as the app (RFC 6749 §6).
    pub(crate) fn refresh<'s>(&self, subject: &'s Subject) -> Result<Request<'s>, Stop> {
        let request = subject.post("token_endpoint")?.form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", self.refresh_token()?),
            ("client_id", &self.client_id),
        ]);
        Ok(request.for_named_resource())
    }

    /// The grant moved on by its refresh token; what the server does not replace stays (RFC 6749 §6).
    pub(crate) async fn refreshed(&self, subject: &Subject) -> Result<Self, Stop> {
        let answer = self.refresh(subject)?.send().await?;
        let mut next = Self::read(subject, answer, &self.client_id)?;
        next.refresh_token = next.refresh_token.or_else(|| self.refresh_token.clone());
        Ok(next)
    }
}

impl Subject {
    /// What the code is worth.
    pub(crate) async fn redeem(&self, code: &Code) -> Result<Grant, Stop> {
        let answer = code.redemption(self)?.send().await?;
        let grant = Grant::read(self, answer, &code.client_id)?;
        Ok(Grant {
            nonce: code.nonce.clone(),
            ..grant
        })
    }

    /// The same of a registered client.
    pub(crate) async fn redeem_as(&self, client: &Registered, code: &Code) -> Result<Grant, Stop> {
        let request = client.authenticated(code.redemption(self)?)?;
        let grant = Grant::read(self, request.send().await?, &code.client_id)?;
        Ok(Grant {
            nonce: code.nonce.clone(),
            ..grant
        })
    }

    /// A new grant with a refresh token.
    pub(crate) async fn fresh_grant(&self) -> Result<Grant, Stop> {
        let code = self.offline_authorization()?.code().await?;
        let grant = self.redeem(&code).await?;
        grant.refresh_token()?;
        Ok(grant)
    }

    /// A grant that all checks share: for looking at, not for refreshing or revoking.
    pub(crate) async fn grant_of_person(&self) -> Result<&Grant, Stop> {
        let obtain = async || {
            let code = self.authorization()?.code().await?;
            self.redeem(&code).await
        };
        self.grant
            .get_or_init(obtain)
            .await
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The claims about the person, asked with `token` (OpenID Connect Core §5.3).
    pub(crate) async fn userinfo(&self, token: &str) -> Result<Answer, Stop> {
        let url = self.endpoint("userinfo_endpoint")?;
        self.get(&url).bearer(token).send().await
    }
}
