//! Everything that the server hands out, and what others make for it.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_server::registration::initial::{InitialTokens, NewInitialToken};
use serde_json::json;
use shared_protocol::dpop::{Dpop, DpopSettings, LocalProofs, Nonces};
use shared_protocol::jose::{JwtKind, Signer as _, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::{Clock as _, Instant};

use crate::browser::{Browser, parameter};
use crate::device;
use crate::jwt_bearer;
use crate::macs::unique;
use crate::person::{post, sign_in};
use crate::pushed::pushed;
use crate::registration::service;
use crate::request_object::sign;
use crate::server::API;
use crate::sign_out::{browser, logout};
use crate::stage::{JAGS, REVOKE_ALL, STATEMENTS, Stage};

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

artefacts!(
    Code,
    RequestUri,
    DeviceCode,
    UserCode,
    RefreshToken,
    OwnToken,
    ApiToken,
    OpaqueToken,
    ActorToken,
    IdToken,
    BearerAssertion,
    IdentityAssertion,
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
    RegistrationAccessToken,
    ClientSecret,
    ClientId,
    SessionCookie,
    BrowserCookie,
    Interaction,
    FormToken,
    DeviceForm,
    SignOutForm,
    LogoutHandle,
    DpopNonce,
    DpopProof,
);

impl Artefact {
    /// What the server hands out and never takes back.
    pub(super) const FOR_OTHERS: &'static [Self] = &[
        Self::AuthorizationResponse,
        Self::LogoutToken,
        Self::SignedUserinfo,
        Self::SignedIntrospection,
        Self::SignedMetadata,
    ];
}

/// One of each, and what goes with them.
pub(super) struct Made<'a> {
    values: BTreeMap<Artefact, String>,
    /// The browser in which a sign-in has begun.
    pub(super) signing_in: Browser<'a>,
    /// The one in which the pushed request is opened.
    pub(super) opening: Browser<'a>,
    /// The one in which the person may type codes, and a code that nobody has typed.
    pub(super) entering: Browser<'a>,
    pub(super) user_code: String,
    /// Another of the person, who is about to sign out there.
    pub(super) leaving: Browser<'a>,
    /// What the form there holds.
    pub(super) sign_out: Vec<(String, String)>,
    /// The client whom the registration access token is for.
    pub(super) managed: String,
    /// An access token of the app for [`API`].
    pub(super) subject: String,
    pub(super) dpop: Dpop,
}

