//! `/device`: where a person types the code and decides.

use std::time::Duration;

use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{Scene, decided, typed};
use crate::browser::{Browser, EMAIL, PASSWORD, parameter};
use crate::person::claims;
use crate::server::config;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8628_3_3_a_person_signs_in_and_types_the_code,
    oidc_registration_2_default_max_age_asks_for_the_password_again,
    rfc8628_3_3_1_a_code_that_comes_by_link_is_entered_all_the_same,
    rfc8628_5_4_what_the_person_sees_of_the_device,
    threat_11_only_the_session_that_entered_the_code_decides,
    threat_11_a_decision_is_made_once,
    threat_12_guesses_cost_time,
    threat_12_the_guesses_of_a_network_count_together,
    threat_12_a_device_of_ones_own_buys_no_guesses,
    threat_22_forms_of_others_are_not_taken,
    a_code_that_cannot_be_used_looks_the_same_whatever_is_wrong,
    the_picture_of_a_code_tells_nothing_of_it,
);

async fn rfc8628_3_3_a_person_signs_in_and_types_the_code(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let asked = scene.begin("openid read").await;
    let browser = Browser::new(&scene.server);
    let page = browser.open(scene.url("/device")).await;
    assert!(page.has("sign-in"), "{page:?}");
    let page = browser.sign_in_as(&page, EMAIL, "wrong").await;
    assert!(page.has("sign-in-notice"), "{page:?}");
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert_eq!(page.url.as_str(), scene.url("/device"));
    assert_eq!(page.input("user_code"), "");
    // As somebody reads it off a screen.
    let spoken = asked.user_code.to_lowercase().replace('-', " ");
    let form = typed(&page, &spoken);
    let answer = browser.post(page.action("enter-code"), &form).await;
    let page = browser.follow(answer).await;
    assert_eq!(
        parameter(&page.url, "user_code"),
        Some(asked.user_code.clone())
    );
    assert!(page.body.contains(&asked.user_code));
    // Looking at it again does no harm.
    let page = browser.get(&page.url).await;
    let form = decided(&page, "approve");
    let page = browser.post(page.action("consent"), &form).await;
    assert!(page.has("device-approved"), "{page:?}");
    assert_eq!(scene.poll(&asked).await.status, 200);
    // Somebody else can sign in before a code is typed.
    let page = browser.open(scene.url("/device")).await;
    let page = browser.open(page.link("another-account")).await;
    assert!(page.has("sign-in"), "{page:?}");
    scene.server.stop().await;
}

async fn oidc_registration_2_default_max_age_asks_for_the_password_again(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut metadata = super::television();
    metadata.default_max_age = Some(0);
    let careful = scene.server.register(metadata).await;
    let browser = scene.browser().await;
    scene.server.clock.advance(Duration::from_secs(1));
    let asked = scene.try_begin(&careful, &[("scope", "openid")]).await;
    scene.server.clock.advance(Duration::from_secs(1));
    let page = scene.enter(&browser, asked.text("user_code")).await;
    assert!(page.has("sign-in"), "{page:?}");
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert_eq!(page.input("user_code"), asked.text("user_code"));
    let page = scene.enter(&browser, asked.text("user_code")).await;
    assert!(page.has("consent"), "{page:?}");
    let form = decided(&page, "approve");
    let page = browser.post(page.action("consent"), &form).await;
    assert!(page.has("device-approved"), "{page:?}");
    let code = asked.text("device_code");
    let answer = scene.poll_with(&careful, code, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    scene.server.stop().await;
}

async fn rfc8628_3_3_1_a_code_that_comes_by_link_is_entered_all_the_same(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let asked = scene.begin("openid read").await;
    let link = asked.body["verification_uri_complete"].as_str().unwrap();
    let browser = Browser::new(&scene.server);
    let page = browser.open(link).await;
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert_eq!(page.url.as_str(), link);
    assert_eq!(page.input("user_code"), asked.user_code);
    assert!(!page.has("consent"));
    // Nobody has entered it by that, so that somebody else still can.
    let elsewhere = scene.browser().await;
    assert!(
        scene
            .enter(&elsewhere, &asked.user_code)
            .await
            .has("consent")
    );
    // Nor does a link lead past the form.
    let confirm = link.replace("/device?", "/device/confirm?");
    assert!(browser.get(&confirm).await.has("stale-title"));
    // What a link brings is shown as it is, and stays text.
    let odd = scene.url("/device?user_code=%22%3E%3Cscript%3E");
    let page = browser.open(odd).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("\"><script>"), "{page:?}");
    scene.server.stop().await;
}

