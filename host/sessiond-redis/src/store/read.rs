//! Reading a session. What it costs depends on what it returns, not on what is stored.

use redis::{Cmd, Value};
use sessiond_core::event::StoredEvent;
use sessiond_core::key::SessionKey;
use sessiond_core::state::ScopedState;
use sessiond_core::store::{Range, Snapshot, StoreError};

use super::RedisStore;
use super::reading::Reading;
use crate::client::Call;
use crate::codec::{self, Fields, Lease, SessionFields};
use crate::error::Error;
use crate::keyspace::SessionKeys;
use crate::outbox::AppState;
use crate::script::TOUCH;

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
            let command = reading.command(&keys.entries);
            let Some(seen) = self.look(&call, key, &keys, command).await? else { return Ok(None) };
            let header = seen.session.header.header(seen.lease)?;
            reading.take(seen.page, header.first_sequence);
            let generation = &seen.session.header.generation;
            if !self.read_on(&call, &keys, &mut reading, generation, header.first_sequence).await? {
                continue;
            }
            let outboxes = &seen.session.outboxes;
            let mut app = AppState::read(seen.app)?;
            app.overlay(outboxes);
            if let Err(error) = self.settle(&call, key, outboxes).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "an outbox is left for the next who sees it"
                );
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
        let short = |left| u64::try_from(left).is_ok_and(|left| left < self.terms.session_ttl);
        if refreshes && short(listed) {
            // The lists must outlive the session, whose time has begun anew.
            let mut touch = TOUCH.call(&[&keys.user.by_update, &keys.user.by_expiry]);
            call.script(touch.arg(self.terms.session_ttl)).await?;
        }
        Ok(Some(Seen { session, lease, user, app, page }))
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
            let Some(command) = reading.command(&keys.entries) else { return Ok(true) };
            // Entries never change, so all that can come between is a delete.
            let mut pipe = redis::pipe();
            pipe.add_command(command).cmd("HGET").arg(&keys.hash).arg("#g");
            let (page, now): (Value, Option<String>) = call.pipeline(&pipe).await?;
            if now.as_deref() != Some(generation) {
                return Ok(false);
            }
            reading.take(codec::entries(page)?, first);
        }
    }
}
