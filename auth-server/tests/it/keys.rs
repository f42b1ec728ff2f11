use std::fmt::Write as _;
use std::time::Duration;

use auth_server::keys::encryption::{KeyEncryption, OpenError};
use auth_server::keys::{InvalidKey, KeySettings, Keyring, Keys, KeysError, Phase};
use auth_server::store::{self, changes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel_async::RunQueryDsl;
use shared_protocol::jose::Algorithm::{self, EdDsa, Es256, Ps256, Rs256};
use shared_protocol::jose::{JwtKind, KeyId, Pkcs8, UnverifiedJwt, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Instant;
use shared_server::db::{Settings, Store};
use shared_server::on;
use shared_testing::clock::StoppedClock;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

const NOW: Instant = Instant::from_secs(1_700_000_000);
const AHEAD: Duration = Duration::from_mins(10);
const LIFETIME: Duration = Duration::from_mins(5);

on_each_store!(
    auth_server::store::MIGRATIONS;
    nodes_that_start_at_once_make_one_key_of_each_algorithm,
    a_second_start_keeps_the_keys,
    an_algorithm_that_is_added_gets_a_key,
    nothing_is_signed_with_an_algorithm_that_was_taken_out,
    without_the_key_encryption_key_nothing_opens_and_nothing_is_made,
    a_row_that_does_not_open_keeps_no_other_from_being_read,
    a_rotated_key_is_published_before_it_signs,
    rotations_at_once_make_one_key,
    a_rotation_of_what_is_not_configured_is_refused,
    a_revoked_key_is_gone_at_once,
    revocations_at_once_leave_one_signer,
    rewrapped_keys_open_without_the_old_key,
    every_change_is_told_to_other_nodes,
);

fn encryption(keks: &[(&str, u8)]) -> KeyEncryption {
    let keks = keks
        .iter()
        .map(|&(id, byte)| (id.to_owned(), STANDARD.encode([byte; 32]).into()));
    KeyEncryption::new(keks.collect()).unwrap_or_else(|error| panic!("{error}"))
}

fn settings(algorithms: &[Algorithm]) -> KeySettings {
    let mut settings = KeySettings::new(LIFETIME);
    settings.algorithms = algorithms.to_vec();
    settings
}

async fn open_with(
    store: &Store,
    keks: &[(&str, u8)],
    algorithms: &[Algorithm],
) -> Result<Keys, KeysError> {
    let (encryption, settings) = (encryption(keks), settings(algorithms));
    Keys::open(store.clone(), encryption, settings, NOW, &SystemRandom).await
}

async fn open(store: &Store) -> Keys {
    open_with(store, &[("kek", 1)], &[Es256]).await.unwrap()
}

async fn connect(settings: Settings) -> Store {
    Store::connect(&settings).await.unwrap()
}

fn kids(keys: &Keys) -> Vec<KeyId> {
    keys.ring()
        .states(NOW)
        .into_iter()
        .map(|state| state.kid)
        .collect()
}

fn phases(keys: &Keys, now: Instant) -> Vec<Phase> {
    keys.ring()
        .states(now)
        .into_iter()
        .map(|state| state.phase)
        .collect()
}

fn signer(ring: &Keyring, now: Instant) -> KeyId {
    let signer = ring.signer(Es256, now).unwrap();
    signer.public().kid().unwrap().clone()
}

/// Does `work` for each node at the same moment.
async fn at_once<N, R: Send + 'static, F: Future<Output = R> + Send + 'static>(
    nodes: Vec<N>,
    work: impl Fn(N) -> F,
) -> Vec<R> {
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(nodes.len()));
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes {
        let (start, work) = (start.clone(), work(node));
        tasks.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}

async fn connect_nodes(count: usize, database: &Settings) -> Vec<Store> {
    let mut stores = Vec::with_capacity(count);
    for _ in 0..count {
        stores.push(connect(database.clone()).await);
    }
    stores
}

async fn open_nodes(count: usize, database: &Settings) -> Vec<Keys> {
    let mut nodes = Vec::with_capacity(count);
    for store in connect_nodes(count, database).await {
        nodes.push(open(&store).await);
    }
    nodes
}

/// A statement that an attacker with the database may run.
async fn run(store: &Store, statement: &str) {
    let mut conn = store.write().await.unwrap();
    on!(&mut conn, |c| diesel::sql_query(statement).execute(c)).unwrap();
}

async fn nodes_that_start_at_once_make_one_key_of_each_algorithm(stores: &Stores) {
    let stores = connect_nodes(6, &stores.database()).await;
    let nodes = at_once(stores, |store| async move {
        open_with(&store, &[("kek", 1)], &[Es256, EdDsa])
            .await
            .unwrap()
    });
    let nodes = nodes.await;
    let made = kids(&nodes[0]);
    assert_eq!(made.len(), 2);
    for node in &nodes {
        assert_eq!(kids(node), made);
        for algorithm in [Es256, EdDsa] {
            let signer = node.ring().signer(algorithm, NOW).unwrap();
            assert_eq!(signer.algorithm(), algorithm);
        }
    }
}

async fn a_second_start_keeps_the_keys(stores: &Stores) {
    let first = open(&connect(stores.database()).await).await;
    let ring = first.ring();
    let signer = ring.signer(Es256, NOW).unwrap();
    let claims = serde_json::json!({"iss": "https://as.example"});
    let token = sign_jwt(JwtKind::AccessToken, &claims, &*signer)
        .await
        .unwrap();

    let second = open(&connect(stores.database()).await).await;
    assert_eq!(kids(&second), kids(&first));
    let ring = second.ring();
    for set in [ring.verifying(), &ring.published(NOW)] {
        UnverifiedJwt::parse(&token, JwtKind::AccessToken)
            .unwrap()
            .verify(set)
            .unwrap();
    }
}

async fn an_algorithm_that_is_added_gets_a_key(stores: &Stores) {
    let store = connect(stores.database()).await;
    let before = kids(&open(&store).await);
    let after = open_with(&store, &[("kek", 1)], &[Es256, EdDsa, EdDsa, Rs256])
        .await
        .unwrap();
    let ring = after.ring();
    assert_eq!(ring.states(NOW).len(), 3);
    assert_eq!(signer(&ring, NOW), before[0]);
    // Published before it signs, as every new key of an issuer in use (threat 35), and not announced meanwhile.
    assert_eq!(ring.published(NOW).keys().len(), 3);
    let soon = NOW + AHEAD - Duration::from_millis(1);
    assert_eq!(ring.signing(soon), [Es256]);
    after.check(soon).unwrap();
    let all = [Es256, EdDsa, Rs256];
    assert_eq!(ring.signing(NOW + AHEAD), all);
    for algorithm in [EdDsa, Rs256] {
        assert!(ring.signer(algorithm, soon).is_none(), "{algorithm}");
    }
}

async fn nothing_is_signed_with_an_algorithm_that_was_taken_out(stores: &Stores) {
    let store = Store::connect(&stores.database()).await.unwrap();
    let keks = [("one", 1)];
    let both = open_with(&store, &keks, &[Es256, EdDsa]).await.unwrap();
    assert!(both.ring().signer(EdDsa, NOW).is_some());
    let left = open_with(&store, &keks, &[Es256]).await.unwrap();
    assert!(left.ring().signer(EdDsa, NOW).is_none());
    assert_eq!(left.ring().signing(NOW), [Es256]);
    // What was signed before still is verified.
    assert_eq!(left.ring().published(NOW).keys().len(), 2);
    assert!(both.ring().signer(EdDsa, NOW).is_some());
}

async fn without_the_key_encryption_key_nothing_opens_and_nothing_is_made(stores: &Stores) {
    let store = connect(stores.database()).await;
    let kid = kids(&open(&store).await).remove(0);
    for (keks, missing) in [([("other", 1)], true), ([("kek", 2)], false)] {
        let refusal = open_with(&store, &keks, &[Es256, EdDsa])
            .await
            .err()
            .unwrap();
        let told = refusal.to_string();
        assert!(
            told.contains(kid.as_str()) && told.contains("`kek`"),
            "{told}"
        );
        let KeysError::Row {
            why: InvalidKey::Sealed(why),
            ..
        } = refusal
        else {
            panic!("{told}");
        };
        assert_eq!(matches!(why, OpenError::Missing(_)), missing, "{told}");
    }
    assert_eq!(open(&store).await.ring().states(NOW).len(), 1);
}

async fn a_row_that_does_not_open_keeps_no_other_from_being_read(stores: &Stores) {
    let store = connect(stores.database()).await;
    let keys = open_with(&store, &[("kek", 1)], &[Rs256, Ps256])
        .await
        .unwrap();
    let states = keys.ring().states(NOW);
    let (one, two) = (&states[0].kid, &states[1].kid);
    let row = |column: &str, value: String| {
        format!("UPDATE signing_keys SET {column} = {value} WHERE kid = '{one}'")
    };
    let of_two = |column: &str| format!("(SELECT {column} FROM signing_keys WHERE kid = '{two}')");
    let original = store::keys::all(&mut store.read().await.unwrap())
        .await
        .unwrap();
    for (what, statement) in [
        (
            "the private half of another key",
            row("sealed", of_two("sealed")),
        ),
        ("the public half of another key", row("jwk", of_two("jwk"))),
        ("another algorithm", row("alg", of_two("alg"))),
        ("an unknown algorithm", row("alg", "'none'".to_owned())),
        (
            "another key-encryption key",
            row("kek_id", "'other'".to_owned()),
        ),
    ] {
        run(&store, &statement).await;
        let opened = open_with(&store, &[("kek", 1)], &[Rs256, Ps256]).await;
        let Err(KeysError::Row { kid, .. }) = opened else {
            panic!("{what} was taken");
        };
        assert_eq!(kid, one.as_str(), "{what}");
        // A node that had opened it goes on, and sees that another key is withdrawn.
        let withdrawn = format!("UPDATE signing_keys SET revoked_at = 1 WHERE kid = '{two}'");
        run(&store, &withdrawn).await;
        keys.reload().await.unwrap();
        let ring = keys.ring();
        assert!(!ring.is_current(two), "{what}");
        if what.ends_with("algorithm") {
            assert!(!ring.is_current(one), "{what}");
            assert!(keys.check(NOW).is_err(), "{what}");
        } else {
            assert!(ring.is_current(one), "{what}");
            assert!(ring.signer(Rs256, NOW).is_some() || ring.signer(Ps256, NOW).is_some());
        }

        run(&store, "DELETE FROM signing_keys").await;
        for row in &original {
            store::keys::insert(&mut store.write().await.unwrap(), row)
                .await
                .unwrap();
        }
        keys.reload().await.unwrap();
    }
}

async fn a_rotated_key_is_published_before_it_signs(stores: &Stores) {
    let store = connect(stores.database()).await;
    let keys = open(&store).await;
    let old = signer(&keys.ring(), NOW);
    let new = keys
        .rotate(None, &StoppedClock(NOW), &SystemRandom)
        .await
        .unwrap()
        .remove(0);
    let ring = keys.ring();
    let millisecond = Duration::from_millis(1);
    for (when, signs, published) in [
        (NOW, &old, &[&old, &new][..]),
        (NOW + AHEAD - millisecond, &old, &[&old, &new]),
        (NOW + AHEAD, &new, &[&old, &new]),
        (NOW + AHEAD + LIFETIME - millisecond, &new, &[&old, &new]),
        (NOW + AHEAD + LIFETIME, &new, &[&new]),
    ] {
        assert_eq!(&signer(&ring, when), signs, "{when}");
        let set = ring.published(when);
        assert_eq!(set.keys().len(), published.len(), "{when}");
        assert!(published.iter().all(|kid| set.contains(kid)), "{when}");
    }
    assert_eq!(ring.published_until(NOW), Some(NOW + AHEAD));
    assert_eq!(
        ring.published_until(NOW + AHEAD),
        Some(NOW + AHEAD + LIFETIME)
    );
    assert_eq!(ring.published_until(NOW + AHEAD + LIFETIME), None);
    // Long after, this server still knows what it signed.
    assert!(ring.is_current(&old) && ring.verifying().contains(&old));

    let refusal = keys
        .rotate(
            Some(Es256),
            &StoppedClock(NOW + AHEAD - millisecond),
            &SystemRandom,
        )
        .await;
    assert!(matches!(refusal, Err(KeysError::NextWaits { kid, .. }) if kid == new));
    keys.rotate(Some(Es256), &StoppedClock(NOW + AHEAD), &SystemRandom)
        .await
        .unwrap();
    let expected = [Phase::Previous, Phase::Current, Phase::Next];
    assert_eq!(phases(&keys, NOW + AHEAD), expected);
}

async fn rotations_at_once_make_one_key(stores: &Stores) {
    let first = open(&connect(stores.database()).await).await;
    let nodes = open_nodes(8, &stores.database()).await;
    let outcomes = at_once(nodes, |keys| async move {
        keys.rotate(None, &StoppedClock(NOW), &SystemRandom).await
    });
    let outcomes = outcomes.await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refusal in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refusal, KeysError::NextWaits { .. }), "{refusal}");
    }
    first.reload().await.unwrap();
    assert_eq!(phases(&first, NOW), [Phase::Current, Phase::Next]);
}

