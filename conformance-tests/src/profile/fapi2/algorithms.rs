//! Keys and algorithms (Security Profile §5.4).

use super::client::Client;
use crate::check::Verdict;
use crate::jws::Jws;
use crate::metadata::is_protected;
use crate::subject::Subject;

const ALLOWED: [&str; 4] = ["PS256", "ES256", "EdDSA", "Ed25519"];

pub(super) async fn of_tokens(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let id_token = grant.has_id_token().then(|| grant.id_token()).transpose()?;
    let tokens = [
        ("access token", Jws::parse(&grant.access_token)),
        ("ID token", id_token),
    ];
    for (what, token) in tokens {
        let algorithm = token
            .as_ref()
            .map(|token| token.algorithm().unwrap_or_default());
        grant.answer.require(
            algorithm.is_none_or(|algorithm| ALLOWED.contains(&algorithm)),
            format!("the {what} is signed with {algorithm:?}"),
        )?;
    }
    Ok(())
}

pub(super) async fn none_of_client(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let push = client.unauthenticated_push(&client.request()?)?;
    let answer = client.unsigned(push)?.send().await?;
    answer.refused(&[400, 401], &["invalid_client"])
}

pub(super) fn keys_are_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("jwks_uri")?;
    let reason = format!("jwks_uri is {url}");
    subject.document()?.require(is_protected(&url), reason)
}
