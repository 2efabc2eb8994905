//! Summary jobs: a bounded queue and a few workers.
//!
//! A job is a key and a generation. It reads the session fresh, asks the summarizer, and writes if
//! nothing newer is there; it never deletes an event. One job at a time runs for a session and
//! filter key, among all daemons: whoever runs it has the session's claim, and makes it last as long
//! as the job does. A summary that shows a claim which somebody else has taken over is not stored.

mod found;
mod job;
mod local;
mod prefix;
mod queue;
mod quiet;
mod rules;
mod shown;
mod tally;

pub(crate) use job::text_and_topics;
pub use job::{JobOutcome, SummaryWork};
pub use local::LocalQueue;
pub use queue::{Cause, Depth, JobQueue, JobRequest, Put, Room, Taken};
pub use rules::{OnFull, PoolLimits, SummaryRules};
pub use tally::SummaryStatus;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use self::quiet::Quiet;
use self::tally::Tally;
use crate::error::Error;
use crate::event::StoredEvent;
use crate::hook::chain::ChainError;
use crate::hook::{CallContext, FailureKind, Purpose, RejectionKind};
use crate::key::{MAX_NAME, SessionKey};
use crate::store::claim::{ClaimRequest, Claimed};
use crate::store::{SessionHeader, StoreError};

/// How long a claim lasts if its daemon dies.
const CLAIM: Duration = Duration::from_secs(10);
/// How often a claim is made to last longer.
const RENEWAL: Duration = Duration::from_secs(3);
/// How long to leave a session alone in which another job runs.
const HELD: Duration = Duration::from_secs(1);
/// How often a job is tried in all.
const ATTEMPTS: u32 = 3;
/// How long to wait for the second attempt. For each later one it is four times as long.
const BACKOFF: Duration = Duration::from_secs(1);
/// How long to leave a queue alone that cannot be reached.
const OUTAGE: Duration = Duration::from_secs(1);
/// How often the gauges are set.
const GAUGES: Duration = Duration::from_secs(5);

/// The workers and their queue.
#[derive(Debug)]
pub struct SummaryPool {
    crew: Arc<Crew>,
    tasks: TaskTracker,
    /// No new work.
    stopping: CancellationToken,
    /// No work at all.
    abandon: CancellationToken,
}

/// What all workers share.
#[derive(Debug)]
struct Crew {
    work: SummaryWork,
    queue: Arc<dyn JobQueue>,
    limits: PoolLimits,
    quiet: Option<Quiet>,
    running: Running,
    tally: Tally,
    /// Held by the worker that waits for the next job.
    turn: tokio::sync::Mutex<()>,
    /// For jobs that somebody waits for.
    direct: Semaphore,
    /// For those who wait for that.
    waiting: Semaphore,
}

