//! Edits: what is taken out of a session's history, planned once for all stores.
//!
//! A sequence is never given twice, so an entry that goes leaves its place. What it did to the
//! session's state can be taken back as long as that place is kept: every entry notes the values
//! that it replaced.

use std::collections::VecDeque;

use super::{SessionHeader, StoreError};
use crate::event::{EntryKind, Event, StoredEvent};
use crate::state::{StateMap, StateValue};
use crate::summary::{Backlog, Summary};

/// What to take out of a session's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The newest events, so many. What they did to the state stays.
    Pop {
        /// How many; more than there are take all.
        count: u64,
    },
    /// All but the newest part. State stays.
    Trim(Keep),
    /// All events, and all summaries. State stays.
    Clear,
    /// All that came after a point. The session's state is again what it was then; that of the user
    /// and of the app stays.
    Rewind(To),
}

/// Which part of the history a trim leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// What has this sequence or a later one.
    From(u64),
    /// The newest events, so many.
    Events(u64),
    /// The newest turns, so many: from the user's turn on that begins them.
    Turns(u64),
}

/// The last entry that a rewind leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// That of this sequence, or the last one before it.
    Sequence(u64),
    /// The last one before the first event of this invocation.
    BeforeInvocation(String),
}

/// The values of the session's state that an entry replaced, by key; None where there was none.
pub type Undo = Vec<(String, Option<StateValue>)>;

/// The place of an entry that is kept, or was, before an edit took it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its sequence.
    pub sequence: u64,
    /// The entry; None once it was taken out.
    pub event: Option<Event>,
    /// What it replaced, unless that was taken back.
    pub undo: Undo,
}

impl From<StoredEvent> for Place {
    /// The place of an entry that comes from elsewhere: what it replaced is not known.
    fn from(stored: StoredEvent) -> Self {
        Self { sequence: stored.sequence, event: Some(stored.event), undo: Undo::new() }
    }
}

impl Place {
    /// The entry as reads show it.
    pub fn stored(&self) -> Option<StoredEvent> {
        let event = self.event.clone()?;
        Some(StoredEvent { sequence: self.sequence, event })
    }

    fn is_event(&self) -> bool {
        self.event.as_ref().is_some_and(|event| event.kind() == EntryKind::Event)
    }

    /// Whether a turn of the user begins here.
    pub(super) fn is_turn(&self) -> bool {
        self.is_event() && self.event.as_ref().is_some_and(|event| event.facts().user_turn)
    }
}

/// A session's history, as far as it was read.
#[derive(Debug)]
pub struct History<'a> {
    /// What is known of the session.
    pub header: &'a SessionHeader,
    /// Its summaries.
    pub summaries: &'a [Summary],
    /// The newest places, in ascending order.
    pub places: &'a [Place],
    /// Whether those are all that are kept.
    pub whole: bool,
    /// Whether open calls hold back the trimming, so that they must be found again.
    pub follows_calls: bool,
}

/// What an edit amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditPlan {
    /// What is shown begins here now.
    pub first_sequence: u64,
    /// The places that are emptied, each with what it still remembers, in ascending order. Those
    /// before `first_sequence` are not among them.
    pub emptied: Vec<Place>,
    /// Values that the session's state gets back, each key once.
    pub state: Undo,
    /// The filter keys of summaries that told of what is gone.
    pub stale_summaries: Vec<String>,
    /// The sequence of the newest user's turn.
    pub last_user_turn: Option<u64>,
    /// What the history has gathered, without what is gone.
    pub totals: Backlog,
    /// What of it is summarized.
    pub summarized: Backlog,
    /// Ids and sequences of the calls that have no answer now, oldest first. None: those that were
    /// open still are, from `first_sequence` on.
    pub open_calls: Option<Vec<(String, u64)>>,
    /// How many events went.
    pub removed: u64,
    /// The events that a pop took out, in order.
    pub popped: Vec<StoredEvent>,
}

/// What came of planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Do this.
    Ready(Box<EditPlan>),
    /// There is nothing to do.
    Nothing,
    /// Older places must be read first.
    NeedsMore,
}

