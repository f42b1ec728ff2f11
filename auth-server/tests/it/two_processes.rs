//! As operators run it: two processes that share nothing but PostgreSQL and Redis.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use auth_server::clients::AuthMethod;
use auth_server::store::MIGRATIONS;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use shared_testing::redis::{RedisServer, settings_at};
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code};
use crate::introspection::eventually;
use crate::person::{Scene, app, code_form, refresh_form};
use crate::server::TestClient;

const TO_READY: Duration = Duration::from_secs(30);

/// `auth-server serve`, a process of its own; killed when dropped.
struct Process {
    child: Child,
    origin: String,
    log: Option<JoinHandle<String>>,
}

impl Process {
    fn start(stores: &Stores, issuer: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_auth-server"))
            .arg("serve")
            .env_clear()
            .env("AUTH_ISSUER", issuer)
            .env("AUTH_NODES", "2")
            .env("AUTH_SERVER__LISTEN", "127.0.0.1:0")
            .env("AUTH_SERVER__OPERATIONS_LISTEN", "[]")
            .env("AUTH_DATABASE__URL", stores.database().url.expose_secret())
            .env("AUTH_DATABASE__WAIT_TIMEOUT", "20s")
            .env("AUTH_EPHEMERAL__URL", stores.ephemeral.url.expose_secret())
            .env("AUTH_EPHEMERAL__PREFIX", &stores.ephemeral.prefix)
            .env("AUTH_EPHEMERAL__TIMEOUT", "20s")
            .env("AUTH_RATE_LIMITS__ADDRESS__REQUESTS", "1000000")
            .env("AUTH_RATE_LIMITS__ACCOUNT__REQUESTS", "1000000")
            // Longer than a busy machine takes to start processes again.
            .env("AUTH_REFRESH_TOKENS__GRACE", "1m")
            .env("AUTH_KEYS__ALGORITHMS", "[\"ES256\"]")
            .env(
                "AUTH_KEYS__ENCRYPTION",
                "[{ id = \"test\", key = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\" }]",
            )
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, ready) = mpsc::channel();
        // To its end, because a full pipe would hold the server up.
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            for line in lines.map_while(Result::ok) {
                let told: Value = serde_json::from_str(&line).unwrap_or_default();
                if told["message"] == "ready" {
                    let _ = sender.send(told["listening"].clone());
                }
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        let mut process = Self {
            child,
            origin: String::new(),
            log: Some(log),
        };
        match ready.recv_timeout(TO_READY) {
            Ok(addresses) => {
                let address = addresses.as_str().unwrap().trim_matches(['[', ']']);
                process.origin = format!("http://{address}");
                process
            }
            Err(error) => panic!("{error}: {}", process.stop()),
        }
    }

    /// Its whole log.
    fn stop(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log
            .take()
            .map(|log| log.join().unwrap())
            .unwrap_or_default()
    }

    /// What a form of this client is answered with.
    async fn post(
        &self,
        http: &reqwest::Client,
        client: &TestClient,
        path: &str,
        form: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let request = http.post(format!("{}{path}", self.origin));
        let request = if client.secret.is_empty() {
            request.form(&[form, &[("client_id", &client.id)]].concat())
        } else {
            request
                .basic_auth(&client.id, Some(&client.secret))
                .form(form)
        };
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap_or_default())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_6_of_1000_redemptions_at_two_processes_one_wins_and_its_grant_is_dead() {
    let stores = Stores::postgres_redis("migrated", &MIGRATIONS).await;
    let scene = Scene::set(&stores).await;
    let mut processes = [
        Process::start(&stores, &scene.server.issuer),
        Process::start(&stores, &scene.server.issuer),
    ];
    let http = scene.server.http.clone();
    let code = scene.code(&scene.app, "openid read offline_access").await;

    let redeeming = (0..1000).map(|n| {
        let process = &processes[n % 2];
        let form = code_form(&code);
        let (http, app) = (&http, &scene.app);
        async move { process.post(http, app, "/oauth/token", &form).await }
    });
    let answers = futures_util::future::join_all(redeeming).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(status, _)| *status == StatusCode::OK);
    assert_eq!((won.len(), lost.len()), (1, 999));
    for (status, body) in lost {
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["error"], "invalid_grant");
    }

    let token = |name: &str| won[0].1[name].as_str().unwrap();
    let (access, refresh) = (token("access_token"), token("refresh_token"));
    for process in &processes {
        let dead = async || {
            let form = [("token", access)];
            let answer = process.post(&http, &scene.api, "/oauth/introspect", &form);
            answer.await.1 == serde_json::json!({"active": false})
        };
        assert!(eventually(dead).await, "the access token");
        let form = refresh_form(refresh);
        let (status, body) = process.post(&http, &scene.app, "/oauth/token", &form).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["error"], "invalid_grant");
    }
    for process in &mut processes {
        let log = process.stop();
        assert!(log.contains("/oauth/token"), "it was logged: {log}");
        for (what, secret) in [
            ("code", code.as_str()),
            ("access", access),
            ("refresh", refresh),
        ] {
            assert!(!log.contains(secret), "the {what} is in the log");
        }
    }
}

