//! Sessions in which nothing happens: after a while they are summed up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::queue::JobRequest;
use crate::key::SessionKey;

/// The most sessions whose quiet is waited for. Others are summed up when a threshold is passed.
const MOST: usize = 100_000;

type JobKey = (SessionKey, String);

/// Clocks, one for each session and filter key that was appended to through this daemon.
#[derive(Debug)]
pub(super) struct Quiet {
    after: Duration,
    clocks: Mutex<Clocks>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Clocks {
    by_time: BTreeMap<(Instant, u64), JobRequest>,
    by_key: HashMap<JobKey, (Instant, u64)>,
    last: u64,
}

impl Quiet {
    pub(super) fn new(after: Duration) -> Self {
        let (clocks, changed) = Default::default();
        Self { after, clocks, changed }
    }

    fn lock(&self) -> MutexGuard<'_, Clocks> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the wait anew. The job is for when it is over.
    pub(super) fn begin(&self, job: JobRequest) {
        let mut clocks = self.lock();
        let subject = job.subject();
        if let Some(old) = clocks.by_key.remove(&subject) {
            clocks.by_time.remove(&old);
        }
        if clocks.by_time.len() >= MOST {
            metrics::counter!("sessiond_summary_quiet_not_watched_total").increment(1);
            return;
        }
        clocks.last += 1;
        let at = (Instant::now() + self.after, clocks.last);
        clocks.by_time.insert(at, job);
        clocks.by_key.insert(subject, at);
        let first = clocks.by_time.len() == 1;
        drop(clocks);
        // All waits are equally long, so a new one is never the next to end but when it is alone.
        if first {
            self.changed.notify_one();
        }
    }

    /// Waits for a session that was quiet for long enough.
    pub(super) async fn next(&self) -> JobRequest {
        loop {
            let (first, now) = {
                let mut clocks = self.lock();
                let (first, now) = (clocks.by_time.keys().next().copied(), Instant::now());
                if let Some(at) = first.filter(|(at, _)| *at <= now)
                    && let Some(job) = clocks.by_time.remove(&at)
                {
                    clocks.by_key.remove(&job.subject());
                    return job;
                }
                (first, now)
            };
            match first {
                Some((at, _)) => sleep_until(at.max(now)).await,
                None => self.changed.notified().await,
            }
        }
    }
}
