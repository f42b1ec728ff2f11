//! What is no proof (RFC 9449 §4.3, threat 27), at each endpoint that takes one and at every node.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use shared_testing::proofs::rows;

use super::*;
use crate::bindable::{Door, Nodes, Place, Sender, announced};
use crate::registration::with;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_4_3_what_is_no_proof_at_the_token_endpoint,
    rfc9449_4_3_what_is_no_proof_where_requests_are_pushed_and_at_userinfo,
    rfc9449_4_3_what_is_no_proof_where_certificates_are_asked_for,
    rfc9449_4_3_one_door_or_the_other,
    rfc9449_4_3_every_endpoint_that_takes_proofs_is_tried,
    rfc9449_8_a_nonce_is_good_at_every_endpoint_of_every_node,
    rfc9449_11_1_a_proof_is_good_once_at_every_endpoint_of_every_node,
    rfc9449_11_1_a_proof_is_good_once_however_long_it_lasts,
    threat_6_of_200_uses_of_one_proof_on_two_nodes_one_succeeds,
    rfc9449_4_3_the_url_is_the_issuers_behind_a_proxy_too,
    threat_21_what_a_proxy_says_of_where_it_came_from_is_not_believed,
);

const INVALID: &str = "invalid_dpop_proof";
const NONCE: &str = "use_dpop_nonce";

/// Each that there is, with the key that its tokens are bound to.
async fn places(nodes: &Nodes, prover: &Prover) -> Vec<Place> {
    nodes.places(&Sender::Key(prover)).await
}

/// Tries everything at one place, at one node after the other. What is refused spends nothing: the code, the device code or the assertion is
/// good afterwards.
async fn try_all(nodes: &Nodes, (place, door): (&Place, Door), prover: &Prover) {
    let nonce = place.nonce(nodes, (0, door)).await;
    let bare = place.send(nodes, (1, door), &[]).await;
    if place.is_bound() {
        let code = bare.header("www-authenticate").to_owned() + &bare.body.to_string();
        assert!(code.contains(INVALID), "{}, none: {code}", place.what);
    } else {
        place.assert_good(&bare, "none");
    }
    let mut rows = rows(prover, &place.proven(nodes, door, &nonce)).await;
    assert!(rows.len() > 200, "{}", rows.len());
    let last = rows.pop().unwrap();
    for (number, row) in rows.iter().enumerate() {
        let what = format!("{} by {door:?}", row.what);
        let Some(code) = row.expected.code() else {
            if place.lasts {
                let answer = place.send(nodes, (number, door), &row.proofs).await;
                place.assert_good(&answer, &what);
                assert!(!answer.header("dpop-nonce").is_empty(), "{what}");
            }
            continue;
        };
        let answer = place.send(nodes, (number, door), &row.proofs).await;
        place.assert_refused(&answer, code, &what);
        // RFC 9449 §8.2, §9: whoever tries again has what it takes.
        assert!(!answer.header("dpop-nonce").is_empty(), "{what}");
    }
    let answer = place.send(nodes, (0, door), &last.proofs).await;
    place.assert_good(&answer, &last.what);
    if place.path == TOKEN {
        assert_bound(&answer, Some(prover), place.what);
    }
}

async fn rfc9449_4_3_what_is_no_proof_at_the_token_endpoint(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    for place in places.iter().filter(|place| place.path == TOKEN) {
        try_all(&nodes, (place, Door::Main), &prover).await;
    }
}

async fn rfc9449_4_3_what_is_no_proof_where_requests_are_pushed_and_at_userinfo(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    for place in places.iter().filter(|place| place.path != TOKEN) {
        try_all(&nodes, (place, Door::Main), &prover).await;
    }
}

async fn rfc9449_4_3_what_is_no_proof_where_certificates_are_asked_for(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    // One grant stands for all: what is different is the door.
    let grants = ["authorization_code", "client_credentials"];
    for place in &places {
        if place.path != TOKEN || grants.contains(&place.what) {
            try_all(&nodes, (place, Door::Certificates), &prover).await;
        }
    }
}