/// Threat 39: nothing of what opens anything is logged, whether it is accepted or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_39_what_registration_hands_out_is_not_logged() {
    let stores = Stores::postgres_redis("migrated", &MIGRATIONS).await;
    let scene = Scene::set(&stores).await;
    let mut process = Process::start(&stores, &scene.server.issuer);
    let http = scene.server.http.clone();
    let register = format!("{}/oauth/register", process.origin);
    let service = serde_json::json!({"grant_types": ["client_credentials"], "scope": "openid"});
    let made = http.post(&register).json(&service).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let made: Value = made.json().await.unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let token = text("registration_access_token");
    let one = format!("{register}/{id}");
    let mut put = service.clone();
    put["client_id"] = id.clone().into();
    let changed = http.put(&one).bearer_auth(&token).json(&put);
    let changed: Value = changed.send().await.unwrap().json().await.unwrap();
    let next = changed["registration_access_token"].as_str().unwrap();
    let initial = "iat_unknown-but-not-to-be-logged";
    put["client_secret"] = "another-secret-not-to-be-logged".into();
    for (request, status) in [
        (http.get(&one).bearer_auth(next), 200),
        (http.get(&one).bearer_auth(&token), 401),
        (http.put(&one).bearer_auth(next).json(&put), 400),
        (
            http.post(&register).bearer_auth(initial).json(&service),
            401,
        ),
        (http.delete(&one).bearer_auth(next), 204),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let log = process.stop();
    assert!(log.contains("/oauth/register/{client_id}") && log.contains(&id));
    for secret in [&secret, &token, next, initial, "another-secret-not"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

/// Every process is killed, and Redis comes back empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_and_families_outlive_a_restart_of_everything() {
    let mut redis = RedisServer::start(&[]).await;
    let mut stores = Stores::postgres_redis("migrated", &MIGRATIONS).await;
    stores.ephemeral = settings_at(redis.url());
    let scene = Scene::set(&stores).await;
    let server = &scene.server;
    let issuer = server.issuer.clone();
    server.person(EMAIL).await;
    let app = server.register(app(AuthMethod::None)).await;
    let mut processes = [
        Process::start(&stores, &issuer),
        Process::start(&stores, &issuer),
    ];

    let ask = async |process: &Process, form: &[(&str, &str)]| {
        let (status, body) = process.post(&server.http, &app, "/oauth/token", form).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["refresh_token"].as_str().unwrap().to_owned()
    };
    let browser = Browser::new(server);
    let scope = ("scope", "openid read offline_access");
    let signed_in = browser.sign_in_and_consent(server.authorize_url(&app, &[scope]));
    let used = code(&signed_in.await);
    let first = ask(&processes[0], &code_form(&used)).await;
    let last = ask(&processes[1], &refresh_form(&first)).await;
    // The answer to this one never reaches the client, which is left with the token that it used.
    let unheard = ask(&processes[0], &refresh_form(&last)).await;

    for process in &mut processes {
        process.stop();
    }
    redis.stop();
    redis.start_again().await;
    let processes = [
        Process::start(&stores, &issuer),
        Process::start(&stores, &issuer),
    ];

    for process in &processes {
        let successor = ask(process, &refresh_form(&last)).await;
        assert_eq!(successor, unheard, "the same");
        let url = server.authorize_url(&app, &[scope, ("prompt", "none")]);
        let url = url.replacen(&issuer, &process.origin, 1);
        let code = code(&browser.get(url).await.location());
        ask(process, &code_form(&code)).await;
    }
    let form = code_form(&used);
    let again = processes[1].post(&server.http, &app, "/oauth/token", &form);
    assert_eq!(again.await.1["error"], "invalid_grant", "used before");
}
