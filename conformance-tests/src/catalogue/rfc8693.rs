//! RFC 8693: token exchange.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::jws::{self, Jws};
use crate::subject::exchange::{NOT_ALLOWED, TOKEN_EXCHANGE};
use crate::subject::{Subject, TokenType};

const EXCHANGE: &[Feature] = &[Feature::Grant(TOKEN_EXCHANGE)];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 8693",
    title: "OAuth 2.0 Token Exchange",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc8693-2.1-subject-token",
        "2.1",
        "The parameters subject_token and subject_token_type are required.",
        &[
            check!(subject_token_is_missing),
            check!(its_type_is_missing),
        ],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.1-actor-token-type",
        "2.1",
        "The parameter actor_token_type is required beside actor_token and stands nowhere else.",
        &[check!(actor_without_type), check!(type_without_actor)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.1-resource",
        "2.1",
        "A resource is an absolute URI without a fragment.",
        &[check!(malformed_resource)],
    )
    .when(EXCHANGE),
    should(
        "rfc8693-2.1-client",
        "2.1",
        "A client that cannot be told from another exchanges nothing.",
        &[check!(public_client_exchanges_nothing)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.2.1-response",
        "2.2.1",
        "The answer is a token response with issued_token_type.",
        &[check!(response_has_fields)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.2.1-requested-type",
        "2.2.1",
        "Where an access token is asked for, an access token is issued and said to be one.",
        &[check!(requested_type_is_issued)],
    )
    .when(EXCHANGE),
    should(
        "rfc8693-2.2.1-expires-in",
        "2.2.1",
        "The answer tells the lifetime of the token.",
        &[check!(lifetime_is_told)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.2.1-scope",
        "2.2.1",
        "Scope that was asked for and not issued is refused, or the answer tells what was issued.",
        &[check!(other_scope_is_told)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.2.2-invalid-subject",
        "2.2.2",
        "A subject token that is not valid is answered invalid_request.",
        &[
            check!(invented_subject),
            check!(forged_subject),
            check!(subject_of_another_type),
        ],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.2.2-revoked-subject",
        "2.2.2",
        "A subject token that has been revoked is answered invalid_request.",
        &[check!(revoked_subject)],
    )
    .when(&[
        Feature::Grant(TOKEN_EXCHANGE),
        Feature::Member("revocation_endpoint"),
    ]),
    must(
        "rfc8693-2.2.2-invalid-actor",
        "2.2.2",
        "An actor token that is not valid is answered invalid_request.",
        &[check!(invented_actor)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-2.2.2-unknown-type",
        "2.2.2",
        "A type of token that the server does not know is answered invalid_request.",
        &[check!(unknown_subject_type), check!(unknown_requested_type)],
    )
    .when(EXCHANGE),
    should(
        "rfc8693-2.2.2-invalid-target",
        "2.2.2",
        "A resource or audience that the server issues no tokens for is answered invalid_target.",
        &[check!(unknown_resource), check!(unknown_audience)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-4.1-act",
        "4.1",
        "The claim act is an object about an actor and nothing else, prior actors nested in it.",
        &[check!(actor_is_an_object)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-4.1-current-actor",
        "4.1",
        "The outermost act is the actor of the actor token.",
        &[check!(actor_is_the_one_of_the_token)],
    )
    .when(EXCHANGE),
    must(
        "rfc8693-4.4-may-act",
        "4.4",
        "Nobody but the actor of may_act becomes the actor of a token with that claim.",
        &[],
    )
    .unchecked("no token with may_act can be had")
    .when(EXCHANGE),
];

/// A valid exchange with these parameters in the place of others of their names is refused with one of these codes; one
/// without a value is left out.
async fn refused(subject: &Subject, changes: &[(&str, &str)], codes: &[&str]) -> Verdict {
    let exchanged = subject.exchanged().await?;
    let mut request = subject.exchange(&exchanged.subject_token)?;
    for (name, value) in changes {
        request = request.without(name);
        if !value.is_empty() {
            request = request.form(&[(name, value)]);
        }
    }
    request.send().await?.refused(&[400], codes)
}

async fn subject_token_is_missing(subject: &Subject) -> Verdict {
    refused(subject, &[("subject_token", "")], &["invalid_request"]).await
}

async fn its_type_is_missing(subject: &Subject) -> Verdict {
    refused(subject, &[("subject_token_type", "")], &["invalid_request"]).await
}

async fn actor_without_type(subject: &Subject) -> Verdict {
    let own = subject.token().await?.value.as_str();
    refused(subject, &[("actor_token", own)], &["invalid_request"]).await
}

async fn type_without_actor(subject: &Subject) -> Verdict {
    let kind = [("actor_token_type", TokenType::AccessToken.uri())];
    refused(subject, &kind, &["invalid_request"]).await
}

async fn malformed_resource(subject: &Subject) -> Verdict {
    for resource in ["relative", "https://api.example/#fragment"] {
        let codes = ["invalid_target", "invalid_request"];
        refused(subject, &[("resource", resource)], &codes).await?;
    }
    Ok(())
}

async fn public_client_exchanges_nothing(subject: &Subject) -> Verdict {
    let exchanged = subject.exchanged().await?;
    let request = subject.post("token_endpoint")?.form(&[
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", &exchanged.subject_token),
        ("subject_token_type", TokenType::AccessToken.uri()),
        ("client_id", subject.public_client()?),
    ]);
    request.send().await?.without_token()
}

async fn response_has_fields(subject: &Subject) -> Verdict {
    let answer = &subject.exchanged().await?.answer;
    for name in ["access_token", "issued_token_type", "token_type"] {
        answer.text(name)?;
    }
    let kept = !answer.has_directive("cache-control", "no-store");
    answer.require(!kept, "Cache-Control is not no-store")
}

async fn requested_type_is_issued(subject: &Subject) -> Verdict {
    let exchanged = subject.exchanged().await?;
    let wanted = TokenType::AccessToken.uri();
    let request = subject.exchange(&exchanged.subject_token)?;
    let request = request.form(&[("requested_token_type", wanted)]);
    let answer = subject.issue(request).await?.answer;
    let issued = answer.text("issued_token_type")?;
    answer.require(issued == wanted, format!("issued_token_type is {issued}"))?;
    let usable = answer.text("token_type")? != "N_A";
    answer.require(usable, "token_type says that it is no access token")
}

async fn lifetime_is_told(subject: &Subject) -> Verdict {
    let answer = &subject.exchanged().await?.answer;
    let told = answer.json()?.get("expires_in").is_some_and(Value::is_u64);
    answer.require(told, "expires_in is missing or no number of seconds")
}

async fn other_scope_is_told(subject: &Subject) -> Verdict {
    let exchanged = subject.exchanged().await?;
    let request = subject.exchange(&exchanged.subject_token)?;
    let request = request.form(&[("scope", "no-such-scope")]);
    let answer = request.send().await?;
    if answer.status != 200 {
        return answer.refused(&[400], &["invalid_scope", "invalid_request"]);
    }
    let told = answer.json()?;
    let told = told.get("scope").and_then(Value::as_str);
    let right = told.is_some_and(|scope| !scope.split(' ').any(|one| one == "no-such-scope"));
    answer.require(right, "the answer does not tell that the scope is another")
}

/// Refused as a subject token, however good the rest of the request is.
async fn refused_subject(subject: &Subject, what: &str, token: &str) -> Verdict {
    let answer = subject.exchange(token)?.send().await?;
    answer.is_for_the_client(NOT_ALLOWED)?;
    answer.status(&[400])?;
    let error = answer.text("error")?;
    answer.require(
        error == "invalid_request",
        format!("{what} was answered {error}"),
    )
}

async fn invented_subject(subject: &Subject) -> Verdict {
    for token in ["no-such-token", "e30.e30.e30", "\u{e9}"] {
        refused_subject(subject, "an invented token", token).await?;
    }
    Ok(())
}

async fn forged_subject(subject: &Subject) -> Verdict {
    let genuine = Jws::parse(&subject.exchanged().await?.subject_token);
    let genuine = genuine.ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    let tampered = jws::tampered(&genuine, "sub", "somebody-else".into());
    refused_subject(subject, "a tampered token", &tampered).await?;
    let unsigned = jws::unsigned(&genuine, "none");
    refused_subject(subject, "an unsigned token", &unsigned).await?;
    for embed in [false, true] {
        if let Some(forged) = jws::forged(&genuine, embed) {
            refused_subject(subject, "a token of a foreign key", &forged).await?;
        }
    }
    Ok(())
}

async fn subject_of_another_type(subject: &Subject) -> Verdict {
    let kind = [("subject_token_type", TokenType::IdToken.uri())];
    refused(subject, &kind, &["invalid_request"]).await
}

async fn revoked_subject(subject: &Subject) -> Verdict {
    let token = subject.revoked_subject().await?;
    refused_subject(subject, "a revoked token", &token).await
}

async fn invented_actor(subject: &Subject) -> Verdict {
    let actor = [
        ("actor_token", "no-such-token"),
        ("actor_token_type", TokenType::AccessToken.uri()),
    ];
    refused(subject, &actor, &["invalid_request"]).await
}

async fn unknown_subject_type(subject: &Subject) -> Verdict {
    let kind = [("subject_token_type", "urn:example:no-such-type")];
    refused(subject, &kind, &["invalid_request"]).await
}

async fn unknown_requested_type(subject: &Subject) -> Verdict {
    let kind = [("requested_token_type", "urn:example:no-such-type")];
    refused(subject, &kind, &["invalid_request"]).await
}

async fn unknown_resource(subject: &Subject) -> Verdict {
    let target = [("resource", "https://no-such-api.example")];
    refused(subject, &target, &["invalid_target"]).await
}

async fn unknown_audience(subject: &Subject) -> Verdict {
    let target = [("resource", ""), ("audience", "no-such-service")];
    refused(subject, &target, &["invalid_target"]).await
}

/// A delegation: the exchange with the client's own token as the actor's, and that token.
async fn delegated(subject: &Subject) -> Result<(Jws, Jws, Answer), Stop> {
    let exchanged = subject.exchanged().await?;
    let own = subject.token().await?;
    let request = subject.exchange(&exchanged.subject_token)?.form(&[
        ("actor_token", own.value.as_str()),
        ("actor_token_type", TokenType::AccessToken.uri()),
    ]);
    let answer = request.send().await?;
    if answer.status == 400 {
        return Err(Stop::unchecked(
            "the given client may not act for the subject of the token",
        ));
    }
    answer.status(&[200])?;
    let token = answer.text("access_token")?;
    subject.redactor().learn(&token);
    let token = Jws::parse(&token);
    let token = token.ok_or_else(|| Stop::not_applicable("the issued token is not a JWT"))?;
    Ok((token, own.jwt()?, answer))
}

async fn actor_is_an_object(subject: &Subject) -> Verdict {
    let (token, _, answer) = delegated(subject).await?;
    let mut act = token.claims.get("act");
    answer.require(act.is_some(), "the token of an actor has no act")?;
    while let Some(actor) = act {
        let right = actor.as_object().is_some_and(|actor| {
            let others = ["exp", "nbf", "aud", "iat"];
            actor.contains_key("sub") && !others.iter().any(|name| actor.contains_key(*name))
        });
        let reason = "act is no object about an actor, or says more than who that is";
        answer.require(right, reason)?;
        act = actor.get("act");
    }
    Ok(())
}

async fn actor_is_the_one_of_the_token(subject: &Subject) -> Verdict {
    let (token, own, answer) = delegated(subject).await?;
    let actor = token.claims.get("act").and_then(|act| act.get("sub"));
    answer.require(
        actor == own.claims.get("sub"),
        format!("the sub of act is {actor:?}"),
    )
}
