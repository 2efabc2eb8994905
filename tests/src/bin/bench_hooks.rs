//! `scripts/bench-hooks`: what a hook costs, beside the same component called straight by wasmtime,
//! the same work in a closure, and webhooks on the loopback interface. One run, in turns.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
use sessiond_tests::wait::eventually;
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
/// The most addresses that an event has, and how many sentences.
const ADDRESSES: usize = 14;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let python = std::env::args().nth(1).context("name a Python that has FastAPI and uvicorn")?;
    let bench = Bench::new(&python).await?;
    let mut medians = Medians::default();
    for _ in 0..ROUNDS {
        for way in WAYS {
            let median = bench.median(way).await?;
            medians.0.entry(way.to_string()).or_default().push(median);
        }
    }
    println!("microseconds of a call with one event of 1 kB, medians of {ROUNDS} rounds in turns:");
    for way in WAYS {
        let round = medians.rounds(way)?;
        let (low, high) = (round[0], round[round.len() - 1]);
        println!("  {:<44}{:>10.1}   ({low:.1} to {high:.1})", way.to_string(), medians.of(way)?);
    }
    println!("ratios:");
    for (of, to, target) in RATIOS {
        let ratio = medians.of(of)? / medians.of(to)?;
        let told = if ratio <= target { "met" } else { "missed" };
        println!("  {:<80}{ratio:>8.3}   target {target:.3}: {told}", format!("{of} / {to}"));
    }
    if cfg!(debug_assertions) {
        println!("Built with debug assertions: our own code is slower than in a release build.");
    }
    Ok(())
}

/// The medians of each way, one of each round.
#[derive(Default)]
struct Medians(HashMap<String, Vec<f64>>);

impl Medians {
    fn rounds(&self, way: Way) -> anyhow::Result<Vec<f64>> {
        let mut rounds = self.0.get(&way.to_string()).context("a way is missing")?.clone();
        rounds.sort_by(f64::total_cmp);
        Ok(rounds)
    }

