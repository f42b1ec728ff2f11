//! RFC 8705: clients and tokens that are bound to certificates.

use serde_json::{Value, json};
use url::Url;

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::certificate::Certificate;
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::request::Request;
use crate::subject::{Grant, Registered, Subject};

const FLAG: &str = "tls_client_certificate_bound_access_tokens";

const BOUND: &[Feature] = &[
    Feature::Flag(FLAG),
    Feature::Member("registration_endpoint"),
    Feature::Grant("authorization_code"),
];
const INTROSPECTED: &[Feature] = &[
    Feature::Flag(FLAG),
    Feature::Member("registration_endpoint"),
    Feature::Member("introspection_endpoint"),
    Feature::Grant("authorization_code"),
];
const AT_USERINFO: &[Feature] = &[
    Feature::Flag(FLAG),
    Feature::Member("registration_endpoint"),
    Feature::Member("userinfo_endpoint"),
    Feature::Grant("authorization_code"),
];
const SELF_SIGNED: &[Feature] = &[
    Feature::ClientAuthentication("self_signed_tls_client_auth"),
    Feature::Member("registration_endpoint"),
    Feature::Grant("authorization_code"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 8705",
    title: "OAuth 2.0 Mutual-TLS Client Authentication and Certificate-Bound Access Tokens",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc8705-2.1-pki",
        "2.1",
        "A client of tls_client_auth is known by the subject of a certificate that an authority vouches for.",
        &[],
    )
    .unchecked("needs a certificate of an authority that the server trusts")
    .when(&[Feature::ClientAuthentication("tls_client_auth")]),
    must(
        "rfc8705-2.1.2-one-subject",
        "2.1.2",
        "A client of tls_client_auth registers exactly one subject that its certificate has.",
        &[check!(one_subject)],
    )
    .when(&[
        Feature::ClientAuthentication("tls_client_auth"),
        Feature::Member("registration_endpoint"),
    ]),
    must(
        "rfc8705-2.2-self-signed",
        "2.2",
        "A client of self_signed_tls_client_auth is known by a certificate that it registered, and by no other.",
        &[
            check!(registered_certificate),
            check!(another_certificate_authenticates_nobody),
        ],
    )
    .when(SELF_SIGNED),
    must(
        "rfc8705-3-same-certificate",
        "3",
        "A bound token is taken with the certificate that it is bound to.",
        &[check!(same_certificate)],
    )
    .when(AT_USERINFO),
    must(
        "rfc8705-3-other-certificate",
        "3",
        "With another certificate, or none, it is refused: 401 invalid_token.",
        &[check!(other_certificate), check!(no_certificate)],
    )
    .when(AT_USERINFO),
    must(
        "rfc8705-3.1-thumbprint",
        "3.1",
        "A bound JWT has the SHA-256 thumbprint of the certificate in cnf.",
        &[check!(jwt_names_the_certificate)],
    )
    .when(BOUND),
    must(
        "rfc8705-3.2-introspection",
        "3.2",
        "Introspection tells the thumbprint.",
        &[check!(introspection_names_the_certificate)],
    )
    .when(INTROSPECTED),
    must(
        "rfc8705-3.3-metadata",
        "3.3",
        "tls_client_certificate_bound_access_tokens is a boolean.",
        &[check!(look flag_is_boolean)],
    )
    .when(&[Feature::Member(FLAG)]),
    must(
        "rfc8705-4-public-clients",
        "4",
        "Tokens of public clients are bound to certificates too.",
        &[check!(public_client_is_bound)],
    )
    .when(BOUND),
    should(
        "rfc8705-4-refresh-tokens",
        "4",
        "Refresh tokens of public clients are bound to the certificate.",
        &[check!(refresh_token_is_bound)],
    )
    .when(&[
        Feature::Flag(FLAG),
        Feature::Member("registration_endpoint"),
        Feature::Grant("refresh_token"),
    ]),
    must(
        "rfc8705-5-aliases",
        "5",
        "mtls_endpoint_aliases is an object with https URLs of endpoints.",
        &[check!(look aliases_are_endpoints)],
    )
    .when(&[Feature::Member("mtls_endpoint_aliases")]),
];

