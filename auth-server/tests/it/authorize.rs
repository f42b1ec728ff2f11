//! The authorization endpoint.

mod refusals;

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, GrantType};
use auth_server::codes::Taken;
use futures_util::future::join_all;
use reqwest::StatusCode;
use shared_protocol::resource::ResourceId;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, Page, code, parameter};
use crate::person::{self, CHALLENGE, REDIRECT};
use crate::server::{API, OTHER_API, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc6749_4_1_a_person_signs_in_and_consents_and_the_client_gets_a_code,
    rfc9207_2_every_answer_has_state_and_iss,
    rfc8707_2_scopes_and_resources,
    rfc8252_7_3_the_port_of_a_loopback_redirect_varies,
    response_modes_and_hostile_state,
    oidc_3_1_2_1_prompt_and_max_age,
    oidc_3_1_2_1_a_request_by_post,
    oidc_3_1_2_1_id_token_hint,
    oidc_11_offline_access_takes_shown_consent,
    threat_21_host_and_forwarded_headers_change_nothing,
    an_issuer_with_a_path,
    rfc9110_9_3_2_head_begins_nothing_and_answers_nobody,
);

/// Changes to a good request.
type Changes<'a> = &'a [(&'a str, &'a str)];

async fn started(stores: &Stores) -> TestServer {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.person(EMAIL).await;
    server
}

async fn rfc6749_4_1_a_person_signs_in_and_consents_and_the_client_gets_a_code(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app, &[("nonce", "n-0S6_WzA2Mj"), ("resource", API)]);
    let answer = browser.sign_in_and_consent(&url).await;
    assert!(
        answer.as_str().starts_with("https://app.example/cb?code="),
        "{answer}"
    );
    assert_eq!(parameter(&answer, "state").as_deref(), Some("af0ifjsldkj"));
    assert_eq!(
        parameter(&answer, "iss").as_deref(),
        Some(server.issuer.as_str())
    );
    let Taken::First(kept) = server
        .codes
        .take(&code(&answer), server.clock.now())
        .await
        .unwrap()
    else {
        panic!("the code is unknown");
    };
    let authorization = kept.authorization;
    assert_eq!(authorization.redirect_uri, REDIRECT);
    assert!(authorization.redirect_uri_named);
    assert_eq!(authorization.nonce.as_deref(), Some("n-0S6_WzA2Mj"));
    assert_eq!(
        authorization.code_challenge,
        Some(CHALLENGE.parse().unwrap())
    );
    let terms = authorization.terms;
    assert_eq!(terms.client_id.as_str(), app.id);
    assert_eq!(terms.agreed.scope().to_string(), "openid read");
    let resources: Vec<ResourceId> = (terms.agreed.resources.keys())
        .map(|id| id.parse().unwrap())
        .collect();
    assert_eq!(resources, [API.parse().unwrap()]);
    assert!(server.clock.now().since(terms.auth_time.unwrap()) < Duration::from_mins(1));
    assert!(!terms.offline);
    // Signed in, and agreed to: the next time nothing is asked, and there is another code.
    let again = browser.get(&url).await.location();
    assert_ne!(code(&again), code(&answer));
    server.stop().await;
}

async fn rfc9207_2_every_answer_has_state_and_iss(stores: &Stores) {
    let server = started(stores).await;
    let mut metadata = person::app(AuthMethod::ClientSecretBasic);
    metadata.redirect_uris = vec!["https://app.example/cb?tenant=1&x=%2F".parse().unwrap()];
    let app = server.register(metadata).await;
    let browser = Browser::new(&server);
    // Without a redirect_uri, the only one; without a state, none.
    for (changes, state) in [
        (
            &[("redirect_uri", ""), ("scope", "read"), ("state", "s")][..],
            Some("s"),
        ),
        (
            &[("redirect_uri", ""), ("scope", "read"), ("state", "")][..],
            None,
        ),
    ] {
        let answer = browser
            .sign_in_and_consent(server.authorize_url(&app, changes))
            .await;
        // The query of the redirect URI is kept as it is.
        assert!(
            answer
                .as_str()
                .starts_with("https://app.example/cb?tenant=1&x=%2F&code="),
            "{answer}"
        );
        assert_eq!(parameter(&answer, "state").as_deref(), state);
        assert_eq!(
            parameter(&answer, "iss").as_deref(),
            Some(server.issuer.as_str())
        );
        let taken = server
            .codes
            .take(&code(&answer), server.clock.now())
            .await
            .unwrap();
        assert!(matches!(taken, Taken::First(kept) if !kept.authorization.redirect_uri_named));
    }
    server.stop().await;
}

