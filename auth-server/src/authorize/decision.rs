//! What has to happen before a code may be issued: a function of the request, of who is signed in and of what they agreed to.

use std::time::Duration;

use shared_protocol::time::Instant;

use super::acr::Proof;
use super::agreement::Agreement;
use super::error::RedirectCause;
use super::request::{AuthorizationRequest, OwnScope, Prompt};
use crate::refusals::Detail;
use crate::sessions::{Session, SessionId};

/// The next step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The person signs in.
    SignIn,
    /// The person makes an account.
    SignUp,
    /// The person says that it is this account that they mean.
    SelectAccount,
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
    /// The session whose account was chosen in that interaction.
    pub chosen: Option<&'a SessionId>,
    /// The time.
    pub now: Instant,
}

impl<'a> Circumstances<'a> {
    /// Whether this person signed in for this very request, in whichever tab it was.
    fn came_since(&self, session: &Session) -> bool {
        self.began_at
            .is_some_and(|began_at| session.auth_time >= began_at)
    }

    /// What the person showed of themselves.
    #[must_use]
    pub fn proof(&self, session: &'a Session) -> Proof<'a> {
        let age = if self.came_since(session) {
            Duration::ZERO
        } else {
            self.now.since(session.auth_time)
        };
        Proof {
            amr: &session.amr,
            age,
        }
    }
}

/// The next step for `request`.
///
/// # Errors
/// [`RedirectCause::LoginRequired`] and [`RedirectCause::ConsentRequired`] where `prompt=none` forbids the step, the former also where
/// the person who signed in is not whom the client expects; [`RedirectCause::UnmetAuthenticationRequirements`] where they signed in and
/// this server is no surer of them than before.
pub fn decide(
    request: &AuthorizationRequest,
    circumstances: &Circumstances<'_>,
) -> Result<Step, RedirectCause> {
    let silent = request.is_silent();
    if !is_signed_in(request, circumstances) {
        return if silent {
            let why = why_not_signed_in(request, circumstances);
            Err(RedirectCause::LoginRequired(why))
        } else {
            came_in_vain(request, circumstances).map_or_else(|| Ok(sign_in(request)), Err)
        };
    }
    if has_to_choose(request, circumstances) {
        return Ok(Step::SelectAccount);
    }
    match consented(request, circumstances.remembered) {
        Some(consented) => Ok(Step::Issue(consented)),
        None if silent => {
            let why = why_not_consented(request, circumstances.remembered);
            Err(RedirectCause::ConsentRequired(why))
        }
        None => Ok(Step::Consent),
    }
}

/// Where somebody comes to be signed in.
fn sign_in(request: &AuthorizationRequest) -> Step {
    if request.prompt.contains(&Prompt::Create) {
        Step::SignUp
    } else {
        Step::SignIn
    }
}

/// Why it is no use to ask again who signed in for this very request: it is not whom the client expects, who may sign in as somebody
/// who is (OpenID Connect Core §3.1.2.1, `id_token_hint`), or nobody can be surer of them.
fn came_in_vain(
    request: &AuthorizationRequest,
    circumstances: &Circumstances<'_>,
) -> Option<RedirectCause> {
    let session = circumstances.session?;
    if !circumstances.came_since(session) {
        None
    } else if is_expected(request, session) {
        let why = Detail::new(
            "the person signed in for this request, and no level that it insists on was reached",
        );
        Some(RedirectCause::UnmetAuthenticationRequirements(why))
    } else {
        let why = why_not_signed_in(request, circumstances);
        Some(RedirectCause::LoginRequired(why))
    }
}

/// OpenID Connect Core §3.1.2.1, `select_account`: who signed in for this very request has chosen by that.
fn has_to_choose(request: &AuthorizationRequest, circumstances: &Circumstances<'_>) -> bool {
    let chosen = circumstances.session.is_some_and(|session| {
        circumstances.came_since(session) || circumstances.chosen == Some(&session.id)
    });
    request.prompt.contains(&Prompt::SelectAccount) && !chosen
}

fn is_expected(request: &AuthorizationRequest, session: &Session) -> bool {
    let expected = request.expected.as_ref();
    expected.is_none_or(|expected| expected.is(&session.account_id))
}

/// Whether whom the client expects has signed in, recently enough and so that it is sure enough of them. Having done so since the
/// interaction began meets every wish that a sign-in can meet.
#[must_use]
pub fn is_signed_in(request: &AuthorizationRequest, circumstances: &Circumstances<'_>) -> bool {
    let Some(session) = circumstances.session else {
        return false;
    };
    if !is_expected(request, session) || !request.acr.is_met(circumstances.proof(session)) {
        return false;
    }
    if circumstances.came_since(session) {
        return true;
    }
    // OpenID Connect Core §3.1.2.1: max_age in seconds since auth_time; zero is as prompt=login.
    let recent = request
        .max_age
        .is_none_or(|max_age| circumstances.now.since(session.auth_time) < max_age);
    let prompt = &request.prompt;
    recent && !prompt.contains(&Prompt::Login) && !prompt.contains(&Prompt::Create)
}

/// For the operator, what [`is_signed_in`] lacks.
fn why_not_signed_in(request: &AuthorizationRequest, circumstances: &Circumstances<'_>) -> Detail {
    let Some(session) = circumstances.session else {
        return Detail::new("nobody is signed in at this browser");
    };
    if !is_expected(request, session) {
        return Detail::new("somebody else is signed in than id_token_hint or the sub claim names");
    }
    if !request.acr.is_met(circumstances.proof(session)) {
        return Detail::new("the session reaches no level (acr) that the request insists on");
    }
    let age = circumstances.now.since(session.auth_time).as_secs();
    match request.max_age {
        Some(most) if age >= most.as_secs() => Detail::new(format!(
            "the person signed in {age} s ago, and max_age is {} s",
            most.as_secs()
        )),
        Some(_) | None => Detail::new("the request wants a sign-in of its own, by prompt"),
    }
}

/// For the operator, what [`consented`] lacks.
fn why_not_consented(request: &AuthorizationRequest, remembered: Option<&Agreement>) -> Detail {
    if request.is_never_silent() {
        return Detail::new(
            "people are always asked for a public client whose redirect anybody on their device could claim (RFC 8252)",
        );
    }
    match remembered {
        None => Detail::new("the person never agreed to anything for this client, or withdrew it"),
        Some(agreed) => {
            let (agreed, asked) = (agreed.scope(), request.asked.scope());
            let more = asked.iter().filter(|scope| !agreed.contains(scope));
            let more = Detail::list(more);
            Detail::new(format!(
                "the person agreed to less than what is asked for: of the scopes, not to {more}"
            ))
        }
    }
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
