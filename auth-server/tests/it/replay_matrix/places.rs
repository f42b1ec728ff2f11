//! Everywhere that something may be shown.

use axum::http::{HeaderMap, HeaderValue, Method};
use shared_protocol::dpop::{NoncePolicy, PROOF, ProofRequest};
use shared_protocol::time::Clock as _;
use url::Url;

use super::artefacts::{Artefact, Made, proof};
use crate::browser::{Browser, EMAIL, PASSWORD, parameter};
use crate::device::{self, typed};
use crate::jwt_bearer;
use crate::person::{post, refresh_form};
use crate::pushed::{PAR, url_of};
use crate::registration::{REGISTER, service};
use crate::request_object;
use crate::server::{API, Answer, TestClient};
use crate::sign_out::logout;
use crate::stage::{REVOKE_ALL, Stage};
use crate::token_exchange::{ACCESS, EXCHANGE, ID, JWT, REFRESH};

macro_rules! places {
    ($($name:ident at $paths:expr),* $(,)?) => {
        /// One parameter, header or cookie.
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

const TOKEN: &str = "/oauth/token";
const AUTHORIZE: &str = "/oauth/authorize";

places!(
    Code at [TOKEN],
    RefreshToken at [TOKEN],
    DeviceCode at [TOKEN],
    SubjectAccessToken at [TOKEN],
    SubjectRefreshToken at [TOKEN],
    SubjectIdToken at [TOKEN],
    SubjectJwt at [TOKEN],
    ActorAccessToken at [TOKEN],
    ActorJwt at [TOKEN],
    ActorIdToken at [TOKEN],
    Assertion at [TOKEN],
    ClientAssertion at [TOKEN, PAR, device::PATH],
    ClientSecret at [TOKEN],
    Dpop at [TOKEN],
    DpopNonce at [TOKEN],
    Request at [AUTHORIZE],
    PushedRequest at [PAR],
    RequestUri at [AUTHORIZE],
    PushedRequestUri at [PAR],
    IdTokenHint at [AUTHORIZE],
    LogoutHint at ["/oauth/logout"],
    Introspected at ["/oauth/introspect"],
    Revoked at ["/oauth/revoke"],
    Userinfo at ["/oauth/userinfo"],
    Registering at [REGISTER],
    SoftwareStatement at [REGISTER],
    Managing at ["/oauth/register/{client_id}"],
    RevokingAll at [REVOKE_ALL],
    SessionCookie at [AUTHORIZE],
    BrowserCookie at [AUTHORIZE],
    Interaction at [AUTHORIZE],
    Resume at [AUTHORIZE],
    FormToken at [AUTHORIZE],
    DeviceForm at ["/device"],
    SignOutForm at ["/oauth/logout"],
    LogoutResume at ["/oauth/logout"],
    UserCode at ["/device", "/device/confirm", "/device/qr/{user_code}"],
    Logo at [AUTHORIZE],
);

/// Documents, which are the same for everybody.
pub(super) const TAKING_NOTHING: &[&str] = &["/.well-known/openid-configuration", "/oauth/jwks"];

impl Place {
    /// Where nothing of this is taken: an ID token is no actor, and a request that is pushed is none that was.
    pub(super) const OF_NOTHING: &'static [Self] = &[Self::ActorIdToken, Self::PushedRequestUri];
}

/// Everything and everybody.
pub(super) struct World<'a> {
    pub(super) stage: &'a Stage,
    pub(super) made: &'a Made<'a>,
}

impl World<'_> {
    async fn token(&self, client: &TestClient, form: &[(&str, &str)]) -> Answer {
        post(self.stage.server(), client, TOKEN, form).await
    }

    async fn exchanged(&self, client: &TestClient, form: &[(&str, &str)]) -> Answer {
        let form = [&[("grant_type", EXCHANGE)], form].concat();
        self.token(client, &form).await
    }

    async fn subject(&self, client: &TestClient, value: &str, token_type: &str) -> Answer {
        let mut form = vec![("subject_token", value), ("subject_token_type", token_type)];
        // What stands for a whole grant names no audience.
        if [ID, REFRESH].contains(&token_type) {
            form.push(("resource", API));
        }
        self.exchanged(client, &form).await
    }

    async fn is_active(&self, value: &str) -> bool {
        let server = self.stage.server();
        let mut active = false;
        for client in [&self.stage.app, &self.stage.gateway] {
            let answer = server
                .post_as(client, "/oauth/introspect", &[("token", value)])
                .await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            active |= answer.body["active"] == true;
        }
        active
    }

    async fn actor(&self, value: &str, token_type: &str) -> Answer {
        let form = [
            ("subject_token", self.made.subject.as_str()),
            ("subject_token_type", ACCESS),
            ("actor_token", value),
            ("actor_token_type", token_type),
        ];
        self.exchanged(&self.stage.gateway, &form).await
    }

    /// What an endpoint with a bearer token answers.
    async fn bearer(&self, request: reqwest::RequestBuilder, value: &str) -> Answer {
        self.stage.server().send(request.bearer_auth(value)).await
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let url = format!("{}{path}", self.stage.server().issuer);
        Url::parse_with_params(&url, query).unwrap()
    }

    async fn proves(&self, proof: &str) -> bool {
        let server = self.stage.server();
        let Ok(value) = HeaderValue::from_str(proof) else {
            return false;
        };
        let mut headers = HeaderMap::new();
        headers.insert(PROOF, value);
        let request = ProofRequest {
            headers: &headers,
            method: &Method::POST,
            path: TOKEN,
        };
        let now = server.clock.now();
        let proven = self
            .made
            .dpop
            .prove(request, None, NoncePolicy::Offered, now);
        proven.await.is_ok()
    }
}

