//! What contradicts the profile that a server holds to. What is only left open is narrowed, and needs no setting.

use super::{Config, PkcePolicy};
use crate::clients::GrantType;

impl Config {
    pub(super) fn contradictions(&self) -> Vec<String> {
        let Some(profile) = self.profile else {
            return Vec::new();
        };
        let demands = self.profiles().server();
        let authorization = &self.authorization;
        let mut problems = Vec::new();
        let mut contradicts = |key: &str, rule: &str, mend: &str| {
            problems.push(format!(
                "{key} contradicts profile = \"{profile}\", {rule}: {mend}"
            ));
        };
        if demands.challenges() && authorization.pkce != PkcePolicy::Required {
            contradicts(
                "authorization.pkce = \"public_only\"",
                "by which every request carries a code challenge",
                "set it to \"required\"",
            );
        }
        let mut types = authorization.response_types.iter();
        if types.any(|known| !demands.permits_response_type(*known)) {
            contradicts(
                "authorization.response_types",
                "which has code alone",
                "set it to [\"code\"]",
            );
        }
        if !demands.permits_grant(GrantType::Password) && authorization.password_grant {
            contradicts(
                "authorization.password_grant = true",
                "which does not have that grant",
                "set it to false",
            );
        }
        if !demands.permits_unsigned_objects() && authorization.unsigned_request_objects {
            contradicts(
                "authorization.unsigned_request_objects = true",
                "which has no unsigned JWTs",
                "set it to false",
            );
        }
        if demands.client_documents() && authorization.require_pushed_authorization_requests {
            contradicts(
                "authorization.require_pushed_authorization_requests = true",
                "by which clients describe themselves, and no such client can push before somebody has let it in",
                "set it to false",
            );
        }
        if !self.keys.algorithms.is_empty() && self.signing_algorithms().is_empty() {
            contradicts(
                "keys.algorithms",
                "by which nothing is signed with RS256",
                "add \"ES256\", \"EdDSA\" or \"PS256\"",
            );
        }
        problems
    }
}
