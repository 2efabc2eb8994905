//! The embedded store: all sessions in this process' memory, gone when it stops.
//!
//! It is what the daemon uses without a `[redis]` table, and the reference for every other store:
//! the rules of a session are written here once, plainly, and other stores are tested against them.

mod plugin;
mod record;
mod track;
mod world;

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use uuid::Uuid;

use self::record::Record;
use self::world::{Values, World};
use super::claim::{ClaimRequest, Claimed};
use super::edit::Edit;
use super::lease::{Lease, LeaseRequest};
use super::watch::{NoticeBoard, Watch, Watched};
use super::whole::{SessionTtl, Whole};
use super::{
    Appended, Condition, Edited, HistoryVersion, JournalMark, KeyFilter, MAX_TRACKS, NewEntry,
    NewTrackEvent, PageToken, Range, Seen, SessionHeader, SessionPage, SessionStore, Snapshot,
    StoreError, StoreRules, SummaryCommit, TrackAppended, TrackPage, TtlRefresh,
};
use crate::digest::DigestKey;
use crate::event::Event;
use crate::key::{AppKey, SessionKey, UserKey};
use crate::state::{Scope, ScopedState, StateDelta, StateMap};
use crate::summary::{Backlog, Summary};
use crate::time::{Clock, SystemClock, Time};

/// How many keys [`SessionStore::keys`] returns at a time.
const KEYS_AT_ONCE: usize = 100;

/// Sessions in memory.
#[derive(Debug)]
pub struct EmbeddedStore {
    rules: StoreRules,
    clock: Arc<dyn Clock>,
    digest_key: DigestKey,
    world: Mutex<World>,
    board: Arc<NoticeBoard>,
}

fn is_over(expires_at: Option<Time>, now: Time) -> bool {
    expires_at.is_some_and(|at| at <= now)
}

fn deadline(ttl: Option<Duration>, now: Time) -> Option<Time> {
    let ttl = i64::try_from(ttl?.as_nanos()).unwrap_or(i64::MAX);
    Some(Time::from_nanos(now.nanos().saturating_add(ttl)))
}

impl EmbeddedStore {
    /// An empty store.
    pub fn new(rules: StoreRules) -> Self {
        Self::with_clock(rules, Arc::new(SystemClock))
    }

    /// An empty store, with a clock that a test may move.
    pub fn with_clock(rules: StoreRules, clock: Arc<dyn Clock>) -> Self {
        Self {
            rules,
            clock,
            digest_key: DigestKey::random(),
            world: Mutex::default(),
            board: Arc::default(),
        }
    }

    /// The world and the current time. A panic elsewhere leaves the world whole: every method
    /// checks first and changes afterwards.
    fn world(&self) -> (MutexGuard<'_, World>, Time) {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        (world, self.clock.now())
    }
}

impl EmbeddedStore {
    /// Appends entries as so many steps.
    fn append_steps(
        &self,
        key: &SessionKey,
        condition: Condition,
        entries: &[NewEntry],
        steps: u64,
    ) -> Result<Appended, StoreError> {
        let (mut world, now) = self.world();
        let plan = world.record(key, now)?.plan(condition, entries, now)?;
        if plan.is_repeat() {
            let header = world.record(key, now)?.header();
            return Ok(Appended { header, outcomes: plan.repeated(), given_up: 0 });
        }
        let stores = plan.stores(entries);
        let updated_at = world.update_time(now);
        let record = world.record_mut(key, now)?;
        let before = record.updated_at;
        let (outcomes, given_up) = record.append(entries, steps, plan, now, &self.rules);
        if stores {
            record.updated_at = updated_at;
            record.touch(&self.rules, now);
        }
        let updated_at = record.updated_at;
        let header = record.header();
        for (entry, outcome) in entries.iter().zip(&outcomes) {
            if let (NewEntry::Event { event, .. }, false) = (entry, outcome.duplicate) {
                world.change_shared(key, event.delta(), &self.rules, now);
            }
        }
        world.list_again(key, before, updated_at);
        self.board.tell(key, false);
        Ok(Appended { header, outcomes, given_up })
    }
}

