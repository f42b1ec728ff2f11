//! Each rule of [`auth_server::profiles::Demands`] by itself: the same thing is refused where a profile demands the rule, by the server or of
//! the client, and taken where nobody does; and what differs from it in that rule alone is taken there too.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use auth_server::authorize::request::ResponseType;
use auth_server::clients::{
    ApplicationType, AuthMethod, ClientMetadata, GrantType, ObjectAlgorithm,
};
use auth_server::config::{Config, Mode, PkcePolicy};
use auth_server::profiles::Profile::{self, Fapi2, Fapi2MessageSigning, Mcp};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Pkcs8, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::fapi2::of_any_algorithm;
use super::{Of, Scene, config_of, metadata};
use crate::browser::{Browser, parameter};
use crate::dpop::{Prover, TOKEN};
use crate::pushed::{PAR, url_of};
use crate::server::{API, Answer, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    each_rule_is_held_to_where_it_is_demanded_and_nowhere_else,
);

/// A key that would sign with either padding. It takes a while to make.
pub(super) static RSA: LazyLock<Pkcs8> =
    LazyLock::new(|| SigningKey::generate(Algorithm::Ps256, &SystemRandom).unwrap());

/// A server, an app, and the profile that is held to.
pub(super) struct Case {
    pub(super) scene: Scene,
    profile: Option<Profile>,
    own: Option<Profile>,
}

/// Whether something is taken that meets the rule, or that does not.
type Trial = for<'a> fn(&'a Case, bool) -> BoxFuture<'a, bool>;

macro_rules! rows {
    ($(($rule:literal, $profiles:expr, $trial:path),)*) => {
        &[$(($rule, &$profiles, |case, meets| Box::pin($trial(case, meets))),)*]
    };
}

/// By the names of the functions that are asked for the rules.
const RULES: &[(&str, &[Profile], Trial)] = rows![
    ("permits_method", [Fapi2, Fapi2MessageSigning], method),
    ("permits_grant", [Fapi2, Fapi2MessageSigning, Mcp], grant),
    (
        "permits_response_type",
        [Fapi2, Fapi2MessageSigning, Mcp],
        response_type
    ),
    ("permits", [Fapi2, Fapi2MessageSigning], assertion_algorithm),
    ("algorithms", [Fapi2, Fapi2MessageSigning], proof_algorithm),
    (
        "permits_unsigned_objects",
        [Fapi2, Fapi2MessageSigning],
        unsigned_object
    ),
    ("permits_private_schemes", [Mcp], private_scheme),
    ("pushed_requests", [Fapi2, Fapi2MessageSigning], pushed),
    ("challenges", [Fapi2, Fapi2MessageSigning, Mcp], challenge),
    (
        "named_redirects",
        [Fapi2, Fapi2MessageSigning],
        named_redirect
    ),
    ("named_resources", [Mcp], named_resource),
    (
        "sender_constraint",
        [Fapi2, Fapi2MessageSigning],
        sender_constraint
    ),
    ("dpop_nonces", [Fapi2, Fapi2MessageSigning], nonce),
    ("nonce_policy", [Fapi2, Fapi2MessageSigning], nonce_of_push),
    ("issuer_as_audience", [Fapi2, Fapi2MessageSigning], audience),
    ("assertion_lifetime", [Fapi2, Fapi2MessageSigning], lifetime),
    ("signed_requests", [Fapi2MessageSigning], signed_request),
    ("signed_responses", [Fapi2MessageSigning], signed_response),
    (
        "permits_response_mode",
        [Fapi2MessageSigning],
        response_mode
    ),
    (
        "signed_introspection",
        [Fapi2MessageSigning],
        signed_introspection
    ),
];

/// What allows more than anybody would have: see [`clients_may_describe_themselves`].
const ALLOWING: &str = "client_documents";

/// The functions of `Demands` that say what is demanded, as the source has them.
fn rules() -> BTreeSet<&'static str> {
    let source = include_str!("../../../src/profiles.rs");
    let (_, demands) = source.split_once("\nimpl Demands {").unwrap();
    let (demands, _) = demands.split_once("\n}\n").unwrap();
    let functions = demands
        .split("pub const fn ")
        .flat_map(|piece| piece.split("pub fn "));
    let names = functions
        .skip(1)
        .map(|piece| piece.split('(').next().unwrap());
    names.filter(|name| !["of", "and"].contains(name)).collect()
}

