//! The end: in peace, in time, and with an account.

use sessiond_tests::daemon::{Daemon, guest};
use sessiond_tests::wait::eventually;
use sessiond_tests::wat;

const SESSIONS: &str = "/v1/apps/shop/users/ann/sessions";

/// R70: SIGTERM lets what has begun end, and summary jobs that are queued too.
#[tokio::test]
async fn the_daemon_stops_in_peace() {
    let file = guest("rolling-summary-python");
    let mut daemon = Daemon::start(&format!(
        "[summary]\nplugin = \"rolling\"\n[plugins.rolling]\npath = {file:?}\n"
    ))
    .await;
    let client = daemon.client();
    for name in ["a", "b", "c", "d", "e", "f"] {
        client.post(SESSIONS, format!("{{\"id\":\"{name}\"}}")).await.expect(201);
        let body = r#"{"role":"user","content":"hi"}"#;
        client.post(&format!("{SESSIONS}/{name}/events"), body).await.expect(200);
        client.post(&format!("{SESSIONS}/{name}/summaries"), r#"{"force":true}"#).await.expect(202);
    }
    daemon.terminate();
    assert!(daemon.ended().await.success(), "{}", daemon.log());
    assert!(daemon.log().contains("stopped ended=true"), "{}", daemon.log());
    assert!(client.send("GET", "/healthz", &[], "").await.is_err());
}

/// A request that is under way when the signal comes is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spin.wasm");
    std::fs::write(&file, wat::component(&wat::hostile("spin"), "before-append-plugin")).unwrap();
    let config = format!(
        "[hooks]\nappend = [\"spin\"]\n[plugins.spin]\npath = {file:?}\nlimits.time = \"2s\"\n"
    );
    let mut daemon = Daemon::start(&config).await;
    let client = daemon.client();
    client.post(SESSIONS, r#"{"id":"s"}"#).await.expect(201);
    let mut slow = tokio::task::JoinSet::new();
    let asking = client.clone();
    slow.spawn(async move {
        asking.post(&format!("{SESSIONS}/s/events"), r#"{"role":"user","content":"hi"}"#).await
    });
    let runs = async || {
        let metrics = client.get("/metrics").await.text;
        metrics.contains("sessiond_plugin_running{plugin=\"spin\"} 1").then_some(())
    };
    eventually("the guest runs", runs).await;
    daemon.terminate();
    let answered = slow.join_next().await.unwrap().unwrap();
    assert_eq!(answered.expect(504).code(), "plugin_time_out");
    assert!(daemon.ended().await.success(), "{}", daemon.log());
}
