//! What is no proof (RFC 9449 §4.3, threat 27), on each route that takes tokens, at every node and by each of its doors.

use std::collections::BTreeSet;
use std::sync::Arc;

use shared_testing::proofs::{Proven, rows};
use tokio::task::JoinSet;

use super::*;
use crate::harness::Node;

/// Where requests come in.
#[derive(Clone, Copy, Debug)]
enum Door {
    /// For everybody.
    Main,
    /// Where callers are asked for certificates.
    Certificates,
}

const DOORS: [Door; 2] = [Door::Main, Door::Certificates];

/// Two nodes where they share what is minutes old, else one.
struct Nodes {
    api: Api,
    all: Vec<Node>,
    /// Somebody who shows no certificate.
    bare: Client,
    /// A person's token that is good for everything, and another that is bound to nothing.
    token: String,
    unbound: String,
    prover: Prover,
    _folder: tempfile::TempDir,
}

/// A request.
#[derive(Clone, Copy, Debug)]
struct Place {
    method: &'static str,
    path: &'static str,
    /// As the description of the API has it.
    template: &'static str,
}

const PLACES: [Place; 3] = [
    Place {
        method: "GET",
        path: ME,
        template: ME,
    },
    Place {
        method: "PUT",
        path: ME,
        template: ME,
    },
    Place {
        method: "GET",
        path: "/api/v1/users/me/fields/sub",
        template: "/api/v1/users/me/fields/{field}",
    },
];

impl Nodes {
    async fn start(storage: Storage) -> Self {
        let (folder, pair) = (tempfile::tempdir().unwrap(), Pair::new());
        let is_shared = storage.is_shared();
        let api = api(storage, |config| {
            pair.listens(folder.path(), config);
            config.rate_limits.address.requests = 0;
            config.rate_limits.account.requests = 0;
            config.rate_limits.client.requests = 0;
        })
        .await;
        let mut all = vec![Node {
            base: api.base.clone(),
            mtls: api.mtls.clone(),
        }];
        if is_shared {
            all.push(api.another_node(|_| {}).await);
        }
        let prover = Prover::new();
        let mut claims = api.person_claims("person-1");
        claims["scope"] = "profile:read profile:write".into();
        let details =
            json!([{"type": "profile_fields", "actions": ["read"], "datatypes": ["sub"]}]);
        claims["authorization_details"] = details;
        let unbound = api.sign(&claims).await;
        claims["cnf"] = prover.cnf();
        Self {
            bare: pair.client(None),
            token: api.sign(&claims).await,
            unbound,
            prover,
            api,
            all,
            _folder: folder,
        }
    }

    /// A request at one node after the other.
    async fn send(
        &self,
        place: Place,
        (number, door): (usize, Door),
        authorization: &str,
        proofs: &[String],
    ) -> Response {
        let node = &self.all[number % self.all.len()];
        let (base, http) = match door {
            Door::Main => (&node.base, &self.api.client),
            Door::Certificates => (node.mtls.as_ref().unwrap(), &self.bare),
        };
        let method = place.method.parse().unwrap();
        let request = http.request(method, format!("{base}{}", place.path));
        let request = request.header(AUTHORIZATION, authorization);
        let request = if place.method == "PUT" {
            request.json(&json!({"display_name": "Ada"}))
        } else {
            request
        };
        let add = |request: RequestBuilder, proof: &String| request.header("dpop", proof);
        let request = proofs.iter().fold(request, add);
        request.send().await.unwrap()
    }

    async fn show(&self, place: Place, at: (usize, Door), proofs: &[String]) -> Response {
        let authorization = format!("DPoP {}", self.token);
        self.send(place, at, &authorization, proofs).await
    }

    fn proven(&self, place: Place, door: Door, nonce: &str) -> Proven {
        let base = match door {
            Door::Main => RESOURCE,
            Door::Certificates => MTLS,
        };
        Proven {
            method: place.method.to_owned(),
            url: format!("{base}{}", place.path),
            token: Some(self.token.clone()),
            nonce: nonce.to_owned(),
            now: self.api.clock.now(),
        }
    }

    async fn proof(&self, place: Place, door: Door, changes: &Value) -> [String; 1] {
        let proven = self.proven(place, door, "");
        [self.prover.prove(&proven, changes).await]
    }

