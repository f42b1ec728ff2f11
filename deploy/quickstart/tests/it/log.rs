//! Threat 39: nothing that was secret in the exchange is in the log, however much is logged.

use crate::process::{Place, http, send};

#[tokio::test]
async fn threat_39_no_secret_token_or_query_is_logged_at_the_finest_level() {
    let place = Place::new();
    let config = place.file("auth.toml");
    std::fs::write(&config, "[log]\nfilter = \"trace\"\n").unwrap();
    let running = place.start(&["--auth-config", config.to_str().unwrap()]);
    let service = place.service();
    let api = format!("http://localhost:{}", place.api_port);
    let token = place.token(&service, &api).await;
    assert_eq!(place.me(Some(&token)).await.status(), 200);
    let post = |path: &str, form: &[(&str, &str)]| {
        send(service.on(http().post(place.auth(path))).form(form))
    };
    assert_eq!(
        post("/oauth/introspect", &[("token", &token)])
            .await
            .status(),
        200
    );
    assert_eq!(
        post("/oauth/revoke", &[("token", &token)]).await.status(),
        200
    );
    // What is refused is logged with its cause, and the cause must not quote it.
    let assertion = "assertion-in-a-refused-request";
    let guess = [
        ("grant_type", "client_credentials"),
        ("client_id", "x"),
        ("client_secret", "a-guess-at-a-secret"),
    ];
    assert_eq!(
        send(http().post(place.auth("/oauth/token")).form(&guess))
            .await
            .status(),
        401
    );
    let form = [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
    ];
    assert_eq!(
        send(http().post(place.auth("/oauth/token")).form(&form))
            .await
            .status(),
        401
    );
    let query = http()
        .get(place.api("/api/v1/users/me?access_token=token-in-a-query"))
        .bearer_auth("not-a-token-at-all");
    assert_eq!(send(query).await.status(), 401);
    let log = running.log();
    assert!(
        log.contains("/oauth/token") && log.contains("client authentication")
            || log.contains("unknown client")
    );
    let signature = token.rsplit('.').next().unwrap();
    for (what, secret) in [
        ("the client's secret", service.secret.as_str()),
        ("the access token", token.as_str()),
        ("its signature", signature),
        ("a guessed secret", "a-guess-at-a-secret"),
        ("a refused assertion", assertion),
        ("a query", "token-in-a-query"),
        ("a refused token", "not-a-token-at-all"),
        (
            "the demo person's password",
            place.demo()["person"]["password"].as_str().unwrap(),
        ),
    ] {
        assert!(!log.contains(secret), "{what} is in the log");
    }
}
