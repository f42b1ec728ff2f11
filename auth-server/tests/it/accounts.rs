//! People: their accounts, their passwords, and who is kept from guessing them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::email::EmailAddress;
use auth_server::accounts::known_devices::KnownDevices;
use auth_server::accounts::password::PasswordRefusal;
use auth_server::accounts::sign_in::{Attempt, SignIn, SignInRefusal};
use auth_server::accounts::{AccountError, AccountId, NewAccount, Proven};
use auth_server::clients::{AuthMethod, Client, InvalidClientMetadata};
use auth_server::config::Config;
use auth_server::records::Records;
use auth_server::server::World;
use auth_server::sessions::{Amr, BeginError, Beginning};
use auth_server::store::accounts;
use secrecy::SecretString;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::{Clock as _, Instant};
use shared_server::config::Secret;
use shared_server::ephemeral::Ephemeral;
use shared_testing::clock::MovableClock;
use shared_testing::on_each_store;
use shared_testing::redis::RedisServer;
use shared_testing::stores::Stores;

use crate::server::{TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    threat_24_whoever_cannot_sign_in_gets_one_answer_for_the_same_work,
    failures_make_the_next_attempt_wait_longer_and_longer,
    too_many_failures_lock_known_and_unknown_people_alike,
    a_lock_survives_a_restart_and_an_emptied_cache,
    a_success_clears_what_was_counted_against_the_account,
    who_signs_in_often_is_never_held_back,
    an_address_that_guesses_at_many_accounts_has_to_wait,
    guesses_at_once_are_verified_no_more_than_one_after_the_other,
    a_known_device_signs_in_while_the_account_is_under_attack,
    a_cookie_of_a_known_device_is_good_for_its_account_and_time_alone,
    a_known_device_has_counters_of_its_own_and_a_lock_too,
    a_new_password_or_a_disable_ends_known_devices,
    a_known_device_keeps_its_name,
    addresses_are_not_counted_when_they_tell_nothing,
    a_password_is_hashed_anew_when_the_parameters_changed,
    who_finds_the_hashing_queue_full_is_told_so_and_not_counted,
    a_disabled_account_can_do_nothing_until_it_is_enabled,
    a_new_password_ends_every_session,
    a_new_password_lifts_a_lock_until_the_next_failure,
    threat_34_no_session_begins_on_a_proof_that_the_account_outlived,
    threat_34_sessions_that_begin_while_the_password_changes_are_ended_or_refused,
    threat_19_an_address_is_taken_however_it_is_written,
    what_cannot_be_an_account_is_refused,
    without_the_ephemeral_store_nobody_signs_in_and_nothing_is_hashed,
);

/// In place of a second. The clock of a test runs on by itself, and no test may depend on how fast its machine is.
const UNIT: Duration = Duration::from_mins(10);

pub(crate) const EMAIL: &str = "jo@example.com";
pub(crate) const PASSWORD: &str = "kiosk regen 73";
pub(crate) const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.7";

/// Everything that signing in is made of, on stores of its own.
pub(crate) struct Door {
    clock: Arc<MovableClock>,
    records: Records,
    sign_in: Arc<SignIn>,
}

/// The defaults, but that each second lasts a unit.
fn slow_config(stores: &Stores) -> Config {
    let mut config = config(stores);
    for period in [
        &mut config.sign_in.first_wait,
        &mut config.sign_in.longest_wait,
        &mut config.sign_in.lock,
        &mut config.sign_in.window,
    ] {
        *period *= u32::try_from(UNIT.as_secs()).unwrap();
    }
    config
}

impl Door {
    pub(crate) async fn open(stores: &Stores) -> Self {
        Self::open_with(&slow_config(stores), Arc::default()).await
    }

    async fn open_with(config: &Config, clock: Arc<MovableClock>) -> Self {
        // Failures count by the window. No test must meet the end of one that it did not ask for.
        let window = i64::try_from(config.sign_in.window.as_millis()).unwrap();
        let into = clock.now().as_millis().rem_euclid(window);
        clock.advance(Duration::from_millis((window - into).unsigned_abs()));
        let world = World {
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
        };
        let records = Records::open(config, &world).await.unwrap();
        let ephemeral = Ephemeral::connect(&config.ephemeral.settings(), clock.clone())
            .await
            .unwrap();
        let sign_in = SignIn {
            accounts: records.accounts.clone(),
            ephemeral,
            devices: KnownDevices::new(&records.root_secret, config.sign_in.known_device),
            limits: config.sign_in_limits(),
            random: world.random,
        };
        Self {
            clock,
            records,
            sign_in: Arc::new(sign_in),
        }
    }