/// The URL at which certificates are asked for (§5).
pub(super) fn alias(subject: &Subject, member: &str) -> Result<Url, Stop> {
    let aliases = subject.metadata().0.get("mtls_endpoint_aliases");
    let alias = aliases.and_then(|aliases| aliases.get(member));
    match alias.and_then(Value::as_str) {
        Some(alias) => Url::parse(alias)
            .map_err(|_| Stop::failed(format!("the alias of {member} is no URL: {alias}"), None)),
        None => subject.endpoint(member),
    }
}

/// A client, what it was granted, and the certificate that it showed.
pub(super) struct Bound {
    pub(super) client: Registered,
    pub(super) grant: Grant,
    pub(super) certificate: Certificate,
}

/// A request that redeems a code of the client.
pub(super) async fn redemption<'s>(
    subject: &'s Subject,
    client: &Registered,
) -> Result<Request<'s>, Stop> {
    let request = subject.authorization_of(client)?;
    let request = if subject.knows_scope("offline_access") {
        let request = request.with("scope", "openid offline_access");
        request.with("prompt", "consent")
    } else {
        request
    };
    let code = request.code().await?;
    client.authenticated(code.redemption(subject)?)
}

/// The answer to it with that certificate.
async fn redeemed(
    subject: &Subject,
    client: &Registered,
    certificate: &Certificate,
) -> Result<Answer, Stop> {
    let request = redemption(subject, client).await?;
    let request = request.at(alias(subject, "token_endpoint")?);
    let answer = request.by(certificate.http.clone()).send().await?;
    if let Ok(token) = answer.text("access_token") {
        subject.redactor().learn(&token);
    }
    Ok(answer)
}

/// A client whose tokens are bound to certificates.
pub(super) async fn binding_client(subject: &Subject, more: Value) -> Result<Registered, Stop> {
    let metadata = crate::subject::merged(json!({ FLAG: true }), more);
    let client = subject.web_app(metadata).await?;
    if client.metadata()?.get(FLAG) != Some(&Value::Bool(true)) {
        return Err(Stop::not_applicable(format!("{FLAG} cannot be registered")));
    }
    Ok(client)
}

/// Tokens that are bound to a certificate.
pub(super) async fn bound(subject: &Subject, more: Value) -> Result<Bound, Stop> {
    let client = binding_client(subject, more).await?;
    let certificate = subject.certificate()?;
    let answer = redeemed(subject, &client, &certificate).await?;
    let grant = Grant::read(subject, answer, &client.client_id)?;
    Ok(Bound {
        client,
        grant,
        certificate,
    })
}

fn names(bound: &Bound, found: Option<&Value>, answer: &Answer) -> Verdict {
    let expected = bound.certificate.confirmation();
    answer.require(
        found == Some(&expected),
        format!("cnf is {found:?}, expected {expected}"),
    )
}

fn jwt_is_bound(bound: &Bound) -> Verdict {
    let token = Jws::parse(&bound.grant.access_token)
        .ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    names(bound, token.claims.get("cnf"), &bound.grant.answer)
}

async fn jwt_names_the_certificate(subject: &Subject) -> Verdict {
    jwt_is_bound(&bound(subject, json!({})).await?)
}

async fn introspection_names_the_certificate(subject: &Subject) -> Verdict {
    let bound = bound(subject, json!({})).await?;
    let request = subject.post("introspection_endpoint")?;
    let request = request.form(&[("token", &bound.grant.access_token)]);
    let answer = bound.client.authenticated(request)?.send().await?;
    answer.status(&[200])?;
    let told = answer.json()?;
    if told.get("active") != Some(&Value::Bool(true)) {
        let reason = "a registered client is not told of its own token";
        return Err(Stop::unchecked(reason));
    }
    names(&bound, told.get("cnf"), &answer)
}

async fn userinfo(
    subject: &Subject,
    bound: &Bound,
    certificate: &Certificate,
) -> Result<Answer, Stop> {
    let url = alias(subject, "userinfo_endpoint")?;
    let request = subject.get(&url).bearer(&bound.grant.access_token);
    request.by(certificate.http.clone()).send().await
}

