//! Clients are told that somebody signed out (OpenID Connect Back-Channel Logout 1.0): at once, or later, each once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::{AccountId, Proven};
use auth_server::clients::{AuthMethod, Client, ClientMetadata, GrantType};
use auth_server::config::Config;
use auth_server::sessions::{Amr, Beginning, Session, SessionToken};
use auth_server::store::logout_notices::{self, NoticeRow};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, UnverifiedJwt};
use shared_protocol::time::Clock as _;
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::Browser;
use crate::introspection::eventually;
use crate::person::{REDIRECT, Scene, person, sign_in};
use crate::server::{TestClient, TestServer, config};
use crate::sign_out::{BYE, browser, id_token, leaving, logout};
use crate::site::Site;
use crate::users::{ran, ran_json};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_back_channel_2_5_clients_of_the_session_hear_it_before_anybody_goes_on,
    oidc_back_channel_2_4_it_is_signed_as_the_client_s_id_tokens_are,
    who_could_not_be_told_is_told_again_by_a_token_made_anew,
    oidc_back_channel_2_8_of_an_answer_only_the_status_counts,
    a_client_that_does_not_answer_holds_nobody_up,
    it_is_not_tried_for_ever,
    oidc_back_channel_2_7_who_signs_out_everywhere_is_told_of_as_a_whole,
    another_person_at_the_same_browser_ends_the_session_before,
    of_many_sign_outs_at_once_a_client_hears_one,
    nodes_never_tell_the_same_thing_at_the_same_time,
    what_a_node_that_died_had_not_told_another_tells,
    who_is_gone_or_wants_to_hear_nothing_is_not_told,
    a_server_tells_by_itself,
    what_is_registered_is_checked,
    a_client_without_refresh_tokens_hears_it_however_late,
    of_a_session_that_idled_clients_hear_when_its_browser_is_back,
);

/// A server that reaches the site, with little patience.
pub(crate) fn open(stores: &Stores, site: &Site) -> Config {
    let mut config = config(stores);
    site.open_to(&mut config);
    config.logout.wait = Duration::from_secs(5);
    config
}

async fn scene(stores: &Stores, site: &Site) -> Scene {
    let server = TestServer::start_with(open(stores, site), Arc::default()).await;
    Scene::on(server).await
}

fn listening(url: &str) -> ClientMetadata {
    let mut metadata = leaving(AuthMethod::None);
    metadata.backchannel_logout_uri = Some(url.parse().unwrap());
    metadata
}

/// A client that hears of sign-outs at this path of the site, and has a grant in the session of the scene.
pub(crate) async fn listener(scene: &Scene, site: &Site, path: &str) -> TestClient {
    let client = scene.server.register(listening(&site.at(path))).await;
    scene.tokens(&client, "openid read").await;
    client
}

/// The token of a body.
fn token(body: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(body.as_bytes());
    let (name, token) = pairs.next().unwrap();
    assert!(name == "logout_token" && pairs.next().is_none(), "{body}");
    token.into_owned()
}

/// Header and claims of each token that was posted to this path.
fn heard(site: &Site, path: &str) -> Vec<(Value, Value)> {
    let tokens = site.heard(path);
    tokens
        .iter()
        .map(|body| crate::token::decode(&token(body)))
        .collect()
}

fn now(scene: &Scene) -> shared_protocol::time::Instant {
    scene.server.clock.now()
}

/// Signs out the session of the scene by the page.
async fn sign_out(scene: &Scene, client: &TestClient) {
    let hint = id_token(scene, client).await;
    let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE)];
    let server = &scene.server;
    let answer = logout(server, &browser(server, &scene.cookie), &parameters).await;
    assert_eq!(answer.header("location"), BYE, "{}", answer.body);
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many are yet to be told.
async fn pending(server: &TestServer) -> i64 {
    let query = "SELECT count(*) AS count FROM logout_notices";
    let mut conn = server.records.store.read().await.unwrap();
    let found: Count = on!(&mut conn, |c| diesel::sql_query(query).get_result(c)).unwrap();
    found.count
}

/// Looks at what is due until nothing is; the server looks too, by itself.
async fn told(server: &TestServer) -> bool {
    eventually(async || {
        server.back_channel.run().await.unwrap();
        pending(server).await == 0
    })
    .await
}

