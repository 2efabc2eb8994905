//! The daemon, put together: from a configuration to something that serves, and down again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use sessiond_core::hook::chain::HookChain;
use sessiond_core::hook::{AppendHook, GetHook, Summarizer};
use sessiond_core::service::{Limits, SessionService};
use sessiond_core::store::SessionStore;
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::plugin::PluginStore;
use sessiond_core::time::SystemClock;
use sessiond_core::workers::lanes::journal::Journal;
use sessiond_core::workers::lanes::{Lanes, Left};
use sessiond_core::workers::summary::{JobQueue, LocalQueue, SummaryPool, SummaryWork};
use sessiond_plugin::adapter::Hooks;
use sessiond_plugin::engine::PluginEngine;
use sessiond_redis::{RedisQueue, RedisStore};
use tokio::signal::unix::Signal;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, QueueKind, StoreConfig};
use crate::door::Door;
use crate::http::entrance::Entrance;
use crate::http::server::{Listener, serve};
use crate::http::{Api, admin_router, client_router};
use crate::journal::DiskJournal;
use crate::outbound::OwnAddresses;
use crate::plugins::{LoadedPlugins, load_plugins};
use crate::reload::Reloader;

/// How often the store puts things in order.
const SWEEP: Duration = Duration::from_secs(10);

/// How often instances are looked at that nobody calls.
const TIDY: Duration = Duration::from_secs(1);

/// The daemon, ready to serve.
#[derive(Debug)]
pub struct App {
    config: Config,
    service: Arc<SessionService>,
    summaries: Option<Arc<SummaryPool>>,
    plugins: LoadedPlugins,
    /// Where it listens, which its plugins may not reach.
    own: OwnAddresses,
}

impl App {
    /// Connects, loads and checks everything. `path` is the configuration's, for messages.
    ///
    /// # Errors
    /// When anything is missing or wrong. Nothing is served then.
    pub async fn build(config: Config, path: &Path) -> anyhow::Result<Self> {
        let own = OwnAddresses::default();
        let Stores { sessions: store, keyvalue, jobs } = open_stores(&config).await?;
        let plugins = load_plugins(&config, path, own.clone(), keyvalue).await?;
        let max_event_size = config.max_event_size;
        let append =
            plugins.append.iter().map(|hooks| Arc::new(hooks.clone()) as Arc<dyn AppendHook>);
        let get = plugins.get.iter().map(|hooks| Arc::new(hooks.clone()) as Arc<dyn GetHook>);
        let hooks = HookChain::new(append.collect(), get.collect(), max_event_size);
        let clock = Arc::new(SystemClock);
        let summaries = plugins.summarizer.clone().map(|summarizer: Hooks| {
            let work = SummaryWork {
                store: store.clone(),
                hooks: hooks.clone(),
                summarizer: Arc::new(summarizer) as Arc<dyn Summarizer>,
                max_event_size,
                rules: config.summary.rules.clone(),
                clock: clock.clone(),
            };
            Arc::new(SummaryPool::start(work, jobs, config.summary.pool))
        });
        let limits =
            Limits { max_event_size, max_batch: config.server.max_batch, ..Limits::default() };
        let service = SessionService::new(store, hooks, summaries.clone(), limits, clock);
        let service = match config.persist.group_commit {
            true => service.with_group_commit(),
            false => service,
        };
        Ok(Self { config, service: Arc::new(service), summaries, plugins, own })
    }

    /// The operations on sessions, for a command that serves nobody.
    pub fn service(&self) -> Arc<SessionService> {
        self.service.clone()
    }

    /// The plugins, as they were loaded.
    pub fn plugins(&self) -> &LoadedPlugins {
        &self.plugins
    }

    /// Serves who comes through the entrance, until `stop`. Returns whether everything that had
    /// begun was ended in time.
    ///
    /// # Errors
    /// When it cannot listen for the operator.
    pub async fn run(
        mut self,
        entrance: Entrance,
        hangup: Signal,
        stop: CancellationToken,
    ) -> anyhow::Result<bool> {
        self.start_lanes().await?;
        let server = &self.config.server;
        let api = Api {
            service: self.service.clone(),
            access: entrance.door().access.clone(),
            metrics: entrance.metrics().clone(),
            reloader: self.plugins.reloader.clone(),
            summaries: self.summaries.clone(),
            max_body: server.max_body,
            adk: self.config.adk.base_path.clone(),
            watchers: Arc::new(Semaphore::new(server.max_watchers)),
            keep_alive: server.watch_keep_alive,
            stop: stop.clone(),
            tasks: TaskTracker::new(),
        };
        self.own.set(vec![entrance.address()]);
        let admin = match &server.admin_socket {
            Some(path) => Some(Listener::unix(path).await.with_context(|| {
                format!("cannot listen on {} (server.admin_socket)", path.display())
            })?),
            None => None,
        };
        entrance.admit(client_router(api.clone()));
        tracing::info!(address = %entrance.address(), store = self.store_name(), "listening");

        let grace = server.grace_period;
        let background = TaskTracker::new();
        background.spawn(sweep(self.service.store().clone(), api.metrics.clone(), stop.clone()));
        background.spawn(listen(self.service.store().clone(), stop.clone()));
        let (door, reloader) = (entrance.door().clone(), self.plugins.reloader.clone());
        background.spawn(reload_at(hangup, door, reloader, stop.clone()));
        if let Some(reloader) = &self.plugins.reloader {
            background.spawn(reloader.clone().watch(stop.clone()));
        }
        if let Some(engine) = &self.plugins.engine {
            background.spawn(tidy(engine.clone(), stop.clone()));
        }
        let admin = admin.map(|listener| {
            let router = admin_router(api.clone());
            background.spawn(serve(listener, router, stop, grace))
        });
        let mut ended = entrance.ended().await;
        if let Some(admin) = admin {
            ended &= admin.await.unwrap_or(false);
        }
        ended &= self.wind_down(&api, background, grace).await;
        Ok(ended)
    }

