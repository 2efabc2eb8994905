//! What guests hold handles to.
//!
//! A handle is the number of a row. Numbers come from a counter that never goes back, and rows
//! belong to one call: a guest that keeps a handle for a later call finds nothing behind it, and
//! traps. wasmtime's own `ResourceTable` gives numbers again, and would let such a guest reach the
//! event of somebody else's call (P29).

use std::collections::HashMap;

use sessiond_core::event::editor::EventEditor;
use sessiond_core::read::ReadOptions;
use sessiond_core::store::plugin::Bucket;
use sessiond_core::summary::{Draft, Summary, SummaryJob};
use sessiond_core::view::SessionView;
use wasmtime::component::Resource;

use crate::model::{ChatAnswer, ChatRequest};

/// A guest used a handle of an earlier call, or one that it never got.
#[derive(Debug, thiserror::Error)]
#[error("stale-handle: a handle is valid only in the call that it came with")]
pub(crate) struct StaleHandle;

/// Something that a guest holds.
#[derive(Debug)]
pub(crate) enum Row {
    Event(EventRow),
    Session,
    Options(ReadOptions),
    Summary(SummaryRow),
    Job(SummaryJob),
    ChatRequest(ChatRequest),
    ChatAnswer(ChatAnswer),
    Bucket(Bucket),
}

/// An event.
#[derive(Debug)]
pub(crate) enum EventRow {
    /// One by itself: which of the call's events it is (None: the guest made it), and where it is
    /// stored.
    Own { given: Option<usize>, sequence: Option<u64>, editor: EventEditor },
    /// One of the call's session, by its number there.
    InSession(usize),
}

/// A summary.
#[derive(Debug)]
pub(crate) enum SummaryRow {
    /// One that is stored.
    Stored(Summary),
    /// One that the guest makes.
    Draft(Draft),
}

/// The rows of the call that is being served.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    next: u32,
    rows: HashMap<u32, Row>,
    /// The session of the call. Its events are reached through it.
    pub(crate) session: Option<SessionView>,
    /// Handles that the guest holds, over all calls: some languages leak those that their authors
    /// do not drop.
    held: usize,
    /// What the guest has had the host keep in this call, in bytes.
    spent: usize,
}

impl Rows {
    /// Gives a guest a new handle.
    pub(crate) fn give<T: 'static>(&mut self, row: Row) -> Resource<T> {
        let number = self.next;
        // The pool retires an instance long before the counter can come round.
        self.next = self.next.wrapping_add(1);
        self.rows.insert(number, row);
        self.held += 1;
        Resource::new_own(number)
    }

    /// Notes that a guest no longer holds a handle: it dropped it, or gave it away. What it was for
    /// stays: an edited event of a session is the session's.
    pub(crate) fn release(&mut self, number: u32) {
        self.held = self.held.saturating_sub(1);
        self.rows.remove(&number);
    }

    /// How many handles of this call the guest holds.
    pub(crate) fn live(&self) -> usize {
        self.rows.len()
    }

    /// How many handles the guest holds.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How many handles were ever given out.
    pub(crate) fn given(&self) -> u32 {
        self.next
    }

    /// Counts what the guest has the host keep, unless it would be more than it may be.
    pub(crate) fn spend(&mut self, bytes: usize, most: usize) -> bool {
        let spent = self.spent.saturating_add(bytes);
        let fits = spent <= most;
        if fits {
            self.spent = spent;
        }
        fits
    }

    pub(crate) fn get(&self, number: u32) -> Result<&Row, StaleHandle> {
        self.rows.get(&number).ok_or(StaleHandle)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Result<&mut Row, StaleHandle> {
        self.rows.get_mut(&number).ok_or(StaleHandle)
    }

    /// Takes a row that the guest gave back.
    pub(crate) fn take(&mut self, number: u32) -> Result<Row, StaleHandle> {
        self.held = self.held.saturating_sub(1);
        self.rows.remove(&number).ok_or(StaleHandle)
    }

    /// Ends the call: every handle that is still out goes stale.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.session = None;
        self.spent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_given_again() {
        let mut rows = Rows::default();
        let first: Resource<()> = rows.give(Row::Session);
        rows.clear();
        let second: Resource<()> = rows.give(Row::Session);
        assert_ne!(first.rep(), second.rep());
        assert!(rows.get(first.rep()).is_err());
        assert!(rows.get(second.rep()).is_ok());
        assert_eq!(rows.held(), 2);
    }
}
