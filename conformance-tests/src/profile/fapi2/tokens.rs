//! Client authentication, and who can use a token (Security Profile §5.3.2.1, §5.3.4).

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::client::Client;
use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::dpop::Draft;
use crate::jws::{self, Jws};
use crate::subject::{Grant, Subject};

pub(super) async fn unauthenticated_redemption(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let code = client.code().await?;
    let draft = Draft::of(&client.prover);
    let redemption = || code.redemption(subject);
    let answer = subject.send_proved(redemption, &draft).await?;
    answer.without_token()
}

pub(super) async fn redemption_without_proof(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let code = client.code().await?;
    client.redemption(&code)?.send().await?.without_token()
}

pub(super) async fn token_is_bound(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let kind = grant.answer.text("token_type")?;
    grant.answer.require(
        kind.eq_ignore_ascii_case("dpop"),
        format!("token_type is {kind}"),
    )?;
    match Jws::parse(&grant.access_token) {
        Some(token) => grant.answer.require(
            token.claims.get("cnf") == Some(&client.prover.confirmation()),
            "the token is not bound to the key of the proof",
        ),
        None => Ok(()),
    }
}

pub(super) async fn assertion_works(subject: &Subject) -> Verdict {
    Client::of(subject).await?.grant().await.map(drop)
}

