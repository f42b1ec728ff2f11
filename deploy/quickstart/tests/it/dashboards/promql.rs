//! As much of the language of Prometheus as tells which series an expression selects, and which of their labels it names.

use std::collections::BTreeSet;

/// A selector.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Selected {
    pub(crate) name: String,
    pub(crate) labels: BTreeSet<String>,
}

/// What stands between selectors and is none.
const WORDS: [&str; 12] = [
    "and",
    "bool",
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "inf",
    "offset",
    "on",
    "or",
    "unless",
    "without",
];
/// After these a list of labels follows.
const LISTS: [&str; 6] = [
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "on",
    "without",
];

/// Everything that `expression` selects. Labels that it groups by belong to each selector: all of them must have them, but that one of
/// two sides of an operation may have been grouped already.
pub(crate) fn series(expression: &str) -> Vec<Selected> {
    let mut found = Vec::<Selected>::new();
    let mut grouped = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = after_string(rest);
        } else if first == '[' {
            rest = rest.split_once(']').unwrap().1;
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) = word(rest);
            rest = after.trim_start();
            if LISTS.contains(&word) && rest.starts_with('(') {
                let (labels, after) = rest[1..].split_once(')').unwrap();
                let labels = labels
                    .split(',')
                    .map(str::trim)
                    .filter(|label| !label.is_empty());
                grouped.extend(labels.map(str::to_owned));
                rest = after;
            } else if !WORDS.contains(&word)
                && !rest.starts_with('(')
                && !is_aggregation(word, rest)
            {
                let (labels, after) = matchers(rest);
                rest = after;
                found.push(Selected {
                    name: word.to_owned(),
                    labels,
                });
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    for selected in &mut found {
        selected.labels.extend(grouped.iter().cloned());
    }
    found
}

/// `sum by (x) (…)`: an aggregation may have its list of labels before what it aggregates.
fn is_aggregation(word: &str, rest: &str) -> bool {
    ["sum", "max", "min", "avg", "count"].contains(&word)
        && LISTS.iter().any(|list| rest.starts_with(list))
}

fn word(text: &str) -> (&str, &str) {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    text.split_at(text.find(|c| !letter(c)).unwrap_or(text.len()))
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return &text[at + 1..],
            _ => escaped = c == '\\' && !escaped,
        }
    }
    panic!("a string without an end: {text}")
}

/// The names in `{a="b",c=~"d"}`, and what follows it.
fn matchers(text: &str) -> (BTreeSet<String>, &str) {
    let mut labels = BTreeSet::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return (labels, text);
    };
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        let (label, after) = word(rest);
        assert!(!label.is_empty(), "no label: {text}");
        labels.insert(label.to_owned());
        rest = after_string(after.trim_start_matches(['=', '!', '~']));
    }
}

#[test]
fn selectors_are_found_with_their_labels() {
    let selected = |expression: &str| {
        let all = series(expression).into_iter();
        all.map(|one| {
            (
                one.name,
                one.labels.into_iter().collect::<Vec<_>>().join(" "),
            )
        })
        .collect::<Vec<_>>()
    };
    for (expression, names) in [
        ("up", vec![("up", "")]),
        (
            r#"a{b="c}{d",e!~"f\"g"} / h"#,
            vec![("a", "b e"), ("h", "")],
        ),
        (
            "sum by (x, le) (rate(a_bucket{b=\"c\"}[5m])) > 0.5",
            vec![("a_bucket", "b le x")],
        ),
        (
            "histogram_quantile(0.9, sum(rate(a[5m] offset 1h)) by (le))",
            vec![("a", "le")],
        ),
        ("time() - max by (j) (a) > 2 * 86400", vec![("a", "j")]),
        (
            "a > 0 and on (p) b >= c",
            vec![("a", "p"), ("b", "p"), ("c", "p")],
        ),
    ] {
        let names: Vec<_> = names
            .into_iter()
            .map(|(name, labels)| (name.to_owned(), labels.to_owned()))
            .collect();
        assert_eq!(selected(expression), names, "{expression}");
    }
}
