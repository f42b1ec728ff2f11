//! People and services, as they see themselves.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared_protocol::issuer::Issuer;
use shared_protocol::random::{Random, alphanumeric};
use shared_protocol::time::Instant;
use shared_server::db::{self, DbError, Store};
use shared_server::web::{Now, Problem};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::body::{self, Body};
use crate::caller::Caller;
use crate::problem;
use crate::store::people::{self, Person};

/// Characters of a person's id: 130 bits.
const ID_LENGTH: usize = 22;
/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// The people of this API.
#[derive(Clone)]
pub(crate) struct People {
    pub(crate) store: Store,
    pub(crate) random: Arc<dyn Random>,
}

/// Whom the token speaks for.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Me {
    /// A service that acts on its own behalf.
    Client {
        /// Its client identifier at the issuer.
        client_id: String,
        /// What its token allows, space-separated.
        scope: String,
    },
    /// A person who signed in.
    Person {
        /// What this API calls them.
        id: String,
        /// The issuer that vouches for them.
        iss: String,
        /// Who they are at that issuer.
        sub: String,
        /// What they want to be called.
        display_name: Option<String>,
        /// When they first came, in UTC.
        #[schema(format = DateTime)]
        created_at: String,
    },
}

/// Whom the token speaks for
///
/// A person who comes for the first time gets an id, once and for all. A service gets none.
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    tag = "users",
    security(("bearer" = ["profile:read"]), ("dpop" = ["profile:read"])),
    responses(
        (status = 200, description = "A person, or a service", body = Me),
        (status = 401, response = crate::docs::Refusal),
        (status = 403, response = crate::docs::Refusal),
        (status = 429, response = crate::docs::Refusal),
        (status = 503, response = crate::docs::Refusal),
    )
)]
pub(crate) async fn me(
    State(people): State<People>,
    Now(now): Now,
    caller: Caller,
) -> Result<Answer<Me>, Problem> {
    match caller {
        Caller::Client { client_id, scope } => Ok(Answer(Me::Client {
            client_id: client_id.to_string(),
            scope: scope.to_string(),
        })),
        Caller::Person { iss, sub } => {
            let person = people.meet(&iss, &sub, now).await;
            Ok(Answer(person.map_err(problem::of_database)?.into()))
        }
    }
}

/// What a person may change of themselves
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// What they want to be called: 1 to 200 characters, none of them a control character; null for nothing.
    #[schema(required = true, min_length = 1, max_length = 200)]
    display_name: Option<String>,
}

/// Changes what the person says of themselves
///
/// Where the API is configured so, the person must have signed in recently, or well enough (RFC 9470): 401
/// `insufficient_user_authentication` says how.
#[utoipa::path(
    put,
    path = "/api/v1/users/me",
    tag = "users",
    security(("bearer" = ["profile:write"]), ("dpop" = ["profile:write"])),
    request_body = Profile,
    responses(
        (status = 200, description = "The person as they are now", body = Me),
        (status = 400, response = crate::docs::Refusal),
        (status = 401, response = crate::docs::Refusal),
        (status = 403, response = crate::docs::Refusal),
        (status = 413, response = crate::docs::Refusal),
        (status = 415, response = crate::docs::Refusal),
        (status = 429, response = crate::docs::Refusal),
        (status = 503, response = crate::docs::Refusal),
    )
)]
pub(crate) async fn change(
    State(people): State<People>,
    Now(now): Now,
    caller: Caller,
    Body(profile): Body<Profile>,
) -> Result<Answer<Me>, Problem> {
    let Caller::Person { iss, sub } = caller else {
        // A service has no profile.
        return Err(problem::no_person());
    };
    let name = profile.display_name.as_deref();
    if !name.is_none_or(is_name) {
        let what = "display_name has 1 to 200 characters, none of them a control character";
        return Err(body::malformed().detail(what));
    }
    let person = people.rename(&iss, &sub, name, now).await;
    Ok(Answer(person.map_err(problem::of_database)?.into()))
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.chars().count() <= LONGEST_NAME
        && !name.chars().any(char::is_control)
}

impl People {
    async fn rename(
        &self,
        iss: &Issuer,
        sub: &str,
        name: Option<&str>,
        now: Instant,
    ) -> db::Result<Person> {
        let person = self.meet(iss, sub, now).await?;
        people::rename(&mut self.store.write().await?, &person.id, name).await?;
        Ok(Person {
            display_name: name.map(str::to_owned),
            ..person
        })
    }

    /// The person, who is known from now on.
    pub(crate) async fn meet(&self, iss: &Issuer, sub: &str, now: Instant) -> db::Result<Person> {
        let known = people::find(&mut self.store.read().await?, iss, sub).await?;
        if let Some(person) = known {
            return Ok(person);
        }
        let mut conn = self.store.write().await?;
        let id = alphanumeric(ID_LENGTH, &*self.random);
        people::create(&mut conn, iss, sub, &id, now).await?;
        // Whoever came first made the row, and perhaps it was not us.
        let person = people::find(&mut conn, iss, sub).await?;
        person.ok_or(DbError::Query(diesel::result::Error::NotFound))
    }
}

impl From<Person> for Me {
    fn from(person: Person) -> Self {
        Self::Person {
            id: person.id,
            iss: person.iss,
            sub: person.sub,
            display_name: person.display_name,
            created_at: person.created_at.to_string(),
        }
    }
}
