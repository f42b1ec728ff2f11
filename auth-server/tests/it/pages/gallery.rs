//! Every page with usual and with unusual content, as the server would send it.

use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::password::PasswordRefusal;
use auth_server::authorize::display::Display;
use auth_server::pages::{
    About, AskingDevice, ConsentPage, DecidedPage, Destination, DetailLine, DeviceNotice,
    DevicePage, ErrorPage, FormPostPage, Frame, MemberLine, ResourceLine, ScopeLine,
    SelectAccountPage, SignInNotice, SignInPage, SignOutPage, SignUpNotice, SignUpPage,
    SignedOutPage, StalePage, StartAgain, framed,
};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use shared_server::telemetry::HttpMetrics;
use shared_server::web::{self, Limits, Observed};

type Show = fn() -> Response;

/// Paths and what is there.
pub(crate) const PAGES: [(&str, Show); 42] = [
    ("/sign-in", || sign_in().into_response()),
    ("/sign-in/known", || {
        with_email("ada@example.com").into_response()
    }),
    ("/sign-in/refused", || {
        refused(SignInNotice::Credentials).into_response()
    }),
    ("/sign-in/too-many", || {
        let wait = Duration::from_secs(95);
        refused(SignInNotice::TooMany { wait }).into_response()
    }),
    ("/sign-in/unavailable", || {
        refused(SignInNotice::Unavailable).into_response()
    }),
    ("/sign-in/expired", || {
        refused(SignInNotice::Expired).into_response()
    }),
    ("/sign-in/hostile", || hostile_sign_in().into_response()),
    ("/sign-up", || sign_up().into_response()),
    ("/sign-up/email", || {
        sign_up_refused(SignUpNotice::Email).into_response()
    }),
    ("/sign-up/name", || {
        sign_up_refused(SignUpNotice::Name).into_response()
    }),
    ("/sign-up/password", || {
        sign_up_refused(SignUpNotice::Password(PasswordRefusal::TooShort)).into_response()
    }),
    ("/sign-up/taken", || {
        sign_up_refused(SignUpNotice::Taken).into_response()
    }),
    ("/sign-up/too-many", || {
        let wait = Duration::from_mins(12);
        sign_up_refused(SignUpNotice::TooMany { wait }).into_response()
    }),
    ("/sign-up/hostile", || hostile_sign_up().into_response()),
    ("/select-account", || select_account().into_response()),
    ("/select-account/nameless", || {
        nameless_account().into_response()
    }),
    ("/select-account/hostile", || {
        hostile_select_account().into_response()
    }),
    ("/consent", || consent().into_response()),
    ("/consent/small", || small_consent().into_response()),
    ("/consent/on-device", || on_device().into_response()),
    ("/consent/thirty-scopes", || thirty_scopes().into_response()),
    ("/consent/details", || detailed_consent().into_response()),
    ("/consent/hostile", || hostile_consent().into_response()),
    ("/device-consent", || device_consent().into_response()),
    ("/device-consent/hostile", || {
        hostile_device_consent().into_response()
    }),
    ("/device", || device("", None).into_response()),
    ("/device/linked", || {
        device("WDJB-MJHT", None).into_response()
    }),
    ("/device/unusable", || {
        device("WDJB-MJHT", Some(DeviceNotice::Unusable)).into_response()
    }),
    ("/device/too-many", || {
        let wait = Duration::from_secs(32);
        device("WDJB-MJHT", Some(DeviceNotice::TooMany { wait })).into_response()
    }),
    ("/device/unavailable", || {
        device("WDJB-MJHT", Some(DeviceNotice::Unavailable)).into_response()
    }),
    ("/device/hostile", || {
        device(HOSTILE, Some(DeviceNotice::Unusable)).into_response()
    }),
    ("/device/approved", || {
        decided("A television", true).into_response()
    }),
    ("/device/denied", || decided(HOSTILE, false).into_response()),
    ("/error", || error().into_response()),
    ("/stale", || stale(None).into_response()),
    ("/stale/go-on", || {
        stale(Some("/oauth/logout")).into_response()
    }),
    ("/stale/start-again", || {
        ended("Photo Album", "https://album.example.org/begin?iss=x").into_response()
    }),
    ("/stale/start-again_hostile", || {
        ended(HOSTILE, &format!("https://evil.example/?{HOSTILE}")).into_response()
    }),
    ("/form-post", || form_post().into_response()),
    ("/form-post/hostile", || hostile_form_post().into_response()),
    ("/sign-out", || sign_out().into_response()),
    ("/signed-out", || SignedOutPage.into_response()),
];