impl<'a> Made<'a> {
    pub(super) fn value(&self, artefact: Artefact) -> &str {
        &self.values[&artefact]
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(super) async fn all(stage: &'a Stage) -> Self {
        let (server, app) = (stage.server(), &stage.app);
        let mut values = BTreeMap::new();
        let mut put = |artefact, value: &str| {
            assert!(!value.is_empty(), "{artefact:?}");
            values.insert(artefact, value.to_owned());
        };
        put(Artefact::Code, &stage.scene.code(app, "openid read").await);
        put(Artefact::RequestUri, &pushed(server, app, &[]).await);
        let device = post(server, app, device::PATH, &[("scope", "openid read")]).await;
        put(Artefact::DeviceCode, device.text("device_code"));
        put(Artefact::UserCode, device.text("user_code"));
        let tokens = stage
            .tokens(app, "openid read reports offline_access")
            .await;
        put(
            Artefact::RefreshToken,
            tokens["refresh_token"].as_str().unwrap(),
        );
        let hint = tokens["id_token"].as_str().unwrap();
        put(Artefact::IdToken, hint);
        let own = stage.tokens(app, "openid email").await;
        let own = own["access_token"].as_str().unwrap();
        put(Artefact::OwnToken, own);
        let api = stage.tokens(app, "openid read").await;
        let api = api["access_token"].as_str().unwrap();
        put(Artefact::ApiToken, api);
        let opaque = stage.tokens(app, "openid secrets").await;
        let opaque = opaque["access_token"].as_str().unwrap();
        assert!(!opaque.contains('.'));
        put(Artefact::OpaqueToken, opaque);
        put(
            Artefact::ActorToken,
            &server.token(&stage.gateway, API).await,
        );
        let subject = stage.tokens(app, "openid read").await;
        let subject = subject["access_token"].as_str().unwrap().to_owned();

        let outside = &*stage.outside;
        let sign_outside = async |kind, claims| sign_jwt(kind, &claims, outside).await.unwrap();
        let good = jwt_bearer::good_claims(server, &stage.scene.account_id);
        put(
            Artefact::BearerAssertion,
            &sign_outside(JwtKind::BearerAssertion, good.clone()).await,
        );
        let mut jag = good;
        jag["iss"] = JAGS.into();
        jag["client_id"] = json!(stage.bearer.id);
        jag["resource"] = API.into();
        jag["jti"] = unique().into();
        put(
            Artefact::IdentityAssertion,
            &sign_outside(JwtKind::IdentityAssertion, jag).await,
        );
        let statement = json!({"iss": STATEMENTS, "software_id": "stated"});
        put(
            Artefact::SoftwareStatement,
            &sign_outside(JwtKind::SoftwareStatement, statement).await,
        );
        let now = stage.now();
        let id = &stage.signing.id;
        let claims = json!({"iss": id, "sub": id, "aud": server.issuer, "iat": now, "exp": now + 60, "jti": unique()});
        let assertion = server.assertion(&stage.signing_key, &claims).await;
        put(Artefact::ClientAssertion, &assertion);
        let mut claims = claims;
        claims["jti"] = unique().into();
        claims["aud"] = format!("{}{REVOKE_ALL}", server.issuer).into();
        let assertion = server.assertion(&stage.signing_key, &claims).await;
        put(Artefact::ToolAssertion, &assertion);
        let object = stage.request(&json!({}));
        let typ = json!({"typ": "oauth-authz-req+jwt"});
        put(
            Artefact::RequestObject,
            &sign(&stage.app_key, &typ, &object).await,
        );

        let asked = [("response_mode", "jwt"), ("prompt", "none")];
        let answer = stage.browser().get(server.authorize_url(app, &asked)).await;
        let response = parameter(&answer.location(), "response").unwrap();
        put(Artefact::AuthorizationResponse, &response);
        // As those who are told of a sign-out get it.
        let told = json!({"iss": server.issuer, "aud": app.id, "sub": stage.scene.account_id, "sid": "x", "iat": now,
            "exp": now + 120, "jti": unique(), "events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
        let told = sign_jwt(JwtKind::LogoutToken, &told, &*stage.own_key()).await;
        put(Artefact::LogoutToken, &told.unwrap());
        let userinfo = server.http.get(format!("{}/oauth/userinfo", server.issuer));
        put(
            Artefact::SignedUserinfo,
            &jwt(userinfo.bearer_auth(own)).await,
        );
        let introspection = server.form("/oauth/introspect", &[("token", api)]);
        let introspection = introspection.basic_auth(&app.id, Some(&app.secret));
        let introspection = introspection.header("accept", "application/token-introspection+jwt");
        put(Artefact::SignedIntrospection, &jwt(introspection).await);
        let metadata = server.get("/.well-known/openid-configuration").await;
        put(Artefact::SignedMetadata, metadata.text("signed_metadata"));

        let tokens = InitialTokens {
            store: server.records.store.clone(),
        };
        let initial = NewInitialToken {
            name: None,
            uses: 10,
            lifetime: Duration::from_hours(1),
        };
        let initial = tokens
            .create(initial, server.clock.now(), &SystemRandom)
            .await;
        put(Artefact::InitialAccessToken, initial.unwrap().1.expose());
        let registered = server.registers(&service()).await;
        put(Artefact::RegistrationAccessToken, &registered.token);
        put(Artefact::ClientSecret, &app.secret);
        put(Artefact::ClientId, &app.id);
        put(Artefact::SessionCookie, stage.scene.cookie.expose());
        let signing_in = Browser::new(server);
        let page = signing_in.open(server.authorize_url(app, &[])).await;
        put(Artefact::Interaction, &page.input("interaction"));
        put(Artefact::FormToken, &page.input("csrf"));
        put(
            Artefact::BrowserCookie,
            &signing_in.cookie("browser").unwrap(),
        );

        let entering = stage.browser();
        let page = entering.open(format!("{}/device", server.issuer)).await;
        put(Artefact::DeviceForm, &page.input("csrf"));
        let device = post(server, app, device::PATH, &[("scope", "openid read")]).await;
        let user_code = device.text("user_code").to_owned();
        let (_, cookie) = sign_in(server, &stage.scene.account_id).await;
        let leaving = browser(server, &cookie);
        let page = logout(server, &leaving, &[]).await;
        put(Artefact::SignOutForm, &page.input("sign_out_form"));
        let sign_out = page.inputs("sign-out");
        let form = [("id_token_hint", hint)];
        let stranger = Browser::new(server);
        let kept = stranger.send(server.form("/oauth/logout", &form)).await;
        let handle = parameter(&kept.location(), "request");
        put(Artefact::LogoutHandle, &handle.unwrap());

        let dpop = Dpop::new(DpopSettings {
            origins: vec![server.issuer.parse().unwrap()],
            nonces: Nonces::new(&[0; 32], Duration::from_mins(5)),
            used: std::sync::Arc::new(LocalProofs::new(1000, Instant::from_secs(0))),
        });
        let nonce = dpop.nonce(server.clock.now());
        put(Artefact::DpopNonce, nonce.to_str().unwrap());
        put(Artefact::DpopProof, &proof(stage, None).await);
        Self {
            values,
            signing_in,
            opening: Browser::new(server),
            entering,
            user_code,
            leaving,
            sign_out,
            managed: registered.url,
            subject,
            dpop,
        }
    }
}

/// A proof for the token endpoint.
pub(super) async fn proof(stage: &Stage, nonce: Option<&str>) -> String {
    let key = &stage.outside;
    let url = format!("{}/oauth/token", stage.server().issuer);
    let mut claims = json!({"jti": unique(), "htm": "POST", "htu": url, "iat": stage.now()});
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let header = json!({"typ": "dpop+jwt", "kid": null, "jwk": key.public().to_value()});
    sign(key, &header, &claims).await
}

async fn jwt(request: reqwest::RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let jwt = response.text().await.unwrap();
    assert_eq!(jwt.split('.').count(), 3, "{jwt}");
    jwt
}
