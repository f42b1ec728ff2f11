//! Client authentication and the token endpoint itself (RFC 6749 §2.3, §3.2).

use std::fmt::Write as _;

use crate::check::{Stop, Verdict};
use crate::metadata::is_protected;
use crate::subject::Subject;

pub(super) async fn basic_is_accepted(subject: &Subject) -> Verdict {
    let (client_id, secret) = subject.basic_secret()?;
    subject
        .issue(subject.grant()?.basic(client_id, secret))
        .await
        .map(drop)
}

/// A server that issues passwords lists Basic among the methods.
pub(super) fn basic_is_announced(subject: &Subject) -> Verdict {
    let methods = subject.metadata().client_authentication();
    let passwords = methods
        .iter()
        .any(|method| method.starts_with("client_secret_"));
    if !passwords {
        return Err(Stop::not_applicable(
            "no method of client authentication with a password is announced",
        ));
    }
    let document = subject.document()?;
    document.require(
        methods.contains(&"client_secret_basic"),
        "client_secret_basic is not announced",
    )
}

pub(super) async fn basic_is_decoded(subject: &Subject) -> Verdict {
    let (client_id, secret) = subject.basic_secret()?;
    // Every octet may be percent-encoded, so any client id and secret can show whether the server decodes.
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut encoded, byte| {
            let _ = write!(encoded, "%{byte:02X}");
            encoded
        })
    };
    subject
        .issue(
            subject
                .grant()?
                .basic_raw(&encode(client_id), &encode(secret)),
        )
        .await
        .map(drop)
}

pub(super) async fn secret_in_body(subject: &Subject) -> Verdict {
    let credentials = subject.credentials()?;
    if credentials.authentication.method() != "client_secret_post" {
        return Err(Stop::unchecked(
            "the given client does not use client_secret_post",
        ));
    }
    subject.fresh_token().await.map(drop)
}

pub(super) fn token_endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("token_endpoint")?;
    subject
        .document()?
        .require(is_protected(&url), format!("token_endpoint is {url}"))
}

pub(super) fn token_endpoint_without_fragment(subject: &Subject) -> Verdict {
    let url = subject.endpoint("token_endpoint")?;
    subject
        .document()?
        .require(url.fragment().is_none(), "token_endpoint has a fragment")
}

/// Only Basic and assertions can come with GET; for other clients an unauthenticated GET shows less, but something.
pub(super) async fn get_is_refused(subject: &Subject) -> Verdict {
    let mut request = subject
        .get(&subject.endpoint("token_endpoint")?)
        .query("grant_type", "client_credentials");
    if let Ok((client_id, secret)) = subject.basic_secret() {
        request = request.basic(client_id, secret);
    }
    request.send().await?.without_token()
}
