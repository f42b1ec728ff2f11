//! The demo app, used as a browser without scripts uses it.

use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind};
use shared_protocol::time::{Clock as _, SystemClock};

use crate::forms::{Person, Visited};
use crate::operator::Operator;
use crate::process::{Place, http, send};

/// Somebody who came back from the authorization server, before the app saw the answer.
async fn answered(place: &Place) -> (Person, Visited) {
    let mut person = Person::until(&place.app("/callback"));
    let answer = person.sign_in(place, &place.app("/start")).await;
    // From here on the app's own pages are loaded.
    person.until = "nowhere".into();
    (person, answer)
}

#[tokio::test]
async fn a_person_signs_in_reads_refreshes_and_signs_out() {
    let place = Place::new();
    let running = place.start(&[]);
    let (mut person, answer) = answered(&place).await;
    let page = person.visit(answer.url.as_str()).await;
    assert_eq!(
        page.url.as_str(),
        place.app("/"),
        "no code stays in the address"
    );
    assert!(
        page.has("id-token") && page.has("userinfo"),
        "{}",
        page.html
    );
    for shown in [
        "me-status\">200<",
        "userinfo-status\">200<",
        "refreshed\">0<",
    ] {
        assert!(page.html.contains(shown), "{shown}: {}", page.html);
    }
    for shown in [
        "demo@example.com",
        "&#34;type&#34;: &#34;person&#34;",
        "usr_",
    ] {
        assert!(page.html.contains(shown), "{shown}: {}", page.html);
    }

    let page = submit(&mut person, &page, "/refresh").await;
    assert!(page.html.contains("refreshed\">1<"), "{}", page.html);
    assert!(page.html.contains("me-status\">200<"), "{}", page.html);

    let page = submit(&mut person, &page, "/sign-out").await;
    assert!(page.has("sign-in") && !page.has("me"), "{}", page.html);
    assert_eq!(running.log(), "");
}

/// Presses the button of the form that goes to `action`; the page's forms have no ids.
async fn submit(person: &mut Person, page: &Visited, action: &str) -> Visited {
    fill_in(person, page, action, &[]).await
}

async fn fill_in(
    person: &mut Person,
    page: &Visited,
    action: &str,
    fill: &[(&str, &str)],
) -> Visited {
    let marked = page.html.replace(
        &format!("<form method=\"post\" action=\"{action}\">"),
        &format!("<form id=\"wanted\" method=\"post\" action=\"{action}\">"),
    );
    let marked = marked.replace(
        &format!("<form class=\"actions\" method=\"post\" action=\"{action}\">"),
        &format!("<form id=\"wanted\" method=\"post\" action=\"{action}\">"),
    );
    let marked = Visited {
        url: page.url.clone(),
        status: page.status,
        html: marked,
    };
    person.submit(&marked, "wanted", fill).await
}

/// What the API needs, what the authorization server does for it, and what the app makes of both.
#[tokio::test]
async fn rfc9470_the_api_wants_a_sign_in_and_gets_it() {
    let place = Place::new();
    let (weak, recent) = ("urn:example:weak", "urn:example:recent");
    let level = |name: &str| format!("[[acr]]\nvalue = \"{name}\"\namr = [\"pwd\"]\n");
    let auth = format!("{}{}within = \"1s\"\n", level(weak), level(recent));
    let api = format!("[step_up]\nacr_values = [\"{recent}\"]\nmax_age = \"1h\"\n");
    let [auth, api] = [("auth.toml", auth), ("api.toml", api)].map(|(name, text)| {
        std::fs::write(place.file(name), text).unwrap();
        place.file(name).to_str().unwrap().to_owned()
    });
    let running = place.start(&["--auth-config", &auth, "--api-config", &api]);
    let mut person = Person::until("nowhere");
    let mut page = person.sign_in_at_the_app(&place).await;
    // Good enough at once: nobody is asked for more.
    let named = fill_in(&mut person, &page, "/rename", &[("name", "Ada")]).await;
    if named.has("me") {
        assert!(named.html.contains("&#34;display_name&#34;: &#34;Ada&#34;"));
    }
    while !page.html.contains(weak) {
        page = person.sign_in_at_the_app(&place).await;
        assert!(page.has("me"), "{}", page.html);
    }
    let asked = fill_in(&mut person, &page, "/rename", &[("name", "Grace")]).await;
    assert!(asked.has("sign-in"), "{}", asked.html);
    let demo = place.demo();
    let text = |name: &str| demo["person"][name].as_str().unwrap().to_owned();
    let (email, password) = (text("email"), text("password"));
    let fill = [("email", email.as_str()), ("password", password.as_str())];
    let agreed = person.submit(&asked, "sign-in", &fill).await;
    let page = person
        .submit(&agreed, "consent", &[("decision", "approve")])
        .await;
    for shown in ["&#34;display_name&#34;: &#34;Grace&#34;", recent] {
        assert!(page.html.contains(shown), "{shown}: {}", page.html);
    }
    assert_eq!(running.log(), "");
}