/// The pages, in their frame and behind the layers of the server.
pub(crate) fn router() -> Router {
    let issuer = "https://accounts.example.com".parse().expect("an issuer");
    let frame = Arc::new(Frame::new(&issuer, Arc::new(SystemRandom)));
    let router = PAGES
        .into_iter()
        .fold(Router::new(), |router, (path, show)| {
            router.route(path, get(move || async move { show() }))
        });
    let observed = Observed {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        metrics: HttpMetrics::register(&prometheus::Registry::new())
            .expect("a registry that is empty"),
        limits: Limits::default(),
        edge: web::Edge::default(),
        refusals: None,
    };
    web::layers(router.layer(from_fn_with_state(frame, framed)), &observed)
}

/// What must never come out as markup.
pub(crate) const HOSTILE: &str =
    "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;{{x}} \u{202e}evil";

fn sign_in() -> SignInPage {
    SignInPage {
        action: "/login".into(),
        interaction: "int_0123456789abcdefghijkl".into(),
        csrf: "token".into(),
        email: String::new(),
        client_name: Some("Photo Album".into()),
        about: About::default(),
        display: Display::Page,
        sign_up: None,
        notice: None,
    }
}

fn with_email(email: &str) -> SignInPage {
    SignInPage {
        about: about(),
        email: email.into(),
        sign_up: Some("/register?interaction=int_0123456789abcdefghijkl".into()),
        ..sign_in()
    }
}

fn refused(notice: SignInNotice) -> SignInPage {
    SignInPage {
        notice: Some(notice),
        ..with_email("ada@example.com")
    }
}

fn hostile_sign_in() -> SignInPage {
    SignInPage {
        action: format!("/login?{HOSTILE}"),
        interaction: HOSTILE.into(),
        csrf: HOSTILE.into(),
        email: HOSTILE.into(),
        client_name: Some(format!("{HOSTILE} {}", "Donaudampfschifffahrt".repeat(20))),
        about: hostile_about(),
        display: Display::Page,
        sign_up: Some(format!("/register?{HOSTILE}")),
        notice: Some(SignInNotice::Credentials),
    }
}

fn about() -> About {
    About {
        logo: Some("/clients/logo?client_id=https%3A%2F%2Fbackup.example.org%2Fapp.json".into()),
        policy: Some("https://backup.example.org/privacy".into()),
        terms: Some("https://backup.example.org/terms".into()),
        name_lang: Some("de-CH".into()),
    }
}

/// A picture is at a path that this server makes.
fn hostile_about() -> About {
    About {
        logo: None,
        policy: Some(format!("https://evil.example/?{HOSTILE}")),
        terms: Some(format!("https://evil.example/?{HOSTILE}")),
        name_lang: Some(HOSTILE.into()),
    }
}

fn line(name: &str, description: &str) -> ScopeLine {
    ScopeLine {
        name: name.into(),
        description: description.into(),
    }
}

fn photos(scopes: Vec<ScopeLine>) -> ResourceLine {
    ResourceLine {
        name: "Photos".into(),
        identifier: "https://photos.example.com/v1".into(),
        scopes,
        details: Vec::new(),
    }
}

fn consent() -> ConsentPage {
    ConsentPage {
        action: "/consent".into(),
        hidden: ("interaction", "int_0123456789abcdefghijkl".into()),
        csrf: "token".into(),
        client_name: "Photo Album".into(),
        client_host: None,
        about: About::default(),
        display: Display::Page,
        destination: Destination::Host("album.example.org".into()),
        account_email: "ada@example.com".into(),
        another_account: Some("/login?interaction=int_0123456789abcdefghijkl&another=1".into()),
        scopes: vec![
            line("profile", "See your name"),
            line("email", "See your email address"),
        ],
        resources: vec![photos(vec![
            line("photos:read", "Look at your photos and albums"),
            line("photos:write", "Add photos to your albums"),
        ])],
        offline: true,
    }
}

fn small_consent() -> ConsentPage {
    ConsentPage {
        scopes: vec![line("openid", "Know that it is you")],
        resources: Vec::new(),
        offline: false,
        ..consent()
    }
}

