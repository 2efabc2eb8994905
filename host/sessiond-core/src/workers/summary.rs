//! Summary jobs: a bounded queue and a few workers.
//!
//! A job is a key and a generation. It reads the session fresh, asks the summarizer, and writes if
//! nothing newer is there; it never deletes an event. One job at a time runs for a session and
//! filter key in this daemon; between daemons the store's compare-and-set decides.

mod job;

pub(crate) use job::text_and_topics;
pub use job::{JobOutcome, SummaryWork};

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::error::Error;
use crate::hook::CallContext;
use crate::key::SessionKey;

/// How much work there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many jobs run at once.
    pub workers: usize,
    /// How many more may wait.
    pub queue_size: usize,
    /// How long a job may take. What takes longer writes nothing.
    pub job_timeout: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { workers: 3, queue_size: 100, job_timeout: Duration::from_secs(60) }
    }
}

/// A job to do.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// The session.
    pub key: SessionKey,
    /// Which of that name it is.
    pub generation: u64,
    /// The branch to sum up; empty for the whole session.
    pub filter_key: String,
    /// Do not ask the summarizer whether it is worth it.
    pub forced: bool,
    /// The request that it is for.
    pub call: CallContext,
}

type JobKey = (SessionKey, String);

/// The workers and their queue.
#[derive(Debug)]
pub struct SummaryPool {
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    claims: Arc<Claims>,
    limits: PoolLimits,
    workers: TaskTracker,
    abandon: CancellationToken,
}

#[derive(Debug)]
struct Queued {
    request: JobRequest,
    claim: Claim,
    reply: Option<oneshot::Sender<Result<JobOutcome, Error>>>,
}

impl SummaryPool {
    /// Starts the workers. Must be called inside a tokio runtime.
    pub fn start(work: SummaryWork, limits: PoolLimits) -> Self {
        let (sender, receiver) = mpsc::channel(limits.queue_size);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        let (work, abandon, workers) =
            (Arc::new(work), CancellationToken::new(), TaskTracker::new());
        for _ in 0..limits.workers {
            let worker = run_worker(receiver.clone(), work.clone(), limits.job_timeout);
            let abandon = abandon.clone();
            workers.spawn(async move {
                tokio::select! {
                    () = worker => {}
                    () = abandon.cancelled() => {}
                }
            });
        }
        workers.close();
        let queue = Mutex::new(Some(sender));
        Self { queue, claims: Arc::default(), limits, workers, abandon }
    }

    /// Queues a job that nobody waits for. If there is one for the session already, or no room, it
    /// is left: the next append offers another.
    pub fn offer(&self, request: JobRequest) {
        match self.queue(request) {
            Ok(()) | Err(Error::Stopping) => {}
            Err(_) => count("not_queued"),
        }
    }

    /// Queues a job. If there is one for the session already, that one serves.
    ///
    /// # Errors
    /// [`Error::SummaryQueueFull`] and [`Error::Stopping`].
    pub fn queue(&self, request: JobRequest) -> Result<(), Error> {
        match self.claims.take(&request) {
            Some(claim) => self.send(Queued { request, claim, reply: None }),
            None => Ok(()),
        }
    }

    /// Queues a job, after the one for the session that may be there, and waits for its outcome.
    ///
    /// # Errors
    /// [`Error`], with [`Error::SummaryQueueFull`] and [`Error::SummaryTimeOut`] among others.
    pub async fn run(&self, request: JobRequest) -> Result<JobOutcome, Error> {
        let claim = tokio::time::timeout(self.limits.job_timeout, self.claims.wait(&request));
        let claim = claim.await.map_err(|_| Error::SummaryTimeOut)?;
        let (reply, outcome) = oneshot::channel();
        self.send(Queued { request, claim, reply: Some(reply) })?;
        outcome.await.unwrap_or(Err(Error::Stopping))
    }

    fn send(&self, queued: Queued) -> Result<(), Error> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.as_ref().ok_or(Error::Stopping)?;
        sender.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::SummaryQueueFull,
            mpsc::error::TrySendError::Closed(_) => Error::Stopping,
        })
    }

    /// Takes no more jobs, and waits for those that are queued. After the grace period the rest is
    /// abandoned: summaries are made again from the events. Returns how many jobs that were.
    pub async fn drain(&self, grace: Duration) -> usize {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        if tokio::time::timeout(grace, self.workers.wait()).await.is_ok() {
            return 0;
        }
        let left = self.claims.lock().len();
        self.abandon.cancel();
        self.workers.wait().await;
        left
    }
}

async fn run_worker(
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Queued>>>,
    work: Arc<SummaryWork>,
    job_timeout: Duration,
) {
    loop {
        let next = receiver.lock().await.recv().await;
        let Some(Queued { request, claim, reply }) = next else { return };
        // A trace of its own, since the request may have ended long ago.
        let span = tracing::info_span!("summary job", request_id = &*request.call.request_id);
        let outcome = work.run(&request, job_timeout).instrument(span).await;
        report(&request, &outcome);
        drop(claim);
        if let Some(reply) = reply {
            // The client may have gone.
            let _ = reply.send(outcome);
        }
    }
}

fn report(request: &JobRequest, outcome: &Result<JobOutcome, Error>) {
    count(outcome.as_ref().map_or("failed", JobOutcome::name));
    let (session, request_id) = (&request.key, &request.call.request_id);
    match outcome {
        Ok(outcome) => tracing::debug!(?session, %request_id, ?outcome, "summary job"),
        Err(error) => tracing::warn!(?session, %request_id, %error, "summary job failed"),
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("sessiond_summary_jobs_total", "outcome" => outcome).increment(1);
}

/// Which sessions have a job, queued or running.
#[derive(Debug, Default)]
struct Claims {
    held: Mutex<HashSet<JobKey>>,
    released: Notify,
}

/// The right to have a job for a session. It ends when this is dropped.
#[derive(Debug)]
struct Claim {
    claims: Arc<Claims>,
    key: JobKey,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashSet<JobKey>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, request: &JobRequest) -> Option<Claim> {
        let key = (request.key.clone(), request.filter_key.clone());
        let fresh = self.lock().insert(key.clone());
        fresh.then(|| Claim { claims: self.clone(), key })
    }

    async fn wait(self: &Arc<Self>, request: &JobRequest) -> Claim {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            // Listen before looking, or a release in between would go unheard.
            released.as_mut().enable();
            if let Some(claim) = self.take(request) {
                return claim;
            }
            released.await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.key);
        self.claims.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