    async fn create(&self, email: &str, password: Option<&str>) -> AccountId {
        self.try_create(email, password).await.unwrap()
    }

    async fn try_create(
        &self,
        email: &str,
        password: Option<&str>,
    ) -> Result<AccountId, AccountError> {
        let new = NewAccount {
            email: email.parse().unwrap(),
            name: Some("Jo Doe".into()),
            email_verified: true,
            password: password.map(SecretString::from),
        };
        let now = self.clock.now();
        self.records.accounts.create(new, now, &SystemRandom).await
    }

    pub(crate) async fn attempt(&self, email: &str, password: &str, address: &str) -> Outcome {
        self.attempt_with(email, password, address, None).await
    }

    async fn attempt_with(
        &self,
        email: &str,
        password: &str,
        address: &str,
        device: Option<&str>,
    ) -> Outcome {
        let attempt = Attempt {
            email,
            password: &password.into(),
            address: address.parse::<IpAddr>().unwrap(),
            device,
        };
        match self.sign_in.attempt(&attempt, self.clock.now()).await {
            Ok(proven) => Outcome::In(proven.account_id),
            Err(SignInRefusal::Credentials(_)) => Outcome::Refused,
            Err(SignInRefusal::TooMany { wait, .. }) => Outcome::Wait(wait),
            Err(other) => panic!("{other}"),
        }
    }

    /// Fails as often as it takes until the account is locked, waiting as told.
    async fn lock(&self, email: &str) {
        for _ in 0..self.sign_in.limits.failures_before_lock {
            assert_eq!(
                self.attempt(email, "wrong", ELSEWHERE).await,
                Outcome::Refused
            );
            self.clock.advance(self.sign_in.limits.longest_wait);
        }
    }

    fn hashes(&self) -> u64 {
        self.records.accounts.hasher.metrics().hashes()
    }

    /// The cookie of a device that was not known, in the first epoch.
    fn device(&self, id: &AccountId) -> String {
        self.device_again(id, 0, None)
    }

    fn device_again(&self, id: &AccountId, epoch: i64, presented: Option<&str>) -> String {
        let proven = Proven {
            account_id: id.clone(),
            epoch,
        };
        let devices = &self.sign_in.devices;
        devices.issue(&proven, presented, self.clock.now(), &SystemRandom)
    }

    async fn stored_hash(&self, id: &AccountId) -> String {
        let mut conn = self.records.store.read().await.unwrap();
        let row = accounts::find(&mut conn, id.as_str()).await.unwrap();
        row.unwrap().password_hash.unwrap()
    }

    async fn set_password(&self, id: &AccountId, password: &str) -> Result<(), AccountError> {
        let now = self.clock.now();
        let accounts = &self.records.accounts;
        accounts
            .set_password(id, &password.into(), now, &SystemRandom)
            .await
    }
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    In(AccountId),
    Refused,
    Wait(Duration),
}

impl Outcome {
    /// How long to wait, in units begun.
    pub(crate) fn wait(&self) -> Option<u128> {
        match self {
            Self::Wait(wait) => Some(wait.as_millis().div_ceil(UNIT.as_millis())),
            Self::In(_) | Self::Refused => None,
        }
    }
}

async fn threat_24_whoever_cannot_sign_in_gets_one_answer_for_the_same_work(stores: &Stores) {
    let door = Door::open(stores).await;
    door.create(EMAIL, Some(PASSWORD)).await;
    door.create("none@example.com", None).await;
    let disabled = door.create("off@example.com", Some(PASSWORD)).await;
    let accounts = &door.records.accounts;
    accounts.disable(&disabled, door.clock.now()).await.unwrap();
    let overlong = "x".repeat(100_000);
    let kept = || door.sign_in.ephemeral.len_hint();
    for (row, (what, email, password)) in [
        ("a wrong password", EMAIL, "wrong"),
        ("an unknown account", "who@example.com", PASSWORD),
        (
            "an account without a password",
            "none@example.com",
            PASSWORD,
        ),
        ("its empty password", "none@example.com", ""),
        ("a disabled account", "off@example.com", PASSWORD),
        ("no address", "jo", PASSWORD),
        ("no address at all", "", PASSWORD),
        ("an overlong password", EMAIL, &overlong),
        ("an overlong address", &overlong, PASSWORD),
    ]
    .into_iter()
    .enumerate()
    {
        let (hashes, entries) = (door.hashes(), kept());
        let address = format!("192.0.2.{row}");
        assert_eq!(
            door.attempt(email, password, &address).await,
            Outcome::Refused,
            "{what}"
        );
        assert_eq!(door.hashes() - hashes, 1, "{what}");
        // One counter for where it came from and, but for an account that was tried before, one for what was typed.
        let tried = what.starts_with("its ") || what == "an overlong password";
        let new = if tried { 1 } else { 2 };
        assert_eq!(kept(), entries.map(|entries| entries + new), "{what}");
    }
}

