//! The queue of summary jobs: what any must do, be it this daemon's own or one that many share.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::hook::CallContext;
use crate::key::SessionKey;
use crate::store::StoreError;

/// Why a job is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A client asked.
    Asked {
        /// In spite of what the summarizer thinks of it.
        forced: bool,
    },
    /// A threshold was passed. It must still be when the job begins.
    Due,
    /// Nothing was appended for a while since the entry of this sequence. It must be the last still.
    Quiet {
        /// The sequence.
        last_sequence: u64,
    },
    /// An earlier job has left some for the next.
    Rest,
    /// A branch was summed up, and the whole session is next.
    Cascade,
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
    /// Why.
    pub cause: Cause,
    /// The request that it is for, and which attempt it is.
    pub call: CallContext,
}

impl JobRequest {
    /// What there is one job at a time for.
    pub fn subject(&self) -> (SessionKey, String) {
        (self.key.clone(), self.filter_key.clone())
    }

    /// Whether to leave the summarizer no choice.
    pub fn is_forced(&self) -> bool {
        self.cause == Cause::Asked { forced: true }
    }
}

/// What became of a job that was put into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It waits.
    Queued,
    /// One for the same session and filter key waits already, and serves.
    Waiting,
    /// There is no room.
    Full,
    /// The queue takes no more, since the daemon is stopping.
    Closed,
}

/// How a job is put into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Only if there is room.
    Bounded,
    /// In any case. For what follows from a job that has just left its place.
    Left,
}

/// A job that was taken out of a queue, to be done.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The job.
    pub job: JobRequest,
    /// Tells the queue which one it is.
    pub ticket: String,
    /// How long it has waited.
    pub waited: Duration,
}

/// How much is in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Jobs that wait, those that wait for another attempt included.
    pub waiting: u64,
    /// Jobs that were taken and are not done, by any daemon.
    pub running: u64,
    /// The age of the oldest of those that could run and wait.
    pub oldest: Option<Duration>,
}

/// A queue of jobs, bounded. Of jobs for the same session and filter key only one waits at a time.
///
/// # Errors
/// Every method fails with [`StoreError`] when a queue that is shared cannot be reached.
#[async_trait]
pub trait JobQueue: Send + Sync + fmt::Debug {
    /// Which kind of queue it is, in metrics and replies.
    fn kind(&self) -> &'static str;

    /// Puts a job in.
    async fn put(&self, job: &JobRequest, room: Room) -> Result<Put, StoreError>;

    /// Waits for the next job. None: the queue is closed, and has none left for this daemon.
    async fn take(&self) -> Result<Option<Taken>, StoreError>;

    /// Says that a job is still being done. False: another daemon has taken it over.
    async fn keep(&self, ticket: &str) -> Result<bool, StoreError>;

    /// Says that a job was done, and need not be done again.
    async fn done(&self, ticket: &str) -> Result<(), StoreError>;

    /// Puts a job back, to be done after a while.
    async fn again(
        &self,
        ticket: &str,
        job: &JobRequest,
        after: Duration,
    ) -> Result<(), StoreError>;

    /// How much is in it.
    async fn depth(&self) -> Result<Depth, StoreError>;

    /// Whether there is no room, as far as is known without asking anybody.
    fn is_full(&self) -> bool;

    /// Takes no more jobs, and gives out no more than this daemon must do before it stops.
    fn close(&self);

    /// Ends the use of the queue, once all that was taken is done or put back.
    async fn leave(&self);
}
