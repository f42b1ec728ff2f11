//! What a person is shown of them, and what is remembered of it.

use auth_server::clients::{AuthMethod, Client};
use reqwest::StatusCode;
use serde_json::json;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{PARAMETER, PAY, READ, WRITE, list, payment_schema, rich, value};
use crate::browser::{Browser, EMAIL, PASSWORD, Page, code, parameter};
use crate::person::{self, ask, claims, code_form};
use crate::server::{API, OTHER_API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9396_3_1_the_page_shows_all_that_is_asked_for,
    consent_is_remembered_and_asked_again_when_details_grow,
    threat_9_what_was_approved_is_what_is_issued,
    threat_14_a_request_is_judged_again_when_a_person_decides,
);

async fn started(stores: &Stores) -> (TestServer, TestClient) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.put_details_types().await;
    server.person(EMAIL).await;
    let app = person::app(AuthMethod::ClientSecretBasic);
    let app = server.register(rich(app)).await;
    (server, app)
}

async fn asked<'a>(
    server: &'a TestServer,
    app: &TestClient,
    changes: &[(&str, &str)],
) -> (Browser<'a>, Page) {
    let browser = Browser::new(server);
    let page = browser.open(server.authorize_url(app, changes)).await;
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert!(page.has("consent"), "{}", page.body);
    (browser, page)
}

async fn rfc9396_3_1_the_page_shows_all_that_is_asked_for(stores: &Stores) {
    let (server, app) = started(stores).await;
    let open = json!({"properties": {"type": true}, "patternProperties": {"": true}, "additionalProperties": false});
    server.put_details_type("payment", OTHER_API, open).await;
    let hostile = json!([{"type": "payment", "to": "<script>alert(1)</script>", "\"><b>": {"deep": [1, true]},
        "turned": "123\u{202e}456"}, {"type": "album", "actions": ["write"], "identifier": "summer"}])
    .to_string();
    let (_, page) = asked(&server, &app, &[("scope", ""), (PARAMETER, &hostile)]).await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in [
        "Use &#60;one&#62; album",
        "Use &#60;one&#62; payment",
        "data-type=\"payment\"",
        API,
        OTHER_API,
        "<bdi>summer</bdi>",
        "<bdi>write</bdi>",
        "&#60;script&#62;alert(1)&#60;/script&#62;",
        "&#34;&#62;&#60;b&#62; \u{203a} deep",
        "<bdi>1</bdi>",
        "<bdi>yes</bdi>",
        "123\\u{202e}456",
    ] {
        assert!(page.body.contains(shown), "{shown} in {}", page.body);
    }
    for absent in [
        "<script>alert",
        "<b>",
        "\u{202e}",
        "Know that you use it",
        "May read",
    ] {
        assert!(!page.body.contains(absent), "{absent} in {}", page.body);
    }
    server.stop().await;
}