async fn outcome(server: &TestServer, outcome: &str) -> String {
    let url = format!("{}/metrics", server.operations);
    let text = server
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = format!("logout_notices_total{{outcome=\"{outcome}\"}} ");
    let found = text.lines().find_map(|known| known.strip_prefix(&line));
    found.unwrap_or("none").to_owned()
}

/// Whether a client is told that somebody signed out, whoever that was.
pub(crate) async fn is_told(server: &TestServer, client: &TestClient) -> bool {
    let (now, before) = (server.clock.now(), outcome(server, "delivered").await);
    let notice = NoticeRow {
        ended: "somebody".into(),
        client_id: client.id.clone(),
        account_id: "somebody".into(),
        created_at: now,
        due_at: now,
        tries: 0,
    };
    server.back_channel.tell_at_once(vec![notice], now).await;
    outcome(server, "delivered").await != before
}

async fn oidc_back_channel_2_5_clients_of_the_session_hear_it_before_anybody_goes_on(
    stores: &Stores,
) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    let paths = ["/one", "/two", "/offline", "/twice", "/revoked"];
    for path in paths {
        site.put_with(path, 200, &[], "");
    }
    let one = listener(&scene, &site, "/one").await;
    let two = listener(&scene, &site, "/two").await;
    let twice = listener(&scene, &site, "/twice").await;
    scene.tokens(&twice, "openid").await;
    let offline = server.register(listening(&site.at("/offline"))).await;
    scene.tokens(&offline, "openid read offline_access").await;
    let revoked = server.register(listening(&site.at("/revoked"))).await;
    let tokens = scene.tokens(&revoked, "openid read").await;
    let form = [
        ("token", tokens["refresh_token"].as_str().unwrap()),
        ("client_id", &*revoked.id),
    ];
    assert_eq!(
        server
            .send(server.form("/oauth/revoke", &form))
            .await
            .status,
        200
    );
    // Nobody told: without a URI, without a grant, in another session, another person.
    let deaf = server.register(leaving(AuthMethod::None)).await;
    scene.tokens(&deaf, "openid").await;
    server.register(listening(&site.at("/stranger"))).await;
    let elsewhere = server.register(listening(&site.at("/elsewhere"))).await;
    let (other, _) = sign_in(server, &scene.account_id).await;
    let mut authorization = scene.authorization(&elsewhere, "openid");
    authorization.terms.session_id = Some(other.id);
    scene
        .redeem(&elsewhere, &scene.issue(authorization).await)
        .await;

    sign_out(&scene, &one).await;
    let keys = server.get("/oauth/jwks").await;
    let keys = JwkSet::from_object(keys.body.as_object().unwrap()).unwrap();
    let mut names = BTreeSet::new();
    for (path, client) in paths
        .into_iter()
        .zip([&one, &two, &offline, &twice, &revoked])
    {
        let bodies = site.heard(path);
        assert_eq!(bodies.len(), 1, "{path}: by the time of the answer");
        let token = token(&bodies[0]);
        let jwt = UnverifiedJwt::parse(&token, JwtKind::LogoutToken).unwrap();
        assert!(jwt.verify(&keys).is_ok(), "{path}");
        let (header, claims) = crate::token::decode(&token);
        assert_eq!(
            (&header["typ"], &header["alg"]),
            (&json!("logout+jwt"), &json!("ES256"))
        );
        let iat = claims["iat"].as_i64().unwrap();
        assert!((now(&scene).as_secs() - iat).abs() < 10);
        let jti = claims["jti"].as_str().unwrap().to_owned();
        assert!(
            jti.len() == 22 && names.insert(jti.clone()),
            "{path}: {jti}"
        );
        assert_eq!(
            claims,
            json!({
                "iss": server.issuer,
                "sub": scene.account_id.as_str(),
                "aud": client.id,
                "iat": iat,
                "exp": iat + 120,
                "jti": jti,
                "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
                "sid": scene.session.id.as_str(),
            })
        );
    }
    assert_eq!(site.asked_in_all(), paths.len());
    assert_eq!(pending(server).await, 0);
    assert_eq!(outcome(server, "delivered").await, "5");
}

