//! Why a request was refused: kept under its id, told to operators, and to nobody else.

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::AuthMethod;
use auth_server::refusals::{Explained, explain};
use reqwest::RequestBuilder;
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::Clock as _;
use shared_testing::clock::MovableClock;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, code};
use crate::person::{REDIRECT, VERIFIER, app, code_form, refresh_form};
use crate::server::{OTHER_API, TestClient, TestServer, config};
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    each_refusal_is_explained_and_no_client_learns_more,
    people_are_explained_too,
    a_limit_that_was_reached_is_named,
    threat_39_no_secret_is_kept,
    requests_of_one_id_are_all_told_the_newest_first,
    what_is_no_refusal_is_not_kept,
    threat_30_a_flood_of_one_kind_is_no_flood_of_rows_and_hides_no_other,
    what_is_off_keeps_nothing,
    what_waits_is_written_when_the_server_stops,
    the_program_explains,
);

async fn started(stores: &Stores) -> (TestServer, TestClient, TestClient) {
    let mut config = config(stores);
    config.authorization.password_grant = true;
    let server = TestServer::start_with(config, Arc::default()).await;
    let api = server.client(AuthMethod::ClientSecretBasic, "").await;
    let server = server.with_resources(Some(&api)).await;
    server.person(EMAIL).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let app = server.register(app(AuthMethod::ClientSecretBasic)).await;
    (server, service, app)
}

fn new_id() -> String {
    alphanumeric(22, &SystemRandom)
}

async fn found(server: &TestServer, id: &str) -> Vec<Explained> {
    server.refusals.flush().await;
    explain(&server.records.store, id).await.unwrap()
}

/// What an answer tells: its status, and everything that could be read in it.
pub(crate) struct Told {
    pub(crate) status: u16,
    text: String,
}

/// Sends a request under an id of its own; what its client was told, and what the operator is.
pub(crate) async fn asked(server: &TestServer, request: RequestBuilder) -> (Told, Explained) {
    let id = new_id();
    let response = request.header("x-request-id", &id).send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], id.as_str());
    let status = response.status().as_u16();
    let mut text = format!("{:?}", response.headers());
    text.push_str(&response.text().await.unwrap());
    let mut found = found(server, &id).await;
    assert_eq!(found.len(), 1, "{status} {text}");
    (Told { status, text }, found.remove(0))
}

/// What is changed, what its client reads, what the operator reads that the client does not, and a part of the mend.
type Row<'a> = (
    &'a str,
    RequestBuilder,
    (u16, &'a str),
    &'a [&'a str],
    &'a str,
);

