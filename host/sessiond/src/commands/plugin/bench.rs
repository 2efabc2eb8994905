//! `sessiond plugin bench FILE`: what a component costs.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use sessiond_core::event::StoredEvent;
use sessiond_core::event::editor::{Access, EventEditor};
use sessiond_core::hook::{
    AppendHook as _, CallContext, GetHook as _, HookError, Purpose, Summarizer as _,
};
use sessiond_core::key::{SessionKey, Subject};
use sessiond_core::read::ReadOptions;
use sessiond_core::summary::{Backlog, SummaryJob};
use sessiond_core::view::SessionView;
use sessiond_plugin::adapter::Hooks;
use sessiond_plugin::plugin::{Interface, Isolation, Plugin};

use super::test::{read_events, stored, view};
use super::{MAX_EVENT_SIZE, load_kept};
use crate::commands::print;
use crate::config::{CacheFolder, PluginCacheConfig};
use crate::http::received_item;

/// How long each figure is measured.
const TIME: Duration = Duration::from_millis(600);
/// The most and the least calls for a figure.
const MOST: usize = 50_000;
const LEAST: usize = 20;
/// Calls before any is measured.
const WARM_UP: usize = 50;

pub(in crate::commands) async fn run(
    path: &Path,
    events: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let received = match events {
        Some(events) => read_events(events)?,
        None => vec![received_item(&built_in()).map_err(anyhow::Error::msg)?],
    };
    let events = stored(&received)?;
    let folder = tempfile::tempdir()?;
    let folder = CacheFolder::At(folder.path().join("plugins"));
    let cache = PluginCacheConfig { folder, ..PluginCacheConfig::default() };
    let begin = Instant::now();
    drop(load_kept(path, Isolation::App, &cache).await?);
    let compiled = begin.elapsed();
    let begin = Instant::now();
    let warm = load_kept(path, Isolation::App, &cache).await?;
    let started = begin.elapsed();
    let fresh = load_kept(path, Isolation::Call, &cache).await?;
    let mut figures = Vec::new();
    for interface in warm.interfaces() {
        let warm = Caller::new(&warm, &events).await?.measure(interface).await?;
        let fresh = Caller::new(&fresh, &events).await?.measure(interface).await?;
        figures.push(Figures { interface, warm, fresh });
    }
    let report = Report {
        file: path.display().to_string(),
        size: warm.size(),
        compiled,
        started,
        memory: warm.largest_instance(),
        events: events.len(),
        figures,
    };
    print(&if as_json { format!("{}\n", report.json()) } else { report.text() })?;
    Ok(ExitCode::SUCCESS)
}

/// A message of 1 kB.
fn built_in() -> String {
    let text = "What is the weather like in the town of the letter, and who wrote it? ".repeat(14);
    json!({"role": "user", "content": text}).to_string()
}

/// How long calls took, in nanoseconds.
struct Latency {
    median: u64,
    p99: u64,
    mean: u64,
    calls: usize,
}

impl Latency {
    fn of(mut took: Vec<u64>) -> Self {
        took.sort_unstable();
        let at = |part: f64| {
            let last = took.len().saturating_sub(1);
            took.get((last as f64 * part) as usize).copied().unwrap_or_default()
        };
        let mean = took.iter().sum::<u64>() / (took.len() as u64).max(1);
        Self { median: at(0.5), p99: at(0.99), mean, calls: took.len() }
    }

    fn json(&self) -> Json {
        json!({
            "median_us": micros(self.median),
            "p99_us": micros(self.p99),
            "calls_per_second": 1_000_000_000 / self.mean.max(1),
            "calls": self.calls,
        })
    }
}

fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

/// Calls a plugin as the daemon would, with the same limits.
struct Caller {
    plugin: Arc<Plugin>,
    hooks: Hooks,
    subject: Subject,
    events: Vec<StoredEvent>,
    view: SessionView,
}

impl Caller {
    async fn new(plugin: &Arc<Plugin>, events: &[StoredEvent]) -> anyhow::Result<Self> {
        let subject = Subject::Session(SessionKey::new("bench", "bench", "bench")?);
        Ok(Self {
            plugin: plugin.clone(),
            hooks: Hooks::from(plugin.clone()),
            view: view(&subject, events, Access::Edit).await?,
            subject,
            events: events.to_vec(),
        })
    }