async fn oidc_back_channel_2_4_it_is_signed_as_the_client_s_id_tokens_are(stores: &Stores) {
    let site = Site::start().await;
    let mut config = open(stores, &site);
    config.keys.algorithms = Algorithm::ALL.to_vec();
    let server = TestServer::start_with(config, Arc::default()).await;
    let scene = Scene::on(server).await;
    let mut clients = Vec::new();
    for alg in Algorithm::ALL.map(Some).into_iter().chain([None]) {
        let path = format!("/{alg:?}");
        site.put_with(&path, 204, &[], "");
        let mut metadata = listening(&site.at(&path));
        metadata.id_token_signed_response_alg = alg;
        let client = scene.server.register(metadata).await;
        scene.tokens(&client, "openid").await;
        clients.push((path, alg.unwrap_or(Algorithm::Rs256), client));
    }
    sign_out(&scene, &clients[0].2).await;
    for (path, alg, _) in clients {
        let heard = heard(&site, &path);
        assert_eq!(heard.len(), 1, "{path}");
        assert_eq!(heard[0].0["alg"], alg.name());
    }
}

async fn who_could_not_be_told_is_told_again_by_a_token_made_anew(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    site.put_with("/down", 503, &[], "");
    site.put_with("/up", 200, &[], "");
    let down = listener(&scene, &site, "/down").await;
    listener(&scene, &site, "/up").await;
    sign_out(&scene, &down).await;
    assert_eq!(
        (heard(&site, "/down").len(), heard(&site, "/up").len()),
        (1, 1)
    );
    assert_eq!(pending(server).await, 1);
    server.back_channel.run().await.unwrap();
    assert_eq!(
        heard(&site, "/down").len(),
        1,
        "it is left alone for a while"
    );
    for (tries, rest) in [(2, 10), (3, 20)] {
        server.clock.advance(Duration::from_secs(rest));
        let again = async || {
            server.back_channel.run().await.unwrap();
            heard(&site, "/down").len() == tries
        };
        assert!(eventually(again).await, "{tries}");
        let noted = async || {
            server.back_channel.run().await.unwrap();
            outcome(server, "failed").await == tries.to_string()
        };
        assert!(eventually(noted).await, "{tries}");
        server.back_channel.run().await.unwrap();
        assert_eq!(heard(&site, "/down").len(), tries, "{tries}: once");
    }
    site.put_with("/down", 200, &[], "");
    server.clock.advance(Duration::from_secs(40));
    assert!(told(server).await);
    let tokens = heard(&site, "/down");
    assert_eq!(tokens.len(), 4);
    let names: BTreeSet<_> = tokens
        .iter()
        .map(|(_, claims)| claims["jti"].to_string())
        .collect();
    assert_eq!(names.len(), 4, "each is a token of its own");
    let times: Vec<_> = tokens
        .iter()
        .map(|(_, claims)| claims["iat"].as_i64())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    assert_eq!(heard(&site, "/up").len(), 1);
    assert_eq!(outcome(server, "delivered").await, "2");
}

async fn oidc_back_channel_2_8_of_an_answer_only_the_status_counts(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    let elsewhere = site.at("/elsewhere");
    let header = [("location", elsewhere.as_str())];
    let large = vec![b' '; 10 << 20];
    site.put_endless("/endless");
    site.put_with("/large", 200, &[], large);
    let mut paths = vec![
        ("/endless".to_owned(), "delivered"),
        ("/large".to_owned(), "delivered"),
    ];
    for (statuses, outcome) in [
        (&[200, 201, 204][..], "delivered"),
        (&[400, 401, 404, 302, 307], "refused"),
        (&[408, 425, 429, 500, 503], "failed"),
    ] {
        for status in statuses {
            let path = format!("/{status}");
            site.put_with(&path, *status, &header, "<script>alert(1)</script>");
            paths.push((path, outcome));
        }
    }
    let mut clients = Vec::new();
    for (path, outcome) in &paths {
        clients.push((listener(&scene, &site, path).await, outcome));
    }
    sign_out(&scene, &clients[0].0).await;
    for (name, times) in [
        ("delivered", "5"),
        ("refused", "5"),
        ("failed", "5"),
        ("given_up", "0"),
    ] {
        assert_eq!(outcome(server, name).await, times, "{name}");
    }
    for (path, _) in &paths {
        assert_eq!(heard(&site, path).len(), 1, "{path}");
    }
    let later = now(&scene) + Duration::from_secs(10);
    for (client, outcome) in clients {
        let mut conn = server.records.store.read().await.unwrap();
        let due = logout_notices::due_of(&mut conn, &client.id, later, 10).await;
        assert_eq!(
            due.unwrap().len(),
            usize::from(*outcome == "failed"),
            "{}",
            client.id
        );
    }
    assert_eq!(site.asked("/elsewhere"), 0, "followed");
}