async fn failures_make_the_next_attempt_wait_longer_and_longer(stores: &Stores) {
    let door = Door::open(stores).await;
    door.create(EMAIL, Some(PASSWORD)).await;
    for (email, address) in [(EMAIL, HOME), ("who@example.com", ELSEWHERE)] {
        for _ in 0..3 {
            assert_eq!(
                door.attempt(email, "wrong", address).await,
                Outcome::Refused,
                "{email}"
            );
        }
        for expected in [1, 2, 4, 8] {
            assert_eq!(
                door.attempt(email, "wrong", address).await,
                Outcome::Refused,
                "{email}"
            );
            let hashes = door.hashes();
            // Whatever is typed, and however often: it is not looked at, and prolongs nothing.
            for password in [PASSWORD, "wrong", PASSWORD] {
                let outcome = door.attempt(email, password, address).await;
                assert_eq!(
                    outcome.wait(),
                    Some(expected.into()),
                    "{email}: {outcome:?}"
                );
            }
            assert_eq!(door.hashes(), hashes, "{email}");
            door.clock.advance(UNIT * expected);
        }
    }
    let other = door.attempt("other@example.com", "wrong", HOME).await;
    assert_eq!(other, Outcome::Refused, "an account that nobody guessed at");
    assert!(matches!(
        door.attempt(EMAIL, PASSWORD, HOME).await,
        Outcome::In(_)
    ));
}

async fn too_many_failures_lock_known_and_unknown_people_alike(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    for email in [EMAIL, "who@example.com"] {
        door.lock(email).await;
        let hashes = door.hashes();
        for address in [HOME, ELSEWHERE, "2001:db8::1"] {
            let outcome = door.attempt(email, PASSWORD, address).await;
            assert_eq!(outcome.wait(), Some(14 * 60), "{email} {outcome:?}");
        }
        // Written otherwise it is the same address.
        let upper = door.attempt(&email.to_uppercase(), PASSWORD, HOME).await;
        assert!(upper.wait().is_some(), "{upper:?}");
        assert_eq!(door.hashes(), hashes, "{email}");
    }
    door.clock.advance(UNIT * 14 * 60);
    assert_eq!(
        door.attempt("who@example.com", PASSWORD, HOME).await,
        Outcome::Refused
    );
    assert_eq!(
        door.attempt(EMAIL, PASSWORD, HOME).await,
        Outcome::In(id),
        "after the lock"
    );
    assert_eq!(
        door.attempt(EMAIL, "wrong", HOME).await,
        Outcome::Refused,
        "cleared"
    );
    assert_eq!(
        door.attempt(EMAIL, "wrong", HOME).await,
        Outcome::Refused,
        "cleared"
    );
}

async fn a_lock_survives_a_restart_and_an_emptied_cache(stores: &Stores) {
    let mut config = slow_config(stores);
    let door = Door::open_with(&config, Arc::default()).await;
    door.create(EMAIL, Some(PASSWORD)).await;
    door.lock(EMAIL).await;
    config.ephemeral.prefix.push_str("-emptied");
    let clock = Arc::clone(&door.clock);
    drop(door);
    let records = Records::open(
        &config,
        &World {
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
        },
    )
    .await
    .unwrap();
    let ephemeral = Ephemeral::connect(&config.ephemeral.settings(), clock.clone()).await;
    let door = Door {
        sign_in: Arc::new(SignIn {
            accounts: records.accounts.clone(),
            ephemeral: ephemeral.unwrap(),
            devices: KnownDevices::new(&records.root_secret, config.sign_in.known_device),
            limits: config.sign_in_limits(),
            random: Arc::new(SystemRandom),
        }),
        records,
        clock,
    };
    let outcome = door.attempt(EMAIL, PASSWORD, HOME).await;
    assert!(outcome.wait().is_some(), "{outcome:?}");
    assert_eq!(door.hashes(), 0);
}

async fn a_success_clears_what_was_counted_against_the_account(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    for _ in 0..10 {
        for _ in 0..2 {
            assert_eq!(door.attempt(EMAIL, "wrong", HOME).await, Outcome::Refused);
        }
        assert_eq!(
            door.attempt(EMAIL, PASSWORD, HOME).await,
            Outcome::In(id.clone())
        );
    }
    // Also what it had to wait for.
    for _ in 0..5 {
        door.attempt(EMAIL, "wrong", HOME).await;
        door.clock.advance(UNIT * 10);
    }
    assert_eq!(
        door.attempt(EMAIL, PASSWORD, HOME).await,
        Outcome::In(id.clone())
    );
    assert_eq!(door.attempt(EMAIL, PASSWORD, HOME).await, Outcome::In(id));
}

