//! The interface to clients: routes, and the shapes that go over them.
//!
//! A handler reads the request (`ask`), calls the service, and writes the reply. It decides
//! nothing.

mod adk;
mod admin;
mod ask;
pub mod entrance;
mod events;
mod fields;
mod gate;
mod guard;
mod method;
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
mod watch;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use sessiond_core::event::Received;
use sessiond_core::service::SessionService;
use sessiond_core::workers::summary::SummaryPool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::gate::{APPEND, BOTH, Need, READ};
use self::problem::Problem;
use crate::access::Access;
use crate::reload::Reloader;

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct Api {
    /// The operations on sessions.
    pub service: Arc<SessionService>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// What was counted.
    pub metrics: PrometheusHandle,
    /// Who reloads plugins, if there are any.
    pub reloader: Option<Arc<Reloader>>,
    /// Who makes summaries, if anybody does.
    pub summaries: Option<Arc<SummaryPool>>,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// What comes before the paths of ADK's routes. None: there are none.
    pub adk: Option<String>,
    /// Places for those who watch.
    pub watchers: Arc<Semaphore>,
    /// How long one of them hears nothing, at most.
    pub keep_alive: Duration,
    /// When it is over.
    pub stop: CancellationToken,
    /// Work that goes on after its handler has answered, and is awaited at shutdown.
    pub tasks: TaskTracker,
}

/// A route: a path, and what each of its methods needs.
struct Route {
    path: &'static str,
    methods: &'static [(&'static str, Need)],
}

/// What is done to a session as a whole: `{session}:NAME`.
struct Verb {
    name: &'static str,
    method: &'static str,
    need: Need,
}

const SESSION: &str = "/v1/apps/{app}/users/{user}/sessions/{session}";

/// All routes, and what they need. Nothing is served that is not here.
const ROUTES: &[Route] = &[
    Route { path: "/healthz", methods: &[("get", Need::Nothing)] },
    Route { path: "/readyz", methods: &[("get", Need::Nothing)] },
    Route { path: "/metrics", methods: &[("get", Need::Token)] },
    Route { path: "/openapi.json", methods: &[("get", Need::Nothing)] },
    Route { path: "/v1/apps/{app}/state", methods: &[("get", READ), ("patch", APPEND)] },
    Route { path: "/v1/apps/{app}/state/{key}", methods: &[("delete", APPEND)] },
    Route {
        path: "/v1/apps/{app}/users/{user}/state",
        methods: &[("get", READ), ("patch", APPEND)],
    },
    Route { path: "/v1/apps/{app}/users/{user}/state/{key}", methods: &[("delete", APPEND)] },
    Route {
        path: "/v1/apps/{app}/users/{user}/sessions",
        methods: &[("get", READ), ("post", BOTH)],
    },
    Route { path: "/v1/apps/{app}/users/{user}/sessions:batch_get", methods: &[("post", READ)] },
    Route { path: "/v1/apps/{app}/users/{user}/sessions:watch", methods: &[("get", READ)] },
    Route { path: SESSION, methods: &[("get", READ), ("patch", APPEND), ("delete", APPEND)] },
    Route {
        path: "/v1/apps/{app}/users/{user}/sessions/{session}/events",
        methods: &[("get", READ), ("post", APPEND)],
    },
    Route {
        path: "/v1/apps/{app}/users/{user}/sessions/{session}/events/{id}",
        methods: &[("get", READ)],
    },
    Route {
        path: "/v1/apps/{app}/users/{user}/sessions/{session}/state",
        methods: &[("get", READ), ("patch", APPEND)],
    },
    Route {
        path: "/v1/apps/{app}/users/{user}/sessions/{session}/state/{key}",
        methods: &[("delete", APPEND)],
    },
    Route {
        path: "/v1/apps/{app}/users/{user}/sessions/{session}/summaries",
        methods: &[("get", READ), ("post", APPEND)],
    },
    Route {
        path: "/v1/apps/{app}/users/{user}/sessions/{session}/tracks/{track}",
        methods: &[("get", READ), ("post", APPEND), ("delete", APPEND)],
    },
    Route { path: "/apps/{app}/users/{user}/sessions", methods: &[("get", READ), ("post", BOTH)] },
    Route {
        path: "/apps/{app}/users/{user}/sessions/{session}",
        methods: &[("get", READ), ("post", BOTH), ("patch", BOTH), ("delete", APPEND)],
    },
    Route {
        path: "/apps/{app}/users/{user}/sessions/{session}/events",
        methods: &[("post", BOTH)],
    },
    Route { path: "/v1/admin/export", methods: &[("get", Need::Admin)] },
    Route { path: "/v1/admin/import", methods: &[("post", Need::Admin)] },
    Route { path: "/v1/admin/queues", methods: &[("get", Need::Admin)] },
    Route { path: "/v1/admin/plugins", methods: &[("get", Need::Admin)] },
    Route { path: "/v1/admin/plugins/{call}", methods: &[("post", Need::Admin)] },
];

/// What answers with something of the session needs both scopes.
const VERBS: &[Verb] = &[
    Verb { name: "pop", method: "post", need: BOTH },
    Verb { name: "trim", method: "post", need: APPEND },
    Verb { name: "clear", method: "post", need: APPEND },
    Verb { name: "rewind", method: "post", need: APPEND },
    Verb { name: "fork", method: "post", need: BOTH },
    Verb { name: "lease", method: "post", need: APPEND },
    Verb { name: "release", method: "post", need: APPEND },
    Verb { name: "watch", method: "get", need: READ },
];

