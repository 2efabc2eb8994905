//! What a job finds after the boundary of the last summary, before the hooks.

use super::job::SummaryWork;
use super::queue::JobRequest;
use crate::error::Error;
use crate::event::StoredEvent;
use crate::state::ScopedState;
use crate::store::{Prefer, Range, SessionHeader, Snapshot, StoreError};
use crate::summary::{Backlog, Summary, in_line};

/// The most entries that are read at once. A longer backlog takes several jobs.
const MAX_EVENTS: usize = 1_000;

/// What a job has read, before the hooks.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) header: SessionHeader,
    pub(super) state: ScopedState,
    pub(super) previous: Option<Summary>,
    /// What came after the boundary, and after what was passed over.
    pub(super) events: Vec<StoredEvent>,
    /// Whether that is all there is.
    pub(super) complete: bool,
    passed: Passed,
}

/// What a job leaves behind, in which there is nothing to sum up.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    /// The sequence after which it reads on.
    after: u64,
    /// The first event of it that a summary covers all the same.
    first: Option<u64>,
    totals: Backlog,
}

impl Found {
    /// The sequence up to which the last summary goes.
    pub(super) fn boundary(&self) -> u64 {
        self.previous.as_ref().map_or(0, |summary| summary.last_sequence)
    }

    /// The first event that a summary covers which goes on from the last one.
    pub(super) fn first_sequence(&self) -> u64 {
        let first = self.passed.first.or(self.events.first().map(|event| event.sequence));
        self.previous.as_ref().map_or(first.unwrap_or(0), |summary| summary.first_sequence)
    }

    /// The events after the boundary that were trimmed before any summary saw them.
    pub(super) fn unseen(&self) -> Option<(u64, u64)> {
        let (boundary, first) = (self.boundary(), self.header.first_sequence);
        (first > boundary + 1).then(|| (boundary + 1, first - 1))
    }

    /// What the history had gathered at a boundary: all there is less what came after, or, when not all
    /// of that was read, what was there at the last boundary and what came since.
    pub(super) fn totals_at(&self, boundary: u64) -> Backlog {
        let after = self.events.iter().position(|event| event.sequence > boundary);
        let (covered, after) = self.events.split_at(after.unwrap_or(self.events.len()));
        if self.complete {
            self.header.totals.without(Backlog::of(after))
        } else {
            self.header.summarized.plus(self.passed.totals).plus(Backlog::of(covered))
        }
    }
}

impl SummaryWork {
    /// Reads what comes after the last summary, from the first event on that the next one covers.
    ///
    /// # Errors
    /// What the store answers; [`StoreError::NotFound`] when the session is gone.
    pub(super) async fn found(
        &self,
        request: &JobRequest,
        previous: Option<Summary>,
    ) -> Result<Found, Error> {
        let after = previous.as_ref().map_or(0, |summary| summary.last_sequence);
        self.found_after(request, previous, Passed { after, ..Passed::default() }).await
    }

    /// Reads what comes after the first of these events, of which nothing is shown to the summarizer.
    ///
    /// # Errors
    /// As [`found`](Self::found).
    pub(super) async fn found_past(
        &self,
        request: &JobRequest,
        found: Found,
        hidden: usize,
    ) -> Result<Found, Error> {
        let hidden = found.events.get(..hidden).unwrap_or(&found.events);
        let passed = Passed {
            after: hidden.last().map_or(found.passed.after, |event| event.sequence),
            first: found.passed.first.or(hidden.first().map(|event| event.sequence)),
            totals: found.passed.totals.plus(Backlog::of(hidden)),
        };
        self.found_after(request, found.previous, passed).await
    }

    async fn found_after(
        &self,
        request: &JobRequest,
        previous: Option<Summary>,
        mut passed: Passed,
    ) -> Result<Found, Error> {
        loop {
            let Snapshot { header, state, entries, .. } =
                self.read(request, passed.after, MAX_EVENTS).await?;
            let complete = entries.len() < MAX_EVENTS;
            let last = entries.last().map(|entry| entry.sequence);
            let events: Vec<StoredEvent> = entries
                .into_iter()
                .filter(|it| covers(&request.filter_key, it.event.facts().filter_key.as_deref()))
                .collect();
            match last {
                // All of it is of other branches.
                Some(last) if events.is_empty() && !complete => passed.after = last,
                _ => return Ok(Found { header, state, previous, events, complete, passed }),
            }
        }
    }

    /// Reads some of a session, its oldest entries first.
    ///
    /// # Errors
    /// As [`found`](Self::found).
    pub(super) async fn read(
        &self,
        request: &JobRequest,
        after: u64,
        limit: usize,
    ) -> Result<Snapshot, Error> {
        let (prefer, with_state) = (Prefer::Oldest, false);
        let range = Range { after, before: None, limit, prefer, with_state };
        Ok(self.store.read(&request.key, range).await?.ok_or(StoreError::NotFound)?)
    }
}

/// Whether a summary of a branch covers an event: the whole session covers all, and keys of one
/// line of the tree belong together.
fn covers(branch: &str, event: Option<&str>) -> bool {
    let event = event.unwrap_or_default();
    branch.is_empty() || event.is_empty() || in_line(event, branch)
}
