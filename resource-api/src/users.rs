//! People and services, as they see themselves.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use shared_protocol::issuer::Issuer;
use shared_protocol::random::{Random, alphanumeric};
use shared_protocol::time::Instant;
use shared_server::db::{self, DbError, Store};
use shared_server::web::{Now, Problem};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::problem;
use crate::store::people::{self, Person};

/// Characters of a person's id: 130 bits.
const ID_LENGTH: usize = 22;

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
    security(("bearer" = ["profile:read"])),
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

impl People {
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
            created_at: person.created_at.to_string(),
        }
    }
}
