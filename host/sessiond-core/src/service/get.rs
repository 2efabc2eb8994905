//! Get: a session, or a part of one, on its way out.

use super::SessionService;
use crate::error::Error;
use crate::event::StoredEvent;
use crate::event::editor::Access;
use crate::hook::{CallContext, Purpose};
use crate::key::{SessionKey, Subject};
use crate::read::{ReadOptions, SummaryMode};
use crate::store::{Prefer, Range, SessionHeader, Snapshot, StoreError};
use crate::summary::Summary;
use crate::view::SessionView;
use crate::window::{Window, first_turn, paired};

/// How many entries a search for the latest user's turn reads at once.
const SEARCH_PAGE: usize = 100;

/// A page of a session's events.
#[derive(Debug)]
pub struct EventPage {
    /// The events, as the hooks let them be seen.
    pub view: SessionView,
    /// Where the next page begins, if there are more: after this sequence when the page was asked
    /// for by `after_sequence`, before it otherwise.
    pub next: Option<u64>,
}

impl SessionService {
    /// Reads a session: what is known of it, its state, a window of its events, its summaries.
    ///
    /// # Errors
    /// [`Error`], with [`StoreError::NotFound`] when there is none.
    pub async fn get(
        &self,
        call: &CallContext,
        key: &SessionKey,
        options: ReadOptions,
    ) -> Result<SessionView, Error> {
        let subject = Subject::Session(key.clone());
        let options = self.admitted(call, &subject, options).await?;
        let snapshot = self.store.read(key, range_of(&options, Prefer::Newest)).await?;
        let Snapshot { header, state, summaries, entries, origin, tracks, .. } =
            snapshot.ok_or(StoreError::NotFound)?;
        let entries = self.windowed(key, &options, &header, &summaries, entries).await?;
        let shown = if options.summary == SummaryMode::None { Vec::new() } else { summaries };
        let view = self.view(&subject, Some(header), entries).with_state(state);
        let view = view.with_summaries(shown).with_relations(origin, tracks);
        Ok(self.hooks.after_get(call, &subject, view).await?)
    }

    /// Reads a page of a session's events: the oldest after a sequence, if there is one in the
    /// options, else the newest.
    ///
    /// # Errors
    /// As for [`SessionService::get`].
    pub async fn events(
        &self,
        call: &CallContext,
        key: &SessionKey,
        options: ReadOptions,
    ) -> Result<EventPage, Error> {
        let subject = Subject::Session(key.clone());
        let forward = options.after_sequence.is_some();
        let options = self.admitted(call, &subject, options).await?;
        let prefer = if forward { Prefer::Oldest } else { Prefer::Newest };
        let mut range = range_of(&options, prefer);
        range.limit += 1;
        let snapshot = self.store.read(key, range).await?.ok_or(StoreError::NotFound)?;
        let mut entries = snapshot.entries;
        let mut next = None;
        if entries.len() == range.limit {
            if forward {
                entries.pop();
            } else {
                entries.remove(0);
            }
            let edge = if forward { entries.last() } else { entries.first() };
            next = edge.map(|entry| entry.sequence);
        }
        let view = self.view(&subject, Some(snapshot.header), entries);
        Ok(EventPage { view: self.hooks.after_get(call, &subject, view).await?, next })
    }

    /// Reads a session's summaries.
    ///
    /// # Errors
    /// As for [`SessionService::get`].
    pub async fn summaries(
        &self,
        call: &CallContext,
        key: &SessionKey,
    ) -> Result<SessionView, Error> {
        let mut options = ReadOptions::new(Purpose::Summaries, 0);
        options.summary = SummaryMode::Include;
        let subject = Subject::Session(key.clone());
        let options = self.admitted(call, &subject, options).await?;
        let snapshot = self.store.read(key, range_of(&options, Prefer::Newest)).await?;
        let Snapshot { header, summaries, .. } = snapshot.ok_or(StoreError::NotFound)?;
        let view = self.view(&subject, Some(header), Vec::new()).with_summaries(summaries);
        Ok(self.hooks.after_get(call, &subject, view).await?)
    }

