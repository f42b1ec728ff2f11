//! Threats 15 and 16: every verifier of JWTs that the server has, and all that attackers make of what holds there.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared_protocol::dpop::{
    Dpop, DpopSettings, LocalProofs, NoncePolicy, Nonces, PROOF, ProofRequest,
};
use shared_protocol::jose::{JwtKind, Signer};
use shared_protocol::time::{Clock as _, Instant};
use shared_testing::forgeries::{Original, forgeries};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, parameter};
use crate::macs::unique;
use crate::person::{is_active, post};
use crate::pushed::PAR;
use crate::registration::{REGISTER, service};
use crate::server::{API, TestClient};
use crate::sign_out::logout;
use crate::stage::{JAGS, REVOKE_ALL, STATEMENTS, Stage};
use crate::token::decode;
use crate::token_exchange::{ACCESS, EXCHANGE, ID, JWT};
use crate::{device, jwt_bearer, request_object};

on_each_store!(auth_server::store::MIGRATIONS;
    threats_15_and_16_assertions_of_clients,
    threats_15_and_16_macs_of_clients,
    threats_15_and_16_assertions_of_others,
    threats_15_and_16_request_objects,
    threats_15_and_16_software_statements,
    threats_15_and_16_hints,
    threats_15_and_16_tokens_that_are_exchanged,
    threats_15_and_16_access_tokens,
    threats_15_and_16_proofs,
);

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Every place at which a JWT is verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verifier {
    /// `client_assertion`, at an endpoint.
    Assertion(&'static str),
    /// A bearer token of a client who has all end that somebody had.
    Tool,
    /// The same as an assertion of a client that shares a secret.
    Mac(&'static str),
    /// `assertion` of RFC 7523 §2.1.
    BearerAssertion,
    /// The same of an ID-JAG.
    IdentityAssertion,
    /// `request` at the authorization endpoint.
    RequestObject,
    /// And pushed.
    PushedObject,
    /// `software_statement`.
    Statement,
    /// `id_token_hint` of a request.
    Hint,
    /// And of a sign-out.
    LogoutHint,
    /// `subject_token` of a type.
    Subject(&'static str),
    /// `actor_token` of a type.
    Actor(&'static str),
    /// A bearer token.
    Userinfo,
    /// `token`.
    Introspection,
    /// `token`.
    Revocation,
    /// `DPoP`.
    Proof,
}

const ASSERTIONS: [Verifier; 6] = [
    Verifier::Assertion("/oauth/token"),
    Verifier::Assertion(PAR),
    Verifier::Assertion("/oauth/introspect"),
    Verifier::Assertion("/oauth/revoke"),
    Verifier::Assertion(device::PATH),
    Verifier::Tool,
];
const MACS: [Verifier; 5] = [
    Verifier::Mac("/oauth/token"),
    Verifier::Mac(PAR),
    Verifier::Mac("/oauth/introspect"),
    Verifier::Mac("/oauth/revoke"),
    Verifier::Mac(device::PATH),
];
const OBJECTS: [Verifier; 2] = [Verifier::RequestObject, Verifier::PushedObject];
/// The last ends the session.
const HINTS: [Verifier; 2] = [Verifier::Hint, Verifier::LogoutHint];
const EXCHANGED: [Verifier; 5] = [
    Verifier::Subject(ACCESS),
    Verifier::Subject(JWT),
    Verifier::Subject(ID),
    Verifier::Actor(ACCESS),
    Verifier::Actor(JWT),
];
/// The last ends its token.
const ACCESS_TOKENS: [Verifier; 3] = [
    Verifier::Userinfo,
    Verifier::Introspection,
    Verifier::Revocation,
];

/// Where a kind of JWT is read. Of most kinds that this server writes, nobody brings one back.
const fn read_at(kind: JwtKind) -> &'static [&'static [Verifier]] {
    match kind {
        JwtKind::AccessToken => &[&ACCESS_TOKENS, &EXCHANGED],
        JwtKind::ClientAssertion => &[&ASSERTIONS, &MACS],
        JwtKind::IdToken => &[&HINTS, &EXCHANGED],
        JwtKind::SoftwareStatement => &[&[Verifier::Statement]],
        JwtKind::RequestObject => &[&OBJECTS],
        JwtKind::BearerAssertion => &[&[Verifier::BearerAssertion]],
        JwtKind::IdentityAssertion => &[&[Verifier::IdentityAssertion]],
        JwtKind::DpopProof => &[&[Verifier::Proof]],
        JwtKind::LogoutToken
        | JwtKind::AuthorizationResponse
        | JwtKind::Userinfo
        | JwtKind::ServerMetadata
        | JwtKind::TokenIntrospection => &[],
    }
}

/// A JWT that holds, and what signs such.
struct Case {
    original: Original,
    maker: Maker,
}

enum Maker {
    Key(Arc<dyn Signer>),
    Secret(Vec<u8>),
}

impl Maker {
    async fn sign(&self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Key(key) => key.sign(input).await.unwrap(),
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, input).as_ref().to_vec()
            }
        }
    }
}

