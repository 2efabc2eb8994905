//! The right to run an instance: counted for an interface, for a plugin and for the process.
//!
//! Interfaces are counted apart, so that summaries, which take long, never take the last instance
//! from a hook. Of the places of the process, each plugin has one for its hooks and one for its
//! summarizer that no other plugin gets: however busy one is, the others go on (P24).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::idle::IdleList;
use crate::limits::Limits;
use crate::plugin::Interface;

/// All instances of the process, at work and idle.
#[derive(Debug)]
pub(crate) struct Census {
    limit: usize,
    /// Places beyond those that are kept for each plugin.
    shared: Arc<Semaphore>,
    running: AtomicUsize,
    idle: Mutex<Vec<Weak<IdleList>>>,
}

impl Census {
    /// At most `limit` instances, `reserved` of which are kept for plugins.
    pub(crate) fn new(limit: usize, reserved: usize) -> Self {
        let shared = Arc::new(Semaphore::new(limit.saturating_sub(reserved)));
        Self { limit, shared, running: AtomicUsize::new(0), idle: Mutex::default() }
    }

    /// Counts the idle instances of another plugin too, as long as it is there.
    pub(crate) fn watch(&self, idle: &Arc<IdleList>) {
        let mut watched = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|it| it.strong_count() > 0);
        watched.push(Arc::downgrade(idle));
    }

    fn idle(&self) -> Vec<Arc<IdleList>> {
        let watched = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        watched.iter().filter_map(Weak::upgrade).collect()
    }

    /// Makes room for an instance that is about to start: those that were idle for the longest go.
    /// Who asks holds a place already.
    pub(crate) fn make_room(&self) {
        let idle = self.idle();
        let all = idle.iter().map(|it| it.len()).sum::<usize>();
        let over = (all + self.running.load(Ordering::SeqCst)).saturating_sub(self.limit);
        for _ in 0..over {
            let longest = idle.iter().filter_map(|it| Some((it.oldest()?, it)));
            if let Some((_, longest)) = longest.min_by_key(|(since, _)| *since) {
                longest.end_oldest();
            }
        }
    }

    /// Ends what was idle for too long.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        for idle in self.idle() {
            idle.tidy(now);
        }
    }
}

/// The places of a plugin.
#[derive(Debug)]
pub(crate) struct Places {
    interfaces: [Arc<Semaphore>; 5],
    plugin: Arc<Semaphore>,
    max_instances: usize,
    /// One for hooks and one for the summarizer, which no other plugin gets.
    own: [Arc<Semaphore>; 2],
    census: Arc<Census>,
}

/// The right to run an instance. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    census: Arc<Census>,
    _permits: [OwnedSemaphorePermit; 3],
}

impl Drop for Place {
    fn drop(&mut self) {
        self.census.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// No instance became free in time.
#[derive(Debug, thiserror::Error)]
#[error("busy: {what} stayed in use for the {waited:?} of `limits.queue_wait`")]
pub(crate) struct Busy {
    what: String,
    waited: Duration,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy)]
enum Queue {
    Interface,
    Plugin,
    Process,
}

impl Places {
    pub(crate) fn new(limits: &Limits, census: Arc<Census>) -> Self {
        let many = |count: usize| Arc::new(Semaphore::new(count));
        Self {
            interfaces: Interface::ALL.map(|it| many(limits.of(it).concurrency)),
            plugin: many(limits.max_instances),
            max_instances: limits.max_instances,
            own: [many(1), many(1)],
            census,
        }
    }

    /// All instances of the process.
    pub(crate) fn census(&self) -> &Arc<Census> {
        &self.census
    }

    /// How many places of the plugin are taken.
    pub(crate) fn taken(&self) -> usize {
        self.max_instances.saturating_sub(self.plugin.available_permits())
    }

    /// The right to run an instance for a call to an interface, if nobody must be waited for.
    pub(crate) fn place_at_once(&self, interface: Interface) -> Option<Place> {
        let take = |semaphore: &Arc<Semaphore>| semaphore.clone().try_acquire_owned().ok();
        let (first, second) = (take(interface.of(&self.interfaces))?, take(&self.plugin)?);
        let third = take(self.own(interface)).or_else(|| take(&self.census.shared))?;
        Some(self.taken_with([first, second, third]))
    }

