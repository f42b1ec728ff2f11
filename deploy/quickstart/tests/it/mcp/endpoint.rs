//! A small MCP server: streamable HTTP whose answers are JSON, guarded like any API.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use shared_protocol::bearer::{AccessToken, BearerError, Guard, GuardSettings, TrustedIssuer};
use shared_protocol::scope::ScopeSet;
use tokio::net::TcpListener;

/// What every message needs.
pub(super) const READ: &str = "notes:read";
/// What one tool needs besides.
pub(super) const WRITE: &str = "notes:write";

/// A server of notes, which nobody answers for yet.
pub(super) struct Notes {
    /// Its address, and the identifier by which tokens are for it (Canonical Server URI).
    pub(super) url: String,
    listener: TcpListener,
}

impl Notes {
    pub(super) async fn bind() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            url: format!("http://{address}/mcp"),
            listener,
        }
    }

    /// Takes the tokens of this issuer, to the end of the test's runtime.
    pub(super) fn serve(self, issuer: &str) {
        let issuer = TrustedIssuer::by_keys(issuer.parse().unwrap());
        let settings = GuardSettings::new(self.url.parse().unwrap(), issuer).unwrap();
        let guard = Guard::new(settings).unwrap();
        let messages = post(message).layer(guard.requiring(scopes(&[READ])));
        let app = guard
            .resource_metadata_route(&scopes(&[READ, WRITE]), &[])
            // Streams are not offered: axum answers 405 to GET.
            .route("/mcp", messages)
            .with_state(guard);
        tokio::spawn(async move { axum::serve(self.listener, app).await });
    }
}

async fn message(
    State(guard): State<Guard>,
    Extension(token): Extension<Arc<AccessToken>>,
    body: Bytes,
) -> Response {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let told = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "notes", "version": "1"},
        }),
        Some("tools/list") => json!({"tools": [tool("list_notes"), tool("add_note")]}),
        Some("tools/call") if message["params"]["name"] == "list_notes" => seen(&token),
        Some("tools/call") => {
            // All that the call needs, not only what is missing: a client asks for no more than it is told.
            let needed = scopes(&[READ, WRITE]);
            if !needed.is_subset(token.scope()) {
                let error = BearerError::InsufficientScope { needed };
                return guard.refusal(&token, error).into_response();
            }
            seen(&token)
        }
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    is_json(&json!({"jsonrpc": "2.0", "id": message["id"], "result": told}))
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

/// The token, as the guard understood it.
fn seen(token: &AccessToken) -> Value {
    let seen = json!({
        "sub": token.subject(),
        "client_id": token.client_id().as_str(),
        "scope": token.scope().to_string(),
    });
    json!({"content": [{"type": "text", "text": seen.to_string()}]})
}

fn is_json(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn scopes(names: &[&str]) -> ScopeSet {
    names.iter().map(|name| name.parse().unwrap()).collect()
}
