//! Tracks: named streams of events beside a session's history.

use std::collections::HashMap;

use sessiond_core::digest::Digest;
use sessiond_core::key::SessionKey;
use sessiond_core::store::{
    Condition, Fate, MAX_TRACKS, NewTrackEvent, StoreError, TrackAppended, TrackPage,
};

use super::RedisStore;
use super::batch::{Common, begin, refusal};
use super::reading::lrange;
use crate::codec;
use crate::keyspace::escape_track;
use crate::script::{DROP_TRACK, TRACK};

/// What ids of tracks begin with among those of the session. No text has this byte, so they are
/// none of the session's events.
pub(super) const ID_MARK: u8 = 0xff;

impl RedisStore {
    pub(super) async fn append_to_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
        items: &[NewTrackEvent],
    ) -> Result<TrackAppended, StoreError> {
        let keys = self.keyspace.session(key);
        let name = escape_track(track);
        let once = Once::of(items);
        let (count, clash) = (once.events.len(), once.clash.is_some());
        let common = Common { count, condition, clash, ..Common::default() };
        let mut script = begin(&TRACK, &keys, &self.terms, &common, &[]);
        script.arg(&name).arg(MAX_TRACKS);
        for event in &once.events {
            let mut id = vec![ID_MARK];
            id.extend_from_slice(name.as_bytes());
            id.push(ID_MARK);
            id.extend_from_slice(event.id.as_bytes());
            script.arg(id);
        }
        for event in &once.events {
            script.arg(event.digest.bytes());
        }
        for event in &once.events {
            script.arg(&event.body);
        }
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "done" => {}
            "conflict" => {
                let at = usize::try_from(reply.number()?).unwrap_or_default();
                let event = once.events.get(at.wrapping_sub(1)).map(|event| event.id.as_str());
                let id = event.or(once.clash).ok_or_else(|| reply.unreadable())?;
                return Err(StoreError::IdConflict { id: id.to_owned() });
            }
            word => return Err(refusal(word, &mut reply)),
        }
        let header = super::edit::header_of(&mut reply)?;
        let mut fates: Vec<(u64, bool)> = Vec::with_capacity(count);
        while !reply.is_empty() {
            match reply.fate()? {
                (Fate::Stored(sequence), earlier) => fates.push((sequence, earlier)),
                (Fate::Dropped(_), _) => return Err(reply.unreadable().into()),
            }
        }
        let outcome = |(place, repeats): &(usize, bool)| {
            let (sequence, earlier) = fates.get(*place).ok_or_else(|| reply.unreadable())?;
            Ok((*sequence, *earlier || *repeats))
        };
        let outcomes: Result<_, StoreError> = once.places.iter().map(outcome).collect();
        Ok(TrackAppended { header, outcomes: outcomes? })
    }

    pub(super) async fn read_from_track(
        &self,
        key: &SessionKey,
        track: &str,
        after: u64,
        limit: usize,
    ) -> Result<TrackPage, StoreError> {
        let (call, keys) = (self.client.call(), self.keyspace.session(key));
        let name = escape_track(track);
        loop {
            let Some(seen) = self.look(&call, &keys, None).await? else {
                return Err(StoreError::NotFound);
            };
            let header = seen.header;
            let ends = seen.session.tracks.iter().find(|(known, ..)| *known == name);
            let Some((_, last, first)) = ends.filter(|(_, last, _)| *last > after) else {
                return Ok(TrackPage { header, events: Vec::new(), more: false });
            };
            let from = after.saturating_add(1).max(*first);
            let (begin, end) = (from - first, (from - first).saturating_add(limit as u64));
            let mut pipe = redis::pipe();
            pipe.add_command(lrange(&keys.track(&name), &begin.to_string(), &end.to_string()));
            pipe.cmd("HMGET").arg(&keys.hash).arg("#g").arg(format!("k{name}"));
            type Page = (Vec<Vec<u8>>, (Option<String>, Option<String>));
            let (events, (generation, now)): Page = call.pipeline(&pipe).await?;
            let events: Result<Vec<_>, _> = events.into_iter().map(codec::track_event).collect();
            let mut events = events?;
            let same = generation.as_deref() == Some(&seen.session.header.generation);
            let kept = now.as_deref().map(codec::track_ends).transpose()?;
            // A track whose time is over is gone, though its session still knows of it.
            let gone = events.is_empty() && kept == Some((*last, *first));
            let right = events.first().is_some_and(|event| event.sequence == from);
            if !same || !(gone || right) {
                continue;
            }
            let more = events.len() > limit;
            events.truncate(limit);
            return Ok(TrackPage { header, events, more });
        }
    }

    pub(super) async fn drop_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
    ) -> Result<(), StoreError> {
        let keys = self.keyspace.session(key);
        let common = Common { condition, ..Common::default() };
        let mut script = begin(&DROP_TRACK, &keys, &self.terms, &common, &[]);
        let mut reply = self.client.call().script(script.arg(escape_track(track))).await?;
        match reply.text()?.as_str() {
            "done" => Ok(()),
            word => Err(refusal(word, &mut reply)),
        }
    }
}

/// The items of an append, each id once.
struct Once<'a> {
    events: Vec<&'a NewTrackEvent>,
    /// For each item, which of those it is, and whether it repeats it.
    places: Vec<(usize, bool)>,
    /// The id of the first item that contradicts an earlier one.
    clash: Option<&'a str>,
}

impl<'a> Once<'a> {
    fn of(items: &'a [NewTrackEvent]) -> Self {
        let mut first: HashMap<&str, (usize, Digest)> = HashMap::new();
        let mut once = Self { events: Vec::new(), places: Vec::new(), clash: None };
        for item in items {
            match first.get(item.id.as_str()) {
                Some((_, digest)) if *digest != item.digest => {
                    once.clash = Some(&item.id);
                    break;
                }
                Some((place, _)) => once.places.push((*place, true)),
                None => {
                    first.insert(&item.id, (once.events.len(), item.digest));
                    once.places.push((once.events.len(), false));
                    once.events.push(item);
                }
            }
        }
        once
    }
}
