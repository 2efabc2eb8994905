//! Guards that cannot be asked let nothing through, whatever the reason; and what the operator sees.

use std::path::PathBuf;
use std::time::Duration;

use sessiond_tests::client::{Client, Reply};
use sessiond_tests::daemon::{Daemon, run};
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;
use tempfile::TempDir;
use tokio::task::JoinSet;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const PAIR: &str =
    r#"{"events":[{"role":"user","content":"one"},{"role":"user","content":"two"}]}"#;

/// A daemon with one append hook.
struct Guarded {
    daemon: Daemon,
    file: PathBuf,
    _folder: TempDir,
}

impl Guarded {
    async fn start(guest: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guard.wasm");
        match guest {
            "missing" => {}
            "broken" => std::fs::write(&file, "<html>").unwrap(),
            name => std::fs::write(&file, wat::hostile_component(name)).unwrap(),
        }
        let config =
            format!("[hooks]\nappend = [\"guard\"]\n[plugins.guard]\npath = {file:?}\n{more}\n");
        let daemon = Daemon::start(&config).await;
        Self { daemon, file, _folder: folder }
    }

    fn client(&self) -> Client {
        self.daemon.client()
    }

    async fn append(&self) -> Reply {
        append(&self.client()).await
    }

    async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.client().get("/metrics").await.expect(200).text;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    async fn plugin(&self, args: &[&str]) -> (bool, String) {
        let config = self.daemon.config();
        let config = ["--config", config.to_str().unwrap()];
        let output = run(&[&["plugin"], args, &config].concat()).await;
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    }
}

async fn append(client: &Client) -> Reply {
    client.post(&format!("{SESSIONS}/s/events"), PAIR).await
}

/// Makes the session that is appended to; a guard looks at its state only if there is any.
async fn create(client: &Client) {
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
}

/// P17, P35, P64: a guard that always fails never lets an event through, in whichever way it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_fails_lets_nothing_through() {
    let busy = "limits = { max_instances = 1, queue_wait = \"100ms\", time = \"20s\" }";
    let absent = "on_load_error = \"reject\"";
    let breaker = "breaker = { failures = 1, open_for = \"1h\" }";
    let unfit = "on_load_error = \"reject\"\nlimits.memory = \"64KiB\"";
    for (guest, more, status, code, failure) in [
        ("trap", "", 500, "plugin_failed", "trap"),
        ("spin", "limits.time = \"100ms\"", 504, "plugin_time_out", "time-out"),
        ("sleeps", "limits.time = \"100ms\"", 504, "plugin_time_out", "time-out"),
        ("hog", "limits.memory = \"1MiB\"", 500, "plugin_failed", "memory-limit"),
        ("edits", "limits.output = \"64KiB\"", 500, "plugin_failed", "output-limit"),
        ("reads", "limits.copied = \"64KiB\"", 500, "plugin_failed", "copied-limit"),
        ("hoard", "limits.handles = 100", 500, "plugin_failed", "handle-limit"),
        ("reverse", "", 500, "plugin_failed", "bad-answer"),
        ("neither", "", 500, "plugin_failed", "trap"),
        ("spin", busy, 503, "plugin_busy", "busy"),
        ("missing", absent, 503, "plugin_unavailable", "not-loaded"),
        ("broken", absent, 503, "plugin_unavailable", "not-loaded"),
        ("start", absent, 503, "plugin_unavailable", "not-loaded"),
        ("pass", unfit, 503, "plugin_unavailable", "not-loaded"),
        ("trap", breaker, 503, "plugin_unavailable", "breaker-open"),
    ] {
        let guarded = Guarded::start(guest, more).await;
        let client = guarded.client();
        create(&client).await;
        let mut before = JoinSet::new();
        if failure == "busy" {
            let client = client.clone();
            before.spawn(async move { append(&client).await });
            let running = "sessiond_plugin_running{plugin=\"guard\"}";
            let spins = async || (guarded.metric(running).await == Some(1.0)).then_some(());
            eventually("a guest takes the only instance", spins).await;
        } else if failure == "breaker-open" {
            guarded.append().await.expect(500);
        }
        for _ in 0..2 {
            let reply = guarded.append().await.expect(status);
            assert!(status != 503 || reply.headers.contains_key("retry-after"), "{guest}");
            let json = reply.json();
            assert_eq!(json["code"], code, "{guest} {more}: {json}");
            assert_eq!(json["failure"], failure, "{guest} {more}: {json}");
        }
        let session = client.get(&format!("{SESSIONS}/s")).await.expect(200).json();
        assert_eq!(session["last_seq"], 0, "{guest} {more}");
    }
}

