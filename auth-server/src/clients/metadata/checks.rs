//! Whether what a client says of itself fits together, and is served here.

use shared_protocol::time::Instant;

use super::{ClientMetadata, GrantType, ObjectAlgorithm};
use crate::authorize::request::ResponseType;
use crate::clients::InvalidClientMetadata;
use crate::keys::Keyring;
use crate::metadata::Offered;

/// Bytes of a name.
const LONGEST_TEXT: usize = 256;
const MOST_CONTACTS: usize = 10;
const MOST_ACR_VALUES: usize = 10;
const MOST_LOCALIZED: usize = 50;
const MOST_DETAILS_TYPES: usize = 50;

impl ClientMetadata {
    /// Each text within its bounds, and what people are shown such that they can read it.
    pub(in crate::clients) fn check_texts(&self) -> Result<(), InvalidClientMetadata> {
        let too_long = [
            ("client_name", self.client_name.as_ref()),
            ("software_id", self.software_id.as_ref()),
            ("software_version", self.software_version.as_ref()),
        ];
        for (name, text) in too_long {
            if text.is_some_and(|text| text.len() > LONGEST_TEXT) {
                return Err(InvalidClientMetadata::TooLong(name));
            }
        }
        let contact_too_long = |contact: &String| contact.len() > LONGEST_TEXT;
        if self.contacts.len() > MOST_CONTACTS || self.contacts.iter().any(contact_too_long) {
            return Err(InvalidClientMetadata::TooLong("contacts"));
        }
        let acr_values = &self.default_acr_values;
        let acr_too_long = |value: &String| value.len() > LONGEST_TEXT;
        if acr_values.len() > MOST_ACR_VALUES || acr_values.iter().any(acr_too_long) {
            return Err(InvalidClientMetadata::TooLong("default_acr_values"));
        }
        if self.authorization_details_types.len() > MOST_DETAILS_TYPES {
            return Err(InvalidClientMetadata::TooLong(
                "authorization_details_types",
            ));
        }
        let localized_too_long = |text: &String| text.len() > 2048;
        if self.localized.len() > MOST_LOCALIZED || self.localized.values().any(localized_too_long)
        {
            return Err(InvalidClientMetadata::TooLong("what is in other languages"));
        }
        let name = self.client_name.as_ref();
        let name = name.map(|name| ("client_name", name)).into_iter();
        let localized = self.localized.iter();
        for (name, text) in name.chain(localized.map(|(name, text)| (name.as_str(), text))) {
            if !is_readable(text) {
                return Err(InvalidClientMetadata::Unreadable(name.to_owned()));
            }
        }
        Ok(())
    }