async fn who_signs_in_often_is_never_held_back(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    for _ in 0..120 {
        assert_eq!(
            door.attempt(EMAIL, PASSWORD, HOME).await,
            Outcome::In(id.clone())
        );
    }
}

async fn an_address_that_guesses_at_many_accounts_has_to_wait(stores: &Stores) {
    let mut config = slow_config(stores);
    config.sign_in.address_failures_before_wait = 10;
    let door = Door::open_with(&config, Arc::default()).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    for guess in 0..11 {
        // All of an IPv6 /64 is one place, and one account of one's own makes nothing good.
        let (address, email) = (
            format!("2001:db8::{guess}"),
            format!("a{guess}@example.com"),
        );
        assert_eq!(
            door.attempt(&email, PASSWORD, &address).await,
            Outcome::Refused
        );
        if guess < 10 {
            let own = door.attempt(EMAIL, PASSWORD, &address).await;
            assert_eq!(own, Outcome::In(id.clone()), "{guess}");
        }
    }
    let hashes = door.hashes();
    let outcome = door
        .attempt("b@example.com", PASSWORD, "2001:db8::ffff")
        .await;
    assert_eq!(outcome.wait(), Some(1), "{outcome:?}");
    assert_eq!(door.hashes(), hashes);
    for address in [HOME, "2001:db8:0:1::1"] {
        let other = door.attempt(EMAIL, PASSWORD, address).await;
        assert_eq!(other, Outcome::In(id.clone()), "{address}");
    }
    door.clock.advance(UNIT);
    assert_eq!(
        door.attempt(EMAIL, PASSWORD, "2001:db8::1").await,
        Outcome::In(id)
    );
}

async fn guesses_at_once_are_verified_no_more_than_one_after_the_other(stores: &Stores) {
    let mut config = slow_config(stores);
    config.passwords.queue = 1_000;
    let door = Arc::new(Door::open_with(&config, Arc::default()).await);
    door.create(EMAIL, Some(PASSWORD)).await;
    let mut nodes = vec![Arc::clone(&door)];
    if door.sign_in.ephemeral.is_shared() {
        let clock = Arc::clone(&door.clock);
        nodes.push(Arc::new(Door::open_with(&config, clock).await));
    }
    let of_all_nodes = || nodes.iter().map(|node| node.hashes()).sum::<u64>();
    for email in [EMAIL, "who@example.com"] {
        let before = of_all_nodes();
        let mut guesses = tokio::task::JoinSet::new();
        for guess in 0..300 {
            let node = Arc::clone(&nodes[guess % nodes.len()]);
            let email = email.to_owned();
            guesses.spawn(async move {
                let address = format!("198.51.{}.{}", guess / 200, guess % 200);
                node.attempt(&email, &format!("guess {guess}"), &address)
                    .await
            });
        }
        let outcomes = guesses.join_all().await;
        let refused = outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::Refused);
        let allowed = u64::from(door.sign_in.limits.failures_before_wait) + 1;
        assert_eq!(refused.count() as u64, allowed, "{email}");
        assert_eq!(of_all_nodes() - before, allowed, "{email}");
    }
}

async fn a_known_device_signs_in_while_the_account_is_under_attack(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let cookie = door.device(&id);
    door.lock(EMAIL).await;
    assert!(
        door.attempt(EMAIL, PASSWORD, ELSEWHERE)
            .await
            .wait()
            .is_some()
    );
    for _ in 0..3 {
        let known = door
            .attempt_with(EMAIL, PASSWORD, ELSEWHERE, Some(&cookie))
            .await;
        assert_eq!(known, Outcome::In(id.clone()));
    }
    // The owner's coming and going is no help to whoever guesses.
    assert!(
        door.attempt(EMAIL, PASSWORD, ELSEWHERE)
            .await
            .wait()
            .is_some()
    );
}

