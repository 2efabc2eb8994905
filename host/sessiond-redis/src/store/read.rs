//! Reading a session. What it costs depends on what it returns, not on what is stored.

use redis::{Cmd, Value};
use sessiond_core::event::{EntryKind, StoredEvent};
use sessiond_core::key::SessionKey;
use sessiond_core::state::ScopedState;
use sessiond_core::store::{Prefer, Range, Snapshot, StoreError};

use super::RedisStore;
use crate::client::Call;
use crate::codec::{self, Fields, Lease, SessionFields};
use crate::error::Error;
use crate::keyspace::SessionKeys;
use crate::outbox::AppState;
use crate::script::TOUCH;

/// The most entries that are asked for at once.
const LARGEST_PAGE: usize = 1_000;
/// The fewest that are asked for once the first page was not enough.
const SMALLEST_PAGE: usize = 64;

/// What of the entries is still to be read.
#[derive(Debug)]
struct Reading {
    range: Range,
    /// The lowest sequence that counts.
    low: u64,
    /// The highest.
    high: u64,
    /// What was found, in the order of reading.
    found: Vec<StoredEvent>,
}

impl Reading {
    fn new(range: Range) -> Self {
        let low = range.after.saturating_add(1);
        let high = range.before.map_or(u64::MAX, |before| before.saturating_sub(1));
        Self { range, low, high, found: Vec::new() }
    }

    fn missing(&self) -> usize {
        self.range.limit.saturating_sub(self.found.len())
    }

    /// The command for the next page. None: there is nothing to read.
    fn command(&self, entries: &str, page: usize) -> Option<Cmd> {
        if self.missing() == 0 || self.low > self.high {
            return None;
        }
        let (name, from, to) = match self.range.prefer {
            Prefer::Newest => ("XREVRANGE", self.high, self.low),
            Prefer::Oldest => ("XRANGE", self.low, self.high),
        };
        let mut command = redis::cmd(name);
        command.arg(entries).arg(format!("{from}-0")).arg(format!("{to}-0"));
        command.arg("COUNT").arg(page);
        Some(command)
    }

    /// Takes a page. Entries below `first` are trimmed, though Redis may still have them.
    fn take(&mut self, page: Vec<StoredEvent>, asked: usize, first: u64) {
        self.low = self.low.max(first);
        let complete = page.len() < asked;
        match (self.range.prefer, page.last()) {
            (Prefer::Newest, Some(last)) if !complete => {
                self.high = last.sequence.saturating_sub(1);
            }
            (Prefer::Oldest, Some(last)) if !complete => {
                self.low = self.low.max(last.sequence.saturating_add(1));
            }
            _ => self.high = 0,
        }
        let with_state = self.range.with_state;
        let wanted = page.into_iter().filter(|entry| {
            entry.sequence >= first && (with_state || entry.event.kind() == EntryKind::Event)
        });
        self.found.extend(wanted.take(self.range.limit.saturating_sub(self.found.len())));
    }

    fn finish(mut self) -> Vec<StoredEvent> {
        if self.range.prefer == Prefer::Newest {
            self.found.reverse();
        }
        self.found
    }
}

/// A session as one transaction saw it.
#[derive(Debug)]
struct Seen {
    session: SessionFields,
    lease: Lease,
    user: Fields,
    app: Fields,
    page: Vec<StoredEvent>,
}

impl RedisStore {
    pub(super) async fn read_session(
        &self,
        key: &SessionKey,
        range: Range,
    ) -> Result<Option<Snapshot>, StoreError> {
        let (call, keys) = (self.client.call(), self.keyspace.session(key));
        loop {
            let mut reading = Reading::new(range);
            let asked = range.limit.min(LARGEST_PAGE);
            let command = reading.command(&keys.entries, asked);
            let Some(seen) = self.look(&call, key, &keys, command).await? else { return Ok(None) };
            let header = seen.session.header.header(seen.lease)?;
            reading.take(seen.page, asked, header.first_sequence);
            let generation = &seen.session.header.generation;
            if !self.read_on(&call, &keys, &mut reading, generation, header.first_sequence).await? {
                continue;
            }
            let outboxes = &seen.session.outboxes;
            let mut app = AppState::read(seen.app)?;
            app.overlay(outboxes);
            if let Err(error) = self.settle(&call, key, outboxes).await {
                tracing::debug!(%error, "an outbox is left for the next who sees it");
            }
            let state = ScopedState {
                session: seen.session.state,
                user: codec::user_state(seen.user)?,
                app: app.into_map()?,
            };
            let (summaries, entries) = (seen.session.summaries, reading.finish());
            return Ok(Some(Snapshot { header, state, summaries, entries }));
        }
    }

