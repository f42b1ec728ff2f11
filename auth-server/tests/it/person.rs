//! A person, their session, an app of theirs, and codes as the authorization endpoint issues them.

use std::collections::BTreeSet;

use auth_server::accounts::{AccountId, NewAccount, Proven};
use auth_server::authorize::agreement::Agreement;
use auth_server::authorize::request::OwnScope;
use auth_server::claims::GrantedClaims;
use auth_server::clients::{AuthMethod, Client, ClientMetadata, GrantType};
use auth_server::codes::Authorization;
use auth_server::grants::{GrantId, Terms};
use auth_server::sessions::{Amr, Beginning, Session, SessionToken};
use serde_json::Value;
use shared_protocol::jose::Algorithm;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Clock as _;
use shared_testing::random::SeededRandom;
use shared_testing::stores::Stores;

use crate::server::{API, Answer, TestClient, TestServer, config};

pub(crate) const REDIRECT: &str = "https://app.example/cb";
/// RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const SEED: u64 = 7;

/// The grant that [`Scene::code_of_seed`] brings: drawn after the code.
pub(crate) fn grant_of_seed() -> GrantId {
    let random = SeededRandom::new(SEED);
    // The code, drawn first.
    let _ = shared_protocol::random::alphanumeric(43, &random);
    GrantId::generate(&random)
}

/// Everybody whom a code is about.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) api: TestClient,
    pub(crate) account_id: AccountId,
    pub(crate) session: Session,
    pub(crate) cookie: SessionToken,
    /// A public client that rotates its refresh tokens.
    pub(crate) app: TestClient,
}

impl Scene {
    pub(crate) async fn set(stores: &Stores) -> Self {
        Self::on(TestServer::start_with(config(stores), std::sync::Arc::default()).await).await
    }

    pub(crate) async fn on(server: TestServer) -> Self {
        let api = server.client(AuthMethod::ClientSecretBasic, "").await;
        let server = server.with_resources(Some(&api)).await;
        let account_id = person(&server, "alice@example.com").await;
        let (session, cookie) = sign_in(&server, &account_id).await;
        let app = server.register(app(AuthMethod::None)).await;
        Self {
            server,
            api,
            account_id,
            session,
            cookie,
            app,
        }
    }

    /// What the person saw: each scope at this server, or at every resource that has it, or at those that were named.
    pub(crate) fn agreed(&self, scope: &str, named: &[&str]) -> Agreement {
        let scope: ScopeSet = scope.parse().unwrap();
        let servers = self.server.records.resource_servers.all();
        let resources = servers.iter().filter_map(|server| {
            let has = server.scope().intersection(&scope);
            let is_shown = if named.is_empty() {
                !has.is_empty()
            } else {
                named.contains(&server.identifier.as_str())
            };
            is_shown.then(|| (server.identifier.normal().to_owned(), has))
        });
        Agreement {
            own: OwnScope::those_in(&scope),
            resources: resources.collect(),
            ..Agreement::default()
        }
    }

    /// The client registered anew, with these scopes.
    pub(crate) async fn change_scope(&self, client: &TestClient, scope: &str) {
        let mut metadata = app(AuthMethod::None);
        metadata.scope = scope.parse().unwrap();
        let client = Client::new(client.id.parse().unwrap(), metadata, Vec::new()).unwrap();
        let clients = &self.server.records.clients;
        clients
            .put(&client, None, self.server.clock.now())
            .await
            .unwrap();
    }

    /// What the person allowed `client`.
    pub(crate) fn authorization(&self, client: &TestClient, scope: &str) -> Authorization {
        Authorization {
            terms: Terms {
                client_id: client.id.parse().unwrap(),
                account_id: self.account_id.clone(),
                session_id: Some(self.session.id.clone()),
                offline: scope.contains("offline_access"),
                agreed: self.agreed(scope, &[]),
                claims: GrantedClaims::default(),
                auth_time: Some(self.session.auth_time),
                amr: self.session.amr.clone(),
                acr: None,
            },
            redirect_uri: REDIRECT.into(),
            redirect_uri_named: true,
            code_challenge: Some(CHALLENGE.parse().unwrap()),
            confirmation: None,
            nonce: None,
        }
    }

    pub(crate) async fn issue(&self, authorization: Authorization) -> String {
        let now = self.server.clock.now();
        let random = &*self.server.world.random;
        self.server
            .codes
            .issue(authorization, now, random)
            .await
            .unwrap()
    }

    pub(crate) async fn code(&self, client: &TestClient, scope: &str) -> String {
        self.issue(self.authorization(client, scope)).await
    }