async fn a_rotation_of_what_is_not_configured_is_refused(stores: &Stores) {
    let keys = open(&connect(stores.database()).await).await;
    let refusal = keys
        .rotate(Some(EdDsa), &StoppedClock(NOW), &SystemRandom)
        .await;
    assert!(matches!(refusal, Err(KeysError::NotConfigured(EdDsa))));
    assert_eq!(phases(&keys, NOW), [Phase::Current]);
}

async fn a_revoked_key_is_gone_at_once(stores: &Stores) {
    let keys = open(&connect(stores.database()).await).await;
    let stranger = KeyId::new("../other").unwrap();
    let refusal = keys.revoke(&stranger, NOW, &SystemRandom).await;
    assert!(matches!(refusal, Err(KeysError::Unknown(kid)) if kid == stranger));

    // Nothing else can sign, so a new key does, at once.
    let first = signer(&keys.ring(), NOW);
    let second = keys
        .revoke(&first, NOW, &SystemRandom)
        .await
        .unwrap()
        .unwrap();
    let ring = keys.ring();
    assert_eq!(signer(&ring, NOW), second);
    assert!(!ring.is_current(&first) && !ring.verifying().contains(&first));
    assert!(!ring.published(NOW).contains(&first));
    assert_eq!(
        keys.revoke(&first, NOW, &SystemRandom).await.unwrap(),
        None,
        "twice"
    );
    assert_eq!(kids(&keys).len(), 2);

    // The one that waits is withdrawn: nothing else changes.
    let third = keys
        .rotate(None, &StoppedClock(NOW), &SystemRandom)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(keys.revoke(&third, NOW, &SystemRandom).await.unwrap(), None);
    assert_eq!(signer(&keys.ring(), NOW + AHEAD), second);

    // The signer is withdrawn while verifiers still know the one before it.
    let fourth = keys
        .rotate(None, &StoppedClock(NOW), &SystemRandom)
        .await
        .unwrap()
        .remove(0);
    let soon = NOW + AHEAD;
    assert_eq!(signer(&keys.ring(), soon), fourth);
    assert_eq!(
        keys.revoke(&fourth, soon, &SystemRandom).await.unwrap(),
        None
    );
    assert_eq!(signer(&keys.ring(), soon), second);

    // The signer is withdrawn when verifiers have forgotten the one before it.
    let fifth = keys
        .rotate(None, &StoppedClock(soon), &SystemRandom)
        .await
        .unwrap()
        .remove(0);
    let late = soon + AHEAD + LIFETIME;
    assert_eq!(signer(&keys.ring(), late), fifth);
    let sixth = keys
        .revoke(&fifth, late, &SystemRandom)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(signer(&keys.ring(), late), sixth);
}