/// The scope and resources of the code at the end of `url`.
async fn granted(server: &TestServer, answer: &url::Url) -> (String, Vec<ResourceId>, bool) {
    let taken = server
        .codes
        .take(&code(answer), server.clock.now())
        .await
        .unwrap();
    let Taken::First(kept) = taken else {
        panic!("{answer}");
    };
    let terms = kept.authorization.terms;
    let agreed = terms.agreed;
    let scope = agreed.scope().to_string();
    let resources = agreed.resources.into_keys();
    (
        scope,
        resources.map(|id| id.parse().unwrap()).collect(),
        terms.offline,
    )
}

async fn rfc8707_2_scopes_and_resources(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let rows: [(Changes<'_>, &str, &[&str]); 8] = [
        (
            &[("scope", "read reports")],
            "read reports",
            &[API, OTHER_API],
        ),
        (
            &[("scope", "read reports"), ("resource", API)],
            "read",
            &[API],
        ),
        (
            &[("scope", "openid reports"), ("resource", API)],
            "openid",
            &[API],
        ),
        (
            &[
                ("scope", "openid read reports"),
                ("resource", API),
                ("resource", OTHER_API),
            ],
            "openid read reports",
            &[API, OTHER_API],
        ),
        (
            &[("scope", "read"), ("resource", API), ("resource", API)],
            "read",
            &[API],
        ),
        (
            &[("scope", "read"), ("resource", "https://api.example/")],
            "read",
            &[API],
        ),
        (&[("scope", "")], "read reports write", &[API, OTHER_API]),
        (
            &[("scope", ""), ("resource", OTHER_API)],
            "reports",
            &[OTHER_API],
        ),
    ];
    for (changes, scope, resources) in rows {
        let answer = browser
            .sign_in_and_consent(server.authorize_url(&app, changes))
            .await;
        let (granted, named, _) = granted(&server, &answer).await;
        assert_eq!(
            (granted.as_str(), named),
            (
                scope,
                resources.iter().map(|id| id.parse().unwrap()).collect()
            ),
            "{changes:?}"
        );
    }
    server.stop().await;
}

async fn rfc8252_7_3_the_port_of_a_loopback_redirect_varies(stores: &Stores) {
    let server = started(stores).await;
    let native = server
        .register(TestServer::native_metadata("http://127.0.0.1/cb"))
        .await;
    let private = server
        .register(TestServer::native_metadata("com.example.app:/cb"))
        .await;
    let browser = Browser::new(&server);
    for (client, redirect) in [
        (&native, "http://127.0.0.1:51004/cb"),
        (&native, "http://127.0.0.1/cb"),
        (&private, "com.example.app:/cb"),
    ] {
        let url = server.authorize_url(client, &[("redirect_uri", redirect)]);
        let page = browser.arrive(url).await;
        assert!(
            page.header("location")
                .starts_with(&format!("{redirect}?code=")),
            "{redirect}"
        );
    }
    let url = server.authorize_url(&native, &[("redirect_uri", "http://localhost:51004/cb")]);
    assert_eq!(browser.get(url).await.status, StatusCode::BAD_REQUEST);
    server.stop().await;
}

async fn response_modes_and_hostile_state(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    for state in [
        "\"><script>alert(1)</script>",
        "'&amp;&#39;<!--",
        "&code=forged&iss=https://evil.example#fragment",
        "%26%3D%00\r\nSet-Cookie: a=b",
        "\u{fc}\u{1f512} +",
    ] {
        let page = browser
            .arrive(server.authorize_url(&app, &[("state", state)]))
            .await;
        let answer = page.location();
        assert_eq!(parameter(&answer, "state").as_deref(), Some(state));
        assert_eq!(
            parameter(&answer, "iss").as_deref(),
            Some(server.issuer.as_str())
        );
        assert_eq!(
            (answer.host_str(), answer.fragment()),
            (Some("app.example"), None)
        );
        assert_eq!(page.headers.get("set-cookie"), None);

        let url = server.authorize_url(&app, &[("state", state), ("response_mode", "fragment")]);
        let mut answer = browser.arrive(url).await.location();
        assert_eq!(answer.query(), None);
        let fragment = answer.fragment().unwrap().to_owned();
        answer.set_query(Some(&fragment));
        assert_eq!(parameter(&answer, "state").as_deref(), Some(state));
        assert!(parameter(&answer, "code").is_some());

        let url = server.authorize_url(&app, &[("state", state), ("response_mode", "form_post")]);
        let page = browser.arrive(url).await;
        assert_form_post(&page, state, &server.issuer);
        let changes = [
            ("state", state),
            ("response_mode", "form_post"),
            ("prompt", "none"),
            ("max_age", "0"),
        ];
        let page = browser.arrive(server.authorize_url(&app, &changes)).await;
        assert_eq!(page.input("error"), "login_required");
        assert_eq!(
            (page.input("state").as_str(), page.input("iss")),
            (state, server.issuer.clone())
        );
    }
    server.stop().await;
}

fn assert_form_post(page: &Page, state: &str, issuer: &str) {
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert_eq!(page.action("form-post").as_str(), REDIRECT);
    assert_eq!(page.input("state"), state);
    assert_eq!(page.input("iss"), issuer);
    assert!(!page.input("code").is_empty());
    assert!(page.has("continue"));
    assert!(!page.body.contains("alert(1)</script>"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("form-action"), "{policy}");
}

async fn oidc_3_1_2_1_prompt_and_max_age(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    server.clock.advance(Duration::from_mins(10));
    for (changes, asked) in [
        (&[][..], ""),
        (&[("prompt", "none")][..], ""),
        (&[("prompt", "login")][..], "sign-in"),
        (&[("prompt", "consent")][..], "consent"),
        (&[("prompt", "login consent")][..], "sign-in"),
        (&[("max_age", "900")][..], ""),
        (&[("max_age", "300")][..], "sign-in"),
        (&[("max_age", "0")][..], "sign-in"),
        (&[("max_age", "99999999999999999999999")][..], ""),
        (&[("scope", "openid read write")][..], "consent"),
    ] {
        let page = browser.open(server.authorize_url(&app, changes)).await;
        for form in ["sign-in", "consent"] {
            assert_eq!(page.has(form), form == asked, "{changes:?}");
        }
        assert_eq!(
            page.status == StatusCode::SEE_OTHER,
            asked.is_empty(),
            "{changes:?}"
        );
    }
    for (changes, expected) in [
        (&[("max_age", "300")][..], "login_required"),
        (&[("scope", "openid write")][..], "consent_required"),
        (&[("resource", OTHER_API)][..], "consent_required"),
    ] {
        let mut changes = changes.to_vec();
        changes.push(("prompt", "none"));
        let answer = browser
            .get(server.authorize_url(&app, &changes))
            .await
            .location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some(expected),
            "{changes:?}"
        );
    }
    // Signed in again: auth_time is new, and consent is asked where it was wanted.
    let before = browser.cookie("session").unwrap();
    let page = browser
        .open(server.authorize_url(&app, &[("prompt", "login consent"), ("login_hint", EMAIL)]))
        .await;
    assert_eq!(page.input("email"), EMAIL);
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert_ne!(browser.cookie("session").unwrap(), before);
    let answer = browser.decide(&page, "approve").await.location();
    let taken = server
        .codes
        .take(&code(&answer), server.clock.now())
        .await
        .unwrap();
    let Taken::First(kept) = taken else {
        panic!("{answer}");
    };
    let age = server
        .clock
        .now()
        .since(kept.authorization.terms.auth_time.unwrap());
    assert!(age < Duration::from_mins(5), "{age:?}");
    server.stop().await;
}

async fn oidc_3_1_2_1_id_token_hint(stores: &Stores) {
    const OTHER: &str = "grace@example.com";
    let server = started(stores).await;
    server.person(OTHER).await;
    let app = server.app().await;
    let ask = |changes: &[(&str, &str)]| server.authorize_url(&app, changes);
    let ada = Browser::new(&server);
    let answer = ada.sign_in_and_consent(ask(&[])).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code(&answer)),
        ("redirect_uri", REDIRECT),
        ("code_verifier", crate::person::VERIFIER),
    ];
    let tokens = server.post_as(&app, "/oauth/token", &form).await;
    let hint = tokens.text("id_token");
    let expecting = |prompt| ask(&[("id_token_hint", hint), ("prompt", prompt)]);
    // It is good although it expired.
    server.clock.advance(Duration::from_hours(1));
    for prompt in ["", "none"] {
        code(&ada.get(expecting(prompt)).await.location());
    }
    // Somebody else is as good as nobody.
    let grace = Browser::new(&server);
    let page = grace.open(ask(&[])).await;
    let page = grace.sign_in_as(&page, OTHER, PASSWORD).await;
    grace.decide(&page, "approve").await;
    code(&grace.get(ask(&[("prompt", "none")])).await.location());
    for browser in [&grace, &Browser::new(&server)] {
        let silent = browser.get(expecting("none")).await.location();
        let error = parameter(&silent, "error");
        assert_eq!(error.as_deref(), Some("login_required"));
    }
    // Who signs in as whom the client expects goes on; who does not is sent back.
    server.clock.advance(Duration::from_mins(1));
    let page = grace.open(expecting("")).await;
    assert!(page.has("sign-in"), "{}", page.body);
    let other = grace.sign_in_as(&page, OTHER, PASSWORD).await.location();
    let error = parameter(&other, "error");
    assert_eq!(error.as_deref(), Some("login_required"));
    assert_eq!(parameter(&other, "state").as_deref(), Some("af0ifjsldkj"));
    let page = grace.open(expecting("")).await;
    code(&grace.sign_in_as(&page, EMAIL, PASSWORD).await.location());
    // A form of a consent page is not approved by somebody else who signed in meanwhile.
    let fresh = Browser::new(&server);
    let page = fresh
        .open(ask(&[("id_token_hint", hint), ("prompt", "consent")]))
        .await;
    let consent = fresh.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert!(consent.has("consent"));
    let another = Browser::decided(&consent, "approve");
    server.clock.advance(Duration::from_mins(1));
    let page = fresh.open(ask(&[("prompt", "login")])).await;
    fresh.sign_in_as(&page, OTHER, PASSWORD).await;
    let stale = fresh.post(consent.action("consent"), &another).await;
    assert!(stale.has("stale-title"), "{}", stale.body);
    server.stop().await;
}

