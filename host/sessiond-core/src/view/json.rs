//! A view as the JSON that clients get, and guests that ask for it. Event bodies go out as they came
//! in, byte for byte, so the text is put together rather than serialized.

use std::collections::BTreeMap;

use super::{SessionView, ViewItem};
use crate::event::Event;
use crate::json::quote;
use crate::service::{AppendReply, ItemFate, ItemReply, QueuedReply};
use crate::state::StateMap;
use crate::store::{SessionHeader, SessionPage};
use crate::summary::Summary;

/// A JSON object, put together member by member.
#[derive(Debug)]
pub struct ObjectText {
    text: String,
}

impl Default for ObjectText {
    fn default() -> Self {
        Self { text: "{".to_owned() }
    }
}

impl ObjectText {
    /// Adds a member whose value is JSON text.
    #[must_use]
    pub fn raw(mut self, name: &str, value: &str) -> Self {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(&quote(name));
        self.text.push(':');
        self.text.push_str(value);
        self
    }

    /// Adds a member whose value is a string.
    #[must_use]
    pub fn string(self, name: &str, value: &str) -> Self {
        self.raw(name, &quote(value))
    }

    /// Adds a member whose value prints as JSON: a number or a truth value.
    #[must_use]
    pub fn plain(self, name: &str, value: impl ToString) -> Self {
        self.raw(name, &value.to_string())
    }

    /// Adds a member, if there is a value.
    #[must_use]
    pub fn optional<T>(self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    /// The object.
    pub fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// JSON texts as an array.
pub fn array_text(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// State as an object.
pub fn state_json(state: &StateMap) -> String {
    let object = ObjectText::default();
    state.iter().fold(object, |object, (key, value)| object.raw(key, &value.to_json())).end()
}

/// A summary.
pub fn summary_json(summary: &Summary) -> String {
    let topics = array_text(summary.topics.iter().map(|topic| quote(topic)));
    ObjectText::default()
        .string("filter_key", &summary.filter_key)
        .string("text", &summary.text)
        .raw("topics", &topics)
        .plain("first_seq", summary.first_sequence)
        .plain("last_seq", summary.last_sequence)
        .optional(summary.unseen, |object, (first, last)| {
            object.raw("unseen", &format!("{{\"first_seq\":{first},\"last_seq\":{last}}}"))
        })
        .string("updated_at", &summary.updated_at.to_string())
        .end()
}

/// The body of an entry of kind `summary`.
pub(crate) fn summary_body(text: &str, topics: &[String]) -> String {
    let topics = array_text(topics.iter().map(|topic| quote(topic)));
    ObjectText::default().string("text", text).raw("topics", &topics).end()
}

/// An entry: `{"seq", "id", "time", "dialect", "event": <verbatim>}`.
pub fn event_json(sequence: Option<u64>, event: &Event, body: &str) -> String {
    ObjectText::default()
        .optional(sequence, |object, sequence| object.plain("seq", sequence))
        .string("id", event.id())
        .string("time", &event.time().to_string())
        .string("dialect", event.dialect().name())
        .raw("event", body)
        .optional(event.state_delta(), |object, delta| object.raw("state_delta", delta))
        .end()
}

/// What is known of a session, as members of an object.
pub fn header_json(object: ObjectText, session: &str, header: &SessionHeader) -> ObjectText {
    object
        .string("id", session)
        .plain("generation", header.generation)
        .plain("revision", header.revision)
        .plain("last_seq", header.last_sequence)
        .string("created_at", &header.created_at.to_string())
        .string("updated_at", &header.updated_at.to_string())
        .optional(header.expires_at, |object, at| object.string("expires_at", &at.to_string()))
}

/// The answer to an append: the session as it is now, and what became of each item.
pub fn append_json(reply: &AppendReply) -> String {
    ObjectText::default()
        .plain("generation", reply.header.generation)
        .plain("revision", reply.header.revision)
        .plain("last_seq", reply.header.last_sequence)
        .raw("items", &array_text(reply.items.iter().map(item_json)))
        .end()
}

/// The answer to an append that is queued: ids, and no sequences.
pub fn queued_json(reply: &QueuedReply) -> String {
    let items = reply.items.iter().map(|(id, fate)| {
        let object = ObjectText::default().string("id", id);
        match fate {
            Some(ItemFate::DroppedBy(plugin)) => object.string("dropped_by", plugin).end(),
            Some(ItemFate::Partial) => object.plain("partial", true).end(),
            Some(ItemFate::Stored(_)) | None => object.plain("queued", true).end(),
        }
    });
    ObjectText::default()
        .plain("generation", reply.generation)
        .raw("items", &array_text(items))
        .end()
}

fn item_json(item: &ItemReply) -> String {
    let object = ObjectText::default().string("id", &item.id).plain("duplicate", item.duplicate);
    match &item.fate {
        ItemFate::Stored(sequence) => object.plain("seq", sequence).end(),
        ItemFate::DroppedBy(plugin) => object.string("dropped_by", plugin).end(),
        ItemFate::Partial => object.plain("partial", true).end(),
    }
}

/// A page of a user's sessions, with the state of those whose state is given.
pub fn sessions_json(page: &SessionPage, states: &BTreeMap<String, StateMap>) -> String {
    let sessions = page.sessions.iter().map(|(name, header)| {
        let object = header_json(ObjectText::default(), name, header);
        let state = states.get(name).map(state_json);
        object.optional(state, |object, state| object.raw("state", &state)).end()
    });
    let next = page.next.map(|token| format!("{}-{}", token.generation, token.updated));
    ObjectText::default()
        .raw("sessions", &array_text(sessions))
        .optional(next, |object, next| object.string("next_page_token", &next))
        .end()
}

impl ViewItem {
    /// The event as a reply has it.
    pub fn to_json(&self) -> String {
        event_json(self.sequence, self.event.event(), self.event.body())
    }
}

impl SessionView {
    /// The session as a reply has it: what is known of it, state, events and summaries.
    pub fn to_json(&self) -> String {
        self.json_of(self.items().map(ViewItem::to_json).collect(), false)
    }

    /// The same within a limit: past it the oldest events are left out, and `truncated` is true.
    pub fn to_json_within(&self, max_bytes: usize) -> String {
        let mut room = max_bytes.saturating_sub(self.json_of(Vec::new(), true).len());
        let mut events = Vec::new();
        for item in self.items().rev() {
            let event = item.to_json();
            match room.checked_sub(event.len() + 1) {
                Some(left) => room = left,
                None => break,
            }
            events.push(event);
        }
        events.reverse();
        let truncated = events.len() < self.len();
        self.json_of(events, truncated)
    }

    fn json_of(&self, events: Vec<String>, truncated: bool) -> String {
        let object = match &self.header {
            Some(header) => header_json(ObjectText::default(), self.subject.session(), header),
            None => ObjectText::default(),
        };
        let object = object.raw("state", &state_json(&self.state.merged()));
        let object = object.raw("events", &array_text(events));
        let object = match self.summaries.as_slice() {
            [] => object,
            summaries => object.raw("summaries", &array_text(summaries.iter().map(summary_json))),
        };
        let object = object.optional(self.origin.as_ref(), |object, origin| {
            let from = ObjectText::default()
                .string("user", &origin.user)
                .string("session", &origin.session)
                .plain("seq", origin.sequence);
            object.raw("forked_from", &from.end())
        });
        let object = match self.tracks.as_slice() {
            [] => object,
            tracks => object.raw("tracks", &array_text(tracks.iter().map(|name| quote(name)))),
        };
        if truncated { object.plain("truncated", true).end() } else { object.end() }
    }
}
