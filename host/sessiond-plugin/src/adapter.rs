//! A plugin as the core sees it: its hooks and its summarizer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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
use tracing::{Instrument as _, Span, field};
use wasmtime::Trap;

use crate::error::CallError;
use crate::instance::{Answer, PluginInstance, Request};
use crate::limits::LimitError;
use crate::measures::{Parts, Phase};
use crate::output::cut;
use crate::places::Place;
use crate::plugin::{Interface, Plugin};
use crate::rows::StaleHandle;
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
        // The name is ours; what guests write is nowhere in a span.
        let span = tracing::info_span!(
            "plugin call",
            plugin = self.name(),
            interface = interface.name(),
            sha256 = self.sha256(),
            outcome = field::Empty,
            wait_us = field::Empty,
            instantiate_us = field::Empty,
            call_us = field::Empty,
        );
        let parent = span.clone();
        self.counted(call, subject, request, interface, span).instrument(parent).await
    }

    async fn counted(
        self: &Arc<Self>,
        call: &CallContext,
        subject: &Subject,
        request: Request,
        interface: Interface,
        span: Span,
    ) -> Result<Answer, HookError> {
        let measures = &self.code.measures;
        // No request waits for a trial, so it is none of those that are counted.
        let counts = call.purpose != Purpose::Trial;
        // The clock is read no more often than it must be: each time takes a hundredth of a short call.
        let begin = Instant::now();
        let counted = counts.then(|| measures.call(interface, begin));
        let parts = Parts::new(counts.then(|| measures.clone()), interface, span);
        let answer = self.pass(call, subject, request, parts, begin).await;
        let outcome = match &answer {
            Ok(Answer::Rejected(_)) => "rejected",
            Ok(_) => "ok",
            Err(HookError::Rejected(_)) => "rejected",
            Err(HookError::Failed { kind, .. }) => kind.name(),
        };
        if let Some(counted) = counted {
            counted.end(outcome);
        }
        match answer? {
            // A trial has the answer itself.
            Answer::Rejected(rejection) if counts => Err(HookError::Rejected(rejection)),
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
        parts: Parts,
        begin: Instant,
    ) -> Result<Answer, HookError> {
        let breaker = request.interface().of(&self.breakers).as_ref();
        let Some(breaker) = breaker.filter(|_| call.purpose != Purpose::Trial) else {
            return self.run(call, subject, request, parts, begin).await;
        };
        let passage = breaker.admit(begin).map_err(|retry_after| {
            let message = format!("breaker-open: it is tried again in {retry_after:?}");
            HookError::failed(FailureKind::Open { retry_after }, CallError { message })
        })?;
        let answer = self.run(call, subject, request, parts, begin).await;
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
        parts: Parts,
        begin: Instant,
    ) -> Result<Answer, HookError> {
        let interface = request.interface();
        let (place, started) = match self.pool.place_at_once(interface) {
            Some(place) => (place, begin),
            None => (self.wait(interface, &parts, begin).await?, Instant::now()),
        };
        let time = self.code.settings.limits.of(interface).time;
        let deadline = started + time;
        let runtime = self.engine.runtime();
        let runtime =
            runtime.map_err(|error| HookError::failed(FailureKind::Instantiate, error))?;
        let (plugin, call, subject) = (self.clone(), call.clone(), subject.clone());
        let mut serving = Box::pin(async move {
            // The place is given up when the guest has ended, not when the caller has.
            let _place = place;
            let _running = plugin.code.measures.running();
            parts.record(Phase::Wait, started - begin);
            plugin.serve(&call, &subject, (started, deadline), request, &parts).await
        });
        // To hand a call to another thread and back takes longer than most calls. So it begins here,
        // and moves only if it is not over at the first tick, or waits in the host.
        if let Some(answer) = first_tick(serving.as_mut()).await {
            return answer;
        }
        // Dropping this, with the request, ends the guest at its next tick.
        let mut task = AbortOnDrop(runtime.spawn(serving.in_current_span()));
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
        (started, deadline): (Instant, Instant),
        request: Request,
        parts: &Parts,
    ) -> Result<Answer, HookError> {
        // A trial is of our own events, and its author is to learn what is wrong.
        let detailed = self.settings().log_guest_output || call.purpose == Purpose::Trial;
        let (mut instance, begin) = match self.pool.take(subject.app()) {
            Some(instance) => (instance, started),
            None => {
                let instance = Box::pin(self.start(deadline, parts, detailed)).await?;
                (instance, Instant::now())
            }
        };
        let limits = self.code.settings.limits.of(request.interface());
        let answer = instance.serve(call, subject, deadline, limits, request).await;
        let end = Instant::now();
        parts.record(Phase::Call, end - begin);
        let answer = answer.map_err(|error| failed(&error, &mut instance, detailed));
        // Nobody else is of the app of a trial, so its instance would only hold memory.
        if call.purpose != Purpose::Trial {
            self.pool.give_back(subject.app(), instance, end);
        }
        answer
    }
}

