//! What an instance's store holds: the host's side of one guest.

use std::sync::Arc;
use std::time::Instant;

use sessiond_core::event::editor::{Access, EditError, EventEditor};
use sessiond_core::event::{Event, Received};
use sessiond_core::hook::{CallContext, Purpose};
use sessiond_core::time::{Clock as _, SystemClock};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::alive::Alive;
use crate::grants::Grants;
use crate::import::http::HttpState;
use crate::limits::{CallLimits, Meter, Spent};
use crate::output::{Output, Stream};
use crate::rows::{EventRow, Row, Rows, StaleHandle};

/// The most random bytes that a guest gets at once.
const MAX_RANDOM: u64 = 64 * 1024;
/// The most handles of WASI (streams, timers, requests) that an instance holds.
pub(crate) const MAX_WASI_HANDLES: usize = 1_000;

/// The data of a wasmtime store.
pub(crate) struct Host {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) meter: Meter,
    pub(crate) rows: Rows,
    pub(crate) spent: Spent,
    /// Handles of WASI that the guest held when its last call ended.
    pub(crate) leaked: usize,
    pub(crate) output: Output,
    pub(crate) call: CallContext,
    pub(crate) deadline: Instant,
    _alive: Alive,
    pub(crate) grants: Grants,
    pub(crate) http: HttpState,
    pub(crate) plugin: Arc<str>,
    /// The app of the call.
    pub(crate) app: String,
    /// The largest event after edits, in bytes.
    max_event_size: usize,
}

impl Host {
    /// WASI is there, since runtimes of some languages ask for it, with nothing behind it: no
    /// files, no network, no environment, no arguments, an empty input.
    pub(crate) fn new(
        plugin: Arc<str>,
        memory: usize,
        max_event_size: usize,
        output: Output,
    ) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(output.stream(Stream::Out)).stderr(output.stream(Stream::Err));
        wasi.max_random_size(MAX_RANDOM);
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_WASI_HANDLES);
        Self {
            wasi: wasi.build(),
            table,
            meter: Meter::new(memory),
            rows: Rows::default(),
            spent: Spent::begin(CallLimits::default()),
            leaked: 0,
            output,
            call: CallContext::new(Purpose::Trial, ""),
            deadline: Instant::now(),
            _alive: Alive::instance(&plugin),
            grants: Grants::default(),
            http: HttpState::default(),
            plugin,
            app: String::new(),
            max_event_size,
        }
    }

    /// An event behind a handle.
    pub(crate) fn event(&mut self, number: u32) -> Result<&mut EventEditor, StaleHandle> {
        let Rows { session, .. } = &self.rows;
        let in_session = match self.rows.get(number)? {
            Row::Event(EventRow::InSession(at)) => Some(*at),
            _ => None,
        };
        debug_assert!(in_session.is_none() || session.is_some());
        match in_session {
            Some(at) => {
                let item = self.rows.session.as_mut().and_then(|session| session.item_mut(at));
                Ok(&mut item.ok_or(StaleHandle)?.event)
            }
            None => match self.rows.get_mut(number)? {
                Row::Event(EventRow::Own { editor, .. }) => Ok(editor),
                _ => Err(StaleHandle),
            },
        }
    }

    /// Where the event behind a handle is stored.
    pub(crate) fn sequence(&mut self, number: u32) -> Result<Option<u64>, StaleHandle> {
        match self.rows.get(number)? {
            Row::Event(EventRow::Own { sequence, .. }) => Ok(*sequence),
            Row::Event(EventRow::InSession(at)) => {
                let at = *at;
                let item = self.rows.session.as_mut().and_then(|session| session.item_mut(at));
                Ok(item.and_then(|item| item.sequence))
            }
            _ => Err(StaleHandle),
        }
    }

    /// An event that a guest makes.
    pub(crate) fn parse(&self, body: String) -> Result<EventEditor, EditError> {
        let (max_size, now) = (self.max_event_size, SystemClock.now());
        let event = Event::parse(Received { body, ..Received::default() }, now, max_size);
        let event = event.map_err(|error| EditError::Invalid(error.to_string()))?;
        if event.facts().partial {
            return Err(EditError::Invalid("a partial event cannot be added".to_owned()));
        }
        Ok(EventEditor::new(Arc::new(event), Access::Edit, max_size))
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
