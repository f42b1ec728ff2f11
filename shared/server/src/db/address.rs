//! The URL of a database, read once.

use std::net::IpAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Host, SslMode};

use super::{DbError, Result};

pub(super) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PostgresAddress>),
}

pub(super) struct PostgresAddress {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: Tls,
}

/// How to speak to PostgreSQL. TLS without verifying the server protects from nobody who can answer for it, so there is
/// no such way.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Tls {
    Off,
    Verify(Roots),
}

/// Whose certificates to trust.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Roots {
    Mozilla,
    File(PathBuf),
}

fn wrong(what: impl Into<String>) -> DbError {
    DbError::Settings(what.into())
}

impl Address {
    pub(super) fn parse(url: &SecretString) -> Result<Self> {
        let url = url.expose_secret();
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return sqlite(path).map(Self::Sqlite);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url).map(|address| Self::Postgres(Box::new(address)));
        }
        Err(wrong(
            "the URL must begin with `sqlite:`, `postgres://` or `postgresql://`",
        ))
    }
}

fn sqlite(path: &str) -> Result<PathBuf> {
    if path.is_empty() || path.starts_with(':') {
        return Err(wrong(
            "SQLite needs the path of a file, as in `sqlite:data/auth.db`; each connection to a database in memory would have its own",
        ));
    }
    if path.contains(['?', '\0']) || path.starts_with("file:") {
        return Err(wrong("the path of the SQLite file takes no parameters"));
    }
    Ok(path.into())
}

