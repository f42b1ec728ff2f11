//! RFC 9126: pushed authorization requests.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::request::Request;
use crate::subject::{Authorization, Subject};

const PAR: &[Feature] = &[
    Feature::Member("pushed_authorization_request_endpoint"),
    Feature::Member("authorization_endpoint"),
];
const PAR_AND_REGISTRATION: &[Feature] = &[
    Feature::Member("pushed_authorization_request_endpoint"),
    Feature::Member("authorization_endpoint"),
    Feature::Member("registration_endpoint"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9126",
    title: "OAuth 2.0 Pushed Authorization Requests",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9126-2-tls",
        "2",
        "The endpoint is protected by TLS (this machine's own loopback excepted).",
        &[check!(look endpoint_is_protected)],
    )
    .when(PAR),
    must(
        "rfc9126-2.1-client-authentication",
        "2.1",
        "Clients authenticate as they do at the token endpoint.",
        &[check!(unauthenticated_is_refused)],
    )
    .when(PAR),
    must(
        "rfc9126-2.1-no-request-uri",
        "2.1",
        "A pushed request with request_uri is refused.",
        &[check!(request_uri_is_not_pushed)],
    )
    .when(PAR),
    must(
        "rfc9126-2.1-validated",
        "2.1",
        "What is pushed is validated as it would be at the authorization endpoint.",
        &[
            check!(bad_requests_are_refused),
            check!(duplicates_are_refused),
        ],
    )
    .when(PAR),
    must(
        "rfc9126-2.2-response",
        "2.2",
        "A pushed request is answered 201 in JSON with request_uri and a positive expires_in.",
        &[check!(push_is_answered)],
    )
    .when(PAR),
    must(
        "rfc9126-2.2-unique",
        "2.2",
        "Every request_uri is another one.",
        &[check!(request_uris_differ)],
    )
    .when(PAR),
    must(
        "rfc9126-2.2-bound",
        "2.2",
        "A request_uri works for the client that pushed it, and for no other.",
        &[check!(another_client_is_refused)],
    )
    .when(PAR),
    must(
        "rfc9126-2.3-errors",
        "2.3",
        "Refusals have the form of RFC 6749 §5.2, and GET is answered 405.",
        &[check!(refusal_is_json), check!(get_is_refused)],
    )
    .when(PAR),
    must(
        "rfc9126-3-request-object",
        "3",
        "A request object is pushed in request.",
        &[check!(request_object_is_pushed)],
    )
    .when(&[
        Feature::Member("pushed_authorization_request_endpoint"),
        Feature::Member("authorization_endpoint"),
        Feature::Member("registration_endpoint"),
        Feature::Flag("request_parameter_supported"),
    ]),
    must(
        "rfc9126-4-authorization",
        "4",
        "client_id and request_uri are an authorization request, and what was pushed holds.",
        &[
            check!(pushed_request_works),
            check!(beside_it_nothing_counts),
        ],
    )
    .when(PAR),
    should(
        "rfc9126-4-once",
        "4",
        "A request_uri is good for one authorization.",
        &[check!(second_use_is_refused)],
    )
    .when(PAR),
    must(
        "rfc9126-4-reload",
        "4",
        "A browser that loads the request again, as people do, still gets on.",
        &[check!(reload_does_not_spend)],
    )
    .when(PAR),
    must(
        "rfc9126-4-unknown",
        "4",
        "A request_uri that nobody was given is refused.",
        &[check!(unknown_is_refused)],
    )
    .when(PAR),
    must(
        "rfc9126-4-expired",
        "4",
        "A request_uri past its expires_in is refused.",
        &[],
    )
    .unchecked("a request_uri would have to be waited for until it expires")
    .when(PAR),
    must(
        "rfc9126-5-required",
        "5",
        "Where require_pushed_authorization_requests is announced, other requests are refused.",
        &[check!(plain_requests_are_refused)],
    )
    .when(&[
        Feature::Member("pushed_authorization_request_endpoint"),
        Feature::Member("authorization_endpoint"),
        Feature::Flag("require_pushed_authorization_requests"),
    ]),
    must(
        "rfc9126-6-required-of-client",
        "6",
        "A client that registered require_pushed_authorization_requests may not ask otherwise.",
        &[check!(client_that_always_pushes)],
    )
    .when(PAR_AND_REGISTRATION),
];

fn endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("pushed_authorization_request_endpoint")?;
    subject.document()?.require(
        crate::metadata::is_protected(&url),
        format!("the endpoint is {url}"),
    )
}