/// Spoils an answer, or who brings it.
type Edit = fn(&mut Person, &mut Vec<(String, String)>);

#[tokio::test]
async fn rfc6749_10_12_and_rfc9207_an_answer_that_was_not_asked_for_is_refused() {
    let place = Place::new();
    let _running = place.start(&[]);
    let edits: [(&str, Edit); 7] = [
        ("another browser", |person, _| person.cookies.clear()),
        ("another state", |_, pairs| replace(pairs, "state", "x")),
        ("no state", |_, pairs| {
            pairs.retain(|(key, _)| key != "state");
        }),
        ("state twice", |_, pairs| {
            let again = pairs
                .iter()
                .find(|(key, _)| key == "state")
                .unwrap()
                .clone();
            pairs.push(again);
        }),
        ("another issuer", |_, pairs| {
            replace(pairs, "iss", "http://localhost:1");
        }),
        ("no issuer", |_, pairs| {
            pairs.retain(|(key, _)| key != "iss");
        }),
        ("no code", |_, pairs| pairs.retain(|(key, _)| key != "code")),
    ];
    for (what, edit) in edits {
        let (mut person, answer) = answered(&place).await;
        let mut pairs: Vec<(String, String)> = answer
            .url
            .query_pairs()
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        edit(&mut person, &mut pairs);
        let mut url = answer.url.clone();
        url.query_pairs_mut().clear().extend_pairs(&pairs);
        let refused = person.visit(url.as_str()).await;
        assert!(refused.has("error-message"), "{what}: {}", refused.html);
        assert!(!refused.status.is_success(), "{what}");
        let front = person.visit(&place.app("/")).await;
        assert!(front.has("sign-in"), "{what}: {}", front.html);
    }
}

fn replace(pairs: &mut [(String, String)], name: &str, value: &str) {
    pairs.iter_mut().find(|(key, _)| key == name).unwrap().1 = value.into();
}

#[tokio::test]
async fn an_answer_is_taken_once() {
    let place = Place::new();
    let _running = place.start(&[]);
    let (mut person, answer) = answered(&place).await;
    let before = person.cookies.clone();
    assert!(person.visit(answer.url.as_str()).await.has("me"));
    assert_ne!(person.cookies, before, "a new name for the visit");
    person.cookies = before;
    let again = person.visit(answer.url.as_str()).await;
    assert_eq!(again.status, 400);
}

#[tokio::test]
async fn what_an_answer_says_is_escaped() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut person = Person::until(&place.auth("/oauth/authorize"));
    let started = person.visit(&place.app("/start")).await;
    let state = started.parameter("state").unwrap();
    let mut url = url::Url::parse(&place.app("/callback")).unwrap();
    url.query_pairs_mut()
        .append_pair("state", &state)
        .append_pair("iss", &place.auth(""))
        .append_pair("error", "<script>alert(1)</script>")
        .append_pair("error_description", "\"><img src=x onerror=alert(1)>");
    let page = person.visit(url.as_str()).await;
    assert_eq!(page.status, 400);
    assert!(!page.html.contains("<script") && !page.html.contains("<img"));
    assert!(page.has("error"), "{}", page.html);
}

#[tokio::test]
async fn a_form_from_elsewhere_changes_nothing() {
    let place = Place::new();
    let _running = place.start(&[]);
    let (mut person, answer) = answered(&place).await;
    person.visit(answer.url.as_str()).await;
    let cookie: Vec<_> = person
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for path in ["/refresh", "/sign-out"] {
        for form in [&[][..], &[("form", "")], &[("form", "a guess")]] {
            let request = http()
                .post(place.app(path))
                .header("cookie", cookie.join("; "));
            assert_eq!(send(request.form(form)).await.status(), 400, "{path}");
        }
    }
    assert!(person.visit(&place.app("/")).await.has("me"));
}

#[tokio::test]
async fn its_pages_hold_nothing_that_another_site_could_use() {
    let place = Place::new();
    let _running = place.start(&[]);
    let response = send(http().get(place.app("/"))).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
}

