//! An instance: one guest with its own memory, serving one call at a time.

use std::time::Instant;

use sessiond_core::event::StoredEvent;
use sessiond_core::event::editor::{Access, EventEditor};
use sessiond_core::hook::{CallContext, Rejection, RejectionKind, Returned};
use sessiond_core::key::Subject;
use sessiond_core::read::ReadOptions;
use sessiond_core::summary::{Draft, SummaryJob};
use sessiond_core::view::SessionView;
use wasmtime::Store;
use wasmtime::component::{Instance, Resource};

use crate::bindings::exports::sessiond::plugin as exports;
use crate::bindings::sessiond::plugin::types;
use crate::host::Host;
use crate::limits::{CallLimits, Spent};
use crate::measures::Held;
use crate::output::cut;
use crate::plugin::{ExportedIndices, Interface};
use crate::rows::{EventRow, Row, StaleHandle, SummaryRow};

/// The longest text of a rejection, in bytes.
const MAX_REJECTION: usize = 1024;
/// What a guest may hand over in one call of a function beyond `limits.output`: wasmtime counts what
/// lists take in the host as well as texts.
const LIFTED: usize = 1024 * 1024;

/// What a guest is asked.
#[derive(Debug)]
pub(crate) enum Request {
    BeforeAppend(Vec<EventEditor>),
    AfterAppend(Vec<StoredEvent>),
    BeforeGet(ReadOptions),
    AfterGet(Box<SessionView>),
    ShouldSummarize(Box<(SessionView, SummaryJob)>),
    Summarize(Box<(SessionView, SummaryJob)>),
}

impl Request {
    pub(crate) fn interface(&self) -> Interface {
        match self {
            Self::BeforeAppend(_) => Interface::BeforeAppend,
            Self::AfterAppend(_) => Interface::AfterAppend,
            Self::BeforeGet(_) => Interface::BeforeGet,
            Self::AfterGet(_) => Interface::AfterGet,
            Self::ShouldSummarize(..) | Self::Summarize(..) => Interface::Summarizer,
        }
    }
}

/// What it answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Events(Vec<Returned>),
    Nothing,
    Options(ReadOptions),
    View(Box<SessionView>),
    Due(bool),
    Draft(Draft),
    Rejected(Rejection),
}

/// A guest, started.
pub(crate) struct PluginInstance {
    store: Store<Host>,
    before_append: Option<exports::before_append::Guest>,
    after_append: Option<exports::after_append::Guest>,
    before_get: Option<exports::before_get::Guest>,
    after_get: Option<exports::after_get::Guest>,
    summarizer: Option<exports::summarizer::Guest>,
    /// True while a call runs: what does not come back from one is never used again.
    poisoned: bool,
    calls: u64,
    held: Held,
}

impl PluginInstance {
    pub(crate) fn new(
        mut store: Store<Host>,
        instance: &Instance,
        exported: &ExportedIndices,
        mut held: Held,
    ) -> wasmtime::Result<Self> {
        let indices = exported;
        let before_append =
            indices.before_append.as_ref().map(|it| it.load(&mut store, instance)).transpose()?;
        let after_append =
            indices.after_append.as_ref().map(|it| it.load(&mut store, instance)).transpose()?;
        let before_get =
            indices.before_get.as_ref().map(|it| it.load(&mut store, instance)).transpose()?;
        let after_get =
            indices.after_get.as_ref().map(|it| it.load(&mut store, instance)).transpose()?;
        let summarizer =
            indices.summarizer.as_ref().map(|it| it.load(&mut store, instance)).transpose()?;
        held.set(store.data().meter.memory());
        let (poisoned, calls) = (false, 0);
        Ok(Self {
            store,
            before_append,
            after_append,
            before_get,
            after_get,
            summarizer,
            poisoned,
            calls,
            held,
        })
    }

    /// Whether a call on it did not come back.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// How many calls it has served.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// What the guest uses and holds.
    pub(crate) fn host(&self) -> &Host {
        self.store.data()
    }

