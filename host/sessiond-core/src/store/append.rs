//! What an append is given, and what it answers.

use std::sync::Arc;

use uuid::Uuid;

use super::SessionHeader;
use crate::digest::Digest;
use crate::event::Event;

/// One item of an append.
#[derive(Debug, Clone)]
pub enum NewEntry {
    /// To be stored.
    Event {
        /// The entry, after hooks.
        event: Arc<Event>,
        /// Its digest, from before hooks.
        digest: Digest,
    },
    /// A hook dropped it. Only its id is kept, so that a retry gets the same answer.
    Dropped {
        /// Its id.
        id: String,
        /// Its digest.
        digest: Digest,
        /// The plugin that dropped it.
        by: String,
    },
}

impl NewEntry {
    /// The id of the item.
    pub fn id(&self) -> &str {
        match self {
            Self::Event { event, .. } => event.id(),
            Self::Dropped { id, .. } => id,
        }
    }

    /// The digest of the item.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Event { digest, .. } | Self::Dropped { digest, .. } => *digest,
        }
    }
}

/// What must hold for a write to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Condition {
    /// The session is still this one.
    pub generation: Option<u64>,
    /// Nobody has written it meanwhile.
    pub revision: Option<u64>,
    /// The lease that the writer holds, if any.
    pub lease: Option<Uuid>,
}

/// What became of an item: of this append, or of the earlier one that it repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is stored under this sequence.
    Stored(u64),
    /// A plugin dropped it.
    Dropped(String),
}

impl Fate {
    /// The sequence, if it is stored.
    pub fn sequence(&self) -> Option<u64> {
        match self {
            Self::Stored(sequence) => Some(*sequence),
            Self::Dropped(_) => None,
        }
    }
}

/// The answer to one item of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What became of it.
    pub fate: Fate,
    /// Whether that happened in an earlier append.
    pub duplicate: bool,
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The session, as it is now.
    pub header: SessionHeader,
    /// For each item, in order.
    pub outcomes: Vec<Outcome>,
    /// Tool calls without an answer that no longer hold back the trimming.
    pub given_up: u64,
}

impl Appended {
    /// The answers to appends that were made as one step, of so many items each. Each has the session
    /// as it was after that append alone, as far as clients tell by it: only the last one's revision
    /// is that of the session now.
    pub fn split(self, lengths: &[usize]) -> Vec<Self> {
        let Self { header, outcomes, given_up } = self;
        let mut outcomes = outcomes.into_iter();
        let parts: Vec<Vec<Outcome>> =
            lengths.iter().map(|length| outcomes.by_ref().take(*length).collect()).collect();
        let newest = |part: &Vec<Outcome>| {
            let fresh = part.iter().filter(|outcome| !outcome.duplicate);
            fresh.filter_map(|outcome| outcome.fate.sequence()).max()
        };
        let wrote = parts.iter().any(|part| newest(part).is_some());
        let mut after = parts.len() as u64;
        let mut last = parts
            .iter()
            .filter_map(newest)
            .min()
            .map_or(header.last_sequence, |first| first.saturating_sub(1));
        let mut given_up = Some(given_up);
        let parts = parts.into_iter().map(|outcomes| {
            after -= 1;
            last = newest(&outcomes).unwrap_or(last);
            let (revision, last_sequence) = match wrote {
                true => (header.revision.saturating_sub(after), last),
                false => (header.revision, header.last_sequence),
            };
            let header = SessionHeader { revision, last_sequence, ..header };
            Self { header, outcomes, given_up: given_up.take().unwrap_or(0) }
        });
        parts.collect()
    }
}

/// Where an append stands in the journal of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalMark {
    /// The journal.
    pub journal: Uuid,
    /// The position in it. Below 2^53.
    pub position: u64,
}

/// An id that was seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The digest of the event that it was for.
    pub digest: Digest,
    /// What became of that.
    pub fate: Fate,
}