#[expect(clippy::too_many_lines, reason = "a table")]
async fn each_refusal_is_explained_and_no_client_learns_more(stores: &Stores) {
    let (server, service, app) = started(stores).await;
    let other = server.client(AuthMethod::ClientSecretPost, "write").await;
    let public = server.register(crate::person::app(AuthMethod::None)).await;
    let browser = Browser::new(&server);
    let taken = code(
        &browser
            .sign_in_and_consent(server.authorize_url(&app, &[]))
            .await,
    );
    let bought = async |changes: &[(&str, &str)]| {
        code(
            &browser
                .sign_in_and_consent(server.authorize_url(&app, changes))
                .await,
        )
    };
    let (codes, offline) = (
        [bought(&[]).await, bought(&[]).await, bought(&[]).await],
        bought(&[
            ("scope", "openid read offline_access"),
            ("prompt", "consent"),
        ])
        .await,
    );
    let redeemed = server
        .post_as(&app, "/oauth/token", &code_form(&taken))
        .await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.body);
    let refresh = server
        .post_as(&app, "/oauth/token", &code_form(&offline))
        .await;
    let refresh = refresh.text("refresh_token").to_owned();

    let mut proving = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    proving.dpop_bound_access_tokens = true;
    let proving = server.register(proving).await;
    let post = |client: &TestClient, form: &[(&str, &str)]| {
        server
            .form("/oauth/token", form)
            .basic_auth(&client.id, Some(&client.secret))
    };
    let nobody = TestClient {
        id: "no-such-client".into(),
        secret: "guess".into(),
    };
    let wrong = TestClient {
        secret: "wrong".into(),
        ..service.clone()
    };
    let credentials = ("grant_type", "client_credentials");
    let authorize = |changes: &[(&str, &str)]| server.http.get(server.authorize_url(&app, changes));
    let password = |changes: [(&'static str, &'static str); 2]| {
        let form = [("grant_type", "password"), changes[0], changes[1]];
        post(&app, &form)
    };
    let lifted = code_form(&codes[0]);
    let mut elsewhere = code_form(&codes[1]);
    elsewhere[2].1 = "https://app.example/other?token=hidden";
    let mut unproven = code_form(&codes[2]);
    unproven[3].1 = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl";
    let of_another = ["issued to another client", app.id.as_str()];
    let rows: Vec<Row<'_>> = vec![
        (
            "an unknown client",
            post(&nobody, &[credentials]),
            (401, "invalid_client"),
            &["unknown client"],
            "client list",
        ),
        (
            "a wrong secret",
            post(&wrong, &[credentials]),
            (401, "invalid_client"),
            &["wrong secret"],
            "rotate-secret",
        ),
        (
            "another method",
            post(&other, &[credentials]),
            (401, "invalid_client"),
            &["authenticates by client_secret_post, and came by client_secret_basic"],
            "as it registered",
        ),
        (
            "nobody at all",
            server.form("/oauth/token", &[credentials]),
            (401, "invalid_client"),
            &["no client authentication"],
            "send its client_id",
        ),
        (
            "a grant that is none",
            post(&service, &[("grant_type", "telepathy")]),
            (400, "unsupported_grant_type"),
            &["\"telepathy\""],
            "",
        ),
        (
            "a grant that is not the client's",
            post(&service, &code_form("a-code")),
            (400, "unauthorized_client"),
            &[],
            "--grant",
        ),
        (
            "a proof that is none",
            post(&service, &[credentials])
                .header("dpop", "x")
                .header("dpop", "y"),
            (400, "invalid_dpop_proof"),
            &[],
            "",
        ),
        (
            "a client that always has to show one",
            post(&proving, &[credentials]),
            (400, "invalid_dpop_proof"),
            &[],
            "dpop_bound_access_tokens",
        ),
        (
            "a scope that is not the client's",
            post(&service, &[credentials, ("scope", "read write")]),
            (400, "invalid_scope"),
            &["asked for write", "read"],
            "--scope",
        ),
        (
            "a resource that there is not",
            post(
                &service,
                &[credentials, ("resource", "https://nowhere.example/")],
            ),
            (400, "invalid_target"),
            &["\"https://nowhere.example/\""],
            "resource list",
        ),
        (
            "a resource without scopes for the client",
            post(&service, &[credentials, ("resource", OTHER_API)]),
            (400, "invalid_scope"),
            &[],
            "--scope",
        ),
        (
            "a parameter twice",
            post(&service, &[credentials, credentials]),
            (400, "invalid_request"),
            &[],
            "",
        ),
        (
            "a public client that acts for itself",
            server.form("/oauth/token", &[credentials, ("client_id", &public.id)]),
            (400, "unauthorized_client"),
            &[],
            "--auth-method",
        ),
        (
            "a code that is none",
            post(&app, &code_form("made-up")),
            (400, "invalid_grant"),
            &["the code is unknown"],
            "code_lifetime",
        ),
        (
            "a code of another",
            server.form(
                "/oauth/token",
                &[lifted.as_slice(), &[("client_id", public.id.as_str())]].concat(),
            ),
            (400, "invalid_grant"),
            &of_another,
            "",
        ),
        (
            "another redirect URI",
            post(&app, &elsewhere),
            (400, "invalid_grant"),
            &["\"https://app.example/other\" and more", REDIRECT],
            "redirect_uri of its authorization request",
        ),
        (
            "another verifier",
            post(&app, &unproven),
            (400, "invalid_grant"),
            &[],
            "code_verifier",
        ),
        (
            "a code twice",
            post(&app, &code_form(&taken)),
            (400, "invalid_grant"),
            &["the code was used before"],
            "twice",
        ),
        (
            "a refresh token that is none",
            post(&app, &refresh_form("made-up")),
            (400, "invalid_grant"),
            &["the refresh token is unknown"],
            "",
        ),
        (
            "a refresh token of another",
            server.form(
                "/oauth/token",
                &[
                    refresh_form(&refresh).as_slice(),
                    &[("client_id", public.id.as_str())],
                ]
                .concat(),
            ),
            (400, "invalid_grant"),
            &of_another,
            "",
        ),
        (
            "more than was agreed to",
            post(
                &app,
                &[
                    refresh_form(&refresh).as_slice(),
                    &[("scope", "read write")],
                ]
                .concat(),
            ),
            (400, "invalid_scope"),
            &["asked for write"],
            "--scope",
        ),
        (
            "a person's password, of who may not take it",
            password([("username", EMAIL), ("password", PASSWORD)]),
            (400, "unauthorized_client"),
            &[],
            "--grant",
        ),
        (
            "no access token at userinfo",
            server.http.get(format!("{}/oauth/userinfo", server.issuer)),
            (401, ""),
            &["carries no access token"],
            "",
        ),
        (
            "something that is no token",
            server
                .http
                .get(format!("{}/oauth/userinfo", server.issuer))
                .bearer_auth("not-a-token"),
            (401, "invalid_token"),
            &["the access token is not accepted"],
            "",
        ),
        (
            "the token of another",
            server
                .form("/oauth/revoke", &[("token", redeemed.text("access_token"))])
                .basic_auth(&service.id, Some(&service.secret)),
            (400, "invalid_grant"),
            &[],
            "",
        ),
        (
            "an unknown app",
            authorize(&[("client_id", "no-such-app")]),
            (400, ""),
            &["there is no \"no-such-app\""],
            "client list",
        ),
        (
            "a redirect URI that is not registered",
            authorize(&[("redirect_uri", "https://elsewhere.example/cb?token=hidden")]),
            (400, ""),
            &[
                "\"https://elsewhere.example/cb\" and more was sent",
                REDIRECT,
            ],
            "--redirect-uri",
        ),
        (
            "no redirect URI",
            authorize(&[("redirect_uri", "")]),
            (400, ""),
            &["the redirect_uri is missing"],
            "redirect_uri",
        ),
        (
            "a response type that is none",
            authorize(&[("response_type", "wish")]),
            (303, "unsupported_response_type"),
            &["\"wish\" was sent, and this server serves: code"],
            "response_type=code",
        ),
        (
            "a response mode that is none",
            authorize(&[("response_mode", "pigeon")]),
            (303, "invalid_request"),
            &["\"pigeon\""],
            "",
        ),
        (
            "no challenge",
            authorize(&[("code_challenge", ""), ("code_challenge_method", "")]),
            (303, "invalid_request"),
            &[],
            "PKCE",
        ),
        (
            "plain",
            authorize(&[("code_challenge_method", "plain")]),
            (303, "invalid_request"),
            &["\"plain\""],
            "",
        ),
        (
            "a scope that is not the app's",
            authorize(&[("scope", "openid admin")]),
            (303, "invalid_scope"),
            &["did not register admin"],
            "--scope",
        ),
        (
            "a resource that there is not, of a person",
            authorize(&[("resource", "https://nowhere.example/")]),
            (303, "invalid_target"),
            &["\"https://nowhere.example/\""],
            "resource list",
        ),
        (
            "nobody there",
            authorize(&[("prompt", "none")]),
            (303, "login_required"),
            &["nobody is signed in"],
            "prompt=none",
        ),
        (
            "a prompt that is none",
            authorize(&[("prompt", "shout")]),
            (303, "invalid_request"),
            &["\"shout\""],
            "",
        ),
        (
            "a level that nobody knows",
            authorize(&[("scope", "read"), ("acr_values", "https://trust.example/9")]),
            (303, "unmet_authentication_requirements"),
            &["this server does not know"],
            "",
        ),
        (
            "the same, pushed",
            server
                .form(
                    "/oauth/par",
                    &[
                        ("response_type", "code"),
                        ("redirect_uri", "https://elsewhere.example/"),
                    ],
                )
                .basic_auth(&app.id, Some(&app.secret)),
            (400, "invalid_request"),
            &["\"https://elsewhere.example/\" was sent"],
            "--redirect-uri",
        ),
        (
            "metadata that contradicts itself",
            server
                .http
                .post(format!("{}/oauth/register", server.issuer))
                .json(&serde_json::json!({"redirect_uris": "none"})),
            (400, ""),
            &[],
            "",
        ),
        (
            "a client that is not one's own",
            server
                .http
                .get(format!("{}/oauth/register/{}", server.issuer, app.id))
                .bearer_auth("rat_made-up"),
            (401, "invalid_token"),
            &[],
            "registration-token",
        ),
        (
            "a sign-out by a form of nobody's",
            server.form("/oauth/logout", &[("csrf", "made-up"), ("csrf", "twice")]),
            (400, ""),
            &[],
            "",
        ),
    ];
    let mut wrongs = Vec::new();
    for (what, request, (status, error), hidden, mend) in rows {
        let (told, explained) = asked(&server, request).await;
        let causes = explained.causes.join(": ");
        let known = explained.mend.unwrap_or_default();
        let mut expect = |is_so: bool, of: &str| {
            if !is_so {
                let told = &told.text;
                wrongs.push(format!("{what}: {of}\n  {causes}\n  {known}\n  {told}"));
            }
        };
        expect(told.status == status, "status");
        expect(
            explained.status == i64::from(status),
            "the status that is kept",
        );
        if !error.is_empty() {
            expect(
                explained.error.as_deref() == Some(error),
                "the code that is kept",
            );
            expect(told.text.contains(error), "the code that is told");
        }
        expect(!causes.is_empty(), "causes");
        expect(hidden.iter().all(|part| causes.contains(part)), "the cause");
        // What stands behind the first text is for the operator alone.
        // But for tokens, of which RFC 6750 §3.1 has the client told why they are not taken.
        let told_too = if what == "something that is no token" {
            2
        } else {
            1
        };
        let mut behind = explained.causes.iter().skip(told_too);
        expect(
            behind.all(|cause| !told.text.contains(cause.as_str())),
            "clients learn no more",
        );
        expect(!causes.contains("hidden"), "a query");
        expect(
            known.contains(mend) && known.is_empty() == mend.is_empty(),
            "the mend",
        );
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));

    let (_, explained) = asked(&server, post(&wrong, &[credentials])).await;
    assert_eq!(explained.client_id.as_deref(), Some(service.id.as_str()));
    assert_eq!(
        (explained.method.as_str(), explained.route.as_str()),
        ("POST", "/oauth/token")
    );
    assert_eq!(explained.grant_type, None, "nobody looked so far");
    let (_, explained) = asked(&server, post(&service, &[credentials, ("scope", "write")])).await;
    assert_eq!(explained.grant_type.as_deref(), Some("client_credentials"));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = authorize(&[("scope", "admin")]);
    let traced = traced.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let (_, explained) = asked(&server, traced).await;
    assert_eq!(explained.client_id.as_deref(), Some(app.id.as_str()));
    assert_eq!(explained.trace_id.as_deref(), Some(trace));
}

