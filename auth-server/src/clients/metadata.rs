//! Client metadata (RFC 7591 §2): each field has the name that it has on the wire.

mod checks;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, ContentEncryption, JwsAlgorithm, KeyManagement};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

pub use self::words::{ApplicationType, AuthMethod, GrantType, ObjectAlgorithm};
use super::exchange_policy::ExchangePolicy;
use super::redirect_uri::RedirectUri;
use super::url::ClientUrl;
use crate::authorization_details::TypeName;
use crate::authorize::request::{OwnScope, ResponseType};
use crate::profiles::Profile;
use crate::subjects::SubjectType;

/// How the key of what is encrypted reaches a client, and what it is the key of.
pub type Encryption = (KeyManagement, ContentEncryption);

/// The metadata that a client may set of itself, beside its software statement and what is said in other languages. All else is the
/// operator's to set.
pub const REGISTRABLE: &[&str] = &[
    "redirect_uris",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "grant_types",
    "response_types",
    "application_type",
    "scope",
    "authorization_details_types",
    "client_name",
    "client_uri",
    "tos_uri",
    "policy_uri",
    "contacts",
    "logo_uri",
    "jwks",
    "jwks_uri",
    "sector_identifier_uri",
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
    "tls_client_certificate_bound_access_tokens",
    "dpop_bound_access_tokens",
    "software_id",
    "software_version",
    "subject_type",
    "id_token_signed_response_alg",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_signed_response_alg",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "introspection_signed_response_alg",
    "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc",
    "default_max_age",
    "require_auth_time",
    "default_acr_values",
    "initiate_login_uri",
    "post_logout_redirect_uris",
    "backchannel_logout_uri",
    "backchannel_logout_session_required",
    "request_uris",
    "request_object_signing_alg",
    "require_signed_request_object",
    "require_pushed_authorization_requests",
    "authorization_signed_response_alg",
];

/// Client metadata (RFC 7591 §2), as it is kept and shown.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a member of its own on the wire"
)]
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientMetadata {
    /// What people are told that it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Its name, pages and policies in other languages (RFC 7591 §2.2), each under its name on the wire, such as `client_name#de`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub localized: BTreeMap<String, String>,
    /// A page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<ClientUrl>,
    /// Its terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<ClientUrl>,
    /// How it treats what it learns of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<ClientUrl>,
    /// Who is responsible for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// What software it is, the same for each of its installations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Which version of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// What somebody whom the server trusts said of it (RFC 7591 §2.3), as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<String>,
    /// How it authenticates.
    pub token_endpoint_auth_method: AuthMethod,
    /// The one algorithm of its assertions; any of ours that fits its keys, or its secret, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<JwsAlgorithm>,
    /// The grants that it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// What it may ask the authorization endpoint for, as it said; [`ClientMetadata::effective_response_types`] is what holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_types: Vec<ResponseType>,
    /// Web or native.
    #[serde(default)]
    pub application_type: ApplicationType,
    /// Where its people may be sent back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<RedirectUri>,
    /// Where its people may be sent after they signed out (OpenID Connect RP-Initiated Logout §3.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// Where it is told that somebody signed out (OpenID Connect Back-Channel Logout §2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<ClientUrl>,
    /// Whether it must be told of which session: who signs out everywhere is told of session by session.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backchannel_logout_session_required: bool,
    /// Where others may ask it to begin a sign-in (OpenID Connect Core §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<ClientUrl>,
    /// How long ago its people may have signed in, in seconds, where a request does not say (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_max_age: Option<u32>,
    /// How sure it wants to be of its people where a request does not say, the best first (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_acr_values: Vec<String>,
    /// Whether it counts on `auth_time` in ID tokens, in which it always stands.
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_auth_time: bool,
    /// The scopes that it may ask for.
    #[serde(default)]
    pub scope: ScopeSet,
    /// The types of authorization details that it may ask for (RFC 9396 §10): no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types: Vec<TypeName>,
    /// The audience of its tokens when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_resource: Option<ResourceId>,
    /// Its public keys, by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// The subject of its certificate (RFC 8705 §2.1.2): a distinguished name as RFC 4514 writes them. Of this and the four that follow,
    /// `tls_client_auth` takes exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A DNS name in its certificate's `subjectAltName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// An email address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// Whether its tokens are bound to the certificate by which it gets them (RFC 8705 §3.4): then it gets none without one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Whether it always shows a proof for its tokens (RFC 9449 §5.2): then it gets none without one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dpop_bound_access_tokens: bool,
    /// Where its public keys are published; never beside `jwks` (RFC 7591 §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<ClientUrl>,
    /// Where the redirect URIs of its sector are listed (OpenID Connect Registration §5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<ClientUrl>,
    /// Its picture, fetched by us and shown from our own origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<ClientUrl>,
    /// The signature algorithm of its ID tokens; RS256 when absent (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<Algorithm>,
    /// Where it publishes request objects (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_uris: Vec<ClientUrl>,
    /// The one algorithm of its request objects; any of ours that fits its keys when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<ObjectAlgorithm>,
    /// Whether its authorization requests must be signed (RFC 9101 §10.5).
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_signed_request_object: bool,
    /// Whether they must be pushed (RFC 9126 §6).
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_pushed_authorization_requests: bool,
    /// The signature algorithm of answers that it wants as JWTs; RS256 when absent (JARM §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_signed_response_alg: Option<Algorithm>,
    /// How the key reaches it that its ID tokens are encrypted with; they are not when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_alg: Option<KeyManagement>,
    /// What they are encrypted with: never absent beside the other, for its default is not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_enc: Option<ContentEncryption>,
    /// What signs that which userinfo tells it; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<Algorithm>,
    /// As for ID tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_alg: Option<KeyManagement>,
    /// As for ID tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_enc: Option<ContentEncryption>,
    /// What signs that which introspection tells it, where it asks for a JWT (RFC 9701 §6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<Algorithm>,
    /// As for ID tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_encrypted_response_alg: Option<KeyManagement>,
    /// As for ID tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_encrypted_response_enc: Option<ContentEncryption>,
    /// What people are called to it, as it said; [`ClientMetadata::subject_type`] is what holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_type: Option<SubjectType>,
    /// Whether its requests must carry a challenge (RFC 7636) even where the server's policy would not ask for one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_pkce: bool,
    /// Whether its people are not asked: for the operator's own applications.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip_consent: bool,
    /// What more is demanded of it than of everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// What it may exchange tokens for (RFC 8693).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_exchange: Option<ExchangePolicy>,
    /// The one client that may act for its people: its tokens of them say so (RFC 8693 §4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<ClientId>,
    /// Whether it may have all end that anybody had (Global Token Revocation).
    #[serde(default, skip_serializing_if = "is_false")]
    pub global_token_revocation: bool,
}

