//! Requests that clients push ahead (RFC 9126).

mod refusals;

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata};
use auth_server::codes::Taken;
use futures_util::future::join_all;
use reqwest::StatusCode;
use shared_protocol::jose::Algorithm;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, Page, code, parameter};
use crate::jwks_uri::proof;
use crate::person::{self, REDIRECT, code_form, post};
use crate::server::{Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9126_2_a_pushed_request_is_what_counts,
    rfc9126_2_1_clients_of_every_kind_push,
    rfc9126_4_a_page_may_be_loaded_again_and_the_request_is_answered_once,
    rfc9126_2_2_the_time_of_a_request_is_judged_when_it_is_first_opened,
    rfc9126_4_another_browser_gets_nothing,
    rfc9126_4_an_error_is_an_answer_too,
    rfc9126_4_a_pushed_request_by_post,
    threat_6_of_hundreds_of_submissions_on_two_nodes_one_brings_a_code,
    threat_6_of_hundreds_that_open_it_one_is_answered,
);

pub(crate) const PAR: &str = "/oauth/par";

async fn started(stores: &Stores) -> TestServer {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.person(EMAIL).await;
    server
}

/// A good request with some changes, as [`TestServer::asking`] has them, pushed by its client.
pub(crate) async fn push(
    server: &TestServer,
    client: &TestClient,
    changes: &[(&str, &str)],
) -> Answer {
    let form = TestServer::asking(client, changes);
    let form: Vec<_> = form
        .iter()
        .filter(|(name, _)| name != "client_id")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    post(server, client, PAR, &form).await
}

/// The `request_uri` of a good request with some changes.
pub(crate) async fn pushed(
    server: &TestServer,
    client: &TestClient,
    changes: &[(&str, &str)],
) -> String {
    let answer = push(server, client, changes).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.text("request_uri").to_owned()
}

/// Where a client sends a person who is to open its pushed request.
pub(crate) fn url_of(server: &TestServer, client: &TestClient, request_uri: &str) -> String {
    let mut url = url::Url::parse(&format!("{}/oauth/authorize", server.issuer)).unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", &client.id)
        .append_pair("request_uri", request_uri);
    url.into()
}

fn is_refused(page: &Page) -> bool {
    page.status == StatusCode::BAD_REQUEST
        && page.has("error-title")
        && page.header("location").is_empty()
}

async fn rfc9126_2_a_pushed_request_is_what_counts(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let answer = push(&server, &app, &[("nonce", "n-0S6")]).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body["expires_in"], 60);
    let request_uri = answer.text("request_uri").to_owned();
    let rest = request_uri
        .strip_prefix("urn:ietf:params:oauth:request_uri:")
        .unwrap();
    assert_eq!(rest.len(), 43);
    // Whatever stands beside it is not looked at, twice or malformed.
    let url = url_of(&server, &app, &request_uri);
    let beside = "scope=openid+write&state=evil&redirect_uri=https%3A%2F%2Fevil.example&state=2&max_age=x&nonce=evil";
    let browser = Browser::new(&server);
    let answer = browser.sign_in_and_consent(format!("{url}&{beside}")).await;
    assert!(answer.as_str().starts_with(REDIRECT), "{answer}");
    assert_eq!(parameter(&answer, "state").as_deref(), Some("af0ifjsldkj"));
    let code = code(&answer);
    let taken = server.codes.take(&code, server.clock.now()).await.unwrap();
    let Taken::First(kept) = taken else {
        panic!("the code is unknown");
    };
    let authorization = &kept.authorization;
    assert_eq!(authorization.nonce.as_deref(), Some("n-0S6"));
    assert_eq!(
        authorization.terms.agreed.scope().to_string(),
        "openid read"
    );
    let now = server.clock.now();
    server.codes.keep(&code, &kept, now).await.unwrap();
    let tokens = server
        .post_as(&app, "/oauth/token", &code_form(&code))
        .await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    server.stop().await;
}

