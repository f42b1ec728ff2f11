//! What an operator could do about a refusal, where that is known: one line for each kind of cause.

use std::error::Error;

use shared_protocol::bearer::{BearerError, InvalidToken};
use shared_protocol::dpop::DpopError;
use shared_protocol::jose::JwtError;
use shared_server::rate_limits::{Limit, Limited};
use shared_server::web::Cause;

use crate::accounts::sign_in::{Held, SignInRefusal, Unproven};
use crate::assertions::Unusable;
use crate::authorize::error::{AuthorizeError, PageCause, RedirectCause};
use crate::authorize::page::PageError;
use crate::clients::assertion::AssertionError;
use crate::clients::authenticate::ClientAuthError;
use crate::clients::authenticate::binding::BindingError;
use crate::clients::directory::DirectoryError;
use crate::registration::error::RegistrationError;
use crate::token::error::TokenError;
use crate::token::jwt_bearer::AssertionRefusal;

const NO_CLIENT: &str = "list the clients there are: `auth-server client list`; one that was deleted has to be made anew";
const REDIRECT: &str = "have the app send one of those that are registered, to the letter, or register the other: a client that registered \
    itself does so by PUT (RFC 7592), for others make a new one: `auth-server client create --redirect-uri …`";
const SCOPE: &str = "have the app ask for less, or register the scope: with the client (`auth-server client create --scope …`), and with a \
    resource server (`auth-server resource create … --scope …`); `auth-server client show` tells what the client has";
const PROFILE: &str = "the client was registered before the profile, or without it: make one that meets it (`auth-server client create`), take the \
    profile of the client away (`auth-server client set-profile`), or the server's (`profile` in its configuration)";
const NAME_RESOURCE: &str =
    "have the app send `resource` in the authorization request and in the token request (RFC 8707)";
const RESOURCE: &str =
    "name one of `auth-server resource list`, or register it: `auth-server resource create`";
const NONCE: &str = "nothing is wrong: the app has to make another proof, with the nonce that it was told in DPoP-Nonce (RFC 9449 section 8)";
const BEGUN: &str = "nothing is wrong: the ephemeral store was empty a moment ago, so that nobody knows what was used before; the app has to come again \
    with a new assertion";
const LOOK: &str = "a backend did not answer: look at /health/ready and at the log under this id";