impl Edit {
    /// Finds out what the edit amounts to.
    ///
    /// # Errors
    /// [`StoreError::NotKept`], when it goes further back than what is kept.
    pub fn plan(&self, history: &History<'_>) -> Result<Planned, StoreError> {
        match self {
            Self::Pop { count } => Ok(history.pop(*count)),
            Self::Trim(keep) => Ok(history.trim(keep)),
            Self::Clear => Ok(history.clear()),
            Self::Rewind(to) => history.rewind(to),
        }
    }
}

impl History<'_> {
    fn pop(&self, count: u64) -> Planned {
        let events = self.places.iter().rev().filter(|place| place.is_event());
        let taken: Vec<&Place> =
            events.take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
        if (taken.len() as u64) < count && !self.whole {
            return Planned::NeedsMore;
        }
        let Some(oldest) = taken.last().map(|place| place.sequence) else {
            return Planned::Nothing;
        };
        let gone = |place: &Place| place.is_event() && place.sequence >= oldest;
        let Some(mut plan) = self.without(gone) else { return Planned::NeedsMore };
        plan.popped = taken.iter().rev().filter_map(|place| place.stored()).collect();
        Planned::Ready(Box::new(plan))
    }

    fn trim(&self, keep: &Keep) -> Planned {
        let from = match keep {
            Keep::From(sequence) => Some(*sequence),
            Keep::Events(count) => self.nth_last(*count, Place::is_event),
            Keep::Turns(count) => self.nth_last(*count, Place::is_turn),
        };
        // Fewer than are to be kept: nothing goes, if all were looked at.
        let Some(from) = from else {
            return if self.whole { Planned::Nothing } else { Planned::NeedsMore };
        };
        let first = from.min(self.header.last_sequence + 1);
        if first <= self.header.first_sequence {
            return Planned::Nothing;
        }
        // What goes is counted.
        if !self.whole {
            return Planned::NeedsMore;
        }
        Planned::Ready(Box::new(self.from(first)))
    }

    /// The sequence of the count-th newest place of a kind; for 0, that which comes next.
    fn nth_last(&self, count: u64, kind: impl Fn(&Place) -> bool) -> Option<u64> {
        let Some(before) = count.checked_sub(1) else { return Some(self.header.last_sequence + 1) };
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        self.places.iter().rev().filter(|place| kind(place)).nth(before).map(|it| it.sequence)
    }

    fn clear(&self) -> Planned {
        let header = self.header;
        let first = header.last_sequence + 1;
        if header.first_sequence >= first && self.summaries.is_empty() {
            return Planned::Nothing;
        }
        // What goes is counted.
        if !self.whole {
            return Planned::NeedsMore;
        }
        let stale_summaries = self.summaries.iter().map(|it| it.filter_key.clone()).collect();
        let nothing = Backlog::default();
        let plan = EditPlan {
            stale_summaries,
            last_user_turn: None,
            totals: nothing,
            summarized: nothing,
            ..self.from(first)
        };
        Planned::Ready(Box::new(plan))
    }

    fn rewind(&self, to: &To) -> Result<Planned, StoreError> {
        let header = self.header;
        let last = match to {
            To::Sequence(sequence) => *sequence,
            To::BeforeInvocation(id) => {
                let is = |place: &Place| {
                    let facts = place.event.as_ref().map(Event::facts);
                    facts.is_some_and(|facts| facts.invocation_id.as_ref() == Some(id))
                };
                // Its first event may lie before those that were read.
                if !self.whole {
                    return Ok(Planned::NeedsMore);
                }
                let first = self.places.iter().find(|place| is(place));
                let Some(first) = first else {
                    return Err(StoreError::NoInvocation { id: id.clone() });
                };
                first.sequence - 1
            }
        };
        if last >= header.last_sequence {
            return Ok(Planned::Nothing);
        }
        if last < header.floor {
            return Err(StoreError::NotKept { oldest: header.floor });
        }
        if !self.reaches(last) {
            return Ok(Planned::NeedsMore);
        }
        let Some(mut plan) = self.without(|place| place.sequence > last) else {
            return Ok(Planned::NeedsMore);
        };
        plan.state = undone(self.places.iter().filter(|place| place.sequence > last));
        plan.emptied.iter_mut().for_each(|place| place.undo.clear());
        Ok(Planned::Ready(Box::new(plan)))
    }

    /// Whether all places after this one were read.
    fn reaches(&self, sequence: u64) -> bool {
        self.whole || self.places.first().is_some_and(|place| place.sequence <= sequence + 1)
    }

    /// Keeps what has this sequence or a later one. How many events go is known if all were read.
    fn from(&self, first: u64) -> EditPlan {
        let header = self.header;
        let gone = self.places.iter().filter(|place| place.sequence < first);
        EditPlan {
            first_sequence: first,
            emptied: Vec::new(),
            state: Undo::new(),
            stale_summaries: Vec::new(),
            last_user_turn: header.last_user_turn,
            totals: header.totals,
            summarized: header.summarized,
            open_calls: None,
            removed: gone.filter(|place| place.is_event()).count() as u64,
            popped: Vec::new(),
        }
    }

    /// Empties some of the newest places. None: older ones must be read first.
    fn without(&self, gone: impl Fn(&Place) -> bool) -> Option<EditPlan> {
        let header = self.header;
        if self.follows_calls && !self.whole {
            return None;
        }
        let kept = || self.places.iter().filter(|place| !gone(place));
        let emptied: Vec<Place> = self.places.iter().filter(|place| gone(place)).cloned().collect();
        let lost = emptied.first()?.sequence;
        let turn = kept().rev().find(|place| place.is_turn()).map(|place| place.sequence);
        let had_turn = header.last_user_turn.is_some_and(|turn| turn >= header.first_sequence);
        if turn.is_none() && had_turn && !self.whole {
            return None;
        }
        let stale: Vec<&Summary> =
            self.summaries.iter().filter(|summary| summary.last_sequence >= lost).collect();
        let less = backlog_of(&emptied);
        let whole_is_stale = stale.iter().any(|summary| summary.filter_key.is_empty());
        let emptied = emptied.into_iter().map(|place| Place { event: None, ..place }).collect();
        Some(EditPlan {
            emptied,
            stale_summaries: stale.iter().map(|summary| summary.filter_key.clone()).collect(),
            last_user_turn: turn,
            totals: header.totals.without(less),
            summarized: if whole_is_stale { Backlog::default() } else { header.summarized },
            open_calls: self.follows_calls.then(|| open_calls(kept())),
            removed: less.events,
            ..self.from(header.first_sequence)
        })
    }
}

