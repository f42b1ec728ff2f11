//! Keys by schedule: each is published before it signs, and ends when nothing that it signed is good any more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auth_server::keys::encryption::KeyEncryption;
use auth_server::keys::{KeySettings, Keys, KeysError, Phase, PrivateHalf, Upkeep};
use auth_server::store;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel_async::RunQueryDsl;
use serde_json::json;
use shared_protocol::jose::Algorithm::{EdDsa, Es256};
use shared_protocol::jose::{JwkSet, JwtKind, KeyId, UnverifiedJwt, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::{Clock as _, Instant};
use shared_server::db::Store;
use shared_server::on;
use shared_testing::clock::StoppedClock;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::introspection::eventually;
use crate::server::{TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    threat_35_a_verifier_with_an_old_copy_never_fails,
    of_eight_nodes_that_find_a_rotation_due_one_makes_the_key,
    a_clock_that_was_wrong_keeps_no_key_from_being_made,
    a_set_that_verifiers_would_refuse_is_not_published,
    the_private_half_goes_when_nothing_it_signed_is_good,
    nobody_makes_a_wiped_key_of_their_own,
    an_algorithm_that_is_added_is_announced_when_it_signs,
    a_server_rotates_by_itself,
);

const NOW: Instant = Instant::from_secs(1_700_000_000);
const MINUTE: Duration = Duration::from_mins(1);
const MAX_AGE: Duration = Duration::from_mins(5);
const AHEAD: Duration = Duration::from_mins(6);
const LIFETIME: Duration = Duration::from_mins(7);
const EVERY: Duration = Duration::from_mins(30);
const KEEP: Duration = Duration::from_hours(1);

fn encryption(keks: &[(&str, u8)]) -> KeyEncryption {
    let keks = keks
        .iter()
        .map(|&(id, byte)| (id.to_owned(), STANDARD.encode([byte; 32]).into()));
    KeyEncryption::new(keks.collect()).unwrap_or_else(|error| panic!("{error}"))
}

async fn open(stores: &Stores, keks: &[(&str, u8)]) -> Keys {
    open_for(stores, keks, LIFETIME).await
}

/// `lifetime`: the longest that a token lives.
async fn open_for(stores: &Stores, keks: &[(&str, u8)], lifetime: Duration) -> Keys {
    let store = Store::connect(&stores.database()).await.unwrap();
    let settings = KeySettings {
        algorithms: vec![Es256, EdDsa],
        publish_ahead: AHEAD,
        max_token_lifetime: lifetime,
    };
    let encryption = encryption(keks);
    Keys::open(store, encryption, settings, NOW, &SystemRandom)
        .await
        .unwrap()
}

fn upkeep(keys: &Keys) -> Upkeep {
    Upkeep {
        keys: keys.clone(),
        rotate_every: EVERY,
        keep: KEEP,
        random: Arc::new(SystemRandom),
    }
}

async fn run(stores: &Stores, statement: &str) {
    let store = Store::connect(&stores.database()).await.unwrap();
    let mut conn = store.write().await.unwrap();
    on!(&mut conn, |c| diesel::sql_query(statement).execute(c)).unwrap();
}

fn verifies(token: &str, set: &JwkSet) -> bool {
    let token = UnverifiedJwt::parse(token, JwtKind::AccessToken).unwrap();
    token.verify(set).is_ok()
}

fn phases(keys: &Keys, now: Instant) -> Vec<(Phase, PrivateHalf)> {
    let states = keys.ring().states(now).into_iter();
    let states = states.filter(|key| key.algorithm == Es256);
    states.map(|key| (key.phase, key.private_half)).collect()
}

/// Ten periods. Each minute one of two nodes looks after the keys and the other signs; every copy of the set that a cache may still hold
/// verifies, for as long as the token lives.
async fn threat_35_a_verifier_with_an_old_copy_never_fails(stores: &Stores) {
    let nodes = [
        open(stores, &[("kek", 1)]).await,
        open(stores, &[("kek", 1)]).await,
    ];
    let (mut copies, mut tokens) = (VecDeque::new(), VecDeque::new());
    let mut signers = std::collections::BTreeSet::new();
    for minute in 0..300_u32 {
        let now = NOW + MINUTE * minute;
        let (one, other) = (
            &nodes[minute as usize % 2],
            &nodes[(minute as usize + 1) % 2],
        );
        upkeep(one).run(&StoppedClock(now)).await.unwrap();
        // Seen at the next poll, which is some seconds later at most.
        other.reload().await.unwrap();
        for algorithm in [Es256, EdDsa] {
            let signer = other.ring().signer(algorithm, now).unwrap();
            signers.insert(signer.public().kid().unwrap().to_string());
            let claims = json!({"n": minute});
            let token = sign_jwt(JwtKind::AccessToken, &claims, &*signer);
            tokens.push_back((now, token.await.unwrap()));
        }
        copies.push_back((now, one.ring().published(now)));
        copies.retain(|(at, _)| *at + MAX_AGE >= now);
        tokens.retain(|(at, _)| *at + LIFETIME > now);
        for (at, copy) in &copies {
            for (_, token) in &tokens {
                assert!(verifies(token, copy), "minute {minute}, a copy of {at}");
            }
        }
        // Published: what signs, what will, and what signed what still lives.
        let published = copies.back().unwrap().1.keys().len();
        assert!(published <= 6, "minute {minute}: {published}");
    }
    // Each key signs for its period.
    assert_eq!(signers.len(), 2 * 10);
}

async fn of_eight_nodes_that_find_a_rotation_due_one_makes_the_key(stores: &Stores) {
    let mut nodes = Vec::new();
    for _ in 0..8 {
        nodes.push(open(stores, &[("kek", 1)]).await);
    }
    let due = NOW + EVERY - AHEAD;
    let first = nodes[0].clone();
    let early = due - Duration::from_millis(1);
    assert_eq!(
        first
            .rotate_due(EVERY, &StoppedClock(early), &SystemRandom)
            .await
            .unwrap(),
        []
    );
    let mut looking = tokio::task::JoinSet::new();
    for node in nodes {
        looking.spawn(async move {
            node.rotate_due(EVERY, &StoppedClock(due), &SystemRandom)
                .await
                .unwrap()
        });
    }
    let made: Vec<_> = looking.join_all().await.into_iter().flatten().collect();
    assert_eq!(made.len(), 2, "one for each algorithm");
    first.reload().await.unwrap();
    let kept = PrivateHalf::Kept;
    assert_eq!(
        phases(&first, due),
        [(Phase::Current, kept), (Phase::Next, kept)]
    );
}

async fn a_clock_that_was_wrong_keeps_no_key_from_being_made(stores: &Stores) {
    let keys = open(stores, &[("kek", 1)]).await;
    let year = Duration::from_hours(24 * 365);
    keys.rotate(None, &StoppedClock(NOW + year), &SystemRandom)
        .await
        .unwrap();
    let made = keys
        .rotate_due(EVERY, &StoppedClock(NOW + EVERY), &SystemRandom)
        .await
        .unwrap();
    assert_eq!(made.len(), 2);
    assert_eq!(
        keys.rotate_due(EVERY, &StoppedClock(NOW + EVERY), &SystemRandom)
            .await
            .unwrap(),
        []
    );
}

async fn a_set_that_verifiers_would_refuse_is_not_published(stores: &Stores) {
    let keys = open_for(stores, &[("kek", 1)], Duration::from_hours(24)).await;
    for rotation in 0.. {
        let now = NOW + AHEAD * rotation;
        match keys
            .rotate_due(AHEAD, &StoppedClock(now), &SystemRandom)
            .await
        {
            Ok(made) => assert_eq!(made.len(), 2, "{rotation}"),
            Err(refused) => {
                assert!(matches!(refused, KeysError::TooMany(80)), "{refused}");
                assert!(keys.ring().signer(Es256, now).is_some(), "it serves on");
                return;
            }
        }
        assert!(rotation < 50);
    }
}

async fn the_private_half_goes_when_nothing_it_signed_is_good(stores: &Stores) {
    use Phase::{Current, Previous, Retired, Revoked};
    let keys = open(stores, &[("old", 1)]).await;
    let (kept, wiped) = (PrivateHalf::Kept, PrivateHalf::Wiped);
    let signer = keys.ring().signer(Es256, NOW).unwrap();
    let hint = sign_jwt(JwtKind::AccessToken, &json!({}), &*signer)
        .await
        .unwrap();
    let next = keys
        .rotate(Some(Es256), &StoppedClock(NOW), &SystemRandom)
        .await
        .unwrap()
        .remove(0);
    let retired = NOW + AHEAD + LIFETIME;
    let millisecond = Duration::from_millis(1);
    let end = async |now| keys.end(KEEP, now, &SystemRandom).await.unwrap();
    end(retired - millisecond).await;
    assert_eq!(
        phases(&keys, retired - millisecond),
        [(Previous, kept), (Current, kept)]
    );
    end(retired).await;
    assert_eq!(phases(&keys, retired), [(Retired, wiped), (Current, kept)]);
    // Encrypted anew with the others, and it opens without the old key.
    let both = open(stores, &[("new", 2), ("old", 1)]).await;
    assert_eq!(both.rewrap(NOW, &SystemRandom).await.unwrap(), 3);
    let keys = open(stores, &[("new", 2)]).await;
    assert_eq!(phases(&keys, retired), [(Retired, wiped), (Current, kept)]);
    // An ID token may come back as a hint.
    assert!(verifies(&hint, keys.ring().verifying()));
    assert_eq!(keys.ring().published(retired).keys().len(), 2);

    // Who is withdrawn is wiped at once; what takes its place signs at once, for verifiers have forgotten the first.
    keys.revoke(&next, retired, &SystemRandom)
        .await
        .unwrap()
        .unwrap();
    keys.end(KEEP, retired, &SystemRandom).await.unwrap();
    assert_eq!(phases(&keys, retired)[1], (Revoked, wiped));
    assert_eq!(phases(&keys, retired)[2], (Current, kept));
    let signer = keys.ring().signer(Es256, retired).unwrap();
    let token = sign_jwt(JwtKind::AccessToken, &json!({}), &*signer)
        .await
        .unwrap();
    assert!(verifies(&token, &keys.ring().published(retired)));

    // The rows go last.
    let late = retired + LIFETIME + KEEP;
    assert_eq!(
        keys.end(KEEP, retired + KEEP - millisecond, &SystemRandom)
            .await
            .unwrap(),
        0
    );
    assert_eq!(keys.end(KEEP, late, &SystemRandom).await.unwrap(), 2);
    assert_eq!(phases(&keys, late), [(Current, kept)]);
    assert!(!verifies(&hint, keys.ring().verifying()));
}

/// The public half of a key that was wiped is all that is left of it; who can write to the database must not choose it.
async fn nobody_makes_a_wiped_key_of_their_own(stores: &Stores) {
    let keys = open(stores, &[("kek", 1)]).await;
    keys.rotate(Some(Es256), &StoppedClock(NOW), &SystemRandom)
        .await
        .unwrap();
    let late = NOW + AHEAD + LIFETIME;
    keys.end(KEEP, late, &SystemRandom).await.unwrap();
    let store = Store::connect(&stores.database()).await.unwrap();
    let rows = store::keys::all(&mut store.read().await.unwrap())
        .await
        .unwrap();
    let of = |alg: &str, wiped: bool| {
        let mut rows = rows.iter();
        rows.find(|row| row.alg == alg && row.wiped_at.is_some() == wiped)
            .unwrap()
    };
    let (gone, live, other) = (of("ES256", true), of("ES256", false), of("EdDSA", false));
    let seal = format!(
        "(SELECT sealed FROM signing_keys WHERE kid = '{}')",
        gone.kid
    );
    for (what, row, change) in [
        ("another public half", gone, format!("jwk = '{}'", live.jwk)),
        ("another algorithm", gone, "alg = 'EdDSA'".to_owned()),
        ("not wiped", gone, "wiped_at = NULL".to_owned()),
        (
            "the seal of another",
            other,
            format!("wiped_at = 1, sealed = {seal}"),
        ),
    ] {
        run(
            stores,
            &format!("UPDATE signing_keys SET {change} WHERE kid = '{}'", row.kid),
        )
        .await;
        let settings = KeySettings {
            algorithms: vec![Es256, EdDsa],
            publish_ahead: AHEAD,
            max_token_lifetime: LIFETIME,
        };
        let (fresh, encryption) = (store.clone(), encryption(&[("kek", 1)]));
        let opened = Keys::open(fresh, encryption, settings, late, &SystemRandom).await;
        match opened {
            Ok(keys) => {
                let ring = keys.ring();
                let states = ring.states(late).into_iter();
                let unreadable: Vec<_> = states
                    .filter(|key| key.private_half == PrivateHalf::Unreadable)
                    .map(|key| key.kid.to_string())
                    .collect();
                assert_eq!(unreadable, [&*row.kid], "{what}");
                let kid = KeyId::new(&row.kid).unwrap();
                assert!(!ring.is_current(&kid), "{what}");
            }
            // It stands in the way of the only other key of its algorithm.
            Err(KeysError::Row { kid, .. }) => assert_eq!(kid, row.kid, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
        run(stores, "DELETE FROM signing_keys").await;
        for row in &rows {
            let mut conn = store.write().await.unwrap();
            store::keys::insert(&mut conn, row).await.unwrap();
        }
    }
}

async fn an_algorithm_that_is_added_is_announced_when_it_signs(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let (clock, issuer) = (server.clock.clone(), server.issuer.clone());
    server.stop().await;
    let mut added = config(stores);
    added.issuer = issuer.parse().unwrap();
    added.keys.algorithms = vec![EdDsa, Es256];
    added.keys.jwks_max_age = Duration::from_secs(77);
    let server = TestServer::start_with(added, clock).await;
    let announced = async || {
        let answer = server.get("/.well-known/openid-configuration").await;
        answer.body["id_token_signing_alg_values_supported"].clone()
    };
    assert_eq!(announced().await, json!(["ES256"]));
    assert_eq!(
        server.get("/health/ready").await.status,
        200,
        "nothing is missing"
    );
    let jwks = server.get("/oauth/jwks").await;
    assert_eq!(jwks.header("cache-control"), "public, max-age=77");
    assert_eq!(
        jwks.body["keys"].as_array().unwrap().len(),
        2,
        "published ahead"
    );
    server.clock.advance(Duration::from_mins(10));
    assert_eq!(announced().await, json!(["EdDSA", "ES256"]));
}

async fn a_server_rotates_by_itself(stores: &Stores) {
    let mut config = config(stores);
    config.keys.rotate_every = Duration::from_secs(30);
    config.keys.publish_ahead = Duration::from_secs(20);
    config.keys.jwks_max_age = Duration::from_secs(10);
    assert_eq!(config.problems(), Vec::<String>::new());
    let server = TestServer::start_with(config, Arc::default()).await;
    let keys = &server.records.keys;
    let count = || keys.ring().states(server.clock.now()).len();
    for expected in 2..5 {
        server.clock.advance(Duration::from_secs(30));
        assert!(
            eventually(async || count() >= expected).await,
            "key {expected}"
        );
    }
}
