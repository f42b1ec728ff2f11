//! Token exchange (RFC 8693) by the confidential client.

use super::Subject;
use crate::answer::Answer;
use crate::check::Stop;
use crate::request::Request;

/// The grant of a token exchange (RFC 8693 §2.1).
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Why a check of exchanges ends when the client may make none.
pub(crate) const NOT_ALLOWED: &str = "the given client may not exchange tokens";

/// As many resources as are tried.
const MOST: usize = 3;

/// Identifiers of token types (RFC 8693 §3).
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenType {
    AccessToken,
    IdToken,
    /// Identity Assertion JWT Authorization Grant, §9.2.
    IdJag,
}

impl TokenType {
    pub(crate) const fn uri(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::IdJag => "urn:ietf:params:oauth:token-type:id-jag",
        }
    }
}

/// An exchange that succeeded.
#[derive(Clone, Debug)]
pub(crate) struct Exchanged {
    /// What was exchanged.
    pub(crate) subject_token: String,
    pub(crate) answer: Answer,
    /// The resource that it was exchanged for, where one was named.
    target: Option<String>,
}

impl Subject {
    /// A token exchange request that stops short of the resource it is for.
    pub(crate) fn untargeted_exchange(
        &self,
        token: &str,
        kind: TokenType,
    ) -> Result<Request<'_>, Stop> {
        let request = self.post("token_endpoint")?.form(&[
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", kind.uri()),
        ]);
        request.authenticated()
    }

    /// A token exchange request for an access token, for the resource that an exchange is known to work for.
    pub(crate) fn exchange(&self, token: &str) -> Result<Request<'_>, Stop> {
        let known = self.exchanged.get().and_then(|known| known.as_ref().ok());
        let target = match known {
            Some(exchanged) => exchanged.target.as_deref(),
            None => self.target.exchange.target.as_deref(),
        };
        self.exchange_for(token, target)
    }

    fn exchange_for(&self, token: &str, target: Option<&str>) -> Result<Request<'_>, Stop> {
        let request = self.untargeted_exchange(token, TokenType::AccessToken)?;
        Ok(match target {
            Some(resource) => request.form(&[("resource", resource)]),
            None => request,
        })
    }

    /// A new access token like the one that was exchanged, revoked by the client that it was issued to.
    pub(crate) async fn revoked_subject(&self) -> Result<String, Stop> {
        let exchanged = self.exchanged().await?;
        let own = self.token().await;
        let own = own.is_ok_and(|own| own.value == exchanged.subject_token);
        let token = if own {
            self.fresh_token().await?.value
        } else {
            self.token_of_person().await?
        };
        let request = self.post("revocation_endpoint")?.form(&[("token", &token)]);
        let request = if own {
            request.authenticated()?
        } else {
            request.form(&[("client_id", &self.app()?.client_id)])
        };
        request.send().await?.status(&[200])?;
        Ok(token)
    }

    /// An access token of the person, for the resource at which the client meets it.
    async fn token_of_person(&self) -> Result<String, Stop> {
        let given = &self.target.exchange;
        let request = self.authorization()?;
        let request = match given.resource.as_deref().or(self.api_resource()) {
            Some(resource) => request.with("resource", resource),
            None => request,
        };
        let request = match &given.scope {
            Some(scope) => request.with("scope", scope),
            None => request,
        };
        let code = request.code().await?;
        let request = code.redemption(self)?;
        Ok(self.issue(request).await?.value)
    }

    /// An exchange that all checks share: of the person's token, else of the client's own.
    pub(crate) async fn exchanged(&self) -> Result<&Exchanged, Stop> {
        let found = self.exchanged.get_or_init(|| self.first_exchange()).await;
        found.as_ref().map_err(Clone::clone)
    }

    /// Tries the resource that is said to work, else none, then each that is known.
    async fn first_exchange(&self) -> Result<Exchanged, Stop> {
        self.credentials()?;
        let given = self.target.exchange.target.clone();
        let known = self.target.resources.iter().cloned().map(Some);
        let others = if given.is_some() { 0 } else { MOST };
        let targets: Vec<_> = std::iter::once(given).chain(known.take(others)).collect();
        let of_person = self.token_of_person().await;
        let own = self.token().await.map(|token| token.value.clone());
        let mut refusals = Vec::new();
        for subject_token in [of_person, own].into_iter().flatten() {
            for target in &targets {
                let request = self.exchange_for(&subject_token, target.as_deref())?;
                let answer = request.send().await?;
                if answer.status == 200 {
                    let token = answer.text("access_token")?;
                    self.redactor.learn(&token);
                    return Ok(Exchanged {
                        subject_token,
                        answer,
                        target: target.clone(),
                    });
                }
                answer.is_for_the_client(NOT_ALLOWED)?;
                refusals.push(answer.text("error").unwrap_or_default());
            }
        }
        Err(Stop::unchecked(format!(
            "the given client can exchange neither the person's token nor its own: {}",
            refusals.join(", ")
        )))
    }
}