async fn people_are_explained_too(stores: &Stores) {
    let (server, _, app) = started(stores).await;
    let account_id = server.person("bob@example.com").await;
    let page_of = async |browser: &Browser<'_>| browser.open(server.authorize_url(&app, &[])).await;
    for (what, email, password, cause, mend) in [
        (
            "a wrong password",
            EMAIL,
            "wrong",
            "this is not the password of the account",
            "set-password",
        ),
        (
            "nobody's address",
            "nobody@example.com",
            "wrong",
            "no account has this address",
            "user create",
        ),
        (
            "who is disabled",
            "bob@example.com",
            PASSWORD,
            "the account is disabled",
            "user enable",
        ),
    ] {
        if what == "who is disabled" {
            let now = server.clock.now();
            server
                .records
                .accounts
                .disable(&account_id, now)
                .await
                .unwrap();
        }
        let browser = Browser::new(&server);
        let page = page_of(&browser).await;
        let form = Browser::filled_in(&page, email, password);
        let id = new_id();
        let request = server.http.post(page.action("sign-in")).form(&form);
        let answer = browser.send(request.header("x-request-id", &id)).await;
        assert_eq!(answer.status, 400);
        assert!(!answer.body.contains(cause), "{what}: threat 24");
        let explained = found(&server, &id).await.remove(0);
        assert_eq!(explained.causes.last().unwrap(), cause, "{what}");
        assert!(explained.mend.unwrap().contains(mend), "{what}");
    }

    let browser = Browser::new(&server);
    let page = page_of(&browser).await;
    let consent = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    let id = new_id();
    let form = Browser::decided(&consent, "deny");
    let request = server.http.post(consent.action("consent")).form(&form);
    let denied = browser.send(request.header("x-request-id", &id)).await;
    assert!(denied.location().as_str().contains("access_denied"));
    let explained = found(&server, &id).await.remove(0);
    assert_eq!(explained.error.as_deref(), Some("access_denied"));
    assert_eq!(explained.causes, ["the person denied the request"]);
    assert_eq!(explained.client_id.as_deref(), Some(app.id.as_str()));

    // Told by a page that the browser posts: 200 all the same.
    let id = new_id();
    let changes = [
        ("prompt", "none"),
        ("response_mode", "form_post"),
        ("scope", "openid read write"),
    ];
    let request = server.http.get(server.authorize_url(&app, &changes));
    let answer = browser.send(request.header("x-request-id", &id)).await;
    assert_eq!(answer.status, 200);
    let explained = found(&server, &id).await.remove(0);
    assert_eq!(explained.error.as_deref(), Some("consent_required"));
    assert!(
        explained.causes[1].contains("never agreed"),
        "{:?}",
        explained.causes
    );
}