async fn revocations_at_once_leave_one_signer(stores: &Stores) {
    let first = open(&connect(stores.database()).await).await;
    let kid = signer(&first.ring(), NOW);
    let nodes = open_nodes(8, &stores.database()).await;
    let made = at_once(nodes, |keys| {
        let kid = kid.clone();
        async move { keys.revoke(&kid, NOW, &SystemRandom).await.unwrap() }
    });
    let made: Vec<_> = made.await.into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    first.reload().await.unwrap();
    assert_eq!(kids(&first).len(), 2);
    assert_eq!(signer(&first.ring(), NOW), made[0]);
}

async fn rewrapped_keys_open_without_the_old_key(stores: &Stores) {
    let store = connect(stores.database()).await;
    let algorithms = [Es256, EdDsa, Rs256];
    let made = kids(&open_with(&store, &[("old", 1)], &algorithms).await.unwrap());
    let both = open_with(&store, &[("new", 2), ("old", 1)], &algorithms)
        .await
        .unwrap();
    // By two at once, each key once.
    let (one, two) = tokio::join!(
        both.rewrap(NOW, &SystemRandom),
        both.rewrap(NOW, &SystemRandom)
    );
    assert_eq!(one.unwrap() + two.unwrap(), 3);
    assert_eq!(both.rewrap(NOW, &SystemRandom).await.unwrap(), 0);
    let new = open_with(&store, &[("new", 2)], &algorithms).await.unwrap();
    assert_eq!(kids(&new), made);
    assert!(open_with(&store, &[("old", 1)], &algorithms).await.is_err());
}

