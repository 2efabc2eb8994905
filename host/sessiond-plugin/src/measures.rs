//! What is counted of a plugin: its calls and how they ended, how long their parts took, and what its
//! instances hold.
//!
//! Every call that begins is counted, and ends with exactly one outcome, whatever becomes of it (P46).
//! Handles are looked up once: a warm call takes microseconds, and so would each look-up.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram};
use tracing::Span;

use crate::alive::Alive;
use crate::plugin::Interface;

/// The outcome of a call whose request went away before its guest had answered.
const GONE: &str = "gone";

/// The series of a plugin. Those of its interfaces begin with the first call.
pub(crate) struct PluginMeasures {
    plugin: Arc<str>,
    interfaces: [OnceLock<InterfaceMeasures>; Interface::ALL.len()],
    running: Gauge,
    idle: Gauge,
    memory: Gauge,
}

/// The series of one interface.
struct InterfaceMeasures {
    started: Counter,
    ok: Counter,
    whole: Histogram,
    wait: Histogram,
    instantiate: Histogram,
    call: Histogram,
}

impl PluginMeasures {
    pub(crate) fn new(plugin: Arc<str>) -> Self {
        let name = plugin.to_string();
        Self {
            plugin,
            interfaces: Default::default(),
            running: metrics::gauge!("sessiond_plugin_running", "plugin" => name.clone()),
            idle: metrics::gauge!("sessiond_plugin_idle_instances", "plugin" => name.clone()),
            memory: metrics::gauge!("sessiond_plugin_memory_bytes", "plugin" => name),
        }
    }

    /// Counts a guest at work, until it is dropped.
    pub(crate) fn running(&self) -> Alive {
        Alive::begin(self.running.clone())
    }

    /// Counts an instance that waits for its next call, until it is dropped.
    pub(crate) fn idle(&self) -> Alive {
        Alive::begin(self.idle.clone())
    }

    /// Counts the memory of an instance, until it is dropped.
    pub(crate) fn held(&self) -> Held {
        Held { gauge: self.memory.clone(), bytes: 0 }
    }

    /// Begins to count a call.
    pub(crate) fn call(self: &Arc<Self>, interface: Interface, begin: Instant) -> CountedCall {
        if let Some(measures) = self.of(interface) {
            measures.started.increment(1);
        }
        CountedCall { measures: self.clone(), interface, begin, outcome: GONE }
    }

    fn of(&self, interface: Interface) -> Option<&InterfaceMeasures> {
        let at = Interface::ALL.iter().position(|it| *it == interface)?;
        let measures = self.interfaces.get(at)?;
        Some(measures.get_or_init(|| InterfaceMeasures::new(&self.plugin, interface.name())))
    }
}

impl InterfaceMeasures {
    fn new(plugin: &str, interface: &'static str) -> Self {
        let plugin = || plugin.to_owned();
        let part = |name: &'static str| metrics::histogram!("sessiond_plugin_phase_seconds", "plugin" => plugin(), "interface" => interface, "phase" => name);
        Self {
            started: metrics::counter!("sessiond_plugin_calls_started_total", "plugin" => plugin(), "interface" => interface),
            ok: ended(&plugin(), interface, "ok"),
            whole: metrics::histogram!("sessiond_plugin_call_seconds", "plugin" => plugin(), "interface" => interface),
            wait: part("wait"),
            instantiate: part("instantiate"),
            call: part("call"),
        }
    }
}

fn ended(plugin: &str, interface: &'static str, outcome: &'static str) -> Counter {
    metrics::counter!("sessiond_plugin_calls_total", "plugin" => plugin.to_owned(), "interface" => interface, "outcome" => outcome)
}

impl std::fmt::Debug for PluginMeasures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginMeasures").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

/// A part of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Until a guest's thread had taken it up: for a place, and for the thread.
    Wait,
    /// Starting an instance. A warm one needs none.
    Instantiate,
    /// In the guest, and in the host on its behalf.
    Call,
}

/// A call that is counted when this is dropped: as gone, unless its outcome was told.
pub(crate) struct CountedCall {
    measures: Arc<PluginMeasures>,
    interface: Interface,
    begin: Instant,
    outcome: &'static str,
}

impl CountedCall {
    /// How it ended.
    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        Span::current().record("outcome", self.outcome);
        let Some(measures) = self.measures.of(self.interface) else { return };
        measures.whole.record(self.begin.elapsed());
        match self.outcome {
            "ok" => measures.ok.increment(1),
            outcome => {
                ended(&self.measures.plugin, self.interface.name(), outcome).increment(1);
            }
        }
    }
}

/// Where the times of a call's parts go. A trial has none: no request waits for it.
#[derive(Clone)]
pub(crate) struct Parts {
    measures: Option<Arc<PluginMeasures>>,
    interface: Interface,
    span: Span,
}

impl Parts {
    pub(crate) fn new(
        measures: Option<Arc<PluginMeasures>>,
        interface: Interface,
        span: Span,
    ) -> Self {
        Self { measures, interface, span }
    }

    /// Notes how long a part took.
    pub(crate) fn record(&self, phase: Phase, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let name = match phase {
            Phase::Wait => "wait_us",
            Phase::Instantiate => "instantiate_us",
            Phase::Call => "call_us",
        };
        self.span.record(name, micros);
        let measures = self.measures.as_ref().and_then(|it| it.of(self.interface));
        let Some(measures) = measures else { return };
        match phase {
            Phase::Wait => measures.wait.record(took),
            Phase::Instantiate => measures.instantiate.record(took),
            Phase::Call => measures.call.record(took),
        }
    }
}

/// The memory of an instance, as it was after its last call.
#[derive(Debug)]
pub(crate) struct Held {
    gauge: Gauge,
    bytes: usize,
}

impl Held {
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.gauge.increment(bytes as f64 - self.bytes as f64);
            self.bytes = bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}
