//! All that the server draws, makes by a MAC or signs, from its source: each is shown everywhere, or is nothing that anybody is handed.

use std::collections::BTreeSet;

use shared_protocol::jose::JwtKind;

use self::Minted::{As, Kept};
use super::artefacts::Artefact as A;
use crate::source::{files_that_say, said};

enum Minted {
    /// Shown everywhere.
    As(&'static [A]),
    /// Nothing to be shown, for this reason.
    Kept(&'static str),
}

/// What is drawn, by package and file.
const DRAWN: &[(&str, &str, Minted)] = &[
    (
        "auth-server",
        "accounts/known_devices.rs",
        As(&[A::DeviceCookie]),
    ),
    (
        "auth-server",
        "accounts/password/hasher.rs",
        Kept("salts of passwords"),
    ),
    ("auth-server", "authorize/pushed.rs", As(&[A::RequestUri])),
    (
        "auth-server",
        "back_channel/token.rs",
        Kept("the jti of logout tokens, which is in each"),
    ),
    ("auth-server", "browser.rs", As(&[A::BrowserCookie])),
    (
        "auth-server",
        "cli/users.rs",
        Kept("a password, which an operator is told and a person types"),
    ),
    (
        "auth-server",
        "clients/secret.rs",
        As(&[A::ClientSecret, A::PostedSecret]),
    ),
    (
        "auth-server",
        "codes.rs",
        As(&[A::Code, A::BoundCode, A::CertifiedCode]),
    ),
    ("auth-server", "device.rs", As(&[A::DeviceCode])),
    ("auth-server", "device/user_code.rs", As(&[A::UserCode])),
    (
        "auth-server",
        "identifiers.rs",
        Kept("what identifiers have in common"),
    ),
    (
        "auth-server",
        "keys/encryption.rs",
        Kept("nonces of sealed rows"),
    ),
    (
        "auth-server",
        "keys/encryption/file.rs",
        Kept("a key in a file"),
    ),
    (
        "auth-server",
        "keys/root_secret.rs",
        Kept("a key in a sealed row"),
    ),
    (
        "auth-server",
        "pages/frame.rs",
        Kept("the nonce of one page's own scripts, which nothing takes back"),
    ),
    ("auth-server", "records.rs", As(&[A::ClientId])),
    (
        "auth-server",
        "refusals/keeper.rs",
        Kept("the name of a row that operators read"),
    ),
    (
        "auth-server",
        "registration/register.rs",
        As(&[A::ClientId]),
    ),
    (
        "auth-server",
        "registration/token.rs",
        As(&[A::InitialAccessToken, A::RegistrationAccessToken]),
    ),
    ("auth-server", "sessions.rs", As(&[A::SessionCookie])),
    ("auth-server", "token/access_token.rs", As(&[A::TokenId])),
    (
        "auth-server",
        "token/opaque.rs",
        As(&[A::OpaqueToken, A::BoundOpaqueToken]),
    ),
    (
        "auth-server",
        "token/password.rs",
        Kept("the salt of a refresh family"),
    ),
    (
        "auth-server",
        "token/token_exchange.rs",
        Kept("the salt of a refresh family"),
    ),
    (
        "auth-server",
        "token/token_exchange/identity_assertion.rs",
        Kept("the jti of ID-JAGs, which is in each"),
    ),
    (
        "shared/server",
        "jobs.rs",
        Kept("the name of a node to the others"),
    ),
    ("shared/server", "web/request_id.rs", As(&[A::RequestId])),
];

/// How identifiers begin.
const IDENTIFIERS: &[(&str, Minted)] = &[
    ("grt_", As(&[A::GrantId])),
    ("int_", As(&[A::Interaction])),
    ("irt_", As(&[A::InitialAccessTokenId])),
    ("lgo_", As(&[A::LogoutHandle])),
    ("ses_", As(&[A::SessionId])),
    ("usr_", As(&[A::AccountId])),
];

/// What the root secret makes keys for.
const PURPOSES: &[(&str, Minted)] = &[
    ("dpop nonce", As(&[A::DpopNonce])),
    (
        "form",
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
    ("known device", As(&[A::DeviceCookie])),
    (
        "pairwise subject",
        Kept("what a sector calls a person, as account ids do elsewhere"),
    ),
    (
        "refresh token",
        As(&[
            A::RefreshToken,
            A::PublicRefreshToken,
            A::BoundRefreshToken,
            A::CertifiedRefreshToken,
        ]),
    ),
];

/// What comes of the kinds that the server signs.
const fn signed(kind: JwtKind) -> &'static [A] {
    match kind {
        JwtKind::AccessToken => &[
            A::OwnToken,
            A::ApiToken,
            A::ActorToken,
            A::BoundToken,
            A::CertifiedToken,
        ],
        JwtKind::IdToken => &[A::IdToken],
        JwtKind::LogoutToken => &[A::LogoutToken],
        JwtKind::IdentityAssertion => &[A::OwnIdentityAssertion],
        JwtKind::AuthorizationResponse => &[A::AuthorizationResponse],
        JwtKind::Userinfo => &[A::SignedUserinfo],
        JwtKind::ServerMetadata => &[A::SignedMetadata],
        JwtKind::TokenIntrospection => &[A::SignedIntrospection],
        JwtKind::ClientAssertion
        | JwtKind::SoftwareStatement
        | JwtKind::RequestObject
        | JwtKind::BearerAssertion
        | JwtKind::DpopProof => &[],
    }
}

/// What is not minted here: others make it, or it says where something is.
const OF_OTHERS: &[A] = &[
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

/// The artefacts of a list that has all that was found.
fn known(found: &BTreeSet<String>, list: &[(&str, &Minted)]) -> Vec<A> {
    let names: BTreeSet<String> = list.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        *found, names,
        "name what is new as an artefact, or say why nobody is handed it"
    );
    let shown = list.iter().flat_map(|(name, minted)| match minted {
        As(artefacts) => *artefacts,
        Kept(why) => {
            assert!(!why.is_empty(), "{name}");
            &[]
        }
    });
    shown.copied().collect()
}

fn by_name(list: &'static [(&'static str, Minted)]) -> Vec<(&'static str, &'static Minted)> {
    list.iter().map(|(name, minted)| (*name, minted)).collect()
}

