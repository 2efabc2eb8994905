//! An append as a journal keeps it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lane::Queued;
use crate::digest::Digest;
use crate::event::{Event, EventRecord};
use crate::hook::{CallContext, Purpose};
use crate::key::SessionKey;
use crate::store::{Condition, NewEntry};

/// The version of this form. A later one is not read, and stays in the journal.
const VERSION: u32 = 1;

/// An append, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    app: String,
    user: String,
    session: String,
    generation: Option<u64>,
    lease: Option<[u8; 16]>,
    caller: Option<String>,
    request_id: String,
    hop: bool,
    /// When it was queued, in milliseconds since 1970.
    queued_at: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Entry {
    Event { event: EventRecord, digest: [u8; 16] },
    Dropped { id: String, digest: [u8; 16], by: String },
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("it is of version {0}, and this is version {VERSION}")]
    Version(u32),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] crate::key::KeyError),
    #[error(transparent)]
    Event(Box<dyn std::error::Error + Send + Sync>),
}

fn now() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Record {
    pub(super) fn of(
        call: &CallContext,
        key: &SessionKey,
        condition: Condition,
        entries: &[NewEntry],
    ) -> Self {
        let entries = entries.iter().map(|entry| match entry {
            NewEntry::Event { event, digest } => {
                Entry::Event { event: event.to_record(), digest: *digest.bytes() }
            }
            NewEntry::Dropped { id, digest, by } => {
                Entry::Dropped { id: id.clone(), digest: *digest.bytes(), by: by.clone() }
            }
        });
        Self {
            version: VERSION,
            app: key.app().to_owned(),
            user: key.user().to_owned(),
            session: key.session().to_owned(),
            generation: condition.generation,
            lease: condition.lease.map(Uuid::into_bytes),
            caller: call.caller.clone(),
            request_id: call.request_id.to_string(),
            hop: call.hop,
            queued_at: now(),
            entries: entries.collect(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // A struct of strings and numbers always serializes.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The append, and for how long it has been waiting.
    pub(super) fn queued(self) -> Result<(Queued, Duration), RecordError> {
        let key = SessionKey::new(&self.app, &self.user, &self.session)?;
        let call = CallContext::new(Purpose::Append, self.request_id);
        let call = CallContext { caller: self.caller, hop: self.hop, ..call };
        let lease = self.lease.map(Uuid::from_bytes);
        let condition = Condition { generation: self.generation, revision: None, lease };
        let entries = self.entries.into_iter().map(|entry| {
            Ok(match entry {
                Entry::Event { event, digest } => {
                    let event = Event::from_record(event);
                    let event = Arc::new(event.map_err(RecordError::Event)?);
                    NewEntry::Event { event, digest: Digest::from_bytes(digest) }
                }
                Entry::Dropped { id, digest, by } => {
                    NewEntry::Dropped { id, digest: Digest::from_bytes(digest), by }
                }
            })
        });
        let entries = entries.collect::<Result<Vec<NewEntry>, RecordError>>()?;
        let waited = Duration::from_millis(now().saturating_sub(self.queued_at));
        Ok((Queued::new(call, key, condition, entries, None), waited))
    }
}