async fn every_change_is_told_to_other_nodes(stores: &Stores) {
    let store = connect(stores.database()).await;
    let keys = open_with(&store, &[("old", 1)], &[Es256]).await.unwrap();
    let changes = async |after| {
        let mut conn = store.read().await.unwrap();
        changes::since(&mut conn, after, 10).await.unwrap()
    };
    let before_now = NOW - Duration::from_millis(1);
    let told = changes(before_now).await;
    let [first] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        (&*first.kind, &*first.subject, first.changed_at),
        ("keys", "ES256", NOW)
    );
    assert_eq!(changes(NOW).await, []);

    // In the same millisecond, and yet later.
    let next = keys
        .rotate(None, &StoppedClock(NOW), &SystemRandom)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(changes(NOW).await.len(), 1);
    let late = NOW + Duration::from_secs(9);
    keys.revoke(&next, late, &SystemRandom).await.unwrap();
    assert_eq!(
        changes(late - Duration::from_millis(1)).await[0].subject,
        next.as_str()
    );
    let both = open_with(&store, &[("new", 2), ("old", 1)], &[Es256])
        .await
        .unwrap();
    both.rewrap(late, &SystemRandom).await.unwrap();
    assert_eq!(changes(late - Duration::from_millis(1)).await.len(), 2);

    // A refusal tells nothing.
    both.rotate(None, &StoppedClock(late), &SystemRandom)
        .await
        .unwrap();
    let count = changes(Instant::EPOCH).await;
    both.rotate(None, &StoppedClock(late), &SystemRandom)
        .await
        .unwrap_err();
    assert_eq!(changes(Instant::EPOCH).await, count);
    let mut conn = store.read().await.unwrap();
    assert_eq!(
        changes::since(&mut conn, Instant::EPOCH, 1).await.unwrap(),
        count[..1]
    );
}

