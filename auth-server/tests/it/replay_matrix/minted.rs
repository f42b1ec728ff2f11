//! All that the server draws, makes by a MAC or signs, from its source: each is shown everywhere, or is nothing that anybody is handed.

use std::collections::BTreeSet;

use super::artefacts::Artefact;
use crate::source::files_that_say;

/// What randomness, keys for MACs and signatures are asked for with.
const MINTS: [&str; 7] = [
    "random::alphanumeric(",
    "random::bytes",
    "random::{Random, alphanumeric}",
    "identifier!(",
    "mac_key(\"",
    ".key(\"",
    "sign_jwt(",
];

enum Minted {
    /// Shown everywhere.
    As(&'static [Artefact]),
    /// Nothing to be shown, for this reason.
    Kept(&'static str),
}

use Artefact as A;
use Minted::{As, Kept};

const BY_THE_SERVER: &[(&str, Minted)] = &[
    ("accounts.rs", As(&[A::AccountId])),
    ("accounts/known_devices.rs", As(&[A::DeviceCookie])),
    ("accounts/password/hasher.rs", Kept("salts of passwords")),
    ("authorize/pushed.rs", As(&[A::RequestUri])),
    ("authorize/response.rs", As(&[A::AuthorizationResponse])),
    ("back_channel/token.rs", As(&[A::LogoutToken])),
    ("browser.rs", As(&[A::BrowserCookie])),
    (
        "browser/form_tokens.rs",
        As(&[
            A::SignInForm,
            A::SignUpForm,
            A::SelectAccountForm,
            A::ConsentForm,
            A::UserCodeForm,
            A::DeviceForm,
            A::SignOutForm,
        ]),
    ),
    (
        "cli/users.rs",
        Kept("a password, which an operator is told and a person types"),
    ),
    ("clients/secret.rs", As(&[A::ClientSecret, A::PostedSecret])),
    ("codes.rs", As(&[A::Code, A::BoundCode, A::CertifiedCode])),
    ("device.rs", As(&[A::DeviceCode])),
    ("device/user_code.rs", As(&[A::UserCode])),
    ("dpop.rs", As(&[A::DpopNonce])),
    ("grants.rs", As(&[A::GrantId])),
    ("id_token.rs", As(&[A::IdToken])),
    (
        "identifiers.rs",
        Kept("what identifiers have in common; each is declared elsewhere"),
    ),
    ("interactions.rs", As(&[A::Interaction])),
    ("introspect/signed.rs", As(&[A::SignedIntrospection])),
    ("keys/encryption.rs", Kept("nonces of sealed rows")),
    ("keys/encryption/file.rs", Kept("a key in a file")),
    ("keys/root_secret.rs", Kept("a key in a sealed row")),
    ("metadata.rs", As(&[A::SignedMetadata])),
    (
        "pages/frame.rs",
        Kept("the nonce of one page's own scripts, which nothing takes back"),
    ),
    ("records.rs", As(&[A::ClientId])),
    (
        "refusals/keeper.rs",
        Kept("the name of a row that operators read"),
    ),
    ("registration/initial.rs", As(&[A::InitialAccessTokenId])),
    ("registration/register.rs", As(&[A::ClientId])),
    (
        "registration/token.rs",
        As(&[A::InitialAccessToken, A::RegistrationAccessToken]),
    ),
    (
        "server.rs",
        As(&[
            A::RefreshToken,
            A::PublicRefreshToken,
            A::BoundRefreshToken,
            A::CertifiedRefreshToken,
        ]),
    ),
    ("sessions.rs", As(&[A::SessionCookie, A::SessionId])),
    ("sign_out/kept.rs", As(&[A::LogoutHandle])),
    (
        "subjects.rs",
        Kept("what a sector calls a person, as account ids do elsewhere"),
    ),
    (
        "token/access_token.rs",
        As(&[
            A::OwnToken,
            A::ApiToken,
            A::ActorToken,
            A::BoundToken,
            A::CertifiedToken,
            A::TokenId,
        ]),
    ),
    (
        "token/opaque.rs",
        As(&[A::OpaqueToken, A::BoundOpaqueToken]),
    ),
    ("token/password.rs", Kept("the salt of a refresh family")),
    (
        "token/token_exchange.rs",
        Kept("the salt of a refresh family"),
    ),
    (
        "token/token_exchange/identity_assertion.rs",
        As(&[A::OwnIdentityAssertion]),
    ),
    ("userinfo.rs", As(&[A::SignedUserinfo])),
];

/// By what both servers have.
const BY_EITHER: &[(&str, Minted)] = &[
    ("jobs.rs", Kept("the name of a node to the others")),
    ("web/request_id.rs", As(&[A::RequestId])),
];

/// What is not minted here: others make it, or it says where something is.
const OF_OTHERS: &[Artefact] = &[
    A::RequestReference,
    A::BearerAssertion,
    A::IdentityAssertion,
    A::ClientAssertion,
    A::ToolAssertion,
    A::RequestObject,
    A::SoftwareStatement,
    A::ManagementUri,
    A::TokenProof,
    A::PushProof,
    A::UserinfoProof,
    A::KeyThumbprint,
    A::CertificateThumbprint,
    A::KeyId,
];

#[test]
fn threat_5_all_that_is_minted_is_shown_everywhere_or_to_nobody() {
    let mut shown: BTreeSet<Artefact> = OF_OTHERS.iter().copied().collect();
    for (package, known) in [("auth-server", BY_THE_SERVER), ("shared/server", BY_EITHER)] {
        let files: BTreeSet<String> = known.iter().map(|(file, _)| (*file).to_owned()).collect();
        let found = files_that_say(package, &MINTS);
        assert_eq!(
            found, files,
            "{package}: name what is new as an artefact, or say why nobody is handed it"
        );
        for (file, minted) in known {
            match minted {
                As(artefacts) => shown.extend(artefacts.iter()),
                Kept(why) => assert!(!why.is_empty(), "{file}"),
            }
        }
    }
    let all: BTreeSet<Artefact> = Artefact::ALL.iter().copied().collect();
    assert_eq!(shown, all);
}
