//! What exactly was wrong with a request.

use std::fmt;

/// Characters of one detail.
const LONGEST: usize = 512;

/// What exactly was wrong, with the names and values that are no secret: the source of an error whose own text clients may read. It is told
/// to operators who ask, and stands in no log.
///
/// What a client sent is written in quotes and escaped, by `{:?}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detail(Box<str>);

impl Detail {
    /// A detail for the operator, cut to what fits a line.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if let Some((end, _)) = text.char_indices().nth(LONGEST) {
            text.truncate(end);
            text.push('…');
        }
        Self(text.into())
    }

    /// A URI that a client sent, quoted, but for what may be a secret in it: user information, query and fragment.
    #[must_use]
    pub fn uri(uri: &str) -> String {
        let bare = uri.split(['?', '#']).next().unwrap_or_default();
        let rest = if bare.len() < uri.len() {
            " and more"
        } else {
            ""
        };
        let bare = match bare.split_once("://") {
            Some((scheme, place)) => {
                let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
                let host = authority.rsplit('@').next().unwrap_or_default();
                let user = if host.len() < authority.len() {
                    "…@"
                } else {
                    ""
                };
                format!("{scheme}://{user}{host}{path}")
            }
            None => bare.to_owned(),
        };
        format!("{bare:?}{rest}")
    }

    /// What a list holds, a comma between two of them.
    pub fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
        let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
        if texts.is_empty() {
            "none".to_owned()
        } else {
            texts.join(", ")
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Detail {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_39_a_uri_is_told_without_what_may_be_secret_in_it() {
        for (sent, told) in [
            ("https://app.example/cb", "\"https://app.example/cb\""),
            (
                "https://app.example/cb?token=secret",
                "\"https://app.example/cb\" and more",
            ),
            (
                "https://app.example/cb#secret",
                "\"https://app.example/cb\" and more",
            ),
            (
                "https://jo:secret@app.example/cb",
                "\"https://…@app.example/cb\"",
            ),
            ("com.example.app:/cb", "\"com.example.app:/cb\""),
            ("\r\nforged line", "\"\\r\\nforged line\""),
            ("", "\"\""),
        ] {
            assert_eq!(Detail::uri(sent), told);
        }
    }

    #[test]
    fn a_detail_has_an_end() {
        let told = Detail::new("ö".repeat(10_000)).to_string();
        assert_eq!(told.chars().count(), LONGEST + 1);
    }
}