async fn consent_is_remembered_and_asked_again_when_details_grow(stores: &Stores) {
    let (server, app) = started(stores).await;
    let both = list(&[READ, PAY]);
    let first = [("scope", "openid read"), (PARAMETER, both.as_str())];
    let (browser, page) = asked(&server, &app, &first).await;
    browser.decide(&page, "approve").await.location();
    let turned = r#"[{"identifier":"summer", "type":"album", "actions":["read"]}]"#;
    let fewer = r#"[{"type":"album","actions":["read"]}]"#;
    let more = r#"[{"type":"album","actions":["read","write"],"identifier":"summer"}]"#;
    let (read, pay, three) = (list(&[READ]), list(&[PAY]), list(&[READ, PAY, WRITE]));
    for (what, changes, is_asked) in [
        ("the same", &first[..], false),
        (
            "one of them",
            &[("scope", "read"), (PARAMETER, &read)],
            false,
        ),
        ("the other", &[("scope", ""), (PARAMETER, &pay)], false),
        ("written otherwise", &[(PARAMETER, turned)], false),
        ("none", &[("scope", "openid read")], false),
        ("one more", &[(PARAMETER, &three)], true),
        ("with fewer bounds", &[(PARAMETER, fewer)], true),
        ("with an action more", &[(PARAMETER, more)], true),
        (
            "another amount",
            &[(PARAMETER, r#"[{"type":"payment","amount":"123.51"}]"#)],
            true,
        ),
        (
            "the same with a scope more",
            &[("scope", "openid read write"), (PARAMETER, &read)],
            true,
        ),
    ] {
        let page = browser.open(server.authorize_url(&app, changes)).await;
        assert_eq!(page.has("consent"), is_asked, "{what}: {}", page.body);
        assert_eq!(page.status == StatusCode::SEE_OTHER, !is_asked, "{what}");
        let silent = [changes, &[("prompt", "none")]].concat();
        let answer = browser.get(server.authorize_url(&app, &silent)).await;
        let error = parameter(&answer.location(), "error");
        let expected = is_asked.then_some("consent_required");
        assert_eq!(error.as_deref(), expected, "{what}");
    }
    // What is agreed to later adds to it.
    let answer = browser.arrive(server.authorize_url(&app, &[(PARAMETER, &three)]));
    code(&answer.await.location());
    let all = server.authorize_url(&app, &[(PARAMETER, &three), ("prompt", "none")]);
    code(&browser.get(all).await.location());
    // A type that moved to another resource server was not agreed to there.
    server
        .put_details_type("payment", API, payment_schema())
        .await;
    let page = browser
        .open(server.authorize_url(&app, &[(PARAMETER, &pay)]))
        .await;
    assert!(page.has("consent"), "{}", page.body);
    server.stop().await;
}

async fn threat_9_what_was_approved_is_what_is_issued(stores: &Stores) {
    let (server, app) = started(stores).await;
    let (read, three) = (list(&[READ]), list(&[READ, WRITE, PAY]));
    let (browser, small) = asked(&server, &app, &[(PARAMETER, &read)]).await;
    let large = browser
        .open(server.authorize_url(&app, &[(PARAMETER, &three)]))
        .await;
    // The form that showed little approves nothing of what asks for much.
    let form = vec![
        ("interaction".to_owned(), large.input("interaction")),
        ("csrf".to_owned(), small.input("csrf")),
        ("decision".to_owned(), "approve".to_owned()),
    ];
    let refused = browser.post(small.action("consent"), &form).await;
    assert!(refused.has("stale-title"), "{}", refused.body);
    // What is sent along with the form is not looked at.
    let mut form = Browser::decided(&small, "approve");
    form.push((PARAMETER.to_owned(), three.clone()));
    let answer = browser.post(small.action("consent"), &form).await;
    let first = code(&answer.location());
    let tokens = ask(&server, &app, &code_form(&first)).await;
    assert_eq!(tokens.body[PARAMETER], value(&[READ]));
    assert_eq!(claims(tokens.text("access_token"))["aud"], API);
    // And of what is denied nothing is issued.
    let denied = browser.decide(&large, "deny").await.location();
    assert_eq!(
        parameter(&denied, "error").as_deref(),
        Some("access_denied")
    );
    server.stop().await;
}

async fn threat_14_a_request_is_judged_again_when_a_person_decides(stores: &Stores) {
    let (server, app) = started(stores).await;
    let pay = list(&[PAY]);
    let invalid = "invalid_authorization_details";
    let clients = &server.records.clients;
    let servers = &server.records.resource_servers;
    let id = app.id.parse().unwrap();
    for what in [
        "the type is gone",
        "the schema changed",
        "the client lost it",
    ] {
        server.put_details_types().await;
        let metadata = clients.find(&id).await.unwrap().unwrap().metadata.clone();
        let client = Client::new(app.id.parse().unwrap(), rich(metadata.clone()), Vec::new());
        let now = server.clock.now();
        clients.put(&client.unwrap(), None, now).await.unwrap();
        let (browser, page) = asked(&server, &app, &[(PARAMETER, &pay)]).await;
        match what {
            "the type is gone" => {
                let payment = "payment".parse().unwrap();
                servers.remove_details_type(&payment, now).await.unwrap();
            }
            "the schema changed" => {
                let other = json!({"properties": {"type": true, "sum": true}, "additionalProperties": false});
                server.put_details_type("payment", OTHER_API, other).await;
            }
            _ => {
                let mut poor = metadata;
                poor.authorization_details_types.clear();
                let client = Client::new(app.id.parse().unwrap(), poor, Vec::new()).unwrap();
                clients.put(&client, None, now).await.unwrap();
            }
        }
        let answer = browser.decide(&page, "approve").await.location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some(invalid),
            "{what}"
        );
        assert_eq!(parameter(&answer, "code"), None, "{what}");
    }
    server.stop().await;
}
