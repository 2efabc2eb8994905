//! The door for clients: open from the first moment, with little behind it until the daemon is put
//! together.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::problem::Problem;
use super::server::{Listener, serve};
use super::{gate, guard, operations};
use crate::access::Access;
use crate::config::ServerConfig;
use crate::door::Door;

/// What is behind the door, once there is something.
type Inside = Arc<OnceLock<Router>>;

/// A listener that is served, and what its requests go to.
#[derive(Debug)]
pub struct Entrance {
    address: SocketAddr,
    door: Door,
    metrics: PrometheusHandle,
    inside: Inside,
    served: JoinHandle<bool>,
}

impl Entrance {
    /// Listens, and answers `/healthz` and `/metrics`. All else is told to come back.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn open(
        server: &ServerConfig,
        door: Door,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let tls = door.certificate.as_ref().map(|it| it.acceptor()).transpose()?;
        let (listener, address) = Listener::tcp(server.listen, tls)
            .await
            .with_context(|| format!("cannot listen on {} (server.listen)", server.listen))?;
        let inside = Inside::default();
        let early = early_router(metrics.clone(), door.access.clone());
        let router = Router::new().fallback(pass).with_state((inside.clone(), early));
        let served = TaskTracker::new().spawn(serve(listener, router, stop, server.grace_period));
        Ok(Self { address, door, metrics, inside, served })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What guards it.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// What was counted.
    pub fn metrics(&self) -> &PrometheusHandle {
        &self.metrics
    }

    /// Lets requests in, those on connections that are open already too.
    pub fn admit(&self, router: Router) {
        // It is called once.
        let _ = self.inside.set(router);
    }

    /// Waits until it was told to stop. Returns whether all requests ended in time.
    pub async fn ended(self) -> bool {
        self.served.await.unwrap_or(false)
    }
}

async fn pass(State((inside, early)): State<(Inside, Router)>, request: Request) -> Response {
    let router = inside.get().cloned().unwrap_or(early);
    match TowerToHyperService::new(router).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn early_router(metrics: PrometheusHandle, access: Arc<Access>) -> Router {
    let counted = move || std::future::ready(operations::metrics_text(&metrics));
    let router = Router::new()
        .route("/healthz", get(operations::health))
        .route("/metrics", get(counted))
        .fallback(starting);
    router.layer(from_fn_with_state(access, gate::admit)).layer(from_fn(guard::observe))
}

async fn starting() -> Response {
    let detail = "the daemon is starting: the store is opened, and plugins are loaded and tried";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", detail).into_response()
}
