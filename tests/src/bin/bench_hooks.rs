//! `scripts/bench-hooks`: what a hook costs, beside the same component called straight by wasmtime,
//! the same work in a closure, and a webhook on the loopback interface. One run, in turns.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use same_as_guest::redact;
use sessiond_core::event::editor::{Access, EventEditor};
use sessiond_core::event::{Event, Received};
use sessiond_core::hook::chain::HookChain;
use sessiond_core::hook::{AppendHook, CallContext, OnError, Purpose};
use sessiond_core::key::{SessionKey, Subject};
use sessiond_core::time::{Clock as _, SystemClock};
use sessiond_plugin::adapter::Hooks;
use sessiond_plugin::bare::BareGuest;
use sessiond_plugin::breaker::BreakerRule;
use sessiond_plugin::engine::{EngineConfig, PluginEngine};
use sessiond_plugin::grants::Grants;
use sessiond_plugin::limits::Limits;
use sessiond_plugin::loader::{PluginFile, PluginLoader};
use sessiond_plugin::plugin::{Isolation, Plugin, PluginSettings};
use sessiond_plugin::signature::Requirements;
use sessiond_tests::client::Client;
use sessiond_tests::daemon::guest;
use sessiond_tests::wat;
use sessiond_tests::web::{Answer, Web};

#[rustfmt::skip]
#[allow(dead_code, reason = "the guest's own code, of which some is for its hook")]
#[path = "../../../guest-examples/redact-secrets-rust/src"]
mod same_as_guest {
    pub mod redact;
}

const ROUNDS: usize = 7;
/// How long each way is measured in a round.
const TIME: Duration = Duration::from_millis(250);
const MAX_SIZE: usize = 1 << 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let ways = [
        Way::Chain("pass", 1),
        Way::Bare("pass"),
        Way::Chain("pass", 3),
        Way::Fresh("pass"),
        Way::Chain("redact", 1),
        Way::Bare("redact"),
        Way::Fresh("redact"),
        Way::Closure,
        Way::Webhook,
        // Once more, for the spread of a run against itself.
        Way::Chain("pass", 1),
    ];
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for (way, medians) in ways.iter().zip(&mut rounds) {
            medians.push(bench.median(*way).await?);
        }
    }
    let medians: Vec<f64> = rounds.iter_mut().map(|round| middle(round)).collect();
    println!("microseconds of a call with one event of 1 kB, medians of {ROUNDS} rounds in turns:");
    for ((way, median), round) in ways.iter().zip(&medians).zip(&rounds) {
        let (low, high) = (round[0], round[round.len() - 1]);
        println!("  {:<28}{median:>10.1}   ({low:.1} to {high:.1})", way.name());
    }
    let [pass, bare, three, fresh, edit, bare_edit, fresh_edit, closure, webhook, again] =
        medians[..]
    else {
        anyhow::bail!("a way is missing");
    };
    println!("ratios:");
    let ratio = |name: &str, ratio: f64, target: f64| {
        let told = if ratio <= target { "met" } else { "missed" };
        println!("  {name:<52}{ratio:>8.3}   target {target:.3}: {told}");
    };
    ratio("a hook that changes nothing / its bare call", pass / bare, 4.0);
    ratio("a hook that edits / the closure that does the same", edit / closure, 3.0);
    ratio("a hook that changes nothing / a webhook", pass / webhook, 1.0 / 30.0);
    ratio("a hook that edits / a webhook", edit / webhook, 1.0 / 30.0);
    ratio("three in a chain / one", three / pass, 3.3);
    ratio("a fresh instance / a warm one, changing nothing", fresh / pass, 20.0);
    ratio("a fresh instance / a warm one, editing", fresh_edit / edit, 20.0);
    println!("  {:<52}{:>8.3}", "a hook that edits / its bare call", edit / bare_edit);
    println!("  {:<52}{:>8.3}", "a run against itself", again / pass);
    if cfg!(debug_assertions) {
        println!("Built with debug assertions: our own code is slower than in a release build.");
    }
    Ok(())
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A way to have an event looked at.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The daemon's own, with so many hooks.
    Chain(&'static str, usize),
    /// The same, with a fresh instance for each call.
    Fresh(&'static str),
    /// wasmtime's call of the same component.
    Bare(&'static str),
    /// What the guest does, in this process.
    Closure,
    /// A server on the loopback interface, asked over a connection that stays open.
    Webhook,
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Chain(guest, 1) => guest.to_owned(),
            Self::Chain(guest, hooks) => format!("{guest}, {hooks} in a chain"),
            Self::Fresh(guest) => format!("{guest}, a fresh instance"),
            Self::Bare(guest) => format!("{guest}, called bare"),
            Self::Closure => "redact, as a closure".to_owned(),
            Self::Webhook => "webhook".to_owned(),
        }
    }
}

struct Loaded {
    name: &'static str,
    warm: Arc<Plugin>,
    one: HookChain,
    three: HookChain,
    fresh: HookChain,
}