/// The answer to a push with an assertion that `edit` has changed: that endpoint needs nobody to sign in.
async fn pushed_with(
    subject: &Subject,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Result<Answer, Stop> {
    let client = Client::of(subject).await?;
    let request = client.request()?;
    let mut claims = client.claims();
    edit(&mut claims);
    let push = client.unauthenticated_push(&request)?;
    client.asserting(push, &claims)?.send().await
}

pub(super) async fn other_audiences(subject: &Subject) -> Verdict {
    let issuer = subject.issuer();
    pushed_with(subject, |_| ()).await?.status(&[201])?;
    for audience in [
        json!([issuer]),
        json!([issuer, "https://other.example"]),
        json!(subject.endpoint("token_endpoint")?.as_str()),
        json!("https://other.example"),
    ] {
        let answer = pushed_with(subject, |claims| {
            claims.insert("aud".into(), audience.clone());
        })
        .await?;
        answer.require(
            answer.status != 201,
            format!("an assertion for {audience} was accepted"),
        )?;
        answer.refused(&[400, 401], &["invalid_client"])?;
    }
    Ok(())
}

pub(super) async fn clock_ahead(subject: &Subject) -> Verdict {
    let soon = subject.now().saturating_add(8);
    for name in ["iat", "nbf"] {
        let answer = pushed_with(subject, |claims| {
            claims.insert(name.into(), soon.into());
        })
        .await?;
        answer.require(
            answer.status == 201,
            format!("{name} 8 seconds ahead was answered {}", answer.status),
        )?;
    }
    Ok(())
}

pub(super) async fn clock_far_ahead(subject: &Subject) -> Verdict {
    let later = subject.now().saturating_add(90);
    for name in ["iat", "nbf"] {
        let answer = pushed_with(subject, |claims| {
            claims.insert(name.into(), later.into());
            claims.insert("exp".into(), later.saturating_add(60).into());
        })
        .await?;
        answer.require(
            (400..500).contains(&answer.status),
            format!("{name} 90 seconds ahead was answered {}", answer.status),
        )?;
    }
    Ok(())
}

pub(super) async fn refresh_token_stays(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let answer = client.redeem(&client.offline_code().await?).await?;
    let grant = Grant::read(subject, answer, &client.id)?;
    let first = grant.refresh_token()?;
    for _ in 0..2 {
        let draft = Draft::of(&client.prover);
        let refresh = || {
            let request = grant.refresh(subject)?.without("client_id");
            client.authenticated(request)
        };
        let answer = subject.send_proved(refresh, &draft).await?;
        let next = Grant::read(subject, answer, &client.id)?;
        let same = next.refresh_token().map_or(true, |next| next == first);
        next.answer
            .require(same, "there is another refresh token")?;
    }
    Ok(())
}

pub(super) async fn code_is_bound(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let bound = || {
        let request = client.request()?;
        Ok::<_, Stop>(request.with("dpop_jkt", client.prover.thumbprint()))
    };
    let code = client.code_for(bound()?).await?;
    client.redeem(&code).await?.status(&[200])?;
    let code = client.code_for(bound()?).await?;
    let other = subject.prover("profile-thief")?;
    let redemption = || client.redemption(&code);
    let answer = subject.send_proved(redemption, &Draft::of(&other)).await?;
    answer.without_token()
}

/// Of somebody who could sign in.
pub(super) async fn password_grant(subject: &Subject) -> Verdict {
    let announced = subject.metadata().grants().contains(&"password");
    let document = subject.document()?;
    document.require(!announced, "the password grant is announced")?;
    let client = Client::of(subject).await?;
    let person = subject.person()?;
    let make = || {
        let request = subject.post("token_endpoint")?.form(&[
            ("grant_type", "password"),
            ("username", person.login.as_str()),
            ("password", person.password.expose_secret()),
        ]);
        client.authenticated(request)
    };
    let answer = subject
        .send_proved(make, &Draft::of(&client.prover))
        .await?;
    answer.without_token()
}

/// Whoever is told of a person is told in an ID token.
pub(super) async fn person_is_identified(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let sub = grant.id_token()?.claims.get("sub").cloned();
    let named = sub.as_ref().and_then(Value::as_str);
    grant.answer.require(
        named.is_some_and(|sub| !sub.is_empty()),
        "the ID token has no sub",
    )
}

/// The answer of userinfo to that token, with a good proof for it.
async fn shown(client: &Client<'_>, token: &str) -> Result<Answer, Stop> {
    let subject = client.subject;
    let url = subject.endpoint("userinfo_endpoint")?;
    let draft = Draft::of(&client.prover).with_token(token);
    let make = || Ok(subject.get(&url).bound(token));
    subject.send_proved(make, &draft).await
}

pub(super) async fn forged_token(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let token = Jws::parse(&grant.access_token);
    let token = token.ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    let later = subject.now().saturating_add(86_400);
    for forgery in [
        Some(jws::tampered(&token, "exp", later.into())),
        jws::forged(&token, false),
        Some(jws::unsigned(&token, "none")),
    ] {
        let forgery = forgery.unwrap_or_default();
        shown(&client, &forgery).await?.status(&[401])?;
    }
    shown(&client, &grant.access_token).await?.status(&[200])
}

pub(super) async fn revoked_token(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let request = subject.post("revocation_endpoint")?;
    let request = request.form(&[("token", &grant.access_token)]);
    shown(&client, &grant.access_token).await?.status(&[200])?;
    client
        .authenticated(request)?
        .send()
        .await?
        .status(&[200])?;
    shown(&client, &grant.access_token).await?.status(&[401])
}

pub(super) async fn resource_takes_bound_tokens(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    shown(&client, &grant.access_token).await?.status(&[200])
}

pub(super) async fn resource_wants_the_proof(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let url = subject.endpoint("userinfo_endpoint")?;
    let token = &grant.access_token;
    subject
        .get(&url)
        .bound(token)
        .send()
        .await?
        .status(&[400, 401])?;
    subject
        .get(&url)
        .bearer(token)
        .send()
        .await?
        .status(&[400, 401])?;
    let other = subject.prover("profile-stranger")?;
    let draft = Draft::of(&other).with_token(token);
    let make = || Ok(subject.get(&url).bound(token));
    subject.send_proved(make, &draft).await?.status(&[400, 401])
}

pub(super) async fn token_in_query(subject: &Subject) -> Verdict {
    let client = Client::of(subject).await?;
    let grant = client.grant().await?;
    let url = subject.endpoint("userinfo_endpoint")?;
    let draft = Draft::of(&client.prover).with_token(&grant.access_token);
    let make = || {
        let request = subject.get(&url);
        Ok(request.query("access_token", &grant.access_token))
    };
    let answer = subject.send_proved(make, &draft).await?;
    answer.status(&[400, 401])
}
