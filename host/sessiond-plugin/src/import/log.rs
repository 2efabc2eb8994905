//! `log`: lines for the operator.

use crate::bindings::sessiond::plugin::log;
use crate::host::Host;
use crate::output::Level;

impl log::Host for Host {
    fn log(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.output.log(level, &message);
        Ok(())
    }
}