async fn rfc9126_2_1_clients_of_every_kind_push(stores: &Stores) {
    let server = started(stores).await;
    // So that no assertion is from before the memory of used ones.
    server.clock.advance(Duration::from_mins(2));
    let public = server.register(person::app(AuthMethod::None)).await;
    let in_body = server
        .register(person::app(AuthMethod::ClientSecretPost))
        .await;
    let (_, key) = server.signing_client(Algorithm::Es256, "read").await;
    let signing = server
        .register(ClientMetadata {
            jwks: TestServer::signing_metadata(&key, "read").jwks,
            ..person::app(AuthMethod::PrivateKeyJwt)
        })
        .await;
    let request = [("response_type", "code")];
    let with = |client: &TestClient, more: &[(&str, &str)]| {
        let mut form = TestServer::asking(client, &request);
        form.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        server
            .http
            .post(format!("{}{PAR}", server.issuer))
            .form(&form)
    };
    let assertion = proof(&server, &signing, &key).await;
    let assertion = assertion
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    for (what, client, request) in [
        ("public", &public, with(&public, &[])),
        (
            "a secret in the body",
            &in_body,
            with(&in_body, &[("client_secret", &in_body.secret)]),
        ),
        ("an assertion", &signing, with(&signing, &assertion)),
    ] {
        let again = request.try_clone().unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.status, 201, "{what}: {}", answer.body);
        let url = url_of(&server, client, answer.text("request_uri"));
        code(&Browser::new(&server).sign_in_and_consent(url).await);
        if what == "an assertion" {
            let answer = server.send(again).await;
            assert_eq!(
                answer.error(),
                (401, "invalid_client"),
                "an assertion twice"
            );
        }
    }
    server.stop().await;
}

async fn rfc9126_4_a_page_may_be_loaded_again_and_the_request_is_answered_once(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let url = url_of(&server, &app, &pushed(&server, &app, &[]).await);
    let browser = Browser::new(&server);
    let first = browser.open(&url).await;
    // A reload of the page, and another tab.
    assert!(browser.open(&first.url).await.has("sign-in"));
    let second = browser.open(&url).await;
    assert!(second.has("sign-in"), "{}", second.body);
    assert_ne!(first.input("interaction"), second.input("interaction"));
    let consent = browser.sign_in_as(&first, EMAIL, PASSWORD).await;
    // The other tab has come as far.
    let other = browser.open(&second.url).await;
    assert!(consent.has("consent") && other.has("consent"));
    let answer = browser.decide(&consent, "approve").await.location();
    let code = code(&answer);
    assert!(browser.decide(&other, "approve").await.has("stale-title"));
    for browser in [&browser, &Browser::new(&server)] {
        assert!(is_refused(&browser.open(&url).await));
    }
    let form = code_form(&code);
    let tokens = server.post_as(&app, "/oauth/token", &form).await;
    assert_eq!(tokens.status, 200, "the code of the first goes on");
    server.stop().await;
}

async fn rfc9126_2_2_the_time_of_a_request_is_judged_when_it_is_first_opened(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let [late, in_time] = [
        url_of(&server, &app, &pushed(&server, &app, &[]).await),
        url_of(&server, &app, &pushed(&server, &app, &[]).await),
    ];
    let browser = Browser::new(&server);
    server.clock.advance(Duration::from_secs(50));
    assert!(browser.open(&in_time).await.has("sign-in"));
    server.clock.advance(Duration::from_secs(10));
    assert!(is_refused(&browser.open(&late).await), "a minute old");
    server.clock.advance(Duration::from_mins(29));
    let page = browser.open(&in_time).await;
    assert!(page.has("sign-in"), "as long as a person may take");
    server.clock.advance(Duration::from_mins(1));
    assert!(is_refused(&browser.open(&in_time).await), "and no longer");
    // Whoever came in time has their time.
    server.clock.advance(Duration::from_mins(28));
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    code(&browser.decide(&page, "approve").await.location());
    assert!(is_refused(&browser.open(&in_time).await));
    server.stop().await;
}

