//! The shapes in which agent frameworks write events.
//!
//! The host keeps an event as it came. To rule on it, it must know a few facts, and where the
//! content stands: a dialect answers that, one file each. Nothing else in the host looks inside.

mod adk;
mod chat;
mod openai;
mod sessiond;
mod trpc;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::{Kind, Span, Value};
use crate::time::Time;

/// A shape of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Events of trpc-agent-go: a model response, flattened, with `choices`.
    Trpc,
    /// Events of Google's ADK: `content.parts` and `actions`.
    Adk,
    /// Chat messages: `role` and `content`.
    Chat,
    /// Items of OpenAI's Responses API: `type`.
    OpenAi,
    /// What this daemon writes itself: changes of state, and summaries.
    Sessiond,
}

impl Dialect {
    /// The name in requests, replies and the plugin contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trpc => "trpc",
            Self::Adk => "adk",
            Self::Chat => "chat",
            Self::OpenAi => "openai",
            Self::Sessiond => "sessiond",
        }
    }

    /// The dialect that a client may name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Trpc, Self::Adk, Self::Chat, Self::OpenAi].into_iter().find(|it| it.name() == name)
    }

    /// The dialect that an event's shape gives away.
    pub fn of_shape(body: Value<'_>) -> Option<Self> {
        let is = |name: &str, kind: Kind| body.get(name).is_some_and(|value| value.kind() == kind);
        if body.get("choices").is_some()
            || (is("invocationId", Kind::String) && is("timestamp", Kind::String))
        {
            Some(Self::Trpc)
        } else if is("content", Kind::Object)
            || is("actions", Kind::Object)
            || is("invocationId", Kind::String)
        {
            Some(Self::Adk)
        } else if is("type", Kind::String) {
            Some(Self::OpenAi)
        } else if is("role", Kind::String) {
            Some(Self::Chat)
        } else {
            None
        }
    }

    /// Whether the event's own `id` identifies it. In the other dialects an id is the model's, and
    /// two events may share it.
    pub(crate) fn has_event_ids(self) -> bool {
        matches!(self, Self::Adk | Self::Trpc)
    }

    /// Whether a partial event still changes state.
    pub(crate) fn partial_changes_state(self) -> bool {
        self == Self::Trpc
    }

    /// Reads the facts of an event.
    pub(crate) fn facts(self, body: Value<'_>) -> Facts {
        match self {
            Self::Trpc => trpc::facts(body),
            Self::Adk => adk::facts(body),
            Self::Chat => chat::facts(body),
            Self::OpenAi => openai::facts(body),
            Self::Sessiond => Facts::default(),
        }
    }

    /// Finds the content of an event, in order.
    pub(crate) fn content(self, body: Value<'_>) -> Vec<Content> {
        let mut found = Found::default();
        match self {
            Self::Trpc => trpc::content(body, &mut found),
            Self::Adk => adk::content(body, &mut found),
            Self::Chat => chat::content(body, &mut found),
            Self::OpenAi => openai::content(body, &mut found),
            Self::Sessiond => sessiond::content(body, &mut found),
        }
        found.content
    }

    /// Where the values begin that make up the event's identity, which no guest may edit.
    pub(crate) fn identity(self, body: Value<'_>) -> Vec<usize> {
        let mut closed = Vec::new();
        match self {
            Self::Trpc => trpc::identity(body, &mut closed),
            Self::Adk => adk::identity(body, &mut closed),
            Self::Chat => chat::identity(body, &mut closed),
            Self::OpenAi => openai::identity(body, &mut closed),
            Self::Sessiond => closed.extend(body.get("state_removed")),
        }
        closed.into_iter().map(|value| value.span().start).collect()
    }

    /// Where the event's body carries changes of state. None: it cannot.
    pub(crate) fn delta(self) -> Option<DeltaPlace> {
        match self {
            Self::Trpc => Some(trpc::DELTA),
            Self::Adk => Some(adk::DELTA),
            Self::Sessiond => Some(sessiond::DELTA),
            Self::Chat | Self::OpenAi => None,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the host knows of an event from its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The event's own id, whatever it is worth (in some dialects an id is the model's).
    pub id: Option<String>,
    /// The event's own time.
    pub time: Option<Time>,
    /// Who speaks.
    pub author: Option<String>,
    /// In which role, by the names of chat messages.
    pub role: String,
    /// The run of the agent that it belongs to.
    pub invocation_id: Option<String>,
    /// The branch of agents.
    pub branch: Option<String>,
    /// The key by which summaries are told apart.
    pub filter_key: Option<String>,
    /// The client's tag.
    pub tag: Option<String>,
    /// The client's request id.
    pub request_id: Option<String>,
    /// Whether it is a piece of an event that will follow whole.
    pub partial: bool,
    /// The ids of the tool calls that it makes.
    pub calls: Vec<String>,
    /// The ids of the tool calls that it answers.
    pub results: Vec<String>,
    /// Whether a user's turn begins with it.
    pub user_turn: bool,
    /// Whether it belongs to the conversation, rather than carry a change of state only.
    pub in_history: bool,
}

