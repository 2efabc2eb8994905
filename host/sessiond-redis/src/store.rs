//! The store: each operation of [`SessionStore`], in a file of its own.

mod append;
mod batch;
mod create;
mod delete;
mod edit;
mod keys;
mod lease;
mod list;
mod listen;
mod outbox;
mod plugin;
mod read;
mod reading;
mod restore;
mod state;
mod summary;
mod sweep;
mod track;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sessiond_core::digest::DigestKey;
use sessiond_core::event::Event;
use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::state::{StateDelta, StateMap};
use sessiond_core::store::claim::{ClaimRequest, Claimed};
use sessiond_core::store::edit::Edit;
use sessiond_core::store::lease::{Lease, LeaseRequest};
use sessiond_core::store::watch::{NoticeBoard, Watch, Watched};
use sessiond_core::store::whole::{SessionTtl, Whole};
use sessiond_core::store::{
    Appended, Condition, Edited, HistoryVersion, JournalMark, KeyFilter, NewEntry, NewTrackEvent,
    PageToken, Range, Seen, SessionHeader, SessionPage, SessionStore, Snapshot, StoreError,
    StoreRules, SummaryCommit, TrackAppended, TrackPage, TtlRefresh,
};
use sessiond_core::summary::{Backlog, Summary};
use uuid::Uuid;

use self::append::Steps;
use crate::client::Client;
use crate::config::RedisConfig;
use crate::error::Error;
use crate::keyspace::Keyspace;
use crate::schema::Schema;

/// The longest that anything is waited for, whatever the configuration says.
const LONGEST: Duration = Duration::from_secs(3_600);
/// The longest time to live, in milliseconds. Redis adds it to the current time, in 64 bits; the
/// scripts do it in doubles.
const LONGEST_TTL: u64 = 1 << 48;

/// Sessions in one Redis.
#[derive(Debug)]
pub struct RedisStore {
    client: Client,
    keyspace: Keyspace,
    terms: Terms,
    board: Arc<NoticeBoard>,
}

/// The rules, as scripts take them. Zero milliseconds: no end.
#[derive(Debug, Clone, Copy)]
struct Terms {
    event_limit: Option<u64>,
    session_ttl: u64,
    app_state_ttl: u64,
    user_state_ttl: u64,
    open_call_max_age: u64,
    /// None: as long as the session.
    track_ttl: Option<u64>,
    refresh_on_read: bool,
}