/// What could be done about it. An error that only passes on another is seen through.
pub(super) fn mend(Cause(cause): &Cause) -> Option<String> {
    let cause: &(dyn Error + 'static) = &**cause;
    of_token(cause.downcast_ref())
        .or_else(|| of_redirect(cause.downcast_ref()))
        .or_else(|| of_page(cause.downcast_ref()))
        .or_else(|| of_step(cause.downcast_ref()))
        .or_else(|| of_sign_in(cause.downcast_ref()))
        .or_else(|| of_registration(cause.downcast_ref()))
        .or_else(|| of_bearer(cause.downcast_ref()))
        .map(str::to_owned)
}

fn of_token(error: Option<&TokenError>) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most causes say what to do")]
    match error? {
        TokenError::ClientAuth(error) => of_client(error),
        TokenError::Binding(error) => Some(of_binding(*error)),
        TokenError::Dpop(DpopError::UseNonce(_)) => Some(NONCE),
        TokenError::CodeOfAnotherKey | TokenError::RefreshOfAnotherKey => Some(
            "the app has to prove the key, or show the certificate, that it began with; if that is lost, its people have to sign in again",
        ),
        TokenError::UnauthorizedClient(_) => Some(
            "the client has to be registered for the grant: `auth-server client create --grant …`; `auth-server client show` tells what it has",
        ),
        TokenError::Profile(_) => Some(PROFILE),
        TokenError::TokenAlgorithm(_) => Some(
            "give the resource server another algorithm: `auth-server resource create … --alg ES256`",
        ),
        TokenError::NoResource => Some(NAME_RESOURCE),
        TokenError::UnsupportedGrantType => {
            Some("this server does not serve the grant as it is configured; see [authorization]")
        }
        TokenError::ConfidentialOnly => {
            Some("the client needs a secret or a key: `auth-server client create --auth-method …`")
        }
        TokenError::InvalidScope | TokenError::ScopeNotAllowed(_) | TokenError::NoScope => {
            Some(SCOPE)
        }
        TokenError::UnknownResource | TokenError::NoSuchResource(_) => Some(RESOURCE),
        TokenError::AmbiguousScope | TokenError::SeveralResources => Some(
            "have the app name one `resource`, or give the client a default: `auth-server client create --default-resource …`",
        ),
        TokenError::CodeUnknown => Some(
            "codes live for authorization.code_lifetime; if the app was in time, see whether all nodes share one ephemeral store",
        ),
        TokenError::CodeReplayed => Some(
            "the app redeems each code twice, or somebody else has it; all that it brought is revoked",
        ),
        TokenError::RedirectUri(_) => Some(
            "have the app send the redirect_uri of its authorization request at the token endpoint too",
        ),
        TokenError::Verifier | TokenError::NoVerifier => Some(
            "have the app keep the code_verifier of the very request that it answers, one for each",
        ),
        TokenError::RefreshReplayed => Some(
            "the app uses a refresh token after it got the next one, or somebody else has it; its people have to sign in again",
        ),
        TokenError::RefreshExpired => {
            Some("the person has to sign in again; the times are refresh_tokens.idle and .absolute")
        }
        TokenError::SessionOver | TokenError::GrantOver => Some("the person has to sign in again"),
        TokenError::PersonGone => Some("the account is disabled: `auth-server user enable`"),
        TokenError::SignIn(error) => of_sign_in(Some(error)),
        TokenError::RateLimited(limited) => Some(of_limit(limited)),
        TokenError::Request(error) => match &**error {
            AuthorizeError::Page(cause) => of_page(Some(cause)),
            AuthorizeError::Redirect(_, cause) => of_redirect(Some(cause)),
        },
        TokenError::NoSigningKey => Some(
            "add the algorithm to keys.algorithms, or give the resource server or client another",
        ),
        TokenError::Assertion(AssertionRefusal::Unusable(
            error @ Unusable::MemoryBegins { .. },
        )) => of_unusable(error),
        error if error.wire().0.is_server_error() => Some(LOOK),
        _ => None,
    }
}

/// At userinfo.
fn of_bearer(error: Option<&BearerError>) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most causes say what to do")]
    match error? {
        BearerError::InvalidToken(InvalidToken::SenderConstrained) | BearerError::NoProof => Some(
            "have the app send its token as `Authorization: DPoP`, with a proof of the key that it is bound to (RFC 9449 section 7.1)",
        ),
        BearerError::InvalidToken(InvalidToken::Certificate) => Some(
            "have the app go to the userinfo_endpoint of mtls_endpoint_aliases with the certificate that its token is bound to; behind a proxy, \
             see proxies.client_certificates",
        ),
        BearerError::InvalidToken(InvalidToken::NotBound) => Some(
            "have the app send the token as its token_type says, and a proof with the token request if it is to be bound (RFC 9449 section 5)",
        ),
        BearerError::Proof(DpopError::UseNonce(_)) => Some(NONCE),
        error if error.wire().0.is_server_error() => Some(LOOK),
        _ => None,
    }
}