async fn a_cookie_of_a_known_device_is_good_for_its_account_and_time_alone(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let other = door.create("other@example.com", Some(PASSWORD)).await;
    let cookie = door.device(&id);
    let foreign = door.device(&other);
    let (name, rest) = cookie.split_once('.').unwrap();
    let (expires_at, tag) = rest.split_once('.').unwrap();
    let later = expires_at.parse::<i64>().unwrap() + 1;
    let flipped = tag.replace(&tag[..1], if tag.starts_with('A') { "B" } else { "A" });
    door.lock(EMAIL).await;
    for (what, forged) in [
        ("another account's", foreign),
        ("nothing", String::new()),
        ("dots", "..".into()),
        ("a later end", format!("{name}.{later}.{tag}")),
        (
            "another name",
            format!("x{}.{expires_at}.{tag}", &name[1..]),
        ),
        ("its parts moved", format!("{name}{expires_at}..{tag}")),
        ("another tag", format!("{name}.{expires_at}.{flipped}")),
        ("no tag", format!("{name}.{expires_at}.")),
        ("half a tag", format!("{name}.{expires_at}.{}", &tag[..20])),
        ("overlong", format!("{cookie}{}", "A".repeat(10_000))),
    ] {
        let outcome = door
            .attempt_with(EMAIL, PASSWORD, HOME, Some(&forged))
            .await;
        assert!(outcome.wait().is_some(), "{what}: {outcome:?}");
    }
    // Threat 26: cut anywhere, or changed in any letter, it is nothing.
    let read = |cookie: &str| {
        let devices = &door.sign_in.devices;
        let device = devices.read(cookie, &id, 0, door.clock.now());
        device.is_some()
    };
    assert!(read(&cookie));
    for at in 0..cookie.len() {
        assert!(!read(&cookie[..at]), "cut at {at}");
        for bit in 0..7 {
            let mut changed = cookie.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert!(!read(&changed), "bit {bit} at {at}");
        }
    }
    let known = door
        .attempt_with(EMAIL, PASSWORD, HOME, Some(&cookie))
        .await;
    assert_eq!(known, Outcome::In(id.clone()));
    door.clock.advance(door.sign_in.devices.lifetime());
    door.lock(EMAIL).await;
    let late = door
        .attempt_with(EMAIL, PASSWORD, HOME, Some(&cookie))
        .await;
    assert!(late.wait().is_some(), "{late:?}");
    let renewed = door.device(&id);
    let known = door
        .attempt_with(EMAIL, PASSWORD, HOME, Some(&renewed))
        .await;
    assert_eq!(known, Outcome::In(id));
}

async fn a_known_device_has_counters_of_its_own_and_a_lock_too(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let (stolen, own) = (door.device(&id), door.device(&id));
    for _ in 0..door.sign_in.limits.failures_before_lock {
        let guess = door.attempt_with(EMAIL, "wrong", HOME, Some(&stolen)).await;
        assert_eq!(guess, Outcome::Refused);
        door.clock.advance(door.sign_in.limits.longest_wait);
    }
    let hashes = door.hashes();
    let locked = door
        .attempt_with(EMAIL, PASSWORD, HOME, Some(&stolen))
        .await;
    assert!(locked.wait().is_some(), "{locked:?}");
    assert_eq!(door.hashes(), hashes);
    for device in [Some(&*own), None] {
        let free = door.attempt_with(EMAIL, PASSWORD, HOME, device).await;
        assert_eq!(free, Outcome::In(id.clone()));
    }
}

async fn a_new_password_or_a_disable_ends_known_devices(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let thief = door.device(&id);
    door.set_password(&id, "another bicycle 1842")
        .await
        .unwrap();
    let devices = &door.sign_in.devices;
    let now = door.clock.now();
    assert_eq!(devices.read(&thief, &id, 1, now), None);
    door.lock(EMAIL).await;
    let stolen = door
        .attempt_with(EMAIL, "another bicycle 1842", HOME, Some(&thief))
        .await;
    assert!(stolen.wait().is_some(), "{stolen:?}");
    let own = door.device_again(&id, 1, Some(&thief));
    assert_ne!(own.split('.').next(), thief.split('.').next());
    let known = door
        .attempt_with(EMAIL, "another bicycle 1842", HOME, Some(&own))
        .await;
    assert_eq!(known, Outcome::In(id.clone()));
    let accounts = &door.records.accounts;
    accounts.disable(&id, door.clock.now()).await.unwrap();
    accounts.enable(&id).await.unwrap();
    let ended = door
        .attempt_with(EMAIL, "another bicycle 1842", HOME, Some(&own))
        .await;
    assert!(ended.wait().is_some(), "{ended:?}");
}

