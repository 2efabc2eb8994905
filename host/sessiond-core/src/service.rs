//! The operations on sessions: from a checked request to the store and back, hooks included.
//!
//! One file an operation. Every way in passes the append hooks, every way out the get hooks; there
//! is no other way to the store but the operator's.

mod anchor;
mod append;
mod create;
mod edit;
mod get;
mod import;
mod queue;
mod state;
mod summarize;
mod track;
mod watch;

pub use append::{AppendReply, ItemFate, ItemReply};
pub use create::{Created, IfExists};
pub use edit::EditReply;
pub use get::EventPage;
pub use import::{Fork, Imported, Screening};
pub use queue::QueuedReply;
pub use track::{TrackItem, TrackReply, TrackView};
pub use watch::{Cursor, News, Notice, ResetReason, SessionWatch, UserNews, UserWatch};

use std::sync::Arc;

use crate::error::Error;
use crate::hook::chain::HookChain;
use crate::key::{SessionKey, UserKey};
use crate::store::{PageToken, SessionPage, SessionStore};
use crate::time::{Clock, Time};
use crate::workers::group_commit::GroupCommit;
use crate::workers::lanes::Lanes;
use crate::workers::summary::SummaryPool;

/// Bounds on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest event, in bytes.
    pub max_event_size: usize,
    /// The most items of an append.
    pub max_batch: usize,
    /// The most events of a read.
    pub max_events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_event_size: 1024 * 1024, max_batch: 1_000, max_events: 10_000 }
    }
}

/// The operations on sessions.
#[derive(Debug, Clone)]
pub struct SessionService {
    store: Arc<dyn SessionStore>,
    hooks: HookChain,
    summaries: Option<Arc<SummaryPool>>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    group_commit: Option<GroupCommit>,
    lanes: Option<Arc<Lanes>>,
}

impl SessionService {
    /// A service over a store, with hooks and, maybe, somebody who sums up.
    pub fn new(
        store: Arc<dyn SessionStore>,
        hooks: HookChain,
        summaries: Option<Arc<SummaryPool>>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (group_commit, lanes) = (None, None);
        Self { store, hooks, summaries, limits, clock, group_commit, lanes }
    }

    /// The same, which writes appends that meet at a session in one step.
    #[must_use]
    pub fn with_group_commit(self) -> Self {
        Self { group_commit: Some(GroupCommit::new(self.store.clone())), ..self }
    }

    /// The same, with lanes in which appends are queued.
    #[must_use]
    pub fn with_lanes(self, lanes: Arc<Lanes>) -> Self {
        Self { lanes: Some(lanes), ..self }
    }

    /// The lanes in which appends are queued, if they are.
    pub fn lanes(&self) -> Option<&Arc<Lanes>> {
        self.lanes.as_ref()
    }

    /// Waits until no append is being written any more. No request may be left.
    pub async fn drain(&self) {
        if let Some(group_commit) = &self.group_commit {
            group_commit.drain().await;
        }
    }

    /// The store, for the operator: no hook looks on.
    pub fn store(&self) -> &Arc<dyn SessionStore> {
        &self.store
    }

    /// The bounds on requests.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Deletes a session and all that is stored of it. It is no error if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn delete(&self, key: &SessionKey) -> Result<(), Error> {
        self.settled(key).await?;
        self.store.delete(key).await?;
        if let Some(pool) = &self.summaries {
            pool.cancel(key);
        }
        if let Some(lanes) = &self.lanes {
            lanes.known().forget(key);
        }
        Ok(())
    }

    /// Lists a user's sessions, newest first, without events and state.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(
        &self,
        user: &UserKey,
        size: usize,
        after: Option<PageToken>,
    ) -> Result<SessionPage, Error> {
        Ok(self.store.list(user, size, after).await?)
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests;