/// A copy of the file is what a backup gives away.
#[tokio::test]
async fn a_stolen_file_holds_no_private_key_sqlite_memory() {
    use shared_testing::databases::SqliteFile;

    let database = SqliteFile::create("auth", &store::MIGRATIONS).await;
    let settings = database.settings();
    let store = connect(settings.clone()).await;
    let keys = open_with(&store, &[("kek", 1)], &[Es256, EdDsa])
        .await
        .unwrap();
    run(&store, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let url = secrecy::ExposeSecret::expose_secret(&settings.url).to_owned();
    let file = std::fs::read(url.trim_start_matches("sqlite:")).unwrap();
    let holds = |bytes: &[u8]| file.windows(bytes.len()).any(|window| window == bytes);

    let rows = store::keys::all(&mut store.read().await.unwrap())
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert!(
            holds(row.kid.as_bytes()) && holds(&row.sealed),
            "this is the file"
        );
        let label = auth_server::keys::encryption::Label {
            purpose: "signing key",
            parts: [&row.kid, &row.alg],
        };
        let opened = encryption(&[("kek", 1)])
            .open(label, "kek", &row.sealed)
            .unwrap();
        let private = Pkcs8::from_der(opened.to_vec());
        let der = private.expose_der();
        // RFC 5915 §3, RFC 8410 §7: the scalar or the seed, an octet string of 32 bytes.
        let start = der
            .windows(2)
            .position(|window| window == [0x04, 0x20])
            .unwrap()
            + 2;
        let secret = &der[start..start + 32];
        let mut hex = String::new();
        for byte in secret {
            write!(hex, "{byte:02x}").unwrap();
        }
        let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
        for (what, bytes) in [
            ("the secret", secret),
            ("its first half", &secret[..16]),
            ("in hexadecimal", hex.as_bytes()),
            ("in base64url", base64.as_bytes()),
        ] {
            assert!(!holds(bytes), "{} {what}", row.alg);
        }
    }
    drop(keys);
    assert!(
        open_with(&store, &[("other", 3)], &[Es256, EdDsa])
            .await
            .is_err()
    );
}
