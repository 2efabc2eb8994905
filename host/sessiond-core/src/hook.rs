//! Hooks: the users' own logic on what goes in and what comes out, as the core sees it.
//!
//! Who implements these traits (a WebAssembly component, a test) is not the core's business, and is
//! not trusted: [`chain`] checks what a hook returns as it would check what a client sends.

pub mod chain;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::event::StoredEvent;
use crate::event::editor::EventEditor;
use crate::key::Subject;
use crate::read::ReadOptions;
use crate::summary::{Draft, SummaryJob};
use crate::view::SessionView;

/// What a call to a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Events are appended.
    Append,
    /// A session is created with state.
    Create,
    /// A whole session comes from another place.
    Import,
    /// A session is made of another one.
    Fork,
    /// State is changed, or read.
    State,
    /// A summary is made, or stored.
    Summary,
    /// A session is read.
    Session,
    /// Events are read.
    Events,
    /// Summaries are read.
    Summaries,
    /// Events are appended to a track, or read from one.
    Track,
    /// Events are taken out of a session.
    Edit,
    /// A session is watched.
    Watch,
    /// The daemon tries a plugin at load.
    Trial,
}

impl Purpose {
    /// The name in the plugin contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Create => "create",
            Self::Import => "import",
            Self::Fork => "fork",
            Self::State => "state",
            Self::Summary => "summary",
            Self::Session => "session",
            Self::Events => "events",
            Self::Summaries => "summaries",
            Self::Track => "track",
            Self::Edit => "edit",
            Self::Watch => "watch",
            Self::Trial => "trial",
        }
    }
}

/// The request that a call serves.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Who asks, where that is known.
    pub caller: Option<String>,
    /// What for.
    pub purpose: Purpose,
    /// The id of the client's request.
    pub request_id: Arc<str>,
    /// 1, and one more for each repetition.
    pub attempt: u32,
    /// Whether the client is a plugin, of this daemon or another.
    pub hop: bool,
    /// The `traceparent` of the client's request, if it had one that is in order.
    pub traceparent: Option<Arc<str>>,
}

impl CallContext {
    /// The context of a request that is tried for the first time, by nobody known.
    pub fn new(purpose: Purpose, request_id: impl Into<Arc<str>>) -> Self {
        let (caller, traceparent) = (None, None);
        let request_id = request_id.into();
        Self { caller, purpose, request_id, attempt: 1, hop: false, traceparent }
    }

    /// The same request, for another purpose.
    pub fn with_purpose(&self, purpose: Purpose) -> Self {
        Self { purpose, ..self.clone() }
    }
}

/// How a hook says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionKind {
    /// It is not allowed.
    Denied,
    /// It is malformed.
    Invalid,
    /// The hook cannot tell at present.
    Unavailable,
}

/// A hook's no, with a text for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of no.
    pub kind: RejectionKind,
    /// The text, which comes from the guest: data, to be escaped and capped.
    pub text: String,
}

/// Why a plugin failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It could not be started.
    Instantiate,
    /// It trapped: a panic, an access out of bounds, a stale handle.
    Trap,
    /// It ran past its deadline.
    TimeOut,
    /// It asked for more memory than it may have.
    Memory,
    /// It returned and set more than it may.
    Output,
    /// It read more than it may.
    Copied,
    /// It held more handles than it may.
    Handles,
    /// All its instances are in use, and the wait for one was too long.
    Busy,
    /// It returned what breaks the contract.
    BadAnswer,
    /// It has failed so often that it is not called for a while.
    Open {
        /// When it is worth to ask again.
        retry_after: Duration,
    },
    /// It could not be loaded.
    NotLoaded,
}

impl FailureKind {
    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instantiate => "instantiate",
            Self::Trap => "trap",
            Self::TimeOut => "time-out",
            Self::Memory => "memory-limit",
            Self::Output => "output-limit",
            Self::Copied => "copied-limit",
            Self::Handles => "handle-limit",
            Self::Busy => "busy",
            Self::BadAnswer => "bad-answer",
            Self::Open { .. } => "breaker-open",
            Self::NotLoaded => "not-loaded",
        }
    }
}

/// A call that did not end in an answer to go on with.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The hook said no.
    #[error("rejected")]
    Rejected(Rejection),
    /// The plugin failed.
    #[error("failed: {}", kind.name())]
    Failed {
        /// How.
        kind: FailureKind,
        /// Details for the operator, never for the client.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl HookError {
    /// A failure with details.
    pub fn failed(kind: FailureKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed { kind, source: source.into() }
    }
}

/// What happens to a request when a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It is refused.
    Reject,
    /// It goes on as if the plugin were not there.
    Skip,
}

/// Which of its two moments a hook wants to be called at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// Before the write or the read.
    pub before: bool,
    /// After it.
    pub after: bool,
}

/// An event in the answer of a before-append hook.
#[derive(Debug)]
pub struct Returned {
    /// Which of the events that it was given; None for one that it adds.
    pub given: Option<usize>,
    /// The event, with the hook's edits.
    pub event: EventEditor,
}

/// Logic on what goes in.
#[async_trait]
pub trait AppendHook: Send + Sync + fmt::Debug {
    /// The plugin's name in the configuration.
    fn name(&self) -> &str;

    /// When to call it.
    fn moments(&self) -> Moments;

    /// What happens when it fails.
    fn on_error(&self) -> OnError;

    /// Before events are stored. Returns those to go on with.
    async fn before_append(
        &self,
        call: &CallContext,
        subject: &Subject,
        events: Vec<EventEditor>,
    ) -> Result<Vec<Returned>, HookError>;

    /// After they were.
    async fn after_append(
        &self,
        call: &CallContext,
        subject: &Subject,
        events: Vec<StoredEvent>,
    ) -> Result<(), HookError>;
}

/// Logic on what comes out.
#[async_trait]
pub trait GetHook: Send + Sync + fmt::Debug {
    /// The plugin's name in the configuration.
    fn name(&self) -> &str;

    /// When to call it.
    fn moments(&self) -> Moments;

    /// What happens when it fails.
    fn on_error(&self) -> OnError;

    /// Before a read. Returns the options to go on with.
    async fn before_get(
        &self,
        call: &CallContext,
        subject: &Subject,
        options: ReadOptions,
    ) -> Result<ReadOptions, HookError>;

    /// After it. Returns the view to go on with.
    async fn after_get(
        &self,
        call: &CallContext,
        subject: &Subject,
        view: SessionView,
    ) -> Result<SessionView, HookError>;
}

/// Logic that sums up.
#[async_trait]
pub trait Summarizer: Send + Sync + fmt::Debug {
    /// The plugin's name in the configuration.
    fn name(&self) -> &str;

    /// Whether a summary is worth it now.
    async fn should_summarize(
        &self,
        call: &CallContext,
        subject: &Subject,
        view: SessionView,
        job: SummaryJob,
    ) -> Result<bool, HookError>;

    /// Writes a summary.
    async fn summarize(
        &self,
        call: &CallContext,
        subject: &Subject,
        view: SessionView,
        job: SummaryJob,
    ) -> Result<Draft, HookError>;
}
