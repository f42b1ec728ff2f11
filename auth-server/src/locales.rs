//! The languages that a person reads, as their app (`ui_locales`) and their browser (`Accept-Language`) say.

use axum::http::{HeaderMap, header};

/// The languages that our own pages are written in (BCP 47).
pub const UI_LOCALES: [&str; 1] = ["en"];

/// The most languages that are looked at.
const MOST: usize = 10;
/// The longest list that is looked at.
const LONGEST: usize = 1024;

/// Languages, the one that a person likes best first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Locales(Vec<Box<str>>);

impl Locales {
    /// Those of a list parted by spaces. What is no language is left out: a language that nobody speaks here is no mistake
    /// (OpenID Connect Core §3.1.2.1, `ui_locales`).
    #[must_use]
    pub fn listed(raw: &str) -> Self {
        if raw.len() > LONGEST {
            return Self::default();
        }
        Self::first(raw.split(' '))
    }

    /// Those that a browser accepts (RFC 9110 §12.5.4), the most wanted first.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Self {
        let raw = headers.get(header::ACCEPT_LANGUAGE);
        let raw = raw.and_then(|raw| raw.to_str().ok()).unwrap_or_default();
        if raw.len() > LONGEST {
            return Self::default();
        }
        let mut ranges: Vec<(&str, f32)> = raw.split(',').filter_map(weighed).collect();
        // Those of one weight stay in their order.
        ranges.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Self::first(ranges.into_iter().map(|(range, _)| range))
    }

    fn first<'a>(tags: impl Iterator<Item = &'a str>) -> Self {
        let tags = tags.filter(|tag| is_language_tag(tag));
        Self(tags.take(MOST).map(Into::into).collect())
    }

    /// These, and then those of `others`.
    #[must_use]
    pub fn then(&self, others: Self) -> Self {
        Self(self.0.iter().cloned().chain(others.0).collect())
    }

    /// What is `offered` in the first of these languages that there is (RFC 4647 §3.4): where `de-CH` is wanted, `de` will do. `None`
    /// where a language of our pages comes first, in which what has no tag is as good as any.
    pub fn choose<T>(&self, offered: impl Fn(&str) -> Option<T>) -> Option<T> {
        for range in &self.0 {
            let found = prefixes(range).find_map(&offered);
            if found.is_some() {
                return found;
            }
            let is_ours = |tag| UI_LOCALES.iter().any(|ours| ours.eq_ignore_ascii_case(tag));
            if prefixes(range).any(is_ours) {
                return None;
            }
        }
        None
    }
}

/// One range of `Accept-Language` with its weight; none of weight zero, which is not wanted.
fn weighed(part: &str) -> Option<(&str, f32)> {
    let (range, weight) = match part.split_once(';') {
        None => (part, 1.0),
        Some((range, weight)) => (range, weight.trim().strip_prefix("q=")?.parse().ok()?),
    };
    (weight > 0.0 && weight <= 1.0).then_some((range.trim(), weight))
}

/// A language range, and what is left of it without its last subtags. No subtag of one letter stays last (RFC 4647 §3.4).
fn prefixes(range: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(range), |tag| shorter(tag))
}

fn shorter(tag: &str) -> Option<&str> {
    let (shorter, _) = tag.rsplit_once('-')?;
    match shorter.rsplit_once('-') {
        Some((shortest, last)) if last.len() == 1 => Some(shortest),
        Some(_) | None => Some(shorter),
    }
}

/// Well-formed as far as RFC 5646 §2.1 has it of every tag: subtags of one to eight letters and digits.
#[must_use]
pub fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let is_subtag = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let language = subtags.next().unwrap_or_default();
    is_subtag(language)
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(is_subtag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(locales: &Locales) -> String {
        let tags: Vec<&str> = locales.0.iter().map(AsRef::as_ref).collect();
        tags.join(" ")
    }

    fn accepted(value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, value.parse().unwrap());
        tags(&Locales::accepted(&headers))
    }

    #[test]
    fn oidc_3_1_2_1_ui_locales_that_are_no_languages_are_left_out() {
        let long = "de ".repeat(400);
        for (raw, expected) in [
            ("fr-CA fr en", "fr-CA fr en"),
            ("  de  ", "de"),
            ("de_AT <b> de", "de"),
            ("", ""),
            (long.as_str(), ""),
            ("a b c d e f g h i j k l", "a b c d e f g h i j"),
        ] {
            assert_eq!(tags(&Locales::listed(raw)), expected, "{raw}");
        }
    }

    #[test]
    fn rfc9110_12_5_4_the_most_wanted_comes_first() {
        for (value, expected) in [
            ("da, en-gb;q=0.8, en;q=0.7", "da en-gb en"),
            ("en;q=0.1, de", "de en"),
            ("de;q=0, en", "en"),
            ("*, de;q=0.5", "de"),
            ("de;q=2, en;q=x, fr;level=1", ""),
            ("de;q=NaN, en;q=-1, fr;q=inf", ""),
        ] {
            assert_eq!(accepted(value), expected, "{value}");
        }
    }

    #[test]
    fn rfc4647_3_4_the_first_language_that_there_is() {
        let known = ["de", "zh-Hant", "en-GB"];
        let chosen = |raw: &str| {
            let offered = |tag: &str| known.into_iter().find(|k| k.eq_ignore_ascii_case(tag));
            Locales::listed(raw).choose(offered)
        };
        for (raw, expected) in [
            ("de", Some("de")),
            ("DE-ch-1996", Some("de")),
            ("fr zh-hant-TW de", Some("zh-Hant")),
            ("zh-Hant-x-private", Some("zh-Hant")),
            ("zh de", Some("de")),
            ("en-GB", Some("en-GB")),
            // Our own language, in which the name without a tag is.
            ("en de", None),
            ("en-US de", None),
            ("fr", None),
            ("", None),
        ] {
            assert_eq!(chosen(raw), expected, "{raw}");
        }
    }
}