    /// The nonce that a node tells whoever tries.
    async fn nonce(&self, place: Place, at: (usize, Door)) -> String {
        let answer = self.show(place, at, &["x".to_owned()]).await;
        lines(&answer, "dpop-nonce").remove(0)
    }
}

async fn is_refused(response: Response, code: &str, what: &str) {
    let slug = code.replace('_', "-");
    refused(response, ("DPoP", code), &slug, what).await;
}

on_both_stores! {
    async fn rfc9449_4_3_what_is_no_proof(storage: Storage) {
        let nodes = Nodes::start(storage).await;
        for (place, door) in PLACES.into_iter().flat_map(|place| DOORS.map(|door| (place, door))) {
            is_refused(nodes.show(place, (0, door), &[]).await, INVALID_PROOF.0, "none").await;
            let nonce = nodes.nonce(place, (0, door)).await;
            let rows = rows(&nodes.prover, &nodes.proven(place, door, &nonce)).await;
            assert!(rows.len() > 200, "{}", rows.len());
            for (number, row) in rows.iter().enumerate() {
                let what = format!("{} at {place:?} by {door:?}", row.what);
                let response = nodes.show(place, (number, door), &row.proofs).await;
                if let Some(code) = row.expected.code() {
                    is_refused(response, code, &what).await;
                } else {
                    assert_eq!(response.status(), 200, "{what}");
                    assert_eq!(lines(&response, "dpop-nonce").len(), 1, "{what}");
                    assert_eq!(lines(&response, "cache-control"), ["no-store"], "{what}");
                }
            }
        }
    }

    // So that none is forgotten.
    async fn rfc9449_4_3_every_route_that_takes_proofs_is_tried(storage: Storage) {
        let nodes = Nodes::start(storage).await;
        let document: Value = nodes.api.get("/openapi.json").await.json().await.unwrap();
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let security = operation["security"].as_array();
                if security.is_some_and(|all| all.iter().any(|known| known["dpop"].is_array())) {
                    described.insert(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
        let tried = PLACES.map(|place| format!("{} {}", place.method, place.template));
        assert_eq!(BTreeSet::from(tried), described);
    }

    // By whichever door, for whichever of the two it was made, at whichever node.
    async fn rfc9449_11_1_a_proof_is_good_once_on_every_route_of_every_node(storage: Storage) {
        let nodes = Nodes::start(storage).await;
        for place in PLACES {
            for (number, (made_for, by)) in DOORS.into_iter().flat_map(|one| DOORS.map(|by| (one, by))).enumerate() {
                let what = format!("{place:?} for {made_for:?} by {by:?}");
                let nonce = nodes.nonce(place, (number, by)).await;
                for changes in [json!({}), json!({"nonce": nonce, "iat": 1})] {
                    let proof = nodes.proof(place, made_for, &changes).await;
                    let first = nodes.show(place, (number, by), &proof).await;
                    assert_eq!(first.status(), 200, "{what}");
                    for (node, door) in DOORS.into_iter().flat_map(|door| [(0, door), (1, door)]) {
                        let again = nodes.show(place, (node, door), &proof).await;
                        is_refused(again, INVALID_PROOF.0, &what).await;
                    }
                }
            }
        }
    }

    async fn threat_6_of_200_uses_of_one_proof_on_two_nodes_one_succeeds(storage: Storage) {
        let nodes = Arc::new(Nodes::start(storage).await);
        for place in PLACES {
            let proof = nodes.proof(place, Door::Main, &json!({})).await;
            let mut uses = JoinSet::new();
            for number in 0..200 {
                let (nodes, proof) = (Arc::clone(&nodes), proof.clone());
                let door = DOORS[number / 2 % 2];
                uses.spawn(async move { nodes.show(place, (number, door), &proof).await });
            }
            let (good, refused): (Vec<_>, Vec<_>) = uses.join_all().await.into_iter()
                .partition(|response| response.status() == 200);
            assert_eq!(good.len(), 1, "{place:?}");
            for response in refused {
                is_refused(response, INVALID_PROOF.0, "another").await;
            }
        }
    }

    // Told by one node, on one route and by one door, used at the other, with a clock that is wrong.
    async fn rfc9449_9_a_nonce_is_good_on_every_route_of_every_node(storage: Storage) {
        let nodes = Nodes::start(storage).await;
        for (number, told_by) in PLACES.into_iter().enumerate() {
            for (door, other) in [(DOORS[0], DOORS[1]), (DOORS[1], DOORS[0])] {
                let nonce = nodes.nonce(told_by, (number, door)).await;
                for place in PLACES {
                    let claims = json!({"nonce": nonce, "iat": 1});
                    let proof = nodes.proof(place, other, &claims).await;
                    let response = nodes.show(place, (number + 1, other), &proof).await;
                    assert_eq!(response.status(), 200, "{told_by:?}, {place:?}");
                }
            }
        }
    }

    async fn rfc9449_7_2_a_bound_token_is_of_no_use_without_its_key(storage: Storage) {
        let nodes = Nodes::start(storage).await;
        let other = Prover::new();
        for (number, (place, door)) in PLACES.into_iter().flat_map(|place| DOORS.map(|door| (place, door))).enumerate() {
            let good = nodes.proof(place, door, &json!({})).await;
            let others = other.prove(&nodes.proven(place, door, ""), &json!({})).await;
            let lent = nodes.proof(place, door, &json!({"ath": ath(&nodes.unbound)})).await;
            let (bearer, dpop) = (format!("Bearer {}", nodes.token), format!("DPoP {}", nodes.token));
            let of_unbound = format!("DPoP {}", nodes.unbound);
            for (what, authorization, proofs, scheme, (code, slug)) in [
                ("as Bearer", &bearer, &[][..], "Bearer", INVALID_TOKEN),
                ("as Bearer, with a proof", &bearer, &good, "Bearer", INVALID_TOKEN),
                ("by another key", &dpop, &[others], "DPoP", INVALID_TOKEN),
                ("what is bound to nothing", &of_unbound, &lent, "DPoP", INVALID_TOKEN),
            ] {
                let what = format!("{what} at {place:?} by {door:?}");
                let response = nodes.send(place, (number, door), authorization, proofs).await;
                refused(response, (scheme, code), slug, &what).await;
            }
            let response = nodes.show(place, (number + 1, door), &good).await;
            assert_eq!(response.status(), 200, "nothing spent the good one");
        }
    }

    async fn threat_21_what_a_proxy_says_of_where_it_came_from_is_not_believed(storage: Storage) {
        let nodes = Nodes::start(storage).await;
        let (api, dpop) = (&nodes.api, format!("DPoP {}", nodes.token));
        for (name, value, evil) in [
            ("host", "evil.example", "https://evil.example"),
            ("x-forwarded-host", "evil.example", "https://evil.example"),
            ("x-forwarded-proto", "http", "http://api.example"),
            ("x-forwarded-prefix", "/tenant", "https://api.example/tenant"),
            ("forwarded", "host=evil.example;proto=http", "http://evil.example"),
        ] {
            let htu = json!({"htu": format!("{evil}{ME}")});
            for (changes, status) in [(htu, 401), (json!({}), 200)] {
                let proof = nodes.proof(PLACES[0], Door::Main, &changes).await;
                let request = api.proven(&api.base, &dpop, &[&proof[0]]);
                let response = request.header(name, value).send().await.unwrap();
                assert_eq!(response.status(), status, "{name}");
            }
        }
    }

    // The path of a request is compared whole, so that a proxy must leave it as it is: with a part taken off, no proof is good for what
    // callers see.
    async fn rfc9449_4_3_a_proxy_leaves_the_path_as_it_is(storage: Storage) {
        let api = api(storage, |config| {
            config.resource.identifier = "https://api.example/tenant".parse().unwrap();
        })
        .await;
        let prover = Prover::new();
        let mut claims = api.service_claims();
        claims["aud"] = "https://api.example/tenant".into();
        claims["cnf"] = prover.cnf();
        let token = api.sign(&claims).await;
        for (htu, status) in [
            (format!("https://api.example/tenant{ME}"), 401),
            (format!("https://api.example{ME}"), 200),
        ] {
            let proof = prove(&api, &prover, &token, &json!({"htu": htu})).await;
            let response = api.show(&format!("DPoP {token}"), &[&proof]).await;
            assert_eq!(response.status(), status, "{htu}");
        }
    }
}
