//! What has to happen before a code may be issued: a function of the request, of who is signed in and of what they agreed to.

use shared_protocol::time::Instant;

use super::agreement::Agreement;
use super::error::RedirectCause;
use super::request::{AuthorizationRequest, OwnScope, Prompt};
use crate::sessions::Session;

/// The next step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The person signs in.
    SignIn,
    /// The person is asked.
    Consent,
    /// Nothing is left to be asked.
    Issue(Consented),
}

/// How a person came to agree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consented {
    /// They said so, now or before, and saw what they said it to.
    Shown,
    /// They were not asked: it is the operator's own application.
    Skipped,
}

/// What a decision rests on besides the request.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// Who is signed in at this browser.
    pub session: Option<&'a Session>,
    /// What they agreed to before.
    pub remembered: Option<&'a Agreement>,
    /// When the interaction began that they may have signed in for; none has for a request that just came.
    pub began_at: Option<Instant>,
    /// The time.
    pub now: Instant,
}

/// The next step for `request`.
///
/// # Errors
/// [`RedirectCause::LoginRequired`] and [`RedirectCause::ConsentRequired`] where `prompt=none` forbids the step, the former also where
/// the person who signed in is not whom the client expects.
pub fn decide(
    request: &AuthorizationRequest,
    circumstances: &Circumstances<'_>,
) -> Result<Step, RedirectCause> {
    let silent = request.is_silent();
    if !is_signed_in(request, circumstances) {
        return if silent || somebody_else_came(request, circumstances) {
            Err(RedirectCause::LoginRequired)
        } else {
            Ok(Step::SignIn)
        };
    }
    match consented(request, circumstances.remembered) {
        Some(consented) => Ok(Step::Issue(consented)),
        None if silent => Err(RedirectCause::ConsentRequired),
        None => Ok(Step::Consent),
    }
}

/// OpenID Connect Core §3.1.2.1, `id_token_hint`: who is not expected may sign in as somebody who is; if another came of it, the
/// client is told.
fn somebody_else_came(request: &AuthorizationRequest, circumstances: &Circumstances<'_>) -> bool {
    let (Some(session), Some(began_at)) = (circumstances.session, circumstances.began_at) else {
        return false;
    };
    session.auth_time >= began_at && !is_expected(request, session)
}

fn is_expected(request: &AuthorizationRequest, session: &Session) -> bool {
    let expected = request.expected.as_ref();
    expected.is_none_or(|expected| expected.is(&session.account_id))
}

/// Whether whom the client expects has signed in, and recently enough. Having done so since the interaction began meets every wish, in whichever
/// tab it was.
#[must_use]
pub fn is_signed_in(request: &AuthorizationRequest, circumstances: &Circumstances<'_>) -> bool {
    let Some(session) = circumstances.session else {
        return false;
    };
    if !is_expected(request, session) {
        return false;
    }
    if circumstances
        .began_at
        .is_some_and(|began_at| session.auth_time >= began_at)
    {
        return true;
    }
    // OpenID Connect Core §3.1.2.1: max_age in seconds since auth_time; zero is as prompt=login.
    let recent = request
        .max_age
        .is_none_or(|max_age| circumstances.now.since(session.auth_time) < max_age);
    recent && !request.prompt.contains(&Prompt::Login)
}

fn consented(request: &AuthorizationRequest, remembered: Option<&Agreement>) -> Option<Consented> {
    if request.prompt.contains(&Prompt::Consent) || request.is_never_silent() {
        None
    } else if remembered.is_some_and(|agreed| agreed.covers(&request.asked)) {
        Some(Consented::Shown)
    } else if request.client.metadata.skip_consent {
        Some(Consented::Skipped)
    } else {
        None
    }
}

/// OpenID Connect Core §11: what outlives the session takes consent that was shown.
#[must_use]
pub fn is_offline(request: &AuthorizationRequest, consented: Consented) -> bool {
    consented == Consented::Shown && OwnScope::OfflineAccess.is_in(&request.scope)
}

#[cfg(test)]
mod tests;
