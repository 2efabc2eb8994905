//! One entry of a session's history: the client's JSON as it came, and what the host rules by.

pub mod editor;
mod envelope;
mod record;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::envelope::EnvelopeError;
pub use self::record::EventRecord;
use crate::dialect::{Dialect, Facts};
use crate::json::{Index, JsonError, Kind, Value, member};
use crate::state::{self, StateChange, StateDelta, StateError};
use crate::time::Time;

/// The longest id of an event, in bytes of UTF-8.
pub const MAX_EVENT_ID: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A part of the conversation.
    Event,
    /// A change of state without one.
    State,
    /// A summary, on its way through the hooks. Never an entry of the history.
    Summary,
    /// An event of a track. Never an entry of the history.
    Track,
}

impl EntryKind {
    /// The name in the plugin contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::State => "state",
            Self::Summary => "summary",
            Self::Track => "track",
        }
    }
}

/// Why an event was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The body is not JSON.
    #[error("the event is not JSON: {0}")]
    NotJson(#[from] JsonError),
    /// The body is JSON, but no object.
    #[error("the event is not a JSON object")]
    NotObject,
    /// The shape is of no known dialect.
    #[error(
        "the event has the shape of no known dialect: send a chat message (`role`), an OpenAI item \
         (`type`), an ADK event (`content.parts`) or a trpc event (`choices`), or name the `dialect`"
    )]
    UnknownShape,
    /// The body is too large.
    #[error("the event has {size} bytes: `session.max_event_size` allows {max}")]
    TooLarge {
        /// Its size in bytes, changes of state beside the body included.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The id is empty or too long.
    #[error("the event's id has {0} bytes: give it 1 to {MAX_EVENT_ID}")]
    BadId(usize),
    /// The changes of state are not in order.
    #[error(transparent)]
    State(#[from] StateError),
    /// The body carries changes of state, and there are others beside it.
    #[error("the event carries changes of state itself: leave out `state_delta` beside it")]
    TwoDeltas,
}

/// An event as it was received, before it is parsed.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The JSON object, byte for byte.
    pub body: String,
    /// The id that the client gave beside the body.
    pub id: Option<String>,
    /// The dialect that the client named.
    pub dialect: Option<Dialect>,
    /// A JSON object of changes of state beside the body.
    pub state_delta: Option<String>,
}

/// An entry, parsed. It has no sequence before it is stored ([`StoredEvent`]).
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    kind: EntryKind,
    dialect: Dialect,
    id: String,
    time: Time,
    facts: Facts,
    tokens: u32,
    body: String,
    state_delta: Option<String>,
    delta: StateDelta,
}

impl Event {
    /// Parses what a client or a guest sends.
    ///
    /// `temp:` state is taken out of the body: it is never stored. A partial event whose dialect
    /// lets it change state becomes an entry of that change alone; [`Event::is_kept`] tells whether
    /// anything is left to store.
    ///
    /// # Errors
    /// [`EventError`], when the event cannot be kept as it is.
    pub fn parse(received: Received, now: Time, max_size: usize) -> Result<Self, EventError> {
        let size = received.body.len() + received.state_delta.as_ref().map_or(0, String::len);
        if size > max_size {
            return Err(EventError::TooLarge { size, max: max_size });
        }
        let index = Index::of(&received.body)?;
        let root = index.root(&received.body);
        if root.kind() != Kind::Object {
            return Err(EventError::NotObject);
        }
        let named = received.dialect.or_else(|| Dialect::of_shape(root));
        let dialect = named.ok_or(EventError::UnknownShape)?;
        let facts = dialect.facts(root);
        let tokens = estimate_tokens(dialect, &received.body, root);
        let (delta, has_temporary) = delta_of(dialect, root, received.state_delta.as_deref())?;
        let own_id = facts.id.clone().filter(|_| dialect.has_event_ids());
        let id = received.id.or(own_id).unwrap_or_else(|| Uuid::now_v7().to_string());
        if id.is_empty() || id.len() > MAX_EVENT_ID {
            return Err(EventError::BadId(id.len()));
        }
        let mut event = Self {
            kind: if facts.in_history { EntryKind::Event } else { EntryKind::State },
            dialect,
            id,
            time: facts.time.unwrap_or(now),
            facts,
            tokens,
            body: received.body,
            state_delta: received.state_delta,
            delta,
        };
        if has_temporary {
            event.forget_temporary();
        }
        if event.facts.partial {
            event.keep_state_only();
        }
        Ok(event)
    }

    /// An entry of kind `state`, for a change of state that came without an event. `temp:` state is
    /// left out.
    ///
    /// # Errors
    /// [`EventError`], for a key that is refused and for more than `max_size` bytes.
    pub fn of_state(delta: StateDelta, now: Time, max_size: usize) -> Result<Self, EventError> {
        let mut kept = StateDelta::default();
        for (key, change) in delta.changes().filter(|(key, _)| !state::is_temporary(key)) {
            state::check_key(key)?;
            kept.push(key.to_owned(), change.clone());
        }
        let body = kept.to_body();
        if body.len() > max_size {
            return Err(EventError::TooLarge { size: body.len(), max: max_size });
        }
        Ok(Self::of_sessiond(EntryKind::State, body, kept, now))
    }

