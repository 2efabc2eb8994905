//! A plugin: a component that is compiled, checked and ready to be started.

use std::fmt;
use std::sync::Arc;

use sessiond_core::hook::OnError;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, UpdateDeadline};

use crate::alive::Alive;
use crate::bindings::exports::sessiond::plugin as exports;
use crate::breaker::{Breaker, BreakerRule, BreakerState};
use crate::engine::PluginEngine;
use crate::grants::Grants;
use crate::host::Host;
use crate::instance::PluginInstance;
use crate::limits::{LimitError, Limits};
use crate::measures::PluginMeasures;
use crate::output::Output;
use crate::pool::InstancePool;

/// An interface that a component may export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Interface {
    /// Before events are stored.
    BeforeAppend,
    /// After they were.
    AfterAppend,
    /// Before a session is read.
    BeforeGet,
    /// After it was.
    AfterGet,
    /// Summaries.
    Summarizer,
}

impl Interface {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::BeforeAppend, Self::AfterAppend, Self::BeforeGet, Self::AfterGet, Self::Summarizer];

    /// The name in the WIT package.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeAppend => "before-append",
            Self::AfterAppend => "after-append",
            Self::BeforeGet => "before-get",
            Self::AfterGet => "after-get",
            Self::Summarizer => "summarizer",
        }
    }

    /// Its own of what there is for each, in the order of [`Interface::ALL`].
    pub fn of<T>(self, each: &[T; 5]) -> &T {
        let [before_append, after_append, before_get, after_get, summarizer] = each;
        match self {
            Self::BeforeAppend => before_append,
            Self::AfterAppend => after_append,
            Self::BeforeGet => before_get,
            Self::AfterGet => after_get,
            Self::Summarizer => summarizer,
        }
    }

    /// Several names, for a sentence.
    pub fn names(interfaces: &[Self]) -> String {
        interfaces.iter().map(|it| it.name()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whom instances are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// An instance serves many calls, all of one app.
    App,
    /// An instance serves one call.
    Call,
}

/// How a plugin is to be run.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What it may use.
    pub limits: Limits,
    /// Whom its instances are kept for.
    pub isolation: Isolation,
    /// What happens to a request when it fails.
    pub on_error: OnError,
    /// When it is not called for a while.
    pub breaker: BreakerRule,
    /// The largest event after edits, in bytes.
    pub max_event_size: usize,
    /// What it may import beyond what all may.
    pub grants: Grants,
    /// Whether what its guests write and where they were when they failed is logged: it may quote
    /// events.
    pub log_guest_output: bool,
}

/// A loaded plugin. Calls go through the traits that it implements in [`crate::adapter`].
#[derive(Debug)]
pub struct Plugin {
    pub(crate) code: PluginCode,
    pub(crate) pool: InstancePool,
    pub(crate) engine: Arc<PluginEngine>,
    /// One for each interface that it exports.
    pub(crate) breakers: [Option<Breaker>; 5],
    pub(crate) _alive: Alive,
}

/// How calls to an interface of a plugin fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The interface.
    pub interface: Interface,
    /// What happens to calls.
    pub breaker: BreakerState,
    /// How many have failed in a row.
    pub failures: u64,
    /// How the last one failed that did, for the operator: it may quote what the guest wrote.
    pub last_failure: Option<String>,
}

/// What it takes to start an instance.
pub(crate) struct PluginCode {
    pub(crate) settings: PluginSettings,
    pub(crate) sha256: String,
    pub(crate) size: usize,
    pub(crate) imports: Vec<String>,
    pub(crate) pre: InstancePre<Host>,
    pub(crate) exported: ExportedIndices,
    pub(crate) measures: Arc<PluginMeasures>,
}

