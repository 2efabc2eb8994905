//! A session as a reply or a summarizer sees it, in the hands of guests.

pub mod json;

use std::sync::Arc;

use crate::event::StoredEvent;
use crate::event::editor::{Access, EditError, EventEditor};
use crate::json::Index;
use crate::key::Subject;
use crate::state::{Scope, ScopedState, StateValue, check_key};
use crate::store::SessionHeader;
use crate::store::whole::Origin;
use crate::summary::Summary;
use crate::window::paired;

/// A session, or a part of one, and the edits made to it so far.
#[derive(Debug, Clone)]
pub struct SessionView {
    subject: Subject,
    header: Option<SessionHeader>,
    access: Access,
    /// Every event that is or was in the view; its number never changes.
    items: Vec<ViewItem>,
    /// The numbers of those that it shows, in order.
    shown: Vec<usize>,
    state: ScopedState,
    summaries: Vec<Summary>,
    origin: Option<Origin>,
    tracks: Vec<String>,
}

/// An event of a view.
#[derive(Debug, Clone)]
pub struct ViewItem {
    /// Its sequence; None for one that a guest inserted.
    pub sequence: Option<u64>,
    /// The event, with the edits made so far.
    pub event: EventEditor,
}

impl SessionView {
    /// A view of these events, for a session or, without a header, of state alone. `max_size`
    /// bounds an event's size after edits, in bytes.
    pub fn new(
        subject: Subject,
        header: Option<SessionHeader>,
        access: Access,
        events: Vec<StoredEvent>,
        max_size: usize,
    ) -> Self {
        let items = events.into_iter().map(|stored| ViewItem {
            sequence: Some(stored.sequence),
            event: EventEditor::new(Arc::new(stored.event), access, max_size),
        });
        let items: Vec<_> = items.collect();
        let shown = (0..items.len()).collect();
        let (state, summaries) = (ScopedState::default(), Vec::new());
        let (origin, tracks) = (None, Vec::new());
        Self { subject, header, access, items, shown, state, summaries, origin, tracks }
    }

    /// The same view, with state.
    #[must_use]
    pub fn with_state(self, state: ScopedState) -> Self {
        Self { state, ..self }
    }

    /// The same view, with summaries.
    #[must_use]
    pub fn with_summaries(self, summaries: Vec<Summary>) -> Self {
        Self { summaries, ..self }
    }

    /// The same view, with where the session was forked from, and the names of its tracks.
    #[must_use]
    pub fn with_relations(self, origin: Option<Origin>, tracks: Vec<String>) -> Self {
        Self { origin, tracks, ..self }
    }