/// What a piece of content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// What is said.
    Message,
    /// What the model thinks aloud.
    Reasoning,
    /// What a tool is called with.
    ToolArguments,
    /// What a tool answered.
    ToolResult,
}

impl ContentKind {
    /// The name in the plugin contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Reasoning => "reasoning",
            Self::ToolArguments => "tool-arguments",
            Self::ToolResult => "tool-result",
        }
    }
}

/// A piece of content and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) kind: ContentKind,
    pub(crate) span: Span,
    /// A string, whose inside is the text; else the text is the JSON value itself.
    pub(crate) is_string: bool,
    pub(crate) call_id: Option<String>,
    pub(crate) tool: Option<String>,
}

/// Collects content while a dialect walks an event.
#[derive(Default)]
pub(crate) struct Found {
    content: Vec<Content>,
}

/// The tool that a piece of content belongs to.
#[derive(Default, Clone)]
pub(crate) struct Tool {
    call_id: Option<String>,
    name: Option<String>,
}

impl Tool {
    fn new(call_id: Option<String>, name: Option<String>) -> Self {
        Self { call_id, name }
    }
}

impl Found {
    /// Notes a value, unless it is missing, null or an empty string.
    fn add(&mut self, kind: ContentKind, value: Option<Value<'_>>, tool: &Tool) {
        let Some(value) = value.filter(|value| !value.is_null() && value.raw() != "\"\"") else {
            return;
        };
        self.content.push(Content {
            kind,
            span: value.span(),
            is_string: value.kind() == Kind::String,
            call_id: tool.call_id.clone(),
            tool: tool.name.clone(),
        });
    }

    fn text(&mut self, kind: ContentKind, value: Option<Value<'_>>) {
        self.add(kind, value, &Tool::default());
    }
}

/// Where a body carries changes of state, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeltaPlace {
    /// The names of the members that lead there, in each of the ways in which they are written. The
    /// first is for changes that are added.
    pub(crate) paths: &'static [&'static [&'static str]],
    /// Values are base64 of bytes, rather than JSON.
    pub(crate) base64: bool,
}

impl DeltaPlace {
    /// The way there that a body takes.
    pub(crate) fn path(&self, body: Value<'_>) -> &'static [&'static str] {
        let taken = self.paths.iter().find(|path| Self::follow(body, path).is_some());
        taken.or(self.paths.first()).copied().unwrap_or_default()
    }

    /// The object of changes, if the body has one.
    pub(crate) fn find<'a>(&self, body: Value<'a>) -> Option<Value<'a>> {
        Self::follow(body, self.path(body))
    }

    fn follow<'a>(body: Value<'a>, path: &[&str]) -> Option<Value<'a>> {
        path.iter().try_fold(body, |value, step| value.member(step))
    }
}

/// The member by one of the two ways in which frameworks write names.
fn either<'a>(value: Value<'a>, camel: &str, snake: &str) -> Option<Value<'a>> {
    value.member(camel).or_else(|| value.member(snake))
}

#[cfg(test)]
mod tests;
