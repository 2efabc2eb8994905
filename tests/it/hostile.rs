//! Guests that misbehave: each contained, each with an error of its own, and the daemon goes on.

use std::time::Duration;

use sessiond_tests::client::{Client, Reply};
use sessiond_tests::daemon::Daemon;
use sessiond_tests::{siege, wat};

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";
const PAIR: &str =
    r#"{"events":[{"role":"user","content":"one"},{"role":"user","content":"two"}]}"#;

/// A daemon whose only append hook is a hostile guest.
async fn daemon(name: &str, limits: &str) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{name}.wasm"));
    std::fs::write(&file, wat::hostile_component(name)).unwrap();
    let plugin = format!("[plugins.{name}]\npath = {file:?}\n[plugins.{name}.limits]\n{limits}\n");
    let daemon = Daemon::start(&format!("[hooks]\nappend = [{name:?}]\n{plugin}")).await;
    daemon.client().post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    daemon
}

async fn append(client: &Client) -> Reply {
    client.post(&format!("{SESSIONS}/s/events"), PAIR).await
}

/// Nothing is stored, the plugin is named, and the daemon serves on.
async fn refused(name: &str, limits: &str, status: u16, code: &str, failure: &str) -> Daemon {
    let daemon = daemon(name, limits).await;
    let client = daemon.client();
    for _ in 0..2 {
        let reply = append(&client).await.expect(status);
        let json = reply.json();
        assert_eq!(
            (json["code"].as_str(), json["plugin"].as_str()),
            (Some(code), Some(name)),
            "{json}"
        );
        assert_eq!(json["failure"].as_str().unwrap_or_default(), failure);
    }
    client.get("/healthz").await.expect(200);
    let session = client.get(&format!("{SESSIONS}/s")).await.expect(200).json();
    assert_eq!(session["last_seq"], 0);
    let count = format!("{{plugin=\"{name}\",hook=\"before-append\",kind=\"{failure}\"}} 2");
    let metrics = client.get("/metrics").await.text;
    assert!(failure.is_empty() || metrics.contains(&count), "{metrics}");
    daemon
}

/// P1, P6: stopped at its deadline.
#[tokio::test]
async fn a_guest_that_loops() {
    let daemon = refused("spin", "time = \"100ms\"", 504, "plugin_time_out", "time-out").await;
    // From inside, or on a busy machine from outside.
    let log = daemon.log();
    assert!(log.contains("time-out: ") && log.contains("`limits.time`"), "{log}");
}

/// P42, P43: stopped at its limit, which is named.
#[tokio::test]
async fn a_guest_that_takes_memory_without_end() {
    let daemon = refused("hog", "memory = \"8MiB\"", 500, "plugin_failed", "memory-limit").await;
    assert!(daemon.log().contains("8388608 allowed by `limits.memory`"), "{}", daemon.log());
}

/// P13, P17: a trap ends the instance, not the plugin, and never lets an event through.
#[tokio::test]
async fn a_guest_that_traps() {
    let daemon = refused("trap", "", 500, "plugin_failed", "trap").await;
    assert!(daemon.log().contains("unreachable"), "{}", daemon.log());
}

/// P74
#[tokio::test]
async fn a_guest_that_recurses_without_end() {
    refused("recurse", "", 500, "plugin_failed", "trap").await;
}

#[tokio::test]
async fn a_guest_that_returns_what_is_not_its_memory() {
    refused("wild", "", 500, "plugin_failed", "trap").await;
}

#[tokio::test]
async fn a_guest_that_returns_a_handle_it_never_got() {
    refused("forge", "", 500, "plugin_failed", "trap").await;
}

#[tokio::test]
async fn a_guest_that_returns_an_event_twice() {
    refused("double", "", 500, "plugin_failed", "trap").await;
}

#[tokio::test]
async fn a_guest_that_changes_the_order() {
    let daemon = refused("reverse", "", 500, "plugin_failed", "bad-answer").await;
    assert!(daemon.log().contains("another order"), "{}", daemon.log());
}