    /// The same view, to look at only.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        let items = self.items.into_iter();
        self.items = items.map(|item| ViewItem { event: item.event.read_only(), ..item }).collect();
        Self { access: Access::Read, ..self }
    }

    /// Whose it is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What is known of the session.
    pub fn header(&self) -> Option<&SessionHeader> {
        self.header.as_ref()
    }

    /// What may be done with it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The state that it shows.
    pub fn state(&self) -> &ScopedState {
        &self.state
    }

    /// The summaries that it shows.
    pub fn summaries(&self) -> &[Summary] {
        &self.summaries
    }

    /// How many events it shows.
    pub fn len(&self) -> usize {
        self.shown.len()
    }

    /// Whether it shows no event.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// The events that it shows, in order.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = &ViewItem> {
        self.shown.iter().filter_map(|at| self.items.get(*at))
    }

    /// The numbers, for [`SessionView::item_mut`], of `count` events from position `start` on. They
    /// stay good whatever is dropped and inserted.
    pub fn numbers(&self, start: usize, count: usize) -> Vec<usize> {
        self.shown.iter().skip(start).take(count).copied().collect()
    }

    /// An event by its number.
    pub fn item_mut(&mut self, number: usize) -> Option<&mut ViewItem> {
        self.items.get_mut(number)
    }

    /// Makes the edits so far final, with the checks that events from clients pass.
    ///
    /// # Errors
    /// [`EditError`], for an event that its edits have made unacceptable.
    pub fn settle(&mut self) -> Result<(), EditError> {
        for at in &self.shown {
            if let Some(item) = self.items.get_mut(*at) {
                item.event.settle()?;
            }
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), EditError> {
        match self.access {
            Access::Edit => Ok(()),
            Access::Read => Err(EditError::ReadOnly("this session is read only to sum it up")),
        }
    }

    /// Leaves an event out.
    ///
    /// # Errors
    /// [`EditError`], when the view is read only or has no event of that sequence.
    pub fn drop_event(&mut self, sequence: u64) -> Result<(), EditError> {
        self.check_writable()?;
        let position = self.position_of(sequence)?;
        self.shown.remove(position);
        Ok(())
    }

    /// Leaves out all events before a sequence, and then the results whose calls went. Returns how
    /// many went.
    ///
    /// # Errors
    /// [`EditError::ReadOnly`].
    pub fn drop_before(&mut self, sequence: u64) -> Result<u32, EditError> {
        self.check_writable()?;
        let (before, items) = (self.len(), &self.items);
        let sequence_of = |at: &usize| items.get(*at).and_then(|item| item.sequence);
        self.shown.retain(|at| sequence_of(at).is_none_or(|it| it >= sequence));
        let mut kept = paired(self.items().map(|item| item.event.event().facts())).into_iter();
        self.shown.retain(|_| kept.next().unwrap_or(true));
        Ok(u32::try_from(before - self.len()).unwrap_or(u32::MAX))
    }

    /// Puts an event before the one of that sequence, or at the end.
    ///
    /// # Errors
    /// [`EditError`], when the view is read only or has no event of that sequence.
    pub fn insert(&mut self, before: Option<u64>, event: EventEditor) -> Result<(), EditError> {
        self.check_writable()?;
        let position = match before {
            Some(sequence) => self.position_of(sequence)?,
            None => self.shown.len(),
        };
        let event = event.with_id(self.added_id(position));
        self.shown.insert(position, self.items.len());
        self.items.push(ViewItem { sequence: None, event });
        Ok(())
    }

    /// The id of an event added at a position: it counts from the event before it.
    fn added_id(&self, position: usize) -> String {
        let id_at = |position: usize| {
            let at = self.shown.get(position)?;
            Some(self.items.get(*at)?.event.event().id())
        };
        let parent = position.checked_sub(1).and_then(id_at).or_else(|| id_at(position));
        let parent = parent.unwrap_or_default();
        let (parent, _) = parent.split_once('+').unwrap_or((parent, ""));
        let of_parent = |item: &&ViewItem| {
            let rest = item.event.event().id().strip_prefix(parent);
            item.sequence.is_none() && rest.is_some_and(|rest| rest.starts_with('+'))
        };
        format!("{parent}+{}", self.items.iter().filter(of_parent).count() + 1)
    }

    fn position_of(&self, sequence: u64) -> Result<usize, EditError> {
        let position = self.items().position(|item| item.sequence == Some(sequence));
        position.ok_or_else(|| EditError::invalid(format!("the view has no event {sequence}")))
    }

    /// Replaces a value of the state that the reply shows.
    ///
    /// # Errors
    /// [`EditError`], when the view is read only, or a name or the value is refused.
    pub fn set_state(&mut self, scope: &str, key: &str, value: &str) -> Result<(), EditError> {
        self.check_writable()?;
        let scope = scope_named(scope)?;
        check_key(key).map_err(|error| EditError::invalid(error.to_string()))?;
        let index = Index::of(value)
            .map_err(|error| EditError::invalid(format!("the value is not JSON: {error}")))?;
        let value = StateValue::from_json(index.root(value));
        self.state.scope_mut(scope).insert(key.to_owned(), value);
        Ok(())
    }

    /// Leaves a key out of the state that the reply shows.
    ///
    /// # Errors
    /// [`EditError`], when the view is read only or there is no such scope.
    pub fn remove_state(&mut self, scope: &str, key: &str) -> Result<(), EditError> {
        self.check_writable()?;
        self.state.scope_mut(scope_named(scope)?).remove(key);
        Ok(())
    }

    /// Leaves a summary out.
    ///
    /// # Errors
    /// [`EditError::ReadOnly`].
    pub fn drop_summary(&mut self, filter_key: &str) -> Result<(), EditError> {
        self.check_writable()?;
        self.summaries.retain(|summary| summary.filter_key != filter_key);
        Ok(())
    }

    /// The events as text, a block an event; the oldest are left out past `max_bytes`.
    pub fn transcript(&mut self, max_bytes: usize) -> String {
        let mut room = max_bytes;
        let mut blocks = Vec::new();
        for at in self.shown.iter().rev() {
            let Some(item) = self.items.get_mut(*at) else { continue };
            let block = block_of(&mut item.event);
            match room.checked_sub(block.len() + 1) {
                Some(left) => room = left,
                None => break,
            }
            blocks.push(block);
        }
        blocks.reverse();
        blocks.join("\n")
    }
}

fn scope_named(name: &str) -> Result<Scope, EditError> {
    Scope::named(name)
        .ok_or_else(|| EditError::invalid("the scopes are `session`, `user` and `app`"))
}

/// `ROLE: text`, with a line for each tool call and result.
fn block_of(event: &mut EventEditor) -> String {
    use crate::dialect::ContentKind::{Message, Reasoning, ToolArguments, ToolResult};
    let role = match event.event().facts().role.as_str() {
        "" => event.event().facts().author.clone().unwrap_or_else(|| "unknown".to_owned()),
        role => role.to_owned(),
    };
    let lines = event.texts().into_iter().filter_map(|part| {
        let tool = part.tool.as_deref().unwrap_or("tool");
        match part.kind {
            Message => Some(format!("{role}: {}", part.text)),
            Reasoning => None,
            ToolArguments => Some(format!("{role}: [calls {tool} with {}]", part.text)),
            ToolResult => Some(format!("[{tool} answers] {}", part.text)),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
