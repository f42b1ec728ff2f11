//! Language tags (RFC 5646), as far as they can be told without the registry.

/// Well-formed as far as RFC 5646 §2.1 has it of every tag: subtags of one to eight letters and digits.
#[must_use]
pub(crate) fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let is_subtag = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let language = subtags.next().unwrap_or_default();
    is_subtag(language)
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(is_subtag)
}
