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
        Ok(self.event(it.rep())?.event().id().to_owned())
    }

    fn sequence(&mut self, it: Handle) -> wasmtime::Result<Option<u64>> {
        Ok(Host::sequence(self, it.rep())?)
    }

    fn dialect(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.event(it.rep())?.event().dialect().name().to_owned())
    }

    fn author(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.event(it.rep())?.event().facts().author.clone())
    }

    fn role(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.event(it.rep())?.event().facts().role.clone())
    }

    fn time(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.event(it.rep())?.event().time().to_string())
    }

    fn invocation_id(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.event(it.rep())?.event().facts().invocation_id.clone())
    }

    fn branch(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.event(it.rep())?.event().facts().branch.clone())
    }

    fn filter_key(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.event(it.rep())?.event().facts().filter_key.clone())
    }

    fn tag(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.event(it.rep())?.event().facts().tag.clone())
    }

    fn request_id(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.event(it.rep())?.event().facts().request_id.clone())
    }

    fn is_user_turn(&mut self, it: Handle) -> wasmtime::Result<bool> {
        Ok(self.event(it.rep())?.event().facts().user_turn)
    }

    fn tool_call_ids(&mut self, it: Handle) -> wasmtime::Result<Vec<String>> {
        Ok(self.event(it.rep())?.event().facts().calls.clone())
    }

    fn tool_result_ids(&mut self, it: Handle) -> wasmtime::Result<Vec<String>> {
        Ok(self.event(it.rep())?.event().facts().results.clone())
    }

    fn texts(&mut self, it: Handle) -> wasmtime::Result<Vec<types::TextPart>> {
        let texts = self.event(it.rep())?.texts().into_iter().map(|part| types::TextPart {
            index: part.index,
            kind: part.kind.name().to_owned(),
            text: part.text,
            call_id: part.call_id,
            tool: part.tool,
        });
        Ok(texts.collect())
    }

    fn set_text(&mut self, it: Handle, index: u32, text: String) -> Edited<()> {
        edited(self.event(it.rep())?.set_text(index, &text))
    }

    fn strings(&mut self, it: Handle) -> wasmtime::Result<Vec<types::StringPart>> {
        Ok(parts(self.event(it.rep())?.strings()))
    }

    fn names(&mut self, it: Handle) -> wasmtime::Result<Vec<types::StringPart>> {
        Ok(parts(self.event(it.rep())?.names()))
    }

    fn numbers(&mut self, it: Handle) -> wasmtime::Result<Vec<types::StringPart>> {
        Ok(parts(self.event(it.rep())?.numbers()))
    }

    fn set_string(&mut self, it: Handle, index: u32, text: String) -> Edited<()> {
        edited(self.event(it.rep())?.set_string(index, &text))
    }

    fn state(&mut self, it: Handle) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.event(it.rep())?.state())
    }

    fn set_state(&mut self, it: Handle, key: String, value: String) -> Edited<()> {
        edited(self.event(it.rep())?.set_state(&key, &value))
    }

    fn remove_state(&mut self, it: Handle, key: String) -> Edited<()> {
        edited(self.event(it.rep())?.remove_state(&key))
    }

    fn body(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.event(it.rep())?.body().to_owned())
    }

    fn set_body(&mut self, it: Handle, body: String) -> Edited<()> {
        edited(self.event(it.rep())?.set_body(&body))
    }

    fn drop(&mut self, _it: Handle) -> wasmtime::Result<()> {
        self.rows.release();
        Ok(())
    }
}

fn parts(parts: Vec<StringPart>) -> Vec<types::StringPart> {
    let parts = parts.into_iter();
    parts.map(|part| types::StringPart { index: part.index, text: part.text }).collect()
}
