//! The types of authorization details that resource servers understand (RFC 9396 §2), kept with them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use shared_protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use shared_protocol::resource::ResourceId;
use shared_protocol::time::Instant;
use shared_server::db::DbError;

use super::{CHANGE, DamagedType, ResourceServer, ResourceServers, ResourceServersError, Snapshot};
use crate::authorization_details::{
    self, ByResource, DetailsSchema, DetailsType, InvalidDetails, TypeName,
};
use crate::store::authorization_details_types::{self, DetailsTypeRow};
use crate::store::changes;

impl ResourceServers {
    /// The type of this name.
    #[must_use]
    pub fn details_type(&self, name: &str) -> Option<Arc<DetailsType>> {
        self.loaded.load().details_types.get(name).cloned()
    }

    /// What a client asks for, by resource, if it is what its types have it and the client registered for them.
    ///
    /// # Errors
    /// [`InvalidDetails`].
    pub fn sort_details(
        &self,
        details: &AuthorizationDetails,
        registered: &[TypeName],
    ) -> Result<ByResource, InvalidDetails> {
        let loaded = self.loaded.load();
        let known = |name: &str| loaded.details_types.get(name).map(|known| &**known);
        authorization_details::sorted(details, registered, known)
    }

    /// Whether one object is another, or less than it by what its type has for less (RFC 9396 §6.1).
    #[must_use]
    pub fn is_within(&self, asked: &AuthorizationDetail, granted: &AuthorizationDetail) -> bool {
        asked == granted
            || asked.type_name() == granted.type_name()
                && self
                    .details_type(asked.type_name())
                    .is_some_and(|known| known.is_less(asked, granted))
    }

    /// Those of `details` whose types still belong to this resource server: a type that was taken from it since is no right there
    /// any more.
    #[must_use]
    pub fn details_at(
        &self,
        server: &ResourceServer,
        details: &AuthorizationDetails,
    ) -> AuthorizationDetails {
        if details.is_empty() {
            return AuthorizationDetails::default();
        }
        let loaded = self.loaded.load();
        let is_here = |name: &str| {
            let found = loaded.details_types.get(name);
            found.is_some_and(|found| found.resource == server.identifier)
        };
        let details = details.iter().filter(|detail| is_here(detail.type_name()));
        details.cloned().collect()
    }

    /// Registers a type, or replaces what was registered under its name.
    ///
    /// # Errors
    /// [`ResourceServersError`].
    pub async fn put_details_type(
        &self,
        details_type: &DetailsType,
        now: Instant,
    ) -> Result<(), ResourceServersError> {
        let no_server = || ResourceServersError::NoResourceServer(details_type.resource.clone());
        self.find(&details_type.resource).ok_or_else(no_server)?;
        let row = DetailsTypeRow {
            name: details_type.name.to_string(),
            resource: details_type.resource.normal().to_owned(),
            description: details_type.description.as_str().to_owned(),
            schema: details_type.schema.source().clone(),
            additive: json!(details_type.additive),
            created_at: now,
            updated_at: now,
        };
        let put = self
            .store
            .transaction(async |conn| {
                authorization_details_types::put(conn, &row).await?;
                changes::record(conn, CHANGE, &row.resource, now).await
            })
            .await;
        match put {
            Ok(()) => self.reload().await,
            // Forgotten a moment ago.
            Err(DbError::Reference(_)) => Err(no_server()),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets a type; whether it was there.
    ///
    /// # Errors
    /// [`ResourceServersError`].
    pub async fn remove_details_type(
        &self,
        name: &TypeName,
        now: Instant,
    ) -> Result<bool, ResourceServersError> {
        let removed = self
            .store
            .transaction(async |conn| {
                let resource = authorization_details_types::delete(conn, name.as_str()).await?;
                if let Some(resource) = &resource {
                    changes::record(conn, CHANGE, resource, now).await?;
                }
                Ok::<_, DbError>(resource.is_some())
            })
            .await?;
        self.reload().await?;
        Ok(removed)
    }
}

/// The types of these rows. What has not changed `before` is not compiled again.
pub(super) fn read(
    rows: Vec<DetailsTypeRow>,
    before: &Snapshot,
) -> Result<HashMap<TypeName, Arc<DetailsType>>, DamagedType> {
    let mut types = HashMap::with_capacity(rows.len());
    for row in rows {
        let known = before.details_types.get(row.name.as_str());
        let read = match known.filter(|known| is_of(known, &row)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(from_row(row)?),
        };
        types.insert(read.name.clone(), read);
    }
    Ok(types)
}

fn is_of(known: &DetailsType, row: &DetailsTypeRow) -> bool {
    known.resource.normal() == row.resource
        && known.description.as_str() == row.description
        && *known.schema.source() == row.schema
        && json!(known.additive) == row.additive
}

fn from_row(row: DetailsTypeRow) -> Result<DetailsType, DamagedType> {
    let DetailsTypeRow {
        name,
        resource,
        description,
        schema,
        additive,
        ..
    } = row;
    let parse = || -> Option<(TypeName, ResourceId, _, Vec<String>)> {
        Some((
            name.parse().ok()?,
            resource.parse().ok()?,
            description.parse().ok()?,
            serde_json::from_value(additive).ok()?,
        ))
    };
    let damaged = |schema| DamagedType {
        name: name.clone(),
        schema,
    };
    let (type_name, resource, description, additive) = parse().ok_or_else(|| damaged(None))?;
    let schema = DetailsSchema::compile(schema).map_err(|error| damaged(Some(error)))?;
    Ok(DetailsType {
        name: type_name,
        resource,
        description,
        schema,
        additive,
    })
}