/// A rejection is data: it reaches the client, and does not break the log.
#[tokio::test]
async fn a_guest_that_rejects() {
    let daemon = refused("deny", "", 422, "hook_denied", "").await;
    let reply = append(&daemon.client()).await.json();
    assert_eq!(reply["rejection"], "not\n\"here\"");
    assert!(!daemon.log().contains("\n\"here\""));
}

/// Each is contained, and each has an outcome of its own: status, code and failure.
#[tokio::test]
async fn guests_that_go_too_far_are_stopped() {
    for (name, limits, status, code, failure) in [
        ("tables", "", 500, "plugin_failed", "memory-limit"),
        ("huge_string", "", 500, "plugin_failed", "output-limit"),
        ("edits", "output = \"64KiB\"", 500, "plugin_failed", "output-limit"),
        ("churn", "output = \"64KiB\"", 500, "plugin_failed", "output-limit"),
        ("hoard", "handles = 1000", 500, "plugin_failed", "handle-limit"),
        ("reads", "copied = \"64KiB\"", 500, "plugin_failed", "copied-limit"),
        ("sleeps", "time = \"100ms\"", 504, "plugin_time_out", "time-out"),
        ("busy", "time = \"100ms\"", 504, "plugin_time_out", "time-out"),
        ("fills", "time = \"100ms\"", 504, "plugin_time_out", "time-out"),
        ("after_spin", "time = \"100ms\"", 504, "plugin_time_out", "time-out"),
        ("timers", "", 500, "plugin_failed", "trap"),
        ("random", "", 500, "plugin_failed", "trap"),
    ] {
        refused(name, limits, status, code, failure).await;
    }
}

/// What breaks the rules between host and guest ends the call, and nothing else.
#[tokio::test]
async fn guests_that_break_the_rules_are_stopped() {
    for name in [
        "long_list",
        "many",
        "not_text",
        "forge_own",
        "dropped",
        "odd_no",
        "neither",
        "askew",
        "after_trap",
        "alloc_trap",
        "alloc_wild",
        "alloc_askew",
        "alloc_calls",
        "exits",
    ] {
        refused(name, "", 500, "plugin_failed", "trap").await;
    }
}

/// What does no harm goes on: output is dropped and counted, and there is nothing to find.
#[tokio::test]
async fn guests_that_do_no_harm_go_on() {
    for name in ["log_line", "prints_out", "prints_err", "looks", "alloc_same"] {
        let daemon = daemon(name, "time = \"30s\"").await;
        let reply = append(&daemon.client()).await.expect(200).json();
        assert_eq!(reply["last_seq"], 2, "{name}");
        assert!(daemon.log().len() < 600_000, "{name}: {} bytes of log", daemon.log().len());
        if name.starts_with("prints") {
            let metrics = daemon.client().get("/metrics").await.text;
            let dropped = format!("sessiond_plugin_log_dropped_bytes_total{{plugin=\"{name}\"}}");
            assert!(metrics.contains(&dropped), "{metrics}");
        }
        let text = daemon.client().get(&format!("{SESSIONS}/s")).await.expect(200).text;
        assert!(text.contains("\"one\"") && text.contains("\"two\""), "{name}: {text}");
    }
}

/// P45: a call has so many lines too.
#[tokio::test]
async fn lines_of_the_log_are_counted() {
    let daemon = daemon("flood", "log_lines = 5").await;
    append(&daemon.client()).await.expect(200);
    assert_eq!(daemon.log().matches("a flood").count(), 5, "{}", daemon.log());
}

/// Identity is the host's: an event stays whose it was, whatever its body is made to say.
#[tokio::test]
async fn a_guest_that_forges_an_identity() {
    let daemon = daemon("imposter", "").await;
    let client = daemon.client();
    let item = r#"{"id":"mine","event":{"role":"user","content":"one"}}"#;
    client.post(&format!("{SESSIONS}/s/events"), item).await.expect(200);
    let session = client.get(&format!("{SESSIONS}/s")).await.expect(200).json();
    let event = &session["events"][0];
    assert_eq!((&event["id"], &event["seq"]), (&"mine".into(), &1.into()), "{session}");
    assert_eq!(event["event"]["role"], "user", "{session}");
}

