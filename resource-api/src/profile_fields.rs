//! Single fields of a person's profile, for who was allowed just those: what a scope cannot say, authorization details can (RFC 9396).

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use shared_protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use shared_protocol::bearer::{AccessToken, BearerError};
use shared_server::web::{Now, Problem, not_found};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::problem;
use crate::routes::Api;
use crate::store::people::Person;

/// The type of the objects that allow it.
pub(crate) const TYPE: &str = "profile_fields";
/// The members of such an object that are understood. One with others may mean less than it seems to, and allows nothing.
const MEMBERS: [&str; 4] = ["type", "actions", "datatypes", "locations"];
/// The one action that there is.
const READ: &str = "read";

/// A field of a profile: one of `datatypes`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Id,
    Iss,
    Sub,
    CreatedAt,
}

impl Field {
    const ALL: [Self; 4] = [Self::Id, Self::Iss, Self::Sub, Self::CreatedAt];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Iss => "iss",
            Self::Sub => "sub",
            Self::CreatedAt => "created_at",
        }
    }

    fn of(self, person: Person) -> String {
        match self {
            Self::Id => person.id,
            Self::Iss => person.iss,
            Self::Sub => person.sub,
            Self::CreatedAt => person.created_at.to_string(),
        }
    }

    /// Whether an object allows to read it.
    fn is_allowed_by(self, detail: &AuthorizationDetail) -> bool {
        let is_understood = |name: &String| MEMBERS.contains(&name.as_str());
        // Absent, it is whatever may be done; empty, it is nothing.
        let any = !detail.members().contains_key("actions");
        let reads = any || detail.actions().any(|name| name == READ);
        reads
            && detail.members().keys().all(is_understood)
            && detail.datatypes().any(|name| name == self.as_str())
    }

    /// The least that allows to read it, as a client asks for it.
    fn needed(self) -> AuthorizationDetails {
        let detail = json!({"type": TYPE, "actions": [READ], "datatypes": [self.as_str()]});
        detail.try_into().ok().into_iter().collect()
    }
}

/// One field of a profile.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileField {
    /// Its name.
    #[schema(example = "created_at")]
    field: &'static str,
    /// What it holds.
    value: String,
}

/// One field of the profile of the person whom the token speaks for
///
/// The token needs no scope. It needs authorization details (RFC 9396) of the type `profile_fields` that name the field in `datatypes`,
/// such as `[{"type":"profile_fields","actions":["read"],"datatypes":["created_at"]}]`; `authorization_details` in the challenge of a 403
/// names what to ask for.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/fields/{field}",
    tag = "users",
    params(("field" = String, Path, description = "`id`, `iss`, `sub` or `created_at`", example = "sub")),
    security(("bearer" = []), ("dpop" = [])),
    responses(
        (status = 200, description = "The field", body = ProfileField),
        (status = 401, response = crate::docs::Refusal),
        (status = 403, response = crate::docs::Refusal),
        (status = 404, response = crate::docs::Refusal),
        (status = 429, response = crate::docs::Refusal),
        (status = 503, response = crate::docs::Refusal),
    )
)]
pub(crate) async fn field(
    State(api): State<Api>,
    Now(now): Now,
    Extension(token): Extension<Arc<AccessToken>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let field = Field::ALL.into_iter().find(|field| field.as_str() == name);
    let Some(field) = field else {
        return Ok(not_found().await.into_response());
    };
    let mut details = api.guard.details(&token, TYPE);
    if !details.any(|detail| field.is_allowed_by(detail)) {
        let needed = field.needed();
        let refusal = api
            .guard
            .refusal(&token, BearerError::InsufficientDetails { needed });
        return Ok(refusal.into_response());
    }
    let Caller::Person { iss, sub } = caller else {
        return Err(problem::no_profile());
    };
    let person = api.people.meet(&iss, &sub, now).await;
    let answer = ProfileField {
        field: field.as_str(),
        value: field.of(person.map_err(problem::of_database)?),
    };
    Ok(Answer(answer).into_response())
}
