//! An event on its way to a store, as a journal keeps it: with the changes of state that it still has
//! to make.

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Event, StoredEvent, delta_of};
use crate::dialect::Dialect;
use crate::json::Index;

/// An event, in parts that are kept byte for byte.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// In base64.
    envelope: String,
    body: String,
    state_delta: Option<String>,
    /// The changes of state, as the body of an entry of kind `state` has them.
    changes: Option<String>,
}

impl Event {
    /// The event, to be made again by [`Event::from_record`].
    pub fn to_record(&self) -> EventRecord {
        EventRecord {
            envelope: STANDARD.encode(self.envelope()),
            body: self.body.clone(),
            state_delta: self.state_delta.clone(),
            changes: (!self.delta.is_empty()).then(|| self.delta.to_body()),
        }
    }

    /// The event of a record.
    ///
    /// # Errors
    /// When the record is not one of [`Event::to_record`].
    pub fn from_record(record: EventRecord) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let EventRecord { envelope, body, state_delta, changes } = record;
        let envelope = STANDARD.decode(envelope)?;
        let mut event = StoredEvent::from_parts(0, &envelope, body, state_delta)?.event;
        if let Some(changes) = changes {
            let index = Index::of(&changes)?;
            event.delta = delta_of(Dialect::Sessiond, index.root(&changes), None)?.0;
        }
        Ok(event)
    }
}
