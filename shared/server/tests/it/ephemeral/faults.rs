//! Redis that fails, forgets, or is set up wrongly.

use std::time::Instant as Stopwatch;

use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use shared_server::ephemeral::EphemeralError;
use shared_testing::redis::{RedisServer, settings_at};

use super::*;

/// Enough ids that every hash tag has some.
const IDS: std::ops::Range<u32> = 0..500;

/// The epochs that new entries are answered, wherever their keys lie.
async fn epochs(store: &Ephemeral, ids: &str, now: Instant) -> BTreeSet<Instant> {
    let mut epochs = BTreeSet::new();
    for n in IDS {
        let key = Key::new(CODE, format!("{ids} {n}"));
        let entry = entry(b"", b"", now + MINUTE);
        match store.put_new(&key, entry, now).await.unwrap() {
            PutNew::Stored { epoch } => epochs.insert(epoch),
            PutNew::Exists => panic!("{ids} {n} is new"),
        };
    }
    epochs
}

async fn refused(settings: &Settings) -> EphemeralError {
    let connected = Ephemeral::connect(settings, Hands::at(START)).await;
    connected.err().expect("the connection is refused")
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn until(it_is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !it_is_so().await {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    in_time.expect("it comes to be so");
}

fn is_unavailable<T>(answer: &Result<T, EphemeralError>) -> bool {
    matches!(answer, Err(EphemeralError::Unavailable(_)))
}

#[tokio::test]
async fn another_node_joins_the_epoch_that_is() {
    let settings = redis::settings();
    let one = connect(&settings).await;
    let late = Hands::at(START + MINUTE);
    let other = Ephemeral::connect(&settings, late).await.unwrap();
    assert_eq!(epochs(&one, "one", START).await, [START].into());
    assert_eq!(epochs(&other, "other", START).await, [START].into());
}

#[tokio::test]
async fn two_nodes_share_what_is_used_once() {
    let settings = redis::settings();
    let (one, other) = (connect(&settings).await, connect(&settings).await);
    let key = Key::new(CODE, "a");
    let entry = entry(b"value", b"mark", START + MINUTE);
    one.put(&key, entry, START).await.unwrap();
    let (a, b) = tokio::join!(one.take(&key, START), other.take(&key, START));
    let answers = [a.unwrap(), b.unwrap()];
    assert!(answers.contains(&first(b"value")) && answers.contains(&before(b"mark")));

    let elsewhere = connect(&redis::settings()).await;
    assert!(elsewhere.take(&key, START).await.unwrap() == Take::Unknown);
}

#[tokio::test]
async fn an_emptied_store_begins_an_epoch_with_the_first_entry() {
    let server = RedisServer::start(&[]).await;
    let clock = Hands::at(START);
    let settings = settings_at(server.url());
    let store = Ephemeral::connect(&settings, clock.clone()).await.unwrap();
    assert_eq!(epochs(&store, "a", START).await, [START].into());

    let now = START + MINUTE;
    clock.move_to(now);
    let () = server.run(&["FLUSHALL"]).await;
    // What was remembered is gone; the epoch says so in the same breath.
    assert_eq!(epochs(&store, "a", now).await, [now].into());
    // And it does not begin anew with each entry.
    assert_eq!(epochs(&store, "b", now + MINUTE).await, [now].into());
}

#[tokio::test]
async fn another_replication_id_begins_an_epoch_at_once() {
    let server = RedisServer::start(&["--enable-debug-command", "yes"]).await;
    let clock = Hands::at(START);
    let settings = settings_at(server.url());
    let store = Ephemeral::connect(&settings, clock.clone()).await.unwrap();

    let now = START + MINUTE;
    clock.move_to(now);
    let () = server.run(&["DEBUG", "CHANGE-REPL-ID"]).await;
    assert_eq!(epochs(&store, "a", now).await, [now].into());

    // Never back, by a node whose clock is behind.
    clock.move_to(START);
    let () = server.run(&["DEBUG", "CHANGE-REPL-ID"]).await;
    assert_eq!(epochs(&store, "b", START).await, [now].into());
}

#[tokio::test]
async fn every_tag_begins_the_epoch_before_it_is_used() {
    let server = RedisServer::start(&["--enable-debug-command", "yes"]).await;
    let clock = Hands::at(START);
    let settings = settings_at(server.url());
    let store = Ephemeral::connect(&settings, clock.clone()).await.unwrap();

    let changed = START + MINUTE;
    clock.move_to(changed);
    let () = server.run(&["DEBUG", "CHANGE-REPL-ID"]).await;
    let id = field(&server, "replication", "master_replid").await;
    for tag in 0..32 {
        let record = format!("{{{}:{tag:02}}}:epoch", settings.prefix);
        let moved = format!("{} {id}", changed.as_millis());
        until(async || server.run::<String>(&["GET", &record]).await == moved).await;
    }
    let later = changed + 60 * MINUTE;
    assert_eq!(epochs(&store, "a", later).await, [changed].into());
}

/// One field of `INFO section`.
async fn field(server: &RedisServer, section: &str, name: &str) -> String {
    let info: String = server.run(&["INFO", section]).await;
    let found = info
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap().to_owned()
}

#[tokio::test]
async fn it_recovers_and_begins_an_epoch_when_redis_is_restarted() {
    let mut server = RedisServer::start(&[]).await;
    let clock = Hands::at(START);
    let settings = settings_at(server.url());
    let store = Ephemeral::connect(&settings, clock.clone()).await.unwrap();
    let key = Key::new(CODE, "a");
    let entry = entry(b"value", b"mark", START + MINUTE);
    store.put(&key, entry, START).await.unwrap();

    server.stop();
    clock.move_to(START + SECOND);
    let down = Stopwatch::now();
    assert!(is_unavailable(&store.take(&key, START).await));
    assert!(is_unavailable(&store.put(&key, entry, START).await));
    assert!(is_unavailable(&store.put_new(&key, entry, START).await));
    assert!(is_unavailable(&store.get(&key, START).await));
    assert!(is_unavailable(&store.hit(&key, MINUTE, START).await));
    assert!(is_unavailable(&store.ping().await));
    assert!(
        down.elapsed() < settings.timeout,
        "a refusal is not awaited"
    );

    server.start_again().await;
    until(async || store.ping().await.is_ok()).await;
    assert!(store.take(&key, START).await.unwrap() == Take::Unknown);
    let now = START + SECOND;
    assert_eq!(epochs(&store, "b", now).await, [now].into());
}

#[tokio::test]
async fn a_redis_that_hangs_is_unavailable_in_time_and_recovers() {
    let server = RedisServer::start(&[]).await;
    let settings = Settings {
        timeout: Duration::from_millis(300),
        ..settings_at(server.url())
    };
    let store = connect(&settings).await;
    let key = Key::new(CODE, "a");
    let entry = entry(b"value", b"mark", START + MINUTE);
    store.put(&key, entry, START).await.unwrap();

    server.freeze();
    for refused in [
        in_time(store.put(&key, entry, START)).await,
        in_time(store.put_new(&key, entry, START)).await,
        in_time(store.get(&key, START)).await,
        in_time(store.hit(&key, MINUTE, START)).await,
        in_time(store.ping()).await,
        in_time(Ephemeral::connect(&settings, Hands::at(START))).await,
    ] {
        assert!(refused);
    }
    server.thaw();
    until(async || store.ping().await.is_ok()).await;
    assert!(store.take(&key, START).await.unwrap() == first(b"value"));
}

/// Whether it is unavailable, and is so in a time that a request can wait.
async fn in_time<T>(work: impl Future<Output = Result<T, EphemeralError>>) -> bool {
    let answer = tokio::time::timeout(Duration::from_secs(2), work).await;
    is_unavailable(&answer.expect("it is answered in time"))
}

#[tokio::test]
async fn a_master_of_a_cluster_that_is_lost_costs_no_more_than_its_own_keys() {
    let cluster = RedisCluster::start().await;
    let settings = Settings {
        timeout: Duration::from_millis(300),
        ..settings_at(cluster.url())
    };
    let store = connect(&settings).await;
    cluster.nodes()[0].freeze();
    let began = Stopwatch::now();
    let answers = join_all((0..100).map(async |n| {
        let key = Key::new(CODE, n.to_string());
        let entry = entry(b"", b"", START + MINUTE);
        store.put_new(&key, entry, START).await
    }))
    .await;
    assert!(began.elapsed() < Duration::from_secs(2));
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers
        .iter()
        .filter(|answer| is_unavailable(answer))
        .count();
    assert_eq!(stored + refused, 100);
    assert!(stored > 0 && refused > 0, "{stored} stored, {refused} not");
}

#[tokio::test]
async fn a_redis_that_is_full_refuses_and_drops_nothing() {
    let server = RedisServer::start(&[]).await;
    let store = connect(&settings_at(server.url())).await;
    let key = Key::new(CODE, "a");
    let entry = entry(b"value", b"mark", START + MINUTE);
    store.put_new(&key, entry, START).await.unwrap();

    let () = server.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let other = Key::new(CODE, "b");
    let full = |answer: Option<EphemeralError>| matches!(answer, Some(EphemeralError::Full));
    assert!(full(store.put(&other, entry, START).await.err()));
    assert!(full(store.put_new(&other, entry, START).await.err()));
    assert!(full(store.hit(&other, MINUTE, START).await.err()));
    assert!(
        full(store.take(&key, START).await.err()),
        "not without a mark"
    );
    let exists = store.put_new(&key, entry, START).await.unwrap();
    assert_eq!(exists, PutNew::Exists);

    let () = server.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(store.take(&key, START).await.unwrap() == first(b"value"));
}

#[tokio::test]
async fn a_redis_that_may_evict_is_refused() {
    for policy in ["allkeys-lru", "volatile-lru", "volatile-ttl"] {
        let server = RedisServer::start(&["--maxmemory-policy", policy]).await;
        let error = refused(&settings_at(server.url())).await;
        assert!(matches!(error, EphemeralError::Settings(_)));
        assert!(error.to_string().contains(policy), "{error}");
        assert!(error.to_string().contains("noeviction"), "{error}");
    }
}

#[tokio::test]
async fn a_master_of_a_cluster_that_may_evict_is_refused() {
    let cluster = RedisCluster::start().await;
    let set = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"];
    let () = cluster.nodes()[2].run(&set).await;
    let error = refused(&settings_at(cluster.url())).await;
    assert!(matches!(error, EphemeralError::Settings(_)));
    assert!(error.to_string().contains("allkeys-lfu"), "{error}");
}

#[tokio::test]
async fn credentials_are_used_and_never_told() {
    let server = RedisServer::start(&[]).await;
    let user = ["ACL", "SETUSER", "auth", "on", ">s3cr%t", "~*", "+@all"];
    let () = server.run(&user).await;
    let () = server.run(&["ACL", "SETUSER", "default", "-@all"]).await;
    let at = |credentials: &str| {
        let url = server.url();
        settings_at(url.replace("redis://", &format!("redis://{credentials}")))
    };
    let store = connect(&at("auth:s3cr%25t@")).await;
    store.ping().await.unwrap();

    for credentials in ["auth:wr0ng-s3cret@", "nobody:wr0ng-s3cret@", ""] {
        let error = refused(&at(credentials)).await;
        assert!(matches!(error, EphemeralError::Settings(_)), "{error:?}");
        let told = format!("{error:?} {}", causes(&error));
        assert!(told.contains(&format!("127.0.0.1:{}", server.port())));
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[tokio::test]
async fn a_user_needs_no_more_than_the_message_says() {
    let server = RedisServer::start(&[]).await;
    let url = server.url().replace("://", "://auth:pass@");
    let settings = settings_at(url);
    let keys = format!("~{{{}:*", settings.prefix);
    let mut user = vec!["ACL", "SETUSER", "auth", "on", ">pass", &keys];
    user.extend(["+set", "+get", "+incr", "+pexpire", "+eval", "+evalsha"]);
    user.extend(["+info", "+ping"]);
    let () = server.run(&user).await;

    let store = connect(&settings).await;
    let key = Key::new(CODE, "a");
    let entry = entry(b"value", b"mark", START + MINUTE);
    store.put_new(&key, entry, START).await.unwrap();
    store.put(&key, entry, START).await.unwrap();
    store.hit(&key, MINUTE, START).await.unwrap();
    assert!(store.get(&key, START).await.unwrap().is_some());
    assert!(store.take(&key, START).await.unwrap() == first(b"value"));
    store.ping().await.unwrap();
}

#[tokio::test]
async fn tls_with_a_certificate_of_no_known_authority_is_refused() {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("cert"), files.path().join("key"));
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut options = vec!["--tls-port", &port, "--tls-auth-clients", "no"];
    options.extend(["--tls-cert-file", certificate.to_str().unwrap()]);
    options.extend(["--tls-key-file", key.to_str().unwrap()]);
    let _server = RedisServer::start(&options).await;

    for scheme in ["rediss", "rediss+cluster"] {
        let error = refused(&settings_at(format!("{scheme}://127.0.0.1:{port}"))).await;
        let told = causes(&error);
        assert!(matches!(error, EphemeralError::Unavailable(_)), "{told}");
        assert!(told.contains("certificate"), "{told}");
    }
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_named() {
    let mut server = RedisServer::start(&[]).await;
    server.stop();
    for url in [
        server.url(),
        server.url().replace("redis:", "redis+cluster:"),
    ] {
        let url = url.replace("://", "://user:s3cret@");
        let error = refused(&settings_at(url)).await;
        assert!(matches!(error, EphemeralError::Unavailable(_)), "{error:?}");
        let told = causes(&error);
        assert!(
            told.contains(&format!("127.0.0.1:{}", server.port())),
            "{told}"
        );
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_right_are_refused_before_any_connection() {
    let valid = settings_at("redis://127.0.0.1:1");
    let url = |url: &str| Settings {
        url: SecretString::from(url),
        ..valid.clone()
    };
    let prefix = |prefix: &str| Settings {
        prefix: prefix.to_owned(),
        ..valid.clone()
    };
    for settings in [
        url(""),
        url("Memory"),
        url("s3cret"),
        url("http://:s3cret@127.0.0.1"),
        url("redis:s3cret"),
        url("redis://:s3cret@"),
        url("redis://:s3cret@127.0.0.1/one"),
        url("redis://:s3cret@127.0.0.1:port"),
        url("rediss://:s3cret@127.0.0.1#insecure"),
        url("redis+unix:///s3cret"),
        url("redis+cluster://:s3cret@"),
        url("redis+cluster://:s3cret@127.0.0.1:1,"),
        url("redis+cluster://:s3cret@127.0.0.1:1,127.0.0.1:x"),
        url("redis+cluster://:s3cret@127.0.0.1:1/1"),
        prefix(""),
        prefix("a}b"),
        prefix("a b"),
        prefix("ä"),
    ] {
        let error = refused(&settings).await;
        let what = format!("{} {}", settings.url.expose_secret(), settings.prefix);
        assert!(matches!(error, EphemeralError::Settings(_)), "{what}");
        assert!(!causes(&error).contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn rubbish_is_collected_a_minute_after_its_deadline() {
    let server = RedisServer::start(&[]).await;
    let settings = settings_at(server.url());
    let store = connect(&settings).await;
    let entry = entry(b"value", b"mark", START + MINUTE);
    let taken = Key::new(CODE, "taken");
    store
        .put(&Key::new(CODE, "put"), entry, START)
        .await
        .unwrap();
    store.put_new(&taken, entry, START).await.unwrap();
    store.take(&taken, START).await.unwrap();
    // START is 20 seconds into its minute, so this ends in 40.
    store.hit(&taken, MINUTE, START).await.unwrap();

    let names: Vec<String> = server.run(&["KEYS", "*"]).await;
    let mut expiring = 0;
    for name in names {
        let left: i64 = server.run(&["PTTL", &name]).await;
        if name.ends_with(":epoch") {
            assert_eq!(left, -1, "an epoch is never forgotten");
        } else {
            expiring += 1;
            assert!((80_000..=120_000).contains(&left), "{name}: {left}");
        }
    }
    assert_eq!(expiring, 3);
}

#[tokio::test]
async fn the_store_holds_neither_ids_nor_its_connection_after_it_is_dropped() {
    let server = RedisServer::start(&[]).await;
    let store = connect(&settings_at(server.url())).await;
    let entry = entry(b"", b"", START + MINUTE);
    store
        .put(&Key::new(CODE, "s3cret"), entry, START)
        .await
        .unwrap();
    let names: Vec<String> = server.run(&["KEYS", "*code*"]).await;
    assert!(
        names.len() == 1 && !names[0].contains("s3cret"),
        "{names:?}"
    );

    drop(store);
    // The one left is the one that asks.
    until(async || field(&server, "clients", "connected_clients").await == "1").await;
}