fn device_consent() -> ConsentPage {
    ConsentPage {
        action: "/device/confirm".into(),
        hidden: ("user_code", "WDJB-MJHT".into()),
        client_name: "A television".into(),
        destination: Destination::Device(AskingDevice {
            user_code: "WDJB-MJHT".into(),
            address: "2001:db8:85a3::8a2e:370:7334".into(),
            user_agent: Some("Television/1 (living room)".into()),
            age: Duration::from_secs(40),
        }),
        another_account: None,
        offline: true,
        ..consent()
    }
}

fn hostile_device_consent() -> ConsentPage {
    ConsentPage {
        hidden: ("user_code", HOSTILE.into()),
        destination: Destination::Device(AskingDevice {
            user_code: HOSTILE.into(),
            address: "192.0.2.1".into(),
            user_agent: Some(HOSTILE.into()),
            age: Duration::ZERO,
        }),
        another_account: None,
        ..hostile_consent()
    }
}

fn device(user_code: &str, notice: Option<DeviceNotice>) -> DevicePage {
    DevicePage {
        action: "/device".into(),
        csrf: "c2VjcmV0".into(),
        user_code: user_code.into(),
        account_email: "ada@example.com".into(),
        another_account: "/device?user_code=&another=1".into(),
        notice,
    }
}

fn decided(client_name: &str, approved: bool) -> DecidedPage {
    DecidedPage {
        client_name: client_name.into(),
        name_lang: None,
        approved,
    }
}

fn on_device() -> ConsentPage {
    ConsentPage {
        client_host: Some("backup.example.org".into()),
        about: about(),
        destination: Destination::ThisDevice("127.0.0.1:51004".into()),
        client_name: "backup".into(),
        resources: vec![photos(Vec::new())],
        ..consent()
    }
}

fn thirty_scopes() -> ConsentPage {
    let scopes = (1..=30)
        .map(|n| line(&format!("photos:{n}"), &format!("Do the thing that is number {n} of the many that one can do with photos, albums and frames")))
        .collect();
    ConsentPage {
        client_name: "The Association of Amateur Photographers and Album Makers of the Greater Metropolitan Area".into(),
        account_email: "augusta.ada.king-noel.countess.of.lovelace@mathematics.analytical-engine.example.com".into(),
        destination: Destination::Host("a-very-long-name-of-a-host.within-a-very-long-domain.of-an-organization.example.org:8443".into()),
        resources: vec![photos(scopes), photos(Vec::new())],
        ..consent()
    }
}

fn detailed_consent() -> ConsentPage {
    let payment = |amount: &str, to: &str| DetailLine {
        name: "payment_initiation".into(),
        description: "Pay from one of your accounts".into(),
        members: vec![
            member("Identifier", &["DE02 1001 0010 0109 3071 18"]),
            member("Actions", &["initiate", "status", "cancel"]),
            member("Where", &["https://api.bank.example/payments"]),
            member("instructedAmount \u{203a} amount", &[amount]),
            member("instructedAmount \u{203a} currency", &["EUR"]),
            member("creditorName", &[to]),
        ],
    };
    ConsentPage {
        client_name: "Book shop".into(),
        scopes: Vec::new(),
        resources: vec![ResourceLine {
            name: "Example Bank".into(),
            identifier: "https://api.bank.example/payments".into(),
            scopes: vec![line("accounts", "See your accounts")],
            details: vec![
                payment("123.50", "Merchant A"),
                payment(
                    "4.00",
                    "The Association of Amateur Photographers and Album Makers",
                ),
                DetailLine {
                    name: "statement".into(),
                    description: "Fetch one statement".into(),
                    members: Vec::new(),
                },
            ],
        }],
        offline: false,
        ..consent()
    }
}