/// What the page says of the ID token.
fn shown_id_token(page: &Visited) -> Value {
    let (_, after) = page.html.split_once("<pre id=\"id-token\">").unwrap();
    let (shown, _) = after.split_once("</pre>").unwrap();
    serde_json::from_str(&shown.replace("&#34;", "\"")).unwrap()
}

#[tokio::test]
async fn oidc_back_channel_2_6_only_a_logout_token_of_the_server_ends_a_visit() {
    let place = Place::new();
    let running = place.start(&[]);
    let operator = Operator::at(&place).await;
    let hear = async |form: &[(&str, &str)]| {
        let request = http().post(place.app("/back-channel-logout")).form(form);
        let answer = send(request).await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer.status().as_u16()
    };
    let event = "http://schemas.openid.net/event/backchannel-logout";
    for (n, by) in ["sid", "sub"].into_iter().enumerate() {
        let (mut person, answer) = answered(&place).await;
        let page = person.visit(answer.url.as_str()).await;
        let id_token = shown_id_token(&page);
        let now = SystemClock.now().as_secs();
        let mut good = json!({
            "iss": id_token["iss"],
            "aud": id_token["aud"],
            "iat": now,
            "exp": now + 120,
            "jti": format!("jti-{n}"),
            "events": {event: {}},
        });
        good[by] = id_token[by].clone();
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        let without = |name: &str| {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(name);
            claims
        };
        for (what, claims) in [
            (
                "of another issuer",
                with("iss", json!("http://localhost:1")),
            ),
            ("for another client", with("aud", json!("another"))),
            ("for two", with("aud", json!(["another", id_token["aud"]]))),
            ("expired", with("exp", json!(now - 120))),
            ("of the future", with("iat", json!(now + 600))),
            ("with a nonce", with("nonce", json!("n"))),
            ("of another event", with("events", json!({"x": {}}))),
            ("of no event", without("events")),
            ("about nobody", without(by)),
            ("without a name", without("jti")),
        ] {
            let token = operator
                .signed(JwtKind::LogoutToken, Algorithm::Rs256, &claims)
                .await;
            assert_eq!(hear(&[("logout_token", &token)]).await, 400, "{what}");
        }
        let id = operator
            .signed(JwtKind::IdToken, Algorithm::Rs256, &good)
            .await;
        let token = operator
            .signed(JwtKind::LogoutToken, Algorithm::Rs256, &good)
            .await;
        let cut = &token[..token.len() - 4];
        for (what, form) in [
            ("an ID token", &[("logout_token", id.as_str())][..]),
            ("cut", &[("logout_token", cut)]),
            ("none", &[("logout_token", "x")]),
            ("nothing", &[]),
            (
                "twice",
                &[("logout_token", &token), ("logout_token", &token)],
            ),
        ] {
            assert_eq!(hear(form).await, 400, "{what}");
        }
        let stranger = with("jti", json!(format!("of-another-{n}")));
        let mut stranger = stranger;
        stranger[by] = json!("somebody else");
        let other = operator
            .signed(JwtKind::LogoutToken, Algorithm::Rs256, &stranger)
            .await;
        assert_eq!(hear(&[("logout_token", &other)]).await, 200);
        assert!(person.visit(&place.app("/")).await.has("me"), "still there");

        assert_eq!(hear(&[("logout_token", &token)]).await, 200, "{by}");
        let front = person.visit(&place.app("/")).await;
        assert!(front.has("sign-in"), "{by}: {}", front.html);
        assert_eq!(hear(&[("logout_token", &token)]).await, 400, "{by}: once");
    }
    assert_eq!(running.log(), "");
}

#[tokio::test]
async fn who_signs_out_at_the_server_is_signed_out_at_the_app() {
    let place = Place::new();
    let running = place.start(&[]);
    let (mut person, answer) = answered(&place).await;
    assert!(person.visit(answer.url.as_str()).await.has("me"));
    let question = person.visit(&place.auth("/oauth/logout")).await;
    let gone = person.submit(&question, "sign-out", &[]).await;
    assert!(gone.has("signed-out"), "{}", gone.html);
    assert!(person.visit(&place.app("/")).await.has("sign-in"));
    // Nobody left with this.
    for state in ["", "?state=x", "?state=x&state=x"] {
        let refused = person
            .visit(&place.app(&format!("/signed-out{state}")))
            .await;
        assert_eq!(refused.status, 400, "{state}");
    }
    assert_eq!(running.log(), "");
}
