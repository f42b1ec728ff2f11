//! Pages: what they say, under which policy, and signing out.

mod gallery;
mod sign_out;

use gallery::PAGES;
use reqwest::header::HeaderMap;

/// The pages on a port of their own.
struct Gallery {
    origin: String,
    http: reqwest::Client,
}

impl Gallery {
    async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, gallery::router()).await });
        Self {
            origin,
            http: reqwest::Client::new(),
        }
    }

    async fn page(&self, path: &str) -> (u16, HeaderMap, String) {
        let request = self.http.get(format!("{}{path}", self.origin));
        let request = request.header("x-request-id", "the-request");
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.text().await.unwrap())
    }
}

fn policy(headers: &HeaderMap) -> &str {
    headers["content-security-policy"].to_str().unwrap()
}

/// The nonce of a policy; each that it names must be the same.
fn nonce(policy: &str) -> &str {
    let mut nonces = policy
        .split("'nonce-")
        .skip(1)
        .map(|rest| rest.split_once('\'').unwrap().0);
    let nonce = nonces.next().unwrap();
    assert!(nonces.all(|other| other == nonce), "{policy}");
    nonce
}

/// What an editor would not show, or would show somewhere else, by its number.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{2028}' | '\u{202e}' => c.escape_unicode().to_string(),
            c if c.is_control() && c != '\n' => c.escape_unicode().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[tokio::test]
async fn pages_are_these() {
    let gallery = Gallery::open().await;
    for (path, _) in PAGES {
        let (_, headers, body) = gallery.page(path).await;
        let body = body.replace(nonce(policy(&headers)), "NONCE");
        // The style is the same everywhere, and no diff of it can be judged by reading.
        let (before, rest) = body.split_once("<style nonce=\"NONCE\">").unwrap();
        let (_, after) = rest.split_once("</style>").unwrap();
        let name = path.trim_start_matches('/').replace('/', "_");
        let page = format!("{before}<style nonce=\"NONCE\">\u{2026}</style>{after}");
        insta::assert_snapshot!(name, visible(&page));
    }
}

#[tokio::test]
async fn csp3_pages_load_nothing_and_are_never_framed() {
    let gallery = Gallery::open().await;
    for (path, _) in PAGES {
        let (status, headers, body) = gallery.page(path).await;
        let expected_status = if path.starts_with("/error") || path.starts_with("/stale") {
            400
        } else {
            200
        };
        assert_eq!(status, expected_status, "{path}");
        let policy = policy(&headers);
        let nonce = nonce(policy);
        assert_eq!(nonce.len(), 22, "{path}");
        let base = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
        );
        // Where the answer to a form may be a redirect to a client, Chromium would hold `form-action` against that.
        let expected = match path.split('/').nth(1) {
            Some("sign-in" | "sign-up" | "select-account" | "consent") => {
                format!("{base}; script-src 'nonce-{nonce}'; img-src 'self'")
            }
            Some("device-consent") => {
                format!("{base}; script-src 'nonce-{nonce}'; img-src 'self'; form-action 'self'")
            }
            Some("form-post") => format!("{base}; script-src 'nonce-{nonce}'"),
            _ => format!("{base}; form-action 'self'"),
        };
        assert_eq!(policy, expected, "{path}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(headers[name], value, "{path}: {name}");
            assert_eq!(headers.get_all(name).iter().count(), 1, "{path}: {name}");
        }
        // A client that opened a window for the sign-in must find it again.
        assert!(
            !headers.contains_key("cross-origin-opener-policy"),
            "{path}"
        );
        let scripts = body.matches("<script").count();
        assert_eq!(
            scripts,
            usize::from(policy.contains("script-src")),
            "{path}"
        );
        assert!(
            !body.contains("style="),
            "{path}: an inline style does nothing"
        );
        let own = body.matches(" src=\"/clients/logo?client_id=").count();
        assert_eq!(body.matches(" src=\"").count(), own, "{path}");
        assert!(!body.contains("http-equiv"), "{path}");
        let away = body.matches("target=\"_blank\"").count();
        let guarded = "target=\"_blank\" rel=\"noopener noreferrer\"";
        assert_eq!(body.matches(guarded).count(), away, "{path}");
    }
}

#[tokio::test]
async fn no_two_pages_share_a_nonce() {
    let gallery = Gallery::open().await;
    let (_, first, _) = gallery.page("/sign-in").await;
    let (_, second, _) = gallery.page("/sign-in").await;
    assert_ne!(nonce(policy(&first)), nonce(policy(&second)));
}

/// Threat 2.
#[tokio::test]
async fn what_others_wrote_comes_out_as_text() {
    let gallery = Gallery::open().await;
    for path in [
        "/sign-in/hostile",
        "/sign-up/hostile",
        "/select-account/hostile",
        "/consent/hostile",
        "/form-post/hostile",
        "/stale/start-again_hostile",
    ] {
        let (_, headers, body) = gallery.page(path).await;
        let ours = format!("<script nonce=\"{}\">", nonce(policy(&headers)));
        let scripts = body.matches("<script").count() - body.matches(&ours).count();
        assert_eq!(scripts, 0, "{path}");
        assert!(!body.contains("<img"), "{path}");
        assert!(!body.contains("onerror='"), "{path}");
        assert!(body.contains("&#60;script&#62;alert(1)"), "{path}");
        assert!(
            body.contains("&#38;amp;{{x}}"),
            "{path}: escaped once, and no template"
        );
    }
}

#[tokio::test]
async fn form_post_mode_2_values_arrive_unchanged() {
    let gallery = Gallery::open().await;
    let (_, _, body) = gallery.page("/form-post/hostile").await;
    let (_, rest) = body.split_once("name=\"state\" value=\"").unwrap();
    let (value, _) = rest.split_once('"').unwrap();
    let decoded = value
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&");
    assert_eq!(decoded, gallery::HOSTILE);
}

#[tokio::test]
async fn an_error_names_its_request_and_other_pages_do_not() {
    let gallery = Gallery::open().await;
    for (path, named) in [("/error", true), ("/sign-in", false), ("/consent", false)] {
        let (_, headers, body) = gallery.page(path).await;
        assert_eq!(headers["x-request-id"], "the-request");
        assert_eq!(body.contains("the-request"), named, "{path}");
    }
}

/// Outside test suites drive the pages by these.
#[tokio::test]
async fn elements_keep_their_ids() {
    let gallery = Gallery::open().await;
    for (path, ids) in [
        (
            "/sign-in",
            &["sign-in", "email", "password", "sign-in-submit"][..],
        ),
        ("/sign-in/known", &["sign-up-link"]),
        (
            "/sign-up",
            &[
                "sign-up",
                "email",
                "name",
                "password",
                "sign-up-submit",
                "sign-in-link",
            ],
        ),
        (
            "/select-account",
            &[
                "select-account",
                "continue-as",
                "account-email",
                "another-account",
            ],
        ),
        ("/consent", &["consent", "approve", "deny"]),
        ("/stale/start-again", &["start-again"]),
        ("/error", &["error-title", "error-message"]),
        ("/form-post", &["form-post", "continue"]),
        ("/sign-out", &["sign-out", "sign-out-submit"]),
        ("/signed-out", &["signed-out"]),
    ] {
        let (_, _, body) = gallery.page(path).await;
        for id in ids {
            let count = body.matches(&format!(" id=\"{id}\"")).count();
            assert_eq!(count, 1, "{path}: #{id}");
        }
    }
}
