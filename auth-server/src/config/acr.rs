//! How sure this server may be of a person.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_server::config::Period;

use crate::sessions::Amr;

/// The most levels.
const MOST: usize = 10;
/// Bytes of a value.
const LONGEST: usize = 256;
/// Shorter, and it would be over before the next request of the app.
const SHORTEST_WITHIN: Duration = Duration::from_secs(1);

/// A level: what an `acr` stands for here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AcrLevel {
    /// The `acr` (OpenID Connect Core §2): an absolute URI, or a name of the registry of RFC 6711.
    pub value: String,
    /// How a person must have proven who they are: by all of these (RFC 8176).
    pub amr: Vec<Amr>,
    /// How long ago that may have been, where a session did not begin for this very request; as long as the session lives, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Period>,
}

/// What a password is worth: the profile of one factor of the research and education federations.
pub(super) fn default_levels() -> Vec<AcrLevel> {
    vec![AcrLevel {
        value: "https://refeds.org/profile/sfa".into(),
        amr: vec![Amr::Pwd],
        within: None,
    }]
}

pub(super) fn problems(levels: &[AcrLevel]) -> Vec<String> {
    let mut problems = Vec::new();
    if levels.len() > MOST {
        problems.push(format!("acr has more than {MOST} levels: take some out"));
    }
    for (index, level) in levels.iter().enumerate() {
        let value = &level.value;
        // `acr_values` is a list parted by spaces, and a challenge holds it in quotes (RFC 9470 §3).
        let printable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if value.is_empty() || value.len() > LONGEST || !value.bytes().all(printable) {
            problems.push(format!(
                "acr[{index}].value is not 1 to {LONGEST} printable ASCII characters without spaces, quotes and backslashes: use an absolute URI"
            ));
        }
        if levels.iter().take(index).any(|other| other.value == *value) {
            problems.push(format!(
                "acr[{index}].value is that of an earlier level: clients could not tell the two apart; take one out"
            ));
        }
        if level.amr.is_empty() {
            problems.push(format!(
                "acr[{index}].amr is empty: a level rests on a proof; name one, such as \"pwd\""
            ));
        }
        if level
            .within
            .is_some_and(|within| within.duration() < SHORTEST_WITHIN)
        {
            problems.push(format!(
                "acr[{index}].within is below 1s: it would be over before it is looked at; use some minutes"
            ));
        }
    }
    problems
}
