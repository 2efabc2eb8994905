//! One lane: what is queued in it, and how far it has come.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::LaneReport;
use crate::error::Error;
use crate::hook::CallContext;
use crate::key::SessionKey;
use crate::store::{Condition, JournalMark, NewEntry};
use crate::workers::together::Ready;

/// An append in a lane.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) position: u64,
    pub(super) call: CallContext,
    pub(super) key: SessionKey,
    pub(super) ready: Ready,
    since: Instant,
    /// Its place in the lane, given back when it is dropped.
    _room: Option<OwnedSemaphorePermit>,
}

impl Queued {
    pub(super) fn new(
        call: CallContext,
        key: SessionKey,
        condition: Condition,
        entries: Vec<NewEntry>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let ready = Ready { condition, entries, mark: None };
        Self { position: 0, call, key, ready, since: Instant::now(), _room: room }
    }

    /// The same, from a journal, where it has been for so long.
    pub(super) fn at(self, mark: JournalMark, waited: Duration) -> Self {
        let since = self.since.checked_sub(waited).unwrap_or(self.since);
        let ready = Ready { mark: Some(mark), ..self.ready };
        Self { position: mark.position, ready, since, ..self }
    }
}

impl AsRef<Ready> for Queued {
    fn as_ref(&self) -> &Ready {
        &self.ready
    }
}

/// A lane. Positions rise from 1; all up to `done` are dealt with.
#[derive(Debug)]
pub(super) struct Lane {
    number: usize,
    name: String,
    size: usize,
    room: Arc<Semaphore>,
    state: Mutex<State>,
    /// Something was queued, or the lane was closed.
    filled: Notify,
    /// `done` has risen.
    advanced: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Queued>,
    /// The position of the newest append.
    newest: u64,
    done: u64,
    /// For each session with appends that are not done, the position of its newest.
    sessions: HashMap<u64, u64>,
    /// How many came, and how many are done. With a journal one may be done before it is counted.
    came: u64,
    went: u64,
    oldest: Option<Instant>,
    written: u64,
    refused: u64,
    retried: u64,
    closed: bool,
}

impl Lane {
    pub(super) fn new(number: usize, size: usize) -> Self {
        let room = Arc::new(Semaphore::new(size));
        let (state, filled, advanced) = Default::default();
        Self { number, name: number.to_string(), size, room, state, filled, advanced }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for so many events. An append that is larger than the lane takes all of it.
    pub(super) async fn room(
        &self,
        events: usize,
        wait: Duration,
    ) -> Result<OwnedSemaphorePermit, Error> {
        let wanted = u32::try_from(events.min(self.size)).unwrap_or(u32::MAX);
        let room = timeout(wait, self.room.clone().acquire_many_owned(wanted)).await;
        room.map_err(|_| Error::QueueFull)?.map_err(|_| Error::Stopping)
    }

    /// Queues an append in memory.
    pub(super) fn push(&self, session: u64, queued: Queued) -> Result<(), Error> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Stopping);
        }
        let position = state.newest + 1;
        state.came(session, position);
        state.queue.push_back(Queued { position, ..queued });
        self.show(&state);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes note of an append that the journal has.
    pub(super) fn note(&self, session: u64, position: u64) {
        let mut state = self.lock();
        state.came(session, position);
        self.show(&state);
        drop(state);
        self.filled.notify_one();
    }

    /// Takes note of what an earlier run has left in the journal. Returns the last position.
    pub(super) fn take_over(&self, left: Vec<(u64, u64)>) -> u64 {
        let mut state = self.lock();
        for (session, position) in left {
            state.came(session, position);
        }
        self.show(&state);
        state.newest
    }

    /// Waits until there is something after a position. None: there will be nothing any more.
    pub(super) async fn wait_after(&self, position: u64) -> Option<()> {
        loop {
            let filled = self.filled.notified();
            {
                let state = self.lock();
                if state.newest > position {
                    return Some(());
                }
                if state.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// The position of the newest append.
    pub(super) fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// Takes what has gathered in memory, up to so many appends.
    pub(super) fn take(&self, most: usize) -> Vec<Queued> {
        let mut state = self.lock();
        let count = state.queue.len().min(most);
        state.queue.drain(..count).collect()
    }

    /// These are what the lane works on now.
    pub(super) fn begin(&self, batch: &[Queued]) {
        let mut state = self.lock();
        state.oldest = batch.iter().map(|queued| queued.since).min();
        self.show(&state);
    }

    /// All up to this position is dealt with; so many appends that was.
    pub(super) fn finish(&self, position: u64, count: u64) {
        let mut state = self.lock();
        state.done = state.done.max(position);
        state.went += count;
        let done = state.done;
        state.sessions.retain(|_, newest| *newest > done);
        state.oldest = (state.newest > done).then(Instant::now);
        self.show(&state);
        drop(state);
        self.advanced.notify_waiters();
    }

    pub(super) fn count(&self, outcome: &'static str) {
        {
            let mut state = self.lock();
            match outcome {
                "refused" => state.refused += 1,
                "retried" => state.retried += 1,
                _ => state.written += 1,
            }
            self.show(&state);
        }
        let labels = [("lane", self.name.clone()), ("outcome", outcome.to_owned())];
        metrics::counter!("sessiond_lane_appends_total", &labels).increment(1);
    }

    /// The position of the newest append of a session, if it is not done.
    pub(super) fn last_of(&self, session: u64) -> Option<u64> {
        self.lock().sessions.get(&session).copied()
    }

    /// Waits until all up to this position is dealt with.
    pub(super) async fn done(&self, position: u64) {
        loop {
            let advanced = self.advanced.notified();
            tokio::pin!(advanced);
            // Listen before looking, or an advance in between would go unheard.
            advanced.as_mut().enable();
            if self.lock().done >= position {
                return;
            }
            advanced.await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.filled.notify_one();
    }

    /// Appends that are not done, and their sessions.
    pub(super) fn left(&self) -> (u64, usize) {
        let state = self.lock();
        (state.depth(), state.sessions.len())
    }

    pub(super) fn report(&self) -> LaneReport {
        let state = self.lock();
        LaneReport {
            depth: state.depth(),
            oldest: state.age(),
            written: state.written,
            refused: state.refused,
            retried: state.retried,
        }
    }

    fn show(&self, state: &State) {
        let gauge = |name: &'static str, value: f64| {
            metrics::gauge!(name, "lane" => self.name.clone()).set(value);
        };
        gauge("sessiond_lane_depth", state.depth() as f64);
        gauge("sessiond_lane_oldest_seconds", state.age().as_secs_f64());
    }
}

impl State {
    fn came(&mut self, session: u64, position: u64) {
        self.came += 1;
        self.newest = self.newest.max(position);
        if position > self.done {
            let newest = self.sessions.entry(session).or_default();
            *newest = position.max(*newest);
            self.oldest.get_or_insert_with(Instant::now);
        }
    }

    fn depth(&self) -> u64 {
        self.came.saturating_sub(self.went)
    }

    fn age(&self) -> Duration {
        match self.oldest {
            Some(since) if self.depth() > 0 => since.elapsed(),
            _ => Duration::ZERO,
        }
    }
}
