//! `/healthz`, `/readyz`, `/metrics` and `/openapi.json`: for whoever runs the daemon.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use metrics_exporter_prometheus::PrometheusHandle;

use super::Api;
use super::problem::Problem;
use super::reply::json;

/// The description of all routes.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

/// How long the store may take to say that it is there.
const PING_TIME: Duration = Duration::from_secs(2);

pub(super) async fn health() -> Response {
    json(StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
}

/// Nothing gets here before plugins are loaded, so the store is what may be missing.
pub(super) async fn ready(State(api): State<Api>) -> Result<Response, Problem> {
    let ping = api.service.store().ping();
    match tokio::time::timeout(PING_TIME, ping).await {
        Ok(Ok(())) => Ok(json(StatusCode::OK, "{\"status\":\"ready\"}".to_owned())),
        Ok(Err(error)) => Err(sessiond_core::error::Error::from(error).into()),
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the session store does not answer",
        )),
    }
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    metrics_text(&api.metrics)
}

pub(super) fn metrics_text(metrics: &PrometheusHandle) -> Response {
    let text = metrics.render();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

pub(super) async fn openapi() -> Response {
    json(StatusCode::OK, OPENAPI.to_owned())
}
