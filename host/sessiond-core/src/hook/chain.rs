//! The hooks of a daemon in their order, and what the host makes of their answers.
//!
//! Before-hooks run in order, after-hooks in reverse. What a hook returns is checked here, whoever
//! it is: the order of events, their ids, their size and shape.

use std::sync::Arc;

use super::{
    AppendHook, CallContext, FailureKind, GetHook, HookError, OnError, Rejection, Returned,
};
use crate::event::Event;
use crate::event::StoredEvent;
use crate::event::editor::{Access, EditError, EventEditor};
use crate::key::Subject;
use crate::read::ReadOptions;
use crate::view::SessionView;

/// A request that a hook ended.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A hook said no.
    #[error("the plugin {plugin:?} rejected the request")]
    Rejected {
        /// The plugin.
        plugin: String,
        /// What it said.
        rejection: Rejection,
    },
    /// A plugin failed, and its policy is to refuse.
    #[error("the plugin {plugin:?} failed: {}", kind.name())]
    Failed {
        /// The plugin.
        plugin: String,
        /// How it failed.
        kind: FailureKind,
        /// Details for the operator.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An item of an append on its way through the hooks.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The event, as the hooks so far have left it.
    pub event: Arc<Event>,
    /// The number of the item that the client sent; None for an event that a hook added.
    pub item: Option<usize>,
    /// The item that an added event counts from: its id is `PARENT+n`.
    parent: usize,
}

/// What the hooks made of an append.
#[derive(Debug)]
pub struct Screened {
    /// The events to store, in order.
    pub events: Vec<Pending>,
    /// For each item that the client sent, the plugin that dropped it.
    pub dropped_by: Vec<Option<String>>,
}

/// The hooks of a daemon.
#[derive(Debug, Clone, Default)]
pub struct HookChain {
    append: Vec<Arc<dyn AppendHook>>,
    get: Vec<Arc<dyn GetHook>>,
    max_event_size: usize,
}

impl HookChain {
    /// Hooks in the order in which the before-hooks run. `max_event_size` bounds events after
    /// edits, in bytes.
    pub fn new(
        append: Vec<Arc<dyn AppendHook>>,
        get: Vec<Arc<dyn GetHook>>,
        max_event_size: usize,
    ) -> Self {
        Self { append, get, max_event_size }
    }

    /// Whether anything looks at events before they are stored.
    pub fn screens_appends(&self) -> bool {
        self.append.iter().any(|hook| hook.moments().before)
    }

    /// Passes one event through the before-hooks of an append. `Err` is the plugin that dropped it;
    /// what a hook adds does not count.
    ///
    /// # Errors
    /// As for [`HookChain::before_append`].
    pub async fn before_one(
        &self,
        call: &CallContext,
        subject: &Subject,
        event: Event,
    ) -> Result<Result<Arc<Event>, String>, ChainError> {
        let screened = self.before_append(call, subject, vec![event]).await?;
        let kept = screened.events.into_iter().find(|pending| pending.item.is_some());
        let by = || screened.dropped_by.into_iter().flatten().next().unwrap_or_default();
        Ok(kept.map(|kept| kept.event).ok_or_else(by))
    }

    /// Runs the before-append hooks.
    ///
    /// # Errors
    /// [`ChainError`]: the request is refused as a whole.
    pub async fn before_append(
        &self,
        call: &CallContext,
        subject: &Subject,
        events: Vec<Event>,
    ) -> Result<Screened, ChainError> {
        let ids: Vec<String> = events.iter().map(|event| event.id().to_owned()).collect();
        let mut dropped_by = vec![None; events.len()];
        let mut added = vec![0u32; events.len()];
        let pending = events.into_iter().enumerate();
        let mut events: Vec<Pending> = pending
            .map(|(at, event)| Pending { event: Arc::new(event), item: Some(at), parent: at })
            .collect();
        for hook in self.append.iter().filter(|hook| hook.moments().before) {
            if events.is_empty() {
                break;
            }
            let given = events.iter().map(|pending| self.editor(&pending.event, Access::Edit));
            let answer = hook.before_append(call, subject, given.collect()).await;
            let accepted = answer.and_then(|returned| {
                accept(returned, &events, |parent| {
                    let count = added.get_mut(parent)?;
                    *count += 1;
                    Some(format!("{}+{count}", ids.get(parent)?))
                })
            });
            match accepted {
                Ok(kept) => {
                    note_drops(&mut dropped_by, &events, &kept, hook.name());
                    events = kept;
                }
                Err(error) => {
                    proceed_or_fail(hook.name(), hook.on_error(), "before-append", error)?
                }
            }
        }
        Ok(Screened { events, dropped_by })
    }

    /// Runs the after-append hooks. What fails is logged and counted, and undoes nothing.
    pub async fn after_append(
        &self,
        call: &CallContext,
        subject: &Subject,
        events: &[StoredEvent],
    ) {
        for hook in self.append.iter().rev().filter(|hook| hook.moments().after) {
            if let Err(error) = hook.after_append(call, subject, events.to_vec()).await {
                note_failure(hook.name(), "after-append", &error);
            }
        }
    }