/// The request as the public app pushes it.
fn push<'s>(subject: &'s Subject, request: &Authorization<'_>) -> Result<Request<'s>, Stop> {
    let endpoint = subject.post("pushed_authorization_request_endpoint")?;
    Ok(endpoint.form(request.parameters()))
}

/// The `request_uri` that a push was answered.
pub(crate) fn request_uri(subject: &Subject, answer: &Answer) -> Result<String, Stop> {
    answer.status(&[201])?;
    let uri = answer.text("request_uri")?;
    subject.redactor().learn(&uri);
    Ok(uri)
}

/// Pushes `request`; what is left for the browser is where it was pushed.
async fn pushed<'s>(
    subject: &'s Subject,
    request: Authorization<'s>,
) -> Result<Authorization<'s>, Stop> {
    let answer = push(subject, &request)?.send().await?;
    let uri = request_uri(subject, &answer)?;
    let client_id = &subject.app()?.client_id;
    Ok(request.travelling_as(&[("client_id", client_id), ("request_uri", &uri)]))
}

async fn unauthenticated_is_refused(subject: &Subject) -> Verdict {
    let client_id = &subject.credentials()?.client_id;
    let request = subject.authorization()?.with("client_id", client_id);
    for secret in [None, Some("no-such-secret")] {
        let endpoint = push(subject, &request)?;
        let endpoint = match secret {
            Some(secret) => endpoint.without("client_id").basic(client_id, secret),
            None => endpoint,
        };
        let answer = endpoint.send().await?;
        answer.refused(&[400, 401], &["invalid_client"])?;
    }
    Ok(())
}

async fn request_uri_is_not_pushed(subject: &Subject) -> Verdict {
    let first = push(subject, &subject.authorization()?)?.send().await?;
    let uri = request_uri(subject, &first)?;
    for uri in [uri.as_str(), "https://client.example/request.jwt"] {
        let request = subject.authorization()?.with("request_uri", uri);
        let answer = push(subject, &request)?.send().await?;
        answer.refused(&[400], &["invalid_request"])?;
    }
    Ok(())
}

async fn bad_requests_are_refused(subject: &Subject) -> Verdict {
    let stranger = "https://stranger.example/callback";
    for (name, value, codes) in [
        (
            "redirect_uri",
            stranger,
            &["invalid_request", "invalid_redirect_uri"][..],
        ),
        (
            "response_type",
            "no-such-type",
            &["unsupported_response_type", "invalid_request"],
        ),
        (
            "scope",
            "no\"such\\scope",
            &["invalid_scope", "invalid_request"],
        ),
    ] {
        let request = subject.authorization()?.with(name, value);
        let answer = push(subject, &request)?.send().await?;
        answer.refused(&[400], codes)?;
    }
    Ok(())
}

async fn duplicates_are_refused(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.also("state", "another");
    let answer = push(subject, &request)?.send().await?;
    answer.refused(&[400], &["invalid_request"])
}

async fn push_is_answered(subject: &Subject) -> Verdict {
    let answer = push(subject, &subject.authorization()?)?.send().await?;
    request_uri(subject, &answer)?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )?;
    let seconds = answer.json()?.get("expires_in").and_then(Value::as_u64);
    answer.require(
        seconds.is_some_and(|seconds| seconds > 0),
        "expires_in is missing or no positive number",
    )
}

async fn request_uris_differ(subject: &Subject) -> Verdict {
    let request = subject.authorization()?;
    let first = push(subject, &request)?.send().await?;
    let second = push(subject, &request)?.send().await?;
    second.require(
        request_uri(subject, &first)? != request_uri(subject, &second)?,
        "two pushes got the same request_uri",
    )
}

async fn another_client_is_refused(subject: &Subject) -> Verdict {
    let other = match subject.web_app(json!({})).await {
        Ok(client) => client.client_id,
        Err(_) => subject.credentials()?.client_id.clone(),
    };
    let answer = push(subject, &subject.authorization()?)?.send().await?;
    let uri = request_uri(subject, &answer)?;
    let request = subject.authorization()?;
    request
        .travelling_as(&[("client_id", &other), ("request_uri", &uri)])
        .yields_no_code()
        .await
}

async fn refusal_is_json(subject: &Subject) -> Verdict {
    let request = subject
        .authorization()?
        .with("response_type", "no-such-type");
    let answer = push(subject, &request)?.send().await?;
    answer.status(&[400])?;
    answer.text("error")?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )
}

