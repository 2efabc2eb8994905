//! Tracks: named streams of events beside a session's history.

use uuid::Uuid;

use super::SessionService;
use crate::error::Error;
use crate::event::{Event, Received, StoredEvent};
use crate::hook::{CallContext, Purpose};
use crate::json::{Index, Kind};
use crate::key::{SessionKey, Subject, check_track};
use crate::read::ReadOptions;
use crate::store::{Condition, NewTrackEvent, SessionHeader};
use crate::view::SessionView;

/// An item of an append to a track, as it was sent.
#[derive(Debug, Clone)]
pub struct TrackItem {
    /// Its id in the track; None for a new one.
    pub id: Option<String>,
    /// A JSON object, byte for byte.
    pub body: String,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackReply {
    /// Its id.
    pub id: String,
    /// Its sequence in the track. None: a hook dropped it.
    pub sequence: Option<u64>,
    /// Whether that happened in an earlier append.
    pub duplicate: bool,
}

/// A part of a track.
#[derive(Debug)]
pub struct TrackView {
    /// The events, as the hooks let them be seen.
    pub view: SessionView,
    /// Where the next page begins, if there are more: after this sequence.
    pub next: Option<u64>,
}

impl SessionService {
    /// Appends to a track, all or none. The append hooks see each as an entry of kind `track`.
    ///
    /// # Errors
    /// [`Error`]; nothing is stored then.
    pub async fn append_track(
        &self,
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        track: &str,
        items: Vec<TrackItem>,
    ) -> Result<(SessionHeader, Vec<TrackReply>), Error> {
        check_track(track)?;
        let max = self.limits.max_batch;
        if items.is_empty() || items.len() > max {
            return Err(Error::BatchSize { count: items.len(), max });
        }
        let subject = Subject::Session(key.clone());
        let mut replies = Vec::with_capacity(items.len());
        let mut kept = Vec::with_capacity(items.len());
        for (item, TrackItem { id, body }) in items.into_iter().enumerate() {
            let refused = |source| Error::Event { item, source };
            self.check_track_event(id.as_deref(), &body).map_err(refused)?;
            let received = Received { body: body.clone(), ..Received::default() };
            let digest = self.store.digest_key().digest(&received);
            let id = id.unwrap_or_else(|| Uuid::now_v7().to_string());
            replies.push(TrackReply { id: id.clone(), sequence: None, duplicate: false });
            if let Some(body) = self.screen_track(call, &subject, body).await? {
                kept.push((item, NewTrackEvent { id, body, digest }));
            }
        }
        let (numbers, events): (Vec<usize>, Vec<NewTrackEvent>) = kept.into_iter().unzip();
        if events.is_empty() {
            return Ok((self.store.seen(key, &[]).await?.0, replies));
        }
        self.settled(key).await?;
        let appended = self.store.append_track(key, condition, track, &events).await?;
        for (item, (sequence, duplicate)) in numbers.into_iter().zip(appended.outcomes) {
            if let Some(reply) = replies.get_mut(item) {
                (reply.sequence, reply.duplicate) = (Some(sequence), duplicate);
            }
        }
        Ok((appended.header, replies))
    }

    fn check_track_event(
        &self,
        id: Option<&str>,
        body: &str,
    ) -> Result<(), crate::event::EventError> {
        use crate::event::{EventError, MAX_EVENT_ID};
        let max = self.limits.max_event_size;
        if body.len() > max {
            return Err(EventError::TooLarge { size: body.len(), max });
        }
        if id.is_some_and(|id| id.is_empty() || id.len() > MAX_EVENT_ID) {
            return Err(EventError::BadId(id.map_or(0, str::len)));
        }
        match Index::of(body)?.root(body).kind() {
            Kind::Object => Ok(()),
            _ => Err(EventError::NotObject),
        }
    }

    /// Reads a page of a track, oldest first. One that is not there is empty.
    ///
    /// # Errors
    /// As for [`SessionService::get`].
    pub async fn track(
        &self,
        call: &CallContext,
        key: &SessionKey,
        track: &str,
        after: u64,
        limit: u32,
    ) -> Result<TrackView, Error> {
        check_track(track)?;
        let subject = Subject::Session(key.clone());
        let mut options = ReadOptions::new(Purpose::Track, limit);
        options.after_sequence = Some(after);
        let options = self.admitted(call, &subject, options).await?;
        let (after, limit) = (options.after_sequence.unwrap_or(after), options.limit as usize);
        let page = self.store.read_track(key, track, after, limit).await?;
        let next = page.events.last().filter(|_| page.more).map(|event| event.sequence);
        let events = page.events.into_iter().map(|stored| {
            let event = Event::of_track(stored.body, stored.time);
            let event = event.with_id(stored.sequence.to_string());
            StoredEvent { sequence: stored.sequence, event }
        });
        let view = self.view(&subject, Some(page.header), events.collect());
        Ok(TrackView { view: self.hooks.after_get(call, &subject, view).await?, next })
    }

    /// Removes a track. It is no error if there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
    ) -> Result<(), Error> {
        check_track(track)?;
        self.settled(key).await?;
        Ok(self.store.delete_track(key, condition, track).await?)
    }
}