async fn rfc9126_4_another_browser_gets_nothing(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let uri = pushed(&server, &app, &[]).await;
    let url = url_of(&server, &app, &uri);
    let (first, second) = (Browser::new(&server), Browser::new(&server));
    let page = first.open(&url).await;
    assert!(page.has("sign-in"));
    for _ in 0..2 {
        assert!(is_refused(&second.open(&url).await));
    }
    // What the first has is no good there either.
    assert!(second.open(&page.url).await.has("stale-title"));
    code(&first.sign_in_and_consent(&url).await);
    // Of many that come at once, one has it.
    let url = url_of(&server, &app, &pushed(&server, &app, &[]).await);
    let crowd: Vec<_> = (0..50).map(|_| Browser::new(&server)).collect();
    let pages = join_all(crowd.iter().map(|browser| browser.open(&url))).await;
    let (theirs, others): (Vec<_>, Vec<_>) = pages.iter().partition(|page| page.has("sign-in"));
    assert_eq!((theirs.len(), others.len()), (1, 49));
    assert!(others.into_iter().all(is_refused));
    server.stop().await;
}

async fn rfc9126_4_an_error_is_an_answer_too(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let silent = [("prompt", "none")];
    let url = url_of(&server, &app, &pushed(&server, &app, &silent).await);
    let answer = browser.open(&url).await.location();
    let error = parameter(&answer, "error");
    assert_eq!(error.as_deref(), Some("login_required"));
    assert!(is_refused(&browser.open(&url).await));
    // A person's no as well, and not their closing the page.
    let url = url_of(&server, &app, &pushed(&server, &app, &[]).await);
    let page = browser.open(&url).await;
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    let answer = browser.decide(&page, "deny").await.location();
    let error = parameter(&answer, "error");
    assert_eq!(error.as_deref(), Some("access_denied"));
    assert!(is_refused(&browser.open(&url).await));
    server.stop().await;
}

async fn rfc9126_4_a_pushed_request_by_post(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let uri = pushed(&server, &app, &[]).await;
    let form = [("client_id", &app.id), ("request_uri", &uri)]
        .map(|(name, value)| (name.to_owned(), value.clone()));
    // Another site posts, without a cookie: the request is not the poster's.
    let endpoint = format!("{}/oauth/authorize", server.issuer);
    let posted = Browser::new(&server).post(&endpoint, &form).await;
    assert_eq!(posted.headers.get("set-cookie"), None);
    let location = posted.location();
    assert_eq!(location.as_str(), url_of(&server, &app, &uri));
    let browser = Browser::new(&server);
    code(&browser.sign_in_and_consent(location).await);
    server.stop().await;
}

async fn threat_6_of_hundreds_of_submissions_on_two_nodes_one_brings_a_code(stores: &Stores) {
    let mut first = config(stores);
    first.authorization.interactions_per_address = 0;
    let server = TestServer::start_with(first.clone(), Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    let mut nodes = vec![&server];
    let mut second = first;
    second.issuer = server.issuer.parse().unwrap();
    let second = TestServer::start_with(second, server.clock.clone()).await;
    if server.codes.ephemeral.is_shared() {
        nodes.push(&second);
    }
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    let url = url_of(&server, &app, &pushed(&server, &app, &[]).await);
    let tabs = join_all((0..10).map(|_| browser.open(&url))).await;
    assert!(tabs.iter().all(|page| page.has("consent")));
    let submissions = (0..200).map(|n| {
        let (form, node) = (
            Browser::decided(&tabs[n % 10], "approve"),
            nodes[n % nodes.len()],
        );
        let url = format!("{}/consent", node.issuer);
        let browser = &browser;
        async move { browser.post(url, &form).await }
    });
    let pages = join_all(submissions).await;
    let (answered, stale): (Vec<_>, Vec<_>) = pages
        .iter()
        .partition(|page| page.status == StatusCode::SEE_OTHER);
    assert_eq!((answered.len(), stale.len()), (1, 199));
    assert!(stale.iter().all(|page| page.has("stale-title")));
    code(&answered[0].location());
    assert!(is_refused(&browser.open(&url).await));
    second.stop().await;
    server.stop().await;
}

async fn threat_6_of_hundreds_that_open_it_one_is_answered(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    let url = url_of(&server, &app, &pushed(&server, &app, &[]).await);
    let pages = join_all((0..200).map(|_| browser.get(&url))).await;
    let (answered, refused): (Vec<_>, Vec<_>) = pages
        .iter()
        .partition(|page| page.status == StatusCode::SEE_OTHER);
    assert_eq!((answered.len(), refused.len()), (1, 199));
    assert!(refused.into_iter().all(is_refused));
    code(&answered[0].location());
    server.stop().await;
}