impl ClientMetadata {
    /// Whether it cannot prove who it is (RFC 6749 §2.1).
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == AuthMethod::None
    }

    /// What its ID tokens are signed with (OpenID Connect Registration §2, `id_token_signed_response_alg`).
    #[must_use]
    pub fn id_token_algorithm(&self) -> Algorithm {
        self.id_token_signed_response_alg
            .unwrap_or(Algorithm::Rs256)
    }

    /// What people are called to it (OpenID Connect Core §8).
    #[must_use]
    pub fn subject_type(&self) -> SubjectType {
        self.subject_type.unwrap_or_default()
    }

    /// The sector whose names it calls people by; none if it calls them what everybody does.
    #[must_use]
    pub fn names_of_people(&self) -> Option<&str> {
        match self.subject_type() {
            SubjectType::Public => None,
            // Of its own, for a client that was let in has a sector.
            SubjectType::Pairwise => Some(self.sector().unwrap_or_default()),
        }
    }

    /// The sector that people are called by to it (OpenID Connect Core §8.1): the host of the list of its redirect URIs, or that of all of
    /// them. The person's own device is no sector, for then all that runs there would be of one.
    #[must_use]
    pub fn sector(&self) -> Option<&str> {
        if let Some(list) = &self.sector_identifier_uri {
            return list.url().host_str();
        }
        let mut hosts = self.redirect_uris.iter().map(RedirectUri::own_host);
        let first = hosts.next()??;
        hosts.all(|host| host == Some(first)).then_some(first)
    }

    /// How its ID tokens are encrypted.
    #[must_use]
    pub fn id_token_encryption(&self) -> Option<Encryption> {
        self.id_token_encrypted_response_alg
            .zip(self.id_token_encrypted_response_enc)
    }

    /// How that is encrypted which userinfo tells it.
    #[must_use]
    pub fn userinfo_encryption(&self) -> Option<Encryption> {
        self.userinfo_encrypted_response_alg
            .zip(self.userinfo_encrypted_response_enc)
    }

    /// How that is encrypted which introspection tells it.
    #[must_use]
    pub fn introspection_encryption(&self) -> Option<Encryption> {
        self.introspection_encrypted_response_alg
            .zip(self.introspection_encrypted_response_enc)
    }

    /// What answers are signed with that it wants as JWTs (JARM §3, `authorization_signed_response_alg`).
    #[must_use]
    pub fn authorization_response_algorithm(&self) -> Algorithm {
        self.authorization_signed_response_alg
            .unwrap_or(Algorithm::Rs256)
    }

    /// The response types that it registered, or that its grants imply where it said nothing (RFC 7591 §2.1).
    #[must_use]
    pub fn effective_response_types(&self) -> &[ResponseType] {
        if !self.response_types.is_empty() {
            &self.response_types
        } else if self.grant_types.contains(&GrantType::AuthorizationCode) {
            &[ResponseType::Code]
        } else {
            &[]
        }
    }

    /// Whether its people are sent to the authorization endpoint, and back.
    #[must_use]
    pub fn sends_people(&self) -> bool {
        [GrantType::AuthorizationCode, GrantType::Implicit]
            .iter()
            .any(|grant| self.grant_types.contains(grant))
    }

    /// Whether there may ever be an ID token for it.
    #[must_use]
    pub fn may_get_id_tokens(&self) -> bool {
        let policy = self.token_exchange.as_ref();
        let may_come = self.sends_people()
            || self.grant_types.contains(&GrantType::DeviceCode)
            || policy.is_some_and(ExchangePolicy::tells_of_people);
        may_come && OwnScope::OpenId.is_in(&self.scope)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}
