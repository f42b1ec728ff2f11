//! The code flow, attacked (RFC 9700 §2.1, §4).

use crate::catalogue::rfc7636::code_without_challenge;
use crate::check::{Stop, Verdict};
use crate::subject::{Authorization, Ending, Subject};

pub(super) async fn no_cors_at_authorize(subject: &Subject) -> Verdict {
    let request = subject.get(&subject.endpoint("authorization_endpoint")?);
    let answer = request
        .header("origin", "https://stranger.example")
        .send()
        .await?;
    answer.require(
        answer.header("access-control-allow-origin").is_none(),
        "there is Access-Control-Allow-Origin",
    )
}

pub(super) async fn no_open_redirector(subject: &Subject) -> Verdict {
    for target in [
        "https://stranger.example/",
        "//stranger.example/",
        "javascript:alert(1)",
    ] {
        let request = subject.get(&subject.endpoint("authorization_endpoint")?);
        let request = request
            .query("response_type", "code")
            .query("client_id", "no-such-client");
        let answer = request.query("redirect_uri", target).send().await?;
        let location = answer.header("location").unwrap_or_default();
        answer.require(
            !location.starts_with(target),
            "redirected to an unproven redirect_uri",
        )?;
    }
    Ok(())
}

/// The request, whose redirection URI is not registered, must end at a page (RFC 6749 §3.1.2.4).
pub(in crate::catalogue) async fn stays_at_the_server(request: Authorization<'_>) -> Verdict {
    let asked = request.redirect_uri();
    match request.end().await? {
        Ending::Page(answer) => answer.require(
            (400..500).contains(&answer.status),
            format!("{asked} was answered {}", answer.status),
        ),
        Ending::App(arrival) => {
            let reason = format!("the browser was sent to {asked}, which is not registered");
            Err(arrival.answer.fail(reason))
        }
    }
}

pub(super) async fn similar_redirects_stay_here(subject: &Subject) -> Verdict {
    let registered = subject.app()?.redirect_uri.as_str();
    let (scheme, rest) = registered.split_once(':').unwrap_or_default();
    for similar in [
        format!("{registered}/"),
        format!("{registered}/../other"),
        format!("{registered}%2f"),
        format!("{registered}?more=1"),
        format!("{registered}#fragment"),
        format!("{}:{rest}", scheme.to_uppercase()),
        registered.replacen("//", "//more@", 1),
        registered.replacen("//", "//stranger.example/", 1),
    ] {
        if similar != registered {
            let request = subject.authorization()?.with("redirect_uri", &similar);
            stays_at_the_server(request).await?;
        }
    }
    Ok(())
}

/// The attacker has taken the challenge out of the request, and the app does not know.
pub(super) async fn verifier_without_challenge(subject: &Subject) -> Verdict {
    let Some(code) = code_without_challenge(subject).await? else {
        return Ok(());
    };
    let answer = code.redemption(subject)?.send().await?;
    answer.refused(&[400], &["invalid_grant", "invalid_request"])
}

pub(super) async fn no_token_without_pkce(subject: &Subject) -> Verdict {
    let Some(code) = code_without_challenge(subject).await? else {
        return Ok(());
    };
    let request = code.redemption(subject)?.without("code_verifier");
    request.send().await?.without_token()
}

pub(super) async fn refresh_tokens_rotate(subject: &Subject) -> Verdict {
    let first = subject.fresh_grant().await?;
    let second = first.refreshed(subject).await?;
    second.answer.require(
        first.refresh_token()? != second.refresh_token()?,
        "the same refresh token goes on",
    )
}

/// The successor is used before the spent one comes back, so that no lost answer can excuse it.
pub(super) async fn replay_revokes_the_family(subject: &Subject) -> Verdict {
    let first = subject.fresh_grant().await?;
    let second = first.refreshed(subject).await?;
    if first.refresh_token()? == second.refresh_token()? {
        return Err(Stop::not_applicable("refresh tokens are not rotated"));
    }
    let third = second.refreshed(subject).await?;
    let replay = first.refresh(subject)?.send().await?;
    replay.refused(&[400], &["invalid_grant"])?;
    let answer = third.refresh(subject)?.send().await?;
    answer.refused(&[400], &["invalid_grant"])
}

pub(super) async fn credentials_are_not_sent_on(subject: &Subject) -> Verdict {
    let person = subject.person()?;
    // First the way that all share: what it finds out about the person holds here too.
    subject.authorization()?.code().await?;
    let browser = subject.new_browser();
    let (form, _) = subject.sign_in_form(&browser).await?;
    let page = browser.sign_in(&form, person).await;
    let page = page.map_err(|cause| subject.lost(&cause))?;
    if page.location().is_none() {
        return Err(subject.turned_away());
    }
    subject.seen(&page).require(
        !matches!(page.status, 307 | 308),
        format!("credentials were answered {}", page.status),
    )
}

pub(super) async fn sign_in_cannot_be_framed(subject: &Subject) -> Verdict {
    let (_, answer) = subject.sign_in_form(&subject.new_browser()).await?;
    let policy = answer
        .header("content-security-policy")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let framed = answer
        .header("x-frame-options")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let guarded = policy.contains("frame-ancestors 'none'")
        || policy.contains("frame-ancestors 'self'")
        || ["deny", "sameorigin"].contains(&framed.as_str());
    answer.require(
        guarded,
        "neither frame-ancestors nor X-Frame-Options keeps the sign-in page out of frames",
    )
}