impl Place {
    /// Whether what is shown is taken for what belongs here; what is not is the fault of who shows it.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(super) async fn takes(self, world: &World<'_>, value: &str) -> bool {
        let (stage, server, app) = (world.stage, world.stage.server(), &world.stage.app);
        let is = |answer: &Answer, status: u16| {
            assert!(answer.status.as_u16() < 500, "{self:?}: {}", answer.body);
            answer.status == status
        };
        match self {
            Self::Code => is(&stage.scene.redeem(app, value).await, 200),
            Self::RefreshToken => is(&world.token(app, &refresh_form(value)).await, 200),
            Self::DeviceCode => {
                let form = [("grant_type", device::GRANT), ("device_code", value)];
                let answer = world.token(app, &form).await;
                ["authorization_pending", "slow_down"].contains(&answer.error().1)
            }
            Self::SubjectAccessToken => {
                is(&world.subject(&stage.gateway, value, ACCESS).await, 200)
            }
            Self::SubjectJwt => is(&world.subject(&stage.gateway, value, JWT).await, 200),
            Self::SubjectIdToken => is(&world.subject(app, value, ID).await, 200),
            Self::SubjectRefreshToken => is(&world.subject(app, value, REFRESH).await, 200),
            Self::ActorAccessToken => is(&world.actor(value, ACCESS).await, 200),
            Self::ActorJwt => is(&world.actor(value, JWT).await, 200),
            Self::ActorIdToken => is(&world.actor(value, ID).await, 200),
            Self::Assertion => {
                let form = [("grant_type", jwt_bearer::GRANT), ("assertion", value)];
                is(&world.token(&stage.bearer, &form).await, 200)
            }
            Self::ClientAssertion => {
                let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_assertion_type", assertion_type),
                    ("client_assertion", value),
                ];
                is(&server.send(server.form(TOKEN, &form)).await, 200)
            }
            Self::ClientSecret => {
                let client = TestClient {
                    id: app.id.clone(),
                    secret: value.to_owned(),
                };
                let form = [("grant_type", "client_credentials"), ("scope", "read")];
                is(&server.post_as(&client, TOKEN, &form).await, 200)
            }
            Self::Dpop => world.proves(value).await,
            Self::DpopNonce => world.proves(&proof(stage, Some(value)).await).await,
            Self::Request => {
                let url = request_object::url(server, app, ("request", value), &[]);
                Browser::new(server).open(url).await.has("sign-in")
            }
            Self::PushedRequest => is(&post(server, app, PAR, &[("request", value)]).await, 201),
            Self::RequestUri => {
                let url = url_of(server, app, value);
                world.made.opening.open(url).await.has("sign-in")
            }
            Self::PushedRequestUri => is(
                &post(server, app, PAR, &[("request_uri", value)]).await,
                201,
            ),
            Self::IdTokenHint => {
                let asked = [("id_token_hint", value), ("prompt", "none")];
                let page = stage.browser().get(server.authorize_url(app, &asked)).await;
                page.status == 303 && parameter(&page.location(), "code").is_some()
            }
            Self::LogoutHint => {
                let hint = [("id_token_hint", value)];
                logout(server, &stage.browser(), &hint).await.status == 303
            }
            Self::Introspected => world.is_active(value).await,
            Self::Revoked => {
                // RFC 7009 §2.2: the answer tells nothing. What others it might have ended is shown afterwards.
                let was_active = world.is_active(value).await;
                for client in [app, &stage.gateway, &stage.bearer] {
                    let answer = server
                        .post_as(client, "/oauth/revoke", &[("token", value)])
                        .await;
                    is(&answer, 200);
                }
                was_active && !world.is_active(value).await
            }
            Self::Userinfo => {
                let request = server.http.get(world.url("/oauth/userinfo", &[]));
                is(&world.bearer(request, value).await, 200)
            }
            Self::Registering => {
                let request = server.http.post(world.url(REGISTER, &[])).json(&service());
                is(&world.bearer(request, value).await, 201)
            }
            Self::SoftwareStatement => {
                let mut document = service();
                document["software_statement"] = value.into();
                is(&server.post_json(REGISTER, &document, None).await, 201)
            }
            Self::Managing => {
                let request = server.http.get(&world.made.managed);
                is(&world.bearer(request, value).await, 200)
            }
            Self::RevokingAll => is(&stage.revoke_all(value).await, 404),
            Self::SessionCookie => {
                let port = server.issuer.rsplit(':').next().unwrap();
                let browser = Browser::new(server);
                browser.set_cookie(&format!("session-{port}"), value);
                let asked = [("prompt", "none")];
                let page = browser.get(server.authorize_url(app, &asked)).await;
                page.status == 303 && parameter(&page.location(), "code").is_some()
            }
            Self::BrowserCookie => {
                let port = server.issuer.rsplit(':').next().unwrap();
                let browser = Browser::new(server);
                browser.set_cookie(&format!("browser-{port}"), value);
                let interaction = world.made.value(Artefact::Interaction);
                let url = world.url("/login", &[("interaction", interaction)]);
                browser.get(url).await.has("sign-in")
            }
            Self::Interaction => {
                let mut shown = false;
                for path in ["/login", "/consent", "/select-account"] {
                    let url = world.url(path, &[("interaction", value)]);
                    shown |= world.made.signing_in.open(url).await.has("sign-in");
                }
                shown
            }
            Self::Resume => {
                let url = world.url("/oauth/authorize/resume", &[("interaction", value)]);
                world.made.signing_in.open(url).await.has("sign-in")
            }
            Self::LogoutResume => {
                let url = world.url("/oauth/logout/resume", &[("request", value)]);
                Browser::new(server).get(url).await.status == 303
            }
            Self::SignOutForm => {
                let mut form = world.made.sign_out.clone();
                for (name, known) in &mut form {
                    if name == "sign_out_form" {
                        value.clone_into(known);
                    }
                }
                let page = world
                    .made
                    .leaving
                    .post(world.url("/oauth/logout", &[]), &form);
                page.await.status == 303
            }
            Self::DeviceForm => {
                let browser = &world.made.entering;
                let code = world.made.user_code.as_str();
                let form = [("csrf", value), ("user_code", code)];
                let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let answer = browser.post(world.url("/device", &[]), &form).await;
                browser.follow(answer).await.has("consent")
            }
            Self::FormToken => {
                let interaction = world.made.value(Artefact::Interaction);
                let form = [
                    ("interaction", interaction),
                    ("csrf", value),
                    ("email", EMAIL),
                    ("password", PASSWORD),
                ];
                let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let page = world.made.signing_in.post(world.url("/login", &[]), &form);
                page.await.status == 303
            }
            Self::UserCode => {
                let browser = stage.browser();
                let page = browser.open(world.url("/device", &[])).await;
                let form = typed(&page, value);
                let answer = browser.post(page.action("enter-code"), &form).await;
                browser.follow(answer).await.has("consent")
            }
            Self::Logo => {
                let url = world.url("/clients/logo", &[("client_id", value)]);
                let page = Browser::new(server).get(url).await;
                assert!(page.status.as_u16() < 500);
                // The app has no picture: it is known, and there is nothing to show.
                page.status == 200 || value == app.id
            }
        }
    }
}
