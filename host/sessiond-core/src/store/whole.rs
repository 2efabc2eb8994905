//! A session with all that is stored of it, on its way to another place.

use std::time::Duration;

use super::edit::{Place, backlog_of, open_calls, take_back, undone};
use super::{Fate, Seen, SessionHeader, StoreError};
use crate::digest::DigestKey;
use crate::event::StoredEvent;
use crate::state::StateMap;
use crate::summary::{Backlog, Summary};
use crate::time::Time;

/// How long one session lives without being touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionTtl {
    /// As the configuration says for all.
    #[default]
    Default,
    /// For ever.
    Never,
    /// So long.
    After(Duration),
}

/// Where a session was forked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user of that session.
    pub user: String,
    /// Its name.
    pub session: String,
    /// The last sequence that both share.
    pub sequence: u64,
}

/// An entry of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackEvent {
    /// Its number in the track, from 1.
    pub sequence: u64,
    /// When it was appended.
    pub time: Time,
    /// The client's JSON, byte for byte.
    pub body: String,
}

/// A session with all that is stored of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// When it was created. What is later than now counts as now.
    pub created_at: Time,
    /// When it was last written. What is later than now counts as now, and a store moves what another
    /// session of the user has.
    pub updated_at: Time,
    /// How long it lives.
    pub ttl: SessionTtl,
    /// The sequence of its newest entry, whether that is kept or not.
    pub last_sequence: u64,
    /// The lowest sequence that it can be rewound to.
    pub floor: u64,
    /// What is kept, in ascending order.
    pub places: Vec<Place>,
    /// The session's own state.
    pub state: StateMap,
    /// Its summaries.
    pub summaries: Vec<Summary>,
    /// What its history has gathered.
    pub totals: Backlog,
    /// What of that is summarized.
    pub summarized: Backlog,
    /// Its tracks.
    pub tracks: Vec<(String, Vec<TrackEvent>)>,
    /// Where it comes from.
    pub origin: Option<Origin>,
    /// The ids that are remembered, and what became of each.
    pub ids: Vec<(String, Seen)>,
}

impl Whole {
    /// Takes back all that came after a sequence.
    ///
    /// # Errors
    /// [`StoreError::NotKept`], when that is not kept any more.
    pub fn as_of(mut self, sequence: u64) -> Result<Self, StoreError> {
        if sequence >= self.last_sequence {
            return Ok(self);
        }
        if sequence < self.floor {
            return Err(StoreError::NotKept { oldest: self.floor });
        }
        let from = self.places.partition_point(|place| place.sequence <= sequence);
        let later = self.places.split_off(from);
        self.ids.retain(|(_, seen)| !matches!(seen.fate, Fate::Stored(at) if at > sequence));
        take_back(undone(later.iter()), &mut self.state);
        self.totals = self.totals.without(backlog_of(&later));
        self.summaries.retain(|summary| summary.last_sequence <= sequence);
        if !self.summaries.iter().any(|summary| summary.filter_key.is_empty()) {
            self.summarized = Backlog::default();
        }
        self.last_sequence = sequence;
        Ok(self)
    }

    /// The same, without what is older than so many of the newest entries: a store keeps no more of
    /// it than of any session. An open call holds back the cut, as at an append.
    #[must_use]
    pub fn within(mut self, limit: Option<u64>) -> Self {
        let Some(limit) = limit else { return self };
        let mut first = (self.last_sequence + 1).saturating_sub(limit);
        let held = open_calls(&self.places).into_iter().map(|(_, sequence)| sequence);
        let held = held.filter(|call| self.last_sequence - call < limit.saturating_mul(2)).min();
        first = held.map_or(first, |call| first.min(call));
        self.places.retain(|place| place.sequence >= first);
        self.floor = self.floor.max(first.saturating_sub(1)).min(self.last_sequence);
        self
    }

    /// The sequence of the oldest entry that is kept.
    pub fn first_sequence(&self) -> u64 {
        self.places.first().map_or(self.last_sequence + 1, |place| place.sequence)
    }

    /// The sequence of the newest user's turn that is kept.
    pub fn last_user_turn(&self) -> Option<u64> {
        let mut latest = self.places.iter().rev();
        latest.find(|place| place.is_turn()).map(|place| place.sequence)
    }

    /// A whole of entries that come from elsewhere, in ascending order. What they replaced in the
    /// state is not known, so it cannot be rewound to a sequence before the last.
    pub fn of_entries(
        entries: Vec<StoredEvent>,
        last_sequence: u64,
        state: StateMap,
        summaries: Vec<Summary>,
    ) -> Self {
        let places = entries.into_iter().map(Place::from);
        let whole = Self {
            created_at: Time::from_nanos(0),
            updated_at: Time::from_nanos(0),
            ttl: SessionTtl::Default,
            last_sequence,
            floor: last_sequence,
            places: places.collect(),
            state,
            summaries,
            totals: Backlog::default(),
            summarized: Backlog::default(),
            tracks: Vec::new(),
            origin: None,
            ids: Vec::new(),
        };
        whole.counted()
    }

    /// The same, with what its entries amount to.
    #[must_use]
    pub fn counted(mut self) -> Self {
        let boundary = self.summaries.iter().find(|summary| summary.filter_key.is_empty());
        let boundary = boundary.map_or(0, |summary| summary.last_sequence);
        self.totals = backlog_of(&self.places);
        self.summarized = backlog_of(self.places.iter().filter(|place| place.sequence <= boundary));
        self
    }

    /// The entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = StoredEvent> {
        self.places.iter().filter_map(Place::stored)
    }

    /// A whole of what a snapshot of all places shows.
    pub fn of(
        header: &SessionHeader,
        places: Vec<Place>,
        state: StateMap,
        summaries: Vec<Summary>,
    ) -> Self {
        Self {
            created_at: header.created_at,
            updated_at: header.updated_at,
            ttl: SessionTtl::Default,
            last_sequence: header.last_sequence,
            floor: header.floor,
            places,
            state,
            summaries,
            totals: header.totals,
            summarized: header.summarized,
            tracks: Vec::new(),
            origin: None,
            ids: Vec::new(),
        }
    }

    /// Remembers the ids of all events, for one that comes from elsewhere.
    pub fn remember(&mut self, digests: DigestKey) {
        let stored = self.places.iter().filter_map(|place| {
            let event = place.event.as_ref()?;
            let digest = digests.of_event(event);
            Some((event.id().to_owned(), Seen { digest, fate: Fate::Stored(place.sequence) }))
        });
        self.ids = stored.collect();
    }
}
