//! What a client asks for at the authorization endpoint (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1), after every check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_protocol::confirmation::Confirmation;
use shared_protocol::scope::{ScopeSet, ScopeToken};

use super::acr::RequestedAcr;
use super::agreement::Agreement;
use super::claims::RequestedClaims;
use super::display::Display;
use super::pushed::PushedUri;
use super::response::ReturnPath;
pub use super::response_type::ResponseType;
use crate::clients::Client;
use crate::locales::Locales;
use crate::pkce::CodeChallenge;
use crate::subjects::Expected;

/// How an answer travels to the client (OAuth 2.0 Multiple Response Type Encoding Practices §2.1, Form Post Response Mode, JWT Secured
/// Authorization Response Mode §2.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ResponseMode {
    /// In the query of the redirect.
    #[default]
    Query,
    /// In its fragment.
    Fragment,
    /// By a form that the browser posts.
    FormPost,
    /// As a JWT, where answers of the type would be.
    Jwt,
    /// As a JWT in the query.
    QueryJwt,
    /// As a JWT in the fragment.
    FragmentJwt,
    /// As a JWT in a form that the browser posts.
    FormPostJwt,
}

impl ResponseMode {
    /// Every mode.
    pub const ALL: [Self; 7] = [
        Self::Query,
        Self::Fragment,
        Self::FormPost,
        Self::Jwt,
        Self::QueryJwt,
        Self::FragmentJwt,
        Self::FormPostJwt,
    ];

    /// The `response_mode`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
            Self::Jwt => "jwt",
            Self::QueryJwt => "query.jwt",
            Self::FragmentJwt => "fragment.jwt",
            Self::FormPostJwt => "form_post.jwt",
        }
    }

    /// Whether the answer is a JWT.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        match self {
            Self::Jwt | Self::QueryJwt | Self::FragmentJwt | Self::FormPostJwt => true,
            Self::Query | Self::Fragment | Self::FormPost => false,
        }
    }

    /// The mode that is meant in a request for this type (JARM §2.3.4).
    #[must_use]
    pub const fn of(self, response_type: Option<ResponseType>) -> Self {
        match (self, response_type) {
            (Self::Jwt, Some(known)) if known.is_in_front() => Self::FragmentJwt,
            (Self::Jwt, _) => Self::QueryJwt,
            _ => self,
        }
    }

    /// Whether servers on the way see the answer.
    #[must_use]
    pub const fn is_in_query(self) -> bool {
        matches!(self, Self::Query | Self::QueryJwt)
    }
}

/// How a request came, beside what it says: kept with it, for the checks that are made anew.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Origin {
    /// The name under which the client pushed it, if it did (RFC 9126).
    pub pushed: Option<PushedUri>,
    /// Whether the client signed it (RFC 9101).
    pub is_signed: bool,
    /// What the client proved to have when it pushed it (RFC 9449 §10.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
}

/// What is asked of requests beside what they say, and what they may ask for: the operator's to set.
#[derive(Clone, Debug)]
pub struct RequestPolicy {
    /// The response types that are served, in the order of [`ResponseType::ALL`].
    pub response_types: Vec<ResponseType>,
    /// Whether every request must be pushed (RFC 9126 §5).
    pub require_pushed: bool,
    /// Whether every request must be signed (RFC 9101 §10.5).
    pub require_signed: bool,
    /// Whether a client may register that it does not sign its request objects.
    pub unsigned_objects: bool,
}

/// What the client wants to happen whatever is remembered (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Prompt {
    /// Show nothing.
    None,
    /// Sign in again.
    Login,
    /// Ask again.
    Consent,
    /// Ask which account it is to be.
    SelectAccount,
    /// Make an account (Initiating User Registration via OpenID Connect 1.0 §4).
    Create,
}

impl Prompt {
    /// Every prompt that may be served.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Login,
        Self::Consent,
        Self::SelectAccount,
        Self::Create,
    ];

    /// One value of `prompt`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
            Self::Create => "create",
        }
    }
}

