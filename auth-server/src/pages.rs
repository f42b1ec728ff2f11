//! Pages for people. Each is a struct and a template beside the code; one layer writes what is around them: the document, its style,
//! its headers and, where something failed, the id of the request.

mod consent;
mod device;
mod frame;
mod sign_up;

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub use self::consent::{
    AskingDevice, ConsentPage, Destination, DetailLine, MemberLine, ResourceLine, ScopeLine,
};
pub use self::device::{DecidedPage, DeviceNotice, DevicePage};
use self::frame::{Content, Posts};
pub use self::frame::{Frame, framed};
pub use self::sign_up::{SelectAccountPage, SignUpNotice, SignUpPage};
use crate::authorize::display::Display;

/// What a client shows and tells of itself besides its name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct About {
    /// The path of its picture, at this server.
    pub logo: Option<String>,
    /// What it does with what it learns of people.
    pub policy: Option<String>,
    /// Its terms of service.
    pub terms: Option<String>,
    /// The language of its name, if it said which.
    pub name_lang: Option<String>,
}

/// Where somebody signs in.
#[derive(Clone, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    /// Where the form goes.
    pub action: String,
    /// The interaction that it belongs to.
    pub interaction: String,
    /// The token of the form.
    pub csrf: String,
    /// What was typed or hinted before.
    pub email: String,
    /// Who asks.
    pub client_name: Option<String>,
    /// What it shows of itself.
    pub about: About,
    /// How it is shown.
    pub display: Display,
    /// Where somebody without an account makes one, if that may be.
    pub sign_up: Option<String>,
    /// What the person should know.
    pub notice: Option<SignInNotice>,
}

/// Why the sign-in form is shown again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignInNotice {
    /// The address or the password is wrong; which one is not told.
    Credentials,
    /// Too many failures.
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// Something that we need does not answer.
    Unavailable,
    /// The form was out of date.
    Expired,
}

/// The end of "try again in".
pub(crate) fn in_words(wait: &Duration) -> String {
    let (number, unit) = match wait.as_secs().max(1) {
        seconds @ ..60 => (seconds, "second"),
        seconds => (seconds.div_ceil(60), "minute"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

/// Something cannot go on.
#[derive(Clone, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The status of the response.
    pub status: StatusCode,
    /// What happened, in a few words.
    pub title: String,
    /// What to do about it, in a sentence or two; nothing internal.
    pub message: String,
}

/// A form or link that was good before.
#[derive(Clone, Template)]
#[template(path = "stale.html")]
pub struct StalePage {
    /// What happened.
    pub message: String,
    /// Where to go on, if anywhere.
    pub go_on: Option<String>,
    /// Where to begin anew, if anywhere.
    pub start_again: Option<StartAgain>,
}

/// An app that can be asked to begin a sign-in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StartAgain {
    /// What it is called.
    pub client_name: String,
    /// Where it is asked.
    pub url: String,
}

/// An answer to a client by a form that the browser posts (OAuth 2.0 Form Post Response Mode §2).
#[derive(Clone, Template)]
#[template(path = "form_post.html")]
pub struct FormPostPage {
    /// The redirect URI, verified.
    pub action: String,
    /// Names and values.
    pub parameters: Vec<(String, String)>,
}

/// Whether to sign out.
#[derive(Clone, Template)]
#[template(path = "sign_out.html")]
pub struct SignOutPage {
    /// Where the form goes.
    pub action: String,
    /// The token of the form.
    pub csrf: String,
    /// Who is signed in.
    pub email: String,
    /// Who asks, if a client proved that it does.
    pub client_name: Option<String>,
    /// Whether the person goes on to that client afterwards.
    pub leads_on: bool,
    /// What was asked for, names and values, to be judged anew.
    pub parameters: Vec<(String, String)>,
}

/// Nobody is signed in any more.
#[derive(Clone, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOutPage;

impl IntoResponse for SignInPage {
    fn into_response(self) -> Response {
        Content::of("Sign in", &self, Posts::MayEndAtClient)
            .shown_as(self.display)
            .into_response()
    }
}

impl IntoResponse for ConsentPage {
    fn into_response(self) -> Response {
        let posts = if self.destination.device().is_some() {
            Posts::HereOnce
        } else {
            Posts::MayEndAtClient
        };
        Content::of("Allow access", &self, posts)
            .shown_as(self.display)
            .into_response()
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let content = Content::of(&self.title, &self, Posts::Here).with_request_id();
        (self.status, content).into_response()
    }
}

impl IntoResponse for StalePage {
    fn into_response(self) -> Response {
        let content = Content::of("This page is out of date", &self, Posts::Here);
        (StatusCode::BAD_REQUEST, content).into_response()
    }
}

impl IntoResponse for FormPostPage {
    fn into_response(self) -> Response {
        Content::of("Going on", &self, Posts::ByItself).into_response()
    }
}

impl IntoResponse for SignOutPage {
    fn into_response(self) -> Response {
        let posts = if self.leads_on {
            Posts::MayEndAtClient
        } else {
            Posts::Here
        };
        Content::of("Sign out", &self, posts).into_response()
    }
}

impl IntoResponse for SignedOutPage {
    fn into_response(self) -> Response {
        Content::of("Signed out", &self, Posts::Here).into_response()
    }
}