async fn rfc8628_5_4_what_the_person_sees_of_the_device(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let url = scene.url(super::PATH);
    let agent = format!("Tele<b>vision/1 {}", "x".repeat(500));
    let form = [
        ("client_id", scene.device.id.as_str()),
        ("scope", "openid read offline_access"),
    ];
    let request = scene.server.http.post(url).form(&form);
    let request = request.header("user-agent", &agent);
    let asked = scene.server.send(request).await;
    scene.server.clock.advance(Duration::from_secs(90));
    let browser = scene.browser().await;
    let page = scene.enter(&browser, asked.text("user_code")).await;
    for shown in [
        "A television",
        asked.text("user_code"),
        "127.0.0.1",
        "2 minutes ago",
        "Tele&#60;b&#62;vision/1",
        EMAIL,
        "May read",
        "Know that it is you",
        "Keep this access after you sign out",
        "Approve only if",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains(&"x".repeat(200)));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self'"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(!page.has("another-account"));
    scene.server.stop().await;
}

async fn threat_11_only_the_session_that_entered_the_code_decides(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.server.person("eve@example.com").await;
    let asked = scene.begin("read").await;
    let browser = scene.browser().await;
    let page = scene.enter(&browser, &asked.user_code).await;
    assert!(page.has("consent"), "{page:?}");
    let eve = Browser::new(&scene.server);
    let signed_in = eve.open(scene.url("/device")).await;
    eve.sign_in_as(&signed_in, "eve@example.com", PASSWORD)
        .await;
    // The same person somewhere else is another session too.
    for other in [&eve, &scene.browser().await] {
        let unknown = scene.enter(other, "BBBB-BBBB").await;
        let used = scene.enter(other, &asked.user_code).await;
        assert!(used.has("device-notice") && unknown.has("device-notice"));
        assert_eq!(
            (used.status, unknown.status),
            (400.try_into().unwrap(), 400.try_into().unwrap())
        );
        let confirm = page.url.clone();
        let looked = other.get(&confirm).await;
        assert!(looked.has("stale-title"), "{looked:?}");
        for decision in ["approve", "deny"] {
            let form = decided(&page, decision);
            let answer = other.post(page.action("consent"), &form).await;
            assert!(answer.has("stale-title"), "{answer:?}");
        }
        // That was two wrong codes.
        scene.server.clock.advance(Duration::from_secs(1));
    }
    let pending = scene.poll(&asked).await;
    assert_eq!(pending.error(), (400, "authorization_pending"));
    let form = decided(&page, "approve");
    assert!(
        browser
            .post(page.action("consent"), &form)
            .await
            .has("device-approved")
    );
    let answer = scene.poll(&asked).await;
    assert_eq!(
        claims(answer.text("access_token"))["sub"],
        scene.account_id.as_str()
    );
    scene.server.stop().await;
}