async fn each_rule_is_held_to_where_it_is_demanded_and_nowhere_else(stores: &Stores) {
    let mut tried: BTreeSet<_> = RULES.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(tried.len(), RULES.len(), "a rule stands twice");
    tried.insert(ALLOWING);
    assert_eq!(
        rules(),
        tried,
        "a rule without a row, or a row without a rule"
    );
    clients_may_describe_themselves(stores);

    let mut wrong = Vec::new();
    let nobody = Box::pin(Case::set(stores, None)).await;
    for (rule, _, trial) in RULES {
        if !trial(&nobody, false).await {
            wrong.push(format!("{rule}: refused where nobody demands it"));
        }
    }
    nobody.scene.server.stop().await;
    for profile in Profile::ALL {
        for of in [Of::Server, Of::Client] {
            let case = Box::pin(Case::set(stores, Some((profile, of)))).await;
            for (rule, profiles, trial) in RULES {
                if !profiles.contains(&profile) {
                    continue;
                }
                if trial(&case, false).await {
                    wrong.push(format!("{rule}: not held to, {profile} of a {of:?}"));
                }
                if !trial(&case, true).await {
                    wrong.push(format!(
                        "{rule}: refused what meets it, {profile} of a {of:?}"
                    ));
                }
            }
            case.scene.server.stop().await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// MCP, «Overview» (2).
fn clients_may_describe_themselves(stores: &Stores) {
    for profile in [None, Some(Fapi2), Some(Fapi2MessageSigning), Some(Mcp)] {
        let mut config = config_of(stores, profile);
        config.mode = Mode::Production;
        assert_eq!(
            config.documents_are_on(),
            profile == Some(Mcp),
            "{profile:?}"
        );
    }
}

impl Case {
    async fn set(stores: &Stores, held: Option<(Profile, Of)>) -> Self {
        let servers = match held {
            Some((profile, Of::Server)) => Some(profile),
            Some((_, Of::Client)) | None => None,
        };
        let mut config = config_of(stores, servers);
        if servers.is_none() {
            // A server of a profile does not start with any of these.
            config.authorization.response_types = ResponseType::ALL.into();
            config.authorization.pkce = PkcePolicy::PublicOnly;
            config.authorization.password_grant = true;
            config.authorization.unsigned_request_objects = true;
        }
        Self::of(config, held).await
    }

    /// Of a server of this configuration.
    pub(super) async fn of(config: Config, held: Option<(Profile, Of)>) -> Self {
        let own = match held {
            Some((profile, Of::Client)) => Some(profile),
            Some((_, Of::Server)) | None => None,
        };
        Self {
            scene: Scene::on(config, own).await,
            profile: held.map(|(profile, _)| profile),
            own,
        }
    }

    /// Whether a client that differs in this from one that meets every profile may register.
    async fn registers(&self, change: impl FnOnce(&mut ClientMetadata)) -> bool {
        let server = &self.scene.server;
        let mut client = metadata(&[&self.scene.key]);
        client.id_token_signed_response_alg = Some(Algorithm::Es256);
        client.profile = self.own;
        change(&mut client);
        let registered = server.records.register_client(client, &server.world);
        registered.await.is_ok()
    }

    /// A good request with some changes, pushed, and signed where the profile has it so.
    pub(super) async fn push(&self, changes: &[(&str, &str)]) -> Answer {
        if self.profile == Some(Fapi2MessageSigning) {
            let changes = changes.iter().map(|(name, value)| {
                let value = if value.is_empty() {
                    Value::Null
                } else {
                    json!(value)
                };
                ((*name).to_owned(), value)
            });
            let changes = Value::Object(changes.collect());
            return self.scene.push_signed(&changes).await;
        }
        let named = changes.iter().any(|(name, _)| *name == "resource");
        let resource = [("resource", API)];
        let added = if named { &[][..] } else { &resource };
        self.scene.push(&[changes, added].concat()).await
    }

    /// Whether it is taken.
    pub(super) async fn pushes(&self, changes: &[(&str, &str)]) -> bool {
        is_taken(&self.push(changes).await)
    }

    async fn pushes_signed(&self, changes: &Value) -> bool {
        is_taken(&self.scene.push_signed(changes).await)
    }

    /// Whether an assertion with these claims says who asks.
    async fn asserts(&self, changes: &Value) -> bool {
        let claims = self.scene.assertion(changes);
        let proof = self.scene.proof_of(&self.scene.key, &claims).await;
        let form = [("token", "unknown")];
        let answer = self
            .scene
            .post_with("/oauth/introspect", &form, &proof)
            .await;
        answer.status == 200
    }
}

fn is_taken(pushed: &Answer) -> bool {
    let status = pushed.status.as_u16();
    assert!([201, 400].contains(&status), "{}", pushed.body);
    status == 201
}

async fn method(case: &Case, meets: bool) -> bool {
    let method = if meets {
        AuthMethod::PrivateKeyJwt
    } else {
        AuthMethod::ClientSecretBasic
    };
    case.registers(|client| client.token_endpoint_auth_method = method)
        .await
}

async fn grant(case: &Case, meets: bool) -> bool {
    case.registers(|client| {
        client.skip_consent = true;
        if !meets {
            client.grant_types.insert(GrantType::Password);
        }
    })
    .await
}

async fn response_type(case: &Case, meets: bool) -> bool {
    case.registers(|client| {
        client.response_types = vec![ResponseType::Code];
        if !meets {
            client.response_types.push(ResponseType::None);
        }
    })
    .await
}

async fn unsigned_object(case: &Case, meets: bool) -> bool {
    let alg = if meets {
        ObjectAlgorithm::Signature(Algorithm::Es256)
    } else {
        ObjectAlgorithm::None
    };
    case.registers(|client| client.request_object_signing_alg = Some(alg))
        .await
}

async fn private_scheme(case: &Case, meets: bool) -> bool {
    let own = if meets {
        "http://127.0.0.1/cb"
    } else {
        "com.example.app:/cb"
    };
    case.registers(|client| {
        client.application_type = ApplicationType::Native;
        client.redirect_uris.push(own.parse().unwrap());
    })
    .await
}

/// An assertion by a key that would do for PS256 and for RS256.
async fn assertion_algorithm(case: &Case, meets: bool) -> bool {
    let [pss, pkcs1] =
        [Algorithm::Ps256, Algorithm::Rs256].map(|alg| SigningKey::from_pkcs8(alg, &RSA).unwrap());
    let keys = JwkSet::new(vec![pss.public().clone()]);
    let app = case.scene.server.register(ClientMetadata {
        profile: case.own,
        jwks: Some(of_any_algorithm(&keys)),
        id_token_signed_response_alg: Some(Algorithm::Es256),
        ..metadata(&[])
    });
    let app = app.await;
    let (key, alg) = if meets {
        (&pss, "PS256")
    } else {
        (&pkcs1, "RS256")
    };
    let claims = case.scene.assertion(&json!({"iss": app.id, "sub": app.id}));
    let header = json!({"alg": alg, "kid": null});
    let assertion = crate::request_object::sign(key, &header, &claims).await;
    let proof = [
        ("client_assertion_type", super::JWT_BEARER.to_owned()),
        ("client_assertion", assertion),
    ];
    let form = [("token", "unknown")];
    let answer = case
        .scene
        .post_with("/oauth/introspect", &form, &proof)
        .await;
    answer.status == 200
}

pub(super) const CREDENTIALS: [(&str, &str); 2] =
    [("grant_type", "client_credentials"), ("resource", API)];

async fn proof_algorithm(case: &Case, meets: bool) -> bool {
    let alg = if meets {
        Algorithm::Ps256
    } else {
        Algorithm::Rs256
    };
    let prover = Prover {
        key: SigningKey::from_pkcs8(alg, &RSA).unwrap(),
    };
    let answer = case.scene.ask(&CREDENTIALS, &prover).await;
    answer.status == 200
}

async fn sender_constraint(case: &Case, meets: bool) -> bool {
    let answer = if meets {
        case.scene.ask(&CREDENTIALS, &Prover::new()).await
    } else {
        case.scene.post(TOKEN, &CREDENTIALS).await
    };
    answer.status == 200
}

async fn nonce(case: &Case, meets: bool) -> bool {
    let prover = Prover::new();
    let first = case.scene.ask_with(&CREDENTIALS, &prover, &json!({})).await;
    if !meets {
        return first.status == 200;
    }
    let nonce = json!({"nonce": first.header("dpop-nonce")});
    let second = case.scene.ask_with(&CREDENTIALS, &prover, &nonce).await;
    second.status == 200
}

/// The same at another endpoint, of a request that would be taken without a proof.
async fn nonce_of_push(case: &Case, meets: bool) -> bool {
    let scene = &case.scene;
    let prover = Prover::new();
    let send = async |claims: Value| {
        let proof = scene.proof().await;
        let mut form: Vec<(String, String)> = if case.profile == Some(Fapi2MessageSigning) {
            vec![("request".into(), scene.signed_request(&json!({})).await)]
        } else {
            TestServer::asking(&scene.app, &[("resource", API)])
        };
        form.retain(|(name, _)| name != "client_id");
        form.extend(proof.map(|(name, value)| (name.to_owned(), value)));
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let shown = prover.proof(&scene.server, PAR, &claims).await;
        let request = scene.server.form(PAR, &form).header("dpop", shown);
        scene.server.send(request).await
    };
    let first = send(json!({})).await;
    if !meets {
        return first.status == 201;
    }
    let second = send(json!({"nonce": first.header("dpop-nonce")})).await;
    second.status == 201
}

async fn pushed(case: &Case, meets: bool) -> bool {
    if meets {
        return case.pushes(&[]).await;
    }
    let url = case
        .scene
        .server
        .authorize_url(&case.scene.app, &[("resource", API)]);
    Browser::new(&case.scene.server)
        .open(url)
        .await
        .has("sign-in")
}

async fn challenge(case: &Case, meets: bool) -> bool {
    let none = [("code_challenge", ""), ("code_challenge_method", "")];
    case.pushes(if meets { &[] } else { &none }).await
}

async fn named_redirect(case: &Case, meets: bool) -> bool {
    // Where nobody signs in to the client, a request may leave out the one that there is.
    let none = [("scope", "read"), ("redirect_uri", "")];
    case.pushes(if meets { &none[..1] } else { &none }).await
}

async fn named_resource(case: &Case, meets: bool) -> bool {
    let resource = if meets { API } else { "" };
    case.pushes(&[("resource", resource)]).await
}

async fn audience(case: &Case, meets: bool) -> bool {
    let issuer = &case.scene.server.issuer;
    let aud = if meets {
        issuer.clone()
    } else {
        format!("{issuer}{TOKEN}")
    };
    case.asserts(&json!({ "aud": aud })).await
}

async fn lifetime(case: &Case, meets: bool) -> bool {
    let now = case.scene.server.clock.now().as_secs();
    let lifetime = if meets { 280 } else { 3000 };
    case.asserts(&json!({"exp": now + lifetime})).await
}

async fn signed_request(case: &Case, meets: bool) -> bool {
    if meets {
        return case.pushes_signed(&json!({})).await;
    }
    let answer = case.scene.push(&[("response_mode", "jwt")]).await;
    answer.status == 201
}

/// Whether a client that asks for nothing else is told by a JWT that nobody has signed in, and else in plain.
async fn signed_response(case: &Case, meets: bool) -> bool {
    let scene = &case.scene;
    let url = if meets {
        let pushed = scene.push_signed(&json!({"prompt": "none"})).await;
        url_of(&scene.server, &scene.app, pushed.text("request_uri"))
    } else {
        scene
            .server
            .authorize_url(&scene.app, &[("prompt", "none")])
    };
    let answer = Browser::new(&scene.server).open(url).await.location();
    let told = if meets { "response" } else { "error" };
    parameter(&answer, told).is_some()
}

async fn response_mode(case: &Case, meets: bool) -> bool {
    let mode = if meets { "query.jwt" } else { "query" };
    case.pushes_signed(&json!({ "response_mode": mode })).await
}

/// Whether who takes anything is answered by JSON, and who asks for a JWT by that.
async fn signed_introspection(case: &Case, meets: bool) -> bool {
    let scene = &case.scene;
    let proof = scene.proof().await;
    let form = proof.iter().map(|(name, value)| (*name, value.as_str()));
    let form: Vec<_> = form.chain([("token", "unknown")]).collect();
    let jwt = "application/token-introspection+jwt";
    let (accept, expected) = if meets {
        (jwt, jwt)
    } else {
        ("*/*", "application/json")
    };
    let request = scene.server.form("/oauth/introspect", &form);
    let answer = scene.server.send(request.header("accept", accept)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("content-type") == expected
}
