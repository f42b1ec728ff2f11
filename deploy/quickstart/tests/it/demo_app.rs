//! The demo app, used as a browser without scripts uses it.

use crate::forms::{Person, Visited};
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
