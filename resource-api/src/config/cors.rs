//! The section `[cors]`.

use std::collections::BTreeSet;
use std::fmt;
use std::future::ready;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared_server::web::{Cors, InvalidOrigin, WebOrigin};

/// Whose pages may call the API from a browser.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsSettings {
    /// Origins of pages, or `*` alone for all: the API takes tokens and never cookies.
    pub origins: Vec<AllowedOrigin>,
}

/// A page that may call, or all pages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AllowedOrigin {
    /// `*`.
    Any,
    /// Pages of this origin.
    Of(WebOrigin),
}

impl CorsSettings {
    pub(crate) fn names_any(&self) -> bool {
        self.origins.contains(&AllowedOrigin::Any)
    }

    pub(crate) fn pages(&self) -> Cors {
        if self.names_any() {
            return Cors::Anyone;
        }
        let named = self.origins.iter().filter_map(|allowed| match allowed {
            AllowedOrigin::Any => None,
            AllowedOrigin::Of(origin) => Some(origin.clone()),
        });
        let named: BTreeSet<WebOrigin> = named.collect();
        if named.is_empty() {
            return Cors::Nobody;
        }
        Cors::known(move |origin| ready(named.contains(&origin)))
    }
}

impl FromStr for AllowedOrigin {
    type Err = InvalidOrigin;

    fn from_str(raw: &str) -> Result<Self, InvalidOrigin> {
        match raw {
            "*" => Ok(Self::Any),
            origin => origin.parse().map(Self::Of),
        }
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Of(origin) => origin.fmt(f),
        }
    }
}

impl Serialize for AllowedOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AllowedOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