async fn same_certificate(subject: &Subject) -> Verdict {
    let bound = bound(subject, json!({})).await?;
    let answer = userinfo(subject, &bound, &bound.certificate).await?;
    answer.status(&[200])
}

fn is_refused(answer: &Answer) -> Verdict {
    answer.status(&[401])?;
    let challenge = answer.challenge("Bearer")?;
    let error = challenge.parameter("error").unwrap_or_default();
    answer.require(error == "invalid_token", format!("the error is {error:?}"))
}

async fn other_certificate(subject: &Subject) -> Verdict {
    let bound = bound(subject, json!({})).await?;
    let other = subject.certificate()?;
    is_refused(&userinfo(subject, &bound, &other).await?)
}

async fn no_certificate(subject: &Subject) -> Verdict {
    let bound = bound(subject, json!({})).await?;
    is_refused(&subject.userinfo(&bound.grant.access_token).await?)
}

fn public() -> Value {
    json!({
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    })
}

async fn public_client_is_bound(subject: &Subject) -> Verdict {
    jwt_is_bound(&bound(subject, public()).await?)
}

async fn refresh_token_is_bound(subject: &Subject) -> Verdict {
    let bound = bound(subject, public()).await?;
    let refresh = |certificate: &Certificate| {
        let request = bound.client.authenticated(bound.grant.refresh(subject)?)?;
        let request = request.at(alias(subject, "token_endpoint")?);
        Ok::<_, Stop>(request.by(certificate.http.clone()))
    };
    let other = subject.certificate()?;
    refresh(&other)?.send().await?.without_token()?;
    let answer = refresh(&bound.certificate)?.send().await?;
    if let Ok(token) = answer.text("access_token") {
        subject.redactor().learn(&token);
    }
    answer.status(&[200])
}

async fn one_subject(subject: &Subject) -> Verdict {
    for (subjects, right) in [
        (json!({"tls_client_auth_san_dns": "client.example"}), true),
        (json!({}), false),
        (
            json!({
                "tls_client_auth_san_dns": "client.example",
                "tls_client_auth_subject_dn": "CN=client",
            }),
            false,
        ),
    ] {
        let method = json!({"token_endpoint_auth_method": "tls_client_auth"});
        let metadata = crate::subject::merged(method, subjects);
        let answer = subject
            .register(&subject.web_app_metadata(metadata))
            .await?;
        if right {
            answer.status(&[201])?;
        } else {
            answer.refused(&[400], &["invalid_client_metadata"])?;
        }
    }
    Ok(())
}

/// A client that is known by its certificate, and that.
pub(super) async fn certified(subject: &Subject) -> Result<(Registered, Certificate), Stop> {
    let certificate = subject.certificate()?;
    let more = json!({
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "jwks": certificate.keys(),
    });
    let client = subject.new_client(&subject.web_app_metadata(more)).await?;
    Ok((client, certificate))
}

async fn registered_certificate(subject: &Subject) -> Verdict {
    let (client, certificate) = certified(subject).await?;
    let answer = redeemed(subject, &client, &certificate).await?;
    answer.status(&[200])
}

async fn another_certificate_authenticates_nobody(subject: &Subject) -> Verdict {
    let (client, _) = certified(subject).await?;
    let other = subject.certificate()?;
    let answer = redeemed(subject, &client, &other).await?;
    answer.refused(&[400, 401], &["invalid_client"])
}

fn flag_is_boolean(subject: &Subject) -> Verdict {
    let flag = subject.metadata().0.get(FLAG);
    subject.document()?.require(
        flag.is_some_and(Value::is_boolean),
        format!("{FLAG} is no boolean"),
    )
}

fn aliases_are_endpoints(subject: &Subject) -> Verdict {
    let document = subject.document()?;
    let aliases = subject.metadata().0.get("mtls_endpoint_aliases");
    let aliases = aliases.and_then(Value::as_object);
    let aliases = aliases.ok_or_else(|| document.fail("mtls_endpoint_aliases is not an object"))?;
    for (name, alias) in aliases {
        let right = alias
            .as_str()
            .is_some_and(|alias| alias.starts_with("https://"));
        document.require(right, format!("the alias of {name} is {alias}"))?;
    }
    Ok(())
}
