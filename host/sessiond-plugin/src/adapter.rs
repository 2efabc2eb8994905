//! A plugin as the core sees it: its hooks and its summarizer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sessiond_core::event::StoredEvent;
use sessiond_core::event::editor::EventEditor;
use sessiond_core::hook::{
    AppendHook, CallContext, FailureKind, GetHook, HookError, Moments, OnError, Purpose, Returned,
    Summarizer,
};
use sessiond_core::key::Subject;
use sessiond_core::read::ReadOptions;
use sessiond_core::summary::{Draft, SummaryJob};
use sessiond_core::view::SessionView;
use tokio::task::JoinHandle;
use wasmtime::Trap;

use crate::alive::Alive;
use crate::error::CallError;
use crate::instance::{Answer, PluginInstance, Request};
use crate::limits::LimitError;
use crate::output::cut;
use crate::plugin::{Interface, Plugin};
use crate::slot::{Absent, PluginSlot};

/// How long past its deadline a call may go on before it is dropped from outside: the guest is
/// stopped from inside at its next tick, unless it waits in the host.
const SLACK: Duration = Duration::from_millis(50);

/// How much is kept of the report of the last failure, in bytes.
const MAX_REPORT: usize = 2048;

/// How wasmtime says that a guest handed over more than it may. The error has no type of its own.
const TOO_MUCH: &str = "too much data is being copied";

impl Plugin {
    /// Calls the guest, within all its limits.
    pub(crate) async fn call(
        self: &Arc<Self>,
        call: &CallContext,
        subject: &Subject,
        request: Request,
    ) -> Result<Answer, HookError> {
        let interface = request.interface();
        let begin = Instant::now();
        let answer = self.pass(call, subject, request).await;
        let outcome = match &answer {
            Ok(Answer::Rejected(_)) => "rejected",
            Ok(_) => "ok",
            Err(HookError::Rejected(_)) => "rejected",
            Err(HookError::Failed { kind, .. }) => kind.name(),
        };
        if call.purpose == Purpose::Trial {
            // No request waits for it, so it is none of those that are counted.
            return answer;
        }
        let (plugin, interface) = (self.name().to_owned(), interface.name());
        metrics::counter!("sessiond_plugin_calls_total", "plugin" => plugin.clone(), "interface" => interface, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("sessiond_plugin_call_seconds", "plugin" => plugin, "interface" => interface)
            .record(begin.elapsed());
        match answer? {
            Answer::Rejected(rejection) => Err(HookError::Rejected(rejection)),
            answer => Ok(answer),
        }
    }

    /// Calls it, unless it has failed so often that its breaker is open. Who waited for an instance
    /// in vain says nothing about the guest.
    async fn pass(
        self: &Arc<Self>,
        call: &CallContext,
        subject: &Subject,
        request: Request,
    ) -> Result<Answer, HookError> {
        let breaker = request.interface().of(&self.breakers).as_ref();
        let Some(breaker) = breaker.filter(|_| call.purpose != Purpose::Trial) else {
            return self.run(call, subject, request).await;
        };
        let passage = breaker.admit(Instant::now()).map_err(|retry_after| {
            let message = format!("breaker-open: it is tried again in {retry_after:?}");
            HookError::failed(FailureKind::Open { retry_after }, CallError { message })
        })?;
        let answer = self.run(call, subject, request).await;
        match &answer {
            Err(HookError::Failed { kind: FailureKind::Busy, .. }) => {}
            Err(HookError::Failed { kind, source }) => {
                let how = format!("{}: {source}", kind.name());
                passage.fail(Instant::now(), cut(&how, MAX_REPORT).to_owned());
            }
            Ok(_) | Err(HookError::Rejected(_)) => passage.succeed(),
        }
        answer
    }

    async fn run(
        self: &Arc<Self>,
        call: &CallContext,
        subject: &Subject,
        request: Request,
    ) -> Result<Answer, HookError> {
        let interface = request.interface();
        let place = self.pool.place(interface).await;
        let place = place.map_err(|busy| HookError::failed(FailureKind::Busy, busy))?;
        let time = self.code.settings.limits.of(interface).time;
        let deadline = Instant::now() + time;
        let runtime = self.engine.runtime();
        let runtime =
            runtime.map_err(|error| HookError::failed(FailureKind::Instantiate, error))?;
        let (plugin, call, subject) = (self.clone(), call.clone(), subject.clone());
        let task = runtime.spawn(async move {
            // The place is given up when the guest has ended, not when the caller has.
            let _place = place;
            let _running = Alive::call(plugin.name());
            plugin.serve(&call, &subject, deadline, request).await
        });
        // Dropping this, with the request, ends the guest at its next tick.
        let mut task = AbortOnDrop(task);
        let give_up = tokio::time::Instant::from_std(deadline) + SLACK;
        match tokio::time::timeout_at(give_up, &mut task.0).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(HookError::failed(FailureKind::Trap, panic)),
            Err(_) => {
                let message = format!(
                    "time-out: no answer within the {time:?} of `limits.time`, and the guest did \
                     not stop by itself"
                );
                Err(HookError::failed(FailureKind::TimeOut, CallError { message }))
            }
        }
    }

    async fn serve(
        &self,
        call: &CallContext,
        subject: &Subject,
        deadline: Instant,
        request: Request,
    ) -> Result<Answer, HookError> {
        let mut instance = match self.pool.take(subject.app()) {
            Some(instance) => instance,
            None => self.code.start(deadline).await.map_err(|error| {
                HookError::failed(
                    failure_kind(&error, FailureKind::Instantiate),
                    report(&error, ""),
                )
            })?,
        };
        let limits = self.code.settings.limits.of(request.interface());
        let answer = instance.serve(call, subject, deadline, limits, request).await;
        let answer = answer.map_err(|error| failed(&error, &mut instance));
        self.pool.give_back(subject.app(), instance);
        answer
    }
}

