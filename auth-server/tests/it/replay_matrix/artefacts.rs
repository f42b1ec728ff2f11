//! Everything that somebody may hold: what the server hands out, and what others make for it.

macro_rules! artefacts {
    ($($name:ident),* $(,)?) => {
        /// One kind of thing that somebody may hold.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub(super) enum Artefact { $($name),* }

        impl Artefact {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

// What is bound, is so to the key of the stage, or to its certificate. A public app rotates its refresh tokens, but for those.
artefacts!(
    Code,
    BoundCode,
    CertifiedCode,
    RequestUri,
    RequestReference,
    DeviceCode,
    UserCode,
    RefreshToken,
    PublicRefreshToken,
    BoundRefreshToken,
    CertifiedRefreshToken,
    OwnToken,
    ApiToken,
    OpaqueToken,
    ActorToken,
    BoundToken,
    BoundOpaqueToken,
    CertifiedToken,
    IdToken,
    BearerAssertion,
    IdentityAssertion,
    OwnIdentityAssertion,
    ClientAssertion,
    ToolAssertion,
    RequestObject,
    AuthorizationResponse,
    LogoutToken,
    SignedUserinfo,
    SignedIntrospection,
    SignedMetadata,
    SoftwareStatement,
    InitialAccessToken,
    InitialAccessTokenId,
    RegistrationAccessToken,
    ManagementUri,
    ClientSecret,
    PostedSecret,
    ClientId,
    SessionCookie,
    BrowserCookie,
    DeviceCookie,
    Interaction,
    SignInForm,
    SignUpForm,
    SelectAccountForm,
    ConsentForm,
    UserCodeForm,
    DeviceForm,
    SignOutForm,
    LogoutHandle,
    DpopNonce,
    TokenProof,
    PushProof,
    UserinfoProof,
    KeyThumbprint,
    CertificateThumbprint,
    TokenId,
    GrantId,
    SessionId,
    AccountId,
    KeyId,
    RequestId,
);

impl Artefact {
    /// What the server hands out and never takes back.
    pub(super) const FOR_OTHERS: &'static [Self] = &[
        Self::OwnIdentityAssertion,
        Self::AuthorizationResponse,
        Self::LogoutToken,
        Self::SignedUserinfo,
        Self::SignedIntrospection,
        Self::SignedMetadata,
        Self::InitialAccessTokenId,
        Self::ManagementUri,
        Self::CertificateThumbprint,
        Self::TokenId,
        Self::GrantId,
        Self::SessionId,
        Self::AccountId,
        Self::KeyId,
        Self::RequestId,
    ];

    /// Codes, of which a try by their own client is the only one, whatever is wrong with it (RFC 6749 §4.1.2, threat 4).
    pub(super) const fn is_code(self) -> bool {
        matches!(self, Self::Code | Self::BoundCode | Self::CertifiedCode)
    }
}