async fn a_known_device_keeps_its_name(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let other = door.create("other@example.com", Some(PASSWORD)).await;
    let name = |cookie: &str| cookie.split('.').next().unwrap().to_owned();
    let first = door.device(&id);
    door.clock.advance(Duration::from_hours(1));
    let again = door.device_again(&id, 0, Some(&first));
    assert_eq!(name(&again), name(&first));
    assert_ne!(again, first, "it lives longer");
    for (what, made) in [
        (
            "forged",
            door.device_again(&id, 0, Some(&format!("{first}A"))),
        ),
        ("another's", door.device_again(&other, 0, Some(&first))),
        ("of another epoch", door.device_again(&id, 1, Some(&first))),
    ] {
        assert_ne!(name(&made), name(&first), "{what}");
    }
    door.clock.advance(door.sign_in.devices.lifetime());
    let late = door.device_again(&id, 0, Some(&again));
    assert_ne!(name(&late), name(&first), "ended");
}

async fn addresses_are_not_counted_when_they_tell_nothing(stores: &Stores) {
    let mut config = slow_config(stores);
    config.sign_in.address_failures_before_wait = 0;
    let door = Door::open_with(&config, Arc::default()).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    for n in 0..60 {
        let email = format!("nobody{n}@example.com");
        assert_eq!(door.attempt(&email, "wrong", HOME).await, Outcome::Refused);
    }
    assert_eq!(door.attempt(EMAIL, PASSWORD, HOME).await, Outcome::In(id));
    // What was typed counts all the same.
    let free = door.sign_in.limits.failures_before_wait;
    for _ in 0..=free {
        assert_eq!(door.attempt(EMAIL, "wrong", HOME).await, Outcome::Refused);
    }
    assert!(door.attempt(EMAIL, "wrong", HOME).await.wait().is_some());
}

async fn a_password_is_hashed_anew_when_the_parameters_changed(stores: &Stores) {
    let mut config = slow_config(stores);
    let door = Door::open_with(&config, Arc::default()).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    door.attempt(EMAIL, PASSWORD, HOME).await;
    let before = door.stored_hash(&id).await;
    assert!(
        before.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
        "{before}"
    );
    assert_eq!(door.hashes(), 2, "once to make it, once to sign in");

    config.passwords.memory = 16;
    let door = Door::open_with(&config, Arc::clone(&door.clock)).await;
    assert_eq!(door.attempt(EMAIL, "wrong", HOME).await, Outcome::Refused);
    assert_eq!(
        door.stored_hash(&id).await,
        before,
        "only its owner knows what to hash"
    );
    assert_eq!(
        door.attempt(EMAIL, PASSWORD, HOME).await,
        Outcome::In(id.clone())
    );
    let after = door.stored_hash(&id).await;
    assert!(after.starts_with("$argon2id$v=19$m=16,t=1,p=1$"), "{after}");
    let hashes = door.hashes();
    assert_eq!(
        door.attempt(EMAIL, PASSWORD, HOME).await,
        Outcome::In(id.clone())
    );
    assert_eq!(door.hashes() - hashes, 1);
    // A password that changed meanwhile is not overwritten by an earlier one.
    let mut conn = door.records.store.write().await.unwrap();
    let stale = accounts::update_hash(&mut conn, id.as_str(), &before, "stale").await;
    assert!(!stale.unwrap());
    drop(conn);
    assert_eq!(door.stored_hash(&id).await, after);
}

async fn who_finds_the_hashing_queue_full_is_told_so_and_not_counted(stores: &Stores) {
    let mut config = slow_config(stores);
    config.passwords.queue = 0;
    let door = Door::open_with(&config, Arc::default()).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let mut places = Vec::new();
    while let Ok(place) = door.records.accounts.hasher.place() {
        places.push(place);
    }
    for _ in 0..20 {
        let attempt = Attempt {
            email: EMAIL,
            password: &PASSWORD.into(),
            address: HOME.parse().unwrap(),
            device: None,
        };
        let refusal = door
            .sign_in
            .attempt(&attempt, door.clock.now())
            .await
            .unwrap_err();
        assert!(matches!(refusal, SignInRefusal::Busy), "{refusal}");
    }
    assert!(matches!(
        door.try_create("other@example.com", Some(PASSWORD)).await,
        Err(AccountError::Hash(_))
    ));
    drop(places);
    assert_eq!(door.attempt(EMAIL, PASSWORD, HOME).await, Outcome::In(id));
}

