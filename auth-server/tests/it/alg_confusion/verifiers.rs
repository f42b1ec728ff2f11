//! Everything that reads a JWT.

use shared_protocol::jose::JwtKind;

use crate::device;
use crate::pushed::PAR;
use crate::token_exchange::{ACCESS, ID, JWT};

/// A place at which a JWT is verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verifier {
    /// `client_assertion`, at an endpoint.
    Assertion(&'static str),
    /// A bearer token of a client who has all end that somebody had.
    Tool,
    /// The same as an assertion of a client that shares a secret.
    Mac(&'static str),
    /// `assertion` of RFC 7523 §2.1.
    BearerAssertion,
    /// The same of an ID-JAG.
    IdentityAssertion,
    /// `request` at the authorization endpoint.
    RequestObject,
    /// And pushed.
    PushedObject,
    /// `software_statement`.
    Statement,
    /// `id_token_hint` of a request.
    Hint,
    /// And of a sign-out.
    LogoutHint,
    /// `subject_token` of a type.
    Subject(&'static str),
    /// `actor_token` of a type.
    Actor(&'static str),
    /// A bearer token.
    Userinfo,
    /// The same in a form.
    UserinfoInForm,
    /// A token that is bound to a key, with a good proof of it by that key.
    BoundUserinfo,
    /// A token that is bound to a certificate, with that certificate.
    CertifiedUserinfo,
    /// `token`.
    Introspection,
    /// `token`.
    Revocation,
    /// `DPoP` of a token request.
    TokenProof,
    /// And of a request that is pushed.
    PushProof,
    /// And beside the token that it is about.
    UserinfoProof,
}

/// Where a kind of JWT is read: all that any test runs over. Of most kinds that this server writes, nobody brings one back.
pub(super) const fn read_at(kind: JwtKind) -> &'static [Verifier] {
    match kind {
        // The last ends its token.
        JwtKind::AccessToken => &[
            Verifier::Userinfo,
            Verifier::UserinfoInForm,
            Verifier::BoundUserinfo,
            Verifier::CertifiedUserinfo,
            Verifier::Subject(ACCESS),
            Verifier::Subject(JWT),
            Verifier::Actor(ACCESS),
            Verifier::Actor(JWT),
            Verifier::Introspection,
            Verifier::Revocation,
        ],
        JwtKind::ClientAssertion => &[
            Verifier::Assertion("/oauth/token"),
            Verifier::Assertion(PAR),
            Verifier::Assertion("/oauth/introspect"),
            Verifier::Assertion("/oauth/revoke"),
            Verifier::Assertion(device::PATH),
            Verifier::Tool,
            Verifier::Mac("/oauth/token"),
            Verifier::Mac(PAR),
            Verifier::Mac("/oauth/introspect"),
            Verifier::Mac("/oauth/revoke"),
            Verifier::Mac(device::PATH),
        ],
        // The last ends the session.
        JwtKind::IdToken => &[Verifier::Subject(ID), Verifier::Hint, Verifier::LogoutHint],
        JwtKind::SoftwareStatement => &[Verifier::Statement],
        JwtKind::RequestObject => &[Verifier::RequestObject, Verifier::PushedObject],
        JwtKind::BearerAssertion => &[Verifier::BearerAssertion],
        JwtKind::IdentityAssertion => &[Verifier::IdentityAssertion],
        JwtKind::DpopProof => &[
            Verifier::TokenProof,
            Verifier::PushProof,
            Verifier::UserinfoProof,
        ],
        JwtKind::LogoutToken
        | JwtKind::AuthorizationResponse
        | JwtKind::Userinfo
        | JwtKind::ServerMetadata
        | JwtKind::TokenIntrospection => &[],
    }
}

/// What reads JWTs in the source, by package and by what it says that it reads, how often, and which kinds: a new reader belongs into
/// [`read_at`]. Those of the guard are tried with the API that it guards.
pub(super) const READERS: &[(&str, &str, usize, &[JwtKind])] = &[
    (
        "auth-server",
        "JwtKind::AccessToken",
        1,
        &[JwtKind::AccessToken],
    ),
    (
        "auth-server",
        "JwtKind::ClientAssertion",
        1,
        &[JwtKind::ClientAssertion],
    ),
    ("auth-server", "JwtKind::IdToken", 1, &[JwtKind::IdToken]),
    (
        "auth-server",
        "JwtKind::RequestObject",
        2,
        &[JwtKind::RequestObject],
    ),
    (
        "auth-server",
        "JwtKind::SoftwareStatement",
        1,
        &[JwtKind::SoftwareStatement],
    ),
    (
        "auth-server",
        "kind.jwt(",
        1,
        &[JwtKind::BearerAssertion, JwtKind::IdentityAssertion],
    ),
    (
        "shared/protocol",
        "JwtKind::AccessToken",
        2,
        &[JwtKind::AccessToken],
    ),
    // A proof is of one kind.
    ("shared/protocol", "proof", 1, &[JwtKind::DpopProof]),
];

/// How many take access tokens in the source of this server: userinfo, introspection, revocation, and exchange.
pub(super) const OF_ACCESS_TOKENS: usize = 4;
