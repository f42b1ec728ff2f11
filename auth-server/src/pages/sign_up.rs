//! The pages on which a person makes an account, or says which one they mean.

use std::time::Duration;

use askama::Template;
use axum::response::{IntoResponse, Response};

use super::About;
use super::frame::{Content, Posts};
use crate::accounts::password::PasswordRefusal;
use crate::authorize::display::Display;

/// Where somebody makes an account.
#[derive(Clone, Template)]
#[template(path = "sign_up.html")]
pub struct SignUpPage {
    /// Where the form goes.
    pub action: String,
    /// The interaction that it belongs to.
    pub interaction: String,
    /// The token of the form.
    pub csrf: String,
    /// What was typed or hinted before.
    pub email: String,
    /// What was typed before.
    pub name: String,
    /// Who asks.
    pub client_name: Option<String>,
    /// What it shows of itself.
    pub about: About,
    /// How it is shown.
    pub display: Display,
    /// Where somebody with an account signs in.
    pub sign_in: String,
    /// What the person should know.
    pub notice: Option<SignUpNotice>,
}

/// Why the form is shown again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignUpNotice {
    /// Not an address.
    Email,
    /// A name that will not do.
    Name,
    /// A password that will not do.
    Password(PasswordRefusal),
    /// No account could be made of this address; why is not told.
    Taken,
    /// Too many attempts from one network.
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// Something that we need does not answer.
    Unavailable,
    /// The form was out of date.
    Expired,
}

impl SignUpPage {
    fn is_at_fault(&self, field: &str) -> bool {
        match self.notice {
            Some(SignUpNotice::Email | SignUpNotice::Taken) => field == "email",
            Some(SignUpNotice::Name) => field == "name",
            Some(SignUpNotice::Password(_)) => field == "password",
            Some(
                SignUpNotice::TooMany { .. } | SignUpNotice::Unavailable | SignUpNotice::Expired,
            )
            | None => false,
        }
    }
}

/// Whether it is this account that the person means.
#[derive(Clone, Template)]
#[template(path = "select_account.html")]
pub struct SelectAccountPage {
    /// Where the form goes.
    pub action: String,
    /// The interaction that it belongs to.
    pub interaction: String,
    /// The token of the form.
    pub csrf: String,
    /// Who asks.
    pub client_name: Option<String>,
    /// What it shows of itself.
    pub about: About,
    /// How it is shown.
    pub display: Display,
    /// What the person is called who is signed in, if they said.
    pub account_name: Option<String>,
    /// Who is signed in.
    pub account_email: String,
    /// Where somebody else can sign in instead.
    pub another_account: String,
}

impl IntoResponse for SignUpPage {
    fn into_response(self) -> Response {
        Content::of("Create an account", &self, Posts::MayEndAtClient)
            .shown_as(self.display)
            .into_response()
    }
}

impl IntoResponse for SelectAccountPage {
    fn into_response(self) -> Response {
        Content::of("Choose an account", &self, Posts::MayEndAtClient)
            .shown_as(self.display)
            .into_response()
    }
}
