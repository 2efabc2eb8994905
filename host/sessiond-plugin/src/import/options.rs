//! `types.read-options`: what a client asked to read, to be narrowed.

use sessiond_core::event::editor::EditError;
use sessiond_core::read::{ReadOptions, SummaryMode};
use sessiond_core::time::Time;
use sessiond_core::window::Window;
use wasmtime::component::Resource;

use super::{Edited, edited};
use crate::bindings::sessiond::plugin::types;
use crate::host::Host;
use crate::rows::{Row, StaleHandle};

type Handle = Resource<types::ReadOptions>;

impl Host {
    fn options(&mut self, it: &Handle) -> Result<&mut ReadOptions, StaleHandle> {
        match self.rows.get_mut(it.rep())? {
            Row::Options(options) => Ok(options),
            _ => Err(StaleHandle),
        }
    }
}

impl types::HostReadOptions for Host {
    fn purpose(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.options(&it)?.purpose.name().to_owned())
    }

    fn limit(&mut self, it: Handle) -> wasmtime::Result<u32> {
        Ok(self.options(&it)?.limit)
    }

    fn set_limit(&mut self, it: Handle, limit: u32) -> Edited<()> {
        edited(self.options(&it)?.narrow_limit(limit))
    }

    fn after_sequence(&mut self, it: Handle) -> wasmtime::Result<Option<u64>> {
        Ok(self.options(&it)?.after_sequence)
    }

    fn set_after_sequence(&mut self, it: Handle, sequence: u64) -> Edited<()> {
        edited(self.options(&it)?.narrow_after(sequence))
    }

    fn before_sequence(&mut self, it: Handle) -> wasmtime::Result<Option<u64>> {
        Ok(self.options(&it)?.before_sequence)
    }

    fn set_before_sequence(&mut self, it: Handle, sequence: u64) -> Edited<()> {
        edited(self.options(&it)?.narrow_before(sequence))
    }

    fn after_time(&mut self, it: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.options(&it)?.after_time.map(|time| time.to_string()))
    }

    fn set_after_time(&mut self, it: Handle, time: String) -> Edited<()> {
        let options = self.options(&it)?;
        edited(match Time::parse(&time) {
            Some(time) => options.narrow_time(time),
            None => invalid("the time is not RFC 3339"),
        })
    }

    fn window(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.options(&it)?.window.name().to_owned())
    }

    fn set_window(&mut self, it: Handle, window: String) -> Edited<()> {
        let options = self.options(&it)?;
        edited(match Window::named(&window) {
            Some(window) => {
                options.window = window;
                Ok(())
            }
            None => invalid("the windows are `turn` and `exact`"),
        })
    }

    fn summary(&mut self, it: Handle) -> wasmtime::Result<String> {
        Ok(self.options(&it)?.summary.name().to_owned())
    }

    fn set_summary(&mut self, it: Handle, summary: String) -> Edited<()> {
        let options = self.options(&it)?;
        edited(match SummaryMode::named(&summary) {
            Some(mode) => {
                options.summary = mode;
                Ok(())
            }
            None => invalid("the modes are `none`, `include` and `replace`"),
        })
    }

    fn drop(&mut self, it: Handle) -> wasmtime::Result<()> {
        self.rows.release(it.rep());
        Ok(())
    }
}

fn invalid(message: &str) -> Result<(), EditError> {
    Err(EditError::Invalid(message.to_owned()))
}
