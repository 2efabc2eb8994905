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
    /// The most instances, over all apps.
    pub max_instances: usize,
    /// How long an instance is kept that nobody calls.
    pub idle_after: Duration,
    /// The limits of a call to each interface, in the order of [`Interface::ALL`].
    pub calls: [CallLimits; 5],
}

/// The limits of a call, and of calls to the same interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// The longest that a call may take, by the clock, instantiation included.
    pub time: Duration,
    /// The longest that a call may wait for an instance.
    pub queue_wait: Duration,
    /// The most calls at a time.
    pub concurrency: usize,
    /// The most that a call may return, set and add, in bytes.
    pub output: usize,
    /// The most text that a call may have copied into the guest, in bytes.
    pub copied: usize,
    /// The most that a call may log, in bytes.
    pub log_size: usize,
    /// The most lines that a call may log.
    pub log_lines: usize,
    /// The most handles that a call may hold at a time. What it is given counts, and is given always.
    pub handles: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2),
            queue_wait: Duration::from_secs(1),
            concurrency: 4,
            output: 16 * 1024 * 1024,
            copied: 64 * 1024 * 1024,
            log_size: 64 * 1024,
            log_lines: 1_000,
            handles: 10_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let hook = CallLimits::default();
        let summarizer = CallLimits { time: Duration::from_secs(30), ..hook };
        Self {
            memory: 64 * 1024 * 1024,
            max_instances: 4,
            idle_after: Duration::from_secs(300),
            calls: [hook, hook, hook, hook, summarizer],
        }
    }
}

impl Limits {
    /// The limits of a call to an interface.
    pub fn of(&self, interface: Interface) -> &CallLimits {
        interface.of(&self.calls)
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
    #[error(
        "output-limit: {asked} bytes returned and set in a call, {limit} allowed by `limits.output`"
    )]
    Output { asked: usize, limit: usize },
    #[error(
        "copied-limit: {asked} bytes of text read in a call, {limit} allowed by `limits.copied`"
    )]
    Copied { asked: usize, limit: usize },
    #[error("handle-limit: {asked} handles held in a call, {limit} allowed by `limits.handles`")]
    Handles { asked: usize, limit: usize },
}

impl LimitError {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Memory { .. } | Self::Table { .. } => FailureKind::Memory,
            Self::Time => FailureKind::TimeOut,
            Self::Output { .. } => FailureKind::Output,
            Self::Copied { .. } => FailureKind::Copied,
            Self::Handles { .. } => FailureKind::Handles,
        }
    }
}

/// What a call has used of its limits.
#[derive(Debug)]
pub(crate) struct Spent {
    output: usize,
    copied: usize,
    limits: CallLimits,
}

impl Spent {
    /// Nothing yet.
    pub(crate) fn begin(limits: CallLimits) -> Self {
        Self { output: 0, copied: 0, limits }
    }

    /// Counts what a guest returns, sets or adds.
    pub(crate) fn put(&mut self, bytes: usize) -> Result<(), LimitError> {
        let (asked, limit) = (self.output.saturating_add(bytes), self.limits.output);
        if asked > limit {
            return Err(LimitError::Output { asked, limit });
        }
        self.output = asked;
        Ok(())
    }

    /// Counts what is copied into a guest.
    pub(crate) fn copy(&mut self, bytes: usize) -> Result<(), LimitError> {
        let (asked, limit) = (self.copied.saturating_add(bytes), self.limits.copied);
        if asked > limit {
            return Err(LimitError::Copied { asked, limit });
        }
        self.copied = asked;
        Ok(())
    }

    /// Whether a guest that holds some handles may have more.
    pub(crate) fn hold(&self, held: usize, more: usize) -> Result<(), LimitError> {
        let (asked, limit) = (held.saturating_add(more), self.limits.handles);
        if asked > limit {
            return Err(LimitError::Handles { asked, limit });
        }
        Ok(())
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

    #[test]
    fn what_a_call_uses_is_added_up() {
        let limits = CallLimits { output: 10, copied: 20, handles: 2, ..CallLimits::default() };
        let mut spent = Spent::begin(limits);
        assert!(spent.put(10).is_ok() && spent.copy(15).is_ok() && spent.hold(1, 1).is_ok());
        assert_eq!(spent.put(1).unwrap_err().kind(), FailureKind::Output);
        assert_eq!(spent.copy(6).unwrap_err().kind(), FailureKind::Copied);
        assert_eq!(spent.hold(2, 1).unwrap_err().kind(), FailureKind::Handles);
        assert!(spent.copy(5).is_ok(), "what was refused is not counted");
    }
}
