//! What an operator learns of plugins: outcomes, times, gauges, and what guests said when they failed.

use sessiond_tests::client::Client;
use sessiond_tests::daemon::Daemon;
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;
use tokio::task::JoinSet;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const EVENT: &str = r#"{"role":"user","content":"x"}"#;

/// A daemon whose append hooks are hostile guests, each with some lines of its table.
async fn daemon(guests: &[(&str, &str)]) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = guests.iter().map(|(name, _)| *name).collect();
    let mut config = format!("[hooks]\nappend = {names:?}\n");
    for (name, lines) in guests {
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, wat::component(&wat::hostile(name), "before-append-plugin")).unwrap();
        config.push_str(&format!("[plugins.{name}]\npath = {file:?}\n{lines}\n"));
    }
    let daemon = Daemon::start(&config).await;
    daemon.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    daemon
}

async fn append(client: &Client) -> u16 {
    client.post(&format!("{SESSIONS}/s/events"), EVENT).await.status.as_u16()
}

/// The sum of all series of a name whose labels have this in them.
fn sum(metrics: &str, name: &str, labels: &str) -> u64 {
    let lines = metrics.lines().filter_map(|line| line.split_once(' '));
    let series = lines
        .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(labels));
    series.map(|(_, value)| value.parse::<f64>().unwrap() as u64).sum()
}

/// P46: every call that begins ends with one outcome, whatever becomes of it.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_add_up_to_calls() {
    let spin = "on_error = \"skip\"\nlimits = { time = \"500ms\", max_instances = 1, queue_wait = \"10ms\" }";
    let skip = "on_error = \"skip\"";
    let daemon = daemon(&[
        ("pass", ""),
        ("trap", skip),
        ("hog", "on_error = \"skip\"\nlimits.memory = \"1MiB\""),
        ("spin", spin),
        ("deny", ""),
    ])
    .await;
    let client = daemon.client();
    let spinning = async || {
        let metrics = client.get("/metrics").await.text;
        (sum(&metrics, "sessiond_plugin_running", "\"spin\"") == 1).then_some(())
    };
    let mut calls = JoinSet::new();
    calls.spawn({
        let client = client.clone();
        async move { append(&client).await }
    });
    eventually("a guest spins", spinning).await;
    // While one spins there is no place for another.
    assert_eq!(append(&client).await, 422);
    assert_eq!(calls.join_next().await.unwrap().unwrap(), 422);
    calls.spawn({
        let client = Client::new(client.base());
        async move { append(&client).await }
    });
    eventually("a guest spins", spinning).await;
    calls.abort_all();
    let all = async || {
        let metrics = client.get("/metrics").await.text;
        (sum(&metrics, "sessiond_plugin_calls_total", "outcome=\"gone\"") == 1).then_some(metrics)
    };
    let metrics = eventually("the request that went away is counted", all).await;
    for outcome in ["ok", "trap", "memory-limit", "time-out", "busy", "rejected"] {
        let label = format!("outcome=\"{outcome}\"");
        assert!(sum(&metrics, "sessiond_plugin_calls_total", &label) > 0, "{outcome}\n{metrics}");
    }
    for plugin in ["pass", "trap", "hog", "spin", "deny"] {
        let label = format!("plugin=\"{plugin}\"");
        let started = sum(&metrics, "sessiond_plugin_calls_started_total", &label);
        let ended = sum(&metrics, "sessiond_plugin_calls_total", &label);
        let timed = sum(&metrics, "sessiond_plugin_call_seconds_count", &label);
        assert!(started >= 2, "{metrics}");
        assert_eq!((ended, timed), (started, started), "{plugin}\n{metrics}");
    }
}

/// P48: which plugin is slow, where its time goes, and which is fat.
#[tokio::test]
async fn times_and_memory_are_told_by_plugin() {
    let daemon = daemon(&[("trap", "on_error = \"skip\""), ("pass", "")]).await;
    let client = daemon.client();
    for _ in 0..3 {
        assert_eq!(append(&client).await, 200);
    }
    let metrics = client.get("/metrics").await.text;
    let of = |name: &str, plugin: &str, more: &str| {
        let labels = format!("plugin=\"{plugin}\"");
        let lines: String = metrics
            .lines()
            .filter(|line| line.contains(&labels) && line.contains(more))
            .map(|line| format!("{line}\n"))
            .collect();
        sum(&lines, name, "")
    };
    let phase = |plugin: &str, phase: &str| {
        of("sessiond_plugin_phase_seconds_count", plugin, &format!("phase=\"{phase}\""))
    };
    // A warm instance is started once; one that trapped is started anew.
    assert_eq!(["wait", "instantiate", "call"].map(|it| phase("pass", it)), [3, 1, 3], "{metrics}");
    assert_eq!(["wait", "instantiate", "call"].map(|it| phase("trap", it)), [3, 3, 3], "{metrics}");
    assert!(metrics.contains("interface=\"before-append\",phase=\"call\""), "{metrics}");
    let gauges = [
        ("sessiond_plugin_instances", 1, 0),
        ("sessiond_plugin_idle_instances", 1, 0),
        // Two pages.
        ("sessiond_plugin_memory_bytes", 131_072, 0),
        ("sessiond_plugin_running", 0, 0),
        ("sessiond_plugin_generations", 1, 1),
    ];
    for (name, pass, trap) in gauges {
        assert_eq!((of(name, "pass", ""), of(name, "trap", "")), (pass, trap), "{name}\n{metrics}");
    }
}

/// P40: what a guest said before it died, and where it was, is for the operator alone; and not even
/// for the operator when that is switched off.
#[tokio::test]
async fn what_guests_say_can_be_kept_out_of_the_log() {
    for shown in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prints.wasm");
        std::fs::write(&file, wat::granted("prints", &["wasi:cli/stderr@0.2.0"])).unwrap();
        let daemon = Daemon::start(&format!(
            "[telemetry]\nlog_guest_output = {shown}\n[hooks]\nappend = [\"prints\"]\n\
             [plugins.prints]\npath = {file:?}\n"
        ))
        .await;
        let client = daemon.client();
        client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
        let reply = client.post(&format!("{SESSIONS}/s/events"), EVENT).await.expect(500);
        let log = daemon.log();
        for secret in ["one line", "and a half", "backtrace"] {
            assert_eq!(log.contains(secret), shown, "{secret}: {log}");
            assert!(!reply.text.contains(secret), "{}", reply.text);
        }
        assert!(log.contains("unreachable"), "{log}");
        assert_ne!(log.contains("log_guest_output"), shown, "{log}");
    }
}