    fn of(&self, way: Way) -> anyhow::Result<f64> {
        self.rounds(way).map(|mut rounds| middle(&mut rounds))
    }
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A way to have an event looked at: by whom or what, and how many addresses the event has.
#[derive(Debug, Clone, Copy)]
struct Way(How, usize);

#[derive(Debug, Clone, Copy)]
enum How {
    /// The daemon's own, with so many hooks.
    Chain(&'static str, usize),
    /// The same, with a fresh instance for each call.
    Fresh(&'static str),
    /// wasmtime's call of the same component.
    Bare(&'static str),
    /// What the guest does, in this process.
    Closure(fn(&mut EventEditor) -> anyhow::Result<()>),
    /// A server in this process that sends back what it gets, over a connection that stays open.
    Echo,
    /// A server in Python's standard library, in a process of its own, likewise.
    BareWebhook,
    /// A server as a user would write one, likewise.
    Webhook,
}

const PASS: Way = Way(How::Chain("pass", 1), 0);
const BARE_PASS: Way = Way(How::Bare("pass"), 0);
const THREE: Way = Way(How::Chain("pass", 3), 0);
const FRESH_PASS: Way = Way(How::Fresh("pass"), 0);
const LOOK: Way = Way(How::Chain("redact", 1), 0);
const BARE_LOOK: Way = Way(How::Bare("redact"), 0);
const EDIT: Way = Way(How::Chain("replace", 1), 1);
const BARE_EDIT: Way = Way(How::Bare("replace"), 1);
const FRESH_EDIT: Way = Way(How::Fresh("replace"), 1);
const CLOSURE: Way = Way(How::Closure(replace_in_process), 1);
const MANY: Way = Way(How::Chain("redact", 1), ADDRESSES);
const CLOSURE_MANY: Way = Way(How::Closure(redact_in_process), ADDRESSES);
const PYTHON: Way = Way(How::Chain("python", 1), 0);
const BARE_PYTHON: Way = Way(How::Bare("python"), 0);
const JAVASCRIPT: Way = Way(How::Chain("javascript", 1), 0);
const BARE_JAVASCRIPT: Way = Way(How::Bare("javascript"), 0);
const ECHO: Way = Way(How::Echo, 0);
const BARE_WEBHOOK: Way = Way(How::BareWebhook, 0);
const BARE_WEBHOOK_EDIT: Way = Way(How::BareWebhook, 1);
const WEBHOOK: Way = Way(How::Webhook, 0);
const WEBHOOK_EDIT: Way = Way(How::Webhook, 1);

const WAYS: [Way; 21] = [
    PASS,
    BARE_PASS,
    THREE,
    FRESH_PASS,
    LOOK,
    BARE_LOOK,
    EDIT,
    BARE_EDIT,
    FRESH_EDIT,
    CLOSURE,
    MANY,
    CLOSURE_MANY,
    PYTHON,
    BARE_PYTHON,
    JAVASCRIPT,
    BARE_JAVASCRIPT,
    ECHO,
    BARE_WEBHOOK,
    BARE_WEBHOOK_EDIT,
    WEBHOOK,
    WEBHOOK_EDIT,
];

/// What is told: of what, to what, and no more than how much it should be.
const RATIOS: [(Way, Way, f64); 16] = [
    (PASS, BARE_PASS, 4.0),
    (LOOK, BARE_LOOK, 4.0),
    (EDIT, CLOSURE, 3.0),
    (MANY, CLOSURE_MANY, 3.0),
    (PASS, WEBHOOK, 1.0 / 30.0),
    (LOOK, WEBHOOK, 1.0 / 30.0),
    (EDIT, WEBHOOK_EDIT, 1.0 / 30.0),
    (PASS, BARE_WEBHOOK, 1.0 / 30.0),
    (LOOK, BARE_WEBHOOK, 1.0 / 30.0),
    (EDIT, BARE_WEBHOOK_EDIT, 1.0 / 30.0),
    (THREE, PASS, 3.3),
    (PYTHON, BARE_PYTHON, 1.5),
    (JAVASCRIPT, BARE_JAVASCRIPT, 1.5),
    (FRESH_PASS, PASS, 20.0),
    (FRESH_EDIT, EDIT, 20.0),
    (LOOK, ECHO, 1.0),
];

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            How::Chain(guest, 1) => write!(f, "{guest}")?,
            How::Chain(guest, hooks) => write!(f, "{guest} {hooks} in a chain")?,
            How::Fresh(guest) => write!(f, "{guest} in a fresh instance")?,
            How::Bare(guest) => write!(f, "{guest} called bare")?,
            How::Closure(_) => write!(f, "the same in a closure")?,
            How::Echo => write!(f, "an echo by HTTP")?,
            How::BareWebhook => write!(f, "a bare webhook")?,
            How::Webhook => write!(f, "a webhook")?,
        }
        match self.1 {
            0 => Ok(()),
            1 => write!(f, ", an address"),
            many => write!(f, ", {many} addresses"),
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
    subject: Subject,
    call: CallContext,
    echo: Client,
    bare_webhook: Client,
    webhook: Client,
    _web: Web,
    _webhooks: [Child; 2],
}

impl Bench {
    async fn new(python: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let pass = folder.path().join("pass.wasm");
        std::fs::write(&pass, wat::component(&wat::hostile("pass"), "before-append-plugin"))?;
        let guests = vec![
            load("pass", &pass).await?,
            load("replace", &guest("template-rust")).await?,
            load("redact", &guest("redact-secrets-rust")).await?,
            load("python", &guest("template-python")).await?,
            load("javascript", &guest("template-javascript")).await?,
        ];
        let web = Web::start(|asked| Answer::json(200, &asked.body)).await;
        let (bare_webhook, bare_process) = webhook(python, "webhook.py").await?;
        let (webhook, process) = webhook(python, "webhook_fastapi.py").await?;
        Ok(Self {
            guests,
            subject: Subject::Session(SessionKey::new("bench", "bench", "bench")?),
            call: CallContext::new(Purpose::Append, "bench"),
            echo: Client::new(web.base()),
            bare_webhook,
            webhook,
            _web: web,
            _webhooks: [bare_process, process],
        })
    }

    fn guest(&self, name: &str) -> anyhow::Result<&Loaded> {
        self.guests.iter().find(|it| it.name == name).context("no such guest")
    }

    /// The median time of a call, in microseconds.
    async fn median(&self, Way(how, addresses): Way) -> anyhow::Result<f64> {
        let mut bare = match how {
            How::Bare(name) => Some(BareGuest::start(&self.guest(name)?.warm).await?),
            _ => None,
        };
        let event = event(addresses)?;
        let mut took = Vec::new();
        let end = Instant::now() + TIME;
        while took.len() < 50 || Instant::now() < end {
            took.push(self.once(how, &event, bare.as_mut()).await?.as_secs_f64() * 1e6);
        }
        Ok(middle(&mut took))
    }

    async fn once(
        &self,
        how: How,
        event: &Event,
        bare: Option<&mut BareGuest>,
    ) -> anyhow::Result<Duration> {
        let editor = || EventEditor::new(Arc::new(event.clone()), Access::Edit, MAX_SIZE);
        let chain = match how {
            How::Chain(name, 1) => &self.guest(name)?.one,
            How::Chain(name, _) => &self.guest(name)?.three,
            How::Fresh(name) => &self.guest(name)?.fresh,
            How::Bare(_) => {
                let bare = bare.context("a guest to call")?;
                let editors = vec![editor()];
                let begin = Instant::now();
                // As the chain does with what it gets back.
                for returned in bare.before_append(&self.subject, editors).await? {
                    returned.event.finish()?;
                }
                return Ok(begin.elapsed());
            }
            How::Closure(work) => {
                let mut editor = editor();
                let begin = Instant::now();
                work(&mut editor)?;
                editor.finish()?;
                return Ok(begin.elapsed());
            }
            How::Echo => return post(&self.echo, event).await,
            How::BareWebhook => return post(&self.bare_webhook, event).await,
            How::Webhook => return post(&self.webhook, event).await,
        };
        let events = vec![event.clone()];
        let begin = Instant::now();
        chain.before_append(&self.call, &self.subject, events).await?;
        Ok(begin.elapsed())
    }
}

/// An event of 1 kB, some of its sentences with an address.
fn event(addresses: usize) -> anyhow::Result<Event> {
    let mut text = "Write to secret@example.com about the weather in the town of the letter. "
        .repeat(addresses);
    text += &"Write to the old postman about the weather in the town of letters. "
        .repeat(ADDRESSES - addresses);
    let body = format!("{{\"role\":\"user\",\"content\":\"{text}\"}}");
    Ok(Event::parse(Received { body, ..Received::default() }, SystemClock.now(), MAX_SIZE)?)
}

/// Posts an event, and reads what comes back, as must be done with what others may have changed.
async fn post(to: &Client, event: &Event) -> anyhow::Result<Duration> {
    let body = event.body().to_owned();
    let begin = Instant::now();
    let body = to.post("/", body).await.expect(200).text;
    Event::parse(Received { body, ..Received::default() }, SystemClock.now(), MAX_SIZE)?;
    Ok(begin.elapsed())
}

/// Starts a server of `tests/bench`, which goes with its standard input.
async fn webhook(python: &str, script: &str) -> anyhow::Result<(Client, Child)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/bench");
    let mut process = Command::new(python)
        .arg(format!("{folder}/{script}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context(python.to_owned())?;
    let mut port = String::new();
    BufReader::new(process.stdout.as_mut().context("its output")?).read_line(&mut port)?;
    let client = Client::new(format!("http://127.0.0.1:{}", port.trim()));
    eventually("a webhook", async || client.send("POST", "/", &[], "{}").await.ok()).await;
    Ok((client, process))
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

/// What a new project in Rust does, but for its line in the log.
fn replace_in_process(editor: &mut EventEditor) -> anyhow::Result<()> {
    for part in editor.texts() {
        anyhow::ensure!(!part.text.contains("forbidden"), "Leave out what is forbidden.");
        if part.text.contains("secret") {
            editor.set_text(part.index, &part.text.replace("secret", "[removed]"))?;
        }
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