async fn oidc_3_1_2_1_a_request_by_post(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    let endpoint = format!("{}/oauth/authorize", server.issuer);
    // Another site posts: the browser sends no cookie along, but brings them to the GET that follows.
    let form = TestServer::asking(&app, &[]);
    let stranger = Browser::new(&server);
    let posted = stranger.post(&endpoint, &form).await;
    assert_eq!(posted.headers.get("set-cookie"), None);
    let resume = posted.location();
    let answer = browser.open(resume.clone()).await.location();
    assert!(parameter(&answer, "code").is_some());
    // It is answered once, and the first browser that came had it.
    assert!(browser.open(resume).await.has("stale-title"));
    let form = TestServer::asking(&app, &[("prompt", "consent")]);
    let resume = stranger.post(&endpoint, &form).await.location();
    assert!(browser.open(resume.clone()).await.has("consent"));
    let page = stranger.open(resume.clone()).await;
    assert!(
        page.has("stale-title") && !page.body.contains("An app"),
        "{}",
        page.body
    );
    assert!(browser.open(resume).await.has("consent"));
    // Of many browsers that come at once, one has it.
    let form = TestServer::asking(&app, &[]);
    let resume = stranger.post(&endpoint, &form).await.location();
    let crowd: Vec<_> = (0..50).map(|_| Browser::new(&server)).collect();
    let pages = join_all(crowd.iter().map(|browser| browser.open(&resume))).await;
    let (theirs, stale): (Vec<_>, Vec<_>) = pages.iter().partition(|page| page.has("sign-in"));
    assert_eq!((theirs.len(), stale.len()), (1, 49));
    assert!(stale.iter().all(|page| page.has("stale-title")));
    // prompt=none is answered as ever.
    let form = TestServer::asking(&app, &[("prompt", "none"), ("scope", "write")]);
    let resume = stranger.post(&endpoint, &form).await.location();
    let answer = browser.open(resume.clone()).await.location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("consent_required")
    );
    assert!(browser.open(resume).await.has("stale-title"));
    // What is wrong is told at once.
    let form = TestServer::asking(&app, &[("response_type", "none")]);
    let answer = stranger.post(&endpoint, &form).await.location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("unsupported_response_type")
    );
    server.stop().await;
}

