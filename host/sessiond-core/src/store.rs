//! The one door to persistence: what a session store must do, and in which steps.
//!
//! Every method that writes is one atomic step: after a failure either all of it is stored, or none.
//! [`embedded::EmbeddedStore`] is the reference: other stores must answer as it does.

mod append;
pub mod claim;
pub mod edit;
pub mod embedded;
mod error;
pub mod lease;
pub mod plugin;
mod rules;
pub mod watch;
pub mod whole;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::append::{Appended, Condition, Fate, JournalMark, NewEntry, Outcome, Seen};
use self::claim::{ClaimRequest, Claimed};
use self::edit::Edit;
pub use self::error::StoreError;
use self::lease::{Lease, LeaseRequest};
pub use self::rules::{StoreRules, TtlRefresh};
use self::watch::{Watch, Watched};
use self::whole::{Origin, SessionTtl, TrackEvent, Whole};
use crate::digest::{Digest, DigestKey};
use crate::event::{Event, StoredEvent};
use crate::key::{AppKey, SessionKey, UserKey};
use crate::state::{ScopedState, StateDelta, StateMap};
use crate::summary::{Backlog, Summary};
use crate::time::Time;

/// What is known of a session besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionHeader {
    /// Tells the session from an earlier one of the same key. Below 2^53.
    pub generation: u64,
    /// Rises with every write.
    pub revision: u64,
    /// The sequence of the newest entry; 0 without any.
    pub last_sequence: u64,
    /// The sequence of the oldest entry that is kept and shown.
    pub first_sequence: u64,
    /// When it was created.
    pub created_at: Time,
    /// When it was last written by a client. No two sessions of a user have the same.
    pub updated_at: Time,
    /// When it will go, if nobody touches it.
    pub expires_at: Option<Time>,
    /// The sequence of the newest user's turn.
    pub last_user_turn: Option<u64>,
    /// What its history has gathered since its creation.
    pub totals: Backlog,
    /// What it had gathered at the boundary of the summary of the whole session.
    pub summarized: Backlog,
    /// How often its history was edited.
    pub edits: u64,
    /// The lowest sequence that it can be rewound to.
    pub floor: u64,
}

/// Tells a session's history from what it was before an edit, or in an earlier session of its key.
/// Appends do not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryVersion {
    /// The session's generation.
    pub generation: u64,
    /// How often the history was edited.
    pub edits: u64,
}

impl SessionHeader {
    /// Which history it is.
    pub fn version(&self) -> HistoryVersion {
        HistoryVersion { generation: self.generation, edits: self.edits }
    }

    /// What it has gathered since that boundary.
    pub fn backlog(&self) -> Backlog {
        self.totals.without(self.summarized)
    }
}

/// Which entries to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Only after this sequence; 0 for all.
    pub after: u64,
    /// Only before this sequence.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: usize,
    /// Which, if there are more.
    pub prefer: Prefer,
    /// Whether entries of kind `state` count.
    pub with_state: bool,
}

/// Which entries of a range count, when there are more than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
}

/// A session as of one moment. Entries are in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What is known of it.
    pub header: SessionHeader,
    /// Its state, of all scopes.
    pub state: ScopedState,
    /// Its summaries, by filter key.
    pub summaries: Vec<Summary>,
    /// The entries that were asked for.
    pub entries: Vec<StoredEvent>,
    /// How long it lives.
    pub ttl: SessionTtl,
    /// Where it was forked from.
    pub origin: Option<Origin>,
    /// The names of its tracks, in order.
    pub tracks: Vec<String>,
}

/// What an edit has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The session, as it is now.
    pub header: SessionHeader,
    /// How many events went.
    pub removed: u64,
    /// Those that a pop took out, in order.
    pub popped: Vec<StoredEvent>,
}

/// An item of an append to a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrackEvent {
    /// Its id, in the track.
    pub id: String,
    /// The client's JSON.
    pub body: String,
    /// Tells whether a repeated id is for the same.
    pub digest: Digest,
}

/// The answer to an append to a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackAppended {
    /// The session, as it is now.
    pub header: SessionHeader,
    /// For each item, its sequence in the track, and whether it was there.
    pub outcomes: Vec<(u64, bool)>,
}

/// A part of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackPage {
    /// The session.
    pub header: SessionHeader,
    /// What is kept after the cursor, oldest first.
    pub events: Vec<TrackEvent>,
    /// Whether there are more.
    pub more: bool,
}

