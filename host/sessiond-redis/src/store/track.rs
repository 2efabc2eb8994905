//! Tracks: named streams of events beside a session's history.

use sessiond_core::key::SessionKey;
use sessiond_core::store::{
    Condition, Fate, MAX_TRACKS, NewTrackEvent, StoreError, TrackAppended, TrackPage,
};

use super::RedisStore;
use super::batch::{Batch, Common, begin, refusal};
use super::reading::lrange;
use crate::codec;
use crate::id_field::id_field;
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
        let once = Batch::new(items);
        let (count, clash) = (once.entries.len(), once.clash.is_some());
        let common = Common { count, condition, clash, ..Common::default() };
        let mut script = begin(&TRACK, &keys, &self.terms, &common, &[]);
        script.arg(&name).arg(MAX_TRACKS);
        for event in &once.entries {
            let mut id = vec![ID_MARK];
            id.extend_from_slice(name.as_bytes());
            id.push(ID_MARK);
            id.extend(id_field(&event.id));
            script.arg(id);
        }
        for event in &once.entries {
            script.arg(event.digest.bytes());
        }
        for event in &once.entries {
            script.arg(&event.body);
        }
        let mut reply = self.client.call().script(&script).await?;
        match reply.text()?.as_str() {
            "done" => {}
            "conflict" => return Err(once.conflict(&mut reply)?),
            word => return Err(refusal(word, &mut reply)),
        }
        let header = super::edit::header_of(&mut reply)?;
        let mut fates = Vec::with_capacity(count);
        while !reply.is_empty() {
            fates.push(reply.fate()?);
        }
        let outcomes = once.spread(&fates, || reply.unreadable())?.into_iter();
        let outcomes = outcomes.map(|outcome| match outcome.fate {
            Fate::Stored(sequence) => Ok((sequence, outcome.duplicate)),
            Fate::Dropped(_) => Err(reply.unreadable()),
        });
        Ok(TrackAppended { header, outcomes: outcomes.collect::<Result<_, _>>()? })
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
            let Some(seen) = self.look(&call, &keys, Vec::new()).await? else {
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
