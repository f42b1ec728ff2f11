//! RFC 8252: native apps.

use url::Url;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::metadata::is_loopback;
use crate::subject::{Authorization, Subject};

const CODE: &[Feature] = &[
    Feature::Grant("authorization_code"),
    Feature::Member("authorization_endpoint"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 8252",
    title: "OAuth 2.0 for Native Apps",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc8252-7.3-any-port",
        "7.3",
        "Any port may be named in the request for a redirection URI at a loopback IP address.",
        &[check!(any_port)],
    )
    .when(CODE),
    should(
        "rfc8252-8.1-pkce",
        "8.1",
        "A request of a native app that does not use PKCE is refused.",
        &[check!(pkce_is_demanded)],
    )
    .when(CODE),
    must(
        "rfc8252-8.4-exact",
        "8.4",
        "But for that port, a redirection URI that differs from the registered one is refused.",
        &[check!(only_the_port_may_differ)],
    )
    .when(CODE),
    should(
        "rfc8252-8.6-consent",
        "8.6",
        "An app whose identity nothing assures gets nothing without the person's consent or interaction.",
        &[check!(consent_is_asked_again)],
    )
    .when(CODE),
];

/// The redirection URI of the app when it is at a loopback IP address.
fn loopback(subject: &Subject) -> Result<Url, Stop> {
    let registered = Url::parse(&subject.app()?.redirect_uri).ok();
    registered
        .filter(|url| url.scheme() == "http" && url.domain().is_none() && is_loopback(url))
        .ok_or_else(|| Stop::unchecked("the app has no redirection URI at a loopback IP address"))
}

fn at<'s>(subject: &'s Subject, redirect_uri: &Url) -> Result<Authorization<'s>, Stop> {
    Ok(subject
        .authorization()?
        .with("redirect_uri", redirect_uri.as_str()))
}

async fn any_port(subject: &Subject) -> Verdict {
    let registered = loopback(subject)?;
    for port in [1024, 49_152, 65_535] {
        let mut asked = registered.clone();
        let _ = asked.set_port(Some(port));
        let arrival = at(subject, &asked)?.arrive().await?;
        let arrived = arrival.redirected.url.port();
        arrival.answer.require(
            arrived == Some(port),
            format!("asked for port {port}, sent to {arrived:?}"),
        )?;
        subject.redeem(&arrival.code()?).await?;
    }
    Ok(())
}

async fn only_the_port_may_differ(subject: &Subject) -> Verdict {
    let registered = loopback(subject)?;
    let edits: [fn(&mut Url); 6] = [
        |url| url.set_path(&format!("{}/more", url.path())),
        |url| url.set_query(Some("more=1")),
        |url| {
            let _ = url.set_scheme("https");
        },
        |url| {
            let _ = url.set_username("more");
        },
        |url| {
            let _ = url.set_host(Some("127.0.0.2"));
        },
        |url| {
            let _ = url.set_host(Some("127.0.0.1.stranger.example"));
        },
    ];
    for edit in edits {
        let mut asked = registered.clone();
        edit(&mut asked);
        super::rfc9700::stays_at_the_server(at(subject, &asked)?).await?;
    }
    Ok(())
}

async fn pkce_is_demanded(subject: &Subject) -> Verdict {
    loopback(subject)?;
    let request = subject.authorization()?.without_challenge();
    request.yields_no_code().await
}

/// Another program of the machine may listen at the port. The first request is the person's, the second could be its.
async fn consent_is_asked_again(subject: &Subject) -> Verdict {
    loopback(subject)?;
    subject.authorization()?.code().await?;
    let arrival = subject.authorization()?.arrive().await?;
    let pages = arrival.redirected.consents + arrival.redirected.sign_ins;
    arrival.answer.require(
        pages > 0 || arrival.parameter("code").is_none(),
        "a code was issued without consent",
    )
}