/// The most tracks of a session.
pub const MAX_TRACKS: usize = 64;

/// Where a page of a user's sessions ends. The next begins there, whatever was written meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken {
    /// The generation of the last session of the page.
    pub generation: u64,
    /// When that was updated, in microseconds since 1970.
    pub updated: i64,
}

/// A page of a user's sessions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions' names and headers.
    pub sessions: Vec<(String, SessionHeader)>,
    /// Where to go on, if there are more.
    pub next: Option<PageToken>,
}

/// What became of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryCommit {
    /// It is stored.
    Stored,
    /// One with the same boundary or a later one was there.
    Late,
    /// The history was edited since the summarizer read it.
    Edited,
    /// Somebody else has the claim of the job by now.
    Lost,
}

/// Whose sessions to go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only this app's.
    pub app: Option<String>,
    /// Only this user's.
    pub user: Option<String>,
    /// Only this session.
    pub session: Option<String>,
}

impl KeyFilter {
    /// Whether a key is among them.
    pub fn admits(&self, key: &SessionKey) -> bool {
        let is =
            |wanted: &Option<String>, name| wanted.as_ref().is_none_or(|wanted| wanted == name);
        is(&self.app, key.app()) && is(&self.user, key.user()) && is(&self.session, key.session())
    }
}

