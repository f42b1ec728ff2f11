//! The end of an authorization request: at the app, with a code or an error, or at a page of the server.

use crate::answer::Answer;
use crate::browser::Redirected;
use crate::check::{Stop, Verdict};
use crate::request::Request;
use crate::subject::Subject;

/// The browser was sent to the app.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) redirected: Redirected,
    /// The last answer of the server, for evidence.
    pub(crate) answer: Answer,
    /// The parameters of the request.
    pub(super) asked: Vec<(String, String)>,
    pub(super) verifier: String,
}

/// Where an authorization request ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// At the app.
    App(Box<Arrival>),
    /// At a page of the server.
    Page(Answer),
}

/// A code with what its redemption needs (RFC 6749 §4.1.3, RFC 7636 §4.5).
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) value: String,
    pub(crate) verifier: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// The `nonce` of the request.
    pub(crate) nonce: Option<String>,
}

impl Ending {
    pub(crate) fn arrival(self) -> Result<Arrival, Stop> {
        match self {
            Self::App(arrival) => Ok(*arrival),
            Self::Page(answer) => Err(answer.fail(format!(
                "the browser was not sent to the app: a page with status {}",
                answer.status
            ))),
        }
    }
}

impl Arrival {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.redirected.parameter(name)
    }

    /// What the request had for `name`.
    pub(crate) fn asked(&self, name: &str) -> Option<String> {
        let mut named = self.asked.iter().filter(|(given, _)| given == name);
        named.next_back().map(|(_, value)| value.clone())
    }

    /// An error response with one of these codes (RFC 6749 §4.1.2.1).
    pub(crate) fn refused(&self, codes: &[&str]) -> Verdict {
        self.answer.require(
            self.parameter("code").is_none(),
            "a code was issued where an error was due",
        )?;
        let error = self.parameter("error").unwrap_or_default();
        self.answer.require(
            codes.contains(&error),
            format!("expected error {}, got {error:?}", codes.join(" or ")),
        )
    }

    /// `state` came back as it was sent (RFC 6749 §4.1.2).
    pub(crate) fn keeps_state(&self) -> Verdict {
        let asked = self.asked("state");
        self.answer.require(
            self.parameter("state") == asked.as_deref(),
            "state is not what the request had",
        )
    }

    pub(crate) fn code(self) -> Result<Code, Stop> {
        let Some(value) = self.parameter("code") else {
            let error = self.parameter("error").unwrap_or("nothing");
            return Err(self.answer.fail(format!("expected a code, got {error}")));
        };
        Ok(self.code_of(value))
    }

    /// The code of that value, which came as an answer to the request.
    pub(crate) fn code_of(&self, value: &str) -> Code {
        Code {
            value: value.to_owned(),
            client_id: self.asked("client_id").unwrap_or_default(),
            redirect_uri: self.asked("redirect_uri").unwrap_or_default(),
            nonce: self.asked("nonce"),
            verifier: self.verifier.clone(),
        }
    }
}

impl Code {
    /// The token request that redeems it, as the app it was issued to.
    pub(crate) fn redemption<'s>(&self, subject: &'s Subject) -> Result<Request<'s>, Stop> {
        let request = subject.post("token_endpoint")?.form(&[
            ("grant_type", "authorization_code"),
            ("code", &self.value),
            ("redirect_uri", &self.redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", &self.verifier),
        ]);
        Ok(request.for_named_resource())
    }
}