async fn a_client_that_does_not_answer_holds_nobody_up(stores: &Stores) {
    let site = Site::start().await;
    let mut config = open(stores, &site);
    config.logout.wait = Duration::from_millis(300);
    let server = TestServer::start_with(config, Arc::default()).await;
    let scene = Scene::on(server).await;
    let server = &scene.server;
    let permits = site.hold("/slow", &json!({}));
    site.put_with("/fast", 200, &[], "");
    let slow = listener(&scene, &site, "/slow").await;
    for _ in 0..40 {
        listener(&scene, &site, "/slow").await;
    }
    listener(&scene, &site, "/fast").await;
    let since = std::time::Instant::now();
    sign_out(&scene, &slow).await;
    assert!(
        since.elapsed() < Duration::from_secs(4),
        "{:?}",
        since.elapsed()
    );
    // Threat 38: no more than so many at a time at one server, whatever its paths.
    let asked = site.asked("/slow");
    assert!((1..=16).contains(&asked), "{asked}");
    permits.add_permits(1000);
    server.clock.advance(Duration::from_mins(1));
    assert!(told(server).await, "{}", pending(server).await);
    let subjects: BTreeSet<_> = heard(&site, "/slow")
        .iter()
        .map(|(_, claims)| claims["aud"].to_string())
        .collect();
    assert_eq!(subjects.len(), 41);
    assert_eq!(heard(&site, "/fast").len(), 1);
}

async fn it_is_not_tried_for_ever(stores: &Stores) {
    let site = Site::start().await;
    let mut config = open(stores, &site);
    config.logout.tries = 3;
    let server = TestServer::start_with(config, Arc::default()).await;
    let scene = Scene::on(server).await;
    let server = &scene.server;
    site.put_with("/down", 503, &[], "");
    let down = listener(&scene, &site, "/down").await;
    sign_out(&scene, &down).await;
    for _ in 0..2 {
        server.clock.advance(Duration::from_mins(1));
        server.back_channel.run().await.unwrap();
    }
    assert!(told(server).await);
    assert_eq!(heard(&site, "/down").len(), 3);
    assert_eq!(outcome(server, "given_up").await, "1");

    // Nor when it is too late.
    let (session, _) = sign_in(server, &scene.account_id).await;
    let mut authorization = scene.authorization(&down, "openid");
    authorization.terms.session_id = Some(session.id.clone());
    scene.redeem(&down, &scene.issue(authorization).await).await;
    server
        .records
        .sessions
        .end(&session.id, now(&scene))
        .await
        .unwrap();
    server.clock.advance(Duration::from_hours(24));
    assert!(told(server).await);
    assert_eq!(outcome(server, "given_up").await, "2");
}