async fn threat_11_a_decision_is_made_once(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let browser = scene.browser().await;
    let asked = scene.begin("read").await;
    let page = scene.enter(&browser, &asked.user_code).await;
    let forms = ["approve", "deny"].map(|decision| decided(&page, decision));
    let posts = (0..50).map(|n| browser.post(page.action("consent"), &forms[n % 2]));
    let answers = futures_util::future::join_all(posts).await;
    let won: Vec<_> = answers.iter().filter(|page| page.status == 200).collect();
    assert_eq!(won.len(), 1);
    let told = scene.poll(&asked).await;
    if won[0].has("device-approved") {
        assert_eq!(told.status, 200, "{}", told.body);
    } else {
        assert_eq!(told.error(), (400, "access_denied"));
    }
    // And its own session cannot enter it again.
    assert!(
        scene
            .enter(&browser, &asked.user_code)
            .await
            .has("device-notice")
    );
    assert!(browser.get(&page.url).await.has("stale-title"));
    // Of many sessions that enter it at once, one does.
    let asked = scene.begin("read").await;
    let mut browsers = Vec::new();
    for _ in 0..10 {
        browsers.push(scene.browser().await);
    }
    let entered = browsers
        .iter()
        .map(|browser| scene.enter(browser, &asked.user_code));
    let entered = futures_util::future::join_all(entered).await;
    assert_eq!(entered.iter().filter(|page| page.has("consent")).count(), 1);
    scene.server.stop().await;
}

async fn threat_12_guesses_cost_time(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let asked = scene.begin("read").await;
    let browser = scene.browser().await;
    let page = browser.open(scene.url("/device")).await;
    let (mut judged, mut refused) = (0, 0);
    for round in 0..100_u32 {
        let guesses = (0..100_u32).map(|n| {
            let letters = "BCDFGHJKLMNPQRSTVWXZ".as_bytes();
            let pick = |n: u32| char::from(letters[n as usize % 20]);
            let code: String = [round, round / 20, n, n / 20, 0, 0, 0, 0]
                .map(pick)
                .iter()
                .collect();
            let form = typed(&page, &code);
            let (browser, url) = (&browser, page.action("enter-code"));
            async move { browser.post(url, &form).await }
        });
        for answer in futures_util::future::join_all(guesses).await {
            match answer.status.as_u16() {
                400 => judged += 1,
                429 => {
                    refused += 1;
                    let wait: u64 = answer.header("retry-after").parse().unwrap();
                    // By clocks that were read a little apart.
                    assert!((1..=70).contains(&wait), "{wait}");
                }
                other => panic!("{other}: {answer:?}"),
            }
        }
        scene.server.clock.advance(Duration::from_secs(3));
    }
    assert_eq!(judged + refused, 10_000);
    // Five, and then ever fewer, for five minutes.
    assert!((6..30).contains(&judged), "{judged}");
    // Nor would the right one be looked at.
    let form = typed(&page, &asked.user_code);
    let answer = browser.post(page.action("enter-code"), &form).await;
    assert!([303, 429].contains(&answer.status.as_u16()));
    scene.server.stop().await;
}

async fn threat_12_the_guesses_of_a_network_count_together(stores: &Stores) {
    let mut few = config(stores);
    few.device.address_failures_before_wait = 7;
    let scene = Scene::on(few).await;
    let (mut judged, mut browsers) = (0, Vec::new());
    for n in 0..3 {
        let email = format!("guesser{n}@example.com");
        scene.server.person(&email).await;
        let browser = Browser::new(&scene.server);
        let page = browser.open(scene.url("/device")).await;
        let page = browser.sign_in_as(&page, &email, PASSWORD).await;
        browsers.push((browser, page));
    }
    for _ in 0..4 {
        for (browser, page) in &browsers {
            let form = typed(page, "BBBB-BBBB");
            let answer = browser.post(page.action("enter-code"), &form).await;
            judged += u32::from(answer.status == 400);
        }
    }
    // Seven, and the one that begins the wait.
    assert_eq!(judged, 8);
    scene.server.stop().await;
}

async fn threat_12_a_device_of_ones_own_buys_no_guesses(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let browser = scene.browser().await;
    let mut refused = false;
    for _ in 0..20 {
        let own = scene.begin("read").await;
        let entered = scene.enter(&browser, &own.user_code).await;
        let guessed = scene.enter(&browser, "BBBB-BBBB").await;
        refused |= [entered.status, guessed.status].contains(&429.try_into().unwrap());
    }
    assert!(refused);
    scene.server.stop().await;
}

