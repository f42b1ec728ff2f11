//! What ends that which an issuer brought, and what nobody gets any more.

use super::*;
use crate::browser::PASSWORD;
use crate::introspection::eventually;
use crate::token_exchange;

on_each_store!(auth_server::store::MIGRATIONS;
    threat_13_who_may_not_sign_in_gets_nothing,
    what_an_issuer_brought_is_exchanged_for_access_tokens_alone,
    what_ends_a_person_ends_what_an_issuer_brought,
    what_was_removed_at_one_node_is_over_at_the_other,
    threat_34_whoever_is_removed_meanwhile_leaves_nothing,
    threat_36_a_grant_without_a_session_is_pruned,
);

async fn threat_13_who_may_not_sign_in_gets_nothing(stores: &Stores) {
    let mut config = config(stores);
    config.authorization.password_grant = true;
    config.sign_in.failures_before_wait = 100;
    config.sign_in.failures_before_lock = 2;
    let scene = Scene::with(config).await;
    scene.link("U1").await;
    let rules = [
        (json!({"subject": "account_id"}), json!({})),
        (json!({"subject": "linked"}), json!({"sub": "U1"})),
        (
            json!({"subject": "verified_email", "email_domains": ["example.com"]}),
            json!({"email": EMAIL, "email_verified": true}),
        ),
    ];
    let every = async |is_let_in: bool, what: &str| {
        for (rule, claims) in &rules {
            scene.trust(rule).await;
            let answer = scene.bring(claims, &[]).await;
            if is_let_in {
                assert_eq!(answer.status, 200, "{what} {rule}: {}", answer.body);
            } else {
                refused(&answer, &format!("{what} {rule}"));
            }
        }
    };
    every(true, "at first").await;
    // Somebody guesses at the password until nobody may sign in.
    let mut password = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    password.grant_types = BTreeSet::from([GrantType::Password]);
    password.skip_consent = true;
    let guesser = scene.server.register(password).await;
    let form = [
        ("grant_type", "password"),
        ("username", EMAIL),
        ("password", "wrong"),
        ("scope", "read"),
    ];
    for _ in 0..2 {
        let answer = scene.server.post_as(&guesser, "/oauth/token", &form).await;
        assert_eq!(answer.error(), (400, "invalid_grant"));
    }
    every(false, "locked").await;
    scene.server.clock.advance(Duration::from_hours(3));
    every(true, "the lock is over").await;
    let (accounts, now) = (&scene.server.records.accounts, scene.server.clock.now());
    accounts.disable(&scene.account_id, now).await.unwrap();
    every(false, "disabled").await;
    accounts.enable(&scene.account_id).await.unwrap();
    every(true, "enabled").await;
    let password = PASSWORD.to_owned().into();
    let random = &*scene.server.world.random;
    let set = accounts.set_password(&scene.account_id, &password, now, random);
    set.await.unwrap();
    every(true, "with a new password").await;
    scene.server.stop().await;
}

