//! The instances of a plugin: kept warm between calls, and never shared between apps.
//!
//! A pool gives speed: a warm call costs a few microseconds, a fresh instance up to a millisecond.
//! What it takes away is a clean memory for every call, which `isolation = "call"` gives back. An
//! instance ends its life after a trap, a time-out or a request that went away; after many calls;
//! when it holds too many handles or much of its memory; and when its place is wanted by another
//! app.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::alive::Alive;
use crate::instance::PluginInstance;
use crate::limits::Limits;
use crate::measures::PluginMeasures;
use crate::plugin::Isolation;

/// An instance retires after this many calls: languages leak a little in each.
const MAX_CALLS: u64 = 10_000;
/// It retires when its guest holds this many handles, which its author forgets to drop.
const MAX_HELD: usize = 10_000;
/// It retires when this many handles were given out, long before their numbers run out.
const MAX_GIVEN: u32 = 1 << 30;

/// The idle instances of a plugin, and the right to have more.
#[derive(Debug)]
pub(crate) struct InstancePool {
    places: Arc<Semaphore>,
    limits: Limits,
    isolation: Isolation,
    measures: Arc<PluginMeasures>,
    /// Another plugin has taken over: nothing is kept any more.
    retired: AtomicBool,
    /// Longest idle first.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    app: String,
    instance: PluginInstance,
    _alive: Alive,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idle").field("app", &self.app).finish_non_exhaustive()
    }
}

/// No instance became free in time.
#[derive(Debug, thiserror::Error)]
#[error("busy: all {max} instances stayed in use for the {waited:?} of `limits.queue_wait`")]
pub(crate) struct Busy {
    max: usize,
    waited: std::time::Duration,
}

impl InstancePool {
    pub(crate) fn new(limits: Limits, isolation: Isolation, measures: Arc<PluginMeasures>) -> Self {
        let places = Arc::new(Semaphore::new(limits.max_instances));
        let (retired, idle) = (AtomicBool::new(false), Mutex::default());
        Self { places, limits, isolation, measures, retired, idle }
    }

    /// Takes over the places of another pool, so that both together have no more than one.
    pub(crate) fn succeed(&mut self, old: &Self) {
        self.places = old.places.clone();
    }

    /// Ends its idle instances, and keeps no more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }

    /// Waits for the right to run an instance. It ends when the permit is dropped.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, Busy> {
        let Limits { queue_wait, max_instances, .. } = self.limits;
        let permit = tokio::time::timeout(queue_wait, self.places.clone().acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Busy { max: max_instances, waited: queue_wait }),
        }
    }

    /// Takes an idle instance of the app. Without one, the caller may start another: if the idle
    /// ones take up all places, the longest idle makes room.
    pub(crate) fn take(&self, app: &str) -> Option<PluginInstance> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = idle.iter().rposition(|it| it.app == app) {
            return idle.remove(at).map(|it| it.instance);
        }
        // Running instances hold permits; the caller's is one of them.
        let running = self.limits.max_instances.saturating_sub(self.places.available_permits());
        if idle.len() + running > self.limits.max_instances {
            idle.pop_front();
        }
        None
    }

    /// The memory of the largest idle instance, in bytes.
    pub(crate) fn largest(&self) -> usize {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().map(|it| it.instance.host().meter.memory()).max().unwrap_or_default()
    }

    /// Takes an instance back after a call, unless it is to retire.
    pub(crate) fn give_back(&self, app: &str, instance: PluginInstance) {
        if self.isolation == Isolation::Call || self.retires(&instance) {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if self.retired.load(Ordering::SeqCst) {
            return;
        }
        idle.push_back(Idle { app: app.to_owned(), instance, _alive: self.measures.idle() });
    }

    fn retires(&self, instance: &PluginInstance) -> bool {
        let (rows, meter) = (&instance.host().rows, &instance.host().meter);
        instance.is_poisoned()
            || instance.calls() >= MAX_CALLS
            || rows.held() >= MAX_HELD
            || rows.given() >= MAX_GIVEN
            // Guests' memory never shrinks: one large event, and it stays large.
            || meter.memory() > self.limits.memory / 4 * 3
    }
}
