//! What a caller of the service may get instead of an answer.

use crate::event::EventError;
use crate::hook::chain::ChainError;
use crate::hook::{FailureKind, RejectionKind};
use crate::key::KeyError;
use crate::state::StateError;
use crate::store::StoreError;
use crate::workers::lanes::journal::JournalError;

/// Why a request was not served. Nothing was changed, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An event is refused.
    #[error("item {item}: {source}")]
    Event {
        /// The number of the item, from 0.
        item: usize,
        /// Why.
        source: EventError,
    },
    /// A change of state is refused.
    #[error(transparent)]
    State(#[from] StateError),
    /// A hook ended the request.
    #[error(transparent)]
    Hook(#[from] ChainError),
    /// The store did not do it. With [`StoreError::Unavailable`] the write may have been made,
    /// with [`StoreError::NotReplicated`] it was.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A session of that name exists.
    #[error("the session exists already")]
    Exists,
    /// The append has no item, or too many.
    #[error("an append has {count} items: give it 1 to {max}")]
    BatchSize {
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// A read asks for too many events.
    #[error("the limit is {limit}: at most {max} are read at once")]
    Limit {
        /// How many were asked for.
        limit: u32,
        /// How many may be.
        max: u32,
    },
    /// A filter key is too long.
    #[error("the filter key has {0} bytes: at most {max} are allowed", max = crate::key::MAX_NAME)]
    FilterKey(usize),
    /// There is no event of that id, or it is not kept any more.
    #[error("no event of the id {id:?} is kept")]
    NoEvent {
        /// The id.
        id: String,
    },
    /// The name of a lease's holder is too long.
    #[error("the holder has {0} bytes: at most {max} are allowed", max = crate::store::lease::MAX_HOLDER)]
    Holder(usize),
    /// No plugin sums up.
    #[error("no summarizer is configured: name one in `summary.plugin`")]
    NoSummarizer,
    /// The branch is none of those that may be summed up.
    #[error("no summary is made of the branch {0:?}: add it to `summary.filter_allowlist`")]
    BranchNotListed(String),
    /// Too many jobs are waiting.
    #[error("the queue of summary jobs is full")]
    SummaryQueueFull,
    /// The job ran past its time and wrote nothing.
    #[error("the summary job took longer than `summary.job_timeout`")]
    SummaryTimeOut,
    /// The lane of the session has no room, and got none in time.
    #[error("too many appends are queued: try again, with the same ids")]
    QueueFull,
    /// Appends are queued, so nothing can be said of the revision at which they are made.
    #[error(
        "`If-Match` cannot be honoured, since appends are queued here (`async_persist`): leave it \
         out, or name the `generation`"
    )]
    QueuedRevision,
    /// What is queued for the session was not written in time.
    #[error("appends to the session are queued and not written yet: try again")]
    WritesPending,
    /// The append could not be kept in the journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The daemon is going down.
    #[error("the daemon is stopping")]
    Stopping,
}

impl Error {
    /// A stable name for clients to tell errors by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Key(_) | Self::FilterKey(_) | Self::Holder(_) => "bad_name",
            Self::NoEvent { .. } => "event_not_found",
            Self::Event { source, .. } => event_code(source),
            Self::State(_) => "bad_state",
            Self::Hook(error) => hook_code(error),
            Self::Store(error) => store_code(error),
            Self::Exists => "session_exists",
            Self::BatchSize { .. } => "batch_size",
            Self::Limit { .. } => "limit_too_high",
            Self::NoSummarizer => "no_summarizer",
            Self::BranchNotListed(_) => "branch_not_listed",
            Self::SummaryQueueFull => "summary_queue_full",
            Self::SummaryTimeOut => "summary_time_out",
            Self::QueueFull => "queue_full",
            Self::QueuedRevision => "if_match_refused",
            Self::WritesPending => "writes_pending",
            Self::Journal(JournalError::Full(_)) => "journal_full",
            Self::Journal(_) => "journal_failed",
            Self::Stopping => "stopping",
        }
    }
}

fn event_code(error: &EventError) -> &'static str {
    match error {
        EventError::TooLarge { .. } => "event_too_large",
        EventError::UnknownShape => "unknown_dialect",
        EventError::State(_) | EventError::TwoDeltas => "bad_state",
        EventError::NotJson(_) | EventError::NotObject | EventError::BadId(_) => "bad_event",
    }
}

fn hook_code(error: &ChainError) -> &'static str {
    match error {
        ChainError::Rejected { rejection, .. } => match rejection.kind {
            RejectionKind::Denied => "hook_denied",
            RejectionKind::Invalid => "hook_invalid",
            RejectionKind::Unavailable => "hook_unavailable",
        },
        ChainError::Failed { kind, .. } => match kind {
            FailureKind::Busy => "plugin_busy",
            FailureKind::TimeOut => "plugin_time_out",
            FailureKind::Open { .. } | FailureKind::NotLoaded => "plugin_unavailable",
            _ => "plugin_failed",
        },
    }
}

fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::NotFound => "session_not_found",
        StoreError::OtherGeneration { .. } => "other_generation",
        StoreError::OtherRevision { .. } => "other_revision",
        StoreError::IdConflict { .. } => "id_conflict",
        StoreError::Leased { .. } => "leased",
        StoreError::NotKept { .. } => "not_kept",
        StoreError::NoInvocation { .. } => "no_invocation",
        StoreError::TooManyTracks(_) => "too_many_tracks",
        StoreError::Unavailable(_) => "store_unavailable",
        StoreError::NotReplicated { .. } => "not_replicated",
        StoreError::Full(_) => "store_full",
        StoreError::Corrupt(_) => "store_corrupt",
    }
}
