//! What became of the jobs of this daemon, for metrics and for the operator.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::Depth;

/// What the operator sees of the queue and its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryStatus {
    /// The kind of queue: `local` or `redis`.
    pub queue: &'static str,
    /// What is in it. None: it cannot be asked at present.
    pub depth: Option<Depth>,
    /// How many jobs this daemon is doing.
    pub running: u64,
    /// How long the last job of this daemon has waited.
    pub last_wait: Option<Duration>,
    /// The longest that any has waited, since the daemon began.
    pub longest_wait: Option<Duration>,
    /// How many jobs of this daemon ended how.
    pub outcomes: BTreeMap<&'static str, u64>,
}

/// Sets the gauges of a queue.
pub(super) fn set_gauges(queue: &'static str, depth: &Depth) {
    let oldest = depth.oldest.unwrap_or_default().as_secs_f64();
    metrics::gauge!("sessiond_summary_jobs_waiting", "queue" => queue)
        .set(u32::try_from(depth.waiting).unwrap_or(u32::MAX));
    metrics::gauge!("sessiond_summary_oldest_job_seconds", "queue" => queue).set(oldest);
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    running: u64,
    last_wait: Option<Duration>,
    longest_wait: Option<Duration>,
    outcomes: BTreeMap<&'static str, u64>,
}

/// A job that runs. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Run<'t>(&'t Tally);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self) -> Run<'_> {
        self.lock().running += 1;
        metrics::gauge!("sessiond_summary_jobs_running").increment(1.0);
        Run(self)
    }

    pub(super) fn waited(&self, time: Duration) {
        metrics::histogram!("sessiond_summary_job_wait_seconds").record(time);
        let mut counts = self.lock();
        counts.last_wait = Some(time);
        counts.longest_wait = counts.longest_wait.max(Some(time));
    }

    pub(super) fn ended(&self, outcome: &'static str) {
        metrics::counter!("sessiond_summary_jobs_total", "outcome" => outcome).increment(1);
        *self.lock().outcomes.entry(outcome).or_default() += 1;
    }

    pub(super) fn status(&self, queue: &'static str, depth: Option<Depth>) -> SummaryStatus {
        let counts = self.lock();
        SummaryStatus {
            queue,
            depth,
            running: counts.running,
            last_wait: counts.last_wait,
            longest_wait: counts.longest_wait,
            outcomes: counts.outcomes.clone(),
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        metrics::gauge!("sessiond_summary_jobs_running").decrement(1.0);
    }
}