fn failed(error: &wasmtime::Error, instance: &mut PluginInstance) -> HookError {
    let last_words = instance.last_words();
    HookError::failed(failure_kind(error, FailureKind::Trap), report(error, &last_words))
}

fn failure_kind(error: &wasmtime::Error, otherwise: FailureKind) -> FailureKind {
    if let Some(limit) = error.downcast_ref::<LimitError>() {
        return limit.kind();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => FailureKind::TimeOut,
        Some(_) => FailureKind::Trap,
        None if error.root_cause().to_string().starts_with(TOO_MUCH) => FailureKind::Output,
        None => otherwise,
    }
}

/// What the operator gets to read: the cause, the guest's stack and its last words.
fn report(error: &wasmtime::Error, last_words: &str) -> CallError {
    let cause = error.root_cause().to_string();
    let stack = format!("{error:?}");
    let mut message = cause;
    if !last_words.trim().is_empty() {
        message.push_str(&format!("; the guest's last words: {}", last_words.trim()));
    }
    message.push_str(&format!("\n{stack}"));
    CallError { message }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A loaded plugin, to be named in lists of hooks and as a summarizer.
#[derive(Debug, Clone)]
pub struct Hooks(pub Arc<PluginSlot>);

impl Hooks {
    async fn call(
        &self,
        call: &CallContext,
        subject: &Subject,
        request: Request,
    ) -> Result<Answer, HookError> {
        let interface = request.interface();
        match self.0.current().filter(|plugin| plugin.exports(interface)) {
            Some(plugin) => plugin.call(call, subject, request).await,
            None => {
                let message = "not-loaded: `sessiond plugin list` says why".to_owned();
                Err(HookError::failed(FailureKind::NotLoaded, CallError { message }))
            }
        }
    }

    fn policy(&self) -> OnError {
        match (self.0.current(), self.0.absent()) {
            (Some(plugin), _) => plugin.settings().on_error,
            (None, Absent::Reject) => OnError::Reject,
            (None, Absent::Skip) => OnError::Skip,
        }
    }

    fn moments_of(&self, before: Interface, after: Interface) -> Moments {
        match self.0.current() {
            Some(plugin) => {
                Moments { before: plugin.exports(before), after: plugin.exports(after) }
            }
            // Nobody knows what it exports: what it might guard is refused before it happens.
            None => Moments { before: self.0.absent() == Absent::Reject, after: false },
        }
    }
}

/// The instance answers what it was asked; anything else would be our own mistake.
fn mixed_up() -> HookError {
    let message = "the answer belongs to another question".to_owned();
    HookError::failed(FailureKind::BadAnswer, CallError { message })
}

#[async_trait]
impl AppendHook for Hooks {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn moments(&self) -> Moments {
        self.moments_of(Interface::BeforeAppend, Interface::AfterAppend)
    }

    fn on_error(&self) -> OnError {
        self.policy()
    }

    async fn before_append(
        &self,
        call: &CallContext,
        subject: &Subject,
        events: Vec<EventEditor>,
    ) -> Result<Vec<Returned>, HookError> {
        match self.call(call, subject, Request::BeforeAppend(events)).await? {
            Answer::Events(events) => Ok(events),
            _ => Err(mixed_up()),
        }
    }

    async fn after_append(
        &self,
        call: &CallContext,
        subject: &Subject,
        events: Vec<StoredEvent>,
    ) -> Result<(), HookError> {
        self.call(call, subject, Request::AfterAppend(events)).await.map(drop)
    }
}

#[async_trait]
impl GetHook for Hooks {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn moments(&self) -> Moments {
        self.moments_of(Interface::BeforeGet, Interface::AfterGet)
    }

    fn on_error(&self) -> OnError {
        self.policy()
    }

    async fn before_get(
        &self,
        call: &CallContext,
        subject: &Subject,
        options: ReadOptions,
    ) -> Result<ReadOptions, HookError> {
        match self.call(call, subject, Request::BeforeGet(options)).await? {
            Answer::Options(options) => Ok(options),
            _ => Err(mixed_up()),
        }
    }

    async fn after_get(
        &self,
        call: &CallContext,
        subject: &Subject,
        view: SessionView,
    ) -> Result<SessionView, HookError> {
        match self.call(call, subject, Request::AfterGet(view)).await? {
            Answer::View(view) => Ok(*view),
            _ => Err(mixed_up()),
        }
    }
}

#[async_trait]
impl Summarizer for Hooks {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn should_summarize(
        &self,
        call: &CallContext,
        subject: &Subject,
        view: SessionView,
        job: SummaryJob,
    ) -> Result<bool, HookError> {
        if self.0.current().is_none() && self.0.absent() == Absent::Skip {
            return Ok(false);
        }
        match self.call(call, subject, Request::ShouldSummarize(view, job)).await? {
            Answer::Due(due) => Ok(due),
            _ => Err(mixed_up()),
        }
    }

    async fn summarize(
        &self,
        call: &CallContext,
        subject: &Subject,
        view: SessionView,
        job: SummaryJob,
    ) -> Result<Draft, HookError> {
        match self.call(call, subject, Request::Summarize(view, job)).await? {
            Answer::Draft(draft) => Ok(draft),
            _ => Err(mixed_up()),
        }
    }
}
