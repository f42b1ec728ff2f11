//! What of a client's registered state falls short of what is demanded of it.

use shared_protocol::jose::{Algorithm, JwkSet, JwsAlgorithm};

use super::{Demands, PERMITTED};
use crate::authorize::request::ResponseType;
use crate::clients::{AuthMethod, ClientMetadata, GrantType, ObjectAlgorithm};

/// What a client lacks that a profile demands of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unmet {
    /// It cannot prove who it is, or by a secret that others have too.
    #[error(
        "the profile has clients authenticate by private_key_jwt, tls_client_auth or self_signed_tls_client_auth, not by {} (FAPI 2.0 Security Profile section 5.3.2.1)", .0.as_str()
    )]
    Method(AuthMethod),
    /// A grant that tells it passwords, or brings tokens in front.
    #[error(
        "the profile has neither the implicit grant nor the password grant (FAPI 2.0 Security Profile section 5.3.2.1, OAuth 2.1 section 10)"
    )]
    Grant,
    /// Something in front that is no code.
    #[error(
        "the profile has the response_type code alone, not {0} (FAPI 2.0 Security Profile section 5.3.2.2, OAuth 2.1 section 4.1.1)"
    )]
    ResponseType(ResponseType),
    /// A signature that is not permitted.
    #[error(
        "{member} is {alg}, and the profile permits PS256, ES256 and EdDSA (FAPI 2.0 Security Profile section 5.4.1)"
    )]
    Algorithm {
        /// Of what.
        member: &'static str,
        /// Which it is.
        alg: JwsAlgorithm,
    },
    /// Objects without a signature.
    #[error(
        "request_object_signing_alg is none, and the profile has no unsigned JWTs (FAPI 2.0 Security Profile section 5.4.1)"
    )]
    UnsignedObjects,
    /// Nothing that verifies a permitted signature.
    #[error(
        "the profile needs jwks_uri, or jwks with a public key for PS256, ES256 or EdDSA (FAPI 2.0 Security Profile section 5.4.1)"
    )]
    NoKey,
    /// A scheme of its own.
    #[error(
        "the profile has redirect URIs be https, or http to this device, not {0} (MCP Security Considerations, Communication Security)"
    )]
    Redirect(String),
}

impl Demands {
    /// Whether the registered state of a client, with these keys by value, meets them.
    ///
    /// # Errors
    /// The first that it does not meet.
    pub fn check(self, metadata: &ClientMetadata, keys: &JwkSet) -> Result<(), Unmet> {
        if self == Self::default() {
            return Ok(());
        }
        let method = metadata.token_endpoint_auth_method;
        if !self.permits_method(method) {
            return Err(Unmet::Method(method));
        }
        let mut grants = metadata.grant_types.iter();
        if grants.any(|grant| !self.permits_grant(*grant)) {
            return Err(Unmet::Grant);
        }
        let mut types = metadata.effective_response_types().iter();
        if let Some(other) = types.find(|known| !self.permits_response_type(**known)) {
            return Err(Unmet::ResponseType(*other));
        }
        self.check_algorithms(metadata)?;
        self.check_keys(metadata, keys)?;
        let mut redirects = metadata.redirect_uris.iter();
        if !self.permits_private_schemes()
            && let Some(other) = redirects.find(|uri| uri.is_private_use())
        {
            return Err(Unmet::Redirect(other.to_string()));
        }
        Ok(())
    }

    fn check_algorithms(self, metadata: &ClientMetadata) -> Result<(), Unmet> {
        let signs = JwsAlgorithm::Signature;
        let of_objects = match metadata.request_object_signing_alg {
            Some(ObjectAlgorithm::None) if !self.permits_unsigned_objects() => {
                return Err(Unmet::UnsignedObjects);
            }
            Some(ObjectAlgorithm::Signature(alg)) => Some(alg),
            Some(ObjectAlgorithm::None) | None => None,
        };
        for (member, alg) in [
            (
                "token_endpoint_auth_signing_alg",
                metadata.token_endpoint_auth_signing_alg,
            ),
            (
                "id_token_signed_response_alg",
                metadata.id_token_signed_response_alg.map(signs),
            ),
            (
                "userinfo_signed_response_alg",
                metadata.userinfo_signed_response_alg.map(signs),
            ),
            (
                "introspection_signed_response_alg",
                metadata.introspection_signed_response_alg.map(signs),
            ),
            (
                "authorization_signed_response_alg",
                metadata.authorization_signed_response_alg.map(signs),
            ),
            ("request_object_signing_alg", of_objects.map(signs)),
        ] {
            let is_permitted = match alg {
                None => true,
                Some(JwsAlgorithm::Signature(alg)) => self.permits(alg),
                // Of a method that is not permitted either.
                Some(JwsAlgorithm::Mac(_)) => !self.fapi2,
            };
            if let Some(alg) = alg.filter(|_| !is_permitted) {
                return Err(Unmet::Algorithm { member, alg });
            }
        }
        Ok(())
    }

    /// Of keys that it publishes, the ones of then count.
    fn check_keys(self, metadata: &ClientMetadata, keys: &JwkSet) -> Result<(), Unmet> {
        let signs = metadata.token_endpoint_auth_method == AuthMethod::PrivateKeyJwt
            || self.signed_requests()
                && metadata.grant_types.contains(&GrantType::AuthorizationCode);
        let fits = |alg: &Algorithm| keys.keys().iter().any(|key| key.verifies(*alg));
        let has_key = metadata.jwks_uri.is_some() || PERMITTED.iter().any(fits);
        if self.fapi2 && signs && !has_key {
            Err(Unmet::NoKey)
        } else {
            Ok(())
        }
    }
}
