//! RFC 9101: authorization requests in signed JWTs.

use serde_json::{Map, Value, json};

use super::oidc_registration::unless_out_of_reach;
use super::{Feature, Requirement, Standard, must};
use crate::check::{Stop, Verdict, check};
use crate::jws::{self, Jws};
use crate::subject::{Authorization, Ending, Registered, Subject, merged};

const OBJECTS: &[Feature] = &[
    Feature::Flag("request_parameter_supported"),
    Feature::Member("authorization_endpoint"),
    Feature::Member("registration_endpoint"),
];
const REFERENCES: &[Feature] = &[
    Feature::Flag("request_uri_parameter_supported"),
    Feature::Member("authorization_endpoint"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9101",
    title: "The OAuth 2.0 Authorization Framework: JWT-Secured Authorization Request",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9101-4-signed",
        "4",
        "A request object that the client signed is an authorization request.",
        &[check!(signed_object_works)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-4-not-nested",
        "4",
        "request and request_uri do not stand within a request object.",
        &[check!(nested_object), check!(nested_reference)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-5-client-id",
        "5",
        "client_id in the request is that of the request object.",
        &[check!(another_client_id)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-5-one-of-both",
        "5",
        "request and request_uri are not used together.",
        &[check!(both_at_once)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-5.2-unknown-reference",
        "5.2",
        "A request_uri that the client did not register is refused.",
        &[check!(unregistered_reference)],
    )
    .when(REFERENCES),
    must(
        "rfc9101-5.2-reference",
        "5.2",
        "A registered request_uri is fetched, and the request object there is the request.",
        &[check!(registered_reference)],
    )
    .when(&[
        Feature::Flag("request_uri_parameter_supported"),
        Feature::Member("authorization_endpoint"),
        Feature::Member("registration_endpoint"),
    ]),
    must(
        "rfc9101-6.1-encrypted",
        "6.1",
        "An encrypted request object is decrypted first.",
        &[],
    )
    .unchecked("the tests do not encrypt")
    .when(&[
        Feature::Flag("request_parameter_supported"),
        Feature::Member("request_object_encryption_alg_values_supported"),
    ]),
    must(
        "rfc9101-6.2-signature",
        "6.2",
        "A request object whose signature is not the client's is refused.",
        &[check!(foreign_signature), check!(tampered_object), check!(unsigned_object)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-6.3-parameters",
        "6.3",
        "Only the parameters within the request object count.",
        &[check!(parameters_outside), check!(redirect_within)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-6.3-validated",
        "6.3",
        "A request object is validated as any request: its redirection URI too.",
        &[check!(stranger_within)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-7-invalid",
        "7",
        "What is no request object is refused with invalid_request_object.",
        &[check!(no_jwt)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-10.5-required",
        "10.5",
        "A client that registered require_signed_request_object may not ask otherwise.",
        &[check!(client_that_always_signs)],
    )
    .when(OBJECTS),
    must(
        "rfc9101-10.8-confused",
        "10.8",
        "A client assertion is not taken for a request object, nor one for another audience or time.",
        &[check!(another_audience), check!(expired_object), check!(subject_is_client)],
    )
    .when(OBJECTS),
];

/// The app with the key of the tests, for request objects.
pub(super) async fn signing_app(subject: &Subject, more: Value) -> Result<Registered, Stop> {
    let member = "request_object_signing_alg_values_supported";
    let metadata = subject.metadata();
    if metadata.has(member) && !metadata.list(member).contains(&"ES256") {
        return Err(Stop::unchecked(format!(
            "{member} lacks ES256, the one algorithm of the tests"
        )));
    }
    let metadata = merged(json!({"request_object_signing_alg": "ES256"}), more);
    subject.signing_app(metadata).await
}

/// The claims of the request object with the parameters of `request` (§4).
fn claims(subject: &Subject, request: &Authorization<'_>) -> Map<String, Value> {
    let now = subject.now();
    let mut claims = Map::new();
    for (name, value) in request.parameters() {
        claims.insert(name.clone(), value.as_str().into());
    }
    let client_id = claims.get("client_id").cloned().unwrap_or_default();
    claims.insert("iss".into(), client_id);
    claims.insert("aud".into(), subject.issuer().into());
    claims.insert("iat".into(), now.into());
    claims.insert("nbf".into(), now.into());
    claims.insert("exp".into(), now.saturating_add(300).into());
    claims.insert("jti".into(), subject.unique().into());
    claims
}

/// The same, changed by `edit` and signed.
pub(super) fn object(
    subject: &Subject,
    request: &Authorization<'_>,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Result<String, Stop> {
    let mut claims = claims(subject, request);
    edit(&mut claims);
    let typ = json!({"typ": "oauth-authz-req+jwt"});
    let header = typ.as_object().cloned().unwrap_or_default();
    jws::sign_with_header(subject.client_key()?, header, &claims)
        .ok_or_else(|| Stop::unchecked("no request object could be made"))
}

/// `request` with `object` in its place. OpenID Connect Core §6.1 wants `response_type` and `scope` outside too.
fn by_value<'s>(request: Authorization<'s>, object: &str) -> Authorization<'s> {
    let parameters = request.parameters();
    let needed = ["client_id", "response_type", "scope"];
    let outside = parameters.iter();
    let outside = outside.filter(|(name, _)| needed.contains(&name.as_str()));
    let outside: Vec<_> = outside.cloned().collect();
    let mut front: Vec<_> = outside
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    front.push(("request", object));
    request.travelling_as(&front)
}

/// A request of the app, with the request object that `edit` makes of it.
async fn edited(
    subject: &Subject,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Result<Authorization<'_>, Stop> {
    let client = signing_app(subject, json!({})).await?;
    let request = subject.authorization_of(&client)?;
    let object = object(subject, &request, edit)?;
    Ok(by_value(request, &object))
}

/// The edit that gives a claim that value.
fn set(name: &'static str, value: impl Into<String>) -> impl FnOnce(&mut Map<String, Value>) {
    let value = value.into();
    move |claims| {
        claims.insert(name.into(), value.into());
    }
}

const BAD: &[&str] = &["invalid_request_object", "invalid_request"];

async fn signed_object_works(subject: &Subject) -> Verdict {
    let client = signing_app(subject, json!({})).await?;
    let request = edited(subject, |_| ()).await?;
    let arrival = request.arrive().await?;
    arrival.keeps_state()?;
    subject.redeem_as(&client, &arrival.code()?).await.map(drop)
}

async fn nested_object(subject: &Subject) -> Verdict {
    let nested = set("request", "e30.e30.");
    edited(subject, nested).await?.refused_anywhere(BAD).await
}

async fn nested_reference(subject: &Subject) -> Verdict {
    let uri = "https://client.example/request.jwt";
    let nested = set("request_uri", uri);
    edited(subject, nested).await?.refused_anywhere(BAD).await
}

async fn another_client_id(subject: &Subject) -> Verdict {
    let other = subject.app()?.client_id.clone();
    let edit = set("client_id", other);
    edited(subject, edit).await?.refused_anywhere(BAD).await
}

async fn both_at_once(subject: &Subject) -> Verdict {
    let client = signing_app(subject, json!({})).await?;
    let request = subject.authorization_of(&client)?;
    let object = object(subject, &request, |_| ())?;
    let front = [
        ("client_id", client.client_id.as_str()),
        ("request", &object),
        ("request_uri", "https://client.example/request.jwt"),
    ];
    request.travelling_as(&front).yields_no_code().await
}

async fn unregistered_reference(subject: &Subject) -> Verdict {
    let client_id = &subject.app()?.client_id;
    let uri = "https://stranger.example/request.jwt";
    let request = subject.authorization()?;
    request
        .travelling_as(&[
            ("client_id", client_id),
            ("response_type", "code"),
            ("scope", "openid"),
            ("request_uri", uri),
        ])
        .yields_no_code()
        .await
}

async fn registered_reference(subject: &Subject) -> Verdict {
    let place = format!("request/{}", subject.unique());
    let listener = subject.listener()?;
    let keys = jws::public_keys(subject.client_key()?);
    let keys = keys.ok_or_else(|| Stop::unchecked("no key could be made"))?;
    let more = json!({
        "jwks": keys,
        "request_object_signing_alg": "ES256",
        "request_uris": [listener.url(&place)],
    });
    let client = subject.reaching_client(more).await?;
    let request = subject.authorization_of(&client)?;
    let object = object(subject, &request, |_| ())?;
    let url = listener.publish(&place, "application/oauth-authz-req+jwt", object);
    let front = [
        ("client_id", client.client_id.as_str()),
        ("response_type", "code"),
        ("scope", "openid"),
        ("request_uri", url.as_str()),
    ];
    let ending = request.travelling_as(&front).end().await?;
    unless_out_of_reach(subject, &place)?;
    let arrival = ending.arrival()?;
    arrival.keeps_state()?;
    subject.redeem_as(&client, &arrival.code()?).await.map(drop)
}

/// What `make` makes of a genuine request object must be refused.
async fn forgery_is_refused(
    subject: &Subject,
    make: impl FnOnce(&Jws) -> Option<String>,
) -> Verdict {
    let client = signing_app(subject, json!({})).await?;
    let request = subject.authorization_of(&client)?;
    let genuine = object(subject, &request, |_| ())?;
    let forgery = Jws::parse(&genuine).and_then(|genuine| make(&genuine));
    let forgery = forgery.ok_or_else(|| Stop::unchecked("no forgery could be made"))?;
    by_value(request, &forgery).refused_anywhere(BAD).await
}

async fn foreign_signature(subject: &Subject) -> Verdict {
    forgery_is_refused(subject, |genuine| jws::forged(genuine, false)).await?;
    forgery_is_refused(subject, |genuine| jws::forged(genuine, true)).await
}

async fn tampered_object(subject: &Subject) -> Verdict {
    let tamper = |genuine: &Jws| Some(jws::tampered(genuine, "state", "tampered".into()));
    forgery_is_refused(subject, tamper).await
}

/// The client registered an algorithm, and it is not `none`.
async fn unsigned_object(subject: &Subject) -> Verdict {
    for name in ["none", "None"] {
        forgery_is_refused(subject, |genuine| Some(jws::unsigned(genuine, name))).await?;
    }
    Ok(())
}

async fn parameters_outside(subject: &Subject) -> Verdict {
    let client = signing_app(subject, json!({})).await?;
    let request = subject.authorization_of(&client)?;
    let object = object(subject, &request, |_| ())?;
    let front = [
        ("client_id", client.client_id.as_str()),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "from-outside"),
        ("request", &object),
    ];
    match request.travelling_as(&front).end().await? {
        Ending::App(arrival) if arrival.parameter("code").is_some() => arrival.keeps_state(),
        // A server may as well refuse what does not agree.
        Ending::App(_) | Ending::Page(_) => Ok(()),
    }
}

/// A redirection URI outside does not stand in for one that the object lacks.
async fn redirect_within(subject: &Subject) -> Verdict {
    let client = signing_app(subject, json!({})).await?;
    let request = subject.authorization_of(&client)?;
    let object = object(subject, &request, |claims| {
        claims.remove("code_challenge");
        claims.remove("redirect_uri");
    })?;
    let outside: Vec<_> = request.parameters().to_vec();
    let mut front: Vec<_> = outside
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    front.push(("request", &object));
    request.travelling_as(&front).yields_no_code().await
}

async fn stranger_within(subject: &Subject) -> Verdict {
    let stranger = "https://stranger.example/callback";
    let edit = set("redirect_uri", stranger);
    let request = edited(subject, edit).await?;
    match request.end().await? {
        Ending::Page(answer) => answer.require(
            (400..500).contains(&answer.status),
            format!("a page with status {}", answer.status),
        ),
        Ending::App(arrival) => {
            let host = arrival.redirected.url.host_str();
            arrival.answer.require(
                host != Some("stranger.example") && arrival.parameter("code").is_none(),
                "the browser was sent to what is not registered",
            )
        }
    }
}

async fn no_jwt(subject: &Subject) -> Verdict {
    for text in ["no-jwt", "e30.e30.e30", "..", "e30.e30.e30.e30.e30"] {
        let client = signing_app(subject, json!({})).await?;
        let request = subject.authorization_of(&client)?.also("request", text);
        let codes = &["invalid_request_object"];
        request.refused_anywhere(codes).await?;
    }
    Ok(())
}

async fn client_that_always_signs(subject: &Subject) -> Verdict {
    let more = json!({"require_signed_request_object": true});
    let client = signing_app(subject, more).await?;
    let request = subject.authorization_of(&client)?;
    let object = object(subject, &request, |_| ())?;
    by_value(request, &object).code().await?;
    subject.authorization_of(&client)?.yields_no_code().await
}

async fn another_audience(subject: &Subject) -> Verdict {
    let aud = "https://another-issuer.example";
    let edit = set("aud", aud);
    edited(subject, edit).await?.refused_anywhere(BAD).await
}

async fn expired_object(subject: &Subject) -> Verdict {
    let past = subject.now().saturating_sub(3600);
    let edit = |claims: &mut Map<String, Value>| {
        for name in ["iat", "nbf", "exp"] {
            claims.insert(name.into(), past.into());
        }
    };
    edited(subject, edit).await?.refused_anywhere(BAD).await
}

/// §10.8: `sub` with the `client_id` is what a client assertion has.
async fn subject_is_client(subject: &Subject) -> Verdict {
    let edit = |claims: &mut Map<String, Value>| {
        let client_id = claims.get("client_id").cloned().unwrap_or_default();
        claims.retain(|name, _| ["iss", "aud", "iat", "exp", "jti"].contains(&name.as_str()));
        claims.insert("sub".into(), client_id);
    };
    edited(subject, edit).await?.yields_no_code().await
}