    /// A code that each node's store knows, also where they do not share one: as if it had forgotten that the code was used.
    pub(crate) async fn code_of_seed(&self, nodes: &[&TestServer]) -> String {
        let mut codes = Vec::new();
        for node in nodes {
            let authorization = self.authorization(&self.app, "openid read");
            let (now, random) = (node.clock.now(), SeededRandom::new(SEED));
            codes.push(node.codes.issue(authorization, now, &random).await.unwrap());
        }
        codes.dedup();
        assert_eq!(codes.len(), 1, "drawn alike");
        codes.remove(0)
    }

    pub(crate) async fn redeem(&self, client: &TestClient, code: &str) -> Answer {
        ask(&self.server, client, &code_form(code)).await
    }

    /// The tokens of a new grant.
    pub(crate) async fn tokens(&self, client: &TestClient, scope: &str) -> Value {
        let answer = self.redeem(client, &self.code(client, scope).await).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub(crate) async fn refresh(&self, client: &TestClient, token: &str) -> Answer {
        ask(&self.server, client, &refresh_form(token)).await
    }

    /// What the API that introspects learns.
    pub(crate) async fn is_active(&self, token: &str) -> bool {
        is_active(&self.server, &self.api, token).await
    }

    pub(crate) async fn userinfo(&self, token: &str) -> Answer {
        userinfo(&self.server, token).await
    }

    /// Another node on the same stores.
    pub(crate) async fn another_node(&self, stores: &Stores) -> TestServer {
        let mut second = config(stores);
        second.issuer = self.server.issuer.parse().unwrap();
        let clock = self.server.clock.clone();
        TestServer::start_with(second, clock).await
    }
}

pub(crate) async fn person(server: &TestServer, email: &str) -> AccountId {
    let new = NewAccount {
        email: email.parse().unwrap(),
        name: Some("Alice".into()),
        email_verified: true,
        password: None,
    };
    let random = &*server.world.random;
    let accounts = &server.records.accounts;
    accounts
        .create(new, server.clock.now(), random)
        .await
        .unwrap()
}

pub(crate) async fn sign_in(
    server: &TestServer,
    account_id: &AccountId,
) -> (Session, SessionToken) {
    let proven = Proven {
        account_id: account_id.clone(),
        epoch: 0,
    };
    let beginning = Beginning {
        proven: &proven,
        amr: &[Amr::Pwd],
        user_agent: None,
        before: None,
    };
    let (now, random) = (server.clock.now(), &*server.world.random);
    let sessions = &server.records.sessions;
    sessions.begin(&beginning, now, random).await.unwrap()
}

/// An app that signs people in and stays allowed.
pub(crate) fn app(method: AuthMethod) -> ClientMetadata {
    let scope = "openid profile email offline_access read write reports";
    let mut metadata = TestServer::metadata(method, scope);
    metadata.client_name = Some("An app".into());
    metadata.grant_types = BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]);
    metadata.redirect_uris = vec![REDIRECT.parse().unwrap()];
    metadata.id_token_signed_response_alg = Some(Algorithm::Es256);
    metadata
}

pub(crate) fn code_form(code: &str) -> [(&'static str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ]
}

pub(crate) fn refresh_form(token: &str) -> [(&'static str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

/// As the client itself, public or not.
pub(crate) async fn ask(server: &TestServer, client: &TestClient, form: &[(&str, &str)]) -> Answer {
    post(server, client, "/oauth/token", form).await
}

pub(crate) async fn post(
    server: &TestServer,
    client: &TestClient,
    path: &str,
    form: &[(&str, &str)],
) -> Answer {
    server.send(request(server, client, path, form)).await
}

/// The same, not sent yet.
pub(crate) fn request(
    server: &TestServer,
    client: &TestClient,
    path: &str,
    form: &[(&str, &str)],
) -> reqwest::RequestBuilder {
    if client.secret.is_empty() {
        let mut form = form.to_vec();
        form.push(("client_id", &client.id));
        server.form(path, &form)
    } else {
        let request = server.form(path, form);
        request.basic_auth(&client.id, Some(&client.secret))
    }
}

pub(crate) async fn is_active(server: &TestServer, client: &TestClient, token: &str) -> bool {
    let answer = server
        .post_as(client, "/oauth/introspect", &[("token", token)])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["active"].as_bool().unwrap()
}

pub(crate) async fn userinfo(server: &TestServer, token: &str) -> Answer {
    let url = format!("{}/oauth/userinfo", server.issuer);
    server.send(server.http.get(url).bearer_auth(token)).await
}

pub(crate) fn claims(token: &str) -> Value {
    crate::token::decode(token).1
}

/// An access token for [`API`], and the refresh token beside it.
pub(crate) fn pair(tokens: &Value) -> (&str, &str) {
    assert_eq!(claims(tokens["access_token"].as_str().unwrap())["aud"], API);
    (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    )
}
