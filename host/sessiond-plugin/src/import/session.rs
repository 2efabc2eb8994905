//! `types.session`: a reply in the making, or what a summarizer gets.

use sessiond_core::state::Scope;
use sessiond_core::view::SessionView;
use wasmtime::component::Resource;

use super::{Edited, edited};
use crate::bindings::sessiond::plugin::types::{self, Event, Session, Summary};
use crate::host::Host;
use crate::limits::LimitError;
use crate::rows::{EventRow, Row, StaleHandle, SummaryRow};

/// The most text that one call gives a guest, in bytes, whatever it asks for.
const MAX_TEXT: u32 = 16 * 1024 * 1024;

type Handle = Resource<Session>;

fn capped(max_bytes: u32) -> usize {
    max_bytes.min(MAX_TEXT) as usize
}

impl Host {
    /// The session of the call, if the handle is of this call.
    fn session(&mut self, it: &Handle) -> Result<&mut SessionView, StaleHandle> {
        match self.rows.get(it.rep())? {
            Row::Session => self.rows.session.as_mut().ok_or(StaleHandle),
            _ => Err(StaleHandle),
        }
    }

    fn give_events(&mut self, numbers: Vec<usize>) -> Result<Vec<Resource<Event>>, LimitError> {
        self.may_hold(numbers.len())?;
        let rows = numbers.into_iter().map(|at| Row::Event(EventRow::InSession(at)));
        Ok(rows.map(|row| self.rows.give(row)).collect())
    }
}

impl types::HostSession for Host {
    fn key(&mut self, it: Handle) -> wasmtime::Result<types::SessionKey> {
        let subject = self.session(&it)?.subject();
        Ok(types::SessionKey {
            app: subject.app().to_owned(),
            user: subject.user().to_owned(),
            session: subject.session().to_owned(),
        })
    }

    fn revision(&mut self, it: Handle) -> wasmtime::Result<u64> {
        Ok(self.session(&it)?.header().map_or(0, |header| header.revision))
    }

    fn created_at(&mut self, it: Handle) -> wasmtime::Result<String> {
        let header = self.session(&it)?.header();
        Ok(header.map(|header| header.created_at.to_string()).unwrap_or_default())
    }

    fn updated_at(&mut self, it: Handle) -> wasmtime::Result<String> {
        let header = self.session(&it)?.header();
        Ok(header.map(|header| header.updated_at.to_string()).unwrap_or_default())
    }

    fn event_count(&mut self, it: Handle) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.session(&it)?.len())?)
    }

    fn events(
        &mut self,
        it: Handle,
        start: u32,
        count: u32,
    ) -> wasmtime::Result<Vec<Resource<Event>>> {
        let numbers = self.session(&it)?.numbers(start as usize, count as usize);
        Ok(self.give_events(numbers)?)
    }

    fn recent_events(&mut self, it: Handle, count: u32) -> wasmtime::Result<Vec<Resource<Event>>> {
        let session = self.session(&it)?;
        let start = session.len().saturating_sub(count as usize);
        let numbers = session.numbers(start, count as usize);
        Ok(self.give_events(numbers)?)
    }

    fn drop_event(&mut self, it: Handle, sequence: u64) -> Edited<()> {
        edited(self.session(&it)?.drop_event(sequence))
    }

    fn drop_before(&mut self, it: Handle, sequence: u64) -> Edited<u32> {
        edited(self.session(&it)?.drop_before(sequence))
    }

    fn insert(&mut self, it: Handle, before: Option<u64>, event: Resource<Event>) -> Edited<()> {
        let editor = self.event(event.rep())?.clone();
        self.put(editor.body())?;
        self.rows.release(event.rep());
        edited(self.session(&it)?.insert(before, editor))
    }

    fn state(&mut self, it: Handle, scope: String) -> wasmtime::Result<Vec<(String, String)>> {
        let state = self.session(&it)?.state();
        let Some(scope) = Scope::named(&scope) else { return Ok(Vec::new()) };
        let values = state.scope(scope).iter();
        let values: Vec<_> = values.map(|(key, value)| (key.clone(), value.to_json())).collect();
        self.copied(values)
    }

    fn set_state(&mut self, it: Handle, scope: String, key: String, value: String) -> Edited<()> {
        self.put(&key)?;
        self.put(&value)?;
        edited(self.session(&it)?.set_state(&scope, &key, &value))
    }

    fn remove_state(&mut self, it: Handle, scope: String, key: String) -> Edited<()> {
        edited(self.session(&it)?.remove_state(&scope, &key))
    }

    fn summary(
        &mut self,
        it: Handle,
        filter_key: String,
    ) -> wasmtime::Result<Option<Resource<Summary>>> {
        self.may_hold(1)?;
        let mut summaries = self.session(&it)?.summaries().iter();
        let found = summaries.find(|summary| summary.filter_key == filter_key).cloned();
        Ok(found.map(|summary| self.rows.give(Row::Summary(SummaryRow::Stored(summary)))))
    }

    fn summaries(&mut self, it: Handle) -> wasmtime::Result<Vec<Resource<Summary>>> {
        let summaries = self.session(&it)?.summaries().to_vec();
        self.may_hold(summaries.len())?;
        let rows = summaries.into_iter().map(|summary| Row::Summary(SummaryRow::Stored(summary)));
        Ok(rows.map(|row| self.rows.give(row)).collect())
    }

    fn drop_summary(&mut self, it: Handle, filter_key: String) -> Edited<()> {
        edited(self.session(&it)?.drop_summary(&filter_key))
    }

    fn transcript(&mut self, it: Handle, max_bytes: u32) -> wasmtime::Result<String> {
        let text = self.session(&it)?.transcript(capped(max_bytes));
        self.copied(text)
    }

    fn json(&mut self, it: Handle, max_bytes: u32) -> wasmtime::Result<String> {
        let text = self.session(&it)?.to_json_within(capped(max_bytes));
        self.copied(text)
    }

    fn drop(&mut self, it: Handle) -> wasmtime::Result<()> {
        self.rows.release(it.rep());
        Ok(())
    }
}