async fn oidc_back_channel_2_7_who_signs_out_everywhere_is_told_of_as_a_whole(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    let records = &server.records;
    let whole = server.register(listening(&site.at("/whole"))).await;
    let mut metadata = listening(&site.at("/each"));
    metadata.backchannel_logout_session_required = true;
    let each = server.register(metadata).await;
    let bystander = person(server, "bob@example.com").await;
    for what in ["end all", "a password", "disabled"] {
        site.put_with("/whole", 200, &[], "");
        site.put_with("/each", 200, &[], "");
        let (whole_before, each_before) =
            (heard(&site, "/whole").len(), heard(&site, "/each").len());
        let mut sessions = BTreeSet::new();
        for account in [&scene.account_id, &scene.account_id, &bystander] {
            let mut begun = sign_in_now(server, account).await.0.id;
            for client in [&whole, &each] {
                let mut authorization = scene.authorization(client, "openid");
                authorization.terms.account_id = account.clone();
                authorization.terms.session_id = Some(begun.clone());
                let code = scene.issue(authorization).await;
                assert_eq!(scene.redeem(client, &code).await.status, 200, "{what}");
            }
            if *account == scene.account_id {
                sessions
                    .insert(std::mem::replace(&mut begun, scene.session.id.clone()).to_string());
            }
        }
        match what {
            "end all" => records
                .sessions
                .end_all(&scene.account_id, now(&scene))
                .await
                .unwrap(),
            "a password" => {
                let password = "a bicycle for the mind 1842".to_owned().into();
                let random = &*server.world.random;
                let set = records.accounts.set_password(
                    &scene.account_id,
                    &password,
                    now(&scene),
                    random,
                );
                set.await.unwrap();
            }
            _ => records
                .accounts
                .disable(&scene.account_id, now(&scene))
                .await
                .unwrap(),
        }
        assert!(told(server).await, "{what}");
        let heard_whole = heard(&site, "/whole").split_off(whole_before);
        assert_eq!(heard_whole.len(), 1, "{what}: {heard_whole:?}");
        let claims = &heard_whole[0].1;
        assert_eq!(claims["sub"], scene.account_id.as_str(), "{what}");
        assert!(claims.get("sid").is_none(), "{what}");
        let of_each: BTreeSet<_> = heard(&site, "/each")
            .split_off(each_before)
            .iter()
            .map(|(_, claims)| claims["sid"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(of_each, sessions, "{what}");
        assert_eq!(heard(&site, "/each").len() - each_before, 2, "{what}");
    }
}

/// A session of this person, whatever became of those before.
pub(crate) async fn sign_in_now(
    server: &TestServer,
    account: &AccountId,
) -> (Session, SessionToken) {
    let mut conn = server.records.store.read().await.unwrap();
    let row = auth_server::store::accounts::find(&mut conn, account.as_str()).await;
    drop(conn);
    let proven = Proven {
        account_id: account.clone(),
        epoch: row.unwrap().unwrap().epoch,
    };
    let beginning = Beginning {
        proven: &proven,
        amr: &[Amr::Pwd],
        user_agent: None,
        before: None,
    };
    let random = &*server.world.random;
    let sessions = &server.records.sessions;
    let begun = sessions.begin(&beginning, server.clock.now(), random);
    begun.await.unwrap()
}

async fn another_person_at_the_same_browser_ends_the_session_before(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    site.put_with("/out", 200, &[], "");
    listener(&scene, &site, "/out").await;
    let bob = person(server, "bob@example.com").await;
    let proven = auth_server::accounts::Proven {
        account_id: bob,
        epoch: 0,
    };
    let beginning = Beginning {
        proven: &proven,
        amr: &[Amr::Pwd],
        user_agent: None,
        before: Some(&scene.cookie),
    };
    let (sessions, random) = (&server.records.sessions, &*server.world.random);
    sessions
        .begin(&beginning, now(&scene), random)
        .await
        .unwrap();
    assert!(told(server).await);
    let heard = heard(&site, "/out");
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].1["sid"], scene.session.id.as_str());
    assert_eq!(heard[0].1["sub"], scene.account_id.as_str());
}

async fn of_many_sign_outs_at_once_a_client_hears_one(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    for path in ["/one", "/two"] {
        site.put_with(path, 200, &[], "");
    }
    let one = listener(&scene, &site, "/one").await;
    listener(&scene, &site, "/two").await;
    let hint = id_token(&scene, &one).await;
    let parameters = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE)];
    let browsers: Vec<Browser<'_>> = (0..50).map(|_| browser(server, &scene.cookie)).collect();
    let (all, everywhere) = tokio::join!(
        futures_util::future::join_all(browsers.iter().map(|browser| logout(
            server,
            browser,
            &parameters
        ))),
        server.records.sessions.end(&scene.session.id, now(&scene)),
    );
    everywhere.unwrap();
    for answer in all {
        assert_eq!(answer.header("location"), BYE, "{}", answer.body);
    }
    assert!(told(server).await);
    for path in ["/one", "/two"] {
        assert_eq!(heard(&site, path).len(), 1, "{path}");
    }
}

