//! What is wrong with client metadata.

use shared_protocol::jose::{Algorithm, JwsAlgorithm};

use super::AuthMethod;
use super::certificate::InvalidCertificateName;
use super::exchange_policy::InvalidExchangePolicy;
use super::redirect_uri::InvalidRedirectUri;
use crate::authorize::request::ResponseType;
use crate::profiles::Unmet;

/// A contradiction in client metadata (RFC 7591 §3.2.2, `invalid_client_metadata`).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidClientMetadata {
    /// The document is not of the form.
    #[error("the client metadata is malformed: {0}")]
    Malformed(String),
    /// A method by which nobody can authenticate at this server.
    #[error(
        "token_endpoint_auth_method: {} is not offered by this server; choose one of token_endpoint_auth_methods_supported", .0.as_str()
    )]
    Method(AuthMethod),
    /// `client_credentials` for a client that cannot prove who it is.
    #[error(
        "client_credentials is for confidential clients (RFC 6749 section 4.4); choose another token_endpoint_auth_method"
    )]
    PublicClientCredentials,
    /// The password grant for a client that is not the operator's own.
    #[error(
        "the password grant (RFC 6749 section 4.3) is for confidential clients of the operator; take it out of grant_types, and use authorization_code"
    )]
    PasswordGrant,
    /// What it may exchange tokens for.
    #[error(transparent)]
    TokenExchange(#[from] InvalidExchangePolicy),
    /// The JWT bearer grant for a client that registered itself.
    #[error(
        "the JWT bearer grant (RFC 7523) is for clients of the operator; take it out of grant_types, and use authorization_code"
    )]
    JwtBearer,
    /// `private_key_jwt` without a key that fits.
    #[error(
        "private_key_jwt needs `jwks_uri`, or `jwks` with a public key of the assertion's algorithm"
    )]
    NoKey,
    /// `self_signed_tls_client_auth` without a key.
    #[error(
        "self_signed_tls_client_auth needs `jwks_uri`, or `jwks` with the public key of the client's certificate (P-256, Ed25519, or RSA of 2048 to 4096 bits)"
    )]
    NoCertificateKey,
    /// A MAC where keys are asymmetric, or the reverse.
    #[error(
        "token_endpoint_auth_signing_alg {0} is not for this token_endpoint_auth_method: private_key_jwt takes ES256, EdDSA, PS256 or RS256, client_secret_jwt takes HS256, HS384 or HS512, the others none"
    )]
    SigningAlgorithm(JwsAlgorithm),
    /// What the certificate of `tls_client_auth` is known by.
    #[error(transparent)]
    Certificate(#[from] InvalidCertificateName),
    /// RFC 7591 §2.
    #[error("jwks and jwks_uri are never both there; leave one out")]
    BothKeys,
    /// What is never sent names nothing that could be fetched.
    #[error("{0}: a URL that is fetched has no fragment; leave out # and what follows")]
    Fragment(&'static str),
    /// The set of keys is not one, or holds private ones.
    #[error("jwks: {0}")]
    Keys(String),
    /// What could not be both.
    #[error(
        "dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens: tokens are bound in one way; leave one out"
    )]
    TwoBindings,
    /// A token that could be bound to nothing.
    #[error(
        "response_types: what the authorization endpoint brings is bound to nothing; leave out those with token, or dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens"
    )]
    BoundInFront,
    /// No certificate ever comes.
    #[error(
        "tls_client_certificate_bound_access_tokens: this server sees no certificates of clients; leave it out, or have the operator set mtls.listen or proxies.client_certificates"
    )]
    NoCertificates,
    /// What is encrypted without a key that it could be encrypted to.
    #[error(
        "{0}_alg needs jwks_uri, or jwks with a public key that fits it (P-256, or RSA of 2048 to 4096 bits) and whose use is not sig"
    )]
    NoEncryptionKey(&'static str),
    /// `enc` without `alg` (OpenID Connect Registration §2).
    #[error("{0}_enc goes with {0}_alg; name both, or neither")]
    EncryptionWithoutAlg(&'static str),
    /// `alg` without `enc`, which then would be one that is not served.
    #[error(
        "{0}_enc is A128CBC-HS256 where it is left out, which this server does not do; say A256GCM"
    )]
    DefaultEncryption(&'static str),
    /// OpenID Connect Registration §5: nothing that people could be called by.
    #[error(
        "subject_type pairwise needs redirect_uris of one host, which is not the person's own device, or sector_identifier_uri"
    )]
    NoSector,
    /// Redirects for a client that sends nobody, or none for one that does.
    #[error(
        "authorization_code and implicit need redirect_uris, and redirect_uris need one of them"
    )]
    Redirects,
    /// A plain http redirect outside loopback, or loopback for a web client.
    #[error(
        "redirect URI {0}: http is for the loopback redirects of native clients (RFC 8252 section 7.3)"
    )]
    PlainRedirect(String),
    /// The `sub` of a person's tokens and of a client's must never be the same.
    #[error("a client_id is not of the form of an account's id (RFC 9068 section 5)")]
    AccountId,
    /// One that nobody may be sent back to.
    #[error("redirect URI {uri}: {source}")]
    RedirectUri {
        /// As it was written.
        uri: String,
        /// What is wrong with it.
        source: InvalidRedirectUri,
    },
    /// Response types without their grants, or the reverse (RFC 7591 §2.1).
    #[error(
        "response_types: those with code go with authorization_code, those with id_token or token with implicit, and each of these grants with one of its types"
    )]
    ResponseTypes,
    /// One that this server does not serve.
    #[error(
        "response_types: {0} is not offered by this server; choose of response_types_supported"
    )]
    ResponseType(ResponseType),
    /// Its request objects could not be verified.
    #[error(
        "request objects are verified with `jwks_uri`, or `jwks` with a public key of request_object_signing_alg; register one"
    )]
    NoObjectKey,
    /// Request objects that must be signed, and are not.
    #[error(
        "require_signed_request_object and a request_object_signing_alg of none contradict each other"
    )]
    UnsignedRequired,
    /// Only where the operator allows it.
    #[error("request_object_signing_alg: none is not offered by this server; sign request objects")]
    UnsignedObjects,
    /// Its answers could not be signed.
    #[error(
        "authorization_signed_response_alg is {0}, with which this server does not sign; name another of authorization_signing_alg_values_supported"
    )]
    ResponsesNotSigned(Algorithm),
    /// OpenID Connect Registration §2.
    #[error("initiate_login_uri must be https")]
    PlainInitiateLogin,
    /// What people would be shown cannot be read.
    #[error("{0} is empty, or holds control characters or marks that turn text around")]
    Unreadable(String),
    /// RFC 7591 §2.2.
    #[error("{0}: what follows # is a language tag (RFC 5646), and each comes once")]
    LanguageTag(String),
    /// What somebody would have to enforce.
    #[error("{0}: this server does not offer that yet; leave it out")]
    NotOffered(&'static str),
    /// Its ID tokens could not be signed.
    #[error(
        "id_token_signed_response_alg is {0} (RS256 where it is left out), with which this server does not sign; name another, or have the operator add it to keys.algorithms and wait until its key signs"
    )]
    NotSigned(Algorithm),
    /// What userinfo tells it could not be signed.
    #[error(
        "userinfo_signed_response_alg is {0}, with which this server does not sign; name another of userinfo_signing_alg_values_supported"
    )]
    UserinfoNotSigned(Algorithm),
    /// What introspection tells it could not be signed.
    #[error(
        "introspection_signed_response_alg is {0}, with which this server does not sign; name another of introspection_signing_alg_values_supported"
    )]
    IntrospectionNotSigned(Algorithm),
    /// The right to end what anybody has, for a client that could not use it, or that knows people by names of its own.
    #[error(
        "global_token_revocation is for clients of client_secret_basic or private_key_jwt that know people by public subjects"
    )]
    GlobalTokenRevocation,
    /// Too long or too many of something.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// What its profile, or the server's, demands.
    #[error(transparent)]
    Profile(#[from] Unmet),
}

impl InvalidClientMetadata {
    /// Whether it is about where people are sent back to (RFC 7591 §3.2.2, `invalid_redirect_uri`).
    #[must_use]
    pub fn is_of_redirects(&self) -> bool {
        matches!(
            self,
            Self::Redirects | Self::PlainRedirect(_) | Self::RedirectUri { .. }
        )
    }
}