async fn a_limit_that_was_reached_is_named(stores: &Stores) {
    for (of_client, cause, mend) in [
        (
            true,
            "the limit on requests of one client was reached",
            "rate_limits.client",
        ),
        (
            false,
            "the limit on requests of one network address was reached",
            "rate_limits.address",
        ),
    ] {
        let mut config = config(stores);
        let rates = &mut config.rate_limits;
        let rate = if of_client {
            &mut rates.client
        } else {
            &mut rates.address
        };
        rate.requests = 1;
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
        let asking = |id: &str| refused(&server, id, "read", &service).send();
        let mut id = new_id();
        // Buckets hold more than one token.
        while asking(&id).await.unwrap().status() != 429 {
            id = new_id();
        }
        let explained = found(&server, &id).await.remove(0);
        assert_eq!(explained.error.as_deref(), Some("temporarily_unavailable"));
        assert_eq!(explained.causes.last().unwrap(), cause);
        assert!(explained.mend.unwrap().contains(mend));
        assert_eq!(explained.client_id.is_some(), of_client);
    }
}

/// Everything that is kept, as text.
async fn everything(server: &TestServer, ids: &[String]) -> String {
    let mut all = String::new();
    for id in ids {
        let found = found(server, id).await;
        let place = ids.iter().position(|known| known == id);
        assert!(!found.is_empty(), "the request at {place:?}");
        all.push_str(&serde_json::to_string(&found).unwrap());
    }
    all
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn threat_39_no_secret_is_kept(stores: &Stores) {
    let (server, service, app) = started(stores).await;
    let browser = Browser::new(&server);
    let changes = [
        ("state", "a-state-of-the-app"),
        ("nonce", "a-nonce-of-the-app"),
        ("scope", "openid read offline_access"),
        ("login_hint", "hinted@example.com"),
    ];
    let page = browser.open(server.authorize_url(&app, &changes)).await;
    let mut ids = Vec::new();
    let mut under_id = |request: RequestBuilder| {
        let id = new_id();
        ids.push(id.clone());
        request.header("x-request-id", id)
    };
    let form = Browser::filled_in(&page, EMAIL, "a-wrong-password");
    browser
        .send(under_id(
            server.http.post(page.action("sign-in")).form(&form),
        ))
        .await;
    let mut stale = Browser::filled_in(&page, EMAIL, PASSWORD);
    stale[1].1 = "a-csrf-token-of-nobody".into();
    browser
        .send(under_id(
            server.http.post(page.action("sign-in")).form(&stale),
        ))
        .await;
    let answer = browser
        .sign_in_and_consent(server.authorize_url(&app, &changes))
        .await;
    let code = code(&answer);
    let tokens = server
        .post_as(&app, "/oauth/token", &code_form(&code))
        .await;
    let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
    let basic = |request: RequestBuilder, client: &TestClient, secret: &str| {
        request.basic_auth(&client.id, Some(secret))
    };
    for request in [
        basic(
            server.form("/oauth/token", &code_form(&code)),
            &app,
            &app.secret,
        ),
        basic(
            server.form("/oauth/token", &[("grant_type", "client_credentials")]),
            &service,
            "a-guess-at-a-secret",
        ),
        basic(
            server.form("/oauth/token", &refresh_form(&format!("{refresh}x"))),
            &app,
            &app.secret,
        ),
        basic(
            server.form("/oauth/revoke", &[("token", access)]),
            &service,
            &service.secret,
        ),
        server.form(
            "/oauth/token",
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "x"),
                ("client_secret", "a-secret-in-a-form"),
            ],
        ),
        server.form(
            "/oauth/token",
            &[
                ("client_assertion", "an.assertion.refused"),
                (
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ),
            ],
        ),
        server
            .http
            .get(format!("{}/oauth/userinfo", server.issuer))
            .bearer_auth(format!("{access}x")),
        server
            .http
            .get(format!("{}/oauth/register/{}", server.issuer, app.id))
            .bearer_auth("rat_a-management-token"),
        server.http.get(server.authorize_url(
            &app,
            &[
                ("state", "a-state-of-the-app"),
                (
                    "redirect_uri",
                    "https://jo:a-password-in-a-uri@app.example/?token=in-a-query",
                ),
            ],
        )),
        server.http.get(server.authorize_url(
            &app,
            &[
                ("id_token_hint", "a.hint.refused"),
                ("state", "a-state-of-the-app"),
            ],
        )),
        server
            .http
            .get(server.authorize_url(&app, &[("request", "a.request.object")])),
    ] {
        under_id(request).send().await.unwrap();
    }
    let kept = everything(&server, &ids).await;
    let cookies = browser.cookies();
    let secrets = [
        "a-state-of-the-app",
        "a-nonce-of-the-app",
        "hinted@example.com",
        "a-wrong-password",
        PASSWORD,
        EMAIL,
        "a-csrf-token-of-nobody",
        VERIFIER,
        "a-guess-at-a-secret",
        "a-secret-in-a-form",
        "an.assertion",
        "rat_a-management-token",
        "a-password-in-a-uri",
        "in-a-query",
        "a.hint",
        "a.request",
        code.as_str(),
        access,
        refresh,
        app.secret.as_str(),
        service.secret.as_str(),
    ];
    for secret in secrets
        .into_iter()
        .chain(cookies.values().map(String::as_str))
    {
        assert!(!kept.contains(secret), "{secret} is in {kept}");
    }
}

