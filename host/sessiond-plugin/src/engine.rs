//! The engine: what all plugins of a process share.
//!
//! Guests run on a tokio runtime of their own: a guest that spins holds a worker until the next
//! tick, and on the daemon's runtime that would hold up its timers and its health checks. The ticker
//! is a thread, since a task would wait behind the guests that it is to interrupt (P5).

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, MemoryType, PoolingAllocationConfig, Store,
};

use crate::error::PluginError;
use crate::limits::Limits;
use crate::places::Census;

/// How often guests are interrupted to look at the clock and let others run.
const TICK: Duration = Duration::from_millis(5);
/// The stack of a guest. The rest of [`ASYNC_STACK`] is what a host function has: running out of
/// that would abort the process.
const WASM_STACK: usize = 512 * 1024;
const ASYNC_STACK: usize = 2 * 1024 * 1024;
/// The core instances, memories and tables of one component instance; Python has the most.
const CORE_INSTANCES_EACH: u32 = 20;
const MEMORIES_EACH: u32 = 2;
const TABLES_EACH: u32 = 8;
/// Instances beyond those of the pools: trials at load.
const SPARE_INSTANCES: u32 = 4;

/// How much room the engine needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// The most instances at a time, over all plugins and apps.
    pub max_instances: usize,
    /// How many of them are kept for plugins: one for the hooks of each, and one for its summarizer.
    pub reserved: usize,
    /// The most memory of any instance, in bytes.
    pub max_memory: usize,
    /// Threads on which guests run.
    pub threads: usize,
}

impl EngineConfig {
    /// For one plugin with these limits, which one thread runs.
    pub fn of_one(limits: &Limits) -> Self {
        let reserved = 2;
        let max_instances = limits.max_instances + reserved;
        Self { max_instances, reserved, max_memory: limits.memory, threads: 1 }
    }
}

/// How instances get their memory, best first. Where address space is short, the pool cannot be
/// reserved, and then not even the generous reservation for a single memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool, reserved at start.
    Pooling,
    /// On demand.
    OnDemand,
    /// On demand, with small reservations.
    Small,
}

/// The engine, its runtime and its ticker. All end when it is dropped.
#[derive(Debug)]
pub struct PluginEngine {
    engine: Engine,
    allocation: Allocation,
    census: Arc<Census>,
    // Taken when dropped.
    runtime: Option<Runtime>,
}

impl PluginEngine {
    /// Makes an engine with the best allocation that the machine allows.
    ///
    /// # Errors
    /// [`PluginError::Engine`], when none works.
    pub fn new(config: EngineConfig) -> Result<Self, PluginError> {
        let (engine, allocation) = probe(&config)?;
        start_ticker(&engine)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("guest")
            .enable_all()
            .build()
            .map_err(|error| PluginError::Engine(error.into()))?;
        let census = Arc::new(Census::new(config.max_instances, config.reserved));
        Ok(Self { engine, allocation, census, runtime: Some(runtime) })
    }

    /// How instances get their memory.
    pub fn allocation(&self) -> Allocation {
        self.allocation
    }

    /// Ends instances that were idle for longer than their plugins keep them. To be called now and
    /// then.
    pub fn tidy(&self) {
        self.census.tidy();
    }

    /// All instances of the process.
    pub(crate) fn census(&self) -> &Arc<Census> {
        &self.census
    }

    pub(crate) fn wasmtime(&self) -> &Engine {
        &self.engine
    }

    /// Where guests run.
    pub(crate) fn runtime(&self) -> Result<Handle, PluginError> {
        self.runtime.as_ref().map(|runtime| runtime.handle().clone()).ok_or(PluginError::Stopped)
    }
}

impl Drop for PluginEngine {
    fn drop(&mut self) {
        // Waiting for guests is not allowed here, which may be on another runtime. They end at
        // their next tick.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Allocation {
    /// All of them, best first.
    pub const ALL: [Self; 3] = [Self::Pooling, Self::OnDemand, Self::Small];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pooling => "pooling",
            Self::OnDemand => "on-demand",
            Self::Small => "small",
        }
    }
}

/// An engine that compiles for a tier of allocation, and runs nothing: it needs no pool.
pub(crate) fn compiling_engine(allocation: Allocation) -> Result<Engine, PluginError> {
    let wasmtime = settings(allocation);
    Engine::new(&wasmtime).map_err(|error| PluginError::Engine(error.into()))
}

fn probe(config: &EngineConfig) -> Result<(Engine, Allocation), PluginError> {
    let mut last = None;
    for allocation in Allocation::ALL {
        match try_allocation(config, allocation) {
            Ok(engine) => return Ok((engine, allocation)),
            Err(error) => {
                tracing::warn!(?allocation, error = %format_args!("{error:#}"),
                    "guests cannot get their memory this way; trying another, which is slower");
                last = Some(error);
            }
        }
    }
    let error = last.map_or_else(|| "no allocation".into(), |error| format!("{error:#}").into());
    Err(PluginError::Engine(error))
}

/// All that decides what a component is compiled to. A pool has no part in it.
fn settings(allocation: Allocation) -> Config {
    let mut wasmtime = Config::new();
    wasmtime.concurrency_support(false);
    wasmtime.epoch_interruption(true);
    wasmtime.max_wasm_stack(WASM_STACK);
    wasmtime.async_stack_size(ASYNC_STACK);
    if allocation == Allocation::Small {
        wasmtime.memory_reservation(0);
        wasmtime.memory_reservation_for_growth(0);
        wasmtime.memory_guard_size(0);
    }
    wasmtime
}

fn try_allocation(config: &EngineConfig, allocation: Allocation) -> wasmtime::Result<Engine> {
    let mut wasmtime = settings(allocation);
    if allocation == Allocation::Pooling {
        wasmtime.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    }
    let engine = Engine::new(&wasmtime)?;
    // On demand nothing is reserved before there are memories: all that there may be must fit.
    let mut store = Store::new(&engine, ());
    let memories = if allocation == Allocation::Pooling { 1 } else { config.max_instances.max(1) };
    for _ in 0..memories {
        wasmtime::Memory::new(&mut store, MemoryType::new(1, None))?;
    }
    Ok(engine)
}

fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let instances = u32::try_from(config.max_instances).unwrap_or(u32::MAX);
    let instances = instances.saturating_add(SPARE_INSTANCES);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_EACH))
        .total_memories(instances.saturating_mul(MEMORIES_EACH))
        .total_tables(instances.saturating_mul(TABLES_EACH))
        .max_memory_size(config.max_memory);
    pool
}

/// Starts the thread that interrupts guests. It ends with the engine.
fn start_ticker(engine: &Engine) -> Result<(), PluginError> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            #[allow(clippy::disallowed_methods, reason = "this thread does nothing else")]
            thread::sleep(TICK);
        }
    };
    let thread = thread::Builder::new().name("guest-ticker".to_owned()).spawn(tick);
    thread.map(drop).map_err(|error| PluginError::Engine(error.into()))
}