    /// Starts the lanes, if appends are to be queued. Only a daemon that serves has them: no other
    /// command needs the journal, which belongs to one process.
    async fn start_lanes(&mut self) -> anyhow::Result<()> {
        let Some(limits) = self.config.persist.lanes else { return Ok(()) };
        let service = SessionService::clone(&self.service);
        let journal = match &self.config.persist.journal {
            Some(config) => {
                let journal = DiskJournal::open(config, limits.lanes).await?;
                Some(Arc::new(journal) as Arc<dyn Journal>)
            }
            None => None,
        };
        let lanes = Lanes::start(service.clone(), journal, limits).await?;
        self.service = Arc::new(service.with_lanes(Arc::new(lanes)));
        Ok(())
    }

    /// Writes what is queued. Returns whether all of it is in the store, or in the journal.
    async fn drain_lanes(&self, grace: Duration) -> bool {
        let Some(lanes) = self.service.lanes() else { return true };
        let left = lanes.drain(grace).await;
        let Left { appends, sessions, journaled } = left;
        match (appends, journaled) {
            (0, _) => true,
            (_, true) => {
                tracing::warn!(
                    appends,
                    sessions,
                    "queued appends are left in the journal; the next start writes them"
                );
                true
            }
            (_, false) => {
                tracing::error!(
                    appends,
                    sessions,
                    "appends that were acknowledged could not be written, and are lost"
                );
                false
            }
        }
    }

    /// Ends the work that no request waits for.
    async fn wind_down(&self, api: &Api, background: TaskTracker, grace: Duration) -> bool {
        self.service.drain().await;
        let written = self.drain_lanes(grace).await;
        let mut left = 0;
        if let Some(pool) = &self.summaries {
            left = pool.drain(grace).await;
        }
        if left > 0 {
            tracing::warn!(
                jobs = left,
                "summary jobs were given up; later appends start them again"
            );
        }
        api.tasks.close();
        background.close();
        let rest = async {
            api.tasks.wait().await;
            background.wait().await;
        };
        let ended = tokio::time::timeout(grace, rest).await.is_ok();
        if let Some(path) = &self.config.server.admin_socket {
            // It is of no use to the next daemon, which replaces it anyway.
            let _ = std::fs::remove_file(path);
        }
        ended && written && left == 0
    }

    fn store_name(&self) -> &'static str {
        match self.config.store {
            StoreConfig::Embedded => "embedded (in memory, gone when the daemon stops)",
            StoreConfig::Redis(_) => "redis",
        }
    }
}

/// A store, by what it is used for.
pub(crate) struct Stores {
    /// Sessions.
    pub(crate) sessions: Arc<dyn SessionStore>,
    /// What plugins keep.
    pub(crate) keyvalue: Arc<dyn PluginStore>,
    /// Summary jobs.
    pub(crate) jobs: Arc<dyn JobQueue>,
}

impl Stores {
    fn of<T: SessionStore + PluginStore + 'static>(store: Arc<T>, jobs: Arc<dyn JobQueue>) -> Self {
        Self { sessions: store.clone(), keyvalue: store, jobs }
    }
}

/// Opens the store that the configuration names.
///
/// # Errors
/// When it cannot be reached, or is not fit.
pub(crate) async fn open_stores(config: &Config) -> anyhow::Result<Stores> {
    let (rules, summary) = (config.rules.clone(), &config.summary);
    let local = || Arc::new(LocalQueue::new(summary.pool.queue_size)) as Arc<dyn JobQueue>;
    Ok(match &config.store {
        StoreConfig::Embedded => Stores::of(Arc::new(EmbeddedStore::new(rules)), local()),
        StoreConfig::Redis(redis) => {
            let store = Arc::new(RedisStore::connect(redis.as_ref().clone(), rules).await?);
            let jobs = match summary.queue {
                QueueKind::Local => local(),
                QueueKind::Redis => {
                    Arc::new(RedisQueue::new(store.clone(), summary.pool.queue_size))
                }
            };
            Stores::of(store, jobs)
        }
    })
}

/// Reads tokens, the certificate and plugins again at SIGHUP.
async fn reload_at(
    mut hangup: Signal,
    door: Door,
    reloader: Option<Arc<Reloader>>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = stop.cancelled() => return,
        }
        tracing::info!("SIGHUP: tokens, the certificate and changed plugins are read again");
        door.reload();
        if let Some(reloader) = &reloader {
            tokio::select! {
                () = reloader.reload_all() => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Ends instances of plugins that nobody calls any more.
async fn tidy(engine: Arc<PluginEngine>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY) => engine.tidy(),
            () = stop.cancelled() => return,
        }
    }
}

/// Brings watchers the news of what other daemons write.
async fn listen(store: Arc<dyn SessionStore>, stop: CancellationToken) {
    tokio::select! {
        () = store.listen() => {}
        () = stop.cancelled() => {}
    }
}

async fn sweep(store: Arc<dyn SessionStore>, metrics: PrometheusHandle, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = stop.cancelled() => return,
        }
        // What histograms have gathered is summed up, or it would grow while nobody asks for it.
        metrics.run_upkeep();
        if let Err(error) = store.sweep().await {
            tracing::warn!(%error, "the store could not be put in order; trying again");
        }
    }
}