async fn a_disabled_account_can_do_nothing_until_it_is_enabled(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let (accounts, sessions) = (&door.records.accounts, &door.records.sessions);
    let proven = proven(&id);
    let beginning = beginning(&proven);
    let now = door.clock.now();
    let (_, cookie) = sessions
        .begin(&beginning, now, &SystemRandom)
        .await
        .unwrap();
    assert!(sessions.find(&cookie, now).await.unwrap().is_some());

    accounts.disable(&id, door.clock.now()).await.unwrap();
    assert!(accounts.find(&id).await.unwrap().unwrap().disabled);
    assert!(
        sessions
            .find(&cookie, door.clock.now())
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(door.attempt(EMAIL, PASSWORD, HOME).await, Outcome::Refused);
    let known = door
        .attempt_with(EMAIL, PASSWORD, HOME, Some(&door.device(&id)))
        .await;
    assert_eq!(known, Outcome::Refused);
    let begun = sessions
        .begin(&beginning, door.clock.now(), &SystemRandom)
        .await;
    assert!(matches!(begun, Err(BeginError::AccountChanged)));

    accounts.enable(&id).await.unwrap();
    assert_eq!(door.attempt(EMAIL, PASSWORD, HOME).await, Outcome::In(id));
    assert!(
        sessions
            .find(&cookie, door.clock.now())
            .await
            .unwrap()
            .is_none(),
        "ended stays ended"
    );
    let nobody = AccountId::generate(&SystemRandom);
    for refused in [
        accounts.disable(&nobody, door.clock.now()).await,
        accounts.enable(&nobody).await,
        door.set_password(&nobody, PASSWORD).await,
    ] {
        assert!(matches!(refused, Err(AccountError::Unknown)), "{refused:?}");
    }
}

/// What `id` proved before anything of theirs was ended.
fn proven(id: &AccountId) -> Proven {
    Proven {
        account_id: id.clone(),
        epoch: 0,
    }
}

fn beginning(proven: &Proven) -> Beginning<'_> {
    Beginning {
        proven,
        amr: &[Amr::Pwd],
        user_agent: None,
        before: None,
    }
}

async fn a_new_password_ends_every_session(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let other = door.create("other@example.com", Some(PASSWORD)).await;
    let sessions = &door.records.sessions;
    let mut cookies = Vec::new();
    for id in [&id, &id, &other] {
        let begun = sessions
            .begin(&beginning(&proven(id)), door.clock.now(), &SystemRandom)
            .await;
        cookies.push(begun.unwrap().1);
    }
    let live = async || {
        let mut live = Vec::new();
        for cookie in &cookies {
            live.push(
                sessions
                    .find(cookie, door.clock.now())
                    .await
                    .unwrap()
                    .is_some(),
            );
        }
        live
    };
    let refused = door.set_password(&id, "password").await;
    assert!(matches!(
        refused,
        Err(AccountError::Password(PasswordRefusal::Guessable))
    ));
    assert_eq!(live().await, [true, true, true]);
    door.set_password(&id, "another kiosk 37").await.unwrap();
    assert_eq!(live().await, [false, false, true]);
    assert_eq!(door.attempt(EMAIL, PASSWORD, HOME).await, Outcome::Refused);
    assert_eq!(
        door.attempt(EMAIL, "another kiosk 37", HOME).await,
        Outcome::In(id)
    );
}

async fn a_new_password_lifts_a_lock_until_the_next_failure(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    for owner_comes_first in [true, false] {
        door.lock(EMAIL).await;
        assert!(door.attempt(EMAIL, "wrong", HOME).await.wait().is_some());
        door.set_password(&id, PASSWORD).await.unwrap();
        if owner_comes_first {
            let owner = door.attempt(EMAIL, PASSWORD, HOME).await;
            assert_eq!(owner, Outcome::In(id.clone()));
        } else {
            let guess = door.attempt(EMAIL, "wrong", ELSEWHERE).await;
            assert_eq!(guess, Outcome::Refused);
            door.clock.advance(door.sign_in.limits.longest_wait);
            let locked = door.attempt(EMAIL, PASSWORD, HOME).await;
            assert!(locked.wait().is_some(), "{locked:?}");
        }
    }
}

async fn threat_34_no_session_begins_on_a_proof_that_the_account_outlived(stores: &Stores) {
    let door = Door::open(stores).await;
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let sessions = &door.records.sessions;
    // The clock of whoever changed it is behind: none has a say in it.
    let (behind, now) = (Instant::EPOCH, door.clock.now());
    let old = proven(&id);
    let accounts = &door.records.accounts;
    accounts
        .set_password(&id, &"another kiosk 37".into(), behind, &SystemRandom)
        .await
        .unwrap();
    let begun = sessions.begin(&beginning(&old), now, &SystemRandom).await;
    assert!(matches!(begun, Err(BeginError::AccountChanged)));
    let new = Proven {
        epoch: old.epoch + 1,
        ..old
    };
    let begun = sessions.begin(&beginning(&new), now, &SystemRandom).await;
    assert!(begun.is_ok(), "with the new one");
    let account = door.records.accounts.find(&id).await.unwrap().unwrap();
    assert!(account.signed_in_at.is_some());
}

