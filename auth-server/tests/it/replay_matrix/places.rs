//! Everywhere that something may be shown.

mod authorize;
mod clients;
mod grants;
mod people;
mod resources;

use super::artefacts::Artefact;
use super::made::Made;
use crate::browser::Page;
use crate::device;
use crate::dpop::{PAR, TOKEN};
use crate::registration::REGISTER;
use crate::server::Answer;
use crate::stage::{REVOKE_ALL, Stage};

macro_rules! places {
    ($($name:ident at $paths:expr),* $(,)?) => {
        /// One parameter, header or cookie, of somebody.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub(super) enum Place { $($name),* }

        impl Place {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Where it is.
            pub(super) const fn paths(self) -> &'static [&'static str] {
                match self { $(Self::$name => &$paths),* }
            }
        }
    };
}

const AUTHORIZE: &str = "/oauth/authorize";
const LOGOUT: &str = "/oauth/logout";
const INTROSPECT: &str = "/oauth/introspect";
const REVOKE: &str = "/oauth/revoke";
const USERINFO: &str = "/oauth/userinfo";
const MANAGE: &str = "/oauth/register/{client_id}";

// Who shows it by a key makes a good proof, who shows it by another has a key of their own; and likewise of certificates.
places!(
    Code at [TOKEN],
    CodeByKey at [TOKEN],
    CodeByAnotherKey at [TOKEN],
    CodeByCertificate at [TOKEN],
    CodeByAnotherCertificate at [TOKEN],
    RefreshToken at [TOKEN],
    RefreshTokenOfPublic at [TOKEN],
    RefreshTokenByKey at [TOKEN],
    RefreshTokenByAnotherKey at [TOKEN],
    RefreshTokenByCertificate at [TOKEN],
    RefreshTokenByAnotherCertificate at [TOKEN],
    DeviceCode at [TOKEN],
    SubjectAccessToken at [TOKEN],
    SubjectRefreshToken at [TOKEN],
    SubjectIdToken at [TOKEN],
    SubjectJwt at [TOKEN],
    ActorAccessToken at [TOKEN],
    ActorJwt at [TOKEN],
    ActorIdToken at [TOKEN],
    Assertion at [TOKEN],
    ClientAssertionAtToken at [TOKEN],
    ClientAssertionAtPush at [PAR],
    ClientAssertionAtIntrospection at [INTROSPECT],
    ClientAssertionAtRevocation at [REVOKE],
    ClientAssertionOfDevice at [device::PATH],
    BasicSecret at [TOKEN, PAR, INTROSPECT, REVOKE, device::PATH],
    PostedSecret at [TOKEN, PAR, INTROSPECT, REVOKE, device::PATH],
    ProofAtToken at [TOKEN],
    ProofAtPush at [PAR],
    ProofAtUserinfo at [USERINFO],
    NonceAtToken at [TOKEN],
    NonceAtPush at [PAR],
    NonceAtUserinfo at [USERINFO],
    KeyOfCode at [AUTHORIZE],
    KeyOfPushedRequest at [PAR],
    ClientId at [AUTHORIZE],
    Request at [AUTHORIZE],
    PushedRequest at [PAR],
    RequestUri at [AUTHORIZE],
    PushedRequestUri at [PAR],
    IdTokenHint at [AUTHORIZE],
    LogoutHint at [LOGOUT],
    Introspected at [INTROSPECT],
    Revoked at [REVOKE],
    Userinfo at [USERINFO],
    UserinfoByPost at [USERINFO],
    UserinfoInForm at [USERINFO],
    UserinfoByKey at [USERINFO],
    UserinfoByAnotherKey at [USERINFO],
    UserinfoWithoutProof at [USERINFO],
    UserinfoByCertificate at [USERINFO],
    UserinfoByAnotherCertificate at [USERINFO],
    Registering at [REGISTER],
    RegisteringByDpop at [REGISTER],
    SoftwareStatement at [REGISTER],
    Managing at [MANAGE],
    ManagingByDpop at [MANAGE],
    RevokingAll at [REVOKE_ALL],
    RevokingAllByDpop at [REVOKE_ALL],
    SessionCookie at [AUTHORIZE],
    BrowserCookie at [AUTHORIZE],
    DeviceCookie at [AUTHORIZE],
    Interaction at [AUTHORIZE],
    Resume at [AUTHORIZE],
    SignInForm at [AUTHORIZE],
    SignUpForm at [AUTHORIZE],
    SelectAccountForm at [AUTHORIZE],
    ConsentForm at [AUTHORIZE],
    UserCodeForm at ["/device"],
    DeviceForm at ["/device/confirm"],
    SignOutForm at [LOGOUT],
    LogoutResume at [LOGOUT],
    UserCode at ["/device", "/device/confirm"],
    UserCodeInLink at ["/device"],
    UserCodeInPicture at ["/device/qr/{user_code}"],
    Logo at [AUTHORIZE],
);

