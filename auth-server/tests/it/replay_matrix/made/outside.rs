//! What clients, and those whom the server trusts, make for it; and what clients are known by.

use serde_json::{Value, json};
use shared_protocol::jose::{JwtKind, sign_jwt};

use super::Values;
use crate::bound_userinfo;
use crate::dpop::{PAR, TOKEN};
use crate::jwt_bearer;
use crate::macs::unique;
use crate::registration::{REGISTER, service};
use crate::replay_matrix::artefacts::Artefact;
use crate::request_object::sign;
use crate::server::API;
use crate::stage::{JAGS, REFERENCE, REVOKE_ALL, STATEMENTS, Stage};

pub(super) async fn make(stage: &Stage, values: &mut Values) {
    let server = stage.server();
    let by_issuer = async |kind, claims: Value| {
        let signed = sign_jwt(kind, &claims, &*stage.outside).await;
        signed.unwrap()
    };
    let good = jwt_bearer::good_claims(server, &stage.scene.account_id);
    let mut jag = good.clone();
    jag["iss"] = JAGS.into();
    jag["client_id"] = json!(stage.bearer.id);
    jag["resource"] = API.into();
    jag["jti"] = unique().into();
    let statement = json!({"iss": STATEMENTS, "software_id": "stated"});
    for (artefact, kind, claims) in [
        (Artefact::BearerAssertion, JwtKind::BearerAssertion, good),
        (Artefact::IdentityAssertion, JwtKind::IdentityAssertion, jag),
        (
            Artefact::SoftwareStatement,
            JwtKind::SoftwareStatement,
            statement,
        ),
    ] {
        values.put(artefact, by_issuer(kind, claims).await);
    }
    values.put(Artefact::ClientAssertion, client_assertion(stage).await);
    let for_tool = format!("{}{REVOKE_ALL}", server.issuer);
    let for_tool = assertion(stage, &for_tool).await;
    values.put(Artefact::ToolAssertion, for_tool);
    let typ = json!({"typ": "oauth-authz-req+jwt"});
    let object = sign(&stage.app_key, &typ, &stage.request(&json!({}))).await;
    values.put(Artefact::RequestObject, &*object);
    let header = [("content-type", "application/oauth-authz-req+jwt")];
    stage.site.put_with(REFERENCE, 200, &header, object);
    values.put(Artefact::RequestReference, stage.site.at(REFERENCE));
    for (artefact, path) in [(Artefact::TokenProof, TOKEN), (Artefact::PushProof, PAR)] {
        let proof = stage.prover.proof(server, path, &json!({})).await;
        values.put(artefact, proof);
    }
    let token = values.0[&Artefact::BoundToken].clone();
    let proof = bound_userinfo::proof(server, &stage.prover, &token, &json!({})).await;
    values.put(Artefact::UserinfoProof, proof);
}

/// Of the client that signs, as it stands at every endpoint for clients.
pub(super) async fn client_assertion(stage: &Stage) -> String {
    assertion(stage, &stage.server().issuer).await
}

async fn assertion(stage: &Stage, audience: &str) -> String {
    let (id, now) = (&stage.signing.id, stage.now());
    let claims = json!({"iss": id, "sub": id, "aud": audience, "iat": now, "exp": now + 60, "jti": unique()});
    stage.server().assertion(&stage.signing_key, &claims).await
}

/// What clients get when they register, and where one of them manages itself.
pub(super) async fn registered(stage: &Stage, values: &mut Values) -> String {
    let server = stage.server();
    values.put(Artefact::InitialAccessToken, &*stage.initial);
    values.put(Artefact::InitialAccessTokenId, &*stage.initial_id);
    let answer = server
        .post_json(REGISTER, &service(), Some(&stage.initial))
        .await;
    let token = answer.text("registration_access_token");
    values.put(Artefact::RegistrationAccessToken, token);
    let url = answer.text("registration_client_uri");
    values.put(Artefact::ManagementUri, url);
    values.put(Artefact::ClientSecret, &*stage.app.secret);
    values.put(Artefact::PostedSecret, &*stage.posting.secret);
    values.put(Artefact::ClientId, &*stage.app.id);
    url.to_owned()
}
