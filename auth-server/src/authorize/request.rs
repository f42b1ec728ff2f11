//! What a client asks for at the authorization endpoint (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1), after every check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shared_protocol::scope::{ScopeSet, ScopeToken};

use super::acr::RequestedAcr;
use super::agreement::Agreement;
use super::display::Display;
use super::response::ReturnPath;
use crate::accounts::AccountId;
use crate::clients::Client;
use crate::locales::Locales;
use crate::pkce::CodeChallenge;

/// The one response type that is served (RFC 9700 §2.1.2).
pub const RESPONSE_TYPE: &str = "code";
/// Every response type that is served.
pub const RESPONSE_TYPES: [&str; 1] = [RESPONSE_TYPE];

/// How an answer travels to the client (OAuth 2.0 Multiple Response Type Encoding Practices §2.1, Form Post Response Mode).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ResponseMode {
    /// In the query of the redirect.
    #[default]
    Query,
    /// In its fragment.
    Fragment,
    /// By a form that the browser posts.
    FormPost,
}

impl ResponseMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Query, Self::Fragment, Self::FormPost];

    /// The `response_mode`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
        }
    }
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

    /// What people are told that it allows; nothing where it says how and not what.
    #[must_use]
    pub const fn description(self) -> Option<&'static str> {
        match self {
            Self::OpenId => Some("Know that it is you"),
            Self::Profile => Some("See your name"),
            Self::Email => Some("See your email address"),
            Self::Address => Some("See your postal address"),
            Self::Phone => Some("See your phone number"),
            Self::OfflineAccess => None,
        }
    }

    /// Whether it brings anything: nothing is kept of a person's postal address or telephone, so that these two are known and not
    /// announced.
    #[must_use]
    pub const fn is_served(self) -> bool {
        match self {
            Self::OpenId | Self::Profile | Self::Email | Self::OfflineAccess => true,
            Self::Address | Self::Phone => false,
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
    /// What is asked for: only what exists and what the client may ask for.
    pub scope: ScopeSet,
    /// The same as a person agrees to it: each scope with the resource that it belongs to.
    pub asked: Agreement,
    /// The challenge, if there is one.
    pub code_challenge: Option<CodeChallenge>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// What is to be shown whatever is remembered.
    pub prompt: BTreeSet<Prompt>,
    /// How long ago the person may have signed in.
    pub max_age: Option<Duration>,
    /// How sure the client wants to be of them.
    pub acr: RequestedAcr,
    /// The languages that the client says they read.
    pub locales: Locales,
    /// How pages are to be shown.
    pub display: Display,
    /// Whose answer alone the client wants.
    pub expected: Option<AccountId>,
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
