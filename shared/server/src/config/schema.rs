//! The keys that exist, as the defaults tell them, and trials of values on those defaults.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::layer::Setting;
use super::{ConfigError, Mistake, Origin, secret};

/// How serde's own messages begin; the tests of this module hold it to that.
pub(super) const MISSING: &str = "missing field";
pub(super) const UNKNOWN: &str = "unknown field";

/// The key that one of serde's messages calls unknown.
pub(super) fn unknown_name(reason: &str) -> Option<&str> {
    reason.strip_prefix(UNKNOWN)?.split('`').nth(1)
}

/// The defaults of `T`, written out.
pub(super) struct Schema<T> {
    tree: Value,
    settings: PhantomData<fn() -> T>,
}

/// What the defaults say of a key.
pub(super) enum Known<'a> {
    /// It is there, with this default.
    Yes(&'a Value),
    /// It lies under an absent section or an empty map: only serde can tell.
    Open,
    /// It is not there.
    No,
}

impl<T: Serialize + DeserializeOwned> Schema<T> {
    pub(super) fn of(defaults: &T) -> Result<Self, ConfigError> {
        let tree = secret::revealed(|| serde_json::to_value(defaults)).map_err(|error| {
            ConfigError::from(Mistake {
                key: String::new(),
                origin: Origin::Together,
                reason: format!("the defaults cannot be written out: {error}"),
            })
        })?;
        Ok(Self::from_tree(tree))
    }

    pub(super) fn from_tree(tree: Value) -> Self {
        Self {
            tree,
            settings: PhantomData,
        }
    }

    pub(super) fn find(&self, path: &[String]) -> Known<'_> {
        let mut node = &self.tree;
        for key in path {
            node = match node {
                Value::Null => return Known::Open,
                Value::Object(members) => match members.get(key) {
                    Some(member) => member,
                    None if members.is_empty() => return Known::Open,
                    None => return Known::No,
                },
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    return Known::No;
                }
            };
        }
        Known::Yes(node)
    }

    pub(super) fn has(&self, path: &[String]) -> bool {
        matches!(self.find(path), Known::Yes(_))
    }

    /// The absent section under which `path` lies, and what `tree` has there.
    pub(super) fn section<'a>(
        &self,
        path: &'a [String],
        tree: &'a Value,
    ) -> Option<(&'a [String], &'a Value)> {
        let section = (1..=path.len())
            .filter_map(|end| path.get(..end))
            .find(|prefix| matches!(self.find(prefix), Known::Yes(Value::Null)))?;
        let value = section
            .iter()
            .try_fold(tree, |node, key| node.get(key.as_str()))?;
        Some((section, value))
    }

    /// The defaults as changed by `settings`, later ones winning.
    pub(super) fn with(&self, settings: &[Setting]) -> Value {
        let mut tree = self.tree.clone();
        for setting in settings {
            put(&mut tree, &setting.path, &setting.value);
        }
        tree
    }

    pub(super) fn parse(tree: &Value) -> Result<T, String> {
        T::deserialize(tree).map_err(|error| error.to_string())
    }

    /// Tries one value on the defaults. The error is serde's, or [`UNKNOWN`] if serde ignored the key.
    pub(super) fn alone(&self, path: &[String], value: &Value) -> Result<(), String> {
        let mut tree = self.tree.clone();
        put(&mut tree, path, value);
        let parsed = Self::parse(&tree)?;
        let written = serde_json::to_value(&parsed).map_err(|error| error.to_string())?;
        if Self::from_tree(written).has(path) {
            Ok(())
        } else {
            Err(UNKNOWN.to_owned())
        }
    }

    /// The known key that is most likely meant by `path`: one of the same name in another section, or one that a few
    /// letters turn into it.
    pub(super) fn nearest(&self, path: &[String]) -> Option<Vec<String>> {
        let mut known = Vec::new();
        paths(&self.tree, &mut Vec::new(), &mut known);
        if let Some(found) = known
            .iter()
            .find(|candidate| candidate.last() == path.last())
        {
            return Some(found.clone());
        }
        let wanted = path.join(".");
        let (edits, found) = known
            .into_iter()
            .map(|candidate| (distance(&wanted, &candidate.join(".")), candidate))
            .min_by_key(|(edits, _)| *edits)?;
        (edits <= (wanted.len() / 3).clamp(1, 4)).then_some(found)
    }
}

/// Puts `value` at `path`, making sections on the way. An empty table says that a section is there, and no more.
fn put(node: &mut Value, path: &[String], value: &Value) {
    let Some((key, rest)) = path.split_first() else {
        let only_there = matches!(value, Value::Object(members) if members.is_empty());
        if !(only_there && node.is_object()) {
            *node = value.clone();
        }
        return;
    };
    if !node.is_object() {
        *node = Value::Object(Map::new());
    }
    if let Value::Object(members) = node {
        put(members.entry(key).or_insert(Value::Null), rest, value);
    }
}

fn paths(node: &Value, here: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if let Value::Object(members) = node {
        for (key, member) in members {
            here.push(key.clone());
            found.push(here.clone());
            paths(member, here, found);
            here.pop();
        }
    }
}

/// How many letters must be put in, taken out or changed to turn `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((to, pair), left) in b.chars().zip(row.windows(2)).zip(0..) {
            let [diagonal, above] = *pair else { continue };
            let left = next.get(left).copied().unwrap_or(usize::MAX - 1);
            next.push(
                (diagonal + usize::from(from != to))
                    .min(above + 1)
                    .min(left + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_single_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("port", "port", 0),
            ("prot", "port", 2),
            ("por", "port", 1),
            ("ports", "port", 1),
            ("", "port", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} to {b}");
            assert_eq!(distance(b, a), edits, "{b} to {a}");
        }
    }
}