#[test]
fn threat_5_all_that_is_minted_is_shown_everywhere_or_to_nobody() {
    let mut shown: BTreeSet<A> = OF_OTHERS.iter().copied().collect();
    let draws = [
        "random::alphanumeric(",
        "random::bytes",
        "random::{Random, alphanumeric}",
    ];
    for package in ["auth-server", "shared/server"] {
        let there = DRAWN.iter().filter(|(of, ..)| *of == package);
        let there: Vec<_> = there.map(|(_, file, minted)| (*file, minted)).collect();
        shown.extend(known(&files_that_say(package, &draws), &there));
    }
    let prefixes = said("auth-server", "identifier!(", ");").into_keys();
    let prefixes = prefixes.map(|said| said.split('"').nth(1).unwrap().to_owned());
    shown.extend(known(&prefixes.collect(), &by_name(IDENTIFIERS)));
    let purposes = ["mac_key(\"", "root_secret.key(\""];
    let purposes = purposes.map(|before| said("auth-server", before, "\"").into_keys());
    let purposes = purposes.into_iter().flatten().collect();
    shown.extend(known(&purposes, &by_name(PURPOSES)));
    let kinds: BTreeSet<String> = said("auth-server", "sign_jwt(JwtKind::", ",")
        .into_keys()
        .collect();
    let every: usize = said("auth-server", "sign_jwt(", ",").into_values().sum();
    let named: usize = said("auth-server", "sign_jwt(JwtKind::", ",")
        .into_values()
        .sum();
    assert_eq!(every, named, "each says which kind it signs");
    for kind in JwtKind::ALL {
        let is_signed = kinds.contains(&format!("{kind:?}"));
        assert_eq!(is_signed, !signed(*kind).is_empty(), "{kind:?}");
        shown.extend(signed(*kind));
    }
    let all: BTreeSet<A> = A::ALL.iter().copied().collect();
    assert_eq!(shown, all);
}

/// What is kept for minutes has one store, and what is sealed or made by a MAC one secret: their names keep them apart.
#[test]
fn threat_5_no_two_things_have_one_name() {
    for (what, before) in [
        ("kinds of what is kept for minutes", "Kind::new(\""),
        ("purposes of MACs", "mac_key(\""),
        ("purposes of keys", "root_secret.key(\""),
        ("purposes of what is sealed", "purpose: \""),
    ] {
        let mut all = said("auth-server", before, "\"");
        for (name, times) in said("shared/server", before, "\"") {
            *all.entry(name).or_default() += times;
        }
        assert!(!all.is_empty(), "{what}");
        let twice: Vec<_> = all.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{what}: {twice:?}");
    }
}
