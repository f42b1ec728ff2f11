//! OpenID Connect RP-Initiated Logout 1.0.

use serde_json::{Value, json};
use url::Url;

use super::{Feature, Requirement, Standard, must};
use crate::answer::Answer;
use crate::browser::{Browser, SignedOut};
use crate::check::{Stop, Verdict, check};
use crate::jws::{self, Jws};
use crate::subject::{Registered, Subject};

const LOGOUT: &[Feature] = &[Feature::Member("end_session_endpoint")];
const REGISTERED: &[Feature] = &[
    Feature::Member("end_session_endpoint"),
    Feature::Member("authorization_endpoint"),
    Feature::Member("registration_endpoint"),
];

/// Where the app wants its people afterwards. Nothing listens there.
const AFTER: &str = "https://client.example/signed-out";

pub(super) const STANDARD: Standard = Standard {
    id: "RP-Initiated Logout",
    title: "OpenID Connect RP-Initiated Logout 1.0",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rp-initiatedlogout-2-methods",
        "2",
        "The logout endpoint takes GET and POST.",
        &[check!(get_signs_out), check!(post_signs_out)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2-signed-out",
        "2",
        "Afterwards nobody is signed in: prompt=none is answered login_required.",
        &[check!(nobody_is_signed_in)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2-hint-issued-here",
        "2",
        "An id_token_hint that the server did not issue brings nobody to the app.",
        &[check!(foreign_hint), check!(tampered_hint)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2-expired-hint",
        "2",
        "An ID token that has expired is a hint all the same.",
        &[],
    )
    .unchecked("an ID token would have to be waited for until it expires")
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2-client-id",
        "2",
        "A client_id that is not the hint's is refused.",
        &[check!(client_of_another_hint)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2-no-parameters",
        "2",
        "Without parameters the person is signed out, asked first, and stays at the server.",
        &[check!(without_parameters)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2-only-state",
        "2",
        "With state alone the person is signed out and stays at the server.",
        &[check!(with_state_alone)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2-no-redirect",
        "2",
        "Without post_logout_redirect_uri the person is signed out and stays at the server.",
        &[check!(without_redirect)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-2.1-metadata",
        "2.1",
        "end_session_endpoint is a URL, protected by TLS (this machine's own loopback excepted).",
        &[check!(look endpoint_is_protected)],
    )
    .when(LOGOUT),
    must(
        "rp-initiatedlogout-3-redirect",
        "3",
        "With a hint, the browser is sent to the registered post_logout_redirect_uri, with state exactly as it came.",
        &[check!(state_comes_back), check!(no_state_comes_back)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-3-registered",
        "3",
        "A post_logout_redirect_uri that is not exactly one of the registered ones leads nowhere.",
        &[check!(unregistered_redirect), check!(query_added)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-3-no-hint",
        "3",
        "Without a hint, and without the client's name, nobody is sent anywhere.",
        &[check!(redirect_without_hint)],
    )
    .when(REGISTERED),
    must(
        "rp-initiatedlogout-3.1-registration",
        "3.1",
        "post_logout_redirect_uris are taken and told.",
        &[check!(redirects_are_registered)],
    )
    .when(&[
        Feature::Member("end_session_endpoint"),
        Feature::Member("registration_endpoint"),
    ]),
];

/// Somebody who has signed in to the app, in a browser of their own.
struct Session<'s> {
    subject: &'s Subject,
    browser: Browser,
    client: Registered,
    id_token: String,
}

async fn app(subject: &Subject) -> Result<Registered, Stop> {
    let more = json!({ "post_logout_redirect_uris": [AFTER] });
    subject.web_app(more).await
}

async fn signed_in(subject: &Subject) -> Result<Session<'_>, Stop> {
    let client = app(subject).await?;
    let browser = subject.new_browser();
    let request = subject.authorization_of(&client)?;
    let code = request.end_in(&browser).await?.arrival()?.code()?;
    let grant = subject.redeem_as(&client, &code).await?;
    let id_token = grant.raw_id_token()?.to_owned();
    Ok(Session {
        subject,
        browser,
        client,
        id_token,
    })
}

impl Session<'_> {
    /// What a well-made request has.
    fn request(&self) -> Vec<(&'static str, String)> {
        vec![
            ("id_token_hint", self.id_token.clone()),
            ("post_logout_redirect_uri", AFTER.to_owned()),
            ("state", "a b&c=d%20e".to_owned()),
        ]
    }

    async fn sent(&self, request: &[(&str, String)]) -> Result<(SignedOut, Answer), Stop> {
        let mut url = self.subject.endpoint("end_session_endpoint")?;
        url.query_pairs_mut().extend_pairs(request);
        let out = self.browser.sign_out(&url).await;
        let out = out.map_err(|cause| self.subject.lost(&cause))?;
        let answer = self.subject.seen(&out.page);
        Ok((out, answer))
    }

    /// Nobody is signed in any more.
    async fn is_over(&self) -> Verdict {
        let request = self.subject.authorization_of(&self.client)?;
        let request = request.with("prompt", "none");
        let arrival = request.end_in(&self.browser).await?.arrival()?;
        arrival.refused(&["login_required"])
    }

    /// The request signs the person out, who stays at a page of the server.
    async fn stays(&self, request: &[(&str, String)]) -> Verdict {
        let (out, answer) = self.sent(request).await?;
        not_sent(&out, &answer)?;
        answer.require(
            answer.status < 400,
            format!("the person is shown a page with status {}", answer.status),
        )?;
        self.is_over().await
    }

    /// The request brings nobody to the app.
    async fn leads_nowhere(&self, request: &[(&str, String)]) -> Verdict {
        let (out, answer) = self.sent(request).await?;
        not_sent(&out, &answer)?;
        answer.require(
            answer.status < 500,
            format!("the person is shown a page with status {}", answer.status),
        )
    }
}

fn not_sent(out: &SignedOut, answer: &Answer) -> Verdict {
    let place = out.sent_to.as_ref().map(Url::as_str).unwrap_or_default();
    answer.require(
        out.sent_to.is_none(),
        format!("the browser was sent to {place}"),
    )
}

fn with(
    request: Vec<(&'static str, String)>,
    name: &'static str,
    value: impl Into<String>,
) -> Vec<(&'static str, String)> {
    let mut request = without(request, name);
    request.push((name, value.into()));
    request
}

fn without(mut request: Vec<(&'static str, String)>, name: &str) -> Vec<(&'static str, String)> {
    request.retain(|(given, _)| *given != name);
    request
}

/// The browser must have been sent to the app, with `state`.
fn sent_back(out: &SignedOut, answer: &Answer, state: Option<&str>) -> Verdict {
    let Some(url) = &out.sent_to else {
        return Err(answer.fail("the browser was not sent to the app"));
    };
    let mut bare = url.clone();
    bare.set_query(None);
    answer.require(
        bare.as_str() == AFTER,
        format!("the browser was sent to {bare}"),
    )?;
    let mut states = url.query_pairs().filter(|(name, _)| name == "state");
    let found = states.next().map(|(_, value)| value.into_owned());
    answer.require(
        found.as_deref() == state,
        "state is not what the request had",
    )
}

async fn get_signs_out(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    let (out, answer) = session.sent(&session.request()).await?;
    sent_back(&out, &answer, Some("a b&c=d%20e"))
}

async fn post_signs_out(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    let endpoint = subject.endpoint("end_session_endpoint")?;
    let request = session.request();
    let pairs: Vec<_> = request
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let out = session.browser.sign_out_by_post(&endpoint, &pairs).await;
    let out = out.map_err(|cause| subject.lost(&cause))?;
    sent_back(&out, &subject.seen(&out.page), Some("a b&c=d%20e"))
}

async fn nobody_is_signed_in(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    session.sent(&session.request()).await?;
    session.is_over().await
}

async fn forged_hint(subject: &Subject, forge: impl FnOnce(&Jws) -> Option<String>) -> Verdict {
    let session = signed_in(subject).await?;
    let forged = Jws::parse(&session.id_token).and_then(|genuine| forge(&genuine));
    let forged = forged.ok_or_else(|| Stop::unchecked("no forgery could be made"))?;
    let request = with(session.request(), "id_token_hint", forged);
    session.leads_nowhere(&request).await
}

async fn foreign_hint(subject: &Subject) -> Verdict {
    forged_hint(subject, |genuine| jws::forged(genuine, false)).await
}

async fn tampered_hint(subject: &Subject) -> Verdict {
    let tamper = |genuine: &Jws| Some(jws::tampered(genuine, "sid", "another".into()));
    forged_hint(subject, tamper).await
}

async fn client_of_another_hint(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    let other = subject.app()?.client_id.clone();
    let request = with(session.request(), "client_id", other);
    session.leads_nowhere(&request).await
}

async fn without_parameters(subject: &Subject) -> Verdict {
    signed_in(subject).await?.stays(&[]).await
}

async fn with_state_alone(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    session.stays(&[("state", "alone".to_owned())]).await
}

async fn without_redirect(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    let request = without(session.request(), "post_logout_redirect_uri");
    session.stays(&request).await
}

fn endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("end_session_endpoint")?;
    subject.document()?.require(
        crate::metadata::is_protected(&url),
        format!("end_session_endpoint is {url}"),
    )
}

async fn state_comes_back(subject: &Subject) -> Verdict {
    get_signs_out(subject).await
}

async fn no_state_comes_back(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    let request = without(session.request(), "state");
    let (out, answer) = session.sent(&request).await?;
    sent_back(&out, &answer, None)
}

async fn unregistered_redirect(subject: &Subject) -> Verdict {
    for other in [
        "https://stranger.example/signed-out",
        "https://client.example/signed-out/",
        "https://client.example/callback",
    ] {
        let session = signed_in(subject).await?;
        let request = with(session.request(), "post_logout_redirect_uri", other);
        session.leads_nowhere(&request).await?;
    }
    Ok(())
}

async fn query_added(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    let more = format!("{AFTER}?more=1");
    let request = with(session.request(), "post_logout_redirect_uri", more);
    session.leads_nowhere(&request).await
}

async fn redirect_without_hint(subject: &Subject) -> Verdict {
    let session = signed_in(subject).await?;
    let request = without(session.request(), "id_token_hint");
    session.leads_nowhere(&request).await
}

async fn redirects_are_registered(subject: &Subject) -> Verdict {
    let client = app(subject).await?;
    let told = client.metadata()?.get("post_logout_redirect_uris").cloned();
    client.answer.require(
        told == Some(Value::from(vec![AFTER])),
        format!("post_logout_redirect_uris is {told:?}"),
    )
}