/// A request that is refused.
fn refused(server: &TestServer, id: &str, scope: &str, service: &TestClient) -> RequestBuilder {
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    let request = server.form("/oauth/token", &form);
    request
        .basic_auth(&service.id, Some(&service.secret))
        .header("x-request-id", id)
}

async fn requests_of_one_id_are_all_told_the_newest_first(stores: &Stores) {
    let (server, service, _) = started(stores).await;
    let id = "chosen-by-a-client";
    for count in 0..12 {
        let answer = refused(&server, id, &format!("scope-{count}"), &service)
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 400);
        server.clock.advance(Duration::from_secs(1));
    }
    let found = found(&server, id).await;
    assert_eq!(found.len(), 10);
    for (place, explained) in found.iter().enumerate() {
        let scope = format!("asked for scope-{},", 11 - place);
        assert!(
            explained.causes[1].starts_with(&scope),
            "{place}: {:?}",
            explained.causes
        );
    }
}

async fn what_is_no_refusal_is_not_kept(stores: &Stores) {
    let (server, service, _) = started(stores).await;
    let url = |path: &str| format!("{}{path}", server.issuer);
    let form = [("grant_type", "client_credentials")];
    let granted = server
        .form("/oauth/token", &form)
        .basic_auth(&service.id, Some(&service.secret));
    let unknown = [("token", "nobody-knows")];
    let inactive = server
        .form("/oauth/introspect", &unknown)
        .basic_auth(&service.id, Some(&service.secret));
    for (what, request, status) in [
        ("an answer", granted, 200),
        (
            "a path that leads nowhere",
            server.http.get(url("/nowhere")),
            404,
        ),
        ("another method", server.http.get(url("/oauth/token")), 405),
        ("a document", server.http.get(url("/oauth/jwks")), 200),
        ("an inactive token", inactive, 200),
    ] {
        let id = new_id();
        let answer = request.header("x-request-id", &id).send().await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
        assert_eq!(found(&server, &id).await, [], "{what}");
    }
}