/// Documents, which are the same for everybody.
pub(super) const TAKING_NOTHING: &[&str] = &["/.well-known/openid-configuration", "/oauth/jwks"];

impl Place {
    /// Where nothing of this is taken: an ID token is no actor, a request that is pushed is none that was, what is bound to a
    /// key or a certificate is of no use to whoever has another or none, and no token but an access token goes by DPoP.
    pub(super) const OF_NOTHING: &'static [Self] = &[
        Self::CodeByAnotherCertificate,
        Self::RefreshTokenByAnotherCertificate,
        Self::ActorIdToken,
        Self::PushedRequestUri,
        Self::UserinfoByAnotherKey,
        Self::UserinfoWithoutProof,
        Self::RegisteringByDpop,
        Self::ManagingByDpop,
        Self::RevokingAllByDpop,
    ];

    /// Where a code is redeemed, for which any try is the last (RFC 6749 §4.1.2).
    pub(super) const fn spends_codes(self) -> bool {
        matches!(
            self,
            Self::Code
                | Self::CodeByKey
                | Self::CodeByAnotherKey
                | Self::CodeByCertificate
                | Self::CodeByAnotherCertificate
        )
    }
}

/// Everything and everybody.
pub(super) struct World<'a> {
    pub(super) stage: &'a Stage,
    pub(super) made: &'a Made<'a>,
}

impl World<'_> {
    fn made(&self, artefact: Artefact) -> &str {
        self.made.value(artefact)
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> url::Url {
        let url = format!("{}{path}", self.stage.server().issuer);
        url::Url::parse_with_params(&url, query).unwrap()
    }
}

/// What came back, and whether that means that what was shown is taken.
trait Came {
    fn status(&self) -> u16;

    /// What is not taken is the fault of who shows it.
    fn is(&self, status: u16) -> bool {
        assert!(self.status() < 500, "{}", self.status());
        self.status() == status
    }
}

