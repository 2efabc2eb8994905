//! What clients get when all is well.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sessiond_core::store::SessionHeader;

/// JSON text.
pub(crate) fn json(status: StatusCode, text: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// JSON text about a session, with its `ETag`.
pub(crate) fn tagged(status: StatusCode, session: &SessionHeader, text: String) -> Response {
    let mut response = json(status, text);
    let tag = format!("\"{}-{}\"", session.generation, session.revision);
    // Digits and a dash always make a header.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