fn of_client(error: &ClientAuthError) -> Option<&'static str> {
    match error {
        ClientAuthError::Unknown | ClientAuthError::Refused => Some(NO_CLIENT),
        ClientAuthError::Secret => Some(
            "give the app the secret that is good, or a new one: `auth-server client rotate-secret`",
        ),
        ClientAuthError::OtherMethod { .. } => Some(
            "have the app authenticate as it registered (`auth-server client show`: token_endpoint_auth_method)",
        ),
        ClientAuthError::Missing => {
            Some("have the app send its client_id, and its secret or assertion if it has one")
        }
        ClientAuthError::MalformedBasic => Some(
            "have the app form-urlencode client_id and secret, join them by a colon, and encode that as base64 (RFC 6749 section 2.3.1)",
        ),
        ClientAuthError::Assertion(error) => of_assertion(error),
        ClientAuthError::MalformedClientId
        | ClientAuthError::OtherClientId
        | ClientAuthError::AssertionType
        | ClientAuthError::Document(_)
        | ClientAuthError::Certificate(_) => None,
    }
}

fn of_binding(error: BindingError) -> &'static str {
    match error {
        BindingError::NoProof => {
            "have the app send a DPoP proof with each token request (RFC 9449), or register it without dpop_bound_access_tokens"
        }
        BindingError::Unbound => {
            "have the app send a DPoP proof with each token request (RFC 9449), or bind its tokens to its certificate: `auth-server client create --certificate-bound-access-tokens`"
        }
        BindingError::NoCertificate => {
            "have the app connect to mtls_endpoint_aliases with its certificate; behind a proxy, see proxies.client_certificates"
        }
        BindingError::TwoWays => {
            "have the app send no DPoP proofs, or register it without tls_client_certificate_bound_access_tokens"
        }
    }
}

fn of_assertion(error: &AssertionError) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most causes say what to do")]
    match error {
        AssertionError::Jwt(JwtError::UnknownKey | JwtError::Signature) => {
            Some("register the key that the app signs with, or publish it at its jwks_uri")
        }
        AssertionError::Unusable(error) => of_unusable(error),
        _ => None,
    }
}

fn of_unusable(error: &Unusable) -> Option<&'static str> {
    match error {
        Unusable::Expired | Unusable::TooFarAhead => {
            Some("compare the clocks of the app and of this server")
        }
        Unusable::Replayed => Some("have the app make an assertion for each request"),
        Unusable::Ephemeral(_) => Some(LOOK),
        Unusable::MemoryBegins { .. } => Some(BEGUN),
        Unusable::Jwt(_) | Unusable::TooOld | Unusable::Identifier | Unusable::BeforeMemory => None,
    }
}

fn of_redirect(cause: Option<&RedirectCause>) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most causes say what to do")]
    match cause? {
        RedirectCause::InvalidScope(_) => Some(SCOPE),
        RedirectCause::UnknownResource(_) => Some(RESOURCE),
        RedirectCause::NoCodeChallenge => Some(
            "have the app use PKCE with S256; for confidential clients authorization.pkce = \"public_only\" lets it be",
        ),
        RedirectCause::NotPushed => Some(
            "have the app push its requests (RFC 9126), or lift authorization.require_pushed_authorization_requests",
        ),
        RedirectCause::NotSigned => Some(
            "have the app sign its requests (RFC 9101), or lift authorization.require_signed_request_object",
        ),
        RedirectCause::UnsignedAnswer => {
            Some("have the app send response_mode=jwt, which the profile demands")
        }
        RedirectCause::Profile(_) => Some(PROFILE),
        RedirectCause::NoResource => Some(NAME_RESOURCE),
        RedirectCause::UnsupportedResponseType(_) => Some(
            "have the app use response_type=code; others are served only where authorization.response_types says so",
        ),
        RedirectCause::UnauthorizedClient(_) => Some(
            "the client has to be registered for it: `auth-server client show` tells for what it is",
        ),
        RedirectCause::LoginRequired(_) | RedirectCause::ConsentRequired(_) => Some(
            "nothing is wrong: the app asked without showing anything, and has to ask again without prompt=none",
        ),
        RedirectCause::Tokens(error) => of_token(Some(error)),
        RedirectCause::Store(_) | RedirectCause::Ephemeral(_) | RedirectCause::Account(_) => {
            Some(LOOK)
        }
        _ => None,
    }
}

