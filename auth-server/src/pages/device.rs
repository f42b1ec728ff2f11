//! The pages on which a person lets a device in (RFC 8628 §3.3).

use std::time::Duration;

use askama::Template;
use axum::response::{IntoResponse, Response};

use super::frame::{Content, Posts};

/// Where somebody types the code that a device shows.
#[derive(Clone, Template)]
#[template(path = "device.html")]
pub struct DevicePage {
    /// Where the form goes.
    pub action: String,
    /// The token of the form.
    pub csrf: String,
    /// What was typed or linked before.
    pub user_code: String,
    /// Who is signed in.
    pub account_email: String,
    /// Where somebody else can sign in instead.
    pub another_account: String,
    /// What the person should know.
    pub notice: Option<DeviceNotice>,
}

/// Why the form is shown again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeviceNotice {
    /// The code is unknown, has expired, or was used; which of them is not told.
    Unusable,
    /// Too many of them.
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// Something that we need does not answer.
    Unavailable,
}

/// What came of it.
#[derive(Clone, Template)]
#[template(path = "device_decided.html")]
pub struct DecidedPage {
    /// Who asked.
    pub client_name: String,
    /// The language of its name, if it said which.
    pub name_lang: Option<String>,
    /// Whether the person let it in.
    pub approved: bool,
}

impl IntoResponse for DevicePage {
    fn into_response(self) -> Response {
        Content::of("Connect a device", &self, Posts::Here).into_response()
    }
}

impl IntoResponse for DecidedPage {
    fn into_response(self) -> Response {
        let title = if self.approved {
            "Device connected"
        } else {
            "Device not connected"
        };
        Content::of(title, &self, Posts::Here).into_response()
    }
}
