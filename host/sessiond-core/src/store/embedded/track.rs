//! A track of a session in memory.

use std::collections::VecDeque;

use crate::store::whole::TrackEvent;
use crate::time::Time;

/// A named stream of events beside a session's history.
#[derive(Debug, Default)]
pub(super) struct Track {
    last: u64,
    events: VecDeque<TrackEvent>,
    pub(super) expires_at: Option<Time>,
}

impl Track {
    pub(super) fn of(events: &[TrackEvent]) -> Self {
        let last = events.last().map_or(0, |event| event.sequence);
        Self { last, events: events.iter().cloned().collect(), ..Self::default() }
    }

    /// Puts an event at the end, and lets go of the oldest past the limit.
    pub(super) fn push(&mut self, body: String, limit: Option<u64>, now: Time) -> u64 {
        self.last += 1;
        self.events.push_back(TrackEvent { sequence: self.last, time: now, body });
        while limit.is_some_and(|limit| self.events.len() as u64 > limit) {
            self.events.pop_front();
        }
        self.last
    }

    pub(super) fn all(&self) -> Vec<TrackEvent> {
        self.events.iter().cloned().collect()
    }

    pub(super) fn after(&self, sequence: u64) -> Vec<TrackEvent> {
        self.events.iter().filter(|event| event.sequence > sequence).cloned().collect()
    }
}