/// What the events at these places amount to.
pub(super) fn backlog_of<'a>(places: impl IntoIterator<Item = &'a Place>) -> Backlog {
    let events = places.into_iter().filter(|place| place.is_event());
    let stored: Vec<StoredEvent> = events.filter_map(Place::stored).collect();
    Backlog::of(&stored)
}

/// Gives a state the values back that it had.
pub(super) fn take_back(undo: Undo, state: &mut StateMap) {
    for (key, value) in undo {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
}

/// What the state was before these places, of the keys that they changed. Places in ascending order.
pub fn undone<'a>(places: impl DoubleEndedIterator<Item = &'a Place>) -> Undo {
    let mut state = Undo::new();
    // The oldest value is the one that counts.
    for (key, value) in places.flat_map(|place| &place.undo) {
        if !state.iter().any(|(known, _)| known == key) {
            state.push((key.clone(), value.clone()));
        }
    }
    state
}

/// Ids and sequences of the calls without an answer, oldest first: a result answers the oldest open
/// call of its id.
pub fn open_calls<'a>(places: impl IntoIterator<Item = &'a Place>) -> Vec<(String, u64)> {
    let mut open: VecDeque<(String, u64)> = VecDeque::new();
    for place in places {
        let Some(facts) = place.event.as_ref().map(Event::facts) else { continue };
        for id in &facts.results {
            if let Some(at) = open.iter().position(|(call, _)| call == id) {
                open.remove(at);
            }
        }
        open.extend(facts.calls.iter().map(|id| (id.clone(), place.sequence)));
    }
    open.into()
}
