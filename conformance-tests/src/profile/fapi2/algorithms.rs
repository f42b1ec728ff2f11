//! Keys and algorithms (Security Profile §5.4).

use serde_json::Value;

use super::client::{Client, asserting_by, object_by};
use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::dpop::{Draft, INVALID_PROOF, Prover, confused, unsigned};
use crate::jws::{self, Jws};
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
    for (what, token) in &tokens {
        let Some(token) = token else { continue };
        let algorithm = token.algorithm().unwrap_or_default();
        grant.answer.require(
            ALLOWED.contains(&algorithm),
            format!("the {what} is signed with {algorithm:?}"),
        )?;
    }
    Ok(())
}

/// What was signed with `name` is refused where the profile does not permit that. What it permits is taken where the server announces it;
/// ES256 always is, for without anything that is taken a refusal would show nothing.
fn judge(what: &str, name: &str, announced: &[&str], answer: &Answer) -> Verdict {
    let is_announced = announced.contains(&name)
        || name == "EdDSA" && announced.contains(&"Ed25519")
        || name == "ES256";
    let right = match answer.status {
        201 => ALLOWED.contains(&name),
        400..500 => !(ALLOWED.contains(&name) && is_announced),
        _ => false,
    };
    answer.require(
        right,
        format!("{what} by {name} was answered {}", answer.status),
    )
}

/// Assertions without a signature, and under HS256 with the public key as the secret.
pub(super) async fn no_secrets_of_client(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let (genuine, key) = client.assertion()?;
    let forgeries = [
        Some(jws::unsigned(&genuine, "none")),
        Some(jws::unsigned(&genuine, "nOnE")),
        jws::confused(&genuine, &key),
    ];
    for forgery in forgeries.into_iter().flatten() {
        let push = client.unauthenticated_push(&client.request()?)?;
        let answer = push.assertion(&forgery).send().await?;
        answer.refused(&[400, 401], &["invalid_client"])?;
    }
    Ok(())
}

/// A client whose RSA key would do for PS256, which is permitted, and for RS256.
async fn many_keyed(subject: &Subject) -> Result<Client<'_>, Stop> {
    let jwks = subject.signers()?.jwks();
    let jwks = jwks.ok_or_else(|| Stop::unchecked("no keys could be made"))?;
    Client::with_keys(subject, &jwks).await
}

pub(super) async fn of_assertions(subject: &Subject) -> Verdict {
    let client = many_keyed(subject).await?;
    let member = "token_endpoint_auth_signing_alg_values_supported";
    let announced = subject.metadata().list(member);
    for signer in subject.signers()?.all() {
        let push = client.unauthenticated_push(&client.request()?)?;
        let answer = asserting_by(signer, push, &client.claims())?;
        let answer = answer.send().await?;
        judge("an assertion", &signer.name(), &announced, &answer)?;
    }
    Ok(())
}

pub(super) async fn of_proofs(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let announced = subject.metadata().list("dpop_signing_alg_values_supported");
    if announced.is_empty() {
        return Err(Stop::not_applicable("the server does not speak DPoP"));
    }
    let push = async |draft: &Draft<'_>| {
        let request = client.request()?;
        let make = || client.authenticated(client.unauthenticated_push(&request)?);
        subject.send_proved(make, draft).await
    };
    for signer in subject.signers()?.all() {
        let prover = Prover::with(signer);
        let prover = prover.ok_or_else(|| Stop::unchecked("no key could be made"))?;
        let answer = push(&Draft::of(&prover)).await?;
        judge("a proof", &signer.name(), &announced, &answer)?;
    }
    for last in [unsigned, confused] {
        let draft = Draft::of(&client.prover).finished_by(last);
        push(&draft).await?.refused(&[400], &[INVALID_PROOF])?;
    }
    Ok(())
}

pub(super) async fn of_request_objects(subject: &Subject) -> Verdict {
    let client = many_keyed(subject).await?;
    let member = "request_object_signing_alg_values_supported";
    let announced = subject.metadata().list(member);
    let request = client.request()?;
    let genuine = client.object(&client.object_claims(&request))?;
    let answer = client.push_object(&genuine).await?;
    if !subject.signs() && answer.status != 201 {
        return Err(Stop::not_applicable("the server takes no request objects"));
    }
    answer.status(&[201])?;
    for signer in subject.signers()?.all() {
        let object = object_by(signer, &client.object_claims(&request))?;
        let answer = client.push_object(&object).await?;
        judge("a request object", &signer.name(), &announced, &answer)?;
    }
    let genuine = Jws::parse(&genuine);
    let genuine = genuine.ok_or_else(|| Stop::unchecked("no request object could be made"))?;
    let (_, key) = client.assertion()?;
    for (name, forgery) in [
        ("none", Some(jws::unsigned(&genuine, "none"))),
        ("HS256", jws::confused(&genuine, &key)),
    ] {
        let answer = client.push_object(&forgery.unwrap_or_default()).await?;
        judge("a request object", name, &announced, &answer)?;
    }
    Ok(())
}

/// RFC 7518 §6.2.1.1 and RFC 8037 §2: each curve that they name has more than 224 bits.
pub(super) async fn curves_are_long(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    for key in keys {
        let curve = key.get("crv").and_then(Value::as_str);
        let long = [
            "P-256", "P-384", "P-521", "Ed25519", "X25519", "Ed448", "X448",
        ];
        answer.require(
            curve.is_none_or(|curve| long.contains(&curve)),
            format!("a published key is on the curve {curve:?}"),
        )?;
    }
    Ok(())
}

pub(super) async fn keys_are_not_elsewhere(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let id_token = grant.has_id_token().then(|| grant.id_token()).transpose()?;
    for token in [Jws::parse(&grant.access_token), id_token] {
        let header = token.map(|token| token.header).unwrap_or_default();
        for name in ["x5u", "jku"] {
            grant
                .answer
                .require(!header.contains_key(name), format!("a header has {name}"))?;
        }
    }
    Ok(())
}

/// Keys of two types under one name: each assertion is verified with the one that fits.
pub(super) async fn one_name_for_two_keys(subject: &Subject) -> Verdict {
    let mut jwks = subject.signers()?.jwks().unwrap_or_default();
    let keys = jwks.get_mut("keys").and_then(Value::as_array_mut);
    let keys = keys.ok_or_else(|| Stop::unchecked("no keys could be made"))?;
    for key in keys.iter_mut().filter_map(Value::as_object_mut) {
        key.insert("kid".into(), "shared".into());
    }
    let client = Client::with_keys(subject, &jwks).await?;
    let member = "token_endpoint_auth_signing_alg_values_supported";
    let announced = subject.metadata().list(member);
    let own = subject.signers()?.es256().map(|own| own.named("shared"));
    let own = own.ok_or_else(|| Stop::unchecked("no keys could be made"))?;
    for signer in subject.signers()?.all() {
        let signer = signer.named("shared");
        let push = client.unauthenticated_push_by(&own, &client.request()?)?;
        let answer = asserting_by(&signer, push, &client.claims())?;
        let answer = answer.send().await?;
        judge("an assertion", &signer.name(), &announced, &answer)?;
    }
    Ok(())
}

pub(super) fn keys_are_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("jwks_uri")?;
    let reason = format!("jwks_uri is {url}");
    subject.document()?.require(is_protected(&url), reason)
}