async fn oidc_11_offline_access_takes_shown_consent(stores: &Stores) {
    let server = started(stores).await;
    let offline = &[("scope", "openid offline_access read")][..];
    let app = server.app().await;
    let mut first_party = person::app(AuthMethod::ClientSecretBasic);
    first_party.skip_consent = true;
    let first_party = server.register(first_party).await;
    let mut no_refresh = person::app(AuthMethod::ClientSecretBasic);
    no_refresh.grant_types.remove(&GrantType::RefreshToken);
    let no_refresh = server.register(no_refresh).await;
    let browser = Browser::new(&server);
    let consent = [offline[0], ("prompt", "consent")];
    for (what, client, changes, scope, expected) in [
        (
            "consent is shown",
            &app,
            offline,
            "offline_access openid read",
            true,
        ),
        (
            "and remembered",
            &app,
            offline,
            "offline_access openid read",
            true,
        ),
        ("not asked for", &app, &[][..], "openid read", false),
        (
            "consent is skipped",
            &first_party,
            offline,
            "openid read",
            false,
        ),
        (
            "consent is asked of the operator's own",
            &first_party,
            &consent[..],
            "offline_access openid read",
            true,
        ),
        (
            "no refresh_token",
            &no_refresh,
            offline,
            "openid read",
            false,
        ),
    ] {
        let answer = browser
            .sign_in_and_consent(server.authorize_url(client, changes))
            .await;
        assert_eq!(
            granted(&server, &answer).await,
            (scope.to_owned(), vec![API.parse().unwrap()], expected),
            "{what}"
        );
    }
    server.stop().await;
}