fn of_page(cause: Option<&PageCause>) -> Option<&'static str> {
    match cause? {
        PageCause::UnknownClient(_) => Some(NO_CLIENT),
        PageCause::UnregisteredRedirectUri(_) => Some(REDIRECT),
        PageCause::NoRedirectUri => Some(
            "have the app send its redirect_uri: OpenID Connect wants it always, OAuth where several are registered",
        ),
        PageCause::Unread(cause) => of_redirect(Some(cause)),
        PageCause::TooMany { .. } => Some(
            "authorization.interactions_per_address bounds it; raise it if many people share the address",
        ),
        PageCause::Directory(DirectoryError::Limited(limited)) => Some(of_limit(limited)),
        PageCause::Parameters(_) | PageCause::Form(_) | PageCause::Directory(_) => None,
    }
}

fn of_step(error: Option<&PageError>) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most causes say what to do")]
    match error? {
        PageError::NoCookie => Some(
            "the person's browser blocks cookies, or the page is framed by another site, which is not served",
        ),
        PageError::Stale | PageError::Over(_) => {
            Some("nothing is wrong: the person has to begin again at the app")
        }
        PageError::RateLimited(limited) => Some(of_limit(limited)),
        PageError::Ephemeral(_) => Some(LOOK),
        _ => None,
    }
}

fn of_sign_in(error: Option<&SignInRefusal>) -> Option<&'static str> {
    match error? {
        SignInRefusal::Credentials(Unproven::NoAccount) => {
            Some("make the account, if there should be one: `auth-server user create`")
        }
        SignInRefusal::Credentials(Unproven::Disabled) => {
            Some("enable the account, if it should be: `auth-server user enable`")
        }
        SignInRefusal::Credentials(_)
        | SignInRefusal::TooMany {
            held: Held::Locked, ..
        } => Some(
            "if it is the owner, give them a new password, which ends a lock too: `auth-server user set-password`",
        ),
        SignInRefusal::TooMany { .. } => None,
        SignInRefusal::Busy => {
            Some("more people sign in than there are cores to hash for; see passwords.queue")
        }
        SignInRefusal::Hash | SignInRefusal::Store(_) | SignInRefusal::Ephemeral(_) => Some(LOOK),
    }
}

fn of_registration(error: Option<&RegistrationError>) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most causes say what to do")]
    match error? {
        RegistrationError::NoToken | RegistrationError::TokenRefused => Some(
            "who registers needs an initial access token (`auth-server registration-token create`), who manages a client that client's token",
        ),
        RegistrationError::Scope(_) | RegistrationError::DetailsType(_) => {
            Some("make the client yourself (`auth-server client create`), or see [registration]")
        }
        RegistrationError::Full => Some(
            "many clients were registered and never used: registration.unused_lifetime ends them",
        ),
        RegistrationError::RateLimited(limited) => Some(of_limit(limited)),
        RegistrationError::Store(_) => Some(LOOK),
        _ => None,
    }
}

fn of_limit(limited: &Limited) -> &'static str {
    match limited.limit() {
        Limit::Address => {
            "rate_limits.address bounds it; raise it if many share the address, or name your proxies in [proxies]"
        }
        Limit::Client => {
            "rate_limits.client bounds it; see whether the app keeps its tokens until they expire"
        }
        Limit::Account => "rate_limits.account bounds it",
        Limit::Documents => "client_documents.fetches_per_address bounds it",
        Limit::ClientFailures => {
            "client_authentication.failures bounds it; mend the app's secret, and wait"
        }
        Limit::AddressFailures => {
            "client_authentication.address_failures bounds it; see whether somebody guesses"
        }
        Limit::Registration => "registration.rate bounds it",
        Limit::SignUp => "sign_up.rate bounds it",
    }
}
