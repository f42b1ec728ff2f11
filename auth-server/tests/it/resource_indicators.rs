//! Resource indicators (RFC 8707): where they may stand, and what they choose.

use auth_server::clients::AuthMethod;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code, parameter};
use crate::person::{self, Scene, ask, claims, code_form, refresh_form};
use crate::server::{API, Answer, OTHER_API, TestClient};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8707_2_malformed_and_unknown_resources_are_refused_everywhere,
    rfc8707_2_2_each_grant_and_each_resource,
    rfc8707_2_1_what_is_named_at_the_authorization_endpoint_bounds_the_scopes,
);

type Form<'a> = Vec<(&'a str, &'a str)>;

/// What is refused wherever a resource may be named. A path and a port of their own are those of another resource.
const NO_RESOURCES: [(&str, &str); 14] = [
    ("unknown", "https://x.example"),
    ("with a fragment", "https://api.example#x"),
    ("with an empty fragment", "https://api.example/#"),
    ("relative", "/v1"),
    ("without a scheme", "api.example"),
    ("a path", "https://api.example/v1"),
    ("a query", "https://api.example?x"),
    ("a port", "https://api.example:443"),
    ("a path in another case", "https://other.example/V1"),
    ("another scheme", "http://api.example"),
    ("a slash more", "https://other.example/v1/"),
    ("without its path", "https://other.example"),
    ("two in one", "https://api.example https://other.example/v1"),
    ("no ASCII", "https://\u{e4}pi.example"),
];

