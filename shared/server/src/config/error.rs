//! What is wrong with a configuration, told without quoting any value.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

/// Everything that is wrong with the configuration, in the order of the sources. Never empty.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The key, its sections parted by dots; empty if no single key is at fault.
    pub key: String,
    /// Where it was set.
    pub origin: Origin,
    /// What is wrong with it, and the mend.
    pub reason: String,
}

/// Where a setting stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A TOML file.
    File(PathBuf),
    /// A variable of the environment: its name, and the prefix of all of ours.
    Env {
        /// The name as it was given.
        name: String,
        /// Such as `AUTH_`.
        prefix: &'static str,
    },
    /// A flag of the command line.
    Flag,
    /// Several settings that do not agree, or do not suffice.
    Together,
}

impl Mistake {
    /// Settings that do not agree, or do not suffice; `key` is the one to begin with.
    #[must_use]
    pub fn together(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            origin: Origin::Together,
            reason: reason.into(),
        }
    }
}

impl Origin {
    /// The key `path` as it would be written here.
    pub(super) fn spell(&self, path: &[String]) -> String {
        match self {
            Self::Env { prefix, .. } => format!("{prefix}{}", path.join("__").to_uppercase()),
            Self::File(_) | Self::Flag | Self::Together => path.join("."),
        }
    }
}

impl From<Mistake> for ConfigError {
    fn from(mistake: Mistake) -> Self {
        Self {
            mistakes: vec![mistake],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.mistakes
            .iter()
            .try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, reason, .. } = self;
        match &self.origin {
            Origin::File(file) if key.is_empty() => write!(f, "{}: {reason}", file.display()),
            Origin::File(file) => write!(f, "{key} ({}): {reason}", file.display()),
            Origin::Env { name, .. } => write!(f, "{name} (environment): {reason}"),
            Origin::Flag => write!(f, "{key} (flag): {reason}"),
            Origin::Together if key.is_empty() => f.write_str(reason),
            Origin::Together => write!(f, "{key}: {reason}"),
        }
    }
}

/// `reason` without any text of `value`: serde quotes what it could not read, and that may be a secret at a wrong key.
pub(super) fn masked(reason: &str, value: &Value) -> String {
    /// Below this many characters a bare value is also likely to be a part of the words around it.
    const TELLING: usize = 4;
    match value {
        Value::String(text) if text.is_empty() => reason.to_owned(),
        Value::String(text) => {
            let masked = reason
                .replace(&format!("{text:?}"), "…")
                .replace(&format!("`{text}`"), "…");
            if text.chars().count() < TELLING {
                masked
            } else {
                masked.replace(text.as_str(), "…")
            }
        }
        Value::Number(number) => reason.replace(&format!("`{number}`"), "…"),
        Value::Array(values) => values
            .iter()
            .fold(reason.to_owned(), |reason, value| masked(&reason, value)),
        Value::Object(members) => members
            .values()
            .fold(reason.to_owned(), |reason, value| masked(&reason, value)),
        Value::Null | Value::Bool(_) => reason.to_owned(),
    }
}