/// Nobody signed in here, and this server does not say that somebody did.
async fn what_an_issuer_brought_is_exchanged_for_access_tokens_alone(stores: &Stores) {
    let mut scene = Scene::set(stores).await;
    let types = [
        token_exchange::ACCESS,
        token_exchange::REFRESH,
        token_exchange::ID,
    ];
    let policy = json!({"audiences": [API], "impersonation": true, "requested_token_types": types});
    let mut service = token_exchange::service("openid read", &policy);
    service.grant_types.insert(GrantType::JwtBearer);
    scene.client = scene.server.register(service).await;
    let token = scene.bring(&json!({}), &[("scope", "openid read")]).await;
    let token = token.text("access_token");
    for (wanted, is_brought) in [
        (token_exchange::ACCESS, true),
        (token_exchange::REFRESH, false),
        (token_exchange::ID, false),
    ] {
        let mut form = vec![
            ("grant_type", token_exchange::EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", token_exchange::ACCESS),
            ("requested_token_type", wanted),
        ];
        if wanted != token_exchange::ID {
            form.push(("resource", API));
        }
        let answer = scene
            .server
            .post_as(&scene.client, "/oauth/token", &form)
            .await;
        assert_eq!(
            answer.status == 200,
            is_brought,
            "{wanted}: {}",
            answer.body
        );
        if !is_brought {
            assert_eq!(answer.error(), (400, "invalid_request"), "{wanted}");
        }
    }
}

async fn what_ends_a_person_ends_what_an_issuer_brought(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (records, now) = (&scene.server.records, scene.server.clock.now());
    let issuer = ISSUER.parse().unwrap();
    let is_dead = async |token: &str, what: &str| {
        assert!(!scene.is_active(token).await, "{what}");
        let answer = userinfo(&scene.server, token).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
    };
    let openid = [("scope", "openid read"), ("resource", API)];
    let token = async |claims: Value| {
        let answer = scene.bring(&claims, &openid).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let token = answer.text("access_token").to_owned();
        assert!(scene.is_active(&token).await);
        assert_eq!(userinfo(&scene.server, &token).await.status, 200);
        token
    };
    let other_person = person(&scene.server, "bob@example.com").await;
    let others = token(json!({"sub": other_person})).await;

    let of_all = token(json!({})).await;
    records
        .sessions
        .end_all(&scene.account_id, now)
        .await
        .unwrap();
    is_dead(&of_all, "signed out everywhere").await;

    let disabled = token(json!({})).await;
    records
        .accounts
        .disable(&scene.account_id, now)
        .await
        .unwrap();
    is_dead(&disabled, "disabled").await;
    records.accounts.enable(&scene.account_id).await.unwrap();

    let revoked = token(json!({})).await;
    let form = [("token", revoked.as_str())];
    let answer = scene
        .server
        .post_as(&scene.client, "/oauth/revoke", &form)
        .await;
    assert_eq!(answer.status, 200);
    assert!(!scene.is_active(&revoked).await, "revoked");

    scene.trust(&json!({"subject": "linked"})).await;
    scene.link("U1").await;
    let linked = token(json!({"sub": "U1"})).await;
    let name = (&issuer, &"U1".parse().unwrap());
    let unlinked = records.identity_links.unlink(name, now).await.unwrap();
    assert_eq!(unlinked.as_ref(), Some(&scene.account_id));
    is_dead(&linked, "unlinked").await;
    refused(&scene.bring(&json!({"sub": "U1"}), &[]).await, "unlinked");

    assert!(scene.is_active(&others).await, "of nobody else");
    scene.trust(&json!({})).await;
    let removed = token(json!({})).await;
    assert!(records.trusted_issuers.remove(&issuer, now).await.unwrap());
    assert!(!records.trusted_issuers.remove(&issuer, now).await.unwrap());
    is_dead(&removed, "the issuer is trusted no longer").await;
    is_dead(&others, "for anybody").await;

    scene.trust(&json!({})).await;
    is_dead(&removed, "nor does it come back").await;
    let of_client = token(json!({})).await;
    let id = TestServer::client_id(&scene.client);
    records.clients.delete(&id, now).await.unwrap();
    is_dead(&of_client, "the client is gone").await;
    scene.server.stop().await;
}

async fn what_was_removed_at_one_node_is_over_at_the_other(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut second = config(stores);
    second.issuer = scene.server.issuer.parse().unwrap();
    let other = TestServer::start_with(second, scene.server.clock.clone()).await;
    // In process, each has a memory of used assertions of its own.
    scene.server.clock.advance(Duration::from_mins(2));
    let show = async || {
        let assertion = scene.assertion(&json!({})).await;
        let form = [
            ("grant_type", GRANT),
            ("assertion", &assertion),
            ("resource", API),
        ];
        other.post_as(&scene.client, "/oauth/token", &form).await
    };
    let brought = show().await;
    assert_eq!(brought.status, 200, "{}", brought.body);
    let token = brought.text("access_token");
    assert!(is_active(&other, &scene.api, token).await);
    scene.trust(&json!({"scope": "write"})).await;
    let is_narrowed = async || show().await.body["scope"] == "write";
    assert!(eventually(is_narrowed).await, "changed");
    let issuers = &scene.server.records.trusted_issuers;
    let issuer = ISSUER.parse().unwrap();
    let now = scene.server.clock.now();
    assert!(issuers.remove(&issuer, now).await.unwrap());
    let is_dead = async || !is_active(&other, &scene.api, token).await;
    assert!(eventually(is_dead).await, "dead");
    let is_unknown = async || show().await.error() == (400, "unsupported_grant_type");
    assert!(eventually(is_unknown).await, "unknown");
    other.stop().await;
    scene.server.stop().await;
}

/// Of many that are under way, no token outlives the decision.
async fn threat_34_whoever_is_removed_meanwhile_leaves_nothing(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.trust(&json!({"subject": "linked"})).await;
    let issuer = ISSUER.parse().unwrap();
    for round in 0..10 {
        let subject = format!("U{round}");
        scene.link(&subject).await;
        let mut assertions = Vec::new();
        for _ in 0..10 {
            assertions.push(scene.assertion(&json!({"sub": subject})).await);
        }
        let asked = assertions.iter().map(|assertion| scene.show(assertion));
        let unlinked = async {
            let name = (&issuer, &subject.parse().unwrap());
            let now = scene.server.clock.now();
            let links = &scene.server.records.identity_links;
            links.unlink(name, now).await.unwrap()
        };
        let (answers, unlinked) =
            futures_util::future::join(futures_util::future::join_all(asked), unlinked).await;
        assert!(unlinked.is_some());
        for answer in answers {
            match answer.status.as_u16() {
                200 => assert!(
                    !scene.is_active(answer.text("access_token")).await,
                    "{round}"
                ),
                _ => refused(&answer, "too late"),
            }
        }
    }
    scene.server.stop().await;
}

async fn threat_36_a_grant_without_a_session_is_pruned(stores: &Stores) {
    let mut config = config(stores);
    config.retention.every = Duration::from_secs(1);
    let scene = Scene::with(config).await;
    let token = scene.token().await;
    let id = read(&token)["grant_id"].as_str().unwrap().parse().unwrap();
    let grants = &scene.server.records.grants;
    let now = scene.server.clock.now();
    let grant = grants.find(&id, now).await.unwrap().unwrap();
    assert!(!grant.is_over && grant.terms.session_id.is_none());
    scene.server.clock.advance(Duration::from_hours(24 * 40));
    let is_gone = async || {
        let now = scene.server.clock.now();
        grants.find(&id, now).await.unwrap().is_none()
    };
    assert!(eventually(is_gone).await);
    scene.server.stop().await;
}