fn member(label: &str, values: &[&str]) -> MemberLine {
    MemberLine {
        label: label.into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn hostile_consent() -> ConsentPage {
    ConsentPage {
        action: HOSTILE.into(),
        hidden: ("interaction", HOSTILE.into()),
        csrf: HOSTILE.into(),
        client_name: format!("{HOSTILE} {}", "x".repeat(300)),
        client_host: Some(HOSTILE.into()),
        about: hostile_about(),
        display: Display::Page,
        destination: Destination::Host(HOSTILE.into()),
        account_email: HOSTILE.into(),
        another_account: Some(format!("/login?{HOSTILE}")),
        scopes: vec![line(HOSTILE, HOSTILE)],
        resources: vec![ResourceLine {
            name: HOSTILE.into(),
            identifier: format!("https://{}.example/", "y".repeat(200)),
            scopes: vec![line(HOSTILE, HOSTILE)],
            details: vec![DetailLine {
                name: HOSTILE.into(),
                description: HOSTILE.into(),
                members: vec![member(HOSTILE, &[HOSTILE, "z".repeat(300).as_str()])],
            }],
        }],
        offline: true,
    }
}

fn error() -> ErrorPage {
    ErrorPage {
        status: StatusCode::BAD_REQUEST,
        title: "This app sent a request that cannot be answered".into(),
        message: "The app asked to send you to a place that it did not register.".into(),
    }
}

fn stale(go_on: Option<&str>) -> StalePage {
    StalePage {
        message: "Something changed in another tab. Nothing was done.".into(),
        go_on: go_on.map(str::to_owned),
        start_again: None,
    }
}

fn ended(client_name: &str, url: &str) -> StalePage {
    StalePage {
        message: "This sign-in has ended.".into(),
        go_on: None,
        start_again: Some(StartAgain {
            client_name: client_name.into(),
            url: url.into(),
        }),
    }
}

fn sign_up() -> SignUpPage {
    SignUpPage {
        action: "/register".into(),
        interaction: "int_0123456789abcdefghijkl".into(),
        csrf: "token".into(),
        email: String::new(),
        name: String::new(),
        client_name: Some("Photo Album".into()),
        about: about(),
        display: Display::Page,
        sign_in: "/login?interaction=int_0123456789abcdefghijkl&another=1".into(),
        notice: None,
    }
}

fn sign_up_refused(notice: SignUpNotice) -> SignUpPage {
    SignUpPage {
        email: "ada@example.com".into(),
        name: "Ada Lovelace".into(),
        notice: Some(notice),
        ..sign_up()
    }
}

fn hostile_sign_up() -> SignUpPage {
    SignUpPage {
        action: format!("/register?{HOSTILE}"),
        interaction: HOSTILE.into(),
        csrf: HOSTILE.into(),
        email: HOSTILE.into(),
        name: HOSTILE.into(),
        client_name: Some(format!("{HOSTILE} {}", "Donaudampfschifffahrt".repeat(20))),
        about: hostile_about(),
        display: Display::Popup,
        sign_in: format!("/login?{HOSTILE}"),
        notice: Some(SignUpNotice::Taken),
    }
}

fn select_account() -> SelectAccountPage {
    SelectAccountPage {
        action: "/select-account".into(),
        interaction: "int_0123456789abcdefghijkl".into(),
        csrf: "token".into(),
        client_name: Some("Photo Album".into()),
        about: about(),
        display: Display::Touch,
        account_name: Some("Ada Lovelace".into()),
        account_email: "ada@example.com".into(),
        another_account: "/login?interaction=int_0123456789abcdefghijkl&another=1".into(),
    }
}

fn nameless_account() -> SelectAccountPage {
    SelectAccountPage {
        client_name: None,
        about: About::default(),
        display: Display::Wap,
        account_name: None,
        account_email:
            "augusta.ada.king-noel.countess.of.lovelace@mathematics.analytical-engine.example.com"
                .into(),
        ..select_account()
    }
}

fn hostile_select_account() -> SelectAccountPage {
    SelectAccountPage {
        action: HOSTILE.into(),
        interaction: HOSTILE.into(),
        csrf: HOSTILE.into(),
        client_name: Some(HOSTILE.into()),
        about: hostile_about(),
        display: Display::Page,
        account_name: Some(HOSTILE.into()),
        account_email: HOSTILE.into(),
        another_account: format!("/login?{HOSTILE}"),
    }
}

fn form_post() -> FormPostPage {
    FormPostPage {
        action: "https://album.example.org/callback".into(),
        parameters: vec![
            ("code".into(), "abc".into()),
            ("state".into(), "xyz".into()),
        ],
    }
}

fn hostile_form_post() -> FormPostPage {
    FormPostPage {
        action: format!("https://album.example.org/callback?{HOSTILE}"),
        parameters: vec![
            ("state".into(), HOSTILE.into()),
            (HOSTILE.into(), "line\r\nbreak\u{0}\u{2028}</script>".into()),
        ],
    }
}

fn sign_out() -> SignOutPage {
    SignOutPage {
        action: "/oauth/logout".into(),
        csrf: "token".into(),
        email: "ada@example.com".into(),
        client_name: None,
        leads_on: false,
        parameters: Vec::new(),
    }
}
