//! Threat 39: nothing that was secret in the exchange is in the log, however much is logged.

use std::path::PathBuf;

use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, Signer as _, SigningKey, sign_jwt};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::{Clock as _, SystemClock};

use crate::flow::{Flow, NONCE, STATE, VERIFIER};
use crate::forms::Person;
use crate::operator::Operator;
use crate::process::{Place, http, send};

/// Settings under which everything is logged that anybody ever thought of logging.
fn loud(place: &Place) -> PathBuf {
    let config = place.file("auth.toml");
    std::fs::write(&config, "[log]\nfilter = \"trace\"\n").unwrap();
    config
}

#[tokio::test]
async fn threat_39_no_secret_token_or_query_is_logged_at_the_finest_level() {
    let place = Place::new();
    let config = loud(&place);
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
        log.contains("/oauth/token")
            && (log.contains("client authentication") || log.contains("unknown client"))
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

#[tokio::test]
async fn threat_39_nothing_of_a_person_is_logged_at_the_finest_level() {
    let place = Place::new();
    let running = place.start(&["--auth-config", loud(&place).to_str().unwrap()]);
    let mut secrets = Vec::new();
    let mut keep = |what: &str, secret: &str| secrets.push((what.to_owned(), secret.to_owned()));
    let demo = place.demo();
    let password = demo["person"]["password"].as_str().unwrap();
    keep("the password", password);
    for (what, known) in [("state", STATE), ("nonce", NONCE), ("verifier", VERIFIER)] {
        keep(what, known);
    }

    // Nobody listens there: the redirect is as far as the browser goes.
    let flow = Flow::of_app(&place, "http://127.0.0.1:9/callback");
    let mut person = Person::until(&flow.redirect_uri);
    let page = person
        .visit(&flow.url(&[("login_hint", "a-hint@example.com")]))
        .await;
    keep("a login hint", "a-hint@example.com");
    for (what, address, typed) in [
        ("a wrong password", "demo@example.com", "a-wrong-password"),
        (
            "an address that is a password",
            "typed-in-the-wrong-field",
            "another-wrong-one",
        ),
    ] {
        let fill = [("email", address), ("password", typed)];
        let again = person.submit(&page, "sign-in", &fill).await;
        assert!(again.has("sign-in"), "{again:?}");
        keep(what, typed);
    }
    keep(
        "what stood in the address field",
        "typed-in-the-wrong-field",
    );
    let answer = person.sign_in(&place, page.url.as_str()).await;
    let code = answer.parameter("code").unwrap();
    let mut tokens = flow.tokens(&code).await;
    for _ in 0..2 {
        for name in ["access_token", "refresh_token", "id_token"] {
            let token = tokens[name].as_str().unwrap();
            keep(name, token);
            keep("its signature", token.rsplit('.').next().unwrap());
        }
        let refreshed = flow
            .refresh(tokens["refresh_token"].as_str().unwrap())
            .await;
        tokens = refreshed.json::<Value>().await.unwrap();
    }
    // Refused with a cause, which must not quote it; the code, because it was used before.
    assert_eq!(flow.redeem(&code).await.status(), 400);
    keep("the code", &code);
    assert_eq!(flow.refresh("a-token-that-is-none").await.status(), 400);
    keep("a refused refresh token", "a-token-that-is-none");
    let stranger = flow.url(&[("resource", "https://a-resource-nobody-knows.example")]);
    person.visit(&stranger).await;
    keep("a refused resource", "a-resource-nobody-knows");

    let mut user = Person::until("nowhere");
    let shown = user.sign_in_at_the_app(&place).await;
    assert!(shown.has("me"), "{shown:?}");
    for cookie in person.cookies_seen.iter().chain(&user.cookies_seen) {
        keep("a cookie", cookie);
    }
    for field in person.fields_seen.iter().chain(&user.fields_seen) {
        keep("a hidden field", field);
    }
    assert!(person.cookies_seen.len() >= 3 && person.fields_seen.len() >= 4);

    let log = running.log();
    for told in [
        "/oauth/authorize",
        "/login",
        "/consent",
        "/oauth/token",
        "/callback",
    ] {
        assert!(log.contains(told), "{told} is not in the log");
    }
    for (what, secret) in secrets {
        assert!(!log.contains(&secret), "{what} is in the log: {secret}");
    }
}

/// An assertion of `client_id`, as RFC 7523 §3 wants it. Made by a clock that runs ahead by nearly as much as is allowed: else it might
/// be older than the memory of a server that has just begun.
async fn assertion(place: &Place, client_id: &str, key: &SigningKey) -> String {
    let now = SystemClock.now();
    let made = now.as_millis() + 9_990;
    let iat: Value = serde_json::from_str(&format!("{}.{:03}", made / 1000, made % 1000)).unwrap();
    let claims = json!({"iss": client_id, "sub": client_id, "aud": place.auth(""), "iat": iat,
        "exp": now.as_secs() + 60, "jti": alphanumeric(22, &SystemRandom)});
    sign_jwt(JwtKind::ClientAssertion, &claims, key)
        .await
        .unwrap()
}

#[tokio::test]
async fn threat_39_no_proof_of_a_client_and_no_hint_is_logged_at_the_finest_level() {
    const CALLBACK: &str = "https://app.example/callback";
    let place = Place::new();
    let running = place.start(&["--auth-config", loud(&place).to_str().unwrap()]);
    let operator = Operator::at(&place).await;
    let key = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let key = SigningKey::from_pkcs8(Algorithm::Es256, &key).unwrap();
    let metadata = |method: &str| {
        json!({"client_name": method, "token_endpoint_auth_method": method, "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid profile email offline_access profile:read"})
    };
    let with_secret = operator.register(metadata("client_secret_post")).await;
    let mut signing = metadata("private_key_jwt");
    signing["jwks"] = JwkSet::new(vec![key.public().clone()]).to_value();
    let signing = operator.register(signing).await;
    let mut secrets = vec![("a client's secret", with_secret.secret.clone())];
    let mut person = Person::until(CALLBACK);

    // An answer in a form, redeemed and refreshed with a secret in the body.
    let mut flow = Flow::of(&place, &with_secret.id, CALLBACK);
    let url = flow.url(&[("response_mode", "form_post")]);
    let answer = person.sign_in_and_agree(&place, &url).await;
    let form = answer.form("form-post");
    let code = form.input("code").unwrap_or_else(|| panic!("{form:?}"));
    let code = code.value.clone();
    flow.proof = vec![("client_secret", with_secret.secret.clone())];
    let tokens = flow.tokens(&code).await;
    secrets.push(("a code in a form", code));
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    let refreshed = flow.refresh(&text(&tokens, "refresh_token")).await;
    let refreshed: Value = refreshed.json().await.unwrap();
    for (tokens, name) in [
        (&tokens, "access_token"),
        (&tokens, "refresh_token"),
        (&tokens, "id_token"),
        // Its refresh token stays the same.
        (&refreshed, "access_token"),
        (&refreshed, "id_token"),
    ] {
        let token = text(tokens, name);
        let signature = token.rsplit('.').next().unwrap().to_owned();
        secrets.extend([("a token", token), ("a signature", signature)]);
    }
    let access_token = text(&refreshed, "access_token");
    let userinfo = http().post(place.auth("/oauth/userinfo"));
    let told = send(userinfo.form(&[("access_token", &access_token)])).await;
    assert_eq!(told.status(), 200);
    let id_token = text(&refreshed, "id_token");
    for (hint, answered) in [
        (id_token.as_str(), "code"),
        ("a-hint-that-is-none", "error"),
    ] {
        let url = flow.url(&[("id_token_hint", hint), ("prompt", "none")]);
        let answer = person.visit(&url).await;
        let answer = answer.parameter(answered).unwrap();
        if answered == "code" {
            secrets.push(("a code of a silent request", answer));
        }
    }
    secrets.push(("a refused hint", "a-hint-that-is-none".to_owned()));

    // A code with an assertion, and the same assertion once more, which is refused with a cause.
    let mut flow = Flow::of(&place, &signing.id, CALLBACK);
    let code = person.sign_in(&place, &flow.url(&[])).await;
    let code = code.parameter("code").unwrap();
    let proof = assertion(&place, &signing.id, &key).await;
    let jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    flow.proof = vec![
        ("client_assertion_type", jwt_bearer.to_owned()),
        ("client_assertion", proof.clone()),
    ];
    let tokens = flow.tokens(&code).await;
    let refresh_token = text(&tokens, "refresh_token");
    assert_eq!(flow.refresh(&refresh_token).await.status(), 401);
    let signature = proof.rsplit('.').next().unwrap().to_owned();
    secrets.extend([
        ("a code", code),
        ("a refresh token", refresh_token),
        ("the signature of an assertion", signature),
        ("an assertion", proof),
    ]);

    let page = person.visit(&place.auth("/oauth/logout")).await;
    let gone = person.submit(&page, "sign-out", &[]).await;
    assert!(gone.has("signed-out"), "{gone:?}");
    let seen = person.cookies_seen.iter().chain(&person.fields_seen);
    secrets.extend(seen.map(|value| ("a cookie or a hidden field", value.clone())));

    let log = running.log();
    for told in ["/oauth/userinfo", "/oauth/logout", "/oauth/token"] {
        assert!(log.contains(told), "{told} is not in the log");
    }
    for (what, secret) in secrets {
        assert!(!log.contains(&secret), "{what} is in the log: {secret}");
    }
}