/// `tokio_postgres` knows no verifying `sslmode` and no `sslrootcert`: we read these two, and it reads the rest as it
/// stands, percent-encoding and all.
fn postgres(url: &str) -> Result<PostgresAddress> {
    let (mut sslmode, mut sslrootcert) = (None, None);
    // A `?` before the `@` belongs to the password.
    let host_at = url.find('@').unwrap_or(0);
    let (base, query) = url
        .split_at(host_at)
        .1
        .split_once('?')
        .map_or((url, ""), |(host, query)| {
            (url.get(..host_at + host.len()).unwrap_or(url), query)
        });
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let ours = match name {
            "sslmode" => &mut sslmode,
            "sslrootcert" => &mut sslrootcert,
            _ => {
                // A part of a password that is not percent-encoded must not come back in a message.
                if !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                    return Err(wrong(
                        "the URL's parameters cannot be read; percent-encode `?`, `&`, `@` and `/` in user and password",
                    ));
                }
                rest.push(pair);
                continue;
            }
        };
        if ours.replace(percent_decoded(value)?).is_some() {
            return Err(wrong(format!("`{name}` is given twice in the URL")));
        }
    }
    let mut config: tokio_postgres::Config = format!("{base}?{}", rest.join("&"))
        .parse()
        .map_err(|error| wrong(super::error::chain(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(wrong("the URL names no host"));
    }
    let tls = tls(sslmode.as_deref(), sslrootcert.as_deref(), is_here(&config))?;
    config.ssl_mode(match tls {
        Tls::Off => SslMode::Disable,
        Tls::Verify(_) => SslMode::Require,
    });
    Ok(PostgresAddress { config, tls })
}

fn percent_decoded(value: &str) -> Result<String> {
    // `+` is a plus sign here, as in all parts of such a URL, so a form decoder would be wrong.
    let escaped = value.replace('+', "%2B");
    let mut pairs = url::form_urlencoded::parse(escaped.as_bytes());
    let (decoded, _) = pairs.next().unwrap_or_default();
    if decoded.contains('\u{FFFD}') {
        return Err(wrong("a parameter of the URL is not UTF-8"));
    }
    Ok(decoded.into_owned())
}

fn tls(mode: Option<&str>, roots: Option<&str>, here: bool) -> Result<Tls> {
    let verify = || {
        Tls::Verify(match roots {
            None | Some("system") => Roots::Mozilla,
            Some(file) => Roots::File(file.into()),
        })
    };
    match (mode, roots) {
        (Some("disable" | "allow" | "prefer"), Some(_)) => Err(wrong(
            "`sslrootcert` needs `sslmode=verify-full`: no certificate is looked at otherwise",
        )),
        (Some("disable"), None) => Ok(Tls::Off),
        (Some("allow" | "prefer") | None, None) if here => Ok(Tls::Off),
        (Some(mode @ ("allow" | "prefer")), None) => Err(wrong(format!(
            "`sslmode={mode}` lets anyone on the way turn TLS off; use `sslmode=verify-full`, or `sslmode=disable` on a network you trust"
        ))),
        (Some("require" | "verify-ca" | "verify-full") | None, _) => Ok(verify()),
        (Some(_), _) => Err(wrong(
            "`sslmode` must be one of disable, require, verify-ca and verify-full",
        )),
    }
}

/// Whether all that is said to the server stays on this machine.
fn is_here(config: &tokio_postgres::Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address> {
        Address::parse(&url.into())
    }

    fn parse_postgres(url: &str) -> PostgresAddress {
        match parse(url) {
            Ok(Address::Postgres(address)) => *address,
            Ok(Address::Sqlite(_)) => panic!("{url} is SQLite"),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    fn refusal(url: &str) -> String {
        match parse(url) {
            Err(DbError::Settings(why)) => why,
            Err(error) => panic!("{url}: {error}"),
            Ok(_) => panic!("{url} was taken"),
        }
    }

    #[test]
    fn sqlite_urls_name_a_file() {
        for (url, expected) in [
            ("sqlite:data/auth.db", "data/auth.db"),
            ("sqlite://data/auth.db", "data/auth.db"),
            ("sqlite:/var/lib/auth.db", "/var/lib/auth.db"),
            ("sqlite:///var/lib/auth.db", "/var/lib/auth.db"),
            ("sqlite:a b%20c.db", "a b%20c.db"),
        ] {
            match parse(url) {
                Ok(Address::Sqlite(path)) => assert_eq!(path, PathBuf::from(expected), "{url}"),
                _ => panic!("{url}"),
            }
        }
    }

    #[test]
    fn urls_that_cannot_be_used_say_why_and_never_the_password() {
        for (url, why) in [
            ("", "must begin with"),
            ("mysql://u:hunter2@h/d", "must begin with"),
            ("POSTGRES://u:hunter2@h/d", "must begin with"),
            ("sqlite:", "path of a file"),
            ("sqlite://", "path of a file"),
            ("sqlite::memory:", "path of a file"),
            ("sqlite:auth.db?mode=ro", "no parameters"),
            ("sqlite:file:auth.db", "no parameters"),
            ("postgres://", "no host"),
            ("postgres:///d", "no host"),
            ("postgres://u:hunter2@h:port/d", "port"),
            ("postgres://u:hunter2@h/d?sslcert=x", "sslcert"),
            ("postgres://u:hunter2@h/d?sslmode=no", "sslmode"),
            ("postgres://u:hunter2@h/d?sslmode=", "sslmode"),
            ("postgres://u:hunter2@h/d?sslmode=VERIFY-FULL", "sslmode"),
            (
                "postgres://u:hunter2@h/d?sslmode=disable&sslmode=require",
                "twice",
            ),
            (
                "postgres://u:hunter2@h/d?sslrootcert=a&sslrootcert=b",
                "twice",
            ),
            ("postgres://u:hunter2@h/d?sslrootcert=%FF", "UTF-8"),
            ("postgres://u:x@hunter2?hunter2@h/d", "percent-encode"),
        ] {
            let refused = refusal(url);
            assert!(refused.contains(why), "{url}: {refused}");
            assert!(!refused.contains("hunter2"), "{url}: {refused}");
        }
    }

    #[test]
    fn tls_is_off_only_where_it_is_said_or_on_this_machine() {
        let mozilla = || Some(Tls::Verify(Roots::Mozilla));
        let file = || Some(Tls::Verify(Roots::File("/ca.pem".into())));
        // For a server elsewhere, and for one on this machine; `None` where it is refused.
        for (parameters, elsewhere, here) in [
            ("", mozilla(), Some(Tls::Off)),
            ("sslmode=disable", Some(Tls::Off), Some(Tls::Off)),
            ("sslmode=allow", None, Some(Tls::Off)),
            ("sslmode=prefer", None, Some(Tls::Off)),
            ("sslmode=require", mozilla(), mozilla()),
            ("sslmode=verify-ca", mozilla(), mozilla()),
            ("sslmode=verify-full", mozilla(), mozilla()),
            ("sslrootcert=/ca.pem", file(), file()),
            ("sslrootcert=system", mozilla(), mozilla()),
            ("sslrootcert=%2Fca.pem&sslmode=require", file(), file()),
            ("sslmode=verify-full&sslrootcert=/ca.pem", file(), file()),
            ("sslmode=disable&sslrootcert=/ca.pem", None, None),
            ("sslmode=prefer&sslrootcert=/ca.pem", None, None),
        ] {
            for (expected, hosts) in [
                (
                    &elsewhere,
                    &[
                        "db.example",
                        "10.0.0.1",
                        "localhost,db.example",
                        "[2001:db8::1]",
                    ][..],
                ),
                (
                    &here,
                    &[
                        "localhost",
                        "127.0.0.1:5433",
                        "[::1]",
                        "%2Fvar%2Frun",
                        "localhost,127.0.0.1",
                    ],
                ),
            ] {
                for host in hosts {
                    let url = format!("postgres://u:p@{host}/d?{parameters}");
                    let Some(expected) = expected else {
                        refusal(&url);
                        continue;
                    };
                    let address = parse_postgres(&url);
                    assert_eq!(&address.tls, expected, "{url}");
                    let mode = match expected {
                        Tls::Off => SslMode::Disable,
                        Tls::Verify(_) => SslMode::Require,
                    };
                    assert_eq!(address.config.get_ssl_mode(), mode, "{url}");
                }
            }
        }
    }

    #[test]
    fn a_host_that_is_here_by_name_alone_is_elsewhere() {
        let url = "postgres://u@localhost/d?hostaddr=10.0.0.1";
        assert_eq!(parse_postgres(url).tls, Tls::Verify(Roots::Mozilla));
    }

    #[test]
    fn percent_encoding_and_other_parameters_survive() {
        let address = parse_postgres(
            "postgresql://us%40er:p%3Fa%26s%40s%2Fw+%25@localhost:6543/da%20ta?application_name=a%20b%26c&sslmode=disable&target_session_attrs=read-write&options=-c%20geqo%3Doff",
        );
        let config = &address.config;
        assert_eq!(config.get_user(), Some("us@er"));
        assert_eq!(config.get_password(), Some(&b"p?a&s@s/w+%"[..]));
        assert_eq!(config.get_dbname(), Some("da ta"));
        assert_eq!(config.get_application_name(), Some("a b&c"));
        assert_eq!(config.get_options(), Some("-c geqo=off"));
        assert_eq!(config.get_ports(), [6543]);
    }

    #[test]
    fn a_question_mark_in_the_password_begins_no_parameters() {
        let address = parse_postgres("postgres://u:p?sslmode=x@localhost/d");
        assert_eq!(address.config.get_password(), Some(&b"p?sslmode=x"[..]));
        assert_eq!(address.config.get_dbname(), Some("d"));
    }
}