async fn threat_21_host_and_forwarded_headers_change_nothing(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    for prompt in ["none", ""] {
        let url = server.authorize_url(&app, &[("prompt", prompt)]);
        let garbage = server.http.get(&url);
        let garbage = [
            "host",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "forwarded",
        ]
        .into_iter()
        .fold(garbage, |request, name| {
            request.header(name, "evil.example")
        });
        let browser = Browser::new(&server);
        let page = browser.send(garbage).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert!(
            !format!("{:?}", page.headers).contains("evil.example"),
            "{:?}",
            page.headers
        );
        if prompt == "none" {
            let iss = parameter(&page.location(), "iss");
            assert_eq!(iss.as_deref(), Some(server.issuer.as_str()));
        }
    }
    server.stop().await;
}

async fn an_issuer_with_a_path(stores: &Stores) {
    let mut config = config(stores);
    let clock = Arc::default();
    config.issuer = "http://127.0.0.1:8000/tenants/one".parse().unwrap();
    let server = TestServer::start_with(config, clock)
        .await
        .with_resources(None)
        .await;
    server.person(EMAIL).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let answer = browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    assert_eq!(
        parameter(&answer, "iss").as_deref(),
        Some("http://127.0.0.1:8000/tenants/one")
    );
    assert!(parameter(&answer, "code").is_some());
    server.stop().await;
}

async fn rfc9110_9_3_2_head_begins_nothing_and_answers_nobody(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    let pushed = crate::pushed::pushed(&server, &app, &[]).await;
    let pushed = crate::pushed::url_of(&server, &app, &pushed);
    let asked = server.authorize_url(&app, &[("prompt", "consent")]);
    let consent = browser.open(&asked).await;
    let interaction = consent.input("interaction");
    let resumed = format!(
        "{}/oauth/authorize/resume?interaction={interaction}",
        server.issuer
    );
    for (url, allowed) in [
        (server.authorize_url(&app, &[]), "GET,POST"),
        (asked, "GET,POST"),
        (pushed.clone(), "GET,POST"),
        (resumed, "GET"),
        (format!("{}/oauth/logout", server.issuer), "GET,POST"),
        (
            format!("{}/oauth/logout/resume?request=x", server.issuer),
            "GET",
        ),
        (format!("{}/device", server.issuer), "GET,POST"),
        (
            format!("{}/device/confirm?user_code=BCDF-GHJK", server.issuer),
            "GET,POST",
        ),
    ] {
        let answer = browser.send(server.http.head(&url)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{url}");
        assert_eq!(answer.header("allow"), allowed, "{url}");
        assert_eq!(
            (answer.header("location"), answer.header("set-cookie")),
            ("", ""),
            "{url}"
        );
        assert_eq!(answer.body, "", "{url}");
    }
    // What was asked for is still there to be had, once.
    assert!(!code(&browser.open(pushed).await.location()).is_empty());
    let allowed = browser.decide(&consent, "approve").await;
    assert!(!code(&allowed.location()).is_empty());
}
