//! The queue of one daemon, in its memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::queue::{Depth, JobQueue, JobRequest, Put, Room, Taken};
use crate::key::SessionKey;
use crate::store::StoreError;

type JobKey = (SessionKey, String);

/// Jobs of this daemon. The jobs of a session and filter key are done one after the other, and hold
/// up nobody else's.
#[derive(Debug)]
pub struct LocalQueue {
    size: usize,
    jobs: Mutex<Jobs>,
    closed: AtomicBool,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Waiting>,
    running: HashMap<String, JobKey>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Waiting {
    job: JobRequest,
    since: Instant,
    /// Not to be done before.
    from: Instant,
}

impl LocalQueue {
    /// An empty queue for so many jobs.
    pub fn new(size: usize) -> Self {
        let (jobs, closed, changed) = Default::default();
        Self { size, jobs, closed, changed }
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Jobs {
    fn has(&self, job: &JobRequest) -> bool {
        let same = |it: &Waiting| it.job.key == job.key && it.job.filter_key == job.filter_key;
        self.waiting.iter().any(same)
    }

    /// The first job that may be done, or when one may be.
    fn next(&mut self, now: Instant) -> Result<Taken, Option<Instant>> {
        let running: Vec<&JobKey> = self.running.values().collect();
        let free = |it: &Waiting| {
            !running.iter().any(|(key, filter)| *key == it.job.key && *filter == it.job.filter_key)
        };
        let at = self.waiting.iter().position(|it| it.from <= now && free(it));
        let Some(waiting) = at.and_then(|at| self.waiting.remove(at)) else {
            return Err(self.waiting.iter().map(|it| it.from).filter(|from| *from > now).min());
        };
        self.last_ticket += 1;
        let ticket = self.last_ticket.to_string();
        self.running.insert(ticket.clone(), waiting.job.subject());
        let waited = now.saturating_duration_since(waiting.since);
        Ok(Taken { job: waiting.job, ticket, waited })
    }
}

#[async_trait]
impl JobQueue for LocalQueue {
    fn kind(&self) -> &'static str {
        "local"
    }

    async fn put(&self, job: &JobRequest, room: Room) -> Result<Put, StoreError> {
        if self.is_closed() && room == Room::Bounded {
            return Ok(Put::Closed);
        }
        {
            let mut jobs = self.lock();
            if jobs.has(job) {
                return Ok(Put::Waiting);
            }
            if room == Room::Bounded && jobs.waiting.len() >= self.size {
                return Ok(Put::Full);
            }
            let now = Instant::now();
            jobs.waiting.push_back(Waiting { job: job.clone(), since: now, from: now });
        }
        self.changed.notify_waiters();
        Ok(Put::Queued)
    }

    async fn take(&self) -> Result<Option<Taken>, StoreError> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listen before looking, or a change in between would go unheard.
            changed.as_mut().enable();
            let next = {
                let mut jobs = self.lock();
                let next = jobs.next(Instant::now());
                // What waits for another attempt is given up: its session is summed up again later.
                if next.is_err() && self.is_closed() && jobs.running.is_empty() {
                    return Ok(None);
                }
                next
            };
            match next {
                Ok(taken) => return Ok(Some(taken)),
                Err(Some(at)) if !self.is_closed() => tokio::select! {
                    () = sleep_until(at) => {}
                    () = changed => {}
                },
                Err(_) => changed.await,
            }
        }
    }

    async fn keep(&self, _: &str) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn done(&self, ticket: &str) -> Result<(), StoreError> {
        self.lock().running.remove(ticket);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn again(
        &self,
        ticket: &str,
        job: &JobRequest,
        after: Duration,
    ) -> Result<(), StoreError> {
        {
            let mut jobs = self.lock();
            jobs.running.remove(ticket);
            if !jobs.has(job) {
                let since = Instant::now();
                jobs.waiting.push_back(Waiting { job: job.clone(), since, from: since + after });
            }
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        let (jobs, now) = (self.lock(), Instant::now());
        let ready = jobs.waiting.iter().filter(|it| it.from <= now).map(|it| it.since).min();
        Ok(Depth {
            waiting: jobs.waiting.len() as u64,
            running: jobs.running.len() as u64,
            oldest: ready.map(|since| now.saturating_duration_since(since)),
        })
    }

    fn is_full(&self) -> bool {
        self.lock().waiting.len() >= self.size
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    async fn leave(&self) {}
}
