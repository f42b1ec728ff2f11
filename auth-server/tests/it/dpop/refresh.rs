//! Refresh tokens that are bound to a key (RFC 9449 §5, threat 27).

use futures_util::future::join_all;

use super::*;
use crate::person::pair;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_5_a_public_clients_refresh_token_is_bound_and_not_rotated,
    rfc9449_5_a_confidential_client_may_come_with_any_key,
    rfc9449_5_what_was_bound_stays_so_whatever_the_client_becomes,
    rfc9449_5_the_next_refresh_token_is_bound_to_the_key_that_comes_first,
    rfc9700_4_14_2_what_was_rotated_long_ago_is_a_replay_to_its_owner_too,
    rfc9700_4_14_2_what_was_bound_by_a_thief_dies_when_its_owner_comes,
    what_is_remembered_of_an_unbound_family_does_not_open_a_bound_one,
);

const OVER: (u16, &str) = (400, "invalid_grant");

/// The refresh token of a grant that began with this proof.
async fn begun(scene: &Scene, client: &TestClient, prover: &Prover) -> String {
    let code = scene.code(client, "openid offline_access read").await;
    let answer = ask(&scene.server, client, &code_form(&code), prover).await;
    assert_bound(&answer, Some(prover), "begun");
    answer.text("refresh_token").to_owned()
}

async fn without(server: &TestServer, client: &TestClient, token: &str) -> Answer {
    send(server, client, (TOKEN, &refresh_form(token)), &[]).await
}

async fn with(server: &TestServer, client: &TestClient, token: &str, prover: &Prover) -> Answer {
    ask(server, client, &refresh_form(token), prover).await
}

async fn change(scene: &Scene, client: &TestClient, metadata: ClientMetadata) {
    let client = Client::new(client.id.parse().unwrap(), metadata, Vec::new()).unwrap();
    let (clients, now) = (&scene.server.records.clients, scene.server.clock.now());
    clients.put(&client, None, now).await.unwrap();
}

async fn rfc9449_5_a_public_clients_refresh_token_is_bound_and_not_rotated(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, app) = (&scene.server, &scene.app);
    let (prover, other) = (Prover::new(), Prover::new());
    let token = begun(&scene, app, &prover).await;
    let node = scene.another_node(stores).await;
    for _ in 0..3 {
        // A thief learns nothing, and ends nothing, however often.
        let stolen = without(server, app, &token).await;
        assert_eq!(stolen.error(), OVER, "as a bearer token");
        assert_eq!(without(&node, app, &token).await.error(), OVER, "elsewhere");
        let stolen = with(server, app, &token, &other).await;
        assert_eq!(stolen.error(), OVER, "with another key");
        let answer = with(server, app, &token, &prover).await;
        assert_bound(&answer, Some(&prover), "with its key");
        assert!(answer.body["refresh_token"].is_null(), "it stays as it is");
        assert!(scene.is_active(answer.text("access_token")).await);
        server.clock.advance(Duration::from_mins(1));
    }
    // At the same time, as tabs do.
    let uses = (0..50).map(|_| with(server, app, &token, &prover));
    for answer in join_all(uses).await {
        assert_bound(&answer, Some(&prover), "at once");
    }
    // It still runs out, and is revoked without a proof (RFC 7009 §2.1).
    let form = [("token", token.as_str())];
    let revoked = send(server, app, ("/oauth/revoke", &form), &[]).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(with(server, app, &token, &prover).await.error(), OVER);
    let idle = begun(&scene, app, &prover).await;
    server.clock.advance(Duration::from_hours(24 * 31));
    assert_eq!(with(server, app, &idle, &prover).await.error(), OVER);
}

async fn rfc9449_5_a_confidential_client_may_come_with_any_key(stores: &Stores) {
    let scene = scene(stores).await;
    let server = &scene.server;
    let web = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let token = begun(&scene, &web, &Prover::new()).await;
    for _ in 0..2 {
        let next = Prover::new();
        let answer = with(server, &web, &token, &next).await;
        assert_bound(&answer, Some(&next), "any key");
        assert!(answer.body["refresh_token"].is_null());
    }
    assert_bound(&without(server, &web, &token).await, None, "no key");
}