impl Plugin {
    async fn wait(
        &self,
        interface: Interface,
        parts: &Parts,
        begin: Instant,
    ) -> Result<Place, HookError> {
        // In a box, as what else few calls need: all would carry the room for it along.
        let place = Box::pin(self.pool.place(interface)).await;
        place.map_err(|busy| {
            parts.record(Phase::Wait, begin.elapsed());
            HookError::failed(FailureKind::Busy, busy)
        })
    }

    async fn start(
        &self,
        deadline: Instant,
        parts: &Parts,
        detailed: bool,
    ) -> Result<Box<PluginInstance>, HookError> {
        let begin = Instant::now();
        let started = self.code.start(deadline).await;
        parts.record(Phase::Instantiate, begin.elapsed());
        started.map(Box::new).map_err(|error| {
            let kind = failure_kind(&error, FailureKind::Instantiate);
            HookError::failed(kind, report(&error, "", detailed))
        })
    }
}

fn failed(error: &wasmtime::Error, instance: &mut PluginInstance, detailed: bool) -> HookError {
    let last_words = instance.last_words();
    let kind = failure_kind(error, FailureKind::Trap);
    HookError::failed(kind, report(error, &last_words, detailed))
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

/// What the operator gets to read: the cause, the guest's stack and its last words (P40). Without
/// details it is the cause alone, and that only if it is ours.
fn report(error: &wasmtime::Error, last_words: &str, detailed: bool) -> CallError {
    let cause = error.root_cause().to_string();
    if !detailed {
        let ours = error.is::<LimitError>() || error.is::<Trap>() || error.is::<StaleHandle>();
        let message = if ours { cause } else { "the guest failed".to_owned() };
        return CallError { message: message + " (`telemetry.log_guest_output` hides the rest)" };
    }
    let stack = format!("{error:?}");
    let mut message = cause;
    if !last_words.trim().is_empty() {
        message.push_str(&format!("; the guest's last words: {}", last_words.trim()));
    }
    message.push_str(&format!("\n{stack}"));
    CallError { message }
}

/// Runs a call until it has to wait: at the latest until a guest's first tick. A panic of the host in
/// it ends this call alone, as it would in a task.
async fn first_tick(
    mut serving: Pin<&mut (impl Future<Output = Result<Answer, HookError>> + Send)>,
) -> Option<Result<Answer, HookError>> {
    let poll = |context: &mut Context<'_>| {
        let polled = AssertUnwindSafe(|| serving.as_mut().poll(context));
        Poll::Ready(match catch_unwind(polled) {
            Ok(Poll::Ready(answer)) => Some(answer),
            Ok(Poll::Pending) => None,
            Err(_) => {
                let message = "the host panicked in a call of the guest".to_owned();
                Some(Err(HookError::failed(FailureKind::Trap, CallError { message })))
            }
        })
    };
    std::future::poll_fn(poll).await
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
        match self.call(call, subject, Request::AfterGet(Box::new(view))).await? {
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
        match self.call(call, subject, Request::ShouldSummarize(Box::new((view, job)))).await? {
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
        match self.call(call, subject, Request::Summarize(Box::new((view, job)))).await? {
            Answer::Draft(draft) => Ok(draft),
            _ => Err(mixed_up()),
        }
    }
}
