//! A JWT that holds, for each that reads one.

use std::sync::Arc;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared_protocol::jose::Signer;
use shared_testing::forgeries::Original;
use shared_testing::prover::{ath, good, with};

use super::verifiers::Verifier;
use crate::bound_userinfo::USERINFO;
use crate::dpop::TOKEN;
use crate::jwt_bearer;
use crate::macs::unique;
use crate::person::code_form;
use crate::pushed::PAR;
use crate::server::{API, TestClient};
use crate::stage::{JAGS, REVOKE_ALL, STATEMENTS, Stage};
use crate::token::decode;
use crate::token_exchange::ID;

/// A JWT that holds, and what signs such.
pub(super) struct Case {
    pub(super) original: Original,
    pub(super) maker: Maker,
    /// The token that it is shown with.
    pub(super) beside: Option<String>,
}

pub(super) enum Maker {
    Key(Arc<dyn Signer>),
    Secret(Vec<u8>),
}

impl Maker {
    pub(super) async fn sign(&self, input: &[u8]) -> Vec<u8> {
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
    Case {
        original,
        maker,
        beside: None,
    }
}

/// A proof of the apps' key.
fn proof(stage: &Stage, claims: Value) -> Case {
    let typ = "dpop+jwt";
    let mut case = signed(stage.proving.clone(), typ, claims, &[typ]);
    let jwk = case.original.public_key.clone();
    case.original.header = json!({"alg": "ES256", "typ": typ, "jwk": jwk});
    case
}

impl Stage {
    /// An access token of the app, bound to its key.
    pub(super) async fn bound(&self) -> String {
        let code = self.scene.code(&self.app, "openid read").await;
        let form = code_form(&code);
        let answer = crate::dpop::ask(self.server(), &self.app, &form, &self.prover).await;
        assert_eq!(answer.text("token_type"), "DPoP");
        answer.text("access_token").to_owned()
    }
}

impl Verifier {
    /// Something that it takes.
    pub(super) async fn case(self, stage: &Stage) -> Case {
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
                Case {
                    original,
                    maker,
                    beside: None,
                }
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
            Self::Userinfo | Self::UserinfoInForm => {
                let tokens = stage.tokens(&stage.scene.app, "openid").await;
                own(tokens["access_token"].as_str().unwrap(), &["at+jwt"])
            }
            Self::BoundUserinfo => own(&stage.bound().await, &["at+jwt"]),
            Self::CertifiedUserinfo => {
                let code = stage.scene.code(&stage.certified, "openid").await;
                let form = code_form(&code);
                let answer = stage.certified(&stage.presenting, TOKEN, &form).await;
                own(answer.text("access_token"), &["at+jwt"])
            }
            Self::Subject(_) | Self::Introspection | Self::Revocation => {
                let tokens = stage.tokens(&stage.scene.app, "openid read").await;
                own(tokens["access_token"].as_str().unwrap(), &["at+jwt"])
            }
            Self::Actor(_) => own(&server.token(&stage.gateway, API).await, &["at+jwt"]),
            Self::TokenProof => proof(stage, good(server, TOKEN)),
            Self::PushProof => proof(stage, good(server, PAR)),
            Self::UserinfoProof => {
                let token = stage.bound().await;
                let changes = json!({"htm": "GET", "ath": ath(&token)});
                let mut case = proof(stage, with(&good(server, USERINFO), &changes));
                case.beside = Some(token);
                case
            }
        }
    }
}