/// Scopes of this server itself: they belong to no resource, and never refuse a request that names one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OwnScope {
    /// An ID token (OpenID Connect Core §3.1.2.1).
    OpenId,
    /// OpenID Connect Core §5.4.
    Profile,
    /// OpenID Connect Core §5.4.
    Email,
    /// OpenID Connect Core §5.4.
    Address,
    /// OpenID Connect Core §5.4.
    Phone,
    /// What outlives the session (OpenID Connect Core §11).
    OfflineAccess,
}

impl OwnScope {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OpenId,
        Self::Profile,
        Self::Email,
        Self::Address,
        Self::Phone,
        Self::OfflineAccess,
    ];

    /// The scope token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenId => "openid",
            Self::Profile => "profile",
            Self::Email => "email",
            Self::Address => "address",
            Self::Phone => "phone",
            Self::OfflineAccess => "offline_access",
        }
    }

    /// The same, as it is compared.
    ///
    /// # Panics
    /// Never: each is of letters and an underscore.
    #[must_use]
    pub fn token(self) -> ScopeToken {
        let token = self.as_str().parse();
        token.expect("letters and an underscore")
    }

    /// What people are told that it allows; nothing where it says how and not what.
    #[must_use]
    pub const fn description(self) -> Option<&'static str> {
        match self {
            Self::OpenId => Some("Know that it is you"),
            Self::Profile => Some("See your profile, such as your name, picture and birth date"),
            Self::Email => Some("See your email address"),
            Self::Address => Some("See your postal address"),
            Self::Phone => Some("See your phone number"),
            Self::OfflineAccess => None,
        }
    }

    /// What of `scope` is this server's own.
    #[must_use]
    pub fn those_in(scope: &ScopeSet) -> ScopeSet {
        let own = scope.iter().filter(|token| Self::of(token).is_some());
        own.cloned().collect()
    }

    /// The scope that `token` names, if it is one of these.
    #[must_use]
    pub fn of(token: &ScopeToken) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|own| own.as_str() == token.as_str())
    }

    /// `scope` without it.
    #[must_use]
    pub fn left_out_of(self, scope: &ScopeSet) -> ScopeSet {
        let others = scope.iter().filter(|token| token.as_str() != self.as_str());
        others.cloned().collect()
    }

    /// Whether `scope` holds it.
    #[must_use]
    pub fn is_in(self, scope: &ScopeSet) -> bool {
        scope.iter().any(|token| token.as_str() == self.as_str())
    }
}

/// An authorization request that passed every check.
pub struct AuthorizationRequest {
    /// Who asks.
    pub client: Arc<Client>,
    /// Where the answer goes, and how.
    pub back: ReturnPath,
    /// How it came.
    pub origin: Origin,
    /// What the answer is to carry.
    pub response_type: ResponseType,
    /// What is asked for: only what exists and what the client may ask for.
    pub scope: ScopeSet,
    /// The same as a person agrees to it: each scope with the resource that it belongs to.
    pub asked: Agreement,
    /// The challenge, if there is one.
    pub code_challenge: Option<CodeChallenge>,
    /// What the code is bound to, if it is (RFC 9449 §10).
    pub confirmation: Option<Confirmation>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// What is to be shown whatever is remembered.
    pub prompt: BTreeSet<Prompt>,
    /// How long ago the person may have signed in.
    pub max_age: Option<Duration>,
    /// The claims that are asked for one by one.
    pub claims: RequestedClaims,
    /// How sure the client wants to be of them.
    pub acr: RequestedAcr,
    /// The languages that the client says they read.
    pub locales: Locales,
    /// How pages are to be shown.
    pub display: Display,
    /// Whose answer alone the client wants.
    pub expected: Option<Expected>,
    /// Who is expected, to be shown in the form.
    pub login_hint: Option<String>,
}

impl AuthorizationRequest {
    /// Whether nothing may be shown to anybody.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.prompt.contains(&Prompt::None)
    }

    /// Whether any program on the person's device could have made this request, so that a person must see it each time: a public
    /// client on a loopback or a private-use redirect (RFC 8252 §8.6).
    #[must_use]
    pub fn is_never_silent(&self) -> bool {
        self.client.metadata.is_public() && self.back.redirect_uri.is_on_device()
    }
}
