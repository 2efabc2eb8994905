//! What the embedded store holds: users with their sessions, and what apps share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::record::Record;
use super::{deadline, is_over};
use crate::key::{AppKey, SessionKey, UserKey};
use crate::state::{Scope, StateDelta, StateMap};
use crate::store::plugin::Bucket;
use crate::store::{StoreError, StoreRules};
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) apps: HashMap<AppKey, Values>,
    pub(super) users: BTreeMap<UserKey, User>,
    /// What plugins keep.
    pub(super) plugins: BTreeMap<Bucket, super::plugin::Values>,
    /// The last generation and the last time of an update that were given out: neither comes again.
    pub(super) last_generation: u64,
    pub(super) last_update: i64,
}

impl World {
    /// A time of update later than all before it.
    pub(super) fn update_time(&mut self, now: Time) -> Time {
        self.last_update = now.micros().max(self.last_update + 1);
        Time::from_micros(self.last_update)
    }

    pub(super) fn next_generation(&mut self, now: Time) -> u64 {
        let from_clock = u64::try_from(now.millis()).unwrap_or_default() << 10;
        self.last_generation = from_clock.max(self.last_generation + 1);
        self.last_generation
    }

    pub(super) fn record(&self, key: &SessionKey, now: Time) -> Result<&Record, StoreError> {
        let user = self.users.get(key.user_key());
        let record = user.and_then(|user| user.sessions.get(key.session()));
        record.filter(|record| !is_over(record.expires_at, now)).ok_or(StoreError::NotFound)
    }

    pub(super) fn record_mut(
        &mut self,
        key: &SessionKey,
        now: Time,
    ) -> Result<&mut Record, StoreError> {
        let user = self.users.get_mut(key.user_key());
        let record = user.and_then(|user| user.sessions.get_mut(key.session()));
        record.filter(|record| !is_over(record.expires_at, now)).ok_or(StoreError::NotFound)
    }

    pub(super) fn user_state(&self, user: &UserKey, now: Time) -> StateMap {
        self.users.get(user).map(|user| user.state.current(now)).unwrap_or_default()
    }

    pub(super) fn app_state(&self, app: &AppKey, now: Time) -> StateMap {
        self.apps.get(app).map(|values| values.current(now)).unwrap_or_default()
    }

    pub(super) fn change_shared(
        &mut self,
        key: &SessionKey,
        delta: &StateDelta,
        rules: &StoreRules,
        now: Time,
    ) {
        if delta.of(Scope::User).next().is_some() {
            let user = self.users.entry(key.user_key().clone()).or_default();
            user.state.change(delta, Scope::User, rules.user_state_ttl, now);
        }
        if delta.of(Scope::App).next().is_some() {
            let app = self.apps.entry(key.app_key().clone()).or_default();
            app.change(delta, Scope::App, rules.app_state_ttl, now);
        }
    }

    /// A generation and a time for a new session. None: there is one.
    pub(super) fn begin(&mut self, key: &SessionKey, now: Time) -> Option<(u64, Time)> {
        if self.record(key, now).is_ok() {
            return None;
        }
        self.forget(key);
        Some((self.next_generation(now), self.update_time(now)))
    }

    /// Puts a new session there, which begins the time of its user's and app's state anew.
    pub(super) fn put(&mut self, key: &SessionKey, record: Record, rules: &StoreRules, now: Time) {
        let app = self.apps.entry(key.app_key().clone()).or_default();
        app.touch(rules.app_state_ttl, now);
        let user = self.users.entry(key.user_key().clone()).or_default();
        user.state.touch(rules.user_state_ttl, now);
        user.by_update.insert((record.updated_at, key.session().to_owned()));
        user.sessions.insert(key.session().to_owned(), record);
    }

    /// Moves a session in its user's list, after an update.
    pub(super) fn list_again(&mut self, key: &SessionKey, before: Time, updated_at: Time) {
        if let Some(user) = self.users.get_mut(key.user_key()) {
            user.by_update.remove(&(before, key.session().to_owned()));
            user.by_update.insert((updated_at, key.session().to_owned()));
        }
    }

    pub(super) fn forget(&mut self, key: &SessionKey) {
        if let Some(user) = self.users.get_mut(key.user_key())
            && let Some(record) = user.sessions.remove(key.session())
        {
            user.by_update.remove(&(record.updated_at, key.session().to_owned()));
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) state: Values,
    pub(super) sessions: BTreeMap<String, Record>,
    pub(super) by_update: BTreeSet<(Time, String)>,
}

/// The state of an app or a user, which expires as a whole.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) map: StateMap,
    pub(super) expires_at: Option<Time>,
}

impl Values {
    pub(super) fn current(&self, now: Time) -> StateMap {
        if is_over(self.expires_at, now) { StateMap::new() } else { self.map.clone() }
    }

    pub(super) fn change(
        &mut self,
        delta: &StateDelta,
        scope: Scope,
        ttl: Option<Duration>,
        now: Time,
    ) {
        if is_over(self.expires_at, now) {
            self.map.clear();
        }
        delta.apply(scope, &mut self.map);
        self.expires_at = deadline(ttl, now);
    }

    pub(super) fn touch(&mut self, ttl: Option<Duration>, now: Time) {
        self.change(&StateDelta::default(), Scope::Session, ttl, now);
    }
}
