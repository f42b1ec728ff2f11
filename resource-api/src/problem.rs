//! Every refusal of this API on the wire (RFC 9457), but for those that the layers around all routes make themselves.

use std::mem;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared_protocol::bearer::BearerError;
use shared_protocol::dpop::DpopError;
use shared_server::db::DbError;
use shared_server::web::Problem;

/// The fault is ours, and the client can do nothing about it.
pub(crate) fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The server failed to answer",
    )
}

/// What the database could not do: 503 where it may soon be able to.
pub(crate) fn of_database(error: DbError) -> Problem {
    match error {
        DbError::Unavailable(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "database-unavailable",
            "The database cannot be reached",
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("2"))
        .because(error),
        DbError::Duplicate(_)
        | DbError::Settings(_)
        | DbError::Migration(_)
        | DbError::Reference(_)
        | DbError::Query(_) => internal().because(error),
    }
}

/// The token speaks neither for a client nor for a person who signed in.
pub(crate) fn no_person() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "no-person",
        "The token speaks for nobody this API knows",
    )
    .detail(
        "a person's token has `auth_time` or `grant_id`; a client's has its `client_id` as `sub`",
    )
}

/// What has no profile was asked for a part of it.
pub(crate) fn no_profile() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-profile",
        "A service has no profile",
    )
}

/// A layer: gives the guard's refusals, which have no body, a problem of their own. Status and headers, the challenge among
/// them, stay.
pub(crate) async fn describe_refusal(mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<Arc<BearerError>>() else {
        return response;
    };
    let (slug, title) = match &*error {
        BearerError::NoToken => ("token-required", "An access token is required"),
        BearerError::Repeated
        | BearerError::Malformed
        | BearerError::TwoPlaces
        | BearerError::Form => (
            "invalid-authorization",
            "The Authorization header cannot be read",
        ),
        BearerError::ClientCert(_) => (
            "client-certificate",
            "The certificate that a proxy tells of is not taken",
        ),
        BearerError::InvalidToken(_) => ("invalid-token", "The access token is not accepted"),
        BearerError::NoProof | BearerError::Proof(DpopError::Invalid(_)) => {
            ("invalid-dpop-proof", "The DPoP proof is not accepted")
        }
        BearerError::Proof(DpopError::UseNonce(_)) => (
            "use-dpop-nonce",
            "The DPoP proof has to hold the nonce that comes with this",
        ),
        BearerError::Proof(DpopError::Memory(_)) => (
            "dpop-unavailable",
            "Nobody knows whether the DPoP proof was used before",
        ),
        BearerError::InsufficientScope { .. } => {
            ("insufficient-scope", "The access token lacks scope")
        }
        BearerError::InsufficientAuthentication { .. } => (
            "insufficient-user-authentication",
            "The person has to sign in again for this",
        ),
        BearerError::InsufficientDetails { .. } => (
            "insufficient-authorization-details",
            "The access token lacks authorization details",
        ),
        BearerError::Unavailable(_) => (
            "issuer-unavailable",
            "The issuer of the token cannot be reached",
        ),
    };
    let problem = Problem::new(response.status(), slug, title).detail(error.description());
    let problem = match &*error {
        BearerError::InsufficientScope { needed } => problem.with("scope", needed.to_string()),
        BearerError::InsufficientAuthentication { needed } => needed
            .parameters()
            .into_iter()
            .fold(problem, |problem, (name, value)| problem.with(name, value)),
        BearerError::InsufficientDetails { needed } => {
            problem.with("authorization_details", json!(needed))
        }
        BearerError::NoToken
        | BearerError::Repeated
        | BearerError::Malformed
        | BearerError::TwoPlaces
        | BearerError::Form
        | BearerError::ClientCert(_)
        | BearerError::InvalidToken(_)
        | BearerError::NoProof
        | BearerError::Proof(_)
        | BearerError::Unavailable(_) => problem,
    };
    let mut described = problem.because(error).into_response();
    let mut headers = mem::take(response.headers_mut());
    for of_body in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        headers.remove(of_body);
    }
    // All values of each, in place of those that the problem has.
    described.headers_mut().extend(headers);
    described
}

#[cfg(test)]
mod tests {
    use shared_protocol::bearer::InvalidToken;

    use super::*;

    #[tokio::test]
    async fn a_refusal_that_is_described_keeps_each_header_as_it_was() {
        let mut refusal = StatusCode::UNAUTHORIZED.into_response();
        let error = BearerError::from(InvalidToken::Expired);
        refusal.extensions_mut().insert(Arc::new(error));
        for (name, value) in [
            (header::WWW_AUTHENTICATE, "Bearer a=\"b\""),
            (header::WWW_AUTHENTICATE, "DPoP a=\"b\""),
            (header::RETRY_AFTER, "2"),
            (header::CONTENT_TYPE, "text/plain"),
            (header::CONTENT_LENGTH, "0"),
        ] {
            let value = HeaderValue::from_static(value);
            refusal.headers_mut().append(name, value);
        }
        let described = describe_refusal(refusal).await;
        assert_eq!(described.status(), StatusCode::UNAUTHORIZED);
        for (name, expected) in [
            (
                header::WWW_AUTHENTICATE,
                &["Bearer a=\"b\"", "DPoP a=\"b\""][..],
            ),
            (header::RETRY_AFTER, &["2"]),
            (header::CONTENT_TYPE, &["application/problem+json"]),
            (header::CONTENT_LENGTH, &[]),
        ] {
            let values = described.headers().get_all(&name).iter();
            assert_eq!(values.collect::<Vec<_>>(), expected, "{name}");
        }
    }
}