impl SummaryPool {
    /// Starts the workers. Must be called inside a tokio runtime.
    pub fn start(work: SummaryWork, queue: Arc<dyn JobQueue>, limits: PoolLimits) -> Self {
        let crew = Arc::new(Crew {
            queue,
            limits,
            quiet: work.rules.idle.map(Quiet::new),
            running: Running::default(),
            tally: Tally::default(),
            turn: tokio::sync::Mutex::default(),
            direct: Semaphore::new(limits.workers),
            waiting: Semaphore::new(limits.workers.saturating_add(limits.queue_size)),
            work,
        });
        let (stopping, abandon, tasks) =
            (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        for _ in 0..limits.workers {
            tasks.spawn(crew.clone().serve(abandon.clone()));
        }
        let (watch, stop) = (crew.clone(), stopping.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = watch.look_after() => {}
                () = stop.cancelled() => {}
            }
        });
        tasks.close();
        Self { crew, tasks, stopping, abandon }
    }

    fn rules(&self) -> &SummaryRules {
        &self.crew.work.rules
    }

    /// Whether a client may have a branch summed up.
    pub fn allows(&self, branch: &str) -> bool {
        self.rules().allows(branch)
    }

    /// Whether an append to this session must be refused, since its summary is due and the queue is
    /// full. Only then is the session looked up.
    ///
    /// # Errors
    /// [`Error::SummaryQueueFull`]. What else is wrong, the append will find.
    pub async fn admit(&self, key: &SessionKey) -> Result<(), Error> {
        if self.rules().on_full != OnFull::Reject || !self.crew.queue.is_full() {
            return Ok(());
        }
        match self.crew.work.store.seen(key, &[]).await {
            Ok((header, _)) if self.rules().thresholds.passed(header.backlog()) => {
                self.crew.tally.ended("refused");
                Err(Error::SummaryQueueFull)
            }
            _ => Ok(()),
        }
    }

    /// Takes note of an append: queues what is due, and begins the wait for quiet anew. What waits
    /// in the queue already, or has no room, is left, unless the rules say otherwise.
    pub async fn appended(
        &self,
        call: &CallContext,
        key: &SessionKey,
        header: &SessionHeader,
        stored: &[StoredEvent],
    ) {
        let call = call.with_purpose(Purpose::Summary);
        let job = |filter_key: &str, cause| JobRequest {
            key: key.clone(),
            generation: header.generation,
            filter_key: filter_key.to_owned(),
            cause,
            call: call.clone(),
        };
        let branches = self.branches(stored);
        if self.rules().thresholds.passed(header.backlog()) {
            self.offer(job("", Cause::Due)).await;
        }
        // How much a branch has gathered is in its history only: the job looks.
        for branch in &branches {
            self.offer(job(branch, Cause::Due)).await;
        }
        if let Some(quiet) = &self.crew.quiet {
            let cause = Cause::Quiet { last_sequence: header.last_sequence };
            quiet.begin(job("", cause));
            branches.iter().for_each(|branch| quiet.begin(job(branch, cause)));
        }
    }

    /// The branches of these events that are summed up by themselves, each once.
    fn branches<'e>(&self, stored: &'e [StoredEvent]) -> Vec<&'e str> {
        let keys = stored.iter().filter_map(|event| event.event.facts().filter_key.as_deref());
        let mut listed: Vec<&str> =
            keys.filter(|key| key.len() <= MAX_NAME && self.rules().lists(key)).collect();
        listed.sort_unstable();
        listed.dedup();
        listed
    }

    async fn offer(&self, job: JobRequest) {
        let full = match self.crew.put(&job, Room::Bounded).await {
            Some(Put::Full) => true,
            Some(_) => false,
            None => return,
        };
        if full && self.rules().on_full == OnFull::Inline {
            // Its outcome is logged like any other; the append has been made.
            let _ = self.run(job).await;
        } else if full {
            self.crew.tally.ended("not_queued");
        }
    }

    /// Queues a job. If there is one for the session already, that one serves. Where a full queue
    /// makes clients wait, it is done at once, and its outcome returned.
    ///
    /// # Errors
    /// [`Error::SummaryQueueFull`], [`Error::Stopping`] and, of a shared queue, [`Error::Store`].
    pub async fn queue(&self, job: JobRequest) -> Result<Option<JobOutcome>, Error> {
        match self.crew.queue.put(&job, Room::Bounded).await? {
            Put::Queued | Put::Waiting => Ok(None),
            Put::Closed => Err(Error::Stopping),
            Put::Full if self.rules().on_full == OnFull::Inline => self.run(job).await.map(Some),
            Put::Full => Err(Error::SummaryQueueFull),
        }
    }

    /// Does a job now, after the one for the session that may be running, and returns its outcome.
    /// Should the caller go away, the job is done nevertheless.
    ///
    /// # Errors
    /// [`Error`], with [`Error::SummaryQueueFull`] and [`Error::SummaryTimeOut`] among others.
    pub async fn run(&self, job: JobRequest) -> Result<JobOutcome, Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        let (crew, abandon) = (self.crew.clone(), self.abandon.clone());
        let running = self.tasks.spawn(async move {
            tokio::select! {
                outcome = crew.run_now(&job) => outcome,
                () = abandon.cancelled() => Err(Error::Stopping),
            }
        });
        running.await.unwrap_or(Err(Error::Stopping))
    }

    /// Ends the jobs of a session that this daemon is doing. They write nothing.
    pub fn cancel(&self, key: &SessionKey) {
        self.crew.running.cancel(key);
    }

    /// What is going on.
    pub async fn status(&self) -> SummaryStatus {
        let depth = self.crew.queue.depth().await.ok();
        self.crew.tally.status(self.crew.queue.kind(), depth)
    }

    /// Takes no more jobs, and waits for those that this daemon must do. After the grace period the
    /// rest is put back, if others can see it, or given up: summaries are made again from the
    /// events. Returns how many jobs were given up.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.stopping.cancel();
        self.crew.queue.close();
        let mut left = 0;
        if timeout(grace, self.tasks.wait()).await.is_err() {
            let depth = self.crew.queue.depth().await.unwrap_or_default();
            if self.crew.queue.kind() == "local" {
                left = usize::try_from(depth.waiting + depth.running).unwrap_or(usize::MAX);
            }
            self.abandon.cancel();
            self.tasks.wait().await;
        }
        self.crew.queue.leave().await;
        left
    }
}

