//! The bodies of registrations: one JSON object, bounded in size by the edge and in depth here.

use axum::extract::Request;
use serde_json::{Map, Value};
use shared_protocol::jose::object;

use super::error::RegistrationError;
use crate::form;

/// A key set, its keys and their members are the deepest that means anything.
const DEEPEST: usize = 8;

/// The members of the object, none of which comes twice.
pub(super) async fn read(request: Request) -> Result<Map<String, Value>, RegistrationError> {
    if !form::is_of_type(request.headers(), "application/json") {
        return Err(RegistrationError::ContentType);
    }
    let (_, body) = form::body(request).await.map_err(RegistrationError::Body)?;
    let members = object(&body).map_err(|_| RegistrationError::Json)?;
    if members.values().any(|value| is_deeper(value, DEEPEST)) {
        return Err(RegistrationError::Json);
    }
    Ok(members)
}

fn is_deeper(value: &Value, than: usize) -> bool {
    let below = |value: &Value| than == 0 || is_deeper(value, than - 1);
    match value {
        Value::Array(values) => values.iter().any(below),
        Value::Object(members) => members.values().any(below),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
