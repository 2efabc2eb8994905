//! Import and fork: a whole session on its way in.

use uuid::Uuid;

use super::{Created, SessionService};
use crate::error::Error;
use crate::event::{Event, StoredEvent};
use crate::hook::CallContext;
use crate::hook::chain::Pending;
use crate::key::{SessionKey, Subject, UserKey};
use crate::state::{Scope, StateDelta, StateMap};
use crate::store::edit::Place;
use crate::store::whole::{Origin, Whole};
use crate::store::{SessionHeader, StoreError};
use crate::summary::Summary;
use crate::time::Time;
use crate::view::json::summary_body;
use crate::workers::summary::text_and_topics;

/// Whether the append hooks look at what is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screening {
    /// They do, as at an append.
    Hooks,
    /// They do not: the operator wants it as it is.
    Bypass,
}

/// What an import came to.
#[derive(Debug)]
pub enum Imported {
    /// The session is there now.
    Stored(SessionHeader),
    /// There was one before. This is what would have been stored otherwise.
    Exists(Box<Whole>),
}

/// What a fork is to be.
#[derive(Debug, Clone, Default)]
pub struct Fork {
    /// Its name; None for a UUIDv7.
    pub id: Option<String>,
    /// Its user; None for the same.
    pub user: Option<String>,
    /// The last sequence that it shares; None for all.
    pub to: Option<u64>,
}

impl SessionService {
    /// Puts a whole session where none is. Changes of state that its entries carry have been made:
    /// they show in the state that comes with it, and are not made again.
    ///
    /// # Errors
    /// [`Error`]; nothing is stored then.
    pub async fn import(
        &self,
        call: &CallContext,
        key: &SessionKey,
        mut whole: Whole,
        screening: Screening,
    ) -> Result<Imported, Error> {
        if whole.ids.is_empty() {
            whole.remember(self.store.digest_key());
        }
        let screened = match screening {
            Screening::Hooks => self.screened(call, key, whole).await?,
            Screening::Bypass => whole,
        };
        let Some(header) = self.store.restore(key, &screened).await? else {
            return Ok(Imported::Exists(Box::new(screened)));
        };
        metrics::counter!("sessiond_sessions_created_total").increment(1);
        if screening == Screening::Hooks {
            let subject = Subject::Session(key.clone());
            let entries: Vec<StoredEvent> =
                screened.places.iter().filter_map(Place::stored).collect();
            for part in entries.chunks(self.limits.max_batch.max(1)) {
                self.hooks.after_append(call, &subject, part).await;
            }
        }
        Ok(Imported::Stored(header))
    }

    /// Makes a session of another one, as that was at a sequence (R83). The append hooks see its
    /// entries, as they are stored; tracks stay behind.
    ///
    /// # Errors
    /// [`Error`]; there is no new session then.
    pub async fn fork(
        &self,
        call: &CallContext,
        key: &SessionKey,
        fork: Fork,
    ) -> Result<Created, Error> {
        let user = match fork.user {
            Some(user) => key.app_key().clone().user(user)?,
            None => UserKey::clone(key.user_key()),
        };
        let target = user.session(fork.id.unwrap_or_else(|| Uuid::now_v7().to_string()))?;
        self.settled(key).await?;
        let whole = self.store.whole(key).await?.ok_or(StoreError::NotFound)?;
        let whole = whole.as_of(fork.to.unwrap_or(u64::MAX))?;
        let (user, session) = (key.user().to_owned(), key.session().to_owned());
        let origin = Some(Origin { user, session, sequence: whole.last_sequence });
        let now = Time::from_nanos(i64::MAX);
        let whole = Whole { origin, tracks: Vec::new(), created_at: now, updated_at: now, ..whole };
        match self.import(call, &target, whole, Screening::Hooks).await? {
            Imported::Stored(header) => {
                let view = self.shown(call, &target).await;
                Ok(Created { key: target, existed: false, header, view })
            }
            Imported::Exists(_) => Err(Error::Exists),
        }
    }