async fn rfc8707_2_malformed_and_unknown_resources_are_refused_everywhere(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let service = server
        .client(AuthMethod::ClientSecretBasic, "read reports")
        .await;
    let browser = Browser::new(server);
    let long = format!("https://api.example/{}", "x".repeat(2048));
    let tokens = scene.tokens(&scene.app, "openid read reports").await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    for (what, resource) in NO_RESOURCES
        .iter()
        .copied()
        .chain([("too long", long.as_str())])
    {
        for others in [&[][..], &[("resource", API)]] {
            let changes = [&[("resource", resource)], others].concat();
            let answer = browser
                .get(server.authorize_url(&scene.app, &changes))
                .await;
            let answer = answer.location();
            assert_eq!(
                parameter(&answer, "error").as_deref(),
                Some("invalid_target"),
                "{what}"
            );
            assert!(parameter(&answer, "iss").is_some() && parameter(&answer, "state").is_some());
        }
        let first = scene.code(&scene.app, "openid read").await;
        let by_code: Form<'_> = code_form(&first).to_vec();
        let by_refresh: Form<'_> = refresh_form(refresh).to_vec();
        let by_itself: Form<'_> = vec![("grant_type", "client_credentials")];
        for (grant, client, mut form) in [
            ("code", &scene.app, by_code),
            ("refresh", &scene.app, by_refresh),
            ("client credentials", &service, by_itself),
        ] {
            form.push(("resource", resource));
            let answer = ask(server, client, &form).await;
            assert_eq!(answer.error(), (400, "invalid_target"), "{what}, {grant}");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    // What was refused left the refresh token as it was.
    assert_eq!(scene.refresh(&scene.app, refresh).await.status, 200);
    scene.server.stop().await;
}

/// What an access token for one of these is: its audience and its own scopes, or the refusal.
type Expected<'a> = Result<(&'a str, &'a str), &'a str>;
type Parameters<'a> = &'a [(&'a str, &'a str)];
type Row<'a> = (
    &'a str,
    &'a str,
    Parameters<'a>,
    Expected<'a>,
    Option<Expected<'a>>,
);

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc8707_2_2_each_grant_and_each_resource(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let issuer = server.issuer.as_str();
    let service = server
        .client(AuthMethod::ClientSecretBasic, "read write reports")
        .await;
    let both = "openid email read reports";
    // What was granted, what is asked for, and what a person's token and a service's are.
    let rows: [Row<'_>; 17] = [
        (
            "nothing named, both granted",
            both,
            &[],
            Ok((issuer, "email openid")),
            Some(Ok((issuer, ""))),
        ),
        (
            "the one",
            both,
            &[("resource", API)],
            Ok((API, "read")),
            Some(Ok((API, "read write"))),
        ),
        (
            "the same with a slash",
            both,
            &[("resource", "https://api.example/")],
            Ok((API, "read")),
            Some(Ok((API, "read write"))),
        ),
        // MCP, «Canonical Server URI»; what was registered stays the audience.
        (
            "the same in capitals",
            both,
            &[("resource", "HTTPS://API.Example")],
            Ok((API, "read")),
            Some(Ok((API, "read write"))),
        ),
        (
            "the other",
            both,
            &[("resource", OTHER_API)],
            Ok((OTHER_API, "reports")),
            Some(Ok((OTHER_API, "reports"))),
        ),
        (
            "this server",
            both,
            &[("resource", issuer)],
            Ok((issuer, "email openid")),
            Some(Err("invalid_target")),
        ),
        (
            "both at once",
            both,
            &[("resource", API), ("resource", OTHER_API)],
            Err("invalid_target"),
            Some(Err("invalid_target")),
        ),
        (
            "the same twice",
            both,
            &[("resource", API), ("resource", API)],
            Err("invalid_target"),
            Some(Err("invalid_target")),
        ),
        (
            "one, and nothing",
            both,
            &[("resource", API), ("resource", "")],
            Ok((API, "read")),
            Some(Ok((API, "read write"))),
        ),
        (
            "nothing named, one granted",
            "openid read",
            &[],
            Ok((API, "read")),
            None,
        ),
        (
            "one that was not granted",
            "openid read",
            &[("resource", OTHER_API)],
            Err("invalid_target"),
            None,
        ),
        (
            "nothing of an API granted",
            "openid email",
            &[],
            Ok((issuer, "email openid")),
            None,
        ),
        (
            "nor this one",
            "openid email",
            &[("resource", API)],
            Err("invalid_target"),
            None,
        ),
        (
            "no openid, this server",
            "read reports",
            &[("resource", issuer)],
            Ok((issuer, "")),
            None,
        ),
        (
            "a scope of the resource",
            both,
            &[("resource", API), ("scope", "read")],
            Ok((API, "read")),
            Some(Ok((API, "read"))),
        ),
        (
            "a scope of another",
            both,
            &[("resource", API), ("scope", "reports")],
            Err("invalid_target"),
            Some(Err("invalid_scope")),
        ),
        (
            "a scope that leads there",
            both,
            &[("scope", "reports")],
            Ok((OTHER_API, "reports")),
            Some(Ok((OTHER_API, "reports"))),
        ),
    ];
    for (what, granted, asked, of_person, of_service) in rows {
        let first = scene.code(&scene.app, granted).await;
        // RFC 6749 §4.1.3: no scope is asked for with a code.
        let has_scope = asked.iter().any(|(name, _)| *name == "scope");
        let tokens = if has_scope {
            scene.redeem(&scene.app, &first).await
        } else {
            let form = [&code_form(&first)[..], asked].concat();
            let answer = ask(server, &scene.app, &form).await;
            check(&answer, of_person, &format!("{what}, by the code"));
            let again = scene.code(&scene.app, granted).await;
            scene.redeem(&scene.app, &again).await
        };
        let refresh = tokens.text("refresh_token");
        let form = [&refresh_form(refresh)[..], asked].concat();
        let answer = ask(server, &scene.app, &form).await;
        check(&answer, of_person, &format!("{what}, by the refresh token"));
        if let (Ok(_), true) = (of_person, granted.contains("openid")) {
            // Userinfo takes any of our tokens whose grant holds openid, but for one that was narrowed to less.
            let told = scene.userinfo(answer.text("access_token")).await;
            assert_eq!(told.status, 200, "{what}");
            assert_eq!(told.body["sub"], scene.account_id.as_str(), "{what}");
        }
        if let Some(expected) = of_service {
            let form = [&[("grant_type", "client_credentials")], asked].concat();
            let answer = ask(server, &service, &form).await;
            check(&answer, expected, &format!("{what}, for itself"));
        }
    }
    // A refresh token brings one resource after the other.
    let mut refresh = scene.tokens(&scene.app, both).await["refresh_token"].clone();
    for (resource, scope) in [
        (API, "read"),
        (OTHER_API, "reports"),
        (issuer, "email openid"),
        (API, "read"),
    ] {
        let form = [
            &refresh_form(refresh.as_str().unwrap())[..],
            &[("resource", resource)],
        ]
        .concat();
        let answer = ask(server, &scene.app, &form).await;
        check(&answer, Ok((resource, scope)), resource);
        refresh = answer.body["refresh_token"].clone();
    }
    scene.server.stop().await;
}

#[track_caller]
fn check(answer: &Answer, expected: Expected<'_>, what: &str) {
    match expected {
        Ok((audience, scope)) => {
            assert_eq!(answer.status, 200, "{what}: {}", answer.body);
            let claims = claims(answer.text("access_token"));
            assert_eq!(claims["aud"], audience, "{what}");
            assert_eq!(claims["scope"].as_str().unwrap_or(""), scope, "{what}");
        }
        Err(error) => assert_eq!(answer.error(), (400, error), "{what}"),
    }
}

async fn rfc8707_2_1_what_is_named_at_the_authorization_endpoint_bounds_the_scopes(
    stores: &Stores,
) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    server.person(EMAIL).await;
    let app = person::app(AuthMethod::ClientSecretBasic);
    let app = server.register(app).await;
    let browser = Browser::new(server);
    let issuer = server.issuer.clone();
    let rows: [(&str, Parameters<'_>, Expected<'_>); 7] = [
        (
            "one of two",
            &[("scope", "openid read reports"), ("resource", API)],
            Ok((API, "read")),
        ),
        (
            "both",
            &[
                ("scope", "openid read reports"),
                ("resource", API),
                ("resource", OTHER_API),
            ],
            Ok((&issuer, "openid")),
        ),
        (
            "no scope of it",
            &[("scope", "openid reports"), ("resource", API)],
            Ok((API, "")),
        ),
        (
            "this server",
            &[("scope", "openid read"), ("resource", &issuer)],
            Ok((&issuer, "openid")),
        ),
        (
            "this server and another",
            &[
                ("scope", "openid read reports"),
                ("resource", &issuer),
                ("resource", API),
            ],
            Ok((API, "read")),
        ),
        (
            "this server, and nothing of it",
            &[("scope", "read"), ("resource", &issuer)],
            Err("invalid_scope"),
        ),
        (
            "no scope at all",
            &[("scope", "reports"), ("resource", API)],
            Err("invalid_scope"),
        ),
    ];
    for (what, changes, expected) in rows {
        let answer = browser
            .arrive(server.authorize_url(&app, changes))
            .await
            .location();
        match expected {
            Ok(_) => {
                let tokens = redeemed(&scene, &app, &code(&answer)).await;
                check(&tokens, expected, what);
            }
            Err(error) => assert_eq!(
                parameter(&answer, "error").as_deref(),
                Some(error),
                "{what}"
            ),
        }
    }
    // What was not named is not granted, however the token is asked for.
    let url = server.authorize_url(&app, &[("scope", "openid read reports"), ("resource", API)]);
    let tokens = redeemed(&scene, &app, &code(&browser.arrive(url).await.location())).await;
    let form = [
        &refresh_form(tokens.text("refresh_token"))[..],
        &[("resource", OTHER_API)],
    ]
    .concat();
    assert_eq!(
        ask(server, &app, &form).await.error(),
        (400, "invalid_target")
    );
    scene.server.stop().await;
}

async fn redeemed(scene: &Scene, app: &TestClient, code: &str) -> Answer {
    ask(&scene.server, app, &code_form(code)).await
}
