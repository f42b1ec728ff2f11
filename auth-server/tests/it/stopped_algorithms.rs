//! Keys of an algorithm that is taken out of the configuration, of one node after the other: published until nothing that they signed
//! lives, then no longer (RFC 7517 §5, threats 35 and 36).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auth_server::keys::encryption::KeyEncryption;
use auth_server::keys::{KeySettings, KeyState, Keys, Phase, PrivateHalf};
use auth_server::profiles::Profile;
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use shared_protocol::jose::Algorithm::{self, EdDsa, Es256, Rs256};
use shared_protocol::jose::{JwkSet, JwtKind, KeyId, UnverifiedJwt, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::{Clock as _, Instant, SystemClock};
use shared_server::db::Store;
use shared_server::on;
use shared_testing::clock::StoppedClock;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::nodes::seen;
use crate::server::{TestServer, config};
use crate::users::{ran, ran_json};

on_each_store!(auth_server::store::MIGRATIONS;
    threat_35_no_verifier_fails_while_nodes_change_one_after_the_other,
    threat_36_a_key_that_nobody_signs_with_ends,
    nothing_is_signed_with_what_is_not_configured,
    what_comes_back_in_time_signs_with_its_key,
    what_comes_back_late_waits_for_a_new_key,
    threat_35_no_verifier_fails_when_it_comes_back,
    a_server_that_was_down_goes_on_with_its_keys,
    what_was_taken_out_while_the_server_was_down_ends,
    a_key_of_which_nobody_said_anything_ends,
    the_one_before_a_withdrawn_key_signs_on,
    a_profile_that_drops_an_algorithm_ends_its_key,
    the_program_tells_until_when_a_key_is_published,
);

const NOW: Instant = Instant::from_secs(1_700_000_000);
const MINUTE: Duration = Duration::from_mins(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// For how long verifiers keep the published keys.
const MAX_AGE: Duration = Duration::from_mins(5);
const AHEAD: Duration = Duration::from_mins(6);
const LIFETIME: Duration = Duration::from_hours(1);
/// For how long a node says at a time that it signs.
const SAID: Duration = Duration::from_mins(10);
const KEEP: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(24 * 7);
const BOTH: &[Algorithm] = &[Es256, EdDsa];
/// What the program is configured with too.
const KEK: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A node that serves with these algorithms from `now` on.
async fn serving(stores: &Stores, algorithms: &[Algorithm], now: Instant) -> Keys {
    let keys = opened(stores, algorithms, now).await;
    keys.sign_on(now).await.unwrap();
    keys
}

/// The command line beside it.
async fn opened(stores: &Stores, algorithms: &[Algorithm], now: Instant) -> Keys {
    let store = Store::connect(&stores.database()).await.unwrap();
    let encryption = KeyEncryption::new(vec![("test".to_owned(), KEK.to_owned().into())]);
    let settings = KeySettings {
        algorithms: algorithms.to_vec(),
        publish_ahead: AHEAD,
        max_token_lifetime: LIFETIME,
    };
    Keys::open(store, encryption.unwrap(), settings, now, &SystemRandom)
        .await
        .unwrap()
}

/// What the node does now and then.
async fn lives(node: &Keys, now: Instant) {
    node.reload().await.unwrap();
    node.sign_on(now).await.unwrap();
}

/// Lets the node serve from one instant to the other.
async fn serve(node: &Keys, from: Instant, to: Instant) {
    let mut now = from;
    while now < to {
        lives(node, now).await;
        now = now + MINUTE;
    }
    lives(node, to).await;
}

async fn end(node: &Keys, now: Instant) -> usize {
    node.end(KEEP, now, &SystemRandom).await.unwrap()
}

/// The keys of the algorithm that is taken out.
fn stopped(node: &Keys, now: Instant) -> Vec<KeyState> {
    let states = node.ring().states(now).into_iter();
    states.filter(|key| key.algorithm == EdDsa).collect()
}

fn phases(node: &Keys, now: Instant) -> Vec<Phase> {
    let states = stopped(node, now).into_iter();
    states.map(|key| key.phase).collect()
}

fn signer(node: &Keys, algorithm: Algorithm, now: Instant) -> Option<KeyId> {
    let signer = node.ring().signer(algorithm, now)?;
    signer.public().kid().cloned()
}

async fn signed(node: &Keys, algorithm: Algorithm, now: Instant) -> String {
    let signer = node.ring().signer(algorithm, now).unwrap();
    let token = sign_jwt(JwtKind::AccessToken, &json!({}), &*signer).await;
    token.unwrap()
}

fn verifies(token: &str, set: &JwkSet) -> bool {
    let token = UnverifiedJwt::parse(token, JwtKind::AccessToken).unwrap();
    token.verify(set).is_ok()
}

/// What verifiers hold, and by what the tokens were signed that they are shown.
#[derive(Default)]
struct Verifiers {
    copies: VecDeque<(Instant, JwkSet)>,
    tokens: VecDeque<(Instant, KeyId)>,
}

impl Verifiers {
    /// Each copy that a cache may still hold has the key of every token that lives.
    fn look(&mut self, nodes: &[(&Keys, &[Algorithm])], now: Instant) {
        for (node, algorithms) in nodes {
            let signers = algorithms.iter();
            let signers = signers.filter_map(|alg| signer(node, *alg, now));
            self.tokens.extend(signers.map(|kid| (now, kid)));
            self.copies.push_back((now, node.ring().published(now)));
        }
        self.copies.retain(|(at, _)| *at + MAX_AGE >= now);
        self.tokens.retain(|(at, _)| *at + LIFETIME > now);
        for (at, copy) in &self.copies {
            for (made, kid) in &self.tokens {
                assert!(copy.contains(kid), "{now}: of {made}, by that of {at}");
            }
        }
    }
}

/// A rolling change: one node signs with both for half an hour more than the other.
async fn threat_35_no_verifier_fails_while_nodes_change_one_after_the_other(stores: &Stores) {
    let old = serving(stores, BOTH, NOW).await;
    let new = serving(stores, &[Es256], NOW).await;
    let kid = signer(&old, EdDsa, NOW).unwrap();
    let mut verifiers = Verifiers::default();
    let stops = NOW + MINUTE * 30;
    let gone = stops + LIFETIME + SAID;
    let mut minute = 0;
    loop {
        let now = NOW + MINUTE * minute;
        let both: [(&Keys, &[Algorithm]); 2] = [(&new, &[Es256]), (&old, BOTH)];
        // The node that is left does not know who else there was.
        let nodes = if now <= stops { &both[..] } else { &both[..1] };
        for (node, _) in nodes {
            lives(node, now).await;
        }
        end(&new, now).await;
        // Seen by all at the next poll.
        for (node, _) in nodes {
            node.reload().await.unwrap();
        }
        verifiers.look(nodes, now);
        let is_published = new.ring().published(now).contains(&kid);
        if now <= stops + LIFETIME {
            assert!(is_published, "{minute}");
        }
        if now >= gone {
            assert!(!is_published, "{minute}");
            break;
        }
        minute += 1;
    }
    assert_eq!(phases(&new, gone), [Phase::Retired]);
}

async fn threat_36_a_key_that_nobody_signs_with_ends(stores: &Stores) {
    let both = serving(stores, BOTH, NOW).await;
    let kid = signer(&both, EdDsa, NOW).unwrap();
    let hint = signed(&both, EdDsa, NOW).await;
    drop(both);
    let left = serving(stores, &[Es256], NOW + MINUTE).await;
    let stopped_at = NOW + SAID;
    let gone = stopped_at + LIFETIME;
    for (now, phase) in [
        (stopped_at - MILLISECOND, Phase::Current),
        (stopped_at, Phase::Previous),
        (gone - MILLISECOND, Phase::Previous),
        (gone, Phase::Retired),
    ] {
        lives(&left, now).await;
        end(&left, now).await;
        let [key] = &stopped(&left, now)[..] else {
            panic!("{now}");
        };
        assert_eq!(key.phase, phase, "{now}");
        let until = (phase == Phase::Previous).then_some(gone);
        assert_eq!(key.published_until, until, "{now}");
        let is_published = phase != Phase::Retired;
        let published = left.ring().published(now);
        assert_eq!(published.contains(&kid), is_published, "{now}");
        let half = if is_published {
            PrivateHalf::Kept
        } else {
            PrivateHalf::Wiped
        };
        assert_eq!(key.private_half, half, "{now}");
        assert!(signer(&left, Es256, now).is_some(), "{now}");
        left.check(now).unwrap();
    }
    // An ID token may come back as a hint.
    assert!(verifies(&hint, left.ring().verifying()));
    serve(&left, gone, gone + MINUTE * 10).await;
    let forgotten = gone + KEEP;
    assert_eq!(end(&left, forgotten - MILLISECOND).await, 0);
    assert_eq!(end(&left, forgotten).await, 1);
    assert_eq!(phases(&left, forgotten), []);
}

async fn nothing_is_signed_with_what_is_not_configured(stores: &Stores) {
    let both = serving(stores, BOTH, NOW).await;
    let left = serving(stores, &[Es256], NOW).await;
    assert!(signer(&both, EdDsa, NOW).is_some());
    assert_eq!(signer(&left, EdDsa, NOW), None);
    assert_eq!(left.ring().signing(NOW), [Es256]);
    assert_eq!(left.ring().published(NOW).keys().len(), 2);
    assert_eq!(both.ring().signing(NOW), BOTH);
}

async fn what_comes_back_in_time_signs_with_its_key(stores: &Stores) {
    let both = serving(stores, BOTH, NOW).await;
    let kid = signer(&both, EdDsa, NOW).unwrap();
    drop(both);
    let left = serving(stores, &[Es256], NOW).await;
    // Known for as long as it takes until all nodes have heard that it is to be published for longer.
    let last = NOW + SAID + LIFETIME - AHEAD - MILLISECOND;
    serve(&left, NOW, last).await;
    assert_eq!(phases(&left, last), [Phase::Previous]);
    // The command line of the new configuration changes nothing.
    opened(stores, BOTH, last).await;
    left.reload().await.unwrap();
    assert_eq!(phases(&left, last), [Phase::Previous]);

    let back = serving(stores, BOTH, last).await;
    assert_eq!(signer(&back, EdDsa, last), Some(kid));
    back.check(last).unwrap();
    left.reload().await.unwrap();
    assert_eq!(phases(&left, last), [Phase::Current]);
    let later = NOW + SAID + LIFETIME;
    assert_eq!(phases(&left, later), [Phase::Current]);
}

async fn what_comes_back_late_waits_for_a_new_key(stores: &Stores) {
    let both = serving(stores, BOTH, NOW).await;
    let old = signer(&both, EdDsa, NOW).unwrap();
    drop(both);
    let left = serving(stores, &[Es256], NOW).await;
    let late = NOW + SAID + LIFETIME - AHEAD;
    serve(&left, NOW, late).await;
    // Of several nodes that come back at once one makes it.
    let mut nodes = tokio::task::JoinSet::new();
    for store in [stores.database(), stores.database(), stores.database()] {
        nodes.spawn(async move {
            let store = Store::connect(&store).await.unwrap();
            let encryption = KeyEncryption::new(vec![("test".to_owned(), KEK.to_owned().into())]);
            let settings = KeySettings {
                algorithms: BOTH.to_vec(),
                publish_ahead: AHEAD,
                max_token_lifetime: LIFETIME,
            };
            let keys = Keys::open(store, encryption.unwrap(), settings, late, &SystemRandom);
            let keys = keys.await.unwrap();
            keys.sign_on(late).await.unwrap();
            keys
        });
    }
    for node in nodes.join_all().await {
        node.reload().await.unwrap();
        assert_eq!(phases(&node, late), [Phase::Previous, Phase::Next]);
        assert_eq!(signer(&node, EdDsa, late), None);
        node.check(late).unwrap();
        assert_eq!(node.ring().signing(late), [Es256]);
        let signs = late + AHEAD;
        lives(&node, signs).await;
        let new = signer(&node, EdDsa, signs).unwrap();
        assert_ne!(new, old);
        assert_eq!(node.ring().signing(signs), BOTH);
    }
    // The one before is published until nothing lives that it signed, and not for longer because another one signs.
    let gone = NOW + SAID + LIFETIME;
    serve(&left, late, gone).await;
    assert_eq!(phases(&left, gone)[0], Phase::Previous);
    let signs = late + AHEAD;
    assert_eq!(signs, gone, "it was known when the next one signed");
    serve(&left, gone, signs + LIFETIME).await;
    assert_eq!(phases(&left, signs + LIFETIME)[0], Phase::Retired);
}

async fn threat_35_no_verifier_fails_when_it_comes_back(stores: &Stores) {
    for pause in [5, 30, 62, 64, 66, 68, 70, 75, 200_u32] {
        let began = NOW + WEEK * pause;
        let both = serving(stores, BOTH, began).await;
        let left = serving(stores, &[Es256], began).await;
        let mut verifiers = Verifiers::default();
        let mut minute = 0;
        let mut at = || {
            minute += 1;
            began + MINUTE * minute
        };
        for _ in 0..12 {
            let now = at();
            lives(&both, now).await;
            lives(&left, now).await;
            verifiers.look(&[(&left, &[Es256]), (&both, BOTH)], now);
        }
        drop(both);
        for _ in 0..pause {
            let now = at();
            lives(&left, now).await;
            end(&left, now).await;
            verifiers.look(&[(&left, &[Es256])], now);
        }
        let now = at();
        let back = serving(stores, BOTH, now).await;
        left.reload().await.unwrap();
        verifiers.look(&[(&left, &[Es256]), (&back, BOTH)], now);
        for _ in 0..90 {
            let now = at();
            lives(&left, now).await;
            lives(&back, now).await;
            end(&left, now).await;
            back.reload().await.unwrap();
            verifiers.look(&[(&left, &[Es256]), (&back, BOTH)], now);
        }
        assert!(signer(&back, EdDsa, at()).is_some(), "{pause}");
    }
}

async fn a_server_that_was_down_goes_on_with_its_keys(stores: &Stores) {
    let both = serving(stores, BOTH, NOW).await;
    let kids = |node: &Keys, now| [Es256, EdDsa].map(|alg| signer(node, alg, now).unwrap());
    let before = kids(&both, NOW);
    // One of the nodes said something that the other had no time to say.
    let left = serving(stores, &[Es256], NOW + MINUTE * 6).await;
    drop((both, left));
    let late = NOW + WEEK;
    // Nobody has published the others without it.
    let looked = opened(stores, BOTH, late).await;
    assert_eq!(end(&looked, late).await, 0);
    let again = serving(stores, BOTH, late).await;
    assert_eq!(kids(&again, late), before);
    assert_eq!(end(&again, late).await, 0);
    assert_eq!(phases(&again, late), [Phase::Current]);
}

async fn what_was_taken_out_while_the_server_was_down_ends(stores: &Stores) {
    drop(serving(stores, BOTH, NOW).await);
    let late = NOW + WEEK;
    let left = serving(stores, &[Es256], late).await;
    assert_eq!(phases(&left, late), [Phase::Retired]);
    end(&left, late).await;
    assert_eq!(stopped(&left, late)[0].private_half, PrivateHalf::Wiped);
    // A moment later it is to be again: nobody knows the old one, and it is gone.
    let back = serving(stores, BOTH, late + MINUTE).await;
    let now = late + MINUTE;
    assert_eq!(phases(&back, now), [Phase::Retired, Phase::Next]);
    assert_eq!(signer(&back, EdDsa, now), None);
}

/// Of a release that did not say it.
async fn a_key_of_which_nobody_said_anything_ends(stores: &Stores) {
    drop(opened(stores, BOTH, NOW).await);
    let store = Store::connect(&stores.database()).await.unwrap();
    let forget = "UPDATE signing_keys SET signs_until = NULL";
    let mut conn = store.write().await.unwrap();
    on!(&mut conn, |c| diesel::sql_query(forget).execute(c)).unwrap();
    drop(conn);
    let late = NOW + WEEK;
    let left = serving(stores, &[Es256], late).await;
    assert_eq!(phases(&left, late), [Phase::Current]);
    let stops = late + SAID;
    serve(&left, late, stops).await;
    assert_eq!(phases(&left, stops), [Phase::Previous]);
    serve(&left, stops, stops + LIFETIME).await;
    assert_eq!(phases(&left, stops + LIFETIME), [Phase::Retired]);
}

async fn the_one_before_a_withdrawn_key_signs_on(stores: &Stores) {
    let node = serving(stores, BOTH, NOW).await;
    let first = signer(&node, EdDsa, NOW).unwrap();
    let made = node.rotate(Some(EdDsa), &StoppedClock(NOW), &SystemRandom);
    let second = made.await.unwrap().remove(0);
    let now = NOW + AHEAD + MINUTE * 30;
    serve(&node, NOW, now).await;
    assert_eq!(signer(&node, EdDsa, now), Some(second.clone()));
    // Nobody has said anything of the first for half an hour, and verifiers know it.
    let made = node.revoke(&second, now, &SystemRandom).await.unwrap();
    assert_eq!(made, None);
    assert_eq!(signer(&node, EdDsa, now), Some(first.clone()));
    let later = now + LIFETIME * 2;
    serve(&node, now, later).await;
    assert_eq!(signer(&node, EdDsa, later), Some(first));
}

async fn a_profile_that_drops_an_algorithm_ends_its_key(stores: &Stores) {
    let mut both = config(stores);
    both.keys.algorithms = vec![Es256, Rs256];
    let one = TestServer::start_with(both.clone(), Arc::default()).await;
    let clock = one.clock.clone();
    let mut fapi = both;
    fapi.issuer = one.issuer.parse().unwrap();
    fapi.profile = Some(Profile::Fapi2);
    let other = TestServer::start_with(fapi, clock.clone()).await;
    let published = async |server: &TestServer| {
        let set = server.get("/oauth/jwks").await.body;
        let keys = set["keys"].as_array().unwrap().clone();
        let algs = keys.iter().map(|key| key["alg"].clone());
        let mut algs: Vec<Value> = algs.collect();
        algs.sort_by_key(ToString::to_string);
        Value::from(algs)
    };
    let all = json!(["ES256", "RS256"]);
    // A day and more: while one signs, the other publishes.
    for _ in 0..4 {
        clock.advance(Duration::from_hours(8));
        seen("both say on", async || {
            let now = clock.now();
            let states = one.records.keys.ring().states(now);
            states.iter().all(|key| key.phase == Phase::Current)
        })
        .await;
        assert_eq!(published(&one).await, all);
        assert_eq!(published(&other).await, all);
    }
    one.stop().await;
    clock.advance(Duration::from_hours(24));
    assert_eq!(published(&other).await, all, "what was signed lives a day");
    clock.advance(Duration::from_mins(11));
    seen("the end of it", async || {
        published(&other).await == json!(["ES256"])
    })
    .await;
    assert_eq!(other.get("/health/ready").await.status, 200);
}

async fn the_program_tells_until_when_a_key_is_published(stores: &Stores) {
    let began = SystemClock.now() - MINUTE * 30;
    let both = serving(stores, BOTH, began).await;
    let kid = signer(&both, EdDsa, began).unwrap().to_string();
    drop(both);
    let left = serving(stores, &[Es256], began).await;
    let list = async || {
        let listed = ran_json(stores, &["keys", "list"], "");
        let mut listed = listed.as_array().unwrap().iter();
        listed.find(|key| key["kid"] == kid).unwrap().clone()
    };
    // The server is down: nothing stops.
    let told = list().await;
    assert_eq!(told["phase"], "current");
    assert_eq!(
        (&told["configured"], &told["published_until"]),
        (&json!(false), &Value::Null)
    );
    let line = |lines: String| {
        let mut lines = lines.lines().map(str::to_owned);
        lines.find(|line| line.contains(&kid)).unwrap()
    };
    let shown = line(ran(stores, &["keys", "list"], ""));
    assert!(shown.ends_with("  (not in keys.algorithms)"), "{shown}");

    serve(&left, began, began + MINUTE * 29).await;
    let told = list().await;
    // As the program has it, tokens may live for a day.
    let until = began + SAID + Duration::from_hours(24);
    assert_eq!(told["phase"], "previous");
    assert_eq!(told["published_until"], until.to_string());
    let shown = line(ran(stores, &["keys", "list"], ""));
    assert!(
        shown.contains(&format!(", published until {until}")),
        "{shown}"
    );
}
