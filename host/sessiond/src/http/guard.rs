//! What every request passes: who may ask at all, its id, and the count of it.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{Instrument as _, field};
use uuid::Uuid;

use super::ask::RequestId;
use super::problem::{Cause, Problem};

const REQUEST_ID: &str = "x-request-id";

/// Refuses requests that a foreign web page makes a browser send (R85): their `Host` or `Origin`
/// is not this machine, whatever name the page has given to its address.
pub(super) async fn local_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_local) {
        let detail = "the Host header names another machine: ask for localhost or 127.0.0.1";
        return Problem::new(StatusCode::FORBIDDEN, "foreign_host", detail).into_response();
    }
    if headers.contains_key(header::ORIGIN) && !origin_is_local(headers) {
        let detail = "the request comes from a web page of another origin";
        return Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail).into_response();
    }
    next.run(request).await
}

fn origin_is_local(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.and_then(|origin| origin.parse::<Uri>().ok());
    origin.and_then(|origin| origin.authority().map(|it| is_local(it.as_str()))).unwrap_or(false)
}

/// `localhost`, `127.0.0.1` or `[::1]`, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name.to_ascii_lowercase().as_str(), "localhost" | "127.0.0.1" | "[::1]")
}

/// Gives the request its id and its span, and counts and logs it.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let traceparent = request.headers().get("traceparent").and_then(|it| it.to_str().ok());
    let span = tracing::info_span!(
        "request",
        traceparent,
        request_id = id,
        "http.request.method" = known_method(request.method()),
        "http.route" = route.unwrap_or("none"),
        "http.response.status_code" = field::Empty,
    );
    let answered = span.clone();
    let response = observed(request, next, id).instrument(span).await;
    answered.record("http.response.status_code", response.status().as_u16());
    response
}

async fn observed(mut request: Request, next: Next, id: String) -> Response {
    let begin = Instant::now();
    request.extensions_mut().insert(RequestId(id.as_str().into()));
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let method = known_method(request.method());
    let mut response = next.run(request).await;
    let status = response.status();
    if let Some(Cause(cause)) = response.extensions().get() {
        tracing::error!(
            method,
            route,
            status = status.as_u16(),
            request_id = id,
            cause,
            "request failed"
        );
    }
    tracing::debug!(method, route, status = status.as_u16(), request_id = id, "request");
    metrics::counter!("sessiond_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.as_u16().to_string())
        .increment(1);
    metrics::histogram!("sessiond_http_request_seconds", "route" => route).record(begin.elapsed());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The method as a label: clients may invent others, and each would be a series of its own.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// The client's id, if it is short and plain, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let plain =
        |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|it| it.is_ascii_graphic());
    given.filter(plain).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R85
    #[test]
    fn only_this_machine_is_local() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:7717", "[::1]", "[::1]:7717"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["example.com", "localhost.example.com", "127.0.0.1.nip.io:80", "", "::1", "127.0.0.2"]
        {
            assert!(!is_local(host), "{host}");
        }
        let origin = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, value.parse().unwrap());
            origin_is_local(&headers)
        };
        assert!(origin("http://localhost:3000"));
        assert!(
            !origin("null")
                && !origin("http://evil.example")
                && !origin("http://localhost.evil.example")
        );
    }
}