    /// Serves a call. An error is a trap: the instance is spent.
    pub(crate) async fn serve(
        &mut self,
        call: &CallContext,
        subject: &Subject,
        deadline: Instant,
        limits: &CallLimits,
        request: Request,
    ) -> wasmtime::Result<Answer> {
        self.poisoned = true;
        self.calls += 1;
        let host = self.store.data_mut();
        host.call = call.clone();
        subject.app().clone_into(&mut host.app);
        host.deadline = deadline;
        host.output.begin(call.request_id.clone(), subject.clone(), limits);
        host.spent = Spent::begin(*limits);
        self.store.set_hostcall_fuel(limits.output.saturating_add(LIFTED));
        self.store.set_epoch_deadline(1);
        let answer = self.dispatch(subject, request).await;
        let host = self.store.data_mut();
        host.rows.clear();
        host.leaked = host.table.iter_mut().count();
        let answer = answer?;
        let host = self.store.data_mut();
        host.output.end();
        self.held.set(host.meter.memory());
        self.poisoned = false;
        Ok(answer)
    }

    /// Lets it run without the bounds of a call of its own, for as long as it lives.
    pub(crate) fn unbounded(&mut self, call: CallContext) {
        let endless =
            CallLimits { output: usize::MAX, copied: usize::MAX, ..CallLimits::default() };
        let host = self.store.data_mut();
        host.call = call;
        host.spent = Spent::begin(endless);
        self.store.set_epoch_deadline(1);
    }

    /// Calls the guest, and nothing else.
    pub(crate) async fn bare(
        &mut self,
        subject: &Subject,
        request: Request,
    ) -> wasmtime::Result<Answer> {
        let answer = self.dispatch(subject, request).await;
        self.store.data_mut().rows.clear();
        answer
    }

    /// The last that the guest wrote to its standard error in a call that failed.
    pub(crate) fn last_words(&mut self) -> String {
        self.store.data_mut().output.end()
    }

    async fn dispatch(&mut self, subject: &Subject, request: Request) -> wasmtime::Result<Answer> {
        let key = types::SessionKey {
            app: subject.app().to_owned(),
            user: subject.user().to_owned(),
            session: subject.session().to_owned(),
        };
        match request {
            Request::BeforeAppend(events) => self.call_before_append(key, events).await,
            Request::AfterAppend(events) => self.call_after_append(key, events).await,
            Request::BeforeGet(options) => self.call_before_get(key, options).await,
            Request::AfterGet(view) => self.call_after_get(key, view).await,
            Request::ShouldSummarize(shown) => self.call_should_summarize(key, shown).await,
            Request::Summarize(shown) => self.call_summarize(key, shown).await,
        }
    }

    async fn call_before_append(
        &mut self,
        key: types::SessionKey,
        events: Vec<EventEditor>,
    ) -> wasmtime::Result<Answer> {
        let guest = self.before_append.as_ref().ok_or_else(|| missing("before-append"))?;
        let rows = &mut self.store.data_mut().rows;
        let handles: Vec<_> = events
            .into_iter()
            .enumerate()
            .map(|(at, editor)| EventRow::Own { given: Some(at), sequence: None, editor })
            .map(|row| rows.give(Row::Event(row)))
            .collect();
        let answer = guest.call_before_append(&mut self.store, &key, &handles).await?;
        let returned = match answer {
            Ok(returned) => returned,
            Err(rejection) => return Ok(Answer::Rejected(rejected(rejection))),
        };
        let rows = &mut self.store.data_mut().rows;
        let events = returned.into_iter().map(|handle: Resource<types::Event>| {
            match rows.take(handle.rep())? {
                Row::Event(EventRow::Own { given, editor, .. }) => {
                    Ok(Returned { given, event: editor })
                }
                _ => Err(StaleHandle),
            }
        });
        Ok(Answer::Events(events.collect::<Result<_, _>>()?))
    }

    async fn call_after_append(
        &mut self,
        key: types::SessionKey,
        events: Vec<StoredEvent>,
    ) -> wasmtime::Result<Answer> {
        let guest = self.after_append.as_ref().ok_or_else(|| missing("after-append"))?;
        let rows = &mut self.store.data_mut().rows;
        let handles: Vec<_> = events
            .into_iter()
            .map(|stored| EventRow::Own {
                given: None,
                // What changed the state of a user or an app has no place in a history.
                sequence: Some(stored.sequence).filter(|sequence| *sequence > 0),
                editor: EventEditor::new(stored.event.into(), Access::Read, 0),
            })
            .map(|row| rows.give(Row::Event(row)))
            .collect();
        guest.call_after_append(&mut self.store, &key, &handles).await?;
        Ok(Answer::Nothing)
    }