    /// What the append hooks make of a session: its entries in batches, its state as one change, its
    /// summaries one by one.
    ///
    /// # Errors
    /// [`Error::Hook`], when one of them says no.
    pub async fn screened(
        &self,
        call: &CallContext,
        key: &SessionKey,
        mut whole: Whole,
    ) -> Result<Whole, Error> {
        if !self.hooks.screens_appends() {
            return Ok(whole);
        }
        let subject = Subject::Session(key.clone());
        let mut kept = Vec::with_capacity(whole.places.len());
        let mut added = Vec::new();
        for part in whole.places.chunks(self.limits.max_batch.max(1)) {
            added.extend(self.screen_part(call, &subject, part, &mut kept).await?);
        }
        // Sequences tell what refers to what, so that what a hook adds comes after all.
        for pending in added {
            whole.last_sequence += 1;
            let event = Some(Event::clone(&pending.event));
            kept.push(Place { sequence: whole.last_sequence, event, undo: Vec::new() });
        }
        whole.places = kept;
        whole.state = self.screen_state(call, &subject, whole.state).await?;
        let mut summaries = Vec::with_capacity(whole.summaries.len());
        for summary in whole.summaries {
            summaries.extend(self.screen_summary(call, &subject, summary).await?);
        }
        whole.summaries = summaries;
        for (_, events) in &mut whole.tracks {
            let mut kept = Vec::with_capacity(events.len());
            for event in events.drain(..) {
                let body = self.screen_track(call, &subject, event.body).await?;
                kept.extend(body.map(|body| crate::store::whole::TrackEvent { body, ..event }));
            }
            *events = kept;
        }
        Ok(whole)
    }

    /// Returns what a hook has added. What it drops leaves its place.
    async fn screen_part(
        &self,
        call: &CallContext,
        subject: &Subject,
        part: &[Place],
        kept: &mut Vec<Place>,
    ) -> Result<Vec<Pending>, Error> {
        let events: Vec<Event> = part.iter().filter_map(|place| place.event.clone()).collect();
        let mut screened = self.hooks.before_append(call, subject, events).await?.events;
        let added = screened.extract_if(.., |pending| pending.item.is_none()).collect();
        let mut numbers = 0..;
        for place in part {
            let mut place = place.clone();
            if place.event.is_some() {
                let number = numbers.next();
                let after = screened.iter().find(|pending| pending.item == number);
                place.event = after.map(|pending| Event::clone(&pending.event));
            }
            kept.push(place);
        }
        Ok(added)
    }

    async fn screen_state(
        &self,
        call: &CallContext,
        subject: &Subject,
        state: StateMap,
    ) -> Result<StateMap, Error> {
        if state.is_empty() {
            return Ok(state);
        }
        let event = self.state_event(StateDelta::set(state))?;
        let screened = self.hooks.before_append(call, subject, vec![event]).await?;
        let mut kept = StateMap::new();
        for pending in screened.events {
            pending.event.delta().apply(Scope::Session, &mut kept);
        }
        Ok(kept)
    }

    async fn screen_summary(
        &self,
        call: &CallContext,
        subject: &Subject,
        summary: Summary,
    ) -> Result<Option<Summary>, Error> {
        let body = summary_body(&summary.text, &summary.topics);
        let event = Event::of_summary(body, self.now());
        let kept = self.hooks.before_one(call, subject, event).await?.ok();
        Ok(kept.map(|kept| {
            let (text, topics) = text_and_topics(kept.body());
            Summary { text, topics, ..summary }
        }))
    }

    /// What the append hooks leave of an event of a track. None: one of them dropped it.
    pub(super) async fn screen_track(
        &self,
        call: &CallContext,
        subject: &Subject,
        body: String,
    ) -> Result<Option<String>, Error> {
        let event = Event::of_track(body, self.now());
        let kept = self.hooks.before_one(call, subject, event).await?.ok();
        Ok(kept.map(|kept| kept.body().to_owned()))
    }
}