/// An endpoint has a URL by each door, and is one endpoint: a proof for either is a proof for it, by whichever door it comes, and once.
async fn rfc9449_4_3_one_door_or_the_other(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    let doors = [Door::Main, Door::Certificates];
    for place in places.iter().filter(|place| place.lasts) {
        for (made_for, comes_by) in doors.into_iter().flat_map(|one| doors.map(|by| (one, by))) {
            let what = format!("made for {made_for:?}, by {comes_by:?}");
            let proof = place.proof((&nodes, made_for), &prover, &json!({})).await;
            let proofs = [proof];
            let answer = place.send(&nodes, (0, comes_by), &proofs).await;
            place.assert_good(&answer, &what);
            for (number, by) in [
                (0, Door::Main),
                (1, Door::Main),
                (0, Door::Certificates),
                (1, Door::Certificates),
            ] {
                let again = place.send(&nodes, (number, by), &proofs).await;
                place.assert_refused(&again, INVALID, &format!("{what}, again by {by:?}"));
            }
        }
    }
}

/// So that none is forgotten, here and in the description.
async fn rfc9449_4_3_every_endpoint_that_takes_proofs_is_tried(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    let (described, grants) = announced(nodes.node(1)).await;
    let tried = places.iter();
    let tried = tried.map(|place| format!("{} {}", place.method, place.path));
    assert_eq!(tried.collect::<BTreeSet<_>>(), described);
    let tried = places.iter().filter(|place| place.path == TOKEN);
    let tried = tried.map(|place| place.what.to_owned());
    assert_eq!(tried.collect::<BTreeSet<_>>(), grants);
}

/// Each told by one endpoint, at one node and through one door, and used at each other, with a clock that is wrong.
async fn rfc9449_8_a_nonce_is_good_at_every_endpoint_of_every_node(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    let lasting: Vec<_> = places.iter().filter(|place| place.lasts).collect();
    let old = nodes.scene.server.clock.now().as_secs() - 100_000;
    for (number, told_by) in lasting.iter().enumerate() {
        let doors = [Door::Main, Door::Certificates];
        for (door, another) in [(doors[0], doors[1]), (doors[1], doors[0])] {
            let nonce = told_by.nonce(&nodes, (number, door)).await;
            for place in &lasting {
                let claims = json!({"iat": old, "nonce": nonce});
                let proof = place.proof((&nodes, another), &prover, &claims).await;
                let answer = place.send(&nodes, (number + 1, another), &[proof]).await;
                place.assert_good(&answer, &format!("told by {}", told_by.what));
            }
        }
    }
}

/// What one accepted, every other refuses, and itself too.
async fn rfc9449_11_1_a_proof_is_good_once_at_every_endpoint_of_every_node(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    let lasting = places.iter().filter(|place| place.lasts);
    for (number, place) in lasting.enumerate() {
        for with_nonce in [false, true] {
            let nonce = place.nonce(&nodes, (number, Door::Main)).await;
            let request = place.proven(&nodes, Door::Main, &nonce);
            let nonce = json!({"nonce": with_nonce.then_some(&nonce)});
            let claims = with(&request.claims(), &nonce);
            let signed = async || [prover.sign(&prover.header(), &claims).await];
            let first = signed().await;
            let answer = place.send(&nodes, (number, Door::Main), &first).await;
            place.assert_good(&answer, "first");
            for node in [number, number + 1] {
                // The same, and what it says signed anew.
                for again in [&first, &signed().await] {
                    let answer = place.send(&nodes, (node, Door::Main), again).await;
                    place.assert_refused(&answer, INVALID, "again");
                }
            }
        }
    }
}