    /// An entry of kind `summary`, for a summary on its way through the hooks.
    pub(crate) fn of_summary(body: String, now: Time) -> Self {
        Self::of_sessiond(EntryKind::Summary, body, StateDelta::default(), now)
    }

    /// An entry of kind `track`, for an event of a track on its way through the hooks.
    pub(crate) fn of_track(body: String, now: Time) -> Self {
        Self::of_sessiond(EntryKind::Track, body, StateDelta::default(), now)
    }

    fn of_sessiond(kind: EntryKind, body: String, delta: StateDelta, now: Time) -> Self {
        Self {
            kind,
            dialect: Dialect::Sessiond,
            id: Uuid::now_v7().to_string(),
            time: now,
            facts: Facts::default(),
            tokens: 0,
            body,
            state_delta: None,
            delta,
        }
    }

    fn forget_temporary(&mut self) {
        for path in self.dialect.delta().map_or(&[][..], |place| place.paths) {
            self.body = member::remove(&self.body, path, state::is_temporary);
        }
        if let Some(beside) = &mut self.state_delta {
            *beside = member::remove(beside, &[], state::is_temporary);
        }
    }

    /// A partial event is never kept; what it may leave is its change of state.
    fn keep_state_only(&mut self) {
        if !self.dialect.partial_changes_state() {
            self.delta = StateDelta::default();
        }
        self.kind = EntryKind::State;
        self.dialect = Dialect::Sessiond;
        self.body = self.delta.to_body();
        self.state_delta = None;
        self.tokens = 0;
    }

    /// Whether the entry has anything to store: a partial event without a change of state has not.
    pub fn is_kept(&self) -> bool {
        !(self.facts.partial && self.delta.is_empty())
    }

    /// What the entry is.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// The dialect of the body.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The id that makes a retry recognizable.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The event's own time, or the time of the append.
    pub fn time(&self) -> Time {
        self.time
    }

    /// What the host knows of it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The estimate of its tokens: a quarter of the characters of its content.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// The JSON object, byte for byte.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The JSON object of changes of state beside the body, if there is one.
    pub fn state_delta(&self) -> Option<&str> {
        self.state_delta.as_deref()
    }

    /// The changes of state that it makes, from the body or beside it. Empty in an event that was
    /// read from a store, where they have been made.
    pub fn delta(&self) -> &StateDelta {
        &self.delta
    }

    /// The size in bytes that `session.max_event_size` bounds.
    pub fn size(&self) -> usize {
        self.body.len() + self.state_delta.as_ref().map_or(0, String::len)
    }

    pub(crate) fn with_id(mut self, id: String) -> Self {
        self.id = id;
        self
    }
}

impl fmt::Debug for Event {
    /// Bodies may be secret, so only their size shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("dialect", &self.dialect)
            .field("id", &self.id)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// An entry in its place in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its sequence, from 1, never given again in the session. 0 for a change of the state of a user
    /// or an app, which is in no session's history.
    pub sequence: u64,
    /// The entry.
    pub event: Event,
}

/// The changes of state of a body and beside it, and whether there is `temp:` state to be forgotten.
fn delta_of(
    dialect: Dialect,
    root: Value<'_>,
    beside: Option<&str>,
) -> Result<(StateDelta, bool), EventError> {
    let mut delta = StateDelta::default();
    if let Some(place) = dialect.delta()
        && let Some(object) = place.find(root)
    {
        delta = state::read_delta(object, place.base64)?;
    }
    if dialect == Dialect::Sessiond {
        for key in root.member("state_removed").into_iter().flat_map(|keys| keys.items()) {
            let key = key.as_str().unwrap_or_default().into_owned();
            state::check_key(&key)?;
            delta.push(key, StateChange::Remove);
        }
    }
    if let Some(beside) = beside {
        if !delta.is_empty() {
            return Err(EventError::TwoDeltas);
        }
        let index = Index::of(beside)?;
        delta = state::read_delta(index.root(beside), false)?;
    }
    // A name that is written twice hides an object that is no change of state, and may hold some.
    let mut names = root.descendants().filter(|node| node.kind() == Kind::Name);
    let has_temporary = delta.changes().any(|(key, _)| state::is_temporary(key))
        || names.any(|name| name.as_str().is_some_and(|name| state::is_temporary(&name)));
    let mut kept = StateDelta::default();
    for (key, change) in delta.changes().filter(|(key, _)| !state::is_temporary(key)) {
        kept.push(key.to_owned(), change.clone());
    }
    Ok((kept, has_temporary))
}

/// A quarter of the characters of the content, tool calls and results included (R72).
fn estimate_tokens(dialect: Dialect, body: &str, root: Value<'_>) -> u32 {
    let parts = dialect.content(root).into_iter();
    let texts = parts.filter_map(|part| body.get(part.span.start..part.span.end));
    let characters: usize = texts.map(|text| text.chars().count()).sum();
    u32::try_from(characters.div_ceil(4)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
