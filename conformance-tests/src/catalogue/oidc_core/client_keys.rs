//! Clients that authenticate with their own keys (OpenID Connect Core §9), and change them (§10.1.1).

use serde_json::json;

use crate::catalogue::oidc_registration::{comes_in, let_in, publish_key};
use crate::check::{Stop, Verdict};
use crate::jws;
use crate::subject::Subject;

pub(super) async fn assertion_for_the_issuer(subject: &Subject) -> Verdict {
    let more = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
    });
    let client = subject.signing_app(more).await?;
    comes_in(subject, &client, subject.client_key()?).await?;
    let code = subject.authorization_of(&client)?.code().await?;
    subject.redeem_as(&client, &code).await.map(drop)
}

pub(super) async fn next_key_is_fetched(subject: &Subject) -> Verdict {
    let (client, place) = let_in(subject).await?;
    let next = jws::derived_key(&subject.unique(), "next");
    let next = next.ok_or_else(|| Stop::unchecked("no key could be made"))?;
    publish_key(subject, &place, &next)?;
    comes_in(subject, &client, &next).await
}