impl Crew {
    /// One worker: a job after the other, until there are no more.
    async fn serve(self: Arc<Self>, abandon: CancellationToken) {
        loop {
            let taken = tokio::select! {
                taken = self.take() => taken,
                () = abandon.cancelled() => return,
            };
            let Some(taken) = taken else { return };
            tokio::select! {
                () = self.do_taken(&taken) => {}
                () = abandon.cancelled() => {
                    let back = self.queue.again(&taken.ticket, &taken.job, Duration::ZERO).await;
                    self.note_outage(back);
                    return;
                }
            }
        }
    }

    async fn take(&self) -> Option<Taken> {
        let _turn = self.turn.lock().await;
        loop {
            match self.queue.take().await {
                Ok(taken) => return taken,
                Err(error) => {
                    self.note_outage(Err(error));
                    sleep(OUTAGE).await;
                }
            }
        }
    }

    async fn do_taken(&self, Taken { job, ticket, waited }: &Taken) {
        self.tally.waited(*waited);
        let outcome = self.run_claimed(job, Some(ticket)).await;
        let next = match &outcome {
            Ok(JobOutcome::Held) => Some((job.clone(), HELD)),
            Err(error) if may_pass(error) && job.call.attempt < ATTEMPTS => {
                let wait = BACKOFF * 4_u32.pow(job.call.attempt.saturating_sub(1));
                let call =
                    CallContext { attempt: job.call.attempt.saturating_add(1), ..job.call.clone() };
                Some((JobRequest { call, ..job.clone() }, wait))
            }
            _ => None,
        };
        self.report(job, &outcome, next.is_some());
        let noted = match &next {
            Some((job, wait)) => self.queue.again(ticket, job, *wait).await,
            None => self.queue.done(ticket).await,
        };
        // Should it come back, there will be nothing left to do.
        self.note_outage(noted);
        self.follow_up(job, &outcome).await;
    }

    async fn run_now(&self, job: &JobRequest) -> Result<JobOutcome, Error> {
        let until = Instant::now() + self.limits.job_timeout;
        let _place = self.waiting.try_acquire().map_err(|_| Error::SummaryQueueFull)?;
        let worker = timeout_at(until, self.direct.acquire()).await;
        let _worker = worker.map_err(|_| Error::SummaryTimeOut)?.map_err(|_| Error::Stopping)?;
        let mut pause = Duration::from_millis(20);
        let outcome = loop {
            match self.run_claimed(job, None).await {
                Ok(JobOutcome::Held) if Instant::now() + pause < until => {
                    sleep(pause).await;
                    pause = (pause * 2).min(HELD / 2);
                }
                Ok(JobOutcome::Held) => break Err(Error::SummaryTimeOut),
                outcome => break outcome,
            }
        };
        self.report(job, &outcome, false);
        self.follow_up(job, &outcome).await;
        outcome
    }

