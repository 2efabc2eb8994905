//! Async persistence: appends are acknowledged once they are queued, and written by lanes.
//!
//! A session always has the same lane, so its appends are written in the order in which they came. A
//! lane takes all that has gathered and writes it at once, one step for each session. What the store
//! cannot do at present is tried again; what it refuses goes to the dead letters.

mod dead_letter;
pub mod journal;
mod known;
mod lane;
mod record;
mod worker;

pub use dead_letter::DeadLetter;

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher24;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::dead_letter::DeadLetters;
use self::journal::{Journal, JournalError};
use self::known::KnownSessions;
use self::lane::{Lane, Queued};
use self::record::Record;
use self::worker::Worker;
use crate::error::Error;
use crate::hook::CallContext;
use crate::key::SessionKey;
use crate::service::SessionService;
use crate::store::{Condition, NewEntry};

/// How much may be queued, and how long anybody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimits {
    /// How many lanes there are.
    pub lanes: usize,
    /// How many events a lane holds in memory. A journal has its own limit instead.
    pub queue_size: usize,
    /// How long an append waits for room.
    pub queue_wait: Duration,
    /// How long a read, or another write, waits for what is queued for its session.
    pub read_wait: Duration,
    /// How many refused appends are kept to be looked at.
    pub dead_letters: usize,
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self {
            lanes: 10,
            queue_size: 100,
            queue_wait: Duration::from_secs(1),
            read_wait: Duration::from_secs(5),
            dead_letters: 100,
        }
    }
}

/// The lanes and their workers.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Arc<Lane>>,
    journal: Option<Arc<dyn Journal>>,
    known: Arc<KnownSessions>,
    dead: Arc<DeadLetters>,
    limits: LaneLimits,
    workers: TaskTracker,
    abandon: CancellationToken,
}

/// How a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneReport {
    /// Appends that are not written yet.
    pub depth: u64,
    /// How long the oldest of them has been waiting.
    pub oldest: Duration,
    /// Appends that were written, or found to be written already.
    pub written: u64,
    /// Appends that the store refused.
    pub refused: u64,
    /// Attempts that the store could not serve.
    pub retried: u64,
}

/// What was left when the lanes were ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Appends that were acknowledged and are not known to be written.
    pub appends: u64,
    /// The sessions that they are of.
    pub sessions: usize,
    /// Whether they are in a journal, from which the next start writes them.
    pub journaled: bool,
}

/// Which lane a session has, and how it is known there. The same in every run.
pub fn session_hash(key: &SessionKey) -> u64 {
    let mut hasher = SipHasher24::new();
    for part in [key.app(), key.user(), key.session()] {
        part.hash(&mut hasher);
    }
    hasher.finish()
}

impl Lanes {
    /// Starts the lanes. `service` writes, and runs what follows a write; it has no lanes itself.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn start(
        service: SessionService,
        journal: Option<Arc<dyn Journal>>,
        limits: LaneLimits,
    ) -> Result<Self, JournalError> {
        let (known, abandon, workers) =
            (Arc::new(KnownSessions::default()), CancellationToken::new(), TaskTracker::new());
        let dead = Arc::new(DeadLetters::new(limits.dead_letters));
        let service = Arc::new(service);
        let mut lanes = Vec::with_capacity(limits.lanes.max(1));
        for number in 0..limits.lanes.max(1) {
            let lane = Arc::new(Lane::new(number, limits.queue_size));
            let left = match &journal {
                Some(journal) => lane.take_over(journal.left(number).await?),
                None => 0,
            };
            let worker = Worker {
                service: service.clone(),
                lane: lane.clone(),
                journal: journal.clone(),
                known: known.clone(),
                dead: dead.clone(),
                replayed: left,
            };
            let abandon = abandon.clone();
            workers.spawn(async move {
                tokio::select! {
                    () = worker.run() => {}
                    () = abandon.cancelled() => {}
                }
            });
            lanes.push(lane);
        }
        workers.close();
        Ok(Self { lanes, journal, known, dead, limits, workers, abandon })
    }

    fn lane(&self, hash: u64) -> Result<&Arc<Lane>, Error> {
        let number = usize::try_from(hash % self.lanes.len().max(1) as u64).unwrap_or(0);
        self.lanes.get(number).ok_or(Error::Stopping)
    }

    /// The sessions that this daemon has seen lately.
    pub(crate) fn known(&self) -> &KnownSessions {
        &self.known
    }

    /// Queues an append. Once this has returned it is acknowledged.
    pub(crate) async fn queue(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        entries: Vec<NewEntry>,
    ) -> Result<(), Error> {
        let hash = session_hash(key);
        let lane = self.lane(hash)?;
        if lane.is_closed() {
            return Err(Error::Stopping);
        }
        match &self.journal {
            None => {
                let room = lane.room(entries.len(), self.limits.queue_wait).await?;
                let (call, key) = (call.clone(), key.clone());
                lane.push(hash, Queued::new(call, key, condition, entries, Some(room)))
            }
            Some(journal) => {
                let record = Record::of(call, key, condition, &entries).to_bytes();
                let (journal, lane) = (journal.clone(), lane.clone());
                // In a task of its own: what is in the journal must come to the lane, even if nobody
                // waits for it any more.
                let kept = self.workers.spawn(async move {
                    let position = journal.append(lane.number(), hash, record).await?;
                    lane.note(hash, position);
                    Ok::<(), JournalError>(())
                });
                let kept = timeout(self.limits.queue_wait, kept).await;
                kept.map_err(|_| Error::QueueFull)?.map_err(|_| Error::Stopping)??;
                Ok(())
            }
        }
    }

    /// Waits until what is queued for a session so far is written.
    pub(crate) async fn settled(&self, key: &SessionKey) -> Result<(), Error> {
        let hash = session_hash(key);
        let lane = self.lane(hash)?;
        let Some(position) = lane.last_of(hash) else { return Ok(()) };
        let settled = timeout(self.limits.read_wait, lane.done(position)).await;
        settled.map_err(|_| Error::WritesPending)
    }

    /// How each lane is doing.
    pub fn reports(&self) -> Vec<LaneReport> {
        self.lanes.iter().map(|lane| lane.report()).collect()
    }

    /// Appends that were refused: how many there were, and the latest of them.
    pub fn dead_letters(&self) -> (u64, Vec<Arc<DeadLetter>>) {
        self.dead.list()
    }

    /// Takes no more appends, and writes those that are queued. After the grace period the rest is
    /// abandoned. Returns what that was.
    pub async fn drain(&self, grace: Duration) -> Left {
        for lane in &self.lanes {
            lane.close();
        }
        let journaled = self.journal.is_some();
        let in_time = timeout(grace, self.workers.wait()).await.is_ok();
        let mut left = Left { journaled, ..Left::default() };
        if !in_time {
            self.abandon.cancel();
            self.workers.wait().await;
            for lane in &self.lanes {
                let (appends, sessions) = lane.left();
                left.appends += appends;
                left.sessions += sessions;
            }
        }
        if let Some(journal) = &self.journal {
            journal.close().await;
        }
        left
    }
}

#[cfg(test)]
mod tests;