impl RedisStore {
    /// Connects to Redis, and makes sure that it can hold sessions.
    ///
    /// # Errors
    /// [`Error`], when an address is wrong, a server is not there in time or too old, throws keys
    /// away against the configuration, or holds keys of another layout.
    pub async fn connect(config: RedisConfig, rules: StoreRules) -> Result<Self, Error> {
        if config.key_prefix.contains(['{', '}']) {
            return Err(Error::Prefix(config.key_prefix));
        }
        let keyspace = Keyspace::new(&config.key_prefix);
        let config = RedisConfig {
            connect_timeout: config.connect_timeout.min(LONGEST),
            command_timeout: config.command_timeout.min(LONGEST),
            ..config
        };
        let client = Client::open(config, Schema::new(keyspace.schema())).await?;
        Ok(Self { client, keyspace, terms: Terms::new(&rules), board: Arc::default() })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Terms {
    fn new(rules: &StoreRules) -> Self {
        let ttl =
            |time: Option<Duration>| time.map_or(0, |time| millis(time).clamp(1, LONGEST_TTL));
        Self {
            event_limit: rules.event_limit.map(|limit| limit.max(1)),
            session_ttl: ttl(rules.session_ttl),
            app_state_ttl: ttl(rules.app_state_ttl),
            user_state_ttl: ttl(rules.user_state_ttl),
            open_call_max_age: millis(rules.open_call_max_age),
            track_ttl: rules.track_ttl.map(|time| ttl(Some(time))),
            refresh_on_read: rules.ttl_refresh == TtlRefresh::Read,
        }
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    fn digest_key(&self) -> DigestKey {
        self.client.schema().digest_key()
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "create"))]
    async fn create(
        &self,
        key: &SessionKey,
        first: &[Arc<Event>],
    ) -> Result<Option<SessionHeader>, StoreError> {
        self.create_session(key, first).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "append"))]
    async fn append(
        &self,
        key: &SessionKey,
        condition: Condition,
        entries: &[NewEntry],
    ) -> Result<Appended, StoreError> {
        self.append_entries(key, condition, entries, Steps::default()).await
    }

    async fn append_together(
        &self,
        key: &SessionKey,
        condition: Condition,
        appends: &[&[NewEntry]],
        mark: Option<JournalMark>,
    ) -> Result<Vec<Appended>, StoreError> {
        let lengths: Vec<usize> = appends.iter().map(|append| append.len()).collect();
        let steps = Steps { count: appends.len(), mark };
        let appended = self.append_entries(key, condition, &appends.concat(), steps).await?;
        Ok(appended.split(&lengths))
    }

    async fn journal_position(
        &self,
        key: &SessionKey,
        journal: Uuid,
    ) -> Result<Option<u64>, StoreError> {
        Ok(self.read_mark(key, journal).await?)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "seen"))]
    async fn seen(
        &self,
        key: &SessionKey,
        ids: &[&str],
    ) -> Result<(SessionHeader, Vec<Option<Seen>>), StoreError> {
        self.look_up(key, ids).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "read"))]
    async fn read(&self, key: &SessionKey, range: Range) -> Result<Option<Snapshot>, StoreError> {
        self.read_session(key, range).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "delete"))]
    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError> {
        Ok(self.delete_session(key).await?)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "list"))]
    async fn list(
        &self,
        user: &UserKey,
        size: usize,
        after: Option<PageToken>,
    ) -> Result<SessionPage, StoreError> {
        Ok(self.list_sessions(user, size, after).await?)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "user_state"))]
    async fn user_state(&self, user: &UserKey) -> Result<StateMap, StoreError> {
        Ok(self.read_user_state(user).await?)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "app_state"))]
    async fn app_state(&self, app: &AppKey) -> Result<StateMap, StoreError> {
        Ok(self.read_app_state(app).await?)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "change_user_state"))]
    async fn change_user_state(
        &self,
        user: &UserKey,
        delta: &StateDelta,
    ) -> Result<(), StoreError> {
        Ok(self.write_user_state(user, delta).await?)
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "change_app_state"))]
    async fn change_app_state(&self, app: &AppKey, delta: &StateDelta) -> Result<(), StoreError> {
        Ok(self.write_app_state(app, delta).await?)
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
        self.store_summary(key, seen, summary, totals, claim).await
    }

    async fn claim_summary(
        &self,
        key: &SessionKey,
        request: &ClaimRequest,
    ) -> Result<Claimed, StoreError> {
        self.take_claim(key, request).await
    }

    async fn release_summary(
        &self,
        key: &SessionKey,
        filter_key: &str,
        token: Uuid,
    ) -> Result<(), StoreError> {
        self.end_claim(key, filter_key, token).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "edit"))]
    async fn edit(
        &self,
        key: &SessionKey,
        condition: Condition,
        edit: &Edit,
    ) -> Result<Edited, StoreError> {
        self.edit_session(key, condition, edit).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "whole"))]
    async fn whole(&self, key: &SessionKey) -> Result<Option<Whole>, StoreError> {
        self.copy_session(key).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "restore"))]
    async fn restore(
        &self,
        key: &SessionKey,
        whole: &Whole,
    ) -> Result<Option<SessionHeader>, StoreError> {
        self.restore_session(key, whole).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "set_ttl"))]
    async fn set_ttl(
        &self,
        key: &SessionKey,
        condition: Condition,
        ttl: SessionTtl,
    ) -> Result<SessionHeader, StoreError> {
        self.write_ttl(key, condition, ttl).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "lease"))]
    async fn lease(&self, key: &SessionKey, request: &LeaseRequest) -> Result<Lease, StoreError> {
        self.take_lease(key, request).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "release"))]
    async fn release(&self, key: &SessionKey, token: Uuid) -> Result<(), StoreError> {
        self.end_lease(key, token).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "append_track"))]
    async fn append_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
        events: &[NewTrackEvent],
    ) -> Result<TrackAppended, StoreError> {
        self.append_to_track(key, condition, track, events).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "read_track"))]
    async fn read_track(
        &self,
        key: &SessionKey,
        track: &str,
        after: u64,
        limit: usize,
    ) -> Result<TrackPage, StoreError> {
        self.read_from_track(key, track, after, limit).await
    }

    #[tracing::instrument(name = "store call", skip_all, fields(operation = "delete_track"))]
    async fn delete_track(
        &self,
        key: &SessionKey,
        condition: Condition,
        track: &str,
    ) -> Result<(), StoreError> {
        self.drop_track(key, condition, track).await
    }

    async fn keys(
        &self,
        filter: &KeyFilter,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), StoreError> {
        Ok(self.scan_keys(filter, cursor).await?)
    }

    fn watch(&self, what: Watched) -> Watch {
        self.board.watch(what)
    }

    async fn listen(&self) {
        self.listen_for_news().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.client.ping().await?)
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        Ok(self.sweep_outboxes().await?)
    }
}