    /// Does a job under the claim of its session and filter key.
    async fn run_claimed(
        &self,
        job: &JobRequest,
        ticket: Option<&str>,
    ) -> Result<JobOutcome, Error> {
        let request = ClaimRequest {
            generation: job.generation,
            filter_key: job.filter_key.clone(),
            token: Uuid::now_v7(),
            duration: CLAIM,
        };
        let store = &self.work.store;
        if store.claim_summary(&job.key, &request).await? == Claimed::Held {
            return Ok(JobOutcome::Held);
        }
        let _run = self.tally.begin();
        let begin = Instant::now();
        let cancelled = self.running.enter(&job.key);
        // In the trace that the client of its request has, though that may have ended long ago.
        let CallContext { request_id, traceparent, .. } = &job.call;
        let traceparent = traceparent.as_deref();
        let span = tracing::info_span!("summary job", request_id = &**request_id, traceparent);
        let outcome = tokio::select! {
            biased;
            () = cancelled.token.cancelled() => Ok(JobOutcome::Cancelled),
            lost = self.hold(job, &request, ticket) => lost,
            outcome = self.work.run(job, request.token, self.limits.job_timeout).instrument(span) => outcome,
        };
        metrics::histogram!("sessiond_summary_job_seconds").record(begin.elapsed());
        // What is not given back ends by itself.
        self.note_outage(store.release_summary(&job.key, &job.filter_key, request.token).await);
        outcome
    }