    async fn measure(&self, interface: Interface) -> anyhow::Result<Latency> {
        let warm_up = if self.plugin.settings().isolation == Isolation::App { WARM_UP } else { 3 };
        for _ in 0..warm_up {
            self.once(interface).await?;
        }
        let (end, mut took) = (Instant::now() + TIME, Vec::new());
        while took.len() < MOST && (took.len() < LEAST || Instant::now() < end) {
            took.push(u64::try_from(self.once(interface).await?.as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(Latency::of(took))
    }

    /// Calls once. What goes in is made before the clock runs.
    async fn once(&self, interface: Interface) -> anyhow::Result<Duration> {
        let call = CallContext::new(Purpose::Append, "bench");
        let subject = &self.subject;
        let (begin, answer) = match interface {
            Interface::BeforeAppend => {
                let editor = |stored: &StoredEvent| {
                    EventEditor::new(Arc::new(stored.event.clone()), Access::Edit, MAX_EVENT_SIZE)
                };
                let given = self.events.iter().map(editor).collect();
                let begin = Instant::now();
                (begin, self.hooks.before_append(&call, subject, given).await.map(drop))
            }
            Interface::AfterAppend => {
                let given = self.events.clone();
                let begin = Instant::now();
                (begin, self.hooks.after_append(&call, subject, given).await)
            }
            Interface::BeforeGet => {
                let options = ReadOptions::new(Purpose::Session, 1_000);
                let begin = Instant::now();
                (begin, self.hooks.before_get(&call, subject, options).await.map(drop))
            }
            Interface::AfterGet => {
                let given = self.view.clone();
                let begin = Instant::now();
                (begin, self.hooks.after_get(&call, subject, given).await.map(drop))
            }
            Interface::Summarizer => {
                let (given, job) = (self.view.clone(), self.job());
                let begin = Instant::now();
                (begin, self.hooks.summarize(&call, subject, given, job).await.map(drop))
            }
        };
        let took = begin.elapsed();
        match answer {
            // A refusal is an answer.
            Ok(()) | Err(HookError::Rejected(_)) => Ok(took),
            Err(HookError::Failed { kind, source }) => Err(anyhow::anyhow!("{source}"))
                .with_context(|| format!("{interface}: {}", kind.name())),
        }
    }

    fn job(&self) -> SummaryJob {
        SummaryJob {
            filter_key: String::new(),
            forced: true,
            previous: None,
            first_sequence: 1,
            last_sequence: self.events.len() as u64,
            backlog: Backlog::of(&self.events),
            unseen: None,
        }
    }
}

/// What an interface costs.
struct Figures {
    interface: Interface,
    warm: Latency,
    fresh: Latency,
}

/// All that was measured.
struct Report {
    file: String,
    size: usize,
    compiled: Duration,
    started: Duration,
    memory: usize,
    events: usize,
    figures: Vec<Figures>,
}

impl Report {
    fn json(&self) -> Json {
        let figures = self.figures.iter().map(|it| {
            let figures = json!({"warm": it.warm.json(), "fresh": it.fresh.json()});
            (it.interface.name().to_owned(), figures)
        });
        json!({
            "file": self.file,
            "size_bytes": self.size,
            "compile_ms": millis(self.compiled),
            "start_from_cache_ms": millis(self.started),
            "instance_memory_bytes": self.memory,
            "events": self.events,
            "interfaces": figures.collect::<serde_json::Map<_, _>>(),
            "debug_build": cfg!(debug_assertions),
        })
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{}: {} kB; compiled in {:.0} ms, started from the cache in {:.1} ms; memory of an \
             instance {} kB; {} event(s) a call\n",
            self.file,
            self.size / 1000,
            millis(self.compiled),
            millis(self.started),
            self.memory / 1000,
            self.events
        );
        text.push_str(&format!(
            "{:<16}{:<8}{:>12}{:>12}{:>12}{:>10}\n",
            "", "", "median us", "p99 us", "calls/s", "calls"
        ));
        for Figures { interface, warm, fresh } in &self.figures {
            for (kind, latency) in [("warm", warm), ("fresh", fresh)] {
                text.push_str(&format!(
                    "{:<16}{kind:<8}{:>12.1}{:>12.1}{:>12}{:>10}\n",
                    interface.name(),
                    micros(latency.median),
                    micros(latency.p99),
                    1_000_000_000 / latency.mean.max(1),
                    latency.calls
                ));
            }
        }
        if cfg!(debug_assertions) {
            text.push_str(
                "This program was built with debug assertions: a release build is faster.\n",
            );
        }
        text
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
