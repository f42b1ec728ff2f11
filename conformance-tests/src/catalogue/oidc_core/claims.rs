//! What is said of the person: by scope (OpenID Connect Core §5.4) and by the parameter `claims` (§5.5).

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::check::{Stop, Verdict};
use crate::subject::{Grant, Subject};

/// The standard claims (§5.1) that each scope asks for (§5.4).
const PROFILE: &[&str] = &[
    "name",
    "family_name",
    "given_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
];
const EMAIL: &[&str] = &["email", "email_verified"];
const ADDRESS: &[&str] = &["address"];
const PHONE: &[&str] = &["phone_number", "phone_number_verified"];

/// What userinfo says after a sign-in with that scope.
async fn userinfo_for(
    subject: &Subject,
    scope: &str,
) -> Result<(Answer, Map<String, Value>), Stop> {
    let request = subject.authorization()?.with("scope", scope);
    let arrival = request.arrive().await?;
    if arrival.parameter("error") == Some("invalid_scope") {
        return Err(Stop::unchecked(format!("the app may not ask for {scope}")));
    }
    let grant = subject.redeem(&arrival.code()?).await?;
    let answer = subject.userinfo(&grant.access_token).await?;
    answer.status(&[200])?;
    if answer.media_type() == "application/jwt" {
        return Err(Stop::unchecked("userinfo is signed for this client"));
    }
    let json = answer.json()?;
    Ok((answer, json))
}

/// The scope must bring claims of its own, each of its type.
async fn scope_brings(subject: &Subject, scope: &str, own: &[&str]) -> Verdict {
    if !subject.knows_scope(scope) {
        let reason = format!("scopes_supported does not list {scope}");
        return Err(Stop::not_applicable(reason));
    }
    let (answer, claims) = userinfo_for(subject, &format!("openid {scope}")).await?;
    well_formed(&answer, &claims)?;
    if own.iter().any(|name| claims.contains_key(*name)) {
        return Ok(());
    }
    // §5.3.2: what is not known of a person is left out.
    let reason = format!("nothing of the scope {scope} is known of the given person");
    Err(Stop::unchecked(reason))
}

/// The types of §5.1, and §5.3.2: no claim is null or empty.
fn well_formed(answer: &Answer, claims: &Map<String, Value>) -> Verdict {
    for (name, value) in claims {
        let right = match name.as_str() {
            "email_verified" | "phone_number_verified" => value.is_boolean(),
            "updated_at" => value.is_number(),
            "address" => value.is_object(),
            name if [PROFILE, EMAIL, PHONE].concat().contains(&name) => {
                value.as_str().is_some_and(|text| !text.is_empty())
            }
            _ => !value.is_null(),
        };
        answer.require(right, format!("{name} is not of its type: {value}"))?;
    }
    Ok(())
}

pub(super) async fn profile_scope(subject: &Subject) -> Verdict {
    scope_brings(subject, "profile", PROFILE).await
}

pub(super) async fn email_scope(subject: &Subject) -> Verdict {
    scope_brings(subject, "email", EMAIL).await
}

pub(super) async fn address_scope(subject: &Subject) -> Verdict {
    scope_brings(subject, "address", ADDRESS).await
}

pub(super) async fn phone_scope(subject: &Subject) -> Verdict {
    scope_brings(subject, "phone", PHONE).await
}

/// What nobody asked for is not told: neither without a scope, nor with one for the claims of another.
pub(super) async fn nothing_more(subject: &Subject) -> Verdict {
    for (scope, own) in [("", &[][..]), ("email", EMAIL), ("profile", PROFILE)] {
        if !scope.is_empty() && !subject.knows_scope(scope) {
            continue;
        }
        let (answer, claims) = userinfo_for(subject, format!("openid {scope}").trim()).await?;
        for foreign in [PROFILE, EMAIL, ADDRESS, PHONE].concat() {
            answer.require(
                own.contains(&foreign) || !claims.contains_key(foreign),
                format!("{foreign} is told, and was not asked for"),
            )?;
        }
    }
    Ok(())
}

/// Every scope of §5.4 that the server knows and the app may have, in that order and in the other.
pub(super) async fn all_scopes(subject: &Subject) -> Verdict {
    let mut scopes = vec!["openid"];
    let all = ["profile", "email", "address", "phone"].into_iter();
    scopes.extend(all.filter(|scope| subject.knows_scope(scope)));
    let (answer, claims) = userinfo_for(subject, &scopes.join(" ")).await?;
    well_formed(&answer, &claims)?;
    scopes.reverse();
    let (answer, other) = userinfo_for(subject, &scopes.join(" ")).await?;
    answer.require(
        claims.keys().eq(other.keys()),
        "the order of the scopes changes what is told",
    )
}

async fn granted(subject: &Subject, claims: &Value) -> Result<Grant, Stop> {
    let request = subject.authorization()?.with("claims", &claims.to_string());
    subject.redeem(&request.code().await?).await
}

/// §2: `auth_time` is required where it is asked for as essential.
pub(super) async fn essential_auth_time(subject: &Subject) -> Verdict {
    let asked = json!({"id_token": {"auth_time": {"essential": true}}});
    let grant = granted(subject, &asked).await?;
    let claims = grant.id_token()?.claims;
    grant.answer.require(
        claims.get("auth_time").is_some_and(Value::is_number),
        "auth_time is missing or not a number",
    )
}

/// A claim that the person is known to have, asked for without its scope.
pub(super) async fn essential_claim_at_userinfo(subject: &Subject) -> Verdict {
    for (place, name) in [
        ("userinfo", "name"),
        ("userinfo", "email"),
        ("id_token", "email"),
    ] {
        if !subject.metadata().list("claims_supported").contains(&name) {
            continue;
        }
        let scope = if name == "name" { "profile" } else { "email" };
        let known = userinfo_for(subject, &format!("openid {scope}")).await;
        if !known.is_ok_and(|(_, claims)| claims.contains_key(name)) {
            continue;
        }
        let asked = json!({ place: { name: { "essential": true } } });
        let grant = granted(subject, &asked).await?;
        let (answer, found) = if place == "userinfo" {
            let answer = subject.userinfo(&grant.access_token).await?;
            answer.status(&[200])?;
            let json = answer.json()?;
            (answer, json)
        } else {
            (grant.answer.clone(), grant.id_token()?.claims)
        };
        answer.require(
            found.contains_key(name),
            format!("{name} was asked for in {place} and is missing"),
        )?;
    }
    Ok(())
}

/// §5.5.1: for a `sub` that is not the person's, no tokens.
pub(super) async fn subject_of_somebody_else(subject: &Subject) -> Verdict {
    let asked = json!({"id_token": {"sub": {"value": "no-such-person"}}}).to_string();
    let request = subject.authorization()?.with("claims", &asked);
    request.yields_no_code().await
}

/// §3.1.2.1: parameters that are not understood are ignored, but this one announces that it is.
pub(super) async fn malformed_claims(subject: &Subject) -> Verdict {
    for malformed in ["no json", "[]", r#"{"id_token":1}"#] {
        let request = subject.authorization()?.with("claims", malformed);
        request.refused_anywhere(&["invalid_request"]).await?;
    }
    Ok(())
}
