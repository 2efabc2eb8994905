//! `/v1/admin/plugins`: what the operator sees of plugins, and does with them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use sessiond_core::view::json::ObjectText;
use sessiond_plugin::plugin::Health;

use super::Api;
use super::problem::Problem;
use super::reply::json;
use crate::reload::{ReloadError, Reloadable};

/// `GET /v1/admin/plugins`: each with its file, why that or a newer one was not taken, and how
/// calls to it fare.
pub(super) async fn list(State(api): State<Api>) -> Response {
    let plugins = api.reloader.iter().flat_map(|it| it.plugins());
    let plugins: Vec<_> = plugins.map(|plugin| object(plugin).end()).collect();
    let list = format!("[{}]", plugins.join(","));
    json(StatusCode::OK, ObjectText::default().raw("plugins", &list).end())
}

/// `POST /v1/admin/plugins/{name}:reload`
pub(super) async fn run(
    State(api): State<Api>,
    Path(call): Path<String>,
) -> Result<Response, Problem> {
    let Some((name, "reload")) = call.rsplit_once(':') else {
        let detail = "write /v1/admin/plugins/NAME:reload";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_verb", detail));
    };
    let reloader = api.reloader.as_ref();
    let found = reloader.and_then(|reloader| Some((reloader, reloader.find(name)?)));
    let (reloader, plugin) = found.ok_or_else(|| ReloadError::Unknown(name.to_owned()))?;
    let outcome = reloader.reload(plugin).await?;
    let text = object(plugin).string("outcome", outcome.name()).end();
    Ok(json(StatusCode::OK, text))
}

fn object(plugin: &Reloadable) -> ObjectText {
    let current = plugin.current();
    let object = ObjectText::default()
        .string("name", plugin.name())
        .string("path", &plugin.path().to_string_lossy())
        .plain("loaded", current.is_some());
    let (object, why) = match &current {
        Some(current) => {
            let interfaces: Vec<_> = current.health().iter().map(interface).collect();
            let object = object
                .string("sha256", current.sha256())
                .plain("size", current.size())
                .raw("interfaces", &format!("[{}]", interfaces.join(",")));
            (object, "reload_error")
        }
        None => (object, "load_error"),
    };
    match plugin.error() {
        Some(error) => object.string(why, &error),
        None => object,
    }
}

/// An interface, whether its breaker lets calls through, and how it failed last.
fn interface(health: &Health) -> String {
    let object = ObjectText::default()
        .string("name", health.interface.name())
        .string("breaker", health.breaker.name())
        .plain("failures_in_a_row", health.failures);
    match &health.last_failure {
        Some(failure) => object.string("last_failure", failure).end(),
        None => object.end(),
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let (status, code) = match &error {
            ReloadError::Unknown(_) => (StatusCode::NOT_FOUND, "plugin_not_found"),
            ReloadError::Refused(_) | ReloadError::Absent(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "plugin_not_reloaded")
            }
        };
        Self::new(status, code, error.to_string())
    }
}