impl Came for Answer {
    fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

impl Came for Page {
    fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

impl Place {
    /// Whether what is shown is taken for what belongs here.
    pub(super) async fn takes(self, world: &World<'_>, value: &str) -> bool {
        match self {
            Self::Code => world.code(value).await,
            Self::CodeByKey => world.code_by(&world.stage.prover, value).await,
            Self::CodeByAnotherKey => world.code_by(&world.stage.stranger, value).await,
            Self::CodeByCertificate => world.certified_code(true, value).await,
            Self::CodeByAnotherCertificate => world.certified_code(false, value).await,
            Self::RefreshToken => world.refresh(value).await,
            Self::RefreshTokenOfPublic => world.public_refresh(value).await,
            Self::RefreshTokenByKey => world.refresh_by(&world.stage.prover, value).await,
            Self::RefreshTokenByAnotherKey => world.refresh_by(&world.stage.stranger, value).await,
            Self::RefreshTokenByCertificate => world.certified_refresh(true, value).await,
            Self::RefreshTokenByAnotherCertificate => world.certified_refresh(false, value).await,
            Self::DeviceCode => world.device_code(value).await,
            Self::SubjectAccessToken => world.subject(value, crate::token_exchange::ACCESS).await,
            Self::SubjectRefreshToken => world.subject(value, crate::token_exchange::REFRESH).await,
            Self::SubjectIdToken => world.subject(value, crate::token_exchange::ID).await,
            Self::SubjectJwt => world.subject(value, crate::token_exchange::JWT).await,
            Self::ActorAccessToken => world.actor(value, crate::token_exchange::ACCESS).await,
            Self::ActorJwt => world.actor(value, crate::token_exchange::JWT).await,
            Self::ActorIdToken => world.actor(value, crate::token_exchange::ID).await,
            Self::Assertion => world.assertion(value).await,
            Self::ClientAssertionAtToken
            | Self::ClientAssertionAtPush
            | Self::ClientAssertionAtIntrospection
            | Self::ClientAssertionAtRevocation
            | Self::ClientAssertionOfDevice => {
                let [path] = self.paths() else { unreachable!() };
                world.client_assertion(path, value).await
            }
            Self::BasicSecret => world.basic_secret(self.paths(), value).await,
            Self::PostedSecret => world.posted_secret(self.paths(), value).await,
            Self::ProofAtToken => world.proof_at_token(value).await,
            Self::ProofAtPush => world.proof_at_push(value).await,
            Self::ProofAtUserinfo => world.proof_at_userinfo(value).await,
            Self::NonceAtToken => world.nonce_at_token(value).await,
            Self::NonceAtPush => world.nonce_at_push(value).await,
            Self::NonceAtUserinfo => world.nonce_at_userinfo(value).await,
            Self::KeyOfCode => world.key_of_code(value).await,
            Self::KeyOfPushedRequest => world.key_of_pushed_request(value).await,
            Self::ClientId => world.client_id(value).await,
            Self::Request => world.request(value).await,
            Self::PushedRequest => world.push("request", value).await,
            Self::PushedRequestUri => world.push("request_uri", value).await,
            Self::RequestUri => world.request_uri(value).await,
            Self::IdTokenHint => world.id_token_hint(value).await,
            Self::LogoutHint => world.logout_hint(value).await,
            Self::Introspected => world.is_active(value).await,
            Self::Revoked => world.is_revoked(value).await,
            Self::Userinfo => world.userinfo(value).await,
            Self::UserinfoByPost => world.userinfo_by_post(value).await,
            Self::UserinfoInForm => world.userinfo_in_form(value).await,
            Self::UserinfoByKey => world.userinfo_by(Some(&world.stage.prover), value).await,
            Self::UserinfoByAnotherKey => {
                let stranger = Some(&world.stage.stranger);
                world.userinfo_by(stranger, value).await
            }
            Self::UserinfoWithoutProof => world.userinfo_by(None, value).await,
            Self::UserinfoByCertificate => world.certified_userinfo(true, value).await,
            Self::UserinfoByAnotherCertificate => world.certified_userinfo(false, value).await,
            Self::Registering => world.registers("Bearer", value).await,
            Self::RegisteringByDpop => world.registers("DPoP", value).await,
            Self::SoftwareStatement => world.software_statement(value).await,
            Self::Managing => world.manages("Bearer", value).await,
            Self::ManagingByDpop => world.manages("DPoP", value).await,
            Self::RevokingAll => world.revokes_all("Bearer", value).await,
            Self::RevokingAllByDpop => world.revokes_all("DPoP", value).await,
            Self::SessionCookie => world.session_cookie(value).await,
            Self::BrowserCookie => world.browser_cookie(value).await,
            Self::DeviceCookie => world.device_cookie(value).await,
            Self::Interaction => world.interaction(value).await,
            Self::Resume => world.resume(value).await,
            Self::SignInForm => world.made.open.sign_in.send(value).await.is(303),
            Self::SignUpForm => world.made.open.sign_up.send(value).await.is(303),
            Self::SelectAccountForm => world.made.open.select_account.send(value).await.is(303),
            Self::ConsentForm => world.made.open.consent.send(value).await.is(303),
            Self::UserCodeForm => world.user_code_form(value).await,
            Self::DeviceForm => world.device_form(value).await,
            Self::SignOutForm => world.made.open.sign_out.send(value).await.is(303),
            Self::LogoutResume => world.logout_resume(value).await,
            Self::UserCode => world.user_code(value).await,
            Self::UserCodeInLink => world.user_code_in_link(value).await,
            Self::UserCodeInPicture => world.user_code_in_picture(value).await,
            Self::Logo => world.logo(value).await,
        }
    }
}