/// P50, P51: what cannot be loaded stops the start, or is skipped, as the operator says.
#[tokio::test]
async fn a_plugin_that_is_not_there_may_be_skipped() {
    let guarded = Guarded::start("missing", "on_load_error = \"skip\"").await;
    create(&guarded.client()).await;
    assert_eq!(guarded.append().await.expect(200).json()["last_seq"], 2);
    assert!(guarded.daemon.log().contains("plugin not loaded"), "{}", guarded.daemon.log());
    assert_eq!(guarded.metric("sessiond_plugin_loaded{plugin=\"guard\"}").await, Some(0.0));

    let config = guarded.daemon.config();
    let text = std::fs::read_to_string(&config).unwrap().replace("\"skip\"", "\"refuse\"");
    let other = guarded.daemon.folder().join("refuses.toml");
    std::fs::write(&other, text).unwrap();
    let ended = run(&["serve", "--config", other.to_str().unwrap()]).await;
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && told.contains("cannot be read"), "{told}");
}

/// P16, P50: a plugin that was not there is brought to life by a reload, closed until then.
#[tokio::test]
async fn a_plugin_that_was_not_there_comes_to_life() {
    let guarded = Guarded::start("broken", "on_load_error = \"reject\"").await;
    create(&guarded.client()).await;
    guarded.append().await.expect(503);
    let (_, listed) = guarded.plugin(&["list"]).await;
    assert!(listed.contains("not loaded") && listed.contains("something else"), "{listed}");
    let (good, told) = guarded.plugin(&["reload", "guard"]).await;
    assert!(!good && told.contains("stays out of service"), "{told}");

    std::fs::write(&guarded.file, wat::hostile_component("pass")).unwrap();
    let (good, told) = guarded.plugin(&["reload", "guard"]).await;
    assert!(good && told.starts_with("reloaded: guard: "), "{told}");
    assert_eq!(guarded.append().await.expect(200).json()["last_seq"], 2);
    assert_eq!(guarded.metric("sessiond_plugin_loaded{plugin=\"guard\"}").await, Some(1.0));

    let bad = Guarded::start("missing", "on_load_error = \"reject\"\nwatch = true").await;
    create(&bad.client()).await;
    bad.append().await.expect(503);
    std::fs::write(&bad.file, wat::hostile_component("pass")).unwrap();
    let lives = async || (bad.append().await.status == 200).then_some(());
    eventually("the watched file serves", lives).await;
}

const STATE: &str = "sessiond_plugin_breaker_state{plugin=\"guard\",interface=\"before-append\"}";

/// P16: a breaker opens after failures in a row, says so everywhere, lets one call try when its time
/// has come, and closes when that goes well. What the plugin rejects is no failure.
#[tokio::test]
async fn a_breaker_opens_and_closes() {
    let breaker = "breaker = { failures = 3, open_for = \"2s\" }";
    // It traps in its second call, and again in every other one.
    let guarded = Guarded::start("keep", &format!("{breaker}\nisolation = \"call\"")).await;
    create(&guarded.client()).await;
    for _ in 0..5 {
        guarded.append().await.expect(200);
    }
    assert_eq!(guarded.metric(STATE).await, Some(0.0));

    let guarded = Guarded::start("trap", breaker).await;
    create(&guarded.client()).await;
    for _ in 0..3 {
        guarded.append().await.expect(500);
    }
    let refused = guarded.append().await.expect(503);
    let seconds = refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(guarded.metric(STATE).await, Some(2.0));
    let (_, listed) = guarded.plugin(&["list"]).await;
    assert!(listed.contains("before-append: breaker open; the last failure: trap: "), "{listed}");

    // The guest fails the trial call, and the breaker stays open.
    let tries = async || (guarded.append().await.status == 500).then_some(());
    eventually("a call is let through to try", tries).await;
    guarded.append().await.expect(503);

    // A plugin that was reloaded begins anew.
    std::fs::write(&guarded.file, wat::hostile_component("deny")).unwrap();
    assert!(guarded.plugin(&["reload", "guard"]).await.0);
    for _ in 0..5 {
        guarded.append().await.expect(422);
    }
    assert_eq!(guarded.metric(STATE).await, Some(0.0), "a rejection is no failure");
    let to =
        "sessiond_plugin_breaker_transitions_total{plugin=\"guard\",interface=\"before-append\"";
    let half = guarded.metric(&format!("{to},to=\"half-open\"}}")).await;
    assert!(half.is_some_and(|half| half >= 1.0), "{half:?}");
}

/// An open breaker means what the policy says: a plugin that may be skipped is.
#[tokio::test]
async fn a_breaker_that_is_open_may_be_skipped() {
    let more = "on_error = \"skip\"\nbreaker = { failures = 2, open_for = \"1h\" }";
    let guarded = Guarded::start("trap", more).await;
    create(&guarded.client()).await;
    for at in 1..=6 {
        assert_eq!(guarded.append().await.expect(200).json()["last_seq"], 2 * at);
    }
    let calls = "sessiond_plugin_calls_total{plugin=\"guard\",interface=\"before-append\",outcome=";
    assert_eq!(guarded.metric(&format!("{calls}\"trap\"}}")).await, Some(2.0));
    assert_eq!(guarded.metric(&format!("{calls}\"breaker-open\"}}")).await, Some(4.0));
}

