//! GET `/device/qr/{user_code}`: `verification_uri_complete` as a picture, for a device that shows pictures and draws no QR codes itself
//! (RFC 8628 §3.3.1).
//!
//! It is drawn of the path alone. Whether the code is in use is not looked at, so that nothing is learnt here.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use qrcode::{Color, EcLevel, QrCode};
use shared_protocol::issuer::Issuer;

use super::user_code::UserCode;
use crate::authorize::visit::Dialogue;

/// Below the issuer's path.
pub const PATH: &str = "/device/qr";
/// Light modules around the code (ISO/IEC 18004 §6.3.8).
const QUIET: usize = 4;

/// GET `/device/qr/{user_code}`.
pub async fn endpoint(
    State(dialogue): State<Arc<Dialogue>>,
    Path(user_code): Path<String>,
) -> Response {
    let issuer = &dialogue.authorize.checks.issuer;
    let drawn = user_code
        .parse()
        .ok()
        .and_then(|user_code| draw(issuer, &user_code));
    let Some(svg) = drawn else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; sandbox",
        ),
    ];
    (headers, svg).into_response()
}

/// `None` if the URL does not fit into any QR code.
fn draw(issuer: &Issuer, user_code: &UserCode) -> Option<String> {
    let uri = super::verification_uri(issuer, user_code);
    let code = QrCode::with_error_correction_level(uri, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (row, modules) in code.to_colors().chunks(width).enumerate() {
        for (column, _) in modules
            .iter()
            .enumerate()
            .filter(|(_, color)| **color == Color::Dark)
        {
            // Writing text to memory does not fail.
            let _ = write!(path, "M{} {}h1v1h-1z", column + QUIET, row + QUIET);
        }
    }
    let side = width + 2 * QUIET;
    // Black on white whatever the colours around it: many cameras read no other.
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" width=\"256\" height=\"256\" shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"QR code\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>"
    ))
}