async fn nodes_never_tell_the_same_thing_at_the_same_time(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    let mut second = open(stores, &site);
    second.issuer = server.issuer.parse().unwrap();
    let other = TestServer::start_with(second, server.clock.clone()).await;
    let permits = site.hold("/out", &json!({}));
    listener(&scene, &site, "/out").await;
    server
        .records
        .sessions
        .end(&scene.session.id, now(&scene))
        .await
        .unwrap();
    let (one, two) = (&server.back_channel, &other.back_channel);
    let telling = async {
        let runs = (0..10).map(|n| if n % 2 == 0 { one.run() } else { two.run() });
        futures_util::future::join_all(runs).await
    };
    let letting = async {
        assert!(eventually(async || site.asked("/out") > 0).await);
        permits.add_permits(10);
    };
    let (told_by, ()) = tokio::join!(telling, letting);
    assert!(told_by.iter().all(Result::is_ok));
    assert!(told(server).await);
    assert_eq!(heard(&site, "/out").len(), 1);
}

async fn what_a_node_that_died_had_not_told_another_tells(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    site.put_with("/out", 200, &[], "");
    listener(&scene, &site, "/out").await;
    // It ended the session and was to tell the clients, and that was that.
    let (sessions, now) = (&server.records.sessions, now(&scene));
    let lead = server.back_channel.lead(now);
    let notices = sessions
        .end_and_tell(&scene.session.id, lead, now)
        .await
        .unwrap();
    assert_eq!(notices.len(), 1);
    let mut second = open(stores, &site);
    second.issuer = server.issuer.parse().unwrap();
    let other = TestServer::start_with(second, server.clock.clone()).await;
    other.back_channel.run().await.unwrap();
    assert_eq!(heard(&site, "/out").len(), 0, "perhaps it lives");
    server.clock.advance(lead.since(now));
    assert!(told(&other).await);
    assert_eq!(heard(&site, "/out").len(), 1);
    // It lives after all, and is late: nothing is told twice that it knows of, and nothing breaks.
    server.back_channel.tell_at_once(notices, now).await;
    assert_eq!(pending(server).await, 0);
}

async fn who_is_gone_or_wants_to_hear_nothing_is_not_told(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    let clients = &server.records.clients;
    let gone = listener(&scene, &site, "/gone").await;
    let silent = listener(&scene, &site, "/silent").await;
    let moved = listener(&scene, &site, "/before").await;
    site.put_with("/after", 200, &[], "");
    server
        .records
        .sessions
        .end(&scene.session.id, now(&scene))
        .await
        .unwrap();
    clients
        .delete(&TestServer::client_id(&gone), now(&scene))
        .await
        .unwrap();
    for (client, metadata) in [
        (&silent, leaving(AuthMethod::None)),
        (&moved, listening(&site.at("/after"))),
    ] {
        let changed = Client::new(TestServer::client_id(client), metadata, Vec::new()).unwrap();
        clients.put(&changed, None, now(&scene)).await.unwrap();
    }
    assert!(told(server).await);
    for (path, times) in [("/gone", 0), ("/silent", 0), ("/before", 0), ("/after", 1)] {
        assert_eq!(heard(&site, path).len(), times, "{path}");
    }
    assert_eq!(outcome(server, "gone").await, "2");
}

async fn a_server_tells_by_itself(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    site.put_with("/out", 200, &[], "");
    let create = [
        &[
            "client",
            "create",
            "--auth-method",
            "none",
            "--scope",
            "openid",
        ][..],
        &["--grant", "authorization_code", "--id-token-alg", "ES256"],
        &[
            "--redirect-uri",
            REDIRECT,
            "--post-logout-redirect-uri",
            BYE,
        ],
        &["--backchannel-logout-uri", &site.at("/out")],
        &["--backchannel-logout-session-required"],
    ];
    let made = ran_json(stores, &create.concat(), "");
    let client = TestClient {
        id: made["client_id"].as_str().unwrap().to_owned(),
        secret: String::new(),
    };
    scene.tokens(&client, "openid").await;
    // Another process ends the session, and leaves it to the server to tell.
    ran(stores, &["user", "disable", "alice@example.com"], "");
    let told = async || {
        server.clock.advance(auth_server::back_channel::EVERY);
        heard(&site, "/out").len() == 1
    };
    assert!(eventually(told).await);
    assert_eq!(heard(&site, "/out")[0].1["sid"], scene.session.id.as_str());
    assert!(eventually(async || pending(server).await == 0).await);
}

