//! The interface to clients: routes, and the shapes that go over them.
//!
//! A handler reads the request (`ask`), calls the service, and writes the reply. It decides
//! nothing.

mod admin;
mod ask;
pub mod entrance;
mod events;
mod fields;
mod guard;
mod operations;
mod params;
mod plugins;
mod problem;
mod queues;
mod reply;
pub mod server;
mod sessions;
mod state;
mod summaries;
mod tracks;
mod verbs;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, delete, get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use sessiond_core::event::Received;
use sessiond_core::service::SessionService;
use sessiond_core::workers::summary::SummaryPool;
use tokio_util::task::TaskTracker;

use self::problem::Problem;
use crate::reload::Reloader;

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct Api {
    /// The operations on sessions.
    pub service: Arc<SessionService>,
    /// What was counted.
    pub metrics: PrometheusHandle,
    /// Who reloads plugins, if there are any.
    pub reloader: Option<Arc<Reloader>>,
    /// Who makes summaries, if anybody does.
    pub summaries: Option<Arc<SummaryPool>>,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// Work that goes on after its handler has answered, and is awaited at shutdown.
    pub tasks: TaskTracker,
}

/// The routes for clients: a path, its methods for the description, and its handlers.
fn routes() -> [(&'static str, &'static [&'static str], MethodRouter<Api>); 17] {
    [
        ("/healthz", &["get"], get(operations::health)),
        ("/readyz", &["get"], get(operations::ready)),
        ("/metrics", &["get"], get(operations::metrics)),
        ("/openapi.json", &["get"], get(operations::openapi)),
        ("/v1/apps/{app}/state", &["get", "patch"], get(state::read_app).patch(state::change_app)),
        ("/v1/apps/{app}/state/{key}", &["delete"], delete(state::remove_app)),
        (
            "/v1/apps/{app}/users/{user}/state",
            &["get", "patch"],
            get(state::read_user).patch(state::change_user),
        ),
        ("/v1/apps/{app}/users/{user}/state/{key}", &["delete"], delete(state::remove_user)),
        (
            "/v1/apps/{app}/users/{user}/sessions",
            &["get", "post"],
            get(sessions::list).post(sessions::create),
        ),
        ("/v1/apps/{app}/users/{user}/sessions:batch_get", &["post"], post(sessions::batch_get)),
        (
            "/v1/apps/{app}/users/{user}/sessions/{session}",
            &["get", "patch", "delete"],
            get(sessions::read).patch(verbs::change).delete(sessions::delete).post(verbs::run),
        ),
        (
            "/v1/apps/{app}/users/{user}/sessions/{session}/events",
            &["get", "post"],
            get(events::page).post(events::append),
        ),
        (
            "/v1/apps/{app}/users/{user}/sessions/{session}/events/{id}",
            &["get"],
            get(events::around),
        ),
        (
            "/v1/apps/{app}/users/{user}/sessions/{session}/state",
            &["get", "patch"],
            get(state::read_session).patch(state::change_session),
        ),
        (
            "/v1/apps/{app}/users/{user}/sessions/{session}/state/{key}",
            &["delete"],
            delete(state::remove_session),
        ),
        (
            "/v1/apps/{app}/users/{user}/sessions/{session}/summaries",
            &["get", "post"],
            get(summaries::list).post(summaries::request),
        ),
        (
            "/v1/apps/{app}/users/{user}/sessions/{session}/tracks/{track}",
            &["get", "post", "delete"],
            get(tracks::page).post(tracks::append).delete(tracks::delete),
        ),
    ]
}

/// Reads an event or an append item, as a client would send it.
///
/// # Errors
/// The sentence that the client would get.
pub fn received_item(text: &str) -> Result<Received, String> {
    events::received_item(text).map_err(|problem| problem.detail().to_owned())
}

/// What clients reach.
pub fn client_router(api: Api) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, (path, _, handlers)| {
        router.route(path, handlers.fallback(wrong_method))
    });
    let router = router.fallback(no_route).layer(from_fn(guard::local_only));
    router.layer(from_fn(guard::observe)).with_state(api)
}

/// What the operator reaches, on a unix socket.
pub fn admin_router(api: Api) -> Router {
    let router = Router::new()
        .route("/v1/admin/export", get(admin::export))
        .route("/v1/admin/import", post(admin::import))
        .route("/v1/admin/queues", get(queues::show))
        .route("/v1/admin/plugins", get(plugins::list))
        .route("/v1/admin/plugins/{call}", post(plugins::run));
    router.fallback(no_route).layer(from_fn(guard::observe)).with_state(api)
}

async fn no_route() -> Problem {
    let detail = "there is no such route: /openapi.json has all of them";
    Problem::new(StatusCode::NOT_FOUND, "no_route", detail)
}

async fn wrong_method() -> Problem {
    let detail = "the route does not have this method: /openapi.json has all of them";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The description names exactly the routes that there are.
    #[test]
    fn the_description_is_true() {
        let document: serde_json::Value = serde_json::from_str(operations::OPENAPI).unwrap();
        let mut described: Vec<(String, Vec<String>)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                let mut methods: Vec<_> =
                    methods.filter(|key| *key != "parameters").cloned().collect();
                methods.sort();
                (path.clone(), methods)
            })
            .collect();
        let mut real: Vec<(String, Vec<String>)> = routes()
            .iter()
            .map(|(path, methods, _)| {
                ((*path).to_owned(), methods.iter().map(ToString::to_string).collect())
            })
            .collect();
        real.extend(verbs::VERBS.map(|verb| {
            let session = "/v1/apps/{app}/users/{user}/sessions/{session}";
            (format!("{session}:{verb}"), vec!["post".to_owned()])
        }));
        real.iter_mut().for_each(|(_, methods)| methods.sort());
        described.sort();
        real.sort();
        assert_eq!(described, real);
    }
}
