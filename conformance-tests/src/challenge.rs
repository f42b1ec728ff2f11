//! Reads `WWW-Authenticate` (RFC 9110 §11.6.1): challenges, each a scheme and parameters, parted by commas.

/// One challenge.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Challenge {
    /// The scheme, as sent.
    pub(crate) scheme: String,
    /// Parameters in order; names in lower case, quotes and escapes taken off.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(given, _)| given == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// Every challenge of one field value; `None` when it does not follow the grammar.
    pub(crate) fn parse_all(value: &str) -> Option<Vec<Self>> {
        let mut challenges: Vec<Self> = Vec::new();
        for item in split_outside_quotes(value)? {
            let item = item.trim();
            if item.is_empty() {
                continue;
            }
            let (head, rest) = item
                .split_once(' ')
                .map_or((item, ""), |(head, rest)| (head, rest.trim()));
            // `name=value` continues the challenge before it; anything else begins one.
            let parameter = if head.contains('=') {
                item
            } else {
                challenges.push(Self {
                    scheme: head.to_owned(),
                    parameters: Vec::new(),
                });
                rest
            };
            if !parameter.is_empty() {
                let (name, value) = parameter.split_once('=')?;
                let value = unquote(value.trim())?;
                challenges
                    .last_mut()?
                    .parameters
                    .push((name.trim().to_ascii_lowercase(), value));
            }
        }
        Some(challenges)
    }
}

/// The items between commas that stand outside quoted strings; `None` when a quote is left open.
fn split_outside_quotes(value: &str) -> Option<Vec<String>> {
    let mut items = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in value.chars() {
        if c == ',' && !quoted {
            items.push(String::new());
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        items.last_mut()?.push(c);
    }
    (!quoted).then_some(items)
}

fn unquote(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.is_empty() && !value.contains([' ', '"'])).then(|| value.to_owned());
    };
    let mut plain = String::new();
    let mut chars = inner.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_11_6_1_challenges_and_parameters_are_told_apart() {
        let parsed = Challenge::parse_all(
            r#"Bearer realm="a, b", ERROR="invalid_token", error_description="say \"no\"", DPoP algs=ES256, Negotiate"#,
        )
        .unwrap();
        let schemes: Vec<_> = parsed
            .iter()
            .map(|challenge| challenge.scheme.as_str())
            .collect();
        assert_eq!(schemes, ["Bearer", "DPoP", "Negotiate"]);
        let bearer = parsed.first().unwrap();
        assert_eq!(bearer.parameter("realm"), Some("a, b"));
        assert_eq!(bearer.parameter("error"), Some("invalid_token"));
        assert_eq!(bearer.parameter("error_description"), Some(r#"say "no""#));
        assert_eq!(parsed.get(1).unwrap().parameter("algs"), Some("ES256"));
    }

    #[test]
    fn rfc9110_11_6_1_broken_fields_are_refused() {
        for broken in [
            r#"Bearer realm="open"#,
            "error=alone",
            "Bearer realm",
            "Bearer realm=",
            r#"Bearer a="b" c"#,
        ] {
            assert_eq!(Challenge::parse_all(broken), None, "{broken}");
        }
    }
}