#[async_trait]
impl SessionStore for EmbeddedStore {
    fn digest_key(&self) -> DigestKey {
        self.digest_key
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "create"))]
    async fn create(
        &self,
        key: &SessionKey,
        first: &[Arc<Event>],
    ) -> Result<Option<SessionHeader>, StoreError> {
        let (mut world, now) = self.world();
        let Some((generation, updated_at)) = world.begin(key, now) else { return Ok(None) };
        let mut record = Record::new(generation, updated_at);
        for event in first {
            record.push(event, now, &self.rules);
            world.change_shared(key, event.delta(), &self.rules, now);
        }
        record.touch(&self.rules, now);
        let header = record.header();
        world.put(key, record, &self.rules, now);
        self.board.tell(key, false);
        Ok(Some(header))
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "append"))]
    async fn append(
        &self,
        key: &SessionKey,
        condition: Condition,
        entries: &[NewEntry],
    ) -> Result<Appended, StoreError> {
        self.append_steps(key, condition, entries, 1)
    }

    async fn append_together(
        &self,
        key: &SessionKey,
        condition: Condition,
        appends: &[&[NewEntry]],
        _mark: Option<JournalMark>,
    ) -> Result<Vec<Appended>, StoreError> {
        let lengths: Vec<usize> = appends.iter().map(|append| append.len()).collect();
        let steps = appends.len() as u64;
        Ok(self.append_steps(key, condition, &appends.concat(), steps)?.split(&lengths))
    }

    /// A journal does not outlive this store.
    async fn journal_position(
        &self,
        _key: &SessionKey,
        _journal: Uuid,
    ) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "seen"))]
    async fn seen(
        &self,
        key: &SessionKey,
        ids: &[&str],
    ) -> Result<(SessionHeader, Vec<Option<Seen>>), StoreError> {
        let (world, now) = self.world();
        let record = world.record(key, now)?;
        Ok((record.header(), ids.iter().map(|id| record.seen(id).cloned()).collect()))
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "read"))]
    async fn read(&self, key: &SessionKey, range: Range) -> Result<Option<Snapshot>, StoreError> {
        let (mut world, now) = self.world();
        let Ok(record) = world.record_mut(key, now) else { return Ok(None) };
        if self.rules.ttl_refresh == TtlRefresh::Read {
            record.touch(&self.rules, now);
        }
        let (header, entries) = (record.header(), record.range(range));
        let summaries = record.summaries.values().cloned().collect();
        let (session, ttl, origin) = (record.state.clone(), record.ttl, record.origin.clone());
        let tracks = record.track_names(now);
        let user = world.user_state(key.user_key(), now);
        let app = world.app_state(key.app_key(), now);
        let state = ScopedState { session, user, app };
        Ok(Some(Snapshot { header, state, summaries, entries, ttl, origin, tracks }))
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "delete"))]
    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError> {
        let (mut world, _) = self.world();
        world.forget(key);
        self.board.tell(key, true);
        Ok(())
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "list"))]
    async fn list(
        &self,
        user: &UserKey,
        size: usize,
        after: Option<PageToken>,
    ) -> Result<SessionPage, StoreError> {
        let (world, now) = self.world();
        let Some(user) = world.users.get(user) else {
            return Ok(SessionPage { sessions: Vec::new(), next: None });
        };
        let end = match after {
            Some(token) => Bound::Excluded((Time::from_micros(token.updated), String::new())),
            None => Bound::Unbounded,
        };
        let mut sessions = Vec::new();
        for (_, name) in user.by_update.range((Bound::Unbounded, end)).rev() {
            let record = user.sessions.get(name).filter(|it| !is_over(it.expires_at, now));
            sessions.extend(record.map(|record| (name.clone(), record.header())));
            if sessions.len() > size {
                break;
            }
        }
        let more = sessions.len() > size;
        sessions.truncate(size);
        let last = sessions.last().filter(|_| more);
        let next = last.map(|(_, header)| PageToken {
            generation: header.generation,
            updated: header.updated_at.micros(),
        });
        Ok(SessionPage { sessions, next })
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "user_state"))]
    async fn user_state(&self, user: &UserKey) -> Result<StateMap, StoreError> {
        let (world, now) = self.world();
        Ok(world.user_state(user, now))
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "app_state"))]
    async fn app_state(&self, app: &AppKey) -> Result<StateMap, StoreError> {
        let (world, now) = self.world();
        Ok(world.app_state(app, now))
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "change_user_state"))]
    async fn change_user_state(
        &self,
        user: &UserKey,
        delta: &StateDelta,
    ) -> Result<(), StoreError> {
        let (mut world, now) = self.world();
        let user = world.users.entry(user.clone()).or_default();
        user.state.change(delta, Scope::User, self.rules.user_state_ttl, now);
        Ok(())
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "change_app_state"))]
    async fn change_app_state(&self, app: &AppKey, delta: &StateDelta) -> Result<(), StoreError> {
        let (mut world, now) = self.world();
        let app = world.apps.entry(app.clone()).or_default();
        app.change(delta, Scope::App, self.rules.app_state_ttl, now);
        Ok(())
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "commit_summary"))]
    async fn commit_summary(
        &self,
        key: &SessionKey,
        seen: HistoryVersion,
        summary: &Summary,
        totals: Backlog,
        claim: Option<Uuid>,
    ) -> Result<SummaryCommit, StoreError> {
        let (mut world, now) = self.world();
        let commit = world.record_mut(key, now)?.put_summary(seen, summary, totals, claim)?;
        self.board.tell(key, false);
        Ok(commit)
    }

    async fn claim_summary(
        &self,
        key: &SessionKey,
        request: &ClaimRequest,
    ) -> Result<Claimed, StoreError> {
        let (mut world, now) = self.world();
        world.record_mut(key, now)?.claim(request, now)
    }

    async fn release_summary(
        &self,
        key: &SessionKey,
        filter_key: &str,
        token: Uuid,
    ) -> Result<(), StoreError> {
        let (mut world, now) = self.world();
        if let Ok(record) = world.record_mut(key, now) {
            record.claims.retain(|name, claim| name != filter_key || claim.token != token);
        }
        Ok(())
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "edit"))]
    async fn edit(
        &self,
        key: &SessionKey,
        condition: Condition,
        edit: &Edit,
    ) -> Result<Edited, StoreError> {
        let (mut world, now) = self.world();
        let updated_at = world.update_time(now);
        let record = world.record_mut(key, now)?;
        record.admit(condition, now)?;
        let Some(plan) = record.plan_edit(edit, &self.rules)? else {
            return Ok(Edited { header: record.header(), removed: 0, popped: Vec::new() });
        };
        record.apply(&plan, now);
        let before = std::mem::replace(&mut record.updated_at, updated_at);
        record.touch(&self.rules, now);
        let header = record.header();
        world.list_again(key, before, updated_at);
        self.board.tell(key, false);
        Ok(Edited { header, removed: plan.removed, popped: plan.popped })
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "whole"))]
    async fn whole(&self, key: &SessionKey) -> Result<Option<Whole>, StoreError> {
        let (world, now) = self.world();
        Ok(world.record(key, now).ok().map(Record::whole))
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "restore"))]
    async fn restore(
        &self,
        key: &SessionKey,
        whole: &Whole,
    ) -> Result<Option<SessionHeader>, StoreError> {
        let (mut world, now) = self.world();
        let Some((generation, updated_at)) = world.begin(key, now) else { return Ok(None) };
        let whole = whole.clone().within(self.rules.event_limit);
        let mut record = Record::of_whole(&whole, generation, now);
        let taken = |time: Time| {
            let user = world.users.get(key.user_key());
            user.is_some_and(|user| user.by_update.iter().any(|(at, _)| *at == time))
        };
        let mut updated = Time::from_micros(whole.updated_at.micros()).min(updated_at);
        while taken(updated) {
            updated = Time::from_micros(updated.micros() + 1);
        }
        record.updated_at = updated;
        record.touch(&self.rules, now);
        let header = record.header();
        world.put(key, record, &self.rules, now);
        self.board.tell(key, false);
        Ok(Some(header))
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "set_ttl"))]
    async fn set_ttl(
        &self,
        key: &SessionKey,
        condition: Condition,
        ttl: SessionTtl,
    ) -> Result<SessionHeader, StoreError> {
        let (mut world, now) = self.world();
        let record = world.record_mut(key, now)?;
        record.admit(condition, now)?;
        record.ttl = ttl;
        record.touch(&self.rules, now);
        Ok(record.header())
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "lease"))]
    async fn lease(&self, key: &SessionKey, request: &LeaseRequest) -> Result<Lease, StoreError> {
        let (mut world, now) = self.world();
        let record = world.record_mut(key, now)?;
        record.admit(Condition { lease: request.token, ..Condition::default() }, now)?;
        let until = deadline(Some(request.duration), now).unwrap_or(now);
        let token = request.token.unwrap_or_else(Uuid::now_v7);
        let lease = Lease { token, holder: request.holder.clone(), until };
        record.lease = Some(lease.clone());
        Ok(lease)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "release"))]
    async fn release(&self, key: &SessionKey, token: Uuid) -> Result<(), StoreError> {
        let (mut world, now) = self.world();
        let record = world.record_mut(key, now)?;
        record.lease = record.lease.take().filter(|lease| lease.token != token);
        Ok(())
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "append_track"))]
    async fn append_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
        events: &[NewTrackEvent],
    ) -> Result<TrackAppended, StoreError> {
        let (mut world, now) = self.world();
        let record = world.record_mut(key, now)?;
        record.admit(condition, now)?;
        let names = record.track_names(now);
        if names.len() >= MAX_TRACKS && !names.iter().any(|name| name == track) {
            return Err(StoreError::TooManyTracks(MAX_TRACKS));
        }
        record.tracks.retain(|name, _| names.contains(name));
        let outcomes = record.append_track(track, events, self.rules.event_limit, now)?;
        record.touch(&self.rules, now);
        let end = match self.rules.track_ttl {
            Some(_) => deadline(self.rules.track_ttl, now),
            None => record.expires_at,
        };
        let end = [end, record.expires_at].into_iter().flatten().min();
        if let Some(known) = record.tracks.get_mut(track) {
            known.expires_at = end;
        }
        Ok(TrackAppended { header: record.header(), outcomes })
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "read_track"))]
    async fn read_track(
        &self,
        key: &SessionKey,
        track: &str,
        after: u64,
        limit: usize,
    ) -> Result<TrackPage, StoreError> {
        let (world, now) = self.world();
        let record = world.record(key, now)?;
        let track = record.tracks.get(track).filter(|track| !is_over(track.expires_at, now));
        let mut events = track.map(|track| track.after(after)).unwrap_or_default();
        let more = events.len() > limit;
        events.truncate(limit);
        Ok(TrackPage { header: record.header(), events, more })
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "delete_track"))]
    async fn delete_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
    ) -> Result<(), StoreError> {
        let (mut world, now) = self.world();
        let record = world.record_mut(key, now)?;
        record.admit(condition, now)?;
        record.tracks.remove(track);
        Ok(())
    }

    async fn keys(
        &self,
        filter: &KeyFilter,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), StoreError> {
        let (world, now) = self.world();
        let skip = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let all = world.users.iter().flat_map(|(user, sessions)| {
            let live = sessions.sessions.iter().filter(|(_, it)| !is_over(it.expires_at, now));
            live.filter_map(|(name, _)| user.session(name.clone()).ok())
        });
        let keys: Vec<_> =
            all.filter(|key| filter.admits(key)).skip(skip).take(KEYS_AT_ONCE).collect();
        let next = (keys.len() == KEYS_AT_ONCE).then(|| (skip + KEYS_AT_ONCE).to_string());
        Ok((keys, next))
    }

    fn watch(&self, what: Watched) -> Watch {
        self.board.watch(what)
    }

    async fn listen(&self) {
        // Nobody else writes here.
        std::future::pending().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        let (mut world, now) = self.world();
        for user in world.users.values_mut() {
            user.sessions.retain(|_, record| !is_over(record.expires_at, now));
            let sessions = &user.sessions;
            user.by_update.retain(|(_, name)| sessions.contains_key(name));
            if is_over(user.state.expires_at, now) {
                user.state = Values::default();
            }
        }
        world.users.retain(|_, user| !user.sessions.is_empty() || !user.state.map.is_empty());
        world.apps.retain(|_, app| !is_over(app.expires_at, now));
        world.plugins.retain(|_, values| !values.forget(now));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