async fn rfc9449_11_1_a_proof_is_good_once_however_long_it_lasts(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let (places, clock) = (places(&nodes, &prover).await, &nodes.scene.server.clock);
    let lasting = ["client_credentials", "pushed"];
    for place in places.iter().filter(|place| lasting.contains(&place.what)) {
        for with_nonce in [false, true] {
            let nonce = place.nonce(&nodes, (0, Door::Main)).await;
            let request = place.proven(&nodes, Door::Main, &nonce);
            let nonce = json!({"nonce": with_nonce.then_some(&nonce)});
            let claims = with(&request.claims(), &nonce);
            let proof = [prover.sign(&prover.header(), &claims).await];
            let answer = place.send(&nodes, (0, Door::Main), &proof).await;
            place.assert_good(&answer, "first");
            // To the clock of a minute later it is too old, or still used.
            for (passes, code) in [(45, INVALID), (360, NONCE)] {
                clock.advance(Duration::from_secs(passes));
                for node in 0..2 {
                    let answer = place.send(&nodes, (node, Door::Main), &proof).await;
                    place.assert_refused(&answer, code, &format!("after {passes} s"));
                }
            }
            // Another key may have come to the same jti.
            let jti = json!({"jti": claims["jti"]});
            let other = Prover::new();
            let theirs = place.proof((&nodes, Door::Main), &other, &jti).await;
            let answer = place.send(&nodes, (1, Door::Main), &[theirs]).await;
            place.assert_good(&answer, "another key");
        }
    }
}

async fn threat_6_of_200_uses_of_one_proof_on_two_nodes_one_succeeds(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    let each = ["client_credentials", "pushed", "userinfo by GET"];
    for place in places.iter().filter(|place| each.contains(&place.what)) {
        let proof = [place.proof((&nodes, Door::Main), &prover, &json!({})).await];
        let uses = (0..200).map(|number| place.send(&nodes, (number, Door::Main), &proof));
        let answers = join_all(uses).await;
        let (good, refused): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|answer| answer.status.is_success());
        assert_eq!(good.len(), 1, "{}", place.what);
        for answer in refused {
            place.assert_refused(answer, INVALID, "another");
        }
    }
}

async fn threat_21_what_a_proxy_says_of_where_it_came_from_is_not_believed(stores: &Stores) {
    let (nodes, prover) = (Nodes::start(stores).await, Prover::new());
    let places = places(&nodes, &prover).await;
    for place in places.iter().filter(|place| place.lasts) {
        let url = nodes.url(Door::Main);
        for (name, value, evil) in [
            ("host", "evil.example", "http://evil.example".to_owned()),
            (
                "x-forwarded-host",
                "evil.example",
                "http://evil.example".to_owned(),
            ),
            ("x-forwarded-proto", "https", url.replace("http:", "https:")),
            ("x-forwarded-prefix", "/tenant", format!("{url}/tenant")),
            (
                "forwarded",
                "host=evil.example;proto=https",
                "https://evil.example".to_owned(),
            ),
        ] {
            let htu = json!({"htu": format!("{evil}{}", place.path)});
            for (changes, code) in [(htu, Some(INVALID)), (json!({}), None)] {
                let proof = place.proof((&nodes, Door::Main), &prover, &changes).await;
                let request = place.request(&nodes, (0, Door::Main));
                let request = request.header(name, value).header("dpop", proof);
                let answer = nodes.node(0).send(request).await;
                match code {
                    Some(code) => place.assert_refused(&answer, code, name),
                    None => place.assert_good(&answer, name),
                }
            }
        }
    }
}

/// Whoever stands before the server: what clients know is the issuer, its path included, which nobody may take off on the way.
async fn rfc9449_4_3_the_url_is_the_issuers_behind_a_proxy_too(stores: &Stores) {
    let mut config = config(stores);
    config.issuer = "https://as.example/tenant".parse().unwrap();
    let scene = scene_of(config).await;
    let (server, prover) = (&scene.server, Prover::new());
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    for (htu, expected) in [
        ("https://as.example/tenant/oauth/token", 200),
        ("https://as.example/oauth/token", 400),
        ("https://as.example/tenant/tenant/oauth/token", 400),
        (&format!("{}{TOKEN}", server.issuer), 400),
    ] {
        let proof = prover.proof(server, TOKEN, &json!({"htu": htu})).await;
        let answer = send(server, &service, (TOKEN, &CREDENTIALS), &[&proof]).await;
        assert_eq!(answer.status, expected, "{htu}: {}", answer.body);
    }
    // A proxy that does is found out at once: nothing is served there.
    let stripped = server.issuer.strip_suffix("/tenant").unwrap();
    let stripped = server.http.post(format!("{stripped}{TOKEN}"));
    assert_eq!(server.send(stripped.form(&CREDENTIALS)).await.status, 404);
}
