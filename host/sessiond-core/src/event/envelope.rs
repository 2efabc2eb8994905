//! The few facts that a store keeps beside a body, so that a read need not parse it again.

use serde::{Deserialize, Serialize};

use super::{EntryKind, Event, StoredEvent};
use crate::dialect::{Dialect, Facts};
use crate::state::StateDelta;
use crate::time::Time;

/// One letter a member: there is one of these in every entry of every session.
#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(rename = "k")]
    kind: EntryKind,
    #[serde(rename = "d")]
    dialect: Dialect,
    #[serde(rename = "i")]
    id: String,
    #[serde(rename = "t")]
    time: Time,
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    tokens: u32,
    #[serde(rename = "a", default, skip_serializing_if = "is_default")]
    author: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "is_default")]
    role: String,
    #[serde(rename = "v", default, skip_serializing_if = "is_default")]
    invocation_id: Option<String>,
    #[serde(rename = "b", default, skip_serializing_if = "is_default")]
    branch: Option<String>,
    #[serde(rename = "f", default, skip_serializing_if = "is_default")]
    filter_key: Option<String>,
    #[serde(rename = "g", default, skip_serializing_if = "is_default")]
    tag: Option<String>,
    #[serde(rename = "q", default, skip_serializing_if = "is_default")]
    request_id: Option<String>,
    #[serde(rename = "c", default, skip_serializing_if = "is_default")]
    calls: Vec<String>,
    #[serde(rename = "s", default, skip_serializing_if = "is_default")]
    results: Vec<String>,
    #[serde(rename = "u", default, skip_serializing_if = "is_default")]
    user_turn: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A store gave back what it was not given.
#[derive(Debug, thiserror::Error)]
#[error("entry {sequence} has an envelope that cannot be read")]
pub struct EnvelopeError {
    /// The entry's sequence.
    pub sequence: u64,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

impl Event {
    /// The facts as a store keeps them beside the body: compact JSON.
    pub fn envelope(&self) -> String {
        let facts = self.facts.clone();
        let envelope = Envelope {
            kind: self.kind,
            dialect: self.dialect,
            id: self.id.clone(),
            time: self.time,
            tokens: self.tokens,
            author: facts.author,
            role: facts.role,
            invocation_id: facts.invocation_id,
            branch: facts.branch,
            filter_key: facts.filter_key,
            tag: facts.tag,
            request_id: facts.request_id,
            calls: facts.calls,
            results: facts.results,
            user_turn: facts.user_turn,
        };
        // A struct of strings and numbers always serializes.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

impl StoredEvent {
    /// An entry as it was stored.
    ///
    /// # Errors
    /// [`EnvelopeError`], when the envelope is not one of [`Event::envelope`].
    pub fn from_parts(
        sequence: u64,
        envelope: &str,
        body: String,
        state_delta: Option<String>,
    ) -> Result<Self, EnvelopeError> {
        let envelope: Envelope =
            serde_json::from_str(envelope).map_err(|source| EnvelopeError { sequence, source })?;
        let facts = Facts {
            id: None,
            time: None,
            author: envelope.author,
            role: envelope.role,
            invocation_id: envelope.invocation_id,
            branch: envelope.branch,
            filter_key: envelope.filter_key,
            tag: envelope.tag,
            request_id: envelope.request_id,
            partial: false,
            calls: envelope.calls,
            results: envelope.results,
            user_turn: envelope.user_turn,
            in_history: envelope.kind == EntryKind::Event,
        };
        let event = Event {
            kind: envelope.kind,
            dialect: envelope.dialect,
            id: envelope.id,
            time: envelope.time,
            facts,
            tokens: envelope.tokens,
            body,
            state_delta,
            delta: StateDelta::default(),
        };
        Ok(Self { sequence, event })
    }
}