    /// Reads all but further pages, in one step for the slot of the session. None: there is none.
    async fn look(
        &self,
        call: &Call<'_>,
        key: &SessionKey,
        keys: &SessionKeys,
        entries: Option<Cmd>,
    ) -> Result<Option<Seen>, Error> {
        let refreshes = self.terms.refresh_on_read && self.terms.session_ttl > 0;
        let mut reads = Vec::new();
        if refreshes {
            for key in [&keys.hash, &keys.entries, &keys.ids, &keys.older_ids] {
                let mut expire = redis::cmd("PEXPIRE");
                expire.arg(key).arg(self.terms.session_ttl);
                reads.push(expire);
            }
        }
        let before = reads.len();
        reads.push(redis::cmd("TIME"));
        for (name, key) in [
            ("HGETALL", &keys.hash),
            ("PTTL", &keys.hash),
            ("HGETALL", &keys.user.state),
            ("PTTL", &keys.user.by_update),
        ] {
            let mut read = redis::cmd(name);
            read.arg(key);
            reads.push(read);
        }
        let has_entries = entries.is_some();
        reads.extend(entries);
        let app = self.app_state_command(key.app_key());
        let (reply, app): (_, Fields) =
            tokio::try_join!(call.snapshot(&reads, &keys.hash), call.command(&app))?;
        let mut reply = reply.into_iter().skip(before);
        let (seconds, micros) = codec::next(&mut reply)?;
        let Some(session) = SessionFields::read(codec::next(&mut reply)?)? else { return Ok(None) };
        let lease = Lease { now: codec::millis(seconds, micros), left: codec::next(&mut reply)? };
        let user = codec::next(&mut reply)?;
        let listed: i64 = codec::next(&mut reply)?;
        let page = match reply.next().filter(|_| has_entries) {
            Some(entries) => codec::entries(entries)?,
            None => Vec::new(),
        };
        if refreshes && listed < i64::try_from(self.terms.session_ttl).unwrap_or(i64::MAX) {
            self.keep_lists(call, keys, listed).await?;
        }
        Ok(Some(Seen { session, lease, user, app, page }))
    }

    /// Lets the lists of a user's sessions outlive a session whose time has begun anew.
    async fn keep_lists(
        &self,
        call: &Call<'_>,
        keys: &SessionKeys,
        listed: i64,
    ) -> Result<(), Error> {
        if listed < 0 {
            return Ok(());
        }
        let mut script = TOUCH.call(&[&keys.user.by_update, &keys.user.by_expiry]);
        call.script(script.arg(self.terms.session_ttl)).await.map(drop)
    }

    /// Reads further pages, where changes of state lie between events, or trimmed entries before
    /// them. False: the session was created again meanwhile.
    async fn read_on(
        &self,
        call: &Call<'_>,
        keys: &SessionKeys,
        reading: &mut Reading,
        generation: &str,
        first: u64,
    ) -> Result<bool, Error> {
        loop {
            let asked = reading.missing().clamp(SMALLEST_PAGE, LARGEST_PAGE);
            let Some(command) = reading.command(&keys.entries, asked) else { return Ok(true) };
            // Entries never change, so all that can come between is a delete.
            let mut pipe = redis::pipe();
            pipe.add_command(command).cmd("HGET").arg(&keys.hash).arg("#g");
            let (page, now): (Value, Option<String>) = call.pipeline(&pipe).await?;
            if now.as_deref() != Some(generation) {
                return Ok(false);
            }
            reading.take(codec::entries(page)?, asked, first);
        }
    }
}
