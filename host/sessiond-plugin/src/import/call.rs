//! `call`: the request that is being served.

use std::time::Instant;

use crate::bindings::sessiond::plugin::call;
use crate::host::Host;

impl call::Host for Host {
    fn caller(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.caller.clone())
    }

    fn purpose(&mut self) -> wasmtime::Result<String> {
        Ok(self.call.purpose.name().to_owned())
    }

    fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.call.request_id.to_string())
    }

    fn remaining_ms(&mut self) -> wasmtime::Result<u32> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(u32::try_from(left.as_millis()).unwrap_or(u32::MAX))
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        Ok(self.call.attempt)
    }
}