struct Bench {
    guests: Vec<Loaded>,
    event: Event,
    subject: Subject,
    call: CallContext,
    client: Client,
    _web: Web,
}

impl Bench {
    async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let pass = folder.path().join("pass.wasm");
        std::fs::write(&pass, wat::component(&wat::hostile("pass"), "before-append-plugin"))?;
        let guests =
            vec![load("pass", &pass).await?, load("redact", &guest("redact-secrets-rust")).await?];
        let text = "Write to jane@example.com about the weather in the town of the letter. ";
        let body = format!("{{\"role\":\"user\",\"content\":\"{}\"}}", text.repeat(14));
        let received = Received { body, ..Received::default() };
        let event = Event::parse(received, SystemClock.now(), MAX_SIZE)?;
        let web = Web::start(|asked| Answer::json(200, &asked.body)).await;
        Ok(Self {
            guests,
            event,
            subject: Subject::Session(SessionKey::new("bench", "bench", "bench")?),
            call: CallContext::new(Purpose::Append, "bench"),
            client: Client::new(web.base()),
            _web: web,
        })
    }

    fn guest(&self, name: &str) -> anyhow::Result<&Loaded> {
        self.guests.iter().find(|it| it.name == name).context("no such guest")
    }

    /// The median time of a call, in microseconds.
    async fn median(&self, way: Way) -> anyhow::Result<f64> {
        let mut bare = match way {
            Way::Bare(name) => Some(BareGuest::start(&self.guest(name)?.warm).await?),
            _ => None,
        };
        let mut took = Vec::new();
        let end = Instant::now() + TIME;
        while took.len() < 50 || Instant::now() < end {
            took.push(self.once(way, bare.as_mut()).await?.as_secs_f64() * 1e6);
        }
        Ok(middle(&mut took))
    }

    async fn once(&self, way: Way, bare: Option<&mut BareGuest>) -> anyhow::Result<Duration> {
        let editor = || EventEditor::new(Arc::new(self.event.clone()), Access::Edit, MAX_SIZE);
        let chain = match way {
            Way::Chain(name, 1) => Some(&self.guest(name)?.one),
            Way::Chain(name, _) => Some(&self.guest(name)?.three),
            Way::Fresh(name) => Some(&self.guest(name)?.fresh),
            _ => None,
        };
        if let Some(chain) = chain {
            let events = vec![self.event.clone()];
            let begin = Instant::now();
            chain.before_append(&self.call, &self.subject, events).await?;
            return Ok(begin.elapsed());
        }
        match (way, bare) {
            (_, Some(bare)) => {
                let editors = vec![editor()];
                let begin = Instant::now();
                // As the chain does with what it gets back.
                for returned in bare.before_append(&self.subject, editors).await? {
                    returned.event.finish()?;
                }
                Ok(begin.elapsed())
            }
            (Way::Webhook, _) => {
                let body = self.event.body().to_owned();
                let begin = Instant::now();
                self.client.post("/", body).await;
                Ok(begin.elapsed())
            }
            _ => {
                let mut editor = editor();
                let begin = Instant::now();
                redact_in_process(&mut editor)?;
                editor.finish()?;
                Ok(begin.elapsed())
            }
        }
    }
}

/// What the guest does, with the guest's own code.
fn redact_in_process(editor: &mut EventEditor) -> anyhow::Result<()> {
    for part in editor.strings() {
        if let Some(redacted) = redact::redact(&part.text) {
            editor.set_string(part.index, &redacted.text)?;
        }
    }
    for part in editor.names() {
        anyhow::ensure!(redact::redact(&part.text).is_none(), "a name has a secret");
    }
    for part in editor.numbers() {
        anyhow::ensure!(redact::redact_number(&part.text).is_none(), "a number is a secret");
    }
    Ok(())
}

async fn load(name: &'static str, path: &Path) -> anyhow::Result<Loaded> {
    let plugin = async |isolation: Isolation| {
        let limits = Limits::default();
        let settings = PluginSettings {
            name: name.into(),
            limits,
            isolation,
            on_error: OnError::Reject,
            breaker: BreakerRule { failures: None, ..BreakerRule::default() },
            max_event_size: MAX_SIZE,
            grants: Grants::undecided(),
            log_guest_output: true,
        };
        let file = PluginFile::read(path, &Requirements::default())?;
        let loader =
            PluginLoader::new(Arc::new(PluginEngine::new(EngineConfig::of_one(&limits))?))?;
        anyhow::Ok(tokio::task::spawn_blocking(move || loader.load(file, settings)).await??)
    };
    let chain = |plugin: &Arc<Plugin>, hooks: usize| {
        let hook = Arc::new(Hooks::from(plugin.clone())) as Arc<dyn AppendHook>;
        HookChain::new(vec![hook; hooks], Vec::new(), MAX_SIZE)
    };
    let (warm, fresh) = (plugin(Isolation::App).await?, plugin(Isolation::Call).await?);
    Ok(Loaded { name, one: chain(&warm, 1), three: chain(&warm, 3), fresh: chain(&fresh, 1), warm })
}
