//! The request (RFC 8693 §2.1).

use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

use super::error::ExchangeError;
use crate::clients::authenticate::FromParameters;
use crate::parameters::{InvalidParameters, Parameters};
use crate::token::error::TokenError;
use crate::token::token_type::TokenType;
use crate::token::{Target, details};

/// Targets of one request.
const MOST_TARGETS: usize = 10;

/// A request of this grant.
pub struct ExchangeRequest {
    /// On whose behalf.
    pub subject_token: String,
    /// What that is.
    pub subject_token_type: TokenType,
    /// Who acts, if that is said by a token, and what that is.
    pub actor: Option<(String, TokenType)>,
    /// What is asked for.
    pub requested: TokenType,
    /// Where it is to be used, by location.
    pub resources: Vec<ResourceId>,
    /// Where it is to be used, by name.
    pub audiences: Vec<String>,
    /// What for; all that may be had when absent.
    pub scope: Option<ScopeSet>,
    /// The same in more words (RFC 9396).
    pub details: Option<AuthorizationDetails>,
}

impl FromParameters for ExchangeRequest {
    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError> {
        let subject_token = parameters.required("subject_token")?.to_owned();
        let subject_token_type = parameters.required("subject_token_type")?;
        let actor_token = parameters.optional("actor_token").map(str::to_owned);
        let actor_token_type = token_type(parameters, "actor_token_type")?;
        let actor = match (actor_token, actor_token_type) {
            (Some(token), Some(token_type)) => Some((token, token_type)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(ExchangeError::ActorTokenType.into()),
        };
        let Target { scope, .. } = Target::from_parameters(&parameters.only(&["scope"]))?;
        let resources: Vec<_> = parameters.all("resource").take(MOST_TARGETS + 1).collect();
        let audiences: Vec<_> = parameters.all("audience").take(MOST_TARGETS + 1).collect();
        if resources.len() > MOST_TARGETS || audiences.len() > MOST_TARGETS {
            return Err(InvalidParameters::TooMany.into());
        }
        let resources = resources.into_iter().map(str::parse);
        Ok(Self {
            subject_token,
            subject_token_type: subject_token_type
                .parse()
                .map_err(|_| ExchangeError::TokenType("subject_token_type"))?,
            actor,
            requested: token_type(parameters, "requested_token_type")?
                .unwrap_or(TokenType::AccessToken),
            resources: resources
                .collect::<Result<_, _>>()
                .map_err(|_| TokenError::UnknownResource)?,
            audiences: audiences.into_iter().map(str::to_owned).collect(),
            scope,
            details: details(parameters)?,
        })
    }
}

fn token_type(
    parameters: &Parameters,
    name: &'static str,
) -> Result<Option<TokenType>, ExchangeError> {
    let raw = parameters.optional(name);
    raw.map(|raw| raw.parse().map_err(|_| ExchangeError::TokenType(name)))
        .transpose()
}
