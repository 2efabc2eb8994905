//! Hostile guests by the thousand, and what the daemon makes of them.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::wait::eventually;
use crate::wat;

/// Guests that fail in all ways that there are, and some that only make noise. Those that reject are
/// not among them: they would keep the others from being called.
const HOSTILE: [&str; 33] = [
    "after_trap",
    "alloc_askew",
    "alloc_calls",
    "alloc_same",
    "alloc_trap",
    "alloc_wild",
    "askew",
    "churn",
    "double",
    "dropped",
    "edits",
    "exits",
    "flood",
    "forge",
    "forge_own",
    "hoard",
    "hog",
    "huge_string",
    "long_list",
    "looks",
    "many",
    "neither",
    "not_text",
    "odd_no",
    "random",
    "reads",
    "recurse",
    "reverse",
    "sleeps",
    "tables",
    "timers",
    "trap",
    "wild",
];
/// The last in the chain.
const GOOD: &str = "pass";
const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const PAIR: &str =
    r#"{"events":[{"role":"user","content":"one"},{"role":"user","content":"two"}]}"#;

/// What came of a siege.
#[derive(Debug, Clone)]
pub struct Siege {
    /// Calls to guests in all.
    pub calls: usize,
    /// Calls to the good one, all of which must succeed.
    pub good: usize,
    /// The daemon's memory after each fifth of the calls, in kB.
    pub resident: Vec<u64>,
    /// How long it took.
    pub time: Duration,
}

impl Siege {
    /// Whether the memory stayed where it was: within a tenth and 16 MiB, which the allocator may
    /// keep or give back as it likes.
    pub fn is_flat(&self) -> bool {
        let at = |fifth: Option<&u64>| fifth.copied().expect("five of them");
        let (before, after) = (at(self.resident.first()), at(self.resident.last()));
        after <= before + before / 10 + 16 * 1024
    }
}

/// Calls all hostile guests and a good one in turn, so many times in all.
///
/// # Panics
/// When a call of the good one fails, or the daemon ends.
pub async fn run(calls: usize) -> Siege {
    let (daemon, _folder) = start(&HOSTILE, "limits.time = \"20ms\"").await;
    let (client, begin) = (daemon.client(), Instant::now());
    let each = HOSTILE.len() + 1;
    let appends = calls.div_ceil(each);
    let mut memory = Vec::new();
    for fifth in 1..=5 {
        assault(&client, appends * fifth / 5 - appends * (fifth - 1) / 5).await;
        memory.push(resident(daemon.id()));
    }
    let metrics = client.get("/metrics").await.expect(200).text;
    let good = format!(
        "sessiond_plugin_calls_total{{plugin={GOOD:?},interface=\"before-append\",outcome=\"ok\"}} {appends}\n"
    );
    assert!(metrics.contains(&good), "{good:?} is not in\n{metrics}");
    let (calls, good) = (appends * each, appends);
    Siege { calls, good, resident: memory, time: begin.elapsed() }
}

/// A daemon whose append hooks are these guests, whose failures are skipped, and the good one.
async fn start(guests: &[&str], more: &str) -> (Daemon, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let names = [guests, &[GOOD]].concat();
    let mut config = format!(
        "[telemetry]\nlog_filter = \"off,sessiond::app=info\"\n[session]\nevent_limit = 100\n\
         [plugin_limits]\nmax_instances = 200\n[hooks]\nappend = {names:?}\n"
    );
    for name in names {
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, wat::hostile_component(name)).expect("a guest");
        let policy =
            if name == GOOD { "limits.queue_wait = \"30s\"\nlimits.time = \"30s\"" } else { more };
        let on_error = if name == GOOD { "reject" } else { "skip" };
        config.push_str(&format!(
            "[plugins.{name}]\npath = {file:?}\non_error = {on_error:?}\nbreaker.failures = \"never\"\n{policy}\n"
        ));
    }
    let daemon = Daemon::start(&config).await;
    daemon.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    (daemon, folder)
}

/// Appends so many times, four at a time.
async fn assault(client: &Client, appends: usize) {
    const WRITERS: usize = 4;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let client = client.clone();
        let own = appends / WRITERS + usize::from(writer < appends % WRITERS);
        writers.spawn(async move {
            for _ in 0..own {
                client.post(&format!("{SESSIONS}/s/events"), PAIR).await.expect(200);
            }
        });
    }
    writers.join_all().await;
}

/// The memory of a process, in kB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// What the daemon was like while guests spun.
#[derive(Debug, Clone)]
pub struct Spin {
    /// Times to answer `/healthz` with nothing else to do, sorted.
    pub quiet: Vec<Duration>,
    /// The same while guests spun.
    pub spinning: Vec<Duration>,
    /// By how much calls ran past their time limit until the client had its answer, sorted.
    pub overshoot: Vec<Duration>,
}

/// Runs so many guests that spin until they are stopped, again and again, and asks for the daemon's
/// health meanwhile.
///
/// # Panics
/// When the daemon does not answer, or a guest is not stopped by its time limit.
pub async fn spin(guests: usize, rounds: usize) -> Spin {
    const LIMIT: Duration = Duration::from_millis(1_000);
    const ASKED: usize = 200;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("spin.wasm");
    std::fs::write(&file, wat::hostile_component("spin")).expect("a guest");
    let daemon = Daemon::start(&format!(
        "[hooks]\nappend = [\"spin\"]\n[plugins.spin]\npath = {file:?}\nbreaker.failures = \"never\"\n\
         limits = {{ max_instances = {guests}, time = \"{LIMIT:?}\" }}\n"
    ))
    .await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let mut quiet = Vec::new();
    for _ in 0..ASKED {
        quiet.push(asked(&client).await);
    }
    let (mut spinning, mut overshoot) = (Vec::new(), Vec::new());
    let running = async |count: usize| {
        let running = format!("sessiond_plugin_running{{plugin=\"spin\"}} {count}\n");
        let are = async || client.get("/metrics").await.text.contains(&running).then_some(());
        eventually("so many guests spin", are).await;
    };
    for _ in 0..rounds {
        let mut calls = JoinSet::new();
        for _ in 0..guests {
            let client = daemon.client();
            calls.spawn(async move {
                let begin = Instant::now();
                client.post(&format!("{SESSIONS}/s/events"), PAIR).await.expect(504);
                begin.elapsed().saturating_sub(LIMIT)
            });
        }
        running(guests).await;
        while calls.len() == guests
            && calls.try_join_next().map(|over| overshoot.push(over.expect("a call"))).is_none()
        {
            spinning.push(asked(&client).await);
        }
        while let Some(over) = calls.join_next().await {
            overshoot.push(over.expect("a call"));
        }
        // A guest that was given up ends at its next tick, and its place with it.
        running(0).await;
    }
    for times in [&mut quiet, &mut spinning, &mut overshoot] {
        times.sort();
    }
    Spin { quiet, spinning, overshoot }
}

async fn asked(client: &Client) -> Duration {
    let begin = Instant::now();
    client.get("/healthz").await.expect(200);
    begin.elapsed()
}

/// The time below which so many of a hundred are.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}