/// The handlers of a route's methods. None: the table has a route that nothing serves.
fn handlers(path: &str) -> Option<MethodRouter<Api>> {
    let rest = path.strip_prefix("/v1/apps/{app}/users/{user}/sessions").unwrap_or(path);
    Some(match rest {
        "/healthz" => get(operations::health),
        "/readyz" => get(operations::ready),
        "/metrics" => get(operations::metrics),
        "/openapi.json" => get(operations::openapi),
        "/v1/apps/{app}/state" => get(state::read_app).patch(state::change_app),
        "/v1/apps/{app}/state/{key}" => delete(state::remove_app),
        "/v1/apps/{app}/users/{user}/state" => get(state::read_user).patch(state::change_user),
        "/v1/apps/{app}/users/{user}/state/{key}" => delete(state::remove_user),
        "" => get(sessions::list).post(sessions::create),
        ":batch_get" => post(sessions::batch_get),
        ":watch" => get(watch::user),
        "/{session}" => {
            get(sessions::read).patch(verbs::change).delete(sessions::delete).post(verbs::run)
        }
        "/{session}/events" => get(events::page).post(events::append),
        "/{session}/events/{id}" => get(events::around),
        "/{session}/state" => get(state::read_session).patch(state::change_session),
        "/{session}/state/{key}" => delete(state::remove_session),
        "/{session}/summaries" => get(summaries::list).post(summaries::request),
        "/{session}/tracks/{track}" => {
            get(tracks::page).post(tracks::append).delete(tracks::delete)
        }
        "/apps/{app}/users/{user}/sessions" => get(adk::list).post(adk::create),
        "/apps/{app}/users/{user}/sessions/{session}" => {
            get(adk::read).post(adk::create_named).patch(adk::patch).delete(adk::delete)
        }
        "/apps/{app}/users/{user}/sessions/{session}/events" => post(adk::append),
        "/v1/admin/export" => get(admin::export),
        "/v1/admin/import" => post(admin::import),
        "/v1/admin/queues" => get(queues::show),
        "/v1/admin/plugins" => get(plugins::list),
        "/v1/admin/plugins/{call}" => post(plugins::run),
        _ => return None,
    })
}

/// Reads an event or an append item, as a client would send it.
///
/// # Errors
/// The sentence that the client would get.
pub fn received_item(text: &str) -> Result<Received, String> {
    events::received_item(text).map_err(|problem| problem.detail().to_owned())
}

impl Route {
    /// Whether it is one of ADK's.
    fn is_adk(&self) -> bool {
        self.path.starts_with("/apps/")
    }

    fn is_admin(&self) -> bool {
        self.methods.iter().any(|(_, need)| *need == Need::Admin)
    }
}

/// What clients reach, as far as their tokens let them.
pub fn client_router(api: Api) -> Router {
    let access = api.access.clone();
    let routes = ROUTES.iter().filter(|route| !route.is_adk() || api.adk.is_some());
    let router = router(routes, api.adk.as_deref().unwrap_or_default());
    let router = router.layer(from_fn_with_state(access, gate::admit));
    let router = router.layer(from_fn(adk::plain_errors)).layer(from_fn(guard::observe));
    router.with_state(api)
}

/// What the operator reaches, on a unix socket.
pub fn admin_router(api: Api) -> Router {
    let routes = ROUTES.iter().filter(|route| route.is_admin());
    router(routes, "").layer(from_fn(guard::observe)).with_state(api)
}

/// Routes, of which ADK's have a path before theirs.
fn router<'a>(routes: impl Iterator<Item = &'a Route>, adk: &str) -> Router<Api> {
    let router = routes.fold(Router::new(), |router, route| match handlers(route.path) {
        Some(handlers) => {
            let before = if route.is_adk() { adk } else { "" };
            let handlers = handlers.fallback(method::refused);
            let handlers = match route.path {
                // What is done to a session as a whole has methods of its own.
                SESSION => handlers.layer(from_fn(method::known)),
                _ => handlers,
            };
            router.route(&format!("{before}{}", route.path), handlers)
        }
        None => router,
    });
    router.fallback(no_route)
}

async fn no_route() -> Problem {
    let detail = "there is no such route: /openapi.json has all of them";
    Problem::new(StatusCode::NOT_FOUND, "no_route", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The description names exactly the routes that there are, with what they need, and each is
    /// served.
    #[test]
    fn the_description_is_true() {
        let document: serde_json::Value = serde_json::from_str(operations::OPENAPI).unwrap();
        let mut described = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if method != "parameters" {
                    let needed = operation["security"].to_string();
                    described.push((path.clone(), method.clone(), needed));
                }
            }
        }
        let text = |need: Need| {
            let scopes: Vec<_> = match need {
                Need::Nothing => return "[]".to_owned(),
                Need::Token => Vec::new(),
                Need::Scopes(scopes) => scopes.iter().map(|scope| scope.name()).collect(),
                Need::Admin => vec!["admin"],
            };
            serde_json::json!([{ "token": scopes }]).to_string()
        };
        let mut real = Vec::new();
        for route in ROUTES {
            assert!(handlers(route.path).is_some(), "{}", route.path);
            for (method, need) in route.methods {
                let path = route.path.replace("/{call}", "/{plugin}:reload");
                real.push((path, (*method).to_owned(), text(*need)));
            }
        }
        for verb in VERBS {
            let path = format!("{SESSION}:{}", verb.name);
            real.push((path, verb.method.to_owned(), text(verb.need)));
        }
        described.sort();
        real.sort();
        assert_eq!(described, real);
    }
}