/// A rejection of ten million bytes is cut, and reaches no terminal.
#[tokio::test]
async fn a_guest_that_rejects_at_length() {
    let daemon = refused("long_no", "", 422, "hook_denied", "").await;
    let reply = append(&daemon.client()).await;
    assert!(reply.text.len() < 20_000 && !reply.text.contains('\u{1b}'), "{}", reply.text.len());
    assert!(!daemon.log().contains('\u{1b}') && daemon.log().len() < 100_000);
}

/// P29: a handle kept for a later call finds nothing behind it.
#[tokio::test]
async fn a_guest_that_keeps_a_handle() {
    let daemon = daemon("keep", "max_instances = 1").await;
    let client = daemon.client();
    let first = append(&client).await.expect(200).json();
    assert_eq!(first["items"][0]["dropped_by"], "keep");
    let second = append(&client).await.expect(500).json();
    assert_eq!((&second["code"], &second["failure"]), (&"plugin_failed".into(), &"trap".into()));
    assert!(daemon.log().contains("stale-handle"), "{}", daemon.log());
    // The instance is gone, and with it what it kept.
    assert_eq!(append(&client).await.expect(200).json()["items"][0]["dropped_by"], "keep");
    let session = client.get(&format!("{SESSIONS}/s")).await.text;
    assert!(!session.contains("STALE"));
}

/// P45: what is too much is dropped, counted and escaped; the call goes on.
#[tokio::test]
async fn a_guest_that_floods_the_log() {
    let daemon = daemon("flood", "").await;
    append(&daemon.client()).await.expect(200);
    let log = daemon.log();
    assert!(log.len() < 600_000, "{} bytes", log.len());
    assert!(log.contains("a flood\\nwith a break"), "{log}");
    assert!(!log.contains("\u{1b}[31m") && !log.contains("\nwith a break"));
    assert!(log.contains("logged too much"));
    let metrics = daemon.client().get("/metrics").await.text;
    assert!(
        metrics.contains("sessiond_plugin_log_dropped_bytes_total{plugin=\"flood\"}"),
        "{metrics}"
    );
}

/// P97, R97: guests that spin hold up nobody but their own callers.
#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_answers_while_guests_spin() {
    let daemon = daemon("spin", "time = \"3s\"").await;
    let client = daemon.client();
    let mut spinning = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let client = client.clone();
        spinning.spawn(async move { append(&client).await });
    }
    let spins = async || {
        let metrics = client.get("/metrics").await.text;
        metrics.contains("sessiond_plugin_running{plugin=\"spin\"} 2").then_some(())
    };
    sessiond_tests::wait::eventually("two guests spin", spins).await;
    for _ in 0..20 {
        let health = tokio::time::timeout(Duration::from_secs(1), client.get("/healthz"));
        health.await.expect("health answers while guests spin").expect(200);
    }
    assert!(
        spinning.try_join_next().is_none(),
        "the guests have stopped too early to prove anything"
    );
    while let Some(reply) = spinning.join_next().await {
        reply.unwrap().expect(504);
    }
}

/// `on_error = "skip"` goes on without a plugin that fails.
#[tokio::test]
async fn a_failure_may_be_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = "[hooks]\nappend = [\"trap\", \"pass\"]\n".to_owned();
    for (name, policy) in [("trap", "skip"), ("pass", "reject")] {
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, wat::component(&wat::hostile(name), "before-append-plugin")).unwrap();
        config.push_str(&format!("[plugins.{name}]\npath = {file:?}\non_error = {policy:?}\n"));
    }
    let daemon = Daemon::start(&config).await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    assert_eq!(append(&client).await.expect(200).json()["last_seq"], 2);
}

/// P18, P43, P45: ten thousand calls of hostile guests and a good one leave nothing behind, and the good
/// one never fails. `scripts/siege calls` makes a hundred thousand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_siege_leaves_nothing_behind() {
    let siege = siege::run(10_000).await;
    assert!(siege.is_flat(), "{siege:?}");
}