    async fn call_before_get(
        &mut self,
        key: types::SessionKey,
        options: ReadOptions,
    ) -> wasmtime::Result<Answer> {
        let guest = self.before_get.as_ref().ok_or_else(|| missing("before-get"))?;
        let handle = self.store.data_mut().rows.give(Row::Options(options));
        let answer = guest.call_before_get(&mut self.store, &key, handle).await?;
        Ok(match answer {
            Ok(handle) => match self.store.data_mut().rows.take(handle.rep())? {
                Row::Options(options) => Answer::Options(options),
                _ => return Err(StaleHandle.into()),
            },
            Err(rejection) => Answer::Rejected(rejected(rejection)),
        })
    }

    async fn call_after_get(
        &mut self,
        key: types::SessionKey,
        view: Box<SessionView>,
    ) -> wasmtime::Result<Answer> {
        let guest = self.after_get.as_ref().ok_or_else(|| missing("after-get"))?;
        let handle = give_session(&mut self.store, *view);
        let answer = guest.call_after_get(&mut self.store, &key, handle).await?;
        Ok(match answer {
            Ok(()) => {
                let view = self.store.data_mut().rows.session.take();
                Answer::View(Box::new(view.ok_or(StaleHandle)?))
            }
            Err(rejection) => Answer::Rejected(rejected(rejection)),
        })
    }

    async fn call_should_summarize(
        &mut self,
        key: types::SessionKey,
        shown: Box<(SessionView, SummaryJob)>,
    ) -> wasmtime::Result<Answer> {
        let guest = self.summarizer.as_ref().ok_or_else(|| missing("summarizer"))?;
        let (view, job) = *shown;
        let session = give_session(&mut self.store, view);
        let job = self.store.data_mut().rows.give(Row::Job(job));
        let answer = guest.call_should_summarize(&mut self.store, &key, session, job).await?;
        Ok(match answer {
            Ok(due) => Answer::Due(due),
            Err(rejection) => Answer::Rejected(rejected(rejection)),
        })
    }

    async fn call_summarize(
        &mut self,
        key: types::SessionKey,
        shown: Box<(SessionView, SummaryJob)>,
    ) -> wasmtime::Result<Answer> {
        let guest = self.summarizer.as_ref().ok_or_else(|| missing("summarizer"))?;
        let (view, job) = *shown;
        let session = give_session(&mut self.store, view);
        let job = self.store.data_mut().rows.give(Row::Job(job));
        let answer = guest.call_summarize(&mut self.store, &key, session, job).await?;
        Ok(match answer {
            Ok(handle) => match self.store.data_mut().rows.take(handle.rep())? {
                Row::Summary(SummaryRow::Draft(draft)) => Answer::Draft(draft),
                // The guest found nothing to add to the summary that is there.
                Row::Summary(SummaryRow::Stored(_)) => Answer::Draft(Draft::default()),
                _ => return Err(StaleHandle.into()),
            },
            Err(rejection) => Answer::Rejected(rejected(rejection)),
        })
    }
}

fn give_session(store: &mut Store<Host>, view: SessionView) -> Resource<types::Session> {
    let rows = &mut store.data_mut().rows;
    rows.session = Some(view);
    rows.give(Row::Session)
}

/// The loader and the chain see to it that only exported interfaces are called.
fn missing(interface: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the component does not export {interface}"))
}

fn rejected(rejection: types::Rejection) -> Rejection {
    let (kind, text) = match rejection {
        types::Rejection::Denied(text) => (RejectionKind::Denied, text),
        types::Rejection::Invalid(text) => (RejectionKind::Invalid, text),
        types::Rejection::Unavailable(text) => (RejectionKind::Unavailable, text),
    };
    Rejection { kind, text: cut(&text, MAX_REJECTION).to_owned() }
}