    /// Runs the before-get hooks.
    ///
    /// # Errors
    /// [`ChainError`]: the read is refused.
    pub async fn before_get(
        &self,
        call: &CallContext,
        subject: &Subject,
        mut options: ReadOptions,
    ) -> Result<ReadOptions, ChainError> {
        for hook in self.get.iter().filter(|hook| hook.moments().before) {
            match hook.before_get(call, subject, options.clone()).await {
                Ok(narrowed) => options = narrowed,
                Err(error) => proceed_or_fail(hook.name(), hook.on_error(), "before-get", error)?,
            }
        }
        Ok(options)
    }

    /// Runs the after-get hooks, and checks the events that they edited.
    ///
    /// # Errors
    /// [`ChainError`]: the read is refused.
    pub async fn after_get(
        &self,
        call: &CallContext,
        subject: &Subject,
        mut view: SessionView,
    ) -> Result<SessionView, ChainError> {
        for hook in self.get.iter().rev().filter(|hook| hook.moments().after) {
            let answer = hook.after_get(call, subject, view.clone()).await;
            let checked = answer.and_then(|mut view| {
                view.settle().map_err(|error| HookError::failed(FailureKind::BadAnswer, error))?;
                Ok(view)
            });
            match checked {
                Ok(edited) => view = edited,
                Err(error) => proceed_or_fail(hook.name(), hook.on_error(), "after-get", error)?,
            }
        }
        Ok(view)
    }

    fn editor(&self, event: &Arc<Event>, access: Access) -> EventEditor {
        EventEditor::new(event.clone(), access, self.max_event_size)
    }
}

/// Checks the answer of a before-append hook against what it was given.
fn accept(
    returned: Vec<Returned>,
    given: &[Pending],
    mut next_id: impl FnMut(usize) -> Option<String>,
) -> Result<Vec<Pending>, HookError> {
    let bad = |error: &'static str| HookError::failed(FailureKind::BadAnswer, error);
    let invalid = |error: EditError| HookError::failed(FailureKind::BadAnswer, error);
    let mut accepted = Vec::with_capacity(returned.len());
    let mut last: Option<usize> = None;
    for Returned { given: number, event } in returned {
        let event = event.finish().map_err(invalid)?;
        if let Some(number) = number {
            let before = given.get(number).ok_or_else(|| bad("an event that was not given"))?;
            if last.is_some_and(|last| last >= number) {
                return Err(bad("events in another order than they came in, or one of them twice"));
            }
            last = Some(number);
            accepted.push(Pending { event, ..before.clone() });
        } else {
            let before = last.and_then(|last| given.get(last)).or(given.first());
            let parent = before.map(|pending| pending.parent).ok_or_else(|| bad("no event"))?;
            let id = next_id(parent).ok_or_else(|| bad("too many events"))?;
            let event = Arc::new(Event::clone(&event).with_id(id));
            accepted.push(Pending { event, item: None, parent });
        }
    }
    Ok(accepted)
}

fn note_drops(
    dropped_by: &mut [Option<String>],
    before: &[Pending],
    after: &[Pending],
    plugin: &str,
) {
    for item in before.iter().filter_map(|pending| pending.item) {
        if !after.iter().any(|pending| pending.item == Some(item))
            && let Some(dropped) = dropped_by.get_mut(item)
        {
            *dropped = Some(plugin.to_owned());
        }
    }
}

fn note_failure(plugin: &str, hook: &'static str, error: &HookError) {
    if let HookError::Failed { kind: error_kind, source } = error {
        let kind = error_kind.name();
        metrics::counter!("sessiond_hook_failures_total", "plugin" => plugin.to_owned(), "hook" => hook, "kind" => kind)
            .increment(1);
        if let FailureKind::Open { .. } = error_kind {
            // The breaker has said so once, aloud.
            tracing::debug!(plugin, hook, "the plugin is not called for a while");
        } else {
            tracing::error!(plugin, hook, kind, error = ?source.to_string(), "the plugin failed");
        }
    }
}

/// Goes on without the plugin if its policy says so; a rejection always counts. A plugin that is not
/// there has a policy of its own, which has been asked already.
fn proceed_or_fail(
    plugin: &str,
    on_error: OnError,
    hook: &'static str,
    error: HookError,
) -> Result<(), ChainError> {
    note_failure(plugin, hook, &error);
    let plugin = plugin.to_owned();
    match error {
        HookError::Rejected(rejection) => Err(ChainError::Rejected { plugin, rejection }),
        HookError::Failed { kind, .. }
            if on_error == OnError::Skip && kind != FailureKind::NotLoaded =>
        {
            Ok(())
        }
        HookError::Failed { kind, source } => Err(ChainError::Failed { plugin, kind, source }),
    }
}

#[cfg(test)]
mod tests;