    pub(super) async fn admitted(
        &self,
        call: &CallContext,
        subject: &Subject,
        options: ReadOptions,
    ) -> Result<ReadOptions, Error> {
        let (limit, max) = (options.limit, self.limits.max_events);
        if limit > max {
            return Err(Error::Limit { limit, max });
        }
        if let Subject::Session(key) = subject {
            self.settled(key).await?;
        }
        Ok(self.hooks.before_get(call, subject, options).await?)
    }

    pub(super) fn view(
        &self,
        subject: &Subject,
        header: Option<SessionHeader>,
        entries: Vec<StoredEvent>,
    ) -> SessionView {
        let max_size = self.limits.max_event_size;
        SessionView::new(subject.clone(), header, Access::Edit, entries, max_size)
    }

    /// Cuts the newest events to what the read shows.
    async fn windowed(
        &self,
        key: &SessionKey,
        options: &ReadOptions,
        header: &SessionHeader,
        summaries: &[Summary],
        mut entries: Vec<StoredEvent>,
    ) -> Result<Vec<StoredEvent>, Error> {
        if options.summary == SummaryMode::Replace
            && let Some(whole) = summaries.iter().find(|summary| summary.filter_key.is_empty())
        {
            entries.retain(|entry| entry.sequence > whole.last_sequence);
        }
        if let Some(time) = options.after_time {
            let from = entries.iter().position(|entry| entry.event.time() >= time);
            entries.drain(..from.unwrap_or(entries.len()));
        }
        if options.window == Window::Exact || options.limit == 0 {
            return Ok(entries);
        }
        match first_turn(entries.iter().map(|entry| entry.event.facts())) {
            Some(first) => drop(entries.drain(..first)),
            None => {
                let turn = self.turn_before(key, options, header, entries.first()).await?;
                entries.splice(0..0, turn);
            }
        }
        let kept = paired(entries.iter().map(|entry| entry.event.facts()));
        let mut kept = kept.into_iter();
        entries.retain(|_| kept.next().unwrap_or(true));
        Ok(entries)
    }

    /// The latest user's turn before a window without one.
    async fn turn_before(
        &self,
        key: &SessionKey,
        options: &ReadOptions,
        header: &SessionHeader,
        first: Option<&StoredEvent>,
    ) -> Result<Option<StoredEvent>, Error> {
        let known = header.last_user_turn.filter(|turn| *turn >= header.first_sequence);
        let Some(last) = known else { return Ok(None) };
        let end = first.map(|entry| entry.sequence).or(options.before_sequence);
        if end.is_none_or(|end| last < end) {
            return Ok(self.entries(key, last - 1, Some(last + 1), 1).await?.pop());
        }
        // The read ends before the latest turn of all: look further back.
        let mut before = end;
        loop {
            let page = self.entries(key, header.first_sequence - 1, before, SEARCH_PAGE).await?;
            let found = page.iter().rev().find(|entry| entry.event.facts().user_turn);
            match (found, page.first()) {
                (Some(found), _) => return Ok(Some(found.clone())),
                (None, Some(oldest)) => before = Some(oldest.sequence),
                (None, None) => return Ok(None),
            }
        }
    }

    async fn entries(
        &self,
        key: &SessionKey,
        after: u64,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, Error> {
        let range = Range { after, before, limit, prefer: Prefer::Newest, with_state: false };
        Ok(self.store.read(key, range).await?.ok_or(StoreError::NotFound)?.entries)
    }
}

fn range_of(options: &ReadOptions, prefer: Prefer) -> Range {
    Range {
        after: options.after_sequence.unwrap_or(0),
        before: options.before_sequence,
        limit: options.limit as usize,
        prefer,
        with_state: false,
    }
}