    /// Waits for the right to run an instance for a call to an interface.
    pub(crate) async fn place(&self, interface: Interface, limits: &Limits) -> Result<Place, Busy> {
        let call = limits.of(interface);
        let mut queue = Queue::Interface;
        let wait = async {
            let first = acquire(interface.of(&self.interfaces)).await;
            queue = Queue::Plugin;
            let second = acquire(&self.plugin).await;
            queue = Queue::Process;
            let third = tokio::select! {
                biased;
                permit = acquire(self.own(interface)) => permit,
                permit = acquire(&self.census.shared) => permit,
            };
            Some([first?, second?, third?])
        };
        match tokio::time::timeout(call.queue_wait, wait).await {
            Ok(Some(permits)) => Ok(self.taken_with(permits)),
            // The semaphores are never closed.
            Ok(None) | Err(_) => {
                let what = match queue {
                    Queue::Interface => format!(
                        "all {} calls to {interface} (`limits.concurrency`)",
                        call.concurrency
                    ),
                    Queue::Plugin => format!(
                        "all {} instances of the plugin (`limits.max_instances`)",
                        limits.max_instances
                    ),
                    Queue::Process => format!(
                        "all {} instances of the daemon (`plugin_limits.max_instances`)",
                        self.census.limit
                    ),
                };
                Err(Busy { what, waited: call.queue_wait })
            }
        }
    }

    /// The place that no other plugin gets.
    fn own(&self, interface: Interface) -> &Arc<Semaphore> {
        let [hooks, summarizer] = &self.own;
        if interface == Interface::Summarizer { summarizer } else { hooks }
    }

    fn taken_with(&self, permits: [OwnedSemaphorePermit; 3]) -> Place {
        self.census.running.fetch_add(1, Ordering::SeqCst);
        Place { census: self.census.clone(), _permits: permits }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    semaphore.clone().acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CallLimits;

    fn limits(max_instances: usize) -> Limits {
        let call = CallLimits { queue_wait: Duration::from_millis(1), ..CallLimits::default() };
        Limits { max_instances, calls: [call; 5], ..Limits::default() }
    }

    async fn fills(places: &Places, interface: Interface, limits: &Limits) -> Vec<Place> {
        let mut held = Vec::new();
        while let Ok(place) = places.place(interface, limits).await {
            held.push(place);
        }
        held
    }

    /// P24: however much one plugin runs, another has a place for its hooks and one for summaries.
    #[tokio::test]
    async fn a_plugin_keeps_its_places_from_others() {
        let census = Arc::new(Census::new(6, 4));
        let limits = limits(4);
        let [greedy, modest] = [0, 1].map(|_| Places::new(&limits, census.clone()));
        let held = fills(&greedy, Interface::BeforeAppend, &limits).await;
        assert_eq!(held.len(), 3, "its own place for hooks and the two that are shared");
        let hook = modest.place(Interface::BeforeGet, &limits).await.unwrap();
        let summary = modest.place(Interface::Summarizer, &limits).await.unwrap();
        let busy = modest.place(Interface::BeforeGet, &limits).await.unwrap_err().to_string();
        assert!(busy.contains("all 6 instances of the daemon"), "{busy}");
        drop((hook, summary, held));
        assert_eq!(census.running.load(Ordering::SeqCst), 0);
        assert!(modest.place(Interface::BeforeGet, &limits).await.is_ok(), "P23");
    }

    /// Summaries are counted apart, and leave an instance to the hooks of their plugin.
    #[tokio::test]
    async fn summaries_leave_an_instance_to_hooks() {
        let mut limits = limits(3);
        limits.calls[4].concurrency = 2;
        let places = Places::new(&limits, Arc::new(Census::new(10, 2)));
        let summaries = fills(&places, Interface::Summarizer, &limits).await;
        assert_eq!((summaries.len(), places.taken()), (2, 2));
        let _hook = places.place(Interface::AfterGet, &limits).await.unwrap();
        let busy = places.place(Interface::AfterGet, &limits).await.unwrap_err().to_string();
        assert!(busy.contains("all 3 instances of the plugin"), "{busy}");
        let busy = places.place(Interface::Summarizer, &limits).await.unwrap_err().to_string();
        assert!(busy.contains("all 2 calls to summarizer"), "{busy}");
    }
}