async fn threat_30_a_flood_of_one_kind_is_no_flood_of_rows_and_hides_no_other(stores: &Stores) {
    let (server, service, app) = started(stores).await;
    let id = "the-flood";
    let began = server.clock.now();
    for _ in 0..100 {
        let answer = refused(&server, id, "nobodys", &service).send().await;
        assert_eq!(answer.unwrap().status(), 400);
    }
    let seconds = server.clock.now().since(began).as_secs() + 2;
    let beside = authorize_badly(&server, &app);
    let (_, explained) = asked(&server, beside).await;
    let error = explained.error.as_deref();
    assert_eq!(error, Some("invalid_scope"), "of another route");
    let metrics = server.http.get(format!("{}/metrics", server.operations));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let counted = |outcome: &str| -> u64 {
        let series = format!("refusals_explained_total{{outcome=\"{outcome}\"}} ");
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(&series));
        value.unwrap().parse().unwrap()
    };
    assert_eq!(counted("kept") + counted("crowded"), 101);
    assert_eq!(counted("full") + counted("store"), 0);
    assert!(counted("kept") <= 20 * seconds + 1, "{metrics}");
    // In another second it is as good as the first.
    server.clock.advance(Duration::from_secs(2));
    let id = new_id();
    let again = refused(&server, &id, "again", &service).send().await;
    assert_eq!(again.unwrap().status(), 400);
    assert_eq!(found(&server, &id).await.len(), 1);
}