async fn rfc9449_5_what_was_bound_stays_so_whatever_the_client_becomes(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    let key = Prover::new().key;
    let public = app(AuthMethod::None);
    let confidential = ClientMetadata {
        jwks: TestServer::signing_metadata(&key, "read").jwks,
        ..app(AuthMethod::PrivateKeyJwt)
    };
    let client = server.register(public.clone()).await;
    let bound = begun(&scene, &client, &prover).await;
    let unbound = scene.tokens(&client, "openid offline_access read").await;
    let unbound = pair(&unbound).1.to_owned();
    change(&scene, &client, confidential).await;
    let refresh = async |token: &str, prover: Option<&Prover>| {
        let mut form = refresh_form(token).to_vec();
        let assertion = crate::jwks_uri::proof(server, &client, &key).await;
        form.extend(
            assertion
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let request = server.form(TOKEN, &form);
        let request = match prover {
            Some(prover) => request.header("dpop", prover.proof(server, TOKEN, &json!({})).await),
            None => request,
        };
        server.send(request).await
    };
    assert_eq!(
        refresh(&bound, None).await.error(),
        OVER,
        "it proves who it is"
    );
    assert_eq!(refresh(&bound, Some(&Prover::new())).await.error(), OVER);
    assert_bound(
        &refresh(&bound, Some(&prover)).await,
        Some(&prover),
        "its key",
    );
    // Nor does that bind what was not.
    assert_bound(
        &refresh(&unbound, Some(&prover)).await,
        Some(&prover),
        "unbound",
    );
    assert_bound(&refresh(&unbound, None).await, None, "unbound");
    change(&scene, &client, public).await;
    assert_eq!(without(server, &client, &bound).await.error(), OVER);
    assert_bound(
        &with(server, &client, &bound, &prover).await,
        Some(&prover),
        "public again",
    );
    let rotated = without(server, &client, &unbound).await;
    assert_bound(&rotated, None, "unbound, public again");
    assert!(rotated.body["refresh_token"].is_string());
}

async fn rfc9449_5_the_next_refresh_token_is_bound_to_the_key_that_comes_first(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, app) = (&scene.server, &scene.app);
    let (prover, other) = (Prover::new(), Prover::new());
    let tokens = scene.tokens(app, "openid offline_access read").await;
    let first = pair(&tokens).1.to_owned();
    let answer = with(server, app, &first, &prover).await;
    assert_bound(&answer, Some(&prover), "rotated");
    let second = answer.text("refresh_token").to_owned();
    assert_ne!(second, first);
    assert_eq!(without(server, app, &second).await.error(), OVER);
    assert_eq!(with(server, app, &second, &other).await.error(), OVER);
    // Within the grace window its owner gets it once more.
    let again = with(server, app, &first, &prover).await;
    assert_bound(&again, Some(&prover), "again");
    assert_eq!(again.text("refresh_token"), second);
    let answer = with(server, app, &second, &prover).await;
    assert_bound(&answer, Some(&prover), "bound");
    assert!(
        answer.body["refresh_token"].is_null(),
        "and rotated no more"
    );
}

/// A thief who binds what he stole to a key of his own has not put himself beyond the reach of its owner, who has none: in the grace window
/// and after it, at the node where he did it and at another.
async fn rfc9700_4_14_2_what_was_bound_by_a_thief_dies_when_its_owner_comes(stores: &Stores) {
    let scene = scene(stores).await;
    let (one, other, app) = (&scene.server, scene.another_node(stores).await, &scene.app);
    one.clock.advance(Duration::from_mins(2));
    let (thief, owner) = (Prover::new(), Prover::new());
    for (server, waits, proof) in [
        (one, 0, None),
        (&other, 0, Some(&owner)),
        (&other, 11, None),
        (one, 11, Some(&owner)),
    ] {
        let what = format!("after {waits} s, with a proof: {}", proof.is_some());
        let tokens = scene.tokens(app, "openid offline_access read").await;
        let first = pair(&tokens).1.to_owned();
        let stolen = with(one, app, &first, &thief).await;
        let stolen = stolen.text("refresh_token").to_owned();
        one.clock.advance(Duration::from_secs(waits));
        let proof = match proof {
            Some(own) => Some(own.proof(one, TOKEN, &json!({})).await),
            None => None,
        };
        let proofs: Vec<_> = proof.iter().map(String::as_str).collect();
        let answer = send(server, app, (TOKEN, &refresh_form(&first)), &proofs).await;
        assert_eq!(answer.error(), OVER, "{what}");
        let after = with(one, app, &stolen, &thief).await;
        assert_eq!(after.error(), OVER, "{what}: the thief's");
    }
}

async fn rfc9700_4_14_2_what_was_rotated_long_ago_is_a_replay_to_its_owner_too(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, app, prover) = (&scene.server, &scene.app, Prover::new());
    let tokens = scene.tokens(app, "openid offline_access read").await;
    let first = pair(&tokens).1.to_owned();
    let second = with(server, app, &first, &prover).await;
    let second = second.text("refresh_token").to_owned();
    server.clock.advance(Duration::from_secs(11));
    for (what, token) in [("a replay", &first), ("it is dead", &second)] {
        let answer = with(server, app, token, &prover).await;
        assert_eq!(answer.error(), OVER, "{what}");
    }
}

/// Each node remembers families that it rotated.
async fn what_is_remembered_of_an_unbound_family_does_not_open_a_bound_one(stores: &Stores) {
    let scene = scene(stores).await;
    let (one, other, app) = (&scene.server, scene.another_node(stores).await, &scene.app);
    let prover = Prover::new();
    let tokens = scene.tokens(app, "openid offline_access read").await;
    let mut token = pair(&tokens).1.to_owned();
    for server in [one, &other, one] {
        let answer = without(server, app, &token).await;
        token = answer.text("refresh_token").to_owned();
    }
    let answer = with(one, app, &token, &prover).await;
    assert_bound(&answer, Some(&prover), "bound");
    let token = answer.text("refresh_token").to_owned();
    for server in [&other, one, &other] {
        assert_eq!(without(server, app, &token).await.error(), OVER);
    }
    assert_bound(
        &with(one, app, &token, &prover).await,
        Some(&prover),
        "it lives",
    );
}
