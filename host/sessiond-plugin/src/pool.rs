//! The instances of a plugin: kept warm between calls, and never shared between apps.
//!
//! A pool gives speed: a warm call costs a few microseconds, a fresh instance up to a millisecond.
//! What it takes away is a clean memory for every call, which `isolation = "call"` gives back. An
//! instance ends its life after a trap, a time-out or a request that went away; after many calls;
//! when it holds too many handles or much of its memory; when nobody calls it; and when its place is
//! wanted by another app.

use std::sync::Arc;
use std::time::Instant;

use crate::alive::Alive;
use crate::host::MAX_WASI_HANDLES;
use crate::idle::IdleList;
use crate::instance::PluginInstance;
use crate::limits::Limits;
use crate::measures::PluginMeasures;
use crate::places::{Busy, Census, Place, Places};
use crate::plugin::{Interface, Isolation, PluginSettings};

/// An instance retires after this many calls: languages leak a little in each.
const MAX_CALLS: u64 = 10_000;
/// It retires when its guest holds this many handles, which its author forgets to drop.
const MAX_HELD: usize = 10_000;
/// It retires when this many handles were given out, long before their numbers run out.
const MAX_GIVEN: u32 = 1 << 30;

/// The idle instances of a plugin, and the right to have more.
#[derive(Debug)]
pub(crate) struct InstancePool {
    places: Arc<Places>,
    limits: Limits,
    isolation: Isolation,
    idle: Arc<IdleList>,
    measures: Arc<PluginMeasures>,
}

/// An instance that waits for its next call, and is counted as such.
pub(crate) struct Waiting {
    instance: Box<PluginInstance>,
    _counted: Alive,
}

impl InstancePool {
    pub(crate) fn new(
        settings: &PluginSettings,
        census: Arc<Census>,
        measures: Arc<PluginMeasures>,
    ) -> Self {
        let PluginSettings { name, limits, isolation, .. } = settings;
        let idle = Arc::new(IdleList::new(name, limits.idle_after));
        census.watch(&idle);
        let places = Arc::new(Places::new(limits, census));
        Self { places, limits: *limits, isolation: *isolation, idle, measures }
    }

    /// Takes over the places of another pool, so that both together have no more than one.
    pub(crate) fn succeed(&mut self, old: &Self) {
        self.places = old.places.clone();
    }

    /// Ends its idle instances, and keeps no more.
    pub(crate) fn retire(&self) {
        self.idle.close();
    }

    /// The right to run an instance for a call to an interface, if nobody must be waited for.
    pub(crate) fn place_at_once(&self, interface: Interface) -> Option<Place> {
        self.places.place_at_once(interface)
    }

    /// Waits for that right.
    pub(crate) async fn place(&self, interface: Interface) -> Result<Place, Busy> {
        self.places.place(interface, &self.limits).await
    }

    /// Takes an idle instance of the app. Without one, the caller may start another: if the idle
    /// ones take up all places, the longest idle makes room.
    pub(crate) fn take(&self, app: &str) -> Option<Box<PluginInstance>> {
        if let Some(waiting) = self.idle.take(app) {
            return Some(waiting.instance);
        }
        // Running instances hold places; the caller's is one of them.
        if self.idle.len() + self.places.taken() > self.limits.max_instances {
            self.idle.end_oldest();
        }
        self.places.census().make_room();
        None
    }

    /// The memory of the largest idle instance, in bytes.
    pub(crate) fn largest(&self) -> usize {
        self.idle.largest(|waiting| waiting.instance.host().meter.memory())
    }

    /// Takes an instance back after a call, unless it is to retire.
    pub(crate) fn give_back(&self, app: &str, instance: Box<PluginInstance>, now: Instant) {
        match self.retires(&instance) {
            Some(reason) => self.idle.count(reason, 1),
            None => {
                let waiting = Waiting { instance, _counted: self.measures.idle() };
                self.idle.keep(app, waiting, now);
            }
        }
    }

    /// Why an instance is not used again.
    fn retires(&self, instance: &PluginInstance) -> Option<&'static str> {
        let host = instance.host();
        let held = host.rows.held() >= MAX_HELD || host.rows.given() >= MAX_GIVEN;
        if instance.is_poisoned() {
            Some("failed")
        } else if self.isolation == Isolation::Call {
            Some("isolation")
        } else if instance.calls() >= MAX_CALLS {
            Some("calls")
        } else if held || host.leaked >= MAX_WASI_HANDLES / 2 {
            Some("handles")
        } else if host.meter.memory() > self.limits.memory / 4 * 3 {
            // Guests' memory never shrinks: one large event, and it stays large.
            Some("memory")
        } else {
            None
        }
    }
}