async fn get_is_refused(subject: &Subject) -> Verdict {
    let url = subject.endpoint("pushed_authorization_request_endpoint")?;
    let answer = subject.request(Method::GET, url).send().await?;
    answer.status(&[405])
}

async fn request_object_is_pushed(subject: &Subject) -> Verdict {
    let client = super::rfc9101::signing_app(subject, json!({})).await?;
    let request = subject.authorization_of(&client)?;
    let object = super::rfc9101::object(subject, &request, |_| ())?;
    let endpoint = subject.post("pushed_authorization_request_endpoint")?;
    let endpoint = endpoint.form(&[("request", object)]);
    let answer = client.authenticated(endpoint)?.send().await?;
    let uri = request_uri(subject, &answer)?;
    let front = [
        ("client_id", client.client_id.as_str()),
        ("request_uri", &uri),
    ];
    let arrival = request.travelling_as(&front).arrive().await?;
    arrival.keeps_state()?;
    subject.redeem_as(&client, &arrival.code()?).await.map(drop)
}

async fn pushed_request_works(subject: &Subject) -> Verdict {
    let request = pushed(subject, subject.authorization()?).await?;
    let arrival = request.arrive().await?;
    arrival.keeps_state()?;
    let grant = subject.redeem(&arrival.code()?).await?;
    if grant.nonce.is_some() {
        let claims = grant.id_token()?.claims;
        grant.answer.require(
            claims.get("nonce").and_then(Value::as_str) == grant.nonce.as_deref(),
            "nonce is not the pushed one",
        )?;
    }
    Ok(())
}

/// Somebody at the browser adds what was not pushed.
async fn beside_it_nothing_counts(subject: &Subject) -> Verdict {
    let request = subject.authorization()?;
    let answer = push(subject, &request)?.send().await?;
    let uri = request_uri(subject, &answer)?;
    let client_id = &subject.app()?.client_id;
    let front = [
        ("client_id", client_id.as_str()),
        ("request_uri", &uri),
        ("state", "from-outside"),
    ];
    match request.travelling_as(&front).end().await? {
        crate::subject::Ending::App(arrival) if arrival.parameter("code").is_some() => {
            arrival.keeps_state()
        }
        // A server may as well refuse what it does not take.
        crate::subject::Ending::App(_) | crate::subject::Ending::Page(_) => Ok(()),
    }
}

async fn second_use_is_refused(subject: &Subject) -> Verdict {
    let request = pushed(subject, subject.authorization()?).await?;
    let again = request.clone();
    request.code().await?;
    again.yields_no_code().await
}

async fn reload_does_not_spend(subject: &Subject) -> Verdict {
    let request = pushed(subject, subject.authorization()?).await?;
    let browser = subject.new_browser();
    let url = request.url()?;
    for _ in 0..2 {
        let page = browser.open(&url).await;
        let page = page.map_err(|cause| subject.lost(&cause))?;
        subject.seen(&page).require(
            page.status < 400,
            format!("loading it again was answered {}", page.status),
        )?;
    }
    let arrival = request.end_in(&browser).await?.arrival()?;
    arrival.code().map(drop)
}

/// Beside one that is waiting, so that there is something to take it for.
async fn unknown_is_refused(subject: &Subject) -> Verdict {
    let client_id = &subject.app()?.client_id;
    let waiting = push(subject, &subject.authorization()?)?.send().await?;
    waiting.status(&[201])?;
    let uri = "urn:ietf:params:oauth:request_uri:no-such-request";
    let request = subject.authorization()?;
    request
        .travelling_as(&[("client_id", client_id), ("request_uri", uri)])
        .yields_no_code()
        .await
}

async fn plain_requests_are_refused(subject: &Subject) -> Verdict {
    subject.authorization()?.yields_no_code().await
}

async fn client_that_always_pushes(subject: &Subject) -> Verdict {
    let more = json!({"require_pushed_authorization_requests": true});
    let client = subject.web_app(more).await?;
    let request = subject.authorization_of(&client)?;
    let endpoint = subject
        .post("pushed_authorization_request_endpoint")?
        .form(request.parameters());
    let answer = client.authenticated(endpoint)?.send().await?;
    let uri = request_uri(subject, &answer)?;
    let front = [
        ("client_id", client.client_id.as_str()),
        ("request_uri", &uri),
    ];
    request.clone().travelling_as(&front).code().await?;
    request.yields_no_code().await
}
