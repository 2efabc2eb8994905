//! A track of a session in memory.

use std::collections::{HashMap, VecDeque};

use crate::digest::Digest;
use crate::store::whole::TrackEvent;
use crate::store::{NewTrackEvent, StoreError};
use crate::time::Time;

/// A named stream of events beside a session's history.
#[derive(Debug, Default)]
pub(super) struct Track {
    last: u64,
    events: VecDeque<TrackEvent>,
    ids: HashMap<String, (Digest, u64)>,
    older_ids: HashMap<String, (Digest, u64)>,
    pub(super) expires_at: Option<Time>,
}

impl Track {
    pub(super) fn of(events: &[TrackEvent]) -> Self {
        let last = events.last().map_or(0, |event| event.sequence);
        Self { last, events: events.iter().cloned().collect(), ..Self::default() }
    }

    fn seen(&self, id: &str) -> Option<(Digest, u64)> {
        self.ids.get(id).or_else(|| self.older_ids.get(id)).copied()
    }

    /// Appends all, or none. For each, its sequence and whether it was there.
    pub(super) fn append(
        &mut self,
        events: &[NewTrackEvent],
        limit: Option<u64>,
        now: Time,
    ) -> Result<Vec<(u64, bool)>, StoreError> {
        let mut digests: HashMap<&str, Digest> = HashMap::new();
        for event in events {
            let known = self.seen(&event.id).map(|(digest, _)| digest);
            let same = known.unwrap_or(*digests.entry(&event.id).or_insert(event.digest));
            if same != event.digest {
                return Err(StoreError::IdConflict { id: event.id.clone() });
            }
        }
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            if let Some((_, sequence)) = self.seen(&event.id) {
                outcomes.push((sequence, true));
                continue;
            }
            self.last += 1;
            if limit.is_some_and(|limit| self.ids.len() as u64 >= limit) {
                self.older_ids = std::mem::take(&mut self.ids);
            }
            self.ids.insert(event.id.clone(), (event.digest, self.last));
            let (sequence, body) = (self.last, event.body.clone());
            self.events.push_back(TrackEvent { sequence, time: now, body });
            outcomes.push((sequence, false));
        }
        while limit.is_some_and(|limit| self.events.len() as u64 > limit) {
            self.events.pop_front();
        }
        Ok(outcomes)
    }

    pub(super) fn all(&self) -> Vec<TrackEvent> {
        self.events.iter().cloned().collect()
    }

    pub(super) fn after(&self, sequence: u64) -> Vec<TrackEvent> {
        self.events.iter().filter(|event| event.sequence > sequence).cloned().collect()
    }
}
