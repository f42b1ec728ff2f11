//! Just enough of HTML to find the forms of a page: tags and their attributes, forgiving where browsers are.

use url::Url;

/// A tag as it stands in the page.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Tag {
    /// In lower case; a closing tag begins with a slash.
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

impl Tag {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut named = self.attributes.iter().filter(|(given, _)| given == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// Every tag of the page, in order. Comments, declarations, and what stands in scripts and styles are no tags.
pub(super) fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let begins = |c: char| c.is_ascii_alphabetic() || c == '/';
        if !after.starts_with(begins) {
            rest = after;
            continue;
        }
        let (tag, after) = tag(after);
        rest = match tag.name.as_str() {
            "script" | "style" | "template" => beyond(after, &tag.name),
            _ => after,
        };
        tags.push(tag);
    }
    tags
}

/// The text of the first element of that name, with its white space folded.
pub(super) fn text_of(html: &str, name: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find(&format!("<{name}"))?;
    let (_, after) = html.get(start..)?.split_once('>')?;
    let (text, _) = after.split_once('<')?;
    let words: Vec<_> = text.split_whitespace().collect();
    Some(decode(&words.join(" ")))
}

/// Where the link of that `id` on the page at `page` leads.
#[must_use]
pub fn link(page: &Url, html: &str, id: &str) -> Option<Url> {
    let tags = tags(html);
    let mut named = tags.iter().filter(|tag| tag.attribute("id") == Some(id));
    page.join(named.next()?.attribute("href")?).ok()
}

/// What follows the closing tag of a raw element.
fn beyond<'h>(html: &'h str, name: &str) -> &'h str {
    let end = html.to_ascii_lowercase().find(&format!("</{name}"));
    end.and_then(|end| html.get(end..)).unwrap_or_default()
}

/// Reads one tag; `html` begins behind its `<`.
fn tag(html: &str) -> (Tag, &str) {
    let ends = |c: char| c.is_ascii_whitespace() || c == '>' || c == '/';
    let closing = html.starts_with('/');
    let end = html
        .char_indices()
        .skip(usize::from(closing))
        .find(|(_, c)| ends(*c));
    let (name, mut rest) = html.split_at(end.map_or(html.len(), |(at, _)| at));
    let mut tag = Tag {
        name: name.to_ascii_lowercase(),
        attributes: Vec::new(),
    };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, after);
        }
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        // A name may begin with anything, so that reading always gets on.
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| ends(*c))
            .map_or(rest.len(), |(at, _)| at);
        let (name, after) = rest.split_at(end);
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => ("", after),
        };
        tag.attributes
            .push((name.to_ascii_lowercase(), decode(value)));
        rest = after;
    }
}

fn value(html: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = html.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = html.find(|c: char| c.is_ascii_whitespace() || c == '>');
    html.split_at(end.unwrap_or(html.len()))
}

/// The text that character references stand for; what is none stays as it is.
pub(super) fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(before);
        let reference = after
            .split_once(';')
            .and_then(|(name, after)| Some((character(name)?, after)));
        if let Some((character, after)) = reference {
            decoded.push(character);
            rest = after;
        } else {
            decoded.push('&');
            rest = after;
        }
    }
    decoded.push_str(rest);
    decoded
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_forgivingly_as_browsers_do() {
        let read = |html: &str| {
            let shown = |tag: &Tag| {
                let pairs: Vec<_> = tag
                    .attributes
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("{} {}", tag.name, pairs.join(" "))
                    .trim()
                    .to_owned()
            };
            tags(html).iter().map(shown).collect::<Vec<_>>().join("|")
        };
        for (html, expected) in [
            ("", ""),
            ("<", ""),
            ("a < b > c", ""),
            ("<p", "p"),
            ("<INPUT Name=a VALUE='b c'/>", "input name=a value=b c"),
            ("<input name = \"a\" required>x", "input name=a required="),
            ("<a href=/x?a=1&amp;b=2>", "a href=/x?a=1&b=2"),
            ("<!-- <form> --><br/></p>", "br|/p"),
            ("<script>if (a<b) '<form>'</script><p>", "script|/script|p"),
            ("<!doctype html><p>", "p"),
            ("<p =\">", "p =\"="),
            ("<p é=1>", "p é=1"),
            ("<p \"'<>", "p \"'<="),
            ("<input value=\"never closed", "input value=never closed"),
        ] {
            assert_eq!(read(html), expected, "{html}");
        }
    }

    #[test]
    fn character_references_are_decoded_once() {
        for (text, expected) in [
            ("a&amp;b", "a&b"),
            ("&amp;lt;", "&lt;"),
            ("&#x2F;&#47;&#x27;", "//'"),
            ("&unknown;&", "&unknown;&"),
            ("&#xD800;", "&#xD800;"),
            ("a & b; c", "a & b; c"),
        ] {
            assert_eq!(decode(text), expected, "{text}");
        }
    }

    #[test]
    fn a_link_is_resolved_against_its_page() {
        let page = "http://as.example/login".parse().unwrap();
        let html =
            "<a href=/x>x</a><a class=quiet id=on href=\"&#x2f;y?a=1&amp;b=2\">y</a><p id=text>";
        let found = |id: &str| link(&page, html, id).map(String::from);
        assert_eq!(found("on").as_deref(), Some("http://as.example/y?a=1&b=2"));
        assert_eq!(found("text"), None);
        assert_eq!(found("x"), None);
    }

    #[test]
    fn the_title_is_text() {
        assert_eq!(
            text_of("<head><TITLE>\n Not\tfound &amp; so on</title>", "title").as_deref(),
            Some("Not found & so on")
        );
        assert_eq!(text_of("<p>", "title"), None);
    }
}
