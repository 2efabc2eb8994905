//! Appending entries, and looking up what became of earlier ones.

use sessiond_core::key::SessionKey;
use sessiond_core::store::{
    Appended, Condition, Fate, JournalMark, NewEntry, Seen, SessionHeader, StoreError,
};
use uuid::Uuid;

use super::RedisStore;
use super::batch::{Batch, Common, begin, changes_app, put_event, refusal};
use crate::client::Call;
use crate::codec::{self, HeaderFields, Lifetime};
use crate::error::Error;
use crate::id_field::id_field;
use crate::outbox::{Mark, Outbox};
use crate::script::{APPEND, Reply, ScriptCall};

/// What a script that writes entries answers, when it has done so.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) header: SessionHeader,
    given_up: u64,
    /// Whether an earlier write has left an outbox.
    pub(super) pending: bool,
    /// For each entry, what became of it, and whether that was earlier.
    fates: Vec<(Fate, bool)>,
}

impl Written {
    /// Reads a reply, after its first word.
    pub(super) fn read(mut reply: Reply) -> Result<Self, Error> {
        let fields = HeaderFields::take(&mut reply)?;
        let lifetime = Lifetime { now: reply.number()?, left: reply.number()? };
        let header = fields.header(lifetime)?;
        let given_up = u64::try_from(reply.number()?).unwrap_or_default();
        let pending = !reply.text()?.is_empty();
        let mut fates = Vec::new();
        while !reply.is_empty() {
            fates.push(reply.fate()?);
        }
        Ok(Self { header, given_up, pending, fates })
    }

    fn appended(self, batch: &Batch<'_>) -> Result<Appended, Error> {
        let outcomes = batch.spread(&self.fates, || Error::Reply("append"))?;
        Ok(Appended { header: self.header, outcomes, given_up: self.given_up })
    }

    /// What this append has left in the session's outbox.
    fn outbox(&self, batch: &Batch<'_>, mark: &Mark) -> Option<Outbox> {
        let stored = batch.entries.iter().zip(&self.fates).filter(|(_, (_, earlier))| !earlier);
        let deltas = stored.filter_map(|(entry, _)| match entry {
            NewEntry::Event { event, .. } => Some(event.delta()),
            NewEntry::Dropped { .. } => None,
        });
        Outbox::left(self.header.updated_at, mark, deltas)
    }
}

/// The appends that are made as one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    /// How many there are.
    pub(super) count: usize,
    /// Where the last of them stands in a journal.
    pub(super) mark: Option<JournalMark>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { count: 1, mark: None }
    }
}

impl Steps {
    /// Whether the script must be told of them.
    fn is_more(self) -> bool {
        self.count > 1 || self.mark.is_some()
    }

    /// Adds them to a call, at its end.
    fn put(self, call: &mut ScriptCall) {
        if self.is_more() {
            let field = self.mark.map(|mark| mark_field(mark.journal)).unwrap_or_default();
            let position = self.mark.map(|mark| mark.position).unwrap_or_default();
            call.arg(self.count).arg(field).arg(position);
        }
    }
}

/// The field of a session's hash that has the position of a journal.
fn mark_field(journal: Uuid) -> Vec<u8> {
    [b"#j".as_slice(), journal.as_bytes()].concat()
}

impl RedisStore {
    /// The latest position of a journal that a session has.
    pub(super) async fn read_mark(
        &self,
        key: &SessionKey,
        journal: Uuid,
    ) -> Result<Option<u64>, Error> {
        let mut read = redis::cmd("HGET");
        read.arg(&self.keyspace.session(key).hash).arg(mark_field(journal));
        self.client.call().command(&read).await
    }

    pub(super) async fn append_entries(
        &self,
        key: &SessionKey,
        condition: Condition,
        items: &[NewEntry],
        steps: Steps,
    ) -> Result<Appended, StoreError> {
        let call = self.client.call();
        let batch = Batch::new(items);
        let app = batch.entries.iter().any(|entry| match entry {
            NewEntry::Event { event, .. } => changes_app(event.delta()),
            NewEntry::Dropped { .. } => false,
        });
        let mark = app.then(|| Mark::new(key));
        if let Some(mark) = &mark {
            self.announce(&call, mark).await?;
        }
        let mut script = self.append_call(key, condition, &batch, mark.as_ref(), steps.is_more());
        steps.put(&mut script);
        let written = match self.try_append(&call, &script, &batch).await {
            Ok(written) => written,
            Err(error) => {
                // Without an answer the entries may be stored, now or in a moment.
                let unsure = matches!(
                    error,
                    StoreError::Unavailable(_)
                        | StoreError::NotReplicated { .. }
                        | StoreError::Corrupt(_)
                );
                if !unsure {
                    self.withdraw(&call, mark).await;
                }
                return Err(error);
            }
        };
        let own = mark.as_ref().and_then(|mark| written.outbox(&batch, mark));
        if mark.is_some() && own.is_none() {
            self.withdraw(&call, mark).await;
        }
        // The entries are stored. If what is left to do fails now, the same append again does it.
        let settled = self.settle_after(&call, key, own, written.pending).await;
        settled.map_err(unsettled)?;
        Ok(written.appended(&batch)?)
    }

