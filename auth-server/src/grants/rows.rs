//! Grants as they are kept.

use serde_json::Value;
use shared_protocol::confirmation::Confirmation;
use shared_protocol::time::Instant;

use super::{Family, Grant, GrantId, Terms};
use crate::authorize::agreement::Agreement;
use crate::claims::GrantedClaims;
use crate::store::grants::GrantRow;

/// A grant of these terms that brings nothing yet.
pub(super) fn row_of(id: &GrantId, terms: &Terms, now: Instant) -> GrantRow {
    GrantRow {
        id: id.to_string(),
        code_digest: None,
        client_id: terms.client_id.to_string(),
        account_id: terms.account_id.to_string(),
        session_id: terms.session_id.as_ref().map(ToString::to_string),
        offline: terms.offline,
        scope: terms.agreed.own.to_string(),
        resources: serde_json::json!(terms.agreed.resources),
        auth_time: terms.auth_time,
        amr: serde_json::json!(terms.amr),
        family_salt: None,
        generation: 0,
        rotated_at: None,
        rotation_digest: None,
        used_at: now,
        created_at: now,
        expires_at: now,
        revoked_at: None,
        access_until: now,
        requested_claims: terms.claims.to_row(),
        acr: terms.acr.clone(),
        authorization_details: terms.agreed.details_value(),
        issuer: None,
        parent_id: None,
        chain: None,
        confirmation: None,
    }
}

/// As it is kept.
pub(super) fn to_value(confirmation: &Confirmation) -> Value {
    serde_json::json!(confirmation)
}

pub(super) fn from_row(row: GrantRow, is_over: bool) -> Option<Grant> {
    let confirmation = row.confirmation.map(serde_json::from_value);
    let family = match row.family_salt {
        Some(salt) => Some(Family {
            salt,
            confirmation: confirmation.transpose().ok()?,
            generation: row.generation.try_into().ok()?,
            rotation: row.rotated_at.zip(row.rotation_digest),
            used_at: row.used_at,
            expires_at: row.expires_at,
            access_until: row.access_until,
        }),
        None => None,
    };
    let claims = GrantedClaims::from_row(row.requested_claims.as_ref())?;
    let chain = row.chain.map(serde_json::from_value).transpose().ok()?;
    Some(Grant {
        id: row.id.parse().ok()?,
        terms: Terms {
            client_id: row.client_id.parse().ok()?,
            account_id: row.account_id.parse().ok()?,
            session_id: row.session_id.map(|id| id.parse()).transpose().ok()?,
            offline: row.offline,
            agreed: Agreement {
                own: row.scope.parse().ok()?,
                resources: serde_json::from_value(row.resources).ok()?,
                claims: claims.all(),
                details: Agreement::details_of(row.authorization_details)?,
            },
            claims,
            auth_time: row.auth_time,
            amr: serde_json::from_value(row.amr).ok()?,
            acr: row.acr,
        },
        family,
        is_over,
        expires_at: row.expires_at,
        access_until: row.access_until,
        chain,
        is_of_another_issuer: row.issuer.is_some(),
    })
}
