//! URLs of clients, kept exactly as they were written.

use url::Url;

/// The longest that is kept, in bytes.
pub(super) const LONGEST: usize = 2048;

/// The absolute URL that is written here in one way that every reader understands alike: printable ASCII, no backslash, no user, and two
/// slashes before its host.
pub(super) fn url(raw: &str) -> Option<Url> {
    let printable = raw
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let url = Url::parse(raw).ok()?;
    let bare = url.username().is_empty() && url.password().is_none();
    // Browsers forgive a slash too few or too many before a host, and a user without a name; RFC 3986 §3.2 reads another host, or none.
    let strict = match authority(raw) {
        Some(authority) => !authority.contains('@') && (!url.is_special() || !authority.is_empty()),
        None => !url.is_special(),
    };
    (raw.len() <= LONGEST && printable && bare && strict).then_some(url)
}

/// RFC 3986 §3.2.
fn authority(raw: &str) -> Option<&str> {
    let (_, rest) = raw.split_once(':')?;
    rest.strip_prefix("//")?.split(['/', '?', '#']).next()
}

/// Writes the `raw` of a type as it is, and reads it by its `FromStr`.
macro_rules! as_written {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.raw)
            }
        }

        shared_protocol::serde_as_text!($name, <$name as std::str::FromStr>::Err);
    };
}

pub(super) use as_written;
