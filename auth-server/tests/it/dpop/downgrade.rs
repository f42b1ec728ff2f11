//! Threat 27: what is bound to a key is of no use without it, on no path.

use super::*;
use crate::bindable::{Door, Nodes, Place, Sender};
use crate::bound_userinfo::{assert_refused, challenges};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_7_2_a_bound_token_is_of_no_use_without_its_key,
);

/// For an API that looks tokens up.
async fn opaque(scene: &Scene, prover: &Prover) -> String {
    let change = |known: &mut ResourceServer| known.token_format = TokenFormat::Opaque;
    scene.server.change_resource(API, change).await;
    let code = scene.code(&scene.app, "openid read").await;
    let answer = ask(&scene.server, &scene.app, &code_form(&code), prover).await;
    let token = answer.text("access_token");
    assert!(!token.contains('.'));
    token.to_owned()
}

/// By each method, at each door of each node, and whatever kind of token it is.
async fn rfc9449_7_2_a_bound_token_is_of_no_use_without_its_key(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = nodes.places(&Sender::Key(&prover)).await;
    let scene = &nodes.scene;
    let code = scene.code(&scene.app, "openid read").await;
    let unbound = scene.redeem(&scene.app, &code).await;
    let unbound = unbound.text("access_token");
    let opaque = opaque(scene, &prover).await;
    let shown = places.iter().filter(|place| place.token.is_some());
    let shown: Vec<_> = shown
        .flat_map(|place| [place.clone(), place.with_token("DPoP", &opaque)])
        .collect();
    for (number, place) in shown.iter().enumerate() {
        let bound = &place.token.as_ref().unwrap().1;
        let other = Prover::new();
        for (number, door) in [(number, Door::Main), (number + 1, Door::Certificates)] {
            let bearer = place.with_token("Bearer", bound);
            let lent = place.with_token("DPoP", unbound);
            let proof = async |place: &Place, prover: &Prover| {
                vec![place.proof((&nodes, door), prover, &json!({})).await]
            };
            let good = proof(place, &prover).await;
            for (what, place, proofs, scheme, code) in [
                ("as Bearer", &bearer, vec![], "Bearer", "invalid_token"),
                (
                    "as Bearer, with a proof",
                    &bearer,
                    good.clone(),
                    "Bearer",
                    "invalid_token",
                ),
                (
                    "without a proof",
                    place,
                    vec![],
                    "DPoP",
                    "invalid_dpop_proof",
                ),
                (
                    "by another key",
                    place,
                    proof(place, &other).await,
                    "DPoP",
                    "invalid_token",
                ),
                (
                    "what is bound to nothing",
                    &lent,
                    proof(&lent, &prover).await,
                    "DPoP",
                    "invalid_token",
                ),
            ] {
                let what = format!("{}, {what}, by {door:?}", place.what);
                let answer = place.send(&nodes, (number, door), &proofs).await;
                assert_refused(&answer, scheme, code, &what);
                // RFC 9449 §7.2: who tried the wrong scheme is told of the other.
                let lines = challenges(&answer);
                let schemes = if scheme == "Bearer" { 2 } else { 1 };
                assert_eq!(lines.len(), schemes, "{what}: {lines:?}");
            }
            let answer = place.send(&nodes, (number + 1, door), &good).await;
            place.assert_good(&answer, "nothing spent the good one");
        }
    }
}
