//! `types.event`: one entry of a history.

use sessiond_core::event::editor::StringPart;
use wasmtime::component::Resource;

use super::{Edited, edited};
use crate::bindings::sessiond::plugin::types::{self, Event};
use crate::host::Host;
use crate::rows::{EventRow, Row};

type Handle = Resource<Event>;

impl types::HostEvent for Host {
    fn parse(&mut self, body: String) -> Edited<Handle> {
        self.may_hold(1)?;
        self.put(&body)?;
        let parsed = Host::parse(self, body);
        edited(parsed.map(|editor| {
            let row = EventRow::Own { given: None, sequence: None, editor };
            self.rows.give(Row::Event(row))
        }))
    }

    fn kind(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.event(it.rep())?.event().kind().name().to_owned())
    }

    fn id(&mut self, it: Handle) -> wasmtime::Result<String> {
        let value = self.event(it.rep())?.event().id().to_owned();
        self.copied(value)
    }

    fn sequence(&mut self, it: Handle) -> wasmtime::Result<Option<u64>> {
        Ok(Host::sequence(self, it.rep())?)
    }

    fn dialect(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.event(it.rep())?.event().dialect().name().to_owned())
    }

    fn author(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        let value = self.event(it.rep())?.event().facts().author.clone();
        self.copied(value)
    }

    fn role(&mut self, it: Handle) -> wasmtime::Result<String> {
        let value = self.event(it.rep())?.event().facts().role.clone();
        self.copied(value)
    }

    fn time(&mut self, it: Handle) -> wasmtime::Result<String> {
        let value = self.event(it.rep())?.event().time().to_string();
        self.copied(value)
    }

    fn invocation_id(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        let value = self.event(it.rep())?.event().facts().invocation_id.clone();
        self.copied(value)
    }

    fn branch(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        let value = self.event(it.rep())?.event().facts().branch.clone();
        self.copied(value)
    }

    fn filter_key(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        let value = self.event(it.rep())?.event().facts().filter_key.clone();
        self.copied(value)
    }

    fn tag(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        let value = self.event(it.rep())?.event().facts().tag.clone();
        self.copied(value)
    }

    fn request_id(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        let value = self.event(it.rep())?.event().facts().request_id.clone();
        self.copied(value)
    }

    fn is_user_turn(&mut self, it: Handle) -> wasmtime::Result<bool> {
        Ok(self.event(it.rep())?.event().facts().user_turn)
    }

    fn tool_call_ids(&mut self, it: Handle) -> wasmtime::Result<Vec<String>> {
        let value = self.event(it.rep())?.event().facts().calls.clone();
        self.copied(value)
    }

    fn tool_result_ids(&mut self, it: Handle) -> wasmtime::Result<Vec<String>> {
        let value = self.event(it.rep())?.event().facts().results.clone();
        self.copied(value)
    }

    fn texts(&mut self, it: Handle) -> wasmtime::Result<Vec<types::TextPart>> {
        let texts = self.event(it.rep())?.texts().into_iter().map(|part| types::TextPart {
            index: part.index,
            kind: part.kind.name().to_owned(),
            text: part.text,
            call_id: part.call_id,
            tool: part.tool,
        });
        let texts: Vec<_> = texts.collect();
        self.copied(texts)
    }

    fn set_text(&mut self, it: Handle, index: u32, text: String) -> Edited<()> {
        self.put(&text)?;
        edited(self.event(it.rep())?.set_text(index, &text))
    }

    fn strings(&mut self, it: Handle) -> wasmtime::Result<Vec<types::StringPart>> {
        let parts = parts(self.event(it.rep())?.strings());
        self.copied(parts)
    }

    fn names(&mut self, it: Handle) -> wasmtime::Result<Vec<types::StringPart>> {
        let parts = parts(self.event(it.rep())?.names());
        self.copied(parts)
    }

    fn numbers(&mut self, it: Handle) -> wasmtime::Result<Vec<types::StringPart>> {
        let parts = parts(self.event(it.rep())?.numbers());
        self.copied(parts)
    }

    fn set_string(&mut self, it: Handle, index: u32, text: String) -> Edited<()> {
        self.put(&text)?;
        edited(self.event(it.rep())?.set_string(index, &text))
    }

    fn state(&mut self, it: Handle) -> wasmtime::Result<Vec<(String, String)>> {
        let value = self.event(it.rep())?.state();
        self.copied(value)
    }

    fn set_state(&mut self, it: Handle, key: String, value: String) -> Edited<()> {
        self.put(&key)?;
        self.put(&value)?;
        edited(self.event(it.rep())?.set_state(&key, &value))
    }

    fn remove_state(&mut self, it: Handle, key: String) -> Edited<()> {
        edited(self.event(it.rep())?.remove_state(&key))
    }

    fn body(&mut self, it: Handle) -> wasmtime::Result<String> {
        let value = self.event(it.rep())?.body().to_owned();
        self.copied(value)
    }

    fn set_body(&mut self, it: Handle, body: String) -> Edited<()> {
        self.put(&body)?;
        edited(self.event(it.rep())?.set_body(&body))
    }

    fn drop(&mut self, it: Handle) -> wasmtime::Result<()> {
        self.rows.release(it.rep());
        Ok(())
    }
}

fn parts(parts: Vec<StringPart>) -> Vec<types::StringPart> {
    let parts = parts.into_iter();
    parts.map(|part| types::StringPart { index: part.index, text: part.text }).collect()
}
