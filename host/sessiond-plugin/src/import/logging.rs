//! `wasi:logging/logging`: lines for the operator, as by `log`.

use crate::bindings::wasi::logging::logging;
use crate::host::Host;
use crate::output::Level;

impl logging::Host for Host {
    fn log(
        &mut self,
        level: logging::Level,
        context: String,
        message: String,
    ) -> wasmtime::Result<()> {
        let level = match level {
            logging::Level::Trace => Level::Trace,
            logging::Level::Debug => Level::Debug,
            logging::Level::Info => Level::Info,
            logging::Level::Warn => Level::Warn,
            logging::Level::Error | logging::Level::Critical => Level::Error,
        };
        if context.is_empty() {
            self.output.log(level, &message);
        } else {
            self.output.log(level, &format!("{context}: {message}"));
        }
        Ok(())
    }
}