    /// Whether what is asked to be encrypted says with what (OpenID Connect Registration §2).
    pub(in crate::clients) fn check_encryption(&self) -> Result<(), InvalidClientMetadata> {
        for (name, alg, enc) in [
            (
                "id_token_encrypted_response",
                self.id_token_encrypted_response_alg,
                self.id_token_encrypted_response_enc,
            ),
            (
                "userinfo_encrypted_response",
                self.userinfo_encrypted_response_alg,
                self.userinfo_encrypted_response_enc,
            ),
            (
                "introspection_encrypted_response",
                self.introspection_encrypted_response_alg,
                self.introspection_encrypted_response_enc,
            ),
        ] {
            match (alg, enc) {
                (Some(_), None) => return Err(InvalidClientMetadata::DefaultEncryption(name)),
                (None, Some(_)) => return Err(InvalidClientMetadata::EncryptionWithoutAlg(name)),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        Ok(())
    }

    /// Each response type goes with the grants that it uses, and each of those grants with a response type (RFC 7591 §2.1, OpenID Connect
    /// Registration §2).
    pub(in crate::clients) fn check_response_types(&self) -> Result<(), InvalidClientMetadata> {
        let code = self.grant_types.contains(&GrantType::AuthorizationCode);
        let implicit = self.grant_types.contains(&GrantType::Implicit);
        let types = self.effective_response_types();
        let uses = |wanted: fn(ResponseType) -> bool| types.iter().any(|known| wanted(*known));
        let fits = uses(ResponseType::has_code) == code
            && uses(ResponseType::is_in_front) == implicit
            && (code || implicit || types.is_empty());
        if fits {
            Ok(())
        } else {
            Err(InvalidClientMetadata::ResponseTypes)
        }
    }

    /// Tokens are bound in one way, and all of them: what comes with the answer of the authorization endpoint itself could be bound to
    /// nothing, for nobody proves anything there.
    pub(in crate::clients) fn check_binding(&self) -> Result<(), InvalidClientMetadata> {
        let by_certificate = self.tls_client_certificate_bound_access_tokens;
        if by_certificate && self.dpop_bound_access_tokens {
            return Err(InvalidClientMetadata::TwoBindings);
        }
        let mut types = self.effective_response_types().iter();
        let is_bound = by_certificate || self.dpop_bound_access_tokens;
        if is_bound && types.any(|known| known.has_token()) {
            return Err(InvalidClientMetadata::BoundInFront);
        }
        Ok(())
    }

    /// Whether this server serves what it wants, and one of these keys signs its ID tokens, if there may be any or it names their
    /// algorithm.
    ///
    /// # Errors
    /// [`InvalidClientMetadata::Method`], [`InvalidClientMetadata::ResponseType`], [`InvalidClientMetadata::UnsignedObjects`],
    /// [`InvalidClientMetadata::NotSigned`], [`InvalidClientMetadata::UserinfoNotSigned`], [`InvalidClientMetadata::IntrospectionNotSigned`],
    /// [`InvalidClientMetadata::NoCertificates`].
    pub fn check_served(
        &self,
        (offered, ring): (&Offered, &Keyring),
        now: Instant,
    ) -> Result<(), InvalidClientMetadata> {
        let served = &offered.requests.response_types;
        let mut types = self.effective_response_types().iter();
        if let Some(other) = types.find(|known| !served.contains(known)) {
            return Err(InvalidClientMetadata::ResponseType(*other));
        }
        if self.request_object_signing_alg == Some(ObjectAlgorithm::None)
            && !offered.requests.unsigned_objects
        {
            return Err(InvalidClientMetadata::UnsignedObjects);
        }
        if let Some(alg) = self.authorization_signed_response_alg
            && ring.signer(alg, now).is_none()
        {
            return Err(InvalidClientMetadata::ResponsesNotSigned(alg));
        }
        if !offered.methods.contains(&self.token_endpoint_auth_method) {
            return Err(InvalidClientMetadata::Method(
                self.token_endpoint_auth_method,
            ));
        }
        if self.tls_client_certificate_bound_access_tokens && !offered.sees_certificates() {
            return Err(InvalidClientMetadata::NoCertificates);
        }
        let is_used = self.may_get_id_tokens() || self.id_token_signed_response_alg.is_some();
        let alg = self.id_token_algorithm();
        if is_used && ring.signer(alg, now).is_none() {
            return Err(InvalidClientMetadata::NotSigned(alg));
        }
        let userinfo = self.userinfo_signed_response_alg;
        if let Some(alg) = userinfo.filter(|alg| ring.signer(*alg, now).is_none()) {
            return Err(InvalidClientMetadata::UserinfoNotSigned(alg));
        }
        let introspection = self.introspection_signed_response_alg;
        if let Some(alg) = introspection.filter(|alg| ring.signer(*alg, now).is_none()) {
            return Err(InvalidClientMetadata::IntrospectionNotSigned(alg));
        }
        Ok(())
    }
}

/// Not blank, without control characters, and without the marks by which a text could pass for another (UAX 9).
fn is_readable(text: &str) -> bool {
    let misleads = |c: char| {
        c.is_control()
            || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    !text.trim().is_empty() && !text.chars().any(misleads)
}