/// What a key makes of these claims.
fn signed(key: Arc<dyn Signer>, typ: &str, claims: Value, types: &[&'static str]) -> Case {
    let kid = key.public().kid().map(|kid| kid.as_str().to_owned());
    let original = Original {
        header: json!({"alg": "ES256", "typ": typ, "kid": kid}),
        claims,
        public_key: key.public().to_value(),
        known: Vec::new(),
        types: types.to_vec(),
    };
    let maker = Maker::Key(key);
    Case { original, maker }
}

impl Verifier {
    /// Something that it takes.
    async fn case(self, stage: &Stage) -> Case {
        let (server, now) = (stage.server(), stage.now());
        let of_client = |client: &TestClient| json!({"iss": client.id, "sub": client.id, "aud": server.issuer, "iat": now, "exp": now + 60, "jti": unique()});
        // As the server made them.
        let own = |token: &str, types| {
            let (header, claims) = decode(token);
            signed(
                stage.own_key(),
                header["typ"].as_str().unwrap(),
                claims,
                types,
            )
        };
        match self {
            Self::Assertion(_) => {
                let claims = of_client(&stage.signing);
                let types = ["jwt", "client-authentication+jwt"];
                signed(stage.signing_key.clone(), "JWT", claims, &types)
            }
            Self::Tool => {
                let mut claims = of_client(&stage.signing);
                claims["aud"] = format!("{}{REVOKE_ALL}", server.issuer).into();
                let types = ["jwt", "client-authentication+jwt"];
                signed(stage.signing_key.clone(), "JWT", claims, &types)
            }
            Self::Mac(_) => {
                let digest = Sha256::digest(&stage.macs.secret);
                let original = Original {
                    header: json!({"alg": "HS256", "typ": "JWT"}),
                    claims: of_client(&stage.macs),
                    public_key: Value::Null,
                    known: vec![stage.macs.id.clone().into(), digest.to_vec()],
                    types: vec!["jwt", "client-authentication+jwt"],
                };
                let maker = Maker::Secret(stage.macs.secret.clone().into());
                Case { original, maker }
            }
            Self::BearerAssertion => {
                let claims = jwt_bearer::good_claims(server, &stage.scene.account_id);
                signed(stage.outside.clone(), "JWT", claims, &["jwt"])
            }
            Self::IdentityAssertion => {
                let mut claims = jwt_bearer::good_claims(server, &stage.scene.account_id);
                claims["iss"] = JAGS.into();
                claims["client_id"] = json!(stage.bearer.id);
                claims["resource"] = API.into();
                let typ = "oauth-id-jag+jwt";
                signed(stage.outside.clone(), typ, claims, &[typ])
            }
            Self::RequestObject | Self::PushedObject => {
                let typ = "oauth-authz-req+jwt";
                let claims = stage.request(&json!({}));
                signed(stage.app_key.clone(), typ, claims, &["jwt", typ])
            }
            Self::Statement => {
                let claims = json!({"iss": STATEMENTS, "software_id": "stated"});
                signed(stage.outside.clone(), "JWT", claims, &["jwt"])
            }
            Self::Hint | Self::LogoutHint | Self::Subject(ID) => {
                let tokens = stage.tokens(&stage.app, "openid read reports").await;
                own(tokens["id_token"].as_str().unwrap(), &["jwt"])
            }
            Self::Userinfo => {
                let tokens = stage.tokens(&stage.scene.app, "openid").await;
                own(tokens["access_token"].as_str().unwrap(), &["at+jwt"])
            }
            Self::Subject(_) | Self::Introspection | Self::Revocation => {
                let tokens = stage.tokens(&stage.scene.app, "openid read").await;
                own(tokens["access_token"].as_str().unwrap(), &["at+jwt"])
            }
            Self::Actor(_) => own(&server.token(&stage.gateway, API).await, &["at+jwt"]),
            Self::Proof => {
                let claims = json!({"jti": unique(), "htm": "POST", "htu": "https://as.example/oauth/token", "iat": now});
                let mut case = signed(stage.outside.clone(), "dpop+jwt", claims, &["dpop+jwt"]);
                let jwk = case.original.public_key.clone();
                case.original.header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk});
                case
            }
        }
    }

    /// Whether it takes this one; what it does not take is the fault of who sent it.
    #[expect(clippy::too_many_lines, reason = "a table")]
    async fn takes(self, world: &World<'_>, token: &str) -> bool {
        let (stage, server) = (world.stage, world.stage.server());
        let (status, is_taken) = match self {
            Self::Assertion(endpoint) | Self::Mac(endpoint) => {
                let proof = [
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", token),
                    ("grant_type", "client_credentials"),
                    ("token", "none"),
                ];
                let answer = server.send(server.form(endpoint, &proof)).await;
                let status = answer.status.as_u16();
                (status, status != 401)
            }
            Self::Tool => {
                if !is_header(token) {
                    return false;
                }
                let answer = stage.revoke_all(token).await;
                (answer.status.as_u16(), answer.status == 404)
            }
            Self::BearerAssertion | Self::IdentityAssertion => {
                let form = [("grant_type", jwt_bearer::GRANT), ("assertion", token)];
                let answer = server.post_as(&stage.bearer, "/oauth/token", &form).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::RequestObject => {
                let url = request_object::url(server, &stage.app, ("request", token), &[]);
                let page = Browser::new(server).open(url).await;
                (page.status.as_u16(), page.has("sign-in"))
            }
            Self::PushedObject => {
                let answer = post(server, &stage.app, PAR, &[("request", token)]).await;
                (answer.status.as_u16(), answer.status == 201)
            }
            Self::Statement => {
                let mut document = service();
                document["software_statement"] = token.into();
                let answer = server.post_json(REGISTER, &document, None).await;
                (answer.status.as_u16(), answer.status == 201)
            }
            Self::Hint => {
                let asked = [("id_token_hint", token), ("prompt", "none")];
                let url = server.authorize_url(&stage.app, &asked);
                let page = stage.browser().get(url).await;
                let is_taken = page.status == 303 && parameter(&page.location(), "code").is_some();
                (page.status.as_u16(), is_taken)
            }
            Self::LogoutHint => {
                let hint = [("id_token_hint", token)];
                let page = logout(server, &stage.browser(), &hint).await;
                (page.status.as_u16(), page.status == 303)
            }
            Self::Subject(token_type) => {
                let client = if token_type == ID {
                    &stage.app
                } else {
                    &stage.gateway
                };
                let form = [
                    ("grant_type", EXCHANGE),
                    ("subject_token", token),
                    ("subject_token_type", token_type),
                    ("resource", API),
                ];
                let answer = server.post_as(client, "/oauth/token", &form).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::Actor(token_type) => {
                let form = [
                    ("grant_type", EXCHANGE),
                    ("subject_token", &world.subject),
                    ("subject_token_type", ACCESS),
                    ("actor_token", token),
                    ("actor_token_type", token_type),
                ];
                let answer = server.post_as(&stage.gateway, "/oauth/token", &form).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::Userinfo => {
                if !is_header(token) {
                    return false;
                }
                let request = server.http.get(format!("{}/oauth/userinfo", server.issuer));
                let answer = server.send(request.bearer_auth(token)).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::Introspection => {
                let form = [("token", token)];
                let answer = server
                    .post_as(&stage.gateway, "/oauth/introspect", &form)
                    .await;
                (answer.status.as_u16(), answer.body["active"] == true)
            }
            Self::Revocation => {
                let form = [("token", token)];
                let answer = post(server, &stage.scene.app, "/oauth/revoke", &form).await;
                let is_active = is_active(server, &stage.gateway, &world.good).await;
                (answer.status.as_u16(), !is_active)
            }
            Self::Proof => {
                let Ok(value) = HeaderValue::from_str(token) else {
                    return false;
                };
                let mut headers = HeaderMap::new();
                headers.insert(PROOF, value);
                let request = ProofRequest {
                    headers: &headers,
                    method: &Method::POST,
                    path: "/oauth/token",
                };
                let now = server.clock.now();
                let proven = world.dpop.prove(request, None, NoncePolicy::Offered, now);
                (200, proven.await.is_ok())
            }
        };
        assert!(status < 500, "{self:?}: {status} for {token}");
        is_taken
    }
}

/// Whether it can be sent as it is: what is around a header's value is none of it (RFC 9110 §5.5), and more blanks than one may stand before a
/// token (§11.4).
fn is_header(token: &str) -> bool {
    HeaderValue::from_str(token).is_ok() && token.trim() == token
}

/// What stands beside the JWT that is tried.
struct World<'a> {
    stage: &'a Stage,
    /// The token for which somebody acts.
    subject: String,
    /// The JWT that holds.
    good: String,
    dpop: Dpop,
}

async fn try_each(stores: &Stores, verifiers: &[Verifier]) {
    let stage = Box::pin(Stage::set(stores)).await;
    let tokens = stage.tokens(&stage.scene.app, "openid read").await;
    let mut world = World {
        stage: &stage,
        subject: tokens["access_token"].as_str().unwrap().to_owned(),
        good: String::new(),
        dpop: Dpop::new(DpopSettings {
            origins: vec!["https://as.example".parse().unwrap()],
            nonces: Nonces::new(&[0; 32], Duration::from_mins(5)),
            used: Arc::new(LocalProofs::new(1000, Instant::from_secs(0))),
        }),
    };
    for verifier in verifiers {
        let mut case = verifier.case(&stage).await;
        let others = [&stage.app.secret, &stage.server().issuer];
        case.original
            .known
            .extend(others.map(|text| text.clone().into_bytes()));
        let sign = async |input: &[u8]| case.maker.sign(input).await;
        let (good, forged) = forgeries(&case.original, sign).await;
        world.good = good;
        assert!(forged.len() > 120, "{verifier:?}: {}", forged.len());
        let mut taken = Vec::new();
        for forgery in forged {
            if verifier.takes(&world, &forgery.token).await {
                taken.push(forgery.what);
            }
        }
        assert!(taken.is_empty(), "{verifier:?} takes {taken:#?}");
        let is_taken = verifier.takes(&world, &world.good).await;
        assert!(
            is_taken,
            "{verifier:?} takes what holds, and nothing spent it"
        );
    }
    stage.scene.server.stop().await;
}

async fn threats_15_and_16_assertions_of_clients(stores: &Stores) {
    try_each(stores, &ASSERTIONS).await;
}

async fn threats_15_and_16_macs_of_clients(stores: &Stores) {
    try_each(stores, &MACS).await;
}

async fn threats_15_and_16_assertions_of_others(stores: &Stores) {
    try_each(
        stores,
        &[Verifier::BearerAssertion, Verifier::IdentityAssertion],
    )
    .await;
}

async fn threats_15_and_16_request_objects(stores: &Stores) {
    try_each(stores, &OBJECTS).await;
}

async fn threats_15_and_16_software_statements(stores: &Stores) {
    try_each(stores, &[Verifier::Statement]).await;
}

async fn threats_15_and_16_hints(stores: &Stores) {
    try_each(stores, &HINTS).await;
}

async fn threats_15_and_16_tokens_that_are_exchanged(stores: &Stores) {
    try_each(stores, &EXCHANGED).await;
}

async fn threats_15_and_16_access_tokens(stores: &Stores) {
    try_each(stores, &ACCESS_TOKENS).await;
}

async fn threats_15_and_16_proofs(stores: &Stores) {
    try_each(stores, &[Verifier::Proof]).await;
}

#[test]
fn rfc8725_3_11_each_kind_that_is_read_is_tried_where_it_is_read() {
    for kind in [
        JwtKind::AccessToken,
        JwtKind::ClientAssertion,
        JwtKind::IdToken,
        JwtKind::SoftwareStatement,
        JwtKind::RequestObject,
        JwtKind::BearerAssertion,
        JwtKind::IdentityAssertion,
        JwtKind::DpopProof,
    ] {
        assert!(!read_at(kind).is_empty(), "{kind:?}");
    }
}