/// P22: instances that nobody calls are given up, and the plugin serves on.
#[tokio::test]
async fn idle_instances_end() {
    let guarded = Guarded::start("pass", "limits.idle_after = \"1s\"").await;
    create(&guarded.client()).await;
    guarded.append().await.expect(200);
    let instances = "sessiond_plugin_instances{plugin=\"guard\"}";
    let gone = async || (guarded.metric(instances).await == Some(0.0)).then_some(());
    eventually("no instance is left", gone).await;
    let ended = "sessiond_plugin_instances_ended_total{plugin=\"guard\",reason=\"idle\"}";
    assert!(guarded.metric(ended).await.is_some_and(|ended| ended >= 1.0));
    guarded.append().await.expect(200);
}

/// P23, P27: at the ceiling of the process the instance that was idle for the longest makes room.
#[tokio::test]
async fn the_ceiling_of_the_process_holds_over_apps() {
    let more = "[plugin_limits]\nmax_instances = 2";
    let guarded = Guarded::start("pass", more).await;
    let client = guarded.client();
    let instances = "sessiond_plugin_instances{plugin=\"guard\"}";
    for app in ["one", "two", "three", "four", "one"] {
        let sessions = format!("/v1/apps/{app}/users/ann/sessions");
        client.post(&sessions, r#"{"id":"s"}"#).await;
        client.post(&format!("{sessions}/s/events"), PAIR).await.expect(200);
        let count = guarded.metric(instances).await.unwrap();
        assert!(count <= 2.0, "{count} instances after {app}");
    }
}

/// P24: a plugin that takes all it can get fails no call of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_plugin_makes_another_fail() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = "[plugin_limits]\nmax_instances = 4\n\
                      [hooks]\nappend = [\"spin\"]\nget = [\"good\"]\n"
        .to_owned();
    let spin = folder.path().join("spin.wasm");
    let good = folder.path().join("good.wasm");
    std::fs::write(&spin, wat::hostile_component("spin")).unwrap();
    let passes = r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
        (func (export "sessiond:plugin/after-get@0.1.0#after-get")
            (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024)))"#;
    std::fs::write(&good, wat::component(passes, "after-get-plugin")).unwrap();
    config.push_str(&format!("[plugins.good]\npath = {good:?}\nlimits.queue_wait = \"10s\"\n"));
    config.push_str(&format!("limits.time = \"10s\"\n[plugins.spin]\npath = {spin:?}\n"));
    config.push_str("limits = { max_instances = 100, time = \"300ms\", queue_wait = \"50ms\" }\n");
    config.push_str("breaker.failures = \"never\"\n");
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();
    create(&client).await;
    let mut hostile = JoinSet::new();
    for _ in 0..12 {
        let client = client.clone();
        hostile.spawn(async move {
            let mut outcomes = Vec::new();
            for _ in 0..6 {
                outcomes.push(append(&client).await.status.as_u16());
            }
            outcomes
        });
    }
    for _ in 0..50 {
        client.get(&format!("{SESSIONS}/s")).await.expect(200);
    }
    let outcomes: Vec<u16> = hostile.join_all().await.into_iter().flatten().collect();
    assert!(outcomes.contains(&504) && outcomes.contains(&503), "{outcomes:?}");
    let metrics = client.get("/metrics").await.text;
    let good = "sessiond_plugin_calls_total{plugin=\"good\"";
    let counted: Vec<_> = metrics.lines().filter(|line| line.starts_with(good)).collect();
    assert!(counted.len() == 1 && counted[0].contains("outcome=\"ok\""), "{counted:?}");
}

/// P72: where address space is short the daemon starts on a slower way to get memory, says so, and
/// serves its hooks.
#[tokio::test]
async fn short_address_space_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deny.wasm");
    std::fs::write(&file, wat::hostile_component("deny")).unwrap();
    let config = format!(
        "[hooks]\nappend = [\"deny\"]\n[plugins.deny]\npath = {file:?}\nlimits.time = \"20s\"\n"
    );
    const GIB: u64 = 1024 * 1024;
    for (kilobytes, least) in [(40 * GIB, 1), (3 * GIB, 2)] {
        let daemon = Daemon::start_within(&config, kilobytes).await;
        let log = daemon.log();
        let steps = log.matches("guests cannot get their memory this way").count();
        assert_eq!(steps, least, "{kilobytes} kB of address space: {log}");
        let client = daemon.client();
        create(&client).await;
        append(&client).await.expect(422);
        let health = tokio::time::timeout(Duration::from_secs(20), client.get("/healthz"));
        health.await.expect("it answers").expect(200);
    }
}