async fn what_is_registered_is_checked(stores: &Stores) {
    let server = TestServer::start(stores).await;
    for (uri, good) in [
        ("https://app.example/out", true),
        ("https://app.example/out?x=1", true),
        ("http://localhost:8090/out", true),
        ("http://127.0.0.1:8090/out", true),
        ("https://app.example/out#x", false),
        ("https://app.example/out#", false),
        ("http://app.example/out", false),
        ("https://user@app.example/out", false),
        ("javascript:alert(1)", false),
        ("/out", false),
        ("", false),
    ] {
        let body = json!({
            "redirect_uris": ["https://app.example/cb"],
            "scope": "openid",
            "id_token_signed_response_alg": "ES256",
            "backchannel_logout_uri": uri,
            "backchannel_logout_session_required": true,
        });
        let url = format!("{}/oauth/register", server.issuer);
        let answer = server.send(server.http.post(url).json(&body)).await;
        if good {
            assert_eq!(answer.status, 201, "{uri}: {}", answer.body);
            assert_eq!(answer.body["backchannel_logout_uri"], uri);
            assert_eq!(answer.body["backchannel_logout_session_required"], true);
        } else {
            assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{uri}");
        }
    }
}

/// Long after its last token: its grant is kept for as long as the session goes on.
async fn a_client_without_refresh_tokens_hears_it_however_late(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    site.put_with("/out", 200, &[], "");
    let mut metadata = listening(&site.at("/out"));
    metadata.grant_types = BTreeSet::from([GrantType::AuthorizationCode]);
    let client = server.register(metadata).await;
    let tokens = scene.tokens(&client, "openid read").await;
    assert!(tokens.get("refresh_token").is_none());
    let (sessions, pruning) = (
        &server.records.sessions,
        crate::pruning::pruning(&server.records.store),
    );
    let proven = auth_server::accounts::Proven {
        account_id: scene.account_id.clone(),
        epoch: 0,
    };
    let mut cookie = scene.cookie.expose().to_owned();
    for day in 0..24 {
        let token = auth_server::sessions::SessionToken::presented(&cookie);
        assert!(
            sessions.find(&token, now(&scene)).await.unwrap().is_some(),
            "{day}"
        );
        if day == 12 {
            // The same person proves again who they are.
            let beginning = Beginning {
                proven: &proven,
                amr: &[Amr::Pwd],
                user_agent: None,
                before: Some(&token),
            };
            let begun = sessions.begin(&beginning, now(&scene), &*server.world.random);
            let (session, renewed) = begun.await.unwrap();
            assert_eq!(session.id, scene.session.id);
            cookie = renewed.expose().to_owned();
        }
        server.clock.advance(Duration::from_hours(20));
        pruning.run(now(&scene)).await.unwrap();
    }
    sessions.end(&scene.session.id, now(&scene)).await.unwrap();
    assert!(told(server).await);
    assert_eq!(heard(&site, "/out").len(), 1);
}

async fn of_a_session_that_idled_clients_hear_when_its_browser_is_back(stores: &Stores) {
    let site = Site::start().await;
    let scene = scene(stores, &site).await;
    let server = &scene.server;
    for (path, signs_in) in [("/out", false), ("/in", true)] {
        site.put_with(path, 200, &[], "");
        let client = server.register(listening(&site.at(path))).await;
        let (session, cookie) = sign_in(server, &scene.account_id).await;
        let mut authorization = scene.authorization(&client, "openid read");
        authorization.terms.session_id = Some(session.id.clone());
        let tokens = scene
            .redeem(&client, &scene.issue(authorization).await)
            .await;
        server.clock.advance(Duration::from_hours(48));
        if signs_in {
            let proven = Proven {
                account_id: scene.account_id.clone(),
                epoch: 0,
            };
            let beginning = Beginning {
                proven: &proven,
                amr: &[Amr::Pwd],
                user_agent: None,
                before: Some(&cookie),
            };
            let (sessions, random) = (&server.records.sessions, &*server.world.random);
            let begun = sessions.begin(&beginning, now(&scene), random).await;
            assert_ne!(begun.unwrap().0.id, session.id);
        } else {
            let hint = tokens.text("id_token");
            let parameters = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE)];
            let answer = logout(server, &browser(server, &cookie), &parameters).await;
            assert_eq!(answer.header("location"), BYE);
        }
        assert!(told(server).await);
        let heard = heard(&site, path);
        assert_eq!(heard.len(), 1, "{path}");
        assert_eq!(heard[0].1["sid"], session.id.as_str());
    }
}