/// The exports of a component, found once when it is loaded.
pub(crate) struct ExportedIndices {
    pub(crate) before_append: Option<exports::before_append::GuestIndices>,
    pub(crate) after_append: Option<exports::after_append::GuestIndices>,
    pub(crate) before_get: Option<exports::before_get::GuestIndices>,
    pub(crate) after_get: Option<exports::after_get::GuestIndices>,
    pub(crate) summarizer: Option<exports::summarizer::GuestIndices>,
}

impl Plugin {
    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.code.settings.name
    }

    /// How it is run.
    pub fn settings(&self) -> &PluginSettings {
        &self.code.settings
    }

    /// The sha256 of its file, in hex.
    pub fn sha256(&self) -> &str {
        &self.code.sha256
    }

    /// The size of its file, in bytes.
    pub fn size(&self) -> usize {
        self.code.size
    }

    /// The linear memory of the largest instance that is idle, in bytes.
    pub fn largest_instance(&self) -> usize {
        self.pool.largest()
    }

    /// The names of what it imports.
    pub fn imports(&self) -> &[String] {
        &self.code.imports
    }

    /// The interfaces that it exports.
    pub fn interfaces(&self) -> Vec<Interface> {
        Interface::ALL.into_iter().filter(|it| self.exports(*it)).collect()
    }

    /// How calls to its interfaces fare.
    pub fn health(&self) -> Vec<Health> {
        let breakers = Interface::ALL.into_iter().zip(&self.breakers);
        let health = breakers.filter_map(|(interface, breaker)| {
            let breaker = breaker.as_ref()?;
            let (failures, last_failure) = breaker.failures();
            Some(Health { interface, breaker: breaker.state(), failures, last_failure })
        });
        health.collect()
    }

    /// Makes it the one whose state is shown.
    pub(crate) fn begin(&self) {
        for breaker in self.breakers.iter().flatten() {
            breaker.begin();
        }
    }

    /// Whether it exports an interface.
    pub fn exports(&self, interface: Interface) -> bool {
        self.code.exported.has(interface)
    }
}

impl ExportedIndices {
    pub(crate) fn find(pre: &InstancePre<Host>) -> Self {
        Self {
            before_append: exports::before_append::GuestIndices::new(pre).ok(),
            after_append: exports::after_append::GuestIndices::new(pre).ok(),
            before_get: exports::before_get::GuestIndices::new(pre).ok(),
            after_get: exports::after_get::GuestIndices::new(pre).ok(),
            summarizer: exports::summarizer::GuestIndices::new(pre).ok(),
        }
    }

    pub(crate) fn has(&self, interface: Interface) -> bool {
        match interface {
            Interface::BeforeAppend => self.before_append.is_some(),
            Interface::AfterAppend => self.after_append.is_some(),
            Interface::BeforeGet => self.before_get.is_some(),
            Interface::AfterGet => self.after_get.is_some(),
            Interface::Summarizer => self.summarizer.is_some(),
        }
    }
}

impl PluginCode {
    /// Starts an instance. This is the only place where a store is made, so there is none without
    /// limits and a deadline (P6).
    pub(crate) async fn start(
        &self,
        deadline: std::time::Instant,
    ) -> wasmtime::Result<PluginInstance> {
        let PluginSettings { name, limits, max_event_size, log_guest_output, .. } = &self.settings;
        let output = Output::new(name.clone(), *log_guest_output);
        let mut host = Host::new(name.clone(), limits.memory, *max_event_size, output);
        host.deadline = deadline;
        host.grants = self.settings.grants.clone();
        let mut store = Store::new(self.pre.engine(), host);
        store.limiter(|host| &mut host.meter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            if std::time::Instant::now() >= context.data().deadline {
                return Err(LimitError::Time.into());
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        let instance: Instance = self.pre.instantiate_async(&mut store).await?;
        PluginInstance::new(store, &instance, &self.exported, self.measures.held())
    }
}

impl fmt::Debug for PluginCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginCode").field("settings", &self.settings).finish_non_exhaustive()
    }
}
