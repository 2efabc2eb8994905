//! The trial call: every hook is called once on a made-up sample before it may serve. A misspelt
//! JavaScript export is found only so.

use std::sync::Arc;

use sessiond_core::event::editor::{Access, EventEditor};
use sessiond_core::event::{Event, Received, StoredEvent};
use sessiond_core::hook::{CallContext, HookError, Purpose};
use sessiond_core::key::Subject;
use sessiond_core::read::ReadOptions;
use sessiond_core::store::SessionHeader;
use sessiond_core::summary::{Backlog, SummaryJob};
use sessiond_core::time::Time;
use sessiond_core::view::SessionView;

use crate::error::PluginError;
use crate::instance::Request;
use crate::plugin::{Interface, Plugin};

/// A talk of two turns, with a tool.
const SAMPLE: [&str; 5] = [
    r#"{"role":"user","content":"Hello, this is a trial."}"#,
    r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look_up","arguments":"{\"what\":\"trial\"}"}}]}"#,
    r#"{"role":"tool","tool_call_id":"call_1","name":"look_up","content":"{\"found\":1}"}"#,
    r#"{"role":"assistant","content":"Found one."}"#,
    r#"{"role":"user","content":"Thank you."}"#,
];
/// The largest event of the sample after edits, in bytes.
const MAX_SIZE: usize = 64 * 1024;

impl Plugin {
    /// Calls the given interfaces on a sample, under the plugin's own limits. A rejection is an
    /// answer like any other.
    ///
    /// # Errors
    /// [`PluginError::Trial`], for the first interface that fails.
    pub async fn try_out(self: &Arc<Self>, interfaces: &[Interface]) -> Result<(), PluginError> {
        for &interface in interfaces {
            for request in requests(interface) {
                self.try_one(request)
                    .await
                    .map_err(|source| PluginError::Trial { interface, source: source.into() })?;
            }
        }
        Ok(())
    }

    async fn try_one(self: &Arc<Self>, request: Request) -> Result<(), String> {
        let call = CallContext::new(Purpose::Trial, "trial");
        match self.call(&call, &Subject::trial(), request).await {
            Ok(_) | Err(HookError::Rejected(_)) => Ok(()),
            Err(HookError::Failed { source, .. }) => Err(source.to_string()),
        }
    }
}

fn requests(interface: Interface) -> Vec<Request> {
    match interface {
        Interface::BeforeAppend => {
            let events = stored()
                .into_iter()
                .map(|stored| EventEditor::new(Arc::new(stored.event), Access::Edit, MAX_SIZE));
            vec![Request::BeforeAppend(events.collect())]
        }
        Interface::AfterAppend => vec![Request::AfterAppend(stored())],
        Interface::BeforeGet => {
            vec![Request::BeforeGet(ReadOptions::new(Purpose::Session, 50))]
        }
        Interface::AfterGet => vec![Request::AfterGet(Box::new(view(Access::Edit)))],
        Interface::Summarizer => vec![
            Request::ShouldSummarize(Box::new((view(Access::Read), job()))),
            Request::Summarize(Box::new((view(Access::Read), job()))),
        ],
    }
}

fn stored() -> Vec<StoredEvent> {
    let parse = |(body, sequence): (&&str, u64)| {
        let received = Received { body: (**body).to_owned(), ..Received::default() };
        let event = Event::parse(received, Time::from_nanos(0), MAX_SIZE).ok()?;
        Some(StoredEvent { sequence, event })
    };
    SAMPLE.iter().zip(1..).filter_map(parse).collect()
}

fn view(access: Access) -> SessionView {
    let events = stored();
    let totals = Backlog::of(&events);
    let header = SessionHeader {
        generation: 1,
        revision: 1,
        last_sequence: events.len() as u64,
        first_sequence: 1,
        created_at: Time::from_nanos(0),
        updated_at: Time::from_nanos(0),
        expires_at: None,
        last_user_turn: Some(events.len() as u64),
        totals,
        summarized: Backlog::default(),
        edits: 0,
        floor: 0,
    };
    SessionView::new(Subject::trial(), Some(header), access, events, MAX_SIZE)
}

fn job() -> SummaryJob {
    let events = stored();
    SummaryJob {
        filter_key: String::new(),
        forced: false,
        previous: None,
        first_sequence: 1,
        last_sequence: events.len() as u64,
        backlog: Backlog::of(&events),
        unseen: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole() {
        assert_eq!(stored().len(), SAMPLE.len());
    }
}