    fn append_call(
        &self,
        key: &SessionKey,
        condition: Condition,
        batch: &Batch<'_>,
        mark: Option<&Mark>,
        more: bool,
    ) -> ScriptCall {
        let keys = self.keyspace.session(key);
        let (count, tokens) = (batch.entries.len(), self.client.schema().digest_key());
        let mark = mark.map(|mark| mark.number.as_str()).unwrap_or_default();
        let common = Common { mark, count, condition, clash: batch.clash.is_some(), more };
        let mut call = begin(&APPEND, &keys, &self.terms, &common, &[]);
        for entry in &batch.entries {
            call.arg(id_field(entry.id()));
        }
        for entry in &batch.entries {
            call.arg(entry.digest().bytes());
        }
        for entry in &batch.entries {
            match entry {
                NewEntry::Event { event, .. } => put_event(&mut call, event, tokens),
                NewEntry::Dropped { by, .. } => {
                    call.arg(format!("-{by}"));
                }
            }
        }
        call
    }

    async fn try_append(
        &self,
        call: &Call<'_>,
        script: &ScriptCall,
        batch: &Batch<'_>,
    ) -> Result<Written, StoreError> {
        let mut reply = call.script(script).await?;
        Err(match reply.text()?.as_str() {
            "done" => return Ok(Written::read(reply)?),
            "conflict" => batch.conflict(&mut reply)?,
            word => refusal(word, &mut reply),
        })
    }

    pub(super) async fn look_up(
        &self,
        key: &SessionKey,
        ids: &[&str],
    ) -> Result<(SessionHeader, Vec<Option<Seen>>), StoreError> {
        let call = self.client.call();
        let keys = self.keyspace.session(key);
        let mut header = redis::cmd("HMGET");
        header.arg(&keys.hash).arg(&["#g", "#n", "#p"]);
        let mut left = redis::cmd("PTTL");
        left.arg(&keys.hash);
        let mut commands = vec![redis::cmd("TIME"), header, left];
        let fields: Vec<Vec<u8>> = ids.iter().map(|id| id_field(id)).collect();
        for ids_of in [&keys.ids, &keys.older_ids].into_iter().filter(|_| !ids.is_empty()) {
            let mut command = redis::cmd("HMGET");
            command.arg(ids_of).arg(&fields);
            commands.push(command);
        }
        let reply = call.snapshot(&commands, &keys.hash).await?;
        let mut reply = reply.into_iter();
        let (seconds, micros): (i64, i64) = codec::next(&mut reply)?;
        type Header = (Option<String>, Option<Vec<u8>>, Option<String>);
        let (generation, numbers, pending): Header = codec::next(&mut reply)?;
        let Some(generation) = generation else { return Err(StoreError::NotFound) };
        let fields = HeaderFields { generation, numbers: numbers.unwrap_or_default() };
        let left = codec::next(&mut reply)?;
        let header = fields.header(Lifetime { now: codec::millis(seconds, micros), left })?;
        if pending.is_some() {
            let settled = self.settle_all(&call, key).await;
            settled.map_err(unsettled)?;
        }
        let mut seen = Vec::new();
        if !ids.is_empty() {
            let now: Vec<Option<Vec<u8>>> = codec::next(&mut reply)?;
            let before: Vec<Option<Vec<u8>>> = codec::next(&mut reply)?;
            for (now, before) in now.into_iter().zip(before) {
                seen.push(now.or(before).as_deref().map(codec::seen).transpose()?);
            }
        }
        if seen.iter().any(Option::is_some) {
            // Whoever hears that it is stored takes it for acknowledged.
            call.confirm(&keys.hash).await?;
        }
        Ok((header, seen))
    }
}

/// Why what a write has left for others could not be done. The write itself was made, so the same
/// again does it.
pub(super) fn unsettled(error: Error) -> StoreError {
    match error {
        Error::NotReplicated { .. } => error.into(),
        _ => StoreError::Unavailable(Box::new(error)),
    }
}
