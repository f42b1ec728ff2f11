//! Form parameters as OAuth wants them: none twice, an empty one counts as absent, an unknown one is ignored (RFC 6749 §3.1, §3.2).

/// What a token exchange alone may repeat (RFC 8693 §2.1).
const AUDIENCE: &str = "audience";
/// The most parameters that one request may carry.
const MAX_PARAMETERS: usize = 100;

/// Why a body is not a set of parameters.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidParameters {
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the parameters are not form-urlencoded UTF-8")]
    Encoding,
    /// One that may stand once stands twice.
    #[error("a parameter is repeated: {0}")]
    Repeated(String),
    /// More than 100.
    #[error("more than 100 parameters")]
    TooMany,
    /// One that the request cannot do without is absent.
    #[error("a parameter is missing: {0}")]
    Missing(&'static str),
    /// One whose value is not of its form.
    #[error("a parameter is malformed: {0}")]
    Malformed(&'static str),
}

/// The parameters of one request.
#[derive(Clone)]
pub struct Parameters {
    once: Vec<(String, String)>,
    repeated: Vec<String>,
}

impl Parameters {
    /// Decodes `application/x-www-form-urlencoded`. `resource` alone may be repeated (RFC 8707 §2).
    ///
    /// # Errors
    /// [`InvalidParameters`].
    pub fn parse(body: &[u8]) -> Result<Self, InvalidParameters> {
        let parameters = Self::parse_with_repeated(body)?;
        parameters.all_once()?;
        Ok(parameters)
    }

    /// Decodes as [`Parameters::parse`] does, but only notes what is repeated: the authorization endpoint tells a client of it, and
    /// must know first where (RFC 6749 §4.1.2.1). No copy of what is repeated counts.
    ///
    /// # Errors
    /// [`InvalidParameters::Encoding`] and [`InvalidParameters::TooMany`].
    pub fn parse_with_repeated(body: &[u8]) -> Result<Self, InvalidParameters> {
        let mut once: Vec<(String, String)> = Vec::new();
        let mut repeated = Vec::new();
        for (count, pair) in body
            .split(|&byte| byte == b'&')
            .filter(|pair| !pair.is_empty())
            .enumerate()
        {
            if count == MAX_PARAMETERS {
                return Err(InvalidParameters::TooMany);
            }
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name =
                decode(halves.next().unwrap_or_default()).ok_or(InvalidParameters::Encoding)?;
            let value =
                decode(halves.next().unwrap_or_default()).ok_or(InvalidParameters::Encoding)?;
            let is_repeated = name != "resource" && once.iter().any(|(known, _)| *known == name);
            // Of those that one request may repeat and others may not, every copy is kept for that one.
            if !is_repeated || name == AUDIENCE {
                once.push((name.clone(), value));
            }
            if is_repeated {
                repeated.push(name);
            }
        }
        // Only now: an empty copy beside a full one is a repetition all the same.
        once.retain(|(name, value)| {
            !value.is_empty() && (name == AUDIENCE || !repeated.contains(name))
        });
        Ok(Self { once, repeated })
    }

    /// Those that were read from something else, each name once but `resource`.
    ///
    /// # Errors
    /// [`InvalidParameters::TooMany`].
    pub fn of(pairs: Vec<(String, String)>) -> Result<Self, InvalidParameters> {
        if pairs.len() > MAX_PARAMETERS {
            return Err(InvalidParameters::TooMany);
        }
        let mut once = pairs;
        once.retain(|(_, value)| !value.is_empty());
        Ok(Self {
            once,
            repeated: Vec::new(),
        })
    }

    /// The same with this one, unless there is one of its name.
    #[must_use]
    pub fn or_with(mut self, name: &str, value: &str) -> Self {
        if self.optional(name).is_none() {
            self.once.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Refuses a parameter that is repeated.
    ///
    /// # Errors
    /// [`InvalidParameters::Repeated`].
    pub fn once(&self, name: &str) -> Result<(), InvalidParameters> {
        if self.repeated.iter().any(|repeated| repeated == name) {
            return Err(repeated(name));
        }
        Ok(())
    }

    /// Refuses any parameter that is repeated.
    ///
    /// # Errors
    /// [`InvalidParameters::Repeated`].
    pub fn all_once(&self) -> Result<(), InvalidParameters> {
        match self.repeated.first() {
            Some(name) => Err(repeated(name)),
            None => Ok(()),
        }
    }

    /// Refuses any parameter that is repeated but this one.
    ///
    /// # Errors
    /// [`InvalidParameters::Repeated`].
    pub fn all_once_but(&self, name: &str) -> Result<(), InvalidParameters> {
        match self.repeated.iter().find(|repeated| *repeated != name) {
            Some(name) => Err(repeated(name)),
            None => Ok(()),
        }
    }

    /// Those of these names, encoded again.
    #[must_use]
    pub fn encode(&self, names: &[&str]) -> String {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.once {
            if names.contains(&name.as_str()) {
                encoded.append_pair(name, value);
            }
        }
        encoded.finish()
    }

    /// Those of these names alone.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        let known = |name: &String| names.contains(&name.as_str());
        let once = self.once.iter().filter(|(name, _)| known(name));
        Self {
            once: once.cloned().collect(),
            repeated: self
                .repeated
                .iter()
                .filter(|name| known(name))
                .cloned()
                .collect(),
        }
    }

    /// The value of a parameter, if it is there.
    #[must_use]
    pub fn optional<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// [`InvalidParameters::Missing`].
    pub fn required(&self, name: &'static str) -> Result<&str, InvalidParameters> {
        self.optional(name).ok_or(InvalidParameters::Missing(name))
    }

    /// Every value of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.once
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

fn repeated(name: &str) -> InvalidParameters {
    InvalidParameters::Repeated(name.chars().take(64).collect())
}

/// Undoes form-urlencoding; `None` for a broken escape or for bytes that are not UTF-8.
#[must_use]
pub fn decode(encoded: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc6749_3_2_parameters_once_and_empty_is_absent() {
        let parse = |body: &str| Parameters::parse(body.as_bytes());
        let form = parse("a=1&b=&c&resource=x&resource=y&d=%C3%A4+%2b").unwrap();
        assert_eq!(
            (form.optional("a"), form.optional("b"), form.optional("c")),
            (Some("1"), None, None)
        );
        assert_eq!(form.optional("d"), Some("\u{e4} +"));
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(form.required("b"), Err(InvalidParameters::Missing("b")));
        let repeated = |name: &str| Some(InvalidParameters::Repeated(name.into()));
        for (what, body, expected) in [
            ("twice", "a=1&a=1", repeated("a")),
            ("twice, once empty", "a=&a=1", repeated("a")),
            ("twice, by an escape", "a=1&%61=2", repeated("a")),
            ("audience", "audience=x&audience=y", repeated("audience")),
            ("half an escape", "a=%4", Some(InvalidParameters::Encoding)),
            ("no digits", "a=%+1", Some(InvalidParameters::Encoding)),
            ("invalid UTF-8", "a=%ff", Some(InvalidParameters::Encoding)),
        ] {
            assert_eq!(parse(body).err(), expected, "{what}");
        }
        let many: Vec<_> = (0..=MAX_PARAMETERS).map(|n| format!("p{n}=1")).collect();
        assert_eq!(
            parse(&many.join("&")).err(),
            Some(InvalidParameters::TooMany)
        );
        assert!(parse(&"resource=x&".repeat(100_000)).is_err());
    }

    #[test]
    fn no_copy_of_what_is_repeated_counts() {
        let form = Parameters::parse_with_repeated(b"a=1&a=2&b=3&a=&state=x%20y").unwrap();
        assert_eq!((form.optional("a"), form.optional("b")), (None, Some("3")));
        assert_eq!(
            (form.once("a"), form.once("b")),
            (Err(InvalidParameters::Repeated("a".into())), Ok(()))
        );
        assert!(form.all_once().is_err());
        assert_eq!(form.encode(&["a", "state"]), "state=x+y");
    }

    #[test]
    fn rfc8693_2_1_a_token_exchange_may_repeat_its_audience_and_nothing_else() {
        let parse = |body: &str| Parameters::parse_with_repeated(body.as_bytes()).unwrap();
        let form = parse("audience=x&audience=&audience=y&resource=a&resource=b");
        assert_eq!(form.all("audience").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(form.all_once_but("audience"), Ok(()));
        assert!(form.all_once().is_err() && form.once("audience").is_err());
        let form = parse("audience=x&audience=y&scope=a&scope=a");
        let refused = form.all_once_but("audience");
        assert_eq!(refused, Err(InvalidParameters::Repeated("scope".into())));
    }

    proptest! {
        #[test]
        fn what_a_client_encodes_is_what_is_read(value in "\\PC{0,20}") {
            let body: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("v", &value).finish();
            let form = Parameters::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(form.optional("v").unwrap_or_default(), value);
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Parameters::parse(&body);
        }
    }
}