    /// Holds the claim as long as the job runs. It returns when that is over: because the session is
    /// gone, or because somebody else has taken the job over.
    async fn hold(
        &self,
        job: &JobRequest,
        request: &ClaimRequest,
        ticket: Option<&str>,
    ) -> Result<JobOutcome, Error> {
        loop {
            sleep(RENEWAL).await;
            match self.work.store.claim_summary(&job.key, request).await {
                Ok(Claimed::Yes) => {}
                Ok(Claimed::Held) => return Ok(JobOutcome::Lost),
                Err(gone @ (StoreError::NotFound | StoreError::OtherGeneration { .. })) => {
                    return Err(gone.into());
                }
                // The store refuses the summary if the claim is lost meanwhile.
                Err(error) => self.note_outage(Err(error)),
            }
            if let Some(ticket) = ticket {
                match self.queue.keep(ticket).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(JobOutcome::Lost),
                    Err(error) => self.note_outage(Err(error)),
                }
            }
        }
    }

    /// Queues what a job leads to.
    async fn follow_up(&self, job: &JobRequest, outcome: &Result<JobOutcome, Error>) {
        let Ok(JobOutcome::Stored { more, .. }) = outcome else { return };
        let call = CallContext { attempt: 1, ..job.call.clone() };
        if *more {
            let next = JobRequest { cause: Cause::Rest, call: call.clone(), ..job.clone() };
            self.put(&next, Room::Left).await;
        }
        let by_itself = !matches!(job.cause, Cause::Asked { .. });
        if by_itself && self.work.rules.cascade && !job.filter_key.is_empty() {
            let filter_key = String::new();
            let whole = JobRequest { filter_key, cause: Cause::Cascade, call, ..job.clone() };
            self.put(&whole, Room::Left).await;
        }
    }

    /// Puts a job into the queue. None: that cannot be reached, which is logged and counted.
    async fn put(&self, job: &JobRequest, room: Room) -> Option<Put> {
        match self.queue.put(job, room).await {
            Ok(put) => Some(put),
            Err(error) => {
                self.tally.ended("not_queued");
                self.note_outage(Err(error));
                None
            }
        }
    }

    /// Sets the gauges, and queues sessions that were quiet for long enough.
    async fn look_after(&self) {
        let kind = self.queue.kind();
        let gauges = async {
            loop {
                match self.queue.depth().await {
                    Ok(depth) => tally::set_gauges(kind, &depth),
                    Err(error) => self.note_outage(Err(error)),
                }
                sleep(GAUGES).await;
            }
        };
        let quiet = async {
            loop {
                let Some(quiet) = &self.quiet else { return std::future::pending().await };
                let job = quiet.next().await;
                if self.put(&job, Room::Bounded).await == Some(Put::Full) {
                    self.tally.ended("not_queued");
                }
            }
        };
        tokio::join!(gauges, quiet);
    }

    fn report(&self, job: &JobRequest, outcome: &Result<JobOutcome, Error>, again: bool) {
        let (session, filter_key) = (&job.key, &job.filter_key);
        let CallContext { request_id, attempt, traceparent, .. } = &job.call;
        let traceparent = traceparent.as_deref();
        match outcome {
            Ok(JobOutcome::Held) if again => {}
            Ok(outcome) => {
                self.tally.ended(outcome.name());
                let outcome = outcome.name();
                if outcome == "stored" {
                    tracing::info!(?session, filter_key, %request_id, traceparent, attempt, outcome, "summary job");
                } else {
                    tracing::debug!(?session, filter_key, %request_id, traceparent, attempt, outcome, "summary job");
                }
            }
            Err(Error::Store(StoreError::NotFound | StoreError::OtherGeneration { .. })) => {
                self.tally.ended("gone");
                tracing::debug!(?session, filter_key, %request_id, traceparent, attempt, "the session of a summary job is gone");
            }
            Err(error) => {
                self.tally.ended(if again { "tried_again" } else { "failed" });
                let error: &(dyn std::error::Error + 'static) = error;
                tracing::warn!(?session, filter_key, %request_id, traceparent, attempt, again, error, "summary job failed");
            }
        }
    }

    fn note_outage(&self, told: Result<(), StoreError>) {
        if let Err(error) = told {
            let queue = self.queue.kind();
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(queue, error, "the store of summary jobs does not answer");
        }
    }
}

/// Whether the same job may end better in a while.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::SummaryTimeOut => true,
        Error::Store(error) => matches!(
            error,
            StoreError::Unavailable(_) | StoreError::NotReplicated { .. } | StoreError::Full(_)
        ),
        Error::Hook(ChainError::Rejected { rejection, .. }) => {
            rejection.kind == RejectionKind::Unavailable
        }
        Error::Hook(ChainError::Failed { kind, .. }) => *kind != FailureKind::BadAnswer,
        _ => false,
    }
}

/// The sessions in which this daemon's jobs run.
#[derive(Debug, Default)]
struct Running(Arc<Mutex<HashMap<u64, (SessionKey, CancellationToken)>>>);

/// A job that can be cancelled. It ends when this is dropped.
#[derive(Debug)]
struct Entered {
    of: Arc<Mutex<HashMap<u64, (SessionKey, CancellationToken)>>>,
    number: u64,
    token: CancellationToken,
}

type Sessions = HashMap<u64, (SessionKey, CancellationToken)>;

fn lock(sessions: &Mutex<Sessions>) -> MutexGuard<'_, Sessions> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    fn enter(&self, key: &SessionKey) -> Entered {
        let token = CancellationToken::new();
        let mut sessions = lock(&self.0);
        let number = (0..).find(|number| !sessions.contains_key(number)).unwrap_or_default();
        sessions.insert(number, (key.clone(), token.clone()));
        Entered { of: self.0.clone(), number, token }
    }

    fn cancel(&self, key: &SessionKey) {
        for (session, token) in lock(&self.0).values() {
            if session == key {
                token.cancel();
            }
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        lock(&self.of).remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