async fn threat_34_sessions_that_begin_while_the_password_changes_are_ended_or_refused(
    stores: &Stores,
) {
    let door = Arc::new(Door::open(stores).await);
    let id = door.create(EMAIL, Some(PASSWORD)).await;
    let proven_at = door.clock.now();
    door.clock.advance(Duration::from_millis(5));
    let start = Arc::new(tokio::sync::Barrier::new(31));
    let mut beginnings = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let (door, id, start) = (Arc::clone(&door), id.clone(), Arc::clone(&start));
        beginnings.spawn(async move {
            start.wait().await;
            let sessions = &door.records.sessions;
            sessions
                .begin(&beginning(&proven(&id)), proven_at, &SystemRandom)
                .await
        });
    }
    start.wait().await;
    door.set_password(&id, "another kiosk 37").await.unwrap();
    for begun in beginnings.join_all().await {
        let Ok((_, cookie)) = begun else { continue };
        let found = door.records.sessions.find(&cookie, door.clock.now()).await;
        assert!(
            found.unwrap().is_none(),
            "outlived the password it was begun with"
        );
    }
}

async fn threat_19_an_address_is_taken_however_it_is_written(stores: &Stores) {
    let door = Arc::new(Door::open(stores).await);
    let mut made = tokio::task::JoinSet::new();
    for email in [
        "jo@example.com",
        "JO@example.com",
        "ｊｏ＠example.com",
        "ⓙⓞ@example.com",
        "jo@EXAMPLE.com",
    ]
    .repeat(4)
    {
        let door = Arc::clone(&door);
        made.spawn(async move { door.try_create(email, Some(PASSWORD)).await });
    }
    let mut outcomes = BTreeMap::new();
    for outcome in made.join_all().await {
        let what = match outcome {
            Ok(_) => "made",
            Err(AccountError::EmailTaken) => "taken",
            Err(other) => panic!("{other}"),
        };
        *outcomes.entry(what).or_insert(0) += 1;
    }
    assert_eq!(outcomes, BTreeMap::from([("made", 1), ("taken", 19)]));
    let email: EmailAddress = "𝕛𝕠@example.com".parse().unwrap();
    let found = door.records.accounts.find_by_email(&email).await.unwrap();
    let signed_in = door.attempt(" ＪＯ@example.com ", PASSWORD, HOME).await;
    assert_eq!(signed_in, Outcome::In(found.unwrap().id));
}

async fn what_cannot_be_an_account_is_refused(stores: &Stores) {
    let door = Door::open(stores).await;
    let accounts = &door.records.accounts;
    let long = "x".repeat(201);
    for name in ["", " ", "Jo\nDoe", "Jo\u{7f}", &long] {
        let new = NewAccount {
            email: EMAIL.parse().unwrap(),
            name: Some(name.into()),
            email_verified: false,
            password: None,
        };
        let refused = accounts.create(new, door.clock.now(), &SystemRandom).await;
        assert!(matches!(refused, Err(AccountError::Name)), "{name:?}");
    }
    for (password, refusal) in [
        ("short", PasswordRefusal::TooShort),
        ("jo@example.com", PasswordRefusal::Guessable),
        ("12345678", PasswordRefusal::Guessable),
        (&*"kx8vbq2m".repeat(33), PasswordRefusal::TooLong),
    ] {
        let refused = door.try_create(EMAIL, Some(password)).await;
        assert!(
            matches!(refused, Err(AccountError::Password(why)) if why == refusal),
            "{password}"
        );
    }
    assert!(accounts.list("", 10).await.unwrap().is_empty());

    // RFC 9068 §5: no client is named as a person is.
    let id = door.create(EMAIL, None).await;
    let metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    let client = Client::new(id.as_str().parse().unwrap(), metadata, Vec::new());
    assert_eq!(client.unwrap_err(), InvalidClientMetadata::AccountId);
}

async fn without_the_ephemeral_store_nobody_signs_in_and_nothing_is_hashed(stores: &Stores) {
    let mut redis = RedisServer::start(&[]).await;
    let mut config = slow_config(stores);
    config.ephemeral.url = Secret::from(redis.url());
    let door = Door::open_with(&config, Arc::default()).await;
    door.create(EMAIL, Some(PASSWORD)).await;
    redis.stop();
    let attempt = Attempt {
        email: EMAIL,
        password: &PASSWORD.into(),
        address: HOME.parse().unwrap(),
        device: None,
    };
    let refusal = door
        .sign_in
        .attempt(&attempt, door.clock.now())
        .await
        .unwrap_err();
    assert!(matches!(refusal, SignInRefusal::Ephemeral(_)), "{refusal}");
    assert_eq!(door.hashes(), 1, "that of the account's making");
}