fn authorize_badly(server: &TestServer, app: &TestClient) -> RequestBuilder {
    let url = server.authorize_url(app, &[("scope", "admin")]);
    server.http.get(url)
}

async fn what_is_off_keeps_nothing(stores: &Stores) {
    let mut config = config(stores);
    config.explain.keep = Duration::ZERO;
    let server = TestServer::start_with(config, Arc::default()).await;
    let id = new_id();
    let request = server
        .http
        .get(format!("{}/oauth/authorize", server.issuer));
    let answer = request.header("x-request-id", &id).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(found(&server, &id).await, []);
}

async fn what_waits_is_written_when_the_server_stops(stores: &Stores) {
    let clock = Arc::<MovableClock>::default();
    let server = TestServer::start_with(config(stores), clock.clone()).await;
    let ids: Vec<_> = (0..120).map(|_| new_id()).collect();
    for id in &ids {
        let request = server
            .http
            .get(format!("{}/oauth/authorize", server.issuer));
        let answer = request.header("x-request-id", id).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        // Twenty of a kind are kept in a second.
        clock.advance(Duration::from_millis(100));
    }
    let store = server.records.store.clone();
    server.stop().await;
    for id in &ids {
        assert_eq!(explain(&store, id).await.unwrap().len(), 1);
    }
}

async fn the_program_explains(stores: &Stores) {
    let (server, service, _) = started(stores).await;
    let id = new_id();
    let answer = refused(&server, &id, "write", &service)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    server.refusals.flush().await;
    let told = ran(stores, &["explain", &id], "");
    for part in [
        "POST /oauth/token",
        &format!("{}  \"A service\"", service.id),
        "grant    client_credentials",
        "told     400 invalid_scope",
        "because  the scope is malformed, unknown, or not allowed to the client",
        "asked for write, which is not among what may be had: read",
        "mend     have the app ask for less",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let told = ran_json(stores, &["explain", &id], "");
    let refusals = told["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0]["request_id"], id.as_str());
    assert_eq!(refusals[0]["error"], "invalid_scope");
    let unknown = run(stores, &["explain", "nobody-asked-this"], "");
    assert!(!unknown.status.success());
    let told = String::from_utf8(unknown.stderr).unwrap();
    for reason in ["was answered", "explain.keep", "another database"] {
        assert!(told.contains(reason), "{told}");
    }
}
