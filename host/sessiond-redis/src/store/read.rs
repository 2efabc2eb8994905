//! Reading a session. What it costs depends on what it returns, not on what is stored.

use redis::{Cmd, Value};
use sessiond_core::key::SessionKey;
use sessiond_core::state::ScopedState;
use sessiond_core::store::{Range, SessionHeader, Snapshot, StoreError};

use super::RedisStore;
use super::batch::{Common, begin};
use super::reading::Reading;
use crate::client::Call;
use crate::codec::{self, Fields, HeaderFields, Lifetime, SessionFields};
use crate::error::Error;
use crate::keyspace::SessionKeys;
use crate::outbox::AppState;
use crate::script::TOUCH;

/// A session as one transaction saw it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) session: SessionFields,
    pub(super) header: SessionHeader,
    /// When it was read, in milliseconds since 1970.
    pub(super) now: i64,
    user: Fields,
    /// The answers to what was read along.
    pub(super) along: std::vec::IntoIter<Value>,
}

impl RedisStore {
    pub(super) async fn read_session(
        &self,
        key: &SessionKey,
        range: Range,
    ) -> Result<Option<Snapshot>, StoreError> {
        let (call, keys) = (self.client.call(), self.keyspace.session(key));
        if self.terms.refresh_on_read {
            let touch = begin(&TOUCH, &keys, &self.terms, &Common::default(), &[]);
            call.script(&touch).await?;
        }
        loop {
            let mut reading = Reading::new(range);
            let guess = reading.guess(&keys.entries);
            let guesses = guess.is_some();
            let app = self.app_state_command(key.app_key());
            let (seen, app) = tokio::try_join!(
                self.look(&call, &keys, Vec::from_iter(guess)),
                call.command::<Fields>(&app)
            )?;
            let Some(Seen { session, header, user, mut along, .. }) = seen else {
                return Ok(None);
            };
            let tail = if guesses { codec::places(codec::next(&mut along)?)? } else { Vec::new() };
            reading.begin(tail, header.first_sequence, header.last_sequence);
            if !self.read_on(&call, &keys, &mut reading, &session.header, &header).await? {
                continue;
            }
            let mut app = AppState::read(app)?;
            app.overlay(&session.outboxes);
            if let Err(error) = self.settle(&call, key, &session.outboxes).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "an outbox is left for the next who sees it"
                );
            }
            let (ttl, tracks) = (session.ttl(), session.track_names());
            let SessionFields { state: own, summaries, origin, .. } = session;
            let (user, app) = (codec::user_state(user)?, app.into_map()?);
            let state = ScopedState { session: own, user, app };
            let entries = reading.finish();
            return Ok(Some(Snapshot { header, state, summaries, entries, ttl, origin, tracks }));
        }
    }

    /// Reads what is known of a session, and more along with it, in one step for its slot. None: there
    /// is none.
    pub(super) async fn look(
        &self,
        call: &Call<'_>,
        keys: &SessionKeys,
        along: Vec<Cmd>,
    ) -> Result<Option<Seen>, Error> {
        let mut reads = vec![redis::cmd("TIME")];
        for (name, key) in
            [("HGETALL", &keys.hash), ("PTTL", &keys.hash), ("HGETALL", &keys.user.state)]
        {
            let mut read = redis::cmd(name);
            read.arg(key);
            reads.push(read);
        }
        reads.extend(along);
        let mut reply = call.snapshot(&reads, &keys.hash).await?.into_iter();
        let (seconds, micros) = codec::next(&mut reply)?;
        let Some(session) = SessionFields::read(codec::next(&mut reply)?)? else { return Ok(None) };
        let lifetime =
            Lifetime { now: codec::millis(seconds, micros), left: codec::next(&mut reply)? };
        let header = session.header.header(lifetime)?;
        let user = codec::next(&mut reply)?;
        Ok(Some(Seen { session, header, now: lifetime.now, user, along: reply }))
    }

    /// Reads further pages: where the guess did not reach, or changes of state lie between events.
    /// False: the session was created again or edited meanwhile.
    async fn read_on(
        &self,
        call: &Call<'_>,
        keys: &SessionKeys,
        reading: &mut Reading,
        fields: &HeaderFields,
        header: &SessionHeader,
    ) -> Result<bool, Error> {
        let mut base = fields.base()?;
        while let Some(page) = reading.page() {
            let mut pipe = redis::pipe();
            pipe.add_command(Reading::command(&keys.entries, page, base));
            pipe.cmd("HMGET").arg(&keys.hash).arg("#g").arg("#n");
            type Page = (Vec<Vec<u8>>, (Option<String>, Option<Vec<u8>>));
            let (entries, now): Page = call.pipeline(&pipe).await?;
            let (Some(generation), Some(numbers)) = now else { return Ok(false) };
            let now = HeaderFields { generation, numbers };
            let seen = now.header(Lifetime { now: 0, left: -1 })?;
            // Entries never change but by an edit, so all else that can come between is a cut.
            if (seen.generation, seen.edits) != (header.generation, header.edits) {
                return Ok(false);
            }
            reading.take(page, codec::places(entries)?, seen.first_sequence);
            base = now.base()?;
        }
        Ok(true)
    }
}
