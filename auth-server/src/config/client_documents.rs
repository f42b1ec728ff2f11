//! Clients that describe themselves.

use serde::{Deserialize, Serialize};
use shared_protocol::scope::ScopeSet;
use shared_server::rate_limits::Rate;

use super::Mode;
use crate::authorization_details::TypeName;

/// What a description may have at least and at most.
const BODY: std::ops::RangeInclusive<usize> = 1024..=64 * 1024;

/// Clients whose identifier is the URL of a document in which they describe themselves.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientDocumentsConfig {
    /// Where they are served.
    pub enabled: Enabled,
    /// The scopes that they may ask people for; empty for all there are.
    pub scope: ScopeSet,
    /// The types of authorization details that they may ask people for.
    pub authorization_details_types: Vec<TypeName>,
    /// Bytes of a document.
    pub body: usize,
    /// Documents that requests of one network address may have us fetch in a minute; zero for any number.
    pub fetches_per_address: u32,
}

/// Where something is served.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Enabled {
    /// Nowhere.
    Never,
    /// In development alone.
    #[default]
    Development,
    /// Everywhere.
    Always,
}

impl Default for ClientDocumentsConfig {
    fn default() -> Self {
        Self {
            enabled: Enabled::default(),
            scope: ScopeSet::default(),
            authorization_details_types: Vec::new(),
            body: 5 * 1024,
            fetches_per_address: 30,
        }
    }
}

impl ClientDocumentsConfig {
    /// Whether they are served in this mode.
    #[must_use]
    pub fn is_on(&self, mode: Mode) -> bool {
        match self.enabled {
            Enabled::Never => false,
            Enabled::Development => mode == Mode::Development,
            Enabled::Always => true,
        }
    }

    pub(super) fn problems(&self, mode: Mode) -> Vec<String> {
        let mut problems = Vec::new();
        if !BODY.contains(&self.body) {
            problems.push("client_documents.body: between 1024 and 65536 bytes".into());
        }
        if let Some((_, reason)) = Rate::per_minute(self.fetches_per_address).problem() {
            problems.push(format!("client_documents.fetches_per_address: {reason}"));
        }
        // Where documents are off too: request objects, and the keys of who signs them, are fetched at a stranger's word.
        if mode == Mode::Production && self.fetches_per_address == 0 {
            problems.push("client_documents.fetches_per_address is 0: any stranger could have this server fetch from anywhere, without end; set a limit".into());
        }
        problems
    }
}
