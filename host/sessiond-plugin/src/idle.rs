//! Instances that wait for the next call of their app.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pool;

/// The idle instances of a plugin. An app gets the one that it used last, so that a pool which was
/// larger than it need be grows smaller by itself: what is too much is never used again (P22).
pub(crate) struct IdleList<T = pool::Waiting> {
    plugin: String,
    idle_after: Duration,
    waiting: Mutex<Waiting<T>>,
}

struct Waiting<T> {
    /// Longest idle first.
    list: VecDeque<Idle<T>>,
    /// Nothing is kept any more.
    closed: bool,
}

struct Idle<T> {
    app: String,
    since: Instant,
    instance: T,
}

impl<T> IdleList<T> {
    /// A list of instances that are kept for some time.
    pub(crate) fn new(plugin: &str, idle_after: Duration) -> Self {
        let waiting = Mutex::new(Waiting { list: VecDeque::new(), closed: false });
        Self { plugin: plugin.to_owned(), idle_after, waiting }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().list.len()
    }

    /// Since when the one that was idle for the longest is so.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock().list.front().map(|idle| idle.since)
    }

    /// The largest of a measure of theirs; 0 if there are none.
    pub(crate) fn largest(&self, measure: impl Fn(&T) -> usize) -> usize {
        self.lock().list.iter().map(|idle| measure(&idle.instance)).max().unwrap_or_default()
    }

    /// Takes the instance that an app used last.
    pub(crate) fn take(&self, app: &str) -> Option<T> {
        let mut waiting = self.lock();
        let at = waiting.list.iter().rposition(|idle| idle.app == app)?;
        waiting.list.remove(at).map(|idle| idle.instance)
    }

    /// Keeps an instance for the next call of an app, unless nothing is kept any more.
    pub(crate) fn keep(&self, app: &str, instance: T, since: Instant) {
        let idle = Idle { app: app.to_owned(), since, instance };
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.list.push_back(idle);
        }
    }

    /// Ends the one that was idle for the longest: its place is wanted.
    pub(crate) fn end_oldest(&self) {
        let ended = self.lock().list.pop_front();
        self.count("room", ended.into_iter().count());
    }

    /// Ends all that were idle for too long.
    pub(crate) fn tidy(&self, now: Instant) {
        let mut waiting = self.lock();
        let over = |idle: &&Idle<T>| now.duration_since(idle.since) >= self.idle_after;
        let over = waiting.list.iter().take_while(over).count();
        let ended: Vec<_> = waiting.list.drain(..over).collect();
        drop(waiting);
        self.count("idle", ended.len());
    }

    /// Ends all, and keeps no more.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let ended = std::mem::take(&mut waiting.list);
        drop(waiting);
        self.count("replaced", ended.len());
    }

    /// Counts instances that ended, by the reason.
    pub(crate) fn count(&self, reason: &'static str, ended: usize) {
        let plugin = self.plugin.clone();
        metrics::counter!("sessiond_plugin_instances_ended_total", "plugin" => plugin, "reason" => reason)
            .increment(ended as u64);
    }
}

impl<T> std::fmt::Debug for IdleList<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdleList").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// P22: after a spike the list shrinks to what is used, and then to nothing.
    #[test]
    fn a_spike_passes() {
        let (list, begin) = (IdleList::new("p", MINUTE), Instant::now());
        for instance in 0..8 {
            list.keep("shop", instance, begin);
        }
        for quarter in 1..4 {
            let now = begin + MINUTE / 4 * quarter;
            let (one, other) = (list.take("shop").unwrap(), list.take("shop").unwrap());
            list.keep("shop", other, now);
            list.keep("shop", one, now);
            list.tidy(now);
            assert_eq!(list.len(), 8, "they are kept for their time");
        }
        list.tidy(begin + MINUTE);
        assert_eq!(list.len(), 2, "the two that are used stay");
        list.tidy(begin + MINUTE * 2);
        assert_eq!(list.len(), 0);
    }

    /// P27: what served one app never serves another.
    #[test]
    fn an_app_gets_its_own() {
        let list = IdleList::new("p", MINUTE);
        let now = Instant::now();
        for (app, instance) in [("a", 1), ("b", 2), ("a", 3)] {
            list.keep(app, instance, now);
        }
        assert_eq!((list.take("a"), list.take("a"), list.take("a")), (Some(3), Some(1), None));
        list.close();
        list.keep("b", 4, now);
        assert_eq!(list.take("b"), None);
    }
}
