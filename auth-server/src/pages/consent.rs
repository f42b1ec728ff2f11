//! The page on which a person decides what a client may do.

use std::time::Duration;

use askama::Template;

use super::About;
use crate::authorize::display::Display;

/// What a client asks a person for.
#[derive(Clone, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// Where the form goes.
    pub action: String,
    /// What it belongs to, an interaction or a device's code: the name of the field, and its value.
    pub hidden: (&'static str, String),
    /// The token of the form.
    pub csrf: String,
    /// Who asks.
    pub client_name: String,
    /// What it shows of itself.
    pub about: About,
    /// How it is shown.
    pub display: Display,
    /// Where it describes itself, if it does: its name is what it likes, and this is not.
    pub client_host: Option<String>,
    /// Where the answer goes.
    pub destination: Destination,
    /// Who is signed in.
    pub account_email: String,
    /// Where somebody else can sign in instead, if that may be.
    pub another_account: Option<String>,
    /// What it wants to know of the person.
    pub scopes: Vec<ScopeLine>,
    /// What it wants to do elsewhere.
    pub resources: Vec<ResourceLine>,
    /// Whether it wants to go on while the person is away.
    pub offline: bool,
}

/// Where the answer to a client goes, as a person can judge it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Destination {
    /// A host, with its port if that is not the usual one.
    Host(String),
    /// Whatever program on this device answers: a loopback or a private-use redirect (RFC 8252 §8.6), by host or scheme.
    ThisDevice(String),
    /// A device elsewhere that shows a code (RFC 8628).
    Device(AskingDevice),
}

/// What is known of a device that asks, so that a person can tell whether it is theirs (RFC 8628 §5.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AskingDevice {
    /// The code that it shows.
    pub user_code: String,
    /// Where it asked from.
    pub address: String,
    /// What it says it is.
    pub user_agent: Option<String>,
    /// How long ago it asked.
    pub age: Duration,
}

impl Destination {
    /// The device that asks, if it is one.
    #[must_use]
    pub fn device(&self) -> Option<&AskingDevice> {
        match self {
            Self::Device(device) => Some(device),
            Self::Host(_) | Self::ThisDevice(_) => None,
        }
    }
}

/// One thing that is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeLine {
    /// The scope.
    pub name: String,
    /// What it allows, in words.
    pub description: String,
}

/// A resource server, and what is asked for there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceLine {
    /// Its name.
    pub name: String,
    /// Its identifier: what access tokens say in `aud`.
    pub identifier: String,
    /// What is asked for there.
    pub scopes: Vec<ScopeLine>,
    /// The same in more words (RFC 9396).
    pub details: Vec<DetailLine>,
}

/// One object of authorization details.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DetailLine {
    /// Its type.
    pub name: String,
    /// What the type allows, in words.
    pub description: String,
    /// What the object says.
    pub members: Vec<MemberLine>,
}

/// One member of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemberLine {
    /// What it is called.
    pub label: String,
    /// What it holds.
    pub values: Vec<String>,
}