async fn threat_22_forms_of_others_are_not_taken(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let asked = scene.begin("read").await;
    let browser = scene.browser().await;
    let page = browser.open(scene.url("/device")).await;
    let good = typed(&page, &asked.user_code);
    let of_another = scene.browser().await.open(scene.url("/device")).await;
    let mut forms = vec![
        ("no token", good[1..].to_vec()),
        ("another's token", typed(&of_another, &asked.user_code)),
    ];
    let consent = scene.enter(&browser, &asked.user_code).await;
    let decision = decided(&consent, "approve");
    forms.push(("the token of another form", {
        let mut form = good.clone();
        form[0] = decision[1].clone();
        form
    }));
    for (what, form) in forms {
        let answer = browser.post(page.action("enter-code"), &form).await;
        assert!(answer.has("stale-title"), "{what}: {answer:?}");
    }
    for (what, at, value) in [
        ("no token", 1, String::new()),
        ("the token of another form", 1, good[0].1.clone()),
        ("no such decision", 2, "perhaps".into()),
        ("no decision", 2, String::new()),
    ] {
        let mut form = decision.clone();
        form[at].1 = value;
        let answer = browser.post(consent.action("consent"), &form).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
    }
    for (what, header, value) in [
        ("another site", "sec-fetch-site", "cross-site"),
        ("another origin", "origin", "https://evil.example"),
    ] {
        for (url, form) in [
            (page.action("enter-code"), &good),
            (consent.action("consent"), &decision),
        ] {
            let request = scene.server.http.post(url).form(form).header(header, value);
            assert_eq!(browser.send(request).await.status, 403, "{what}");
        }
    }
    // Nobody is signed in, or no browser is known.
    let stranger = Browser::new(&scene.server);
    let answer = stranger.post(consent.action("consent"), &decision).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let pending = scene.poll(&asked).await;
    assert_eq!(pending.error(), (400, "authorization_pending"));
    scene.server.stop().await;
}

async fn a_code_that_cannot_be_used_looks_the_same_whatever_is_wrong(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let browser = scene.browser().await;
    let expired = scene.begin("read").await;
    scene.server.clock.advance(Duration::from_mins(10));
    let used = scene.begin("read").await;
    scene.decide(&used, "deny").await;
    let seen = async |user_code: &str| {
        let page = scene.enter(&browser, user_code).await;
        // The wait is another page.
        scene.server.clock.advance(Duration::from_mins(1));
        let without = page.input("csrf");
        let shown = page.input("user_code");
        let body = page.body.replace(&without, "").replace(&shown, "");
        let nonce = page.header("content-security-policy").split('\'').nth(3);
        let nonce = nonce.unwrap().trim_start_matches("nonce-");
        (
            page.status,
            body.replace(nonce, "").replace("user_code=", ""),
        )
    };
    let unknown = seen("BBBB-BBBB").await;
    assert_eq!(unknown.0, 400);
    for (what, user_code) in [
        ("expired", expired.user_code.as_str()),
        ("used", &used.user_code),
        ("no code at all", "ABC"),
    ] {
        assert_eq!(seen(user_code).await, unknown, "{what}");
    }
    scene.server.stop().await;
}

async fn the_picture_of_a_code_tells_nothing_of_it(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let asked = scene.begin("read").await;
    let browser = Browser::new(&scene.server);
    let url = asked.body["verification_uri_qr"].as_str().unwrap();
    let picture = browser.get(url).await;
    assert_eq!(picture.status, 200);
    assert_eq!(picture.header("content-type"), "image/svg+xml");
    assert!(picture.body.starts_with("<svg "), "{}", picture.body);
    assert!(browser.cookies().is_empty());
    let unknown = browser.get(scene.url("/device/qr/BBBB-BBBB")).await;
    assert_eq!(unknown.status, 200);
    assert_ne!(picture.body, unknown.body);
    for odd in ["x", "%3Cscript%3E", "BBBB-BBBB-B"] {
        let page = browser.get(scene.url(&format!("/device/qr/{odd}"))).await;
        assert_eq!(page.status, 404, "{odd}");
    }
    scene.server.stop().await;
}
