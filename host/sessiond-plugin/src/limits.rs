//! How much of the host a guest may use, checked in one place.

use std::time::Duration;

use sessiond_core::hook::FailureKind;
use wasmtime::ResourceLimiter;

use crate::plugin::Interface;

/// The most tables' elements of an instance, in all: what wasmtime's pool has room for.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The limits of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most linear memory of an instance, in bytes, over all its memories.
    pub memory: usize,
    /// The longest that a hook may take, by the clock, instantiation and waiting included.
    pub time: Duration,
    /// The longest that a call of the summarizer may take.
    pub summarizer_time: Duration,
    /// The longest that a call may wait for an instance.
    pub queue_wait: Duration,
    /// The most instances, over all apps.
    pub max_instances: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 * 1024 * 1024,
            time: Duration::from_secs(2),
            summarizer_time: Duration::from_secs(30),
            queue_wait: Duration::from_secs(1),
            max_instances: 4,
        }
    }
}

impl Limits {
    /// The time limit of a call to an interface.
    pub fn time_of(&self, interface: Interface) -> Duration {
        if interface == Interface::Summarizer { self.summarizer_time } else { self.time }
    }
}

/// A guest asked for more than it may have. Traps it, so that the stop is certain and has a name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("memory-limit: {asked} bytes of memory asked for, {limit} allowed by `limits.memory`")]
    Memory { asked: usize, limit: usize },
    #[error("table-limit: {asked} table elements asked for, {MAX_TABLE_ELEMENTS} allowed")]
    Table { asked: usize },
    #[error("time-out: the call ran past `limits.time`")]
    Time,
}

impl LimitError {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Memory { .. } | Self::Table { .. } => FailureKind::Memory,
            Self::Time => FailureKind::TimeOut,
        }
    }
}

/// Counts what an instance uses, over all its memories and tables.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: usize,
    memory: usize,
    elements: usize,
}

impl Meter {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, memory: 0, elements: 0 }
    }

    /// The linear memory in use, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.memory.saturating_add(desired.saturating_sub(current));
        if asked > self.limit {
            return Err(LimitError::Memory { asked, limit: self.limit }.into());
        }
        self.memory = asked;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.elements.saturating_add(desired.saturating_sub(current));
        if asked > MAX_TABLE_ELEMENTS {
            return Err(LimitError::Table { asked }.into());
        }
        self.elements = asked;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut meter = Meter::new(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        let error = meter.memory_growing(0, 60, None).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(LimitError::Memory { asked: 120, limit: 100 })
        ));
        assert!(meter.memory_growing(60, 100, None).unwrap());
        assert_eq!(meter.memory(), 100);
    }
}