/// Keeps sessions. All methods may be called at any time, from any number of daemons at once.
///
/// # Errors
/// Every method fails with [`StoreError::Unavailable`] when the store cannot be reached within its
/// time-out, and what it should have written may then be written or not: try again, with the same
/// ids. Other errors are named at the methods.
#[async_trait]
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// The key of this store's digests, the same for all daemons on it.
    fn digest_key(&self) -> DigestKey;

    /// Creates a session, with the entries that carry its first state. None: it exists.
    async fn create(
        &self,
        key: &SessionKey,
        first: &[Arc<Event>],
    ) -> Result<Option<SessionHeader>, StoreError>;

    /// Appends entries, all or none. Items that were seen before with the same digest are answered
    /// as they were then; conditions do not matter if all were.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::OtherGeneration`], [`StoreError::OtherRevision`] and
    /// [`StoreError::IdConflict`]; nothing is stored then.
    async fn append(
        &self,
        key: &SessionKey,
        condition: Condition,
        entries: &[NewEntry],
    ) -> Result<Appended, StoreError>;

    /// Makes several appends of the same condition as one step: all, or none. Each is answered as if
    /// it had been made by itself, the one after the other; if something is stored, the revision
    /// rises by one for each. The condition has no revision. The session remembers the mark, if there
    /// is one.
    ///
    /// # Errors
    /// As for [`SessionStore::append`].
    async fn append_together(
        &self,
        key: &SessionKey,
        condition: Condition,
        appends: &[&[NewEntry]],
        mark: Option<JournalMark>,
    ) -> Result<Vec<Appended>, StoreError>;

    /// The latest position of a journal that a session remembers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn journal_position(
        &self,
        key: &SessionKey,
        journal: Uuid,
    ) -> Result<Option<u64>, StoreError>;

    /// Looks up ids, to answer a retry before any hook runs. One answer for each id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn seen(
        &self,
        key: &SessionKey,
        ids: &[&str],
    ) -> Result<(SessionHeader, Vec<Option<Seen>>), StoreError>;

    /// Reads a session and, of its entries, a range. None: there is no such session.
    async fn read(&self, key: &SessionKey, range: Range) -> Result<Option<Snapshot>, StoreError>;

    /// Deletes a session and everything that is stored of it. It is no error if there is none.
    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError>;

    /// Lists a user's sessions, newest first.
    async fn list(
        &self,
        user: &UserKey,
        size: usize,
        after: Option<PageToken>,
    ) -> Result<SessionPage, StoreError>;

    /// Reads a user's state.
    async fn user_state(&self, user: &UserKey) -> Result<StateMap, StoreError>;

    /// Reads an app's state.
    async fn app_state(&self, app: &AppKey) -> Result<StateMap, StoreError>;

    /// Changes a user's state. Keys have the prefix of that scope; others do not count.
    async fn change_user_state(&self, user: &UserKey, delta: &StateDelta)
    -> Result<(), StoreError>;

    /// Changes an app's state. Keys have the prefix of that scope; others do not count.
    async fn change_app_state(&self, app: &AppKey, delta: &StateDelta) -> Result<(), StoreError>;

    /// Stores a summary, if its boundary is later than that of the one that is there, and the
    /// history was not edited since `seen`. `totals` is what it had gathered at the boundary.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and [`StoreError::OtherGeneration`].
    async fn put_summary(
        &self,
        key: &SessionKey,
        seen: HistoryVersion,
        summary: &Summary,
        totals: Backlog,
    ) -> Result<SummaryCommit, StoreError> {
        self.commit_summary(key, seen, summary, totals, None).await
    }

    /// As [`SessionStore::put_summary`], and only if the claim of that token is still the last one
    /// that anybody took for this session and filter key.
    ///
    /// # Errors
    /// As for [`SessionStore::put_summary`].
    async fn commit_summary(
        &self,
        key: &SessionKey,
        seen: HistoryVersion,
        summary: &Summary,
        totals: Backlog,
        claim: Option<Uuid>,
    ) -> Result<SummaryCommit, StoreError>;

    /// Takes the claim of a summary job, or makes one that is held last longer. It goes with its
    /// session, and changes neither its revision nor its time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and [`StoreError::OtherGeneration`].
    async fn claim_summary(
        &self,
        key: &SessionKey,
        request: &ClaimRequest,
    ) -> Result<Claimed, StoreError>;

    /// Gives a claim back. One that somebody else has, or of a session that is gone, is no error.
    async fn release_summary(
        &self,
        key: &SessionKey,
        filter_key: &str,
        token: Uuid,
    ) -> Result<(), StoreError>;

    /// Takes entries out of a session's history.
    ///
    /// # Errors
    /// As for [`SessionStore::append`], and [`StoreError::NotKept`] and
    /// [`StoreError::NoInvocation`].
    async fn edit(
        &self,
        key: &SessionKey,
        condition: Condition,
        edit: &Edit,
    ) -> Result<Edited, StoreError>;

    /// Copies a session, with all that is stored of it, as of one moment. None: there is none.
    async fn whole(&self, key: &SessionKey) -> Result<Option<Whole>, StoreError>;

    /// Puts a whole session where none is, in one visible step. None: there is one.
    async fn restore(
        &self,
        key: &SessionKey,
        whole: &Whole,
    ) -> Result<Option<SessionHeader>, StoreError>;

    /// Gives a session a time to live of its own, from now on.
    ///
    /// # Errors
    /// As for [`SessionStore::append`].
    async fn set_ttl(
        &self,
        key: &SessionKey,
        condition: Condition,
        ttl: SessionTtl,
    ) -> Result<SessionHeader, StoreError>;

    /// Takes a lease, or makes one that is held last longer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and [`StoreError::Leased`].
    async fn lease(&self, key: &SessionKey, request: &LeaseRequest) -> Result<Lease, StoreError>;

    /// Ends a lease. One that is over or was never there is no error.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn release(&self, key: &SessionKey, token: Uuid) -> Result<(), StoreError>;

    /// Appends to a track, all or none, and makes the track if there is none. An id that was used
    /// before in the track, with the same digest, is answered as it was then.
    ///
    /// # Errors
    /// As for [`SessionStore::append`], and [`StoreError::TooManyTracks`].
    async fn append_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
        events: &[NewTrackEvent],
    ) -> Result<TrackAppended, StoreError>;

    /// Reads a track, oldest first. One that is not there is empty.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn read_track(
        &self,
        key: &SessionKey,
        track: &str,
        after: u64,
        limit: usize,
    ) -> Result<TrackPage, StoreError>;

    /// Removes a track. It is no error if there is none.
    ///
    /// # Errors
    /// As for [`SessionStore::append`].
    async fn delete_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
    ) -> Result<(), StoreError>;

    /// Goes through all sessions, in no order, a part at a time; for operators only. Returns some
    /// keys and where to go on. A session that is there all the while is returned at least once.
    async fn keys(
        &self,
        filter: &KeyFilter,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), StoreError>;

    /// Begins to watch: the watcher is told of what any daemon writes from now on, as long as
    /// somebody waits for [`SessionStore::listen`].
    fn watch(&self, what: Watched) -> Watch;

    /// Brings watchers the news of what other daemons write, and never ends. What may have been
    /// missed while the store could not be reached is told once it can be.
    async fn listen(&self);

    /// Asks the store whether it is there.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Does what is to be done from time to time: finishes writes that were cut off half way, and
    /// forgets what has expired.
    async fn sweep(&self) -> Result<(), StoreError>;
}
